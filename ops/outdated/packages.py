"""Versions of Pulumi and its plugins, which come with Python packages of the same names."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from ops.bootstrap import ROOT
from ops.outdated.version import newer
from ops.status.line import Line

NAMES = ("pulumi", "pulumi-docker", "pulumi-random")
TIMEOUT_SECONDS = 60
REMEDY = ("git pull  # the next version of this program brings those that it was tested with",)


def package_lines() -> list[Line]:
    """Return a line for each package; pip's own index and settings count."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(_line, NAMES))


def locked(name: str) -> str:
    """Return the version that the program is deployed with."""
    text = (ROOT / "requirements.txt").read_text()
    match = re.search(rf"^{re.escape(name)}==([^\s\\]+)", text, re.MULTILINE)
    return match[1] if match else ""


def _line(name: str) -> Line:
    present = locked(name)
    title = f"{name} {present}"
    command = [sys.executable, "-m", "pip", "index", "versions", name]
    options = ["--disable-pip-version-check", "--retries", "0", "--timeout", "10"]
    try:
        done = subprocess.run(
            [*command, *options],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return Line(title=title, state="unknown", text=f"no answer within {TIMEOUT_SECONDS} s")
    versions = re.search(r"^Available versions: (.*)$", done.stdout, re.MULTILINE)
    if not versions:
        return Line(title=title, state="unknown", text="pip finds no index that knows it")
    return version_line(title, present, versions[1].split(", "))


def version_line(title: str, present: str, versions: list[str]) -> Line:
    """Return the line about a package's versions."""
    later = newer(present, versions)
    text = ", and ".join(
        part
        for part in (
            later.minor and f"{later.minor} is newer",
            later.major and f"{later.major} is another major version",
        )
        if part
    )
    if not text:
        return Line(title=title, state="ok", text="the newest")
    facts = {"newer": later.minor, "newer_major": later.major}
    return Line(title=title, state="newer", text=text, commands=REMEDY, facts=facts)
