"""One run of a program of the tools image beside a registry that is deployed.

It is a service of one task that runs once, with the registry's own volume, configuration, secrets,
networks and node, as the engine has them. Its log is followed from here, and nothing of it stays.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from components.distribution.tool import STOP_SECONDS, STORAGE_FILES, USER
from components.swarm.rollout import PENDING_SECONDS
from components.swarm.service import service_name
from components.swarm.stack import namespace_labels
from components.swarm.task import go_memory
from components.swarm.task_failure import Cause, read_failure
from components.swarm.task_log import TaskLog
from components.swarm.task_state import error_of
from ops import inventory
from ops.bootstrap.console import UserError, say
from ops.bootstrap.environment import deploy_command
from ops.tools_image import tools_image

if TYPE_CHECKING:
    from docker import APIClient

    from ops.stack import Stack

POLL_SECONDS = 0.5
ENDED = ("complete", "failed", "rejected", "shutdown", "orphaned", "remove")
"""States of a task that runs no more."""

_Raw = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A program's run. What it names in Docker's terms is that of Docker's API."""

    name: str
    """The service is `<stack>_job-<name>`: of each name one runs at a time."""
    title: str
    """The run in messages, such as `the garbage collection`."""
    command: Sequence[str]
    """The program with its arguments, for all to see."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Texts by the path that it finds them at, for all to see."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Texts by path that nobody else sees."""
    has_storage: bool = True
    """It has the registry's mounts, configuration and CA; else what is its own alone."""
    mounts: Sequence[_Raw] = ()
    """Mounts of its own."""
    networks: Sequence[str] = ()
    """Full ids of networks beside those of the registry."""
    constraints: Sequence[str] | None = None
    """Placement constraints; None: those of the registry."""
    memory_mib: int = 256
    """Hard limit of its task, MiB."""
    labels: Mapping[str, str] = field(default_factory=lambda: {"traefik.enable": "false"})
    """Labels of its service, by which Traefik leaves it alone or doesn't."""


def run_job(stack: Stack, job: Job, show: Callable[[str], None]) -> int:
    """Run `job` to its end and return the exit code; `show` gets each line of its log.

    Interrupted, it has the program end at a safe point. If this process is killed, the job runs on
    to its end. Raises UserError when there is no registry, another run goes on, or no node can
    start it.
    """
    with inventory.connected(stack.name, stack.endpoint) as client:
        run = _Run(stack, job, client)
        with run.begun() as service:
            return run.ended(service, show)


@contextlib.contextmanager
def running(stack: Stack, job: Job) -> Iterator[None]:
    """Run `job` until the block ends; UserError as with `run_job`, but for a node's refusal."""
    with (
        inventory.connected(stack.name, stack.endpoint) as client,
        _Run(stack, job, client).begun(),
    ):
        yield


class _Run:
    """One run of a job, on the engine of a stack."""

    def __init__(self, stack: Stack, job: Job, client: APIClient) -> None:
        self._stack, self._job, self._client = stack, job, client
        self._swarm_stack = stack.config.swarm_stack
        self._service = job_service(self._swarm_stack, job.name)

    def refuse_second(self) -> None:
        """Raise UserError while another run goes on; remove what is left of one that has ended."""
        service = service_named(self._client, self._service)
        if service is None:
            return
        if not _has_ended(self._client, service["ID"]):
            raise UserError(
                f"{self._job.title} runs already, since {service['CreatedAt'][:19]} UTC; wait for"
                f" its end, or stop it:\n      docker service rm {self._service}"
            )
        self._client.remove_service(service["ID"])

    @contextlib.contextmanager
    def begun(self) -> Iterator[str]:
        """Yield the id of the job's service, and remove it afterwards, with all that it uses."""
        # A swarm of the same names isn't the stack's: the images there are another's.
        inventory.require_swarm_of(self._stack, self._client)
        registry = registry_service(self._stack, self._client)["Spec"]
        image = tools_image(self._stack, self._client)
        self.refuse_second()
        labels = namespace_labels(self._swarm_stack)
        with contextlib.ExitStack() as until_done:
            configs = self._store(self._job.files, "config", labels, until_done)
            secrets = self._store(self._job.secrets, "secret", labels, until_done)
            template = task_template(registry, image, self._job, configs, secrets)
            service = self._client.create_service(
                template,
                name=self._service,
                labels={**labels, **self._job.labels},
                # Engines (20.10) let a Swarm job run on when its service is removed.
                mode={"Replicated": {"Replicas": 1}},
                endpoint_spec={"Mode": "dnsrr"},
            )["ID"]
            until_done.callback(_without_error, self._client.remove_service, service)
            try:
                yield str(service)
            except KeyboardInterrupt:
                say(f"{self._job.title} is stopped; it ends at a safe point, within seconds")
                raise

    def _store(
        self,
        texts: Mapping[str, str],
        kind: str,
        labels: dict[str, str],
        until_done: contextlib.ExitStack,
    ) -> Sequence[_Raw]:
        """Store texts as configs or secrets until the job ends; return them as a task does."""
        listed, create, remove = (
            getattr(self._client, name) for name in (f"{kind}s", f"create_{kind}", f"remove_{kind}")
        )
        # What a run that was killed has left.
        for old in listed(filters={"name": f"{self._service}-"}):
            _without_error(remove, old["ID"])
        stored = []
        for number, (path, text) in enumerate(texts.items(), 1):
            name = f"{self._service}-{number}"
            id_ = create(name, text.encode(), labels=labels)["ID"]
            until_done.callback(_without_error, remove, id_)
            stored.append(
                {
                    "File": {"Name": path, "UID": "0", "GID": "0", "Mode": 0o400},
                    f"{kind.title()}ID": id_,
                    f"{kind.title()}Name": name,
                }
            )
        return stored

    def ended(self, service: str, show: Callable[[str], None]) -> int:
        """Return the exit code once the job has ended; UserError when it can't begin."""
        log, homeless_since, shown = TaskLog(self._client), 0.0, ""
        while True:
            tasks = self._client.tasks({"service": service})
            # Swarm makes another one where a node goes down.
            task = max(tasks, key=lambda task: str(task["CreatedAt"]), default=None)
            state = task["Status"]["State"] if task else "new"
            if task and (task["Status"].get("ContainerStatus") or {}).get("ContainerID"):
                for line in log.lines(task["ID"]):
                    show(line)
            if task and state in ENDED:
                return self._exit_code(task)
            if task and state == "pending" and error_of(task):
                homeless_since = homeless_since or time.monotonic()
                if time.monotonic() - homeless_since > PENDING_SECONDS:
                    raise UserError(self._reason(task))
            if state == "preparing" and shown != state:
                say(f"{self._job.title}: its node gets the image")
            shown = state
            time.sleep(POLL_SECONDS)

    def _exit_code(self, task: _Raw) -> int:
        """Return the exit code of a task; UserError for one that didn't run, or was killed."""
        code = (task["Status"].get("ContainerStatus") or {}).get("ExitCode", 0)
        if task["Status"]["State"] == "complete":
            return 0
        if code in (0, 137):
            raise UserError(self._reason(task))
        return int(code)

    def _reason(self, task: _Raw) -> str:
        nodes = {raw["ID"]: raw["Description"]["Hostname"] for raw in self._client.nodes()}
        error = error_of(task) or f"its task is {task['Status']['State']}"
        node = nodes.get(task.get("NodeID", ""), "")
        failure = read_failure(error, service=self._service, node=node)
        lines = [f"{self._job.title} doesn't run: {failure.headline}", failure.remedy]
        if failure.cause is Cause.IMAGE:
            lines.append(
                "  Where its name is wrong:\n      pulumi config set --stack"
                f" {self._stack.name} registry:toolsImage IMAGE:TAG"
            )
        return "\n".join(filter(None, lines))


