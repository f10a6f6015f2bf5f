"""Stacks of an earlier version of this program: the present one goes on with them, unasked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ops.bootstrap.console import UserError, run
from testing.acme_server import AcmeServer
from testing.archive import redis_image
from testing.project import ROOT, Project
from testing.site import SwarmUnderTest
from testing.store import BUCKET, REGION, Store
from testing.testswarm import TestSwarm
from testing.upstream import Upstream

EARLIER = "da6acb693b05770a8bb9015baf535522f6954563"
"""The version that deploys the stacks."""

TASKS = (
    # One update of each registry: a stop can't be lost, the storage is read before it serves, it
    # serves on for longer, since Traefik asks less often, and an outage of its storage restarts
    # nothing. The redirect to HTTPS is made by Traefik's own service, which gives up a dead task
    # sooner.
    "labels taskSpec.containerSpec.commands taskSpec.containerSpec.healthcheck"
    " taskSpec.containerSpec.stopGracePeriod"
)
COMPUTED = " taskSpec.containerSpec.env taskSpec.containerSpec.sysctl"
"""Properties that any update of a task shows: the provider doesn't know them beforehand."""
CHANGES: Mapping[str, tuple[str, str]] = {
    # What a first preview may show. Step: the properties that it changes, and why.
    "update docker:index/service:Service registry-service": (TASKS + COMPUTED, "see TASKS"),
    "update docker:index/service:Service mirrors-hub-service": (TASKS + COMPUTED, "see TASKS"),
    "update docker:index/service:Service proxy-traefik": (
        "labels taskSpec.containerSpec.args taskSpec.containerSpec.commands"
        " taskSpec.containerSpec.secrets taskSpec.resources.limits.memoryBytes" + COMPUTED,
        "it answers 503 for a registry without a task, and outlives many clients",
    ),
    "update docker:index/service:Service redis-service": (
        "taskSpec.containerSpec.secrets taskSpec.containerSpec.user" + COMPUTED,
        "it no longer runs as root",
    ),
    "replace docker:index/secret:Secret proxy-dynamic": ("data", "it has that answer"),
    "create pulumi:index:Stash service-images": ("", "the digests of the images are remembered"),
    "update pulumi:index:Stash registry-data-place": ("", "the swarm is remembered too"),
    "update pulumi:index:Stash mirrors-place": ("", "the swarm is remembered too"),
    "update pulumi:index:Stash certificates-place": ("", "the swarm is remembered too"),
    "create registry:index:Storage registry-data": ("", "an object store is remembered too"),
    "create registry:index:Storage mirrors": ("", "an object store is remembered too"),
    "create pulumi:index:Stash registry-data-place": ("", "an object store is remembered too"),
    "create pulumi:index:Stash mirrors-place": ("", "an object store is remembered too"),
    # All are retained: Swarm makes volumes, on the node of their task.
    "delete docker:index/volume:Volume registry-data-volume": ("", "volumes aren't declared"),
    "delete docker:index/volume:Volume mirrors-volume": ("", "volumes aren't declared"),
    "delete docker:index/volume:Volume certificates-volume": ("", "volumes aren't declared"),
}

FILES, OBJECTS = "files", "objects"
DOMAINS = {FILES: "files.example.com", OBJECTS: "objects.example.com"}
MIRRORS = {FILES: "mirror.files.example.com", OBJECTS: "mirror.objects.example.com"}
PROXY = f"{FILES}_proxy"
REDIS = "redis:of-this-machine"
"""Stands in for the official image, which can't be had everywhere."""
IMAGE, CACHED = "hello:1", "library/small:1"


def checkout(commit: str, folder: Path) -> Path:
    """Fill `folder` with this project's files as they were at `commit`; return it."""
    packed = folder / "files.tar"
    # Whoever owns the repository: continuous integration clones it as another user.
    git = ("git", "-c", "safe.directory=*", "-C", ROOT)
    try:
        run([*git, "archive", "--format=tar", f"--output={packed}", commit])
    except UserError as problem:
        raise UserError(
            f"the files of commit {commit} are needed, and can't be had ({problem}). In a clone:"
            " git fetch --unshallow; on GitHub: `fetch-depth: 0` under actions/checkout;"
            " on GitLab: the variable GIT_DEPTH: 0"
        ) from None
    run(["tar", "-xf", packed, "-C", folder])
    return folder


