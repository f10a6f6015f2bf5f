"""One stack, deployed and looked at: what the Makefile's commands do with `pulumi`."""

from __future__ import annotations

import base64
import json
import os
import shlex
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from ops import comment, engine, images, review, state, toolchain, virtualenv
from ops.console import Problem, run, say, wait

LOCAL = "local"
ANSWER_SECONDS = 60
"""How long the registry may take to answer from outside once its service runs."""


def environment() -> dict[str, str]:
    """Changes to the environment that make `pulumi` work on this project, from here on."""
    changes: dict[str, str] = {}
    for part in (virtualenv.ensure, toolchain.ensure, state.ensure):
        changed = part()
        os.environ.update(changed)
        changes.update(changed)
    return changes


def exports(changes: Mapping[str, str]) -> str:
    """`changes` as lines for a shell's `eval`."""
    return "".join(f"export {key}={shlex.quote(value)}\n" for key, value in changes.items())


def up() -> None:
    """Deploys `local` on this machine with all that it needs, and says how to log in."""
    environment()
    host = engine.ensure().host
    os.environ["DOCKER_HOST"] = host
    images.ensure(host)
    # Nobody reads a preview that asks no question.
    deploy(LOCAL, "--skip-preview")
    outputs = _outputs(LOCAL)
    answers_as_told(outputs)
    _tell(outputs)


def deploy(stack: str, *flags: str) -> None:
    """`pulumi up`, without questions."""
    _init(stack)
    _pulumi("up", "--yes", "--stack", stack, *flags)


def preview(stack: str, form: str = "terminal") -> None:
    """What `deploy` would do; `form` is `terminal`, `markdown` or `comment`."""
    _init(stack)
    if form == "terminal":
        return _pulumi("preview", "--diff", "--stack", stack)
    return review.preview(stack).tell(partial(comment.post, stack) if form == "comment" else None)


def down(stack: str) -> None:
    """Removes the stack's services; its images and the label of their node stay."""
    _pulumi("destroy", "--yes", "--stack", stack)
    say("the images are kept, unless registry:destroyData is set; the next deployment finds them")


def logs(stack: str, follow: bool) -> None:
    """The last lines of each service of the stack."""
    config = json.loads(run(["pulumi", "config", "--json", "--stack", stack]))
    if elsewhere := config.get("docker:host"):
        os.environ["DOCKER_HOST"] = elsewhere["value"]
    name = config["registry:stackName"]["value"]
    label = f"label=com.docker.stack.namespace={name}"
    services = run(["docker", "service", "ls", "-q", "--filter", label]).split()
    if not services:
        raise Problem(f"stack {stack} has no services here; deploy it first")
    options = ["--tail", "100", *(["--follow"] if follow else [])]
    readers = [subprocess.Popen(["docker", "service", "logs", *options, id_]) for id_ in services]
    for reader in readers:
        reader.wait()


@dataclass(frozen=True)
class _Outputs:
    url: str
    username: str
    password: str
    ui: str | None


def _outputs(stack: str) -> _Outputs:
    raw = run(["pulumi", "stack", "output", "--json", "--show-secrets", "--stack", stack])
    found = json.loads(raw)
    return _Outputs(found["url"], found["username"], found["password"], found.get("ui"))


def answers_as_told(outputs: _Outputs) -> None:
    """Waits until the registry refuses strangers and takes the login, seen from outside."""
    login = base64.b64encode(f"{outputs.username}:{outputs.password}".encode()).decode()
    api = f"{outputs.url}/v2/"

    def ready() -> bool:
        return _status(api) == 401 and _status(api, {"Authorization": f"Basic {login}"}) == 200

    wait(f"{api} to answer", ready, ANSWER_SECONDS)


def _status(url: str, headers: Mapping[str, str] | None = None) -> int:
    request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310 (our own)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def _tell(outputs: _Outputs) -> None:
    host = outputs.url.partition("://")[2]
    ui = f"\n  Traefik's UI  {outputs.ui}" if outputs.ui else ""
    print(f"""
  Registry      {outputs.url}{ui}
  User          {outputs.username}
  Password      eval "$(make -s env)"
                pulumi stack output password --show-secrets --stack {LOCAL}
  Log in        pulumi stack output password --show-secrets --stack {LOCAL} |
                  docker login -u {outputs.username} --password-stdin {host}
  Push          docker tag IMAGE {host}/IMAGE && docker push {host}/IMAGE
  Logs, down    make logs, make down (the images stay)
""")


def _init(stack: str) -> None:
    """Makes the stack where there is none yet; which one is selected stays as it is."""
    known = json.loads(run(["pulumi", "stack", "ls", "--json"]))
    if stack not in [each["name"].rpartition("/")[2] for each in known]:
        run(["pulumi", "stack", "init", "--no-select", stack])


def _pulumi(*words: str) -> None:
    # Its own output is the best report there is, of progress and of errors.
    if subprocess.run(["pulumi", *words], check=False).returncode != 0:
        raise Problem(f"`pulumi {words[0]}` failed; its messages are above")
