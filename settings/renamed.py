"""Former names of settings and outputs, which work beside the present ones for a while."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from settings.stack_file import full_key

SETTINGS: Mapping[str, str] = {"proxyUiPort": "proxyDashboardPort"}
"""Present names of settings by former one. Their values are single texts: a list or a map would
need other commands in the warning."""
OUTPUTS: Mapping[str, str] = {"ui": "dashboard", "uiPasswords": "dashboardPasswords"}
"""Present names of outputs by former one."""
END = "2.0.0"
"""Version without the former names."""
FORMER: Mapping[str, str] = {present: former for former, present in SETTINGS.items()}
"""Former names of settings by present one."""


def former_keys(keys: Collection[str]) -> Mapping[str, str]:
    """Return by full key the former one, where `keys` have that one alone."""
    names = {full_key(present): full_key(former) for present, former in FORMER.items()}
    return {
        present: former
        for present, former in names.items()
        if former in keys and present not in keys
    }


def how_to_rename(key: str, stack: str, value: str) -> str:
    """Return the warning about a key that has its former name; `value` ends the command."""
    present, former = full_key(key), full_key(FORMER[key])
    return (
        f"{former} is called {present} now, and works by its former name until version {END}."
        f" Type:\n      pulumi config set --stack {stack} {present} {value}"
        f"\n      pulumi config rm --stack {stack} {former}"
    )
