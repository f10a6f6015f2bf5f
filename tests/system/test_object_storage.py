"""Three replicas over three nodes, on one object store: what is pushed to one is in all."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from components.distribution.config import REGISTRY_IMAGE
from components.version import TOOLS_IMAGE
from ops.bootstrap.console import wait
from testing.archive import redis_image
from testing.load import Load
from testing.project import changed
from testing.site import STARTED_S, SwarmUnderTest
from testing.store import Store
from testing.testswarm import SOON_S, Node
from testing.watch import Watch

NAME = "many"
DOMAIN = "many.example.com"
PROXY = f"{NAME}_proxy"
SERVICE = f"{NAME}_registry"
REDIS = "redis:of-this-machine"
"""Stands in for the official image, which can't be had everywhere."""
IMAGE = "from-one-redis:1"
CLIENTS = 16
REPLICAS = 3
OTHER = "registry:the-same"
OUTAGE_S = 80
"""Longer than the registry takes to notice, and than Docker took to end a task for that."""


@pytest.fixture(scope="module")
def store(site: SwarmUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(site.swarm, tmp_path_factory.mktemp("store"))
    yield store
    store.end()


@pytest.fixture(scope="module", autouse=True)
def _deployed(site: SwarmUnderTest, store: Store, tmp_path_factory: pytest.TempPathFactory) -> None:
    site.swarm.load(redis_image(tmp_path_factory.mktemp("redis"), REDIS))
    for node in site.swarm.nodes:
        site.swarm.docker(node, "tag", REGISTRY_IMAGE, OTHER)
    site.project.init(
        NAME,
        {
            "registry:stackName": NAME,
            "registry:domain": DOMAIN,
            "registry:proxy": "stack",
            "registry:network": NAME,
            "registry:replicas": str(REPLICAS),
            "registry:cache": "redis",
            "registry:redisImage": REDIS,
            "registry:gc.grace": "24h",
            "registry:toolsImage": TOOLS_IMAGE,
        },
    )
    site.project.configure(NAME, store.settings, store.secrets)
    site.project.up(NAME)
    site.serves(NAME, DOMAIN, PROXY)


def watch_registry(site: SwarmUnderTest) -> Watch:
    """Return what asks the registry until its block ends."""
    return Watch(site, f"http://{DOMAIN}/v2/", site.login(NAME), site.node_of(PROXY))


def settled(site: SwarmUnderTest) -> list[tuple[Node, str]]:
    """Return node and container of each, once those that an update ends have gone."""

    def replicas() -> list[tuple[Node, str]]:
        tasks = [(node, container) for container, node in site.containers(SERVICE).items()]
        return tasks if len(tasks) == REPLICAS else []

    return wait("one container a replica", replicas, STARTED_S)


def running(site: SwarmUnderTest) -> set[str]:
    """Return the ids of the registry's containers."""
    return {container for _, container in settled(site)}


def digest_in(site: SwarmUnderTest, node: Node, container: str, image: str) -> str:
    """Return the digest of the manifest that one task has, asked there."""
    name, _, tag = image.partition(":")
    login = base64.b64encode(site.login(NAME).encode()).decode()
    accept = "application/vnd.oci.image.manifest.v1+json"
    docker = "application/vnd.docker.distribution.manifest.v2+json"
    ask = (
        f"wget -q -O - --header 'Authorization: Basic {login}' --header 'Accept: {accept}'"
        f" --header 'Accept: {docker}' http://127.0.0.1:5000/v2/{name}/manifests/{tag} | sha256sum"
    )
    return f"sha256:{site.swarm.docker(node, 'exec', container, 'sh', '-c', ask).split()[0]}"


def side_by_side(work: Callable[[int], str]) -> list[str]:
    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(work, range(CLIENTS)))


def test_there_is_a_replica_on_each_node_and_nothing_changes_later(site: SwarmUnderTest) -> None:
    assert site.tasks(SERVICE) == site.swarm.nodes
    site.project.ok("preview", "--expect-no-changes", "--stack", NAME)
    site.project.ok("refresh", "--yes", "--expect-no-changes", "--stack", NAME)
    site.project.ok("preview", "--expect-no-changes", "--stack", NAME)


def test_no_key_of_the_store_and_no_password_of_redis_is_in_plain_text(
    site: SwarmUnderTest, store: Store
) -> None:
    services = site.swarm.docker(
        site.any_node(), "service", "inspect", SERVICE, f"{NAME}_redis", PROXY
    )
    text = site.project.state_text() + services
    text += (site.project.folder / f"Pulumi.{NAME}.yaml").read_text()
    config = site.inside(f"{NAME}_redis", "sed", "", "/run/secrets/redis.conf")
    password = re.search("^requirepass (\\S{32})$", config, re.MULTILINE)
    assert password
    for secret in (store.secret_key, password[1]):
        assert secret not in text


def test_redis_is_no_root_and_on_no_other_network(site: SwarmUnderTest) -> None:
    def show(*command: str) -> list[str]:
        return site.inside(f"{NAME}_redis", *command).split()

    assert show("sed", "-n", "s/^Uid://p", "/proc/1/status") == ["999"] * 4
    assert sorted(show("sed", "-n", "s/:.*//p", "/proc/net/dev")) == ["eth0", "lo"]


