"""One stack, deployed and looked at: what the Makefile's commands do with `pulumi`."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from components.distribution.config import HUB
from components.run import takeover
from components.swarm.endpoint import Tls
from ops import backend, comment, doctor, nodes, policy, resume, review, store_check
from ops import logs as service_logs
from ops.bootstrap import ROOT, engine, images, state, toolchain, virtualenv
from ops.bootstrap.console import Problem, confirm, run, say, wait, write_whole
from ops.pulumi import pulumi

LOCAL = "local"
LOCAL_EXAMPLE = ROOT / "Pulumi.local.example.yaml"
"""The settings that `local` begins with."""
STACK_LABEL = "com.docker.stack.namespace"
"""By which `docker stack` knows what belongs together."""
KEY_MATERIAL = "docker:keyMaterial"
"""Key of the setting with the key for an engine behind TLS."""
ANSWER_SECONDS = 60
"""How long the registry may take to answer from outside once its service runs."""


def environment() -> dict[str, str]:
    """Changes to the environment that make `pulumi` work on this project, from here on."""
    # Else refresh and destroy use the engine that the last deployment used, wherever the stack's
    # settings and DOCKER_HOST lead by now.
    changes = {"PULUMI_RUN_PROGRAM": "true"}
    os.environ.update(changes)
    ensure_local_settings()
    for part in (virtualenv.ensure, toolchain.ensure, state.ensure):
        changed = part()
        os.environ.update(changed)
        changes.update(changed)
    return changes


def ensure_local_settings() -> None:
    """Have a file with the settings of `local`, which Pulumi writes into: git doesn't track it."""
    if not file_of(LOCAL).exists():
        write_whole(file_of(LOCAL), LOCAL_EXAMPLE.read_text(), mode=0o644)


def exports(changes: Mapping[str, str]) -> str:
    """`changes` as lines for a shell's `eval`."""
    return "".join(f"export {key}={shlex.quote(value)}\n" for key, value in changes.items())


def up(
    *flags: str,
    taken: Mapping[str, str] | None = None,
    forget: resume.Forget = "at home",
) -> None:
    """Deploys `local` on this machine with all that it needs, and says how to log in."""
    environment()
    prepare_machine()
    # Nobody reads a preview that asks no question.
    # A developer's machine is its own swarm: when that is made anew, so is the stack.
    up_only(LOCAL, "--skip-preview", *flags, taken=taken, forget=forget)
    deployed = told(LOCAL)
    answers_as_told(deployed)
    _tell(deployed)


def prepare_machine() -> None:
    """Have a Docker engine in swarm mode, with the images: the one that all here talk to."""
    # DOCKER_HOST stays as it is: it would take the place of a context, and of its certificates.
    images.ensure(engine.ensure().host)


def deploy_again(stack: str, *flags: str, taken: Mapping[str, str], forget: resume.Forget) -> None:
    """Deploy the stack as it was deployed before: `make up` or `make deploy`."""
    if stack == LOCAL:
        up(*flags, taken=taken, forget=forget)
    else:
        deploy(stack, *flags, taken=taken, forget=forget)


def deploy(
    stack: str,
    *flags: str,
    taken: Mapping[str, str] | None = None,
    forget: resume.Forget = "never",
) -> None:
    """`pulumi up` under the policy pack, without questions, and a look from outside.

    Services and networks that are `taken` (ids by name) come into the state.

    CHECK=no in the environment leaves that out: for machines that can't reach the registry.
    """
    init(stack)
    up_only(stack, *policy.flags(stack), *flags, taken=taken, forget=forget)
    if os.environ.get("CHECK") != "no":
        answers_as_told(told(stack))
    if outputs(stack)["mirrors"]:
        say(f"what the nodes are told of the mirrors: make mirrors STACK={stack}")


