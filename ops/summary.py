"""What a person sees once a stack is deployed: that it is reached, and how to log in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ops import doctor
from ops.bootstrap.console import Problem, say, wait

ANSWER_SECONDS = 60
"""How long the registry may take to answer from outside once its service runs."""


def deployment(outputs: Mapping[str, Any]) -> doctor.Told:
    """Return what a stack's outputs say of addresses and logins."""
    return doctor.Told(
        outputs["url"],
        outputs.get("username"),
        outputs.get("password"),
        outputs.get("ui") or None,
        outputs.get("https") == "external",
    )


def wait_until_reachable(outputs: Mapping[str, Any]) -> None:
    """Wait until the registry answers; where it doesn't, say what of it is wrong."""
    deployed = deployment(outputs)
    try:
        wait(f"{deployed.url} to answer", lambda: doctor.ready(deployed), ANSWER_SECONDS)
    except Problem:
        say("the services run, but the registry isn't reached from here as it should be:")
        doctor.examine(deployed, slow_seconds=0)
        raise
    if deployed.secure:
        doctor.examine(deployed, slow_seconds=0)


def print_login(stack: str, outputs: Mapping[str, Any]) -> None:
    """Print where the registry is, and what to type next."""
    deployed = deployment(outputs)
    host = deployed.url.partition("://")[2]
    ui = f"\n  Traefik's UI  {deployed.ui}" if deployed.ui else ""
    print(f"""
  Registry      {deployed.url}{ui}
  User          {deployed.username}
  Password      eval "$(make -s exports)"
                pulumi stack output password --show-secrets --stack {stack}
  Log in        pulumi stack output password --show-secrets --stack {stack} |
                  docker login -u {deployed.username} --password-stdin {host}
  Push          docker tag IMAGE {host}/IMAGE && docker push {host}/IMAGE
  Logs, down    make logs, make down (the images stay)
""")
