"""`make adopt STACK=… FROM=…`: the plan is shown, confirmed and carried out.

Each step can be interrupted, and a second run continues from there. A service of the right name is
changed in place. Anything else is stopped right before the deployment, and started again when the
deployment fails. Nothing is deleted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pulumi

from components.run import takeover
from ops.adopt.original import Docker, Original, find_registry, node_of, reader
from ops.adopt.plan import Plan, Setting
from ops.adopt.planning import make_plan, swarm_stack_of
from ops.adopt.preparation import prepare_for_import
from ops.bootstrap import ROOT
from ops.bootstrap.console import UserError, confirm, run, say
from ops.config import Config
from ops.review.preview import run_preview
from ops.review.step import SERVICE
from ops.stack import Stack, names
from settings.remedies import explain
from settings.stack_file import as_text, config_of, is_encrypted


def adopt(name: str, source: str, logins: str | None) -> None:
    """Take over the registry of the swarm stack or compose project `source` as stack `name`.

    `logins` is `keep`, `new`, or None: new ones, and a UserError where old ones can't be read.
    """
    configured = _configured(name)
    config = Config.of(name, configured)
    config.lead_docker()
    docker = Docker()
    original = find_registry(docker, source)
    if original.is_deployed_by_us or original.is_stopped:
        _continue(docker, original, source, config)
        return
    node = node_of(docker, original)
    plan = make_plan(
        original,
        source,
        name,
        node,
        reader(docker, original, node),
        logins=logins,
        configured=configured,
    )
    plan.show()
    plan.check()
    confirm(f"Take over {original.name} as planned?")
    Stack(name).ensure(new=True)
    write(name, plan.settings)
    if plan.in_place:
        _change_in_place(name, plan)
    else:
        # Errors are found while the old registry still runs.
        Stack(name).preview()
        with stopped(docker, original, plan.swarm_stack):
            Stack(name).deploy()
    _print_summary(plan)


def _configured(name: str) -> Mapping[str, Any]:
    """Return the settings of the stack's file, by full key; no stack is made.

    Without a stack, encrypted values can't be read, and are left out.
    """
    if name not in names():
        values = config_of(name, ROOT)
        return {
            key: value if isinstance(value, list | dict) else as_text(value)
            for key, value in values.items()
            if not (isinstance(value, list | dict) and is_encrypted(value))
        }
    config = Config.read(name, show_secrets=True)
    return {**config.values, **config.structures}


def write(name: str, settings: Sequence[Setting]) -> None:
    """Write the settings into the stack's file; a secret is neither shown nor on a command line."""
    # Secrets come last, so that after an interruption no registry starts with half of the settings.
    plain = [arg for each in settings if not each.is_secret for arg in _assignment(each)]
    if plain:
        run(["pulumi", "config", "set-all", "--stack", name, "--path", *plain])
    for each in settings:
        if each.is_secret:
            command = ["pulumi", "config", "set", "--stack", name, "--path", "--secret", each.path]
            run(command, stdin=each.value)


def _assignment(setting: Setting) -> tuple[str, str]:
    return "--plaintext", f"{setting.path}={setting.value}"


def _change_in_place(name: str, plan: Plan) -> None:
    """Have Pulumi update the service itself, in two steps of which Swarm can undo each."""
    original = plan.original
    imports = {original.name: original.id}
    # A preview first, so that errors are known before anything changes.
    _operations(name, imports)
    say(f"{original.name}: leaving all networks but {plan.network}")
    try:
        prepare_for_import(original.id, plan.network, plan.swarm_stack, plan.volume)
    except pulumi.RunError as error:
        raise UserError(explain(error, name)) from error
    if any("replace" in operation for operation in _operations(name, imports)):
        raise UserError(
            f"{original.name} can't be changed in place: Pulumi would delete it first. It runs on"
            " as it was, but for networks and labels of its containers; for the reason see"
            f" `make preview STACK={name}`"
        )
    Stack(name).deploy(imports=imports)


def _operations(name: str, imports: Mapping[str, str]) -> set[str]:
    """Return the operations of a deployment on services; raise UserError where it would fail."""
    preview = run_preview(name, variables=takeover.variables(imports))
    if preview.failed:
        raise UserError("\n".join(preview.errors))
    return {str(step["op"]) for step in preview.steps.values() if step["type"] == SERVICE}


def _continue(docker: Docker, original: Original, source: str, config: Config) -> None:
    """Continue a run that was confirmed and then interrupted."""
    name, swarm_stack = config.stack, config.swarm_stack
    if original.is_deployed_by_us:
        if original.name != f"{swarm_stack}_registry":
            raise UserError(
                f"{original.name} was deployed by this program already, and stack {name} is another"
                f" one: its registry:stackName is {swarm_stack or 'not set'}"
            )
        say(f"{original.name} is taken over already: deploying stack {name}")
        Stack(name).deploy()
        return
    if swarm_stack != swarm_stack_of(original, source):
        raise UserError(
            f"{original.name} doesn't run, and only what runs is taken over: start it, and adopt"
            " again"
        )
    say(f"{original.name} was stopped by an earlier run: going on with stack {name}")
    with stopped(docker, original, swarm_stack):
        Stack(name).deploy()


@contextlib.contextmanager
def stopped(docker: Docker, original: Original, swarm_stack: str) -> Iterator[None]:
    """Stop the old registry for the block; start it again when that fails or is interrupted.

    It stays stopped if the new one runs by then: two registries would write to one volume.
    """
    try:
        if not original.is_stopped:
            _stop(docker, original)
        yield
    except BaseException:
        if _serves(docker, swarm_stack):
            say(f"the new registry runs, so {original.name} stays stopped")
        else:
            _start(docker, original)
        raise


def _serves(docker: Docker, swarm_stack: str) -> bool:
    """Return whether a task of the new registry runs."""
    running = ("--filter", "desired-state=running", "--format", "{{.CurrentState}}")
    try:
        return "Running" in docker("service", "ps", f"{swarm_stack}_registry", *running)
    except UserError:
        return False


def _stop(docker: Docker, original: Original) -> None:
    say(f"stopping {original.name}")
    if original.is_service:
        docker("service", "scale", "--detach=false", f"{original.id}=0")
    else:
        # Otherwise the engine's next start would start it again, on the same volume.
        docker("update", "--restart=no", original.id)
        docker("stop", original.id)


def _start(docker: Docker, original: Original) -> None:
    say(f"starting {original.name} again, since the deployment failed")
    if original.is_service:
        docker("service", "scale", "--detach", f"{original.id}={original.replicas or 1}")
    else:
        docker("update", f"--restart={original.restart or 'no'}", original.id)
        docker("start", original.id)


def _print_summary(plan: Plan) -> None:
    original, source = plan.original, plan.swarm_stack
    stays = (
        f"`docker stack deploy` and `docker stack rm {source}` would undo it: put the files away"
        if plan.in_place
        else f"{original.name} is stopped, and not deleted: its volume is in use from now on"
    )
    say(f"{original.name} is Pulumi's stack {plan.stack} now. {stays}.")