def up_only(
    stack: str,
    *flags: str,
    taken: Mapping[str, str] | None = None,
    forget: resume.Forget = "never",
) -> None:
    """`pulumi up`, without questions, policies and checks; first ends what was interrupted."""
    backend.require_room()
    init(stack)

    def deploy_now() -> None:
        rest = resume.finish(stack, forget=forget)
        ids = {**rest.taken, **(taken or {})}
        environment = takeover.environment(ids, rest.swarm)
        pulumi("up", "--yes", "--stack", stack, *flags, *rest.flags, env=environment)
        if rest.left or taken:
            resume.clean_up(stack, services=False)

    _alone(stack, deploy_now)


def _alone(stack: str, act: Callable[[], None]) -> None:
    """Do `act`, which waits for other runs; again when one came between and took the lock."""
    while True:
        try:
            return act()
        except Problem:
            if not backend.is_held(stack):
                raise
            say("another run of the stack came first")


def preview(stack: str, form: str = "terminal") -> None:
    """What `deploy` would do; `form` is `terminal`, `markdown` or `comment`."""
    init(stack)
    os.environ.update(takeover.environment(resume.foresee(stack)))
    flags = policy.flags(stack)
    if form == "terminal":
        with review.gaps_shown() as more:
            return pulumi("preview", "--diff", "--stack", stack, *flags, *more)
    report = review.preview(stack, *flags)
    return report.tell(partial(comment.post, stack) if form == "comment" else None)


def down(stack: str) -> None:
    """Removes the stack's services; its images and the label of their node stay.

    Asks first, unless it is `local`, which is this machine's alone.
    """
    if stack != LOCAL:
        confirm(f"Remove the services of stack {stack}, so that nobody reaches the registry?")
    init(stack)

    def destroy_now() -> None:
        forget: resume.Forget = "at home" if stack == LOCAL else "never"
        rest = resume.finish_before_destroying(stack, forget=forget)
        allowed = takeover.environment({}, rest.swarm)
        # Whoever had to agree has done so.
        pulumi("destroy", "--yes", "--skip-preview", "--stack", stack, env=allowed)

    _alone(stack, destroy_now)
    # Now nothing is on the networks, and nothing uses the secrets, that earlier runs have left.
    resume.clean_up(stack)
    say("the images are kept, unless registry:destroyData is set; the next deployment finds them")


def logs(stack: str, follow: bool) -> None:
    """Print the last lines of the stack's services, in the order of time."""
    label = f"label={STACK_LABEL}={_use_engine_of(stack)['registry:stackName']}"
    services = run(["docker", "service", "ls", "-q", "--filter", label]).split()
    if not services:
        raise Problem(f"stack {stack} has no services here; deploy it first")
    service_logs.show(services, follow=follow)


def doctor_of(stack: str, slow_seconds: int) -> None:
    """Looks at the object store, if there is one, and at what is deployed."""
    init(stack)
    store = store_check.store_of(stack)
    if store:
        _use_engine_of(stack)
        print(f"{store.name}, seen from the engine")
        store_check.check(store)
        if "url" not in _raw_outputs(stack):
            say(f"all else is to be seen once it is deployed: make deploy STACK={stack}")
            return
    doctor.examine(told(stack), slow_seconds)


def mirrors(stack: str) -> None:
    """What the nodes are told of the stack's mirrors."""
    found = outputs(stack).get("mirrors")
    if not found:
        raise Problem(
            f"stack {stack} has no mirrors; such as:\n"
            f"      pulumi config set --stack {stack} --path registry:mirrors.hub.upstream"
            f" {HUB}\n"
            f"      pulumi config set --stack {stack} --path registry:mirrors.hub.domain"
            " mirror.example.com\n"
            f"      make deploy STACK={stack}"
        )
    print(nodes.lines(found))


def _use_engine_of(stack: str) -> Mapping[str, str]:
    """Leads `docker` to the engine that the stack's settings name; returns these."""
    config = state.config(stack)
    # Secrets are decrypted where they are needed alone.
    use_engine(state.config(stack, secrets=True) if KEY_MATERIAL in config else config)
    return config