def test_a_collection_reaches_the_store_and_redis(site: SwarmUnderTest, archive: Path) -> None:
    # By the store's own CA, and by Redis' password.
    site.push(NAME, DOMAIN, "needed:1", archive)
    collected = site.made("gc", f"STACK={NAME}")
    assert re.search(r"put aside: 0 manifests.*; kept: 1 manifests", collected), collected


@pytest.mark.parametrize("cache", ["redis", "memory"])
def test_what_is_pushed_once_is_in_every_replica(
    site: SwarmUnderTest, archive: Path, cache: str
) -> None:
    if cache == "memory":
        # Beside a garbage collection no task would remember anything.
        site.project.unset(NAME, "registry:gc")
        site.project.set(NAME, "registry:cache", "memory")
        assert "delete docker:index/service:Service redis-service" in changed(
            site.project.steps(NAME)
        )
        site.project.up(NAME)
        site.project.ok("preview", "--expect-no-changes", "--stack", NAME)
    image = f"from-one-{cache}:1"
    digest = site.push(NAME, DOMAIN, image, archive)
    everywhere = settled(site)
    assert {digest_in(site, *task, image) for task in everywhere} == {digest}
    same = side_by_side(lambda _: site.push(NAME, DOMAIN, f"same-{cache}:1", archive))
    assert set(same) == {digest}
    different = side_by_side(
        lambda client: site.push(NAME, DOMAIN, f"different-{cache}-{client}:1", archive)
    )
    assert set(different) == {digest}
    for client in range(CLIENTS):
        digests = {digest_in(site, *each, f"different-{cache}-{client}:1") for each in everywhere}
        assert digests == {digest}


def test_updates_and_scaling_lose_no_operation(
    site: SwarmUnderTest, archive: Path, tmp_path: Path
) -> None:
    project = site.project
    with Load(site, NAME, DOMAIN, PROXY, archive, tmp_path, pulled=IMAGE) as load:
        # Each alone is what test_updates has.
        values = {"image": OTHER, "config.log.level": "warn", "users[0]": "admin", "users[1]": "ci"}
        project.configure(NAME, {f"registry:{key}": value for key, value in values.items()})
        project.up(NAME)
        for replicas in ("1", "3"):
            project.set(NAME, "registry:replicas", replicas)
            steps = project.steps(NAME)
            assert changed(steps) == {"update docker:index/service:Service registry-service"}
            assert "mode.replicated.replicas" in steps[0]["detailedDiff"]
            project.up(NAME)
            wait("the replicas", lambda: len(site.tasks(SERVICE)) == int(replicas), SOON_S)  # noqa: B023
    assert load.failed == [], f"{len(load.failed)} of {load.done}"
    assert load.done > 20


def test_the_replicas_go_over_to_tokens_and_back_under_load(
    site: SwarmUnderTest, archive: Path, tmp_path: Path
) -> None:
    # For a while some of them take passwords, and others tokens.
    project, folder = site.project, tmp_path
    there, back = (
        Load(
            *(site, NAME, DOMAIN, PROXY, archive, folder),
            pulled=IMAGE,
            retries=3,
            with_containerd=True,
        )
        for _ in range(2)
    )
    project.set(NAME, "registry:auth", "token")
    with there:
        project.up(NAME)
    print(site.unanswered(PROXY), site.log(f"{NAME}_token", "ERROR"), sep="\n")
    project.unset(NAME, "registry:auth")
    with back:
        project.up(NAME)
    print(f"{there.done} operations there, {back.done} back; {len(back.failed)} with an old token")
    assert there.failed == [], f"{len(there.failed)} of {there.done}"
    assert back.unexpected == [], f"{len(back.unexpected)} of {back.done}"
    assert min(there.done, back.done) > 10


def test_wrong_keys_are_undone_and_the_tasks_that_work_serve_on(
    site: SwarmUnderTest, store: Store
) -> None:
    project, before = site.project, running(site)
    key = "registry:config.storage.s3.secretkey"
    with watch_registry(site) as watch:
        project.set(NAME, key, "not-the-key-of-this-store", "--path", "--secret")
        failed = project.pulumi("up", "--yes", "--skip-preview", "--stack", NAME)
    assert failed.code != 0
    assert "the version before runs on" in failed.text
    assert "SignatureDoesNotMatch" in failed.text
    assert "not-the-key-of-this-store" not in failed.text
    assert watch.statuses == {200}
    assert running(site) == before
    project.set(NAME, key, store.secret_key, "--path", "--secret")
    project.up(NAME, "--refresh")
    project.ok("preview", "--expect-no-changes", "--stack", NAME)


def test_an_outage_of_the_store_is_told_and_restarts_nothing(
    site: SwarmUnderTest, store: Store
) -> None:
    before = running(site)
    with watch_registry(site) as watch:
        store.end()
        time.sleep(OUTAGE_S)
        store.begin()
        begin = time.monotonic()
        wait("pulls to work again", lambda: site.digest(NAME, DOMAIN, IMAGE), 60)
    print(f"pulls after {time.monotonic() - begin:.1f} s; {watch.statuses}")
    assert watch.statuses == {200, 503}
    assert running(site) == before


def test_replicas_of_a_volume_on_one_node_are_refused(site: SwarmUnderTest) -> None:
    values = {"registry:stackName": "one", "registry:domain": "one.example.com"}
    site.project.init("one", {**values, "registry:replicas": "2", "registry:network": NAME})
    refusal = site.project.preview("one")
    assert refusal.code != 0
    assert re.search(r"registry:replicas is 2, and the images are in a volume of one", refusal.text)
    site.project.remove("one")
