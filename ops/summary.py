"""The end of a deployment: the registry is reached, and its login is printed."""

from __future__ import annotations

from ops.bootstrap.console import UserError, say, wait
from ops.doctor.access import is_ready
from ops.doctor.checks import examine
from ops.outputs import StackOutputs

ANSWER_SECONDS = 60
"""Time limit for the registry's first answer once its service runs."""


def wait_until_reachable(outputs: StackOutputs) -> None:
    """Wait until the registry answers; print findings of the checks if it doesn't, or has HTTPS."""
    try:
        wait(f"{outputs.url} to answer", lambda: is_ready(outputs), ANSWER_SECONDS)
    except UserError:
        say("the services run, but the registry isn't reached from here as it should be:")
        examine(outputs, slow_seconds=0)
        raise
    if outputs.is_https:
        examine(outputs, slow_seconds=0)


def print_login(stack: str, outputs: StackOutputs) -> None:
    """Print the address of the registry, its login, and commands to begin with.

    Where all passwords were taken over as hashes, the program knows none.
    """
    host = outputs.address
    dashboard = f"\n  Dashboard     {outputs.dashboard}" if outputs.dashboard else ""
    login = f"""
  User          {outputs.username}
  Password      eval "$(make -s exports)"
                pulumi stack output password --show-secrets --stack {stack}
  Log in        make login"""
    if not outputs.password:
        login = f"""
  Users         make users
  Log in        docker login {host}"""
    print(f"""
  Registry      {outputs.url}{dashboard}{login}
  Push          docker tag IMAGE {host}/IMAGE
                docker push {host}/IMAGE
  Logs, down    make logs, make down (the images stay)
""")
