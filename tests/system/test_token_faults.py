"""Token mode while passwords are guessed, and while tasks of the token server are away.

One file, since its tests share what they deploy.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import pytest

from components.token_server import MEMORY_MIB, PORT
from components.version import TOOLS_IMAGE
from ops.bootstrap.console import wait
from settings.routing import RATE_BURST
from testing.flood import FLOOD_S, flood, further_addresses
from testing.load import Load
from testing.lost_packets import lose_first_packets
from testing.site import AWAY, STARTED_S, SwarmUnderTest
from testing.testswarm import Node
from testing.watch import Watch

from .conftest import PLAIN_DOMAIN, PLAIN_PORT

NAME, HOST = "guarded", f"{PLAIN_DOMAIN}:{PLAIN_PORT}"
PROXY, REGISTRY, SERVER = f"{NAME}_proxy", f"{NAME}_registry", f"{NAME}_token"
IMAGE = "team/app"
TOKENS = f"/auth/token?service={NAME}&scope=repository:{IMAGE}:pull"
URL = f"http://{HOST}{TOKENS}"
GIVEN = "a-given-Passw0rd-that-nobody-else-has"
WRONG_LOGINS = 10_000
ADDRESSES = 100
"""Addresses of a flood, as many as have room beside the nodes' own."""
AFTER_S = 3
"""Time after which a newcomer logs in during a flood, seconds."""
RATE_LIMIT = 200
"""Requests a second from one address: more than the clients of `Load` send."""
BEFORE_S = 8
"""Time in which is measured what others do without a flood, seconds."""
LOST_S = 20
"""Time without a node, seconds: Traefik has noticed, and Swarm not yet, or just."""


@dataclass(frozen=True)
class Registry:
    """The registry with its token server, and what others do meanwhile."""

    site: SwarmUnderTest
    archive: Path
    folder: Path
    addresses: Sequence[str]
    """Further ones of the machine that clients are on."""

    @cached_property
    def login(self) -> str:
        """`user:password` of the user whom the load logs in."""
        return self.site.login(NAME)

    def load(self) -> Load:
        """Return clients that push and pull from the node of the proxy."""
        work = (HOST, PROXY, self.archive, self.folder)
        return Load(self.site, NAME, *work, pulled=f"{IMAGE}:1", retries=3)

    def tasks(self) -> dict[str, Node]:
        """Return the nodes of the token server's containers, by id."""
        return self.site.containers(SERVER)

    def run_again(self, count: int = 2) -> None:
        """Wait until `count` tasks of the token server are healthy."""

        def healthy() -> bool:
            shown = "{{.State.Health.Status}}"
            states = [
                self.site.swarm.docker(node, "inspect", "-f", shown, container)
                for container, node in self.tasks().items()
            ]
            return states == ["healthy"] * count

        wait("the token server", healthy, STARTED_S)

    def share_logins(self, count: int = 2) -> None:
        """Wait until Traefik, which somebody asks for logins meanwhile, has found `count` tasks.

        Health isn't enough: a node that is lost before Traefik has found a new task on another one
        is a second loss at once. It may have been Swarm's leader, too, without which Traefik finds
        nothing new for some seconds.
        """
        self.run_again(count)

        def all_asked() -> bool:
            logs = [
                self.site.swarm.docker(node, "logs", container)
                for container, node in self.tasks().items()
            ]
            return len(logs) == count and all('"event":"token"' in log for log in logs)

        wait("Traefik to find the token server", all_asked, STARTED_S)


