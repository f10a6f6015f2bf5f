"""The policy pack of `policy/`, as a stack asks for it."""

from __future__ import annotations

from ops.bootstrap import ROOT
from ops.config import Config

PACK = ROOT / "policy"


def flags(config: Config) -> list[str]:
    """Return the flags of `pulumi preview` and `pulumi up` that the stack's settings ask for."""
    strict = ["--policy-pack-config", str(PACK / "mandatory.json")]
    # Relative to the project, in whose folder Pulumi runs: it shows the path in each preview.
    return ["--policy-pack", PACK.name, *(strict if config.enforces_policies else [])]