def use_engine(config: Mapping[str, Any]) -> None:
    """Lead `docker` to the engine that these settings name, secrets in plain text among them."""
    tls = None
    if KEY_MATERIAL in config:
        parts = (config.get(f"docker:{part}Material", "") for part in ("ca", "cert", "key"))
        ca, certificate, key = map(_pem, parts)
        tls = Tls(ca=ca, certificate=certificate, key=key)
    engine.lead_docker(config.get("docker:host"), tls)


def _pem(setting: str) -> str:
    """Return a setting's text, which may be in the file that it names."""
    if "-----BEGIN" in setting:
        return setting
    try:
        return (ROOT / setting).read_text()
    except (OSError, ValueError) as error:
        raise Problem(f"docker:…Material: {error}") from error


def told(stack: str) -> doctor.Told:
    """What the deployed stack says of itself."""
    found = outputs(stack)
    return doctor.Told(
        found["url"],
        found.get("username"),
        found.get("password"),
        found.get("ui") or None,
        found.get("https") == "external",
    )


def _raw_outputs(stack: str) -> dict[str, Any]:
    raw = run(["pulumi", "stack", "output", "--json", "--show-secrets", "--stack", stack])
    return dict(json.loads(raw))


def outputs(stack: str) -> dict[str, Any]:
    """Return what the deployed stack says of itself, secrets too."""
    found = _raw_outputs(stack)
    if "url" not in found:
        raise Problem(f"stack {stack} isn't deployed: make deploy STACK={stack}")
    return found


def answers_as_told(deployed: doctor.Told) -> None:
    """Waits until the registry answers; where it doesn't, says what of it is wrong."""
    try:
        wait(f"{deployed.url} to answer", lambda: doctor.ready(deployed), ANSWER_SECONDS)
    except Problem:
        say("the services run, but the registry isn't reached from here as it should be:")
        doctor.examine(deployed, slow_seconds=0)
        raise
    if deployed.secure:
        doctor.examine(deployed, slow_seconds=0)


def _tell(outputs: doctor.Told) -> None:
    host = outputs.url.partition("://")[2]
    ui = f"\n  Traefik's UI  {outputs.ui}" if outputs.ui else ""
    print(f"""
  Registry      {outputs.url}{ui}
  User          {outputs.username}
  Password      eval "$(make -s exports)"
                pulumi stack output password --show-secrets --stack {LOCAL}
  Log in        pulumi stack output password --show-secrets --stack {LOCAL} |
                  docker login -u {outputs.username} --password-stdin {host}
  Push          docker tag IMAGE {host}/IMAGE && docker push {host}/IMAGE
  Logs, down    make logs, make down (the images stay)
""")


def names() -> list[str]:
    """The stacks that the backend knows."""
    known = json.loads(run(["pulumi", "stack", "ls", "--json"]))
    return [each["name"].rpartition("/")[2] for each in known]


def file_of(stack: str) -> Path:
    """Where the settings of a stack stand."""
    return ROOT / f"Pulumi.{stack}.yaml"


def init(stack: str, new: bool = False) -> None:
    """Makes the stack where there is none yet; which one is selected stays as it is.

    Only a `new` one may have no settings yet.
    """
    backend.require_readable()
    if stack not in names():
        if not new and not file_of(stack).exists():
            raise Problem(
                f"there is no {file_of(stack).name}; for a new environment:"
                f" make env NAME={stack} FROM=stag DOMAIN=…"
            )
        create = ["pulumi", "stack", "init", "--no-select", stack]
        try:
            run(create)
        except Problem as problem:
            # With the state went its passphrase, and with that the key that the file notes.
            if "incorrect passphrase" not in str(problem) or not state.has_own_passphrase():
                raise
            state.forget_key(file_of(stack))
            run(create)