@pytest.fixture(scope="module")
def registry(
    site: SwarmUnderTest, archive: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    """Deploy the registry, put an image into it, and give clients further addresses."""
    values = {"stackName": NAME, "domain": PLAIN_DOMAIN, "proxy": "stack", "network": NAME}
    values |= {"https": "none", "proxyHttpPort": str(PLAIN_PORT), "auth": "token"}
    values |= {"toolsImage": TOOLS_IMAGE, "users[0]": "admin", "users[1]": "ci"}
    values |= {"rateLimit": str(RATE_LIMIT)}
    site.project.init(NAME, {f"registry:{key}": value for key, value in values.items()})
    site.project.configure(NAME, {}, {"registry:passwords.ci": GIVEN})
    site.project.up(NAME)
    node = site.resolve(PLAIN_DOMAIN, PROXY)
    wait("the registry", lambda: site.status(f"http://{HOST}/v2/", node=node) == 401, STARTED_S)
    site.takes_tokens(f"http://{HOST}/v2/", node)
    login = site.login(NAME)
    wait("a token", lambda: site.status(URL, login, node) == 200, STARTED_S)
    to = ("--dest-tls-verify=false", "--dest-creds", login)
    image = (f"docker-archive:{archive}", f"docker://{HOST}/{IMAGE}:1")
    site.swarm.exec(node, "skopeo", "--insecure-policy", "copy", *to, *image, timeout=120)
    with further_addresses(site, ADDRESSES) as addresses:
        yield Registry(site, archive, tmp_path_factory.mktemp("load"), addresses)


def share(addresses: int) -> int:
    """Return how many wrong logins of each of three kinds an address sends."""
    return math.ceil(WRONG_LOGINS / addresses / 3)


def guess(registry: Registry, addresses: Sequence[str]) -> Counter[str]:
    """Send wrong logins from all addresses at once; return how many got which status.

    They guess at the passwords of both users, and at users.
    """
    part = share(len(addresses))
    logins = (f"admin:guess-[1-{part}]", f"ci:guess-[1-{part}]", f"user-[1-{part}]:guess")
    urls = [f"http://{login}@{HOST}{TOKENS}" for login in logins]
    return flood(registry.site, addresses, 50 if len(addresses) == 1 else 10, *urls)


def peaks(registry: Registry) -> list[float]:
    """Return the most memory that each task of the token server has had, MiB."""
    sizes = []
    for container in registry.tasks():
        files = ("memory.max_usage_in_bytes", "memory.peak")  # Of cgroup versions 1 and 2.
        (file,) = (
            path for name in files for path in Path("/sys/fs/cgroup").rglob(f"{container}/{name}")
        )
        sizes.append(int(file.read_text()) / 1024**2)
    return sizes


def newcomer(registry: Registry, address: str) -> tuple[int, float]:
    """Log in from an address that nobody has logged in from; return tries and seconds."""
    begin, tries, swarm = time.monotonic(), 0, registry.site.swarm
    args = ("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--interface", address)
    while True:
        tries += 1
        login = ("--user", f"ci:{GIVEN}")
        status = swarm.exec(swarm.outside, *args, *login, URL).stdout
        if status == "200":
            return tries, time.monotonic() - begin
        assert status == "429"
        assert time.monotonic() - begin < FLOOD_S, "a newcomer never gets in"
        time.sleep(0.3)


@pytest.mark.parametrize("count", [1, ADDRESSES - 1], ids=["one address", "many addresses"])
def test_others_go_on_while_passwords_are_guessed(registry: Registry, count: int) -> None:
    before = set(registry.tasks())
    with registry.load() as working, ThreadPoolExecutor(2) as pool:
        time.sleep(BEFORE_S)
        done, begin = working.done, time.monotonic()
        flooding = pool.submit(guess, registry, registry.addresses[:count])
        time.sleep(AFTER_S)
        login = pool.submit(newcomer, registry, registry.addresses[-1])
        statuses = flooding.result()
        seconds, meanwhile = time.monotonic() - begin, working.done - done
        tries, waited = login.result()
    print(
        f"{count}: {dict(statuses)} in {seconds:.1f} s; others: {done / BEFORE_S:.1f} operations"
        f" a second before, {meanwhile / seconds:.1f} meanwhile; a newcomer: {tries} tries,"
        f" {waited:.1f} s; memory: {peaks(registry)} MiB"
    )
    assert working.failed == []
    assert meanwhile
    assert statuses.keys() == {"401", "429"}
    assert statuses.total() == 3 * count * share(count)
    assert statuses["429"] > statuses.total() / 2
    assert set(registry.tasks()) == before, "no task has ended"
    assert max(peaks(registry)) < MEMORY_MIB * 0.9


def test_a_rate_limit_is_one_of_each_address(registry: Registry) -> None:
    url = f"http://{HOST}/v2/?[1-3000]"
    first, second = registry.addresses[:2]
    statuses = flood(registry.site, [first], 20, url)
    assert statuses.keys() == {"401", "429"}
    assert statuses["401"] >= RATE_BURST
    assert flood(registry.site, [second], 1, f"http://{HOST}/v2/") == {"401": 1}


def test_logins_go_on_while_packets_between_traefik_and_the_token_server_are_lost(
    registry: Registry,
) -> None:
    # On a busy machine, too, a connection may take more than the second that Traefik allows. A
    # health check that fails for it would leave a task out, and with all left out clients get 503.
    site = registry.site
    with Watch(site, URL, registry.login, site.node_of(PROXY)) as watch:
        lose_first_packets(site, PROXY, PORT)
    slow = sum(answer.seconds >= 1 for answer in watch.answers)
    print(f"{len(watch.answers)} logins, {slow} took a second or more")
    assert slow, "some packets were lost"
    assert watch.other_than(200) == []


def test_logins_go_on_while_a_task_or_its_node_is_lost(registry: Registry) -> None:
    site = registry.site
    needed = {site.node_of(service).name for service in (PROXY, REGISTRY)}
    registry.run_again()
    with registry.load() as working, Watch(site, URL, registry.login, site.node_of(PROXY)) as watch:
        container, node = next(iter(registry.tasks().items()))
        pid = site.swarm.docker(node, "inspect", "-f", "{{.State.Pid}}", container)
        site.swarm.exec(node, "kill", "-KILL", pid)
        wait("its end", lambda: container not in registry.tasks(), STARTED_S)
        registry.share_logins()
        killed = len(watch.answers)
        others = [each for each in registry.tasks().values() if each.name not in needed]
        if not others:
            site.swarm.docker(node, "service", "scale", "--detach", f"{SERVER}=3")
            registry.share_logins(3)
            others = [each for each in registry.tasks().values() if each.name not in needed]
        lost = others[0]
        site.swarm.kill(lost)
        time.sleep(LOST_S)
    site.swarm.start(lost)
    site.swarm.docker(lost, "service", "scale", "--detach", f"{SERVER}=2")
    registry.run_again()
    slowest = max(answer.seconds for answer in watch.answers)
    print(f"{killed} and {len(watch.answers) - killed} logins, the slowest took {slowest:.1f} s")
    assert watch.other_than(200) == []
    # What is under way on a task in the moment of its loss is lost with it, with 502: Traefik tries
    # again only what it hasn't sent. Twice one client may be there, at its first request. With 504
    # it hasn't found the other task.
    print(site.unanswered(PROXY))
    assert len(working.failed) <= 2, working.failed
    assert all("502 (Bad Gateway)" in failed for failed in working.failed), working.failed
    assert working.done


def test_without_any_token_server_tokens_count_and_errors_say_what_is_down(
    registry: Registry, tmp_path: Path
) -> None:
    site, node = registry.site, registry.site.node_of(PROXY)
    ask = ("curl", "-sS", "--user", registry.login, URL)
    token = json.loads(site.swarm.exec(node, *ask).stdout)["token"]
    with Watch(site, URL, registry.login, node) as watch:
        site.swarm.docker(node, "service", "scale", "--detach", f"{SERVER}=0")
        for container, each in registry.tasks().items():
            site.swarm.docker(each, "kill", container)
        away = partial(site.status, URL, registry.login, node)
        wait("Traefik to forget the token server", lambda: away() == 502, STARTED_S)
    # Never 404, as if the registry had no tokens. Clients try again after these.
    assert watch.statuses <= {200, *AWAY}
    header = ("-H", f"Authorization: Bearer {token}")
    shown = ("-o", "/dev/null", "-D", "-")
    pull = ("curl", "-sS", *shown, *header, f"http://{HOST}/v2/{IMAGE}/manifests/1")
    assert " 200 " in site.swarm.exec(node, *pull).stdout
    assert "retry-after: 5" in site.swarm.exec(node, "curl", "-s", *shown, URL).stdout.lower()
    user, _, password = registry.login.partition(":")
    login = ("docker", "login", HOST, "--username", user, "--password-stdin")
    config = {"DOCKER_CONFIG": str(tmp_path)}
    refused = site.swarm.exec(node, *login, stdin=password, env=config, check=False)
    assert "502 Bad Gateway" in refused.stderr
    doctor = site.make("doctor", f"STACK={NAME}", "SLOW=0").text
    assert "gets 502 from the token server, not 200: no task of the token server runs" in doctor
    site.swarm.docker(node, "service", "scale", "--detach", f"{SERVER}=2")
    registry.run_again()
    wait("a token", lambda: away() == 200, STARTED_S)
    site.project.ok("preview", "--expect-no-changes", "--stack", NAME)