def task_template(
    registry: _Raw, image: str, job: Job, configs: Sequence[_Raw], secrets: Sequence[_Raw]
) -> dict[str, Any]:
    """Return the job's task, made from the specification of the registry's service."""
    task = registry["TaskTemplate"]
    container = task["ContainerSpec"]
    mounts = (container.get("Mounts") or []) if job.has_storage else []
    files = STORAGE_FILES if job.has_storage else ()
    of_storage = [each for each in container.get("Secrets") or [] if each["File"]["Name"] in files]
    networks = [each["Target"] for each in task.get("Networks") or []]
    constraints = (task.get("Placement") or {}).get("Constraints") or []
    return {
        "ContainerSpec": {
            "Image": image,
            "Command": list(job.command),
            "Env": [f"{name}={value}" for name, value in go_memory(job.memory_mib).items()],
            "User": USER,
            "ReadOnly": True,
            "Mounts": [*mounts, *job.mounts],
            "Secrets": [*of_storage, *secrets],
            "Configs": list(configs),
            "StopGracePeriod": STOP_SECONDS * 10**9,
        },
        "Networks": [{"Target": each} for each in dict.fromkeys([*networks, *job.networks])],
        "Placement": {
            "Constraints": list(constraints if job.constraints is None else job.constraints)
        },
        "Resources": {"Limits": {"MemoryBytes": job.memory_mib * 2**20}},
        "RestartPolicy": {"Condition": "none"},
        "LogDriver": task.get("LogDriver") or {"Name": "json-file"},
    }


def job_service(swarm_stack: str, name: str) -> str:
    """Return the name of a job's service."""
    return service_name(swarm_stack, f"{inventory.JOB}{name}")


def registry_service(stack: Stack, client: APIClient) -> _Raw:
    """Return the registry's service; UserError where it isn't deployed."""
    name = service_name(stack.config.swarm_stack, "registry")
    if service := service_named(client, name):
        return service
    command = deploy_command(stack.name)
    raise UserError(f"there is no service {name} on the swarm; deploy it first: {command}")


def service_named(client: APIClient, name: str) -> _Raw | None:
    """Return the service of that very name."""
    services = client.services({"name": name})
    return next((each for each in services if each["Spec"]["Name"] == name), None)


def remove_ended(client: APIClient, services: Iterable[str]) -> None:
    """Remove those of the jobs' `services` (ids) that have ended: their command was killed."""
    for service in services:
        if _has_ended(client, service):
            _without_error(client.remove_service, service)


def _has_ended(client: APIClient, service: str) -> bool:
    tasks = client.tasks({"service": service})
    return bool(tasks) and all(task["Status"]["State"] in ENDED for task in tasks)


def _without_error(remove: Callable[[str], object], id_: str) -> None:
    """Remove what may be gone, or out of reach, by now."""
    from docker.errors import DockerException

    with contextlib.suppress(DockerException, OSError):
        remove(id_)
