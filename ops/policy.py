"""The policy pack of `policy/`, as a stack asks for it."""

from __future__ import annotations

import json

from ops.console import run
from ops.toolchain import ROOT

PACK = ROOT / "policy"


def flags(stack: str) -> list[str]:
    """What `pulumi preview` and `pulumi up` are told, for the stack's `registry:policy`."""
    config = json.loads(run(["pulumi", "config", "--json", "--stack", stack]))
    told = ["--policy-pack", str(PACK)]
    if config.get("registry:policy", {}).get("value") == "mandatory":
        told += ["--policy-pack-config", str(PACK / "mandatory.json")]
    return told
