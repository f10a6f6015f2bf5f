"""The policy pack of `policy/`, as a stack asks for it."""

from __future__ import annotations

from ops.bootstrap import ROOT, state

PACK = ROOT / "policy"


def flags(stack: str) -> list[str]:
    """What `pulumi preview` and `pulumi up` are told, for the stack's `registry:policy`."""
    told = ["--policy-pack", str(PACK)]
    if state.config(stack).get("registry:policy") == "mandatory":
        told += ["--policy-pack-config", str(PACK / "mandatory.json")]
    return told