@pytest.fixture(scope="module")
def site(swarm: TestSwarm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwarmUnderTest]:
    """Yield the earlier version's checkout, and the swarm."""
    folder = tmp_path_factory.mktemp("checkout") / "registry"
    earlier = checkout(EARLIER, tmp_path_factory.mktemp("earlier"))
    site = SwarmUnderTest(swarm, Project(folder, swarm.nodes[0].host, earlier))
    yield site
    site.clean()


@pytest.fixture(scope="module")
def store(site: SwarmUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(site.swarm, tmp_path_factory.mktemp("store"))
    yield store
    store.end()


@pytest.fixture(scope="module")
def upstream(
    site: SwarmUnderTest, archive: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Upstream]:
    upstream = Upstream(site.swarm, tmp_path_factory.mktemp("upstream"))
    upstream.push(f"docker-archive:{archive}", CACHED)
    yield upstream
    upstream.end()


def settings_of_stacks(
    node: str, acme_server: AcmeServer, store: Store
) -> dict[str, dict[str, str]]:
    """Return the settings that set the stacks apart; `node` has volumes and certificates."""
    return {
        FILES: {
            "registry:proxy": "main",
            "registry:acmeServer": acme_server.directory,
            "registry:acmeCa": acme_server.transport_root,
            "registry:certificatesNode": node,
            "registry:volumeNode": node,
            "registry:mirrorsNode": node,
            "registry:dashboardDomain": "traefik.example.com",
        },
        OBJECTS: {
            "registry:networkLabel": "traefik.swarm.network",
            "registry:replicas": "2",
            "registry:cache": "redis",
            "registry:redisImage": REDIS,
            "registry:storageCa": str(store.root_file),
            "registry:config.storage.s3.bucket": BUCKET,
            "registry:config.storage.s3.region": REGION,
            "registry:config.storage.s3.regionendpoint": store.endpoint,
            "registry:config.storage.s3.forcepathstyle": "true",
            "registry:config.storage.s3.accesskey": store.access_key,
            "registry:config.storage.redirect.disable": "true",
        },
    }


@pytest.fixture(scope="module", autouse=True)
def digests(
    site: SwarmUnderTest,
    hub: None,
    acme_server: AcmeServer,
    store: Store,
    upstream: Upstream,
    archive: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """Deploy both stacks with the earlier version, and push an image to each; its digests.

    One keeps files, with a main Traefik, certificates by ACME, and a dashboard; the other is
    behind it, in an object store, with replicas and Redis. Each has a mirror that has pulled.
    """
    assert hub is None  # It only has to be there.
    project, first = site.project, site.swarm.nodes[0]
    site.trust(acme_server.root_file)
    site.swarm.load(redis_image(tmp_path_factory.mktemp("redis"), REDIS))
    for domain in (*DOMAINS.values(), *MIRRORS.values(), "traefik.example.com"):
        site.swarm.add_host(domain, first.ip)
    settings_by_stack = settings_of_stacks(first.name, acme_server, store)
    for stack, settings in settings_by_stack.items():
        project.init(stack)
        settings |= {
            "registry:stackName": stack,
            "registry:domain": DOMAINS[stack],
            "registry:network": "upgraded",
            "registry:mirrors.hub.upstream": upstream.url,
            "registry:mirrors.hub.domain": MIRRORS[stack],
            "registry:mirrors.hub.allow[0]": "198.18.0.0/24",
            "registry:mirrors.hub.username": upstream.username,
            "registry:mirrors.hub.ca": str(upstream.root_file),
        }
        secrets = {"registry:mirrors.hub.password": upstream.password}
        if stack == OBJECTS:
            secrets["registry:config.storage.s3.secretkey"] = store.secret_key
        project.configure(stack, settings, secrets)
    pushed = {}
    for stack, domain in DOMAINS.items():
        project.up(stack)
        site.serves(stack, domain, PROXY)
        pushed[stack] = site.push(stack, domain, IMAGE, archive)
        pull(site, MIRRORS[stack], CACHED, tmp_path_factory.mktemp("pulled"))
    return pushed


def pull(
    site: SwarmUnderTest, domain: str, image: str, folder: Path, login: str | None = None
) -> None:
    """Pull all of an image."""
    site.resolve(domain, PROXY)
    creds = ("--src-creds", login) if login else ()
    site.skopeo(domain, "copy", *creds, f"docker://{domain}/{image}", f"dir:{folder}")


def step_name(step: Mapping[str, Any]) -> str:
    """Return `operation type name`; the three steps of a replacement are one."""
    *_, kind, name = step["urn"].split("::")
    replaces = step["op"] in ("replace", "create-replacement", "delete-replaced")
    return f"{'replace' if replaces else step['op']} {kind.rpartition('$')[2]} {name}"


def properties(step: Mapping[str, Any]) -> set[str]:
    """Return what a step changes, such as `taskSpec.containerSpec.commands`, without indices."""
    return {re.sub(r"\[[^]]*\]", "", path) for path in step.get("detailedDiff") or {}}


@pytest.fixture(scope="module")
def plans(site: SwarmUnderTest, digests: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Return each stack's first preview by the present version."""
    site.project.install(ROOT)
    return {stack: site.project.plan(stack) for stack in digests}


@pytest.mark.parametrize("stack", DOMAINS)
def test_the_first_preview_shows_what_is_meant_to_change_and_asks_nothing(
    plans: dict[str, dict[str, Any]], stack: str
) -> None:
    unexpected = []
    for step in plans[stack]["steps"]:
        if step["op"] == "same":
            continue
        name = step_name(step)
        if step["op"] == "delete":
            assert step["oldState"]["retainOnDelete"], f"{name} would really be deleted"
        meant = CHANGES.get(name, ("", ""))[0].split()
        changed = {
            path
            for path in properties(step)
            if not any(path == each or path.startswith(f"{each}.") for each in meant)
        }
        if name not in CHANGES or changed:
            unexpected.append((name, sorted(changed)))
    assert unexpected == []
    warnings = [each["message"] for each in plans[stack].get("diagnostics", ())]
    # Which no registry has.
    assert [
        warning for warning in warnings if f"no digest can be had of {REDIS}" not in warning
    ] == []


@pytest.mark.parametrize("flag", ["--target=**login-htpasswd", "--exclude=**registry-data*"])
@pytest.mark.usefixtures("plans")
def test_a_part_of_an_earlier_stack_is_refused_before_anything_is_touched(
    site: SwarmUnderTest, flag: str
) -> None:
    result = site.project.preview(FILES, flag)
    assert result.code != 0
    assert re.search(rf"as a whole:\n +pulumi up --stack {FILES}\n", result.text), result.text
    assert "Duplicate" not in result.text


def test_all_that_is_meant_to_change_does(plans: dict[str, dict[str, Any]]) -> None:
    steps = [step for plan in plans.values() for step in plan["steps"]]
    assert set(CHANGES) <= set(map(step_name, steps))


@pytest.mark.usefixtures("plans")
@pytest.mark.parametrize("stack", DOMAINS)
def test_what_was_stored_is_there_after_the_first_deployment(
    site: SwarmUnderTest, upstream: Upstream, digests: dict[str, str], stack: str, tmp_path: Path
) -> None:
    site.project.up(stack)
    site.project.ok("preview", "--expect-no-changes", "--stack", stack)
    site.serves(stack, DOMAINS[stack], PROXY)
    name = f"{IMAGE.partition(':')[0]}@{digests[stack]}"
    pull(site, DOMAINS[stack], name, tmp_path / "pushed", site.login(stack))
    upstream.end()
    try:
        pull(site, MIRRORS[stack], CACHED, tmp_path / "cached")
    finally:
        upstream.start()


@pytest.mark.usefixtures("plans")
def test_certificates_that_were_obtained_stay_in_use(site: SwarmUnderTest) -> None:
    # After the deployment: a renamed file would have each obtained anew.
    flags = site.inspect("service", PROXY)["Spec"]["TaskTemplate"]["ContainerSpec"]["Args"]
    assert "--certificatesresolvers.le.acme.storage=/certificates/acme.json" in flags
    assert any("transport.respondingtimeouts.readtimeout=60s" in flag for flag in flags)
