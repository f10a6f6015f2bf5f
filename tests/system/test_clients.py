"""Clients of each kind push and pull, wherever a registry answers.

That is: over plain HTTP with a port of its own, over HTTPS with one, at an address in the place of
a name, and behind a proxy that ends TLS.

One file, since its tests share what they deploy.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from ops.bootstrap.console import wait
from testing.certificates import CertificatePair
from testing.project import Project
from testing.site import STARTED_S, SwarmUnderTest
from testing.testswarm import ENDED_S, ClientHost, Node
from testing.tools import tool

from .conftest import PLAIN_DOMAIN, PLAIN_PORT

SECURE_DOMAIN, SECURE_PORT = "secure.example.com", 8443
ORIGIN = "https://ui.example.com"
"""A page elsewhere that asks the registry from within a browser."""
FRONT = """
defaults
    timeout connect 5s
    timeout client 1m
    timeout server 1m
frontend https
    mode http
    bind {ip}:443 ssl crt {pem}
    http-request set-header X-Forwarded-Proto https
    default_backend traefik
frontend http
    mode tcp
    bind {ip}:{port}
    default_backend same-port
backend traefik
    mode http
    server traefik {node}:{port}
backend same-port
    mode tcp
    server traefik {node}:{port}
"""
"""HAProxy in front of a Traefik: TLS ends at it, and a port beside is passed on as it is."""


@dataclass(frozen=True)
class Target:
    """A registry as a client addresses it."""

    stack: str
    host: str
    """Name or address, and the port where it isn't the scheme's own."""
    plain: bool = False
    """Plain HTTP."""


@dataclass(frozen=True)
class Client:
    """A client's run against one place."""

    site: SwarmUnderTest
    target: Target
    machine: Node | ClientHost
    archive: Path
    """The image, as `docker save` writes it."""
    folder: Path
    """Its own, with the login in config.json."""

    @property
    def image(self) -> str:
        """A repository of this client's own."""
        return f"{self.target.host}/{self.folder.name}/hello:1"

    def run(self, *args: str | Path) -> str:
        """Run the client; it trusts the registry's certificate and knows the login."""
        environment = {
            "DOCKER_CONFIG": str(self.folder),
            "REGISTRY_AUTH_FILE": str(self.folder / "config.json"),
            "REGCTL_CONFIG": str(self.folder / "regctl.json"),
            "SSL_CERT_FILE": self.site.root,
            "HOME": str(self.folder),
        }
        done = self.site.swarm.exec(self.machine, *args, env=environment, timeout=120)
        return done.stdout + done.stderr


def docker(client: Client) -> None:
    for args in (
        ("load", "--input", client.archive),
        ("tag", "hello:1", client.image),
        ("push", client.image),
        ("image", "rm", client.image, "hello:1"),
        ("pull", client.image),
    ):
        client.run("docker", *args)


def ctr(client: Client) -> None:
    # The engine's own containerd.
    socket = "/run/docker/containerd/containerd.sock"
    images = ("ctr", "--address", socket, "--namespace", "clients", "images")
    login = ("--user", client.site.login(client.target.stack))
    way = ["--plain-http"] if client.target.plain else ["--tlscacert", client.site.root]
    client.run(*images, "import", client.archive)
    client.run(*images, "push", *login, *way, client.image, "docker.io/library/hello:1")
    client.run(*images, "rm", "docker.io/library/hello:1")
    client.run(*images, "pull", "--snapshotter", "native", *login, *way, client.image)


def skopeo(client: Client) -> None:
    copy = ("skopeo", "--insecure-policy", "copy")
    to, from_ = (f"--{side}-tls-verify={verified(client)}" for side in ("dest", "src"))
    client.run(*copy, to, f"docker-archive:{client.archive}", f"docker://{client.image}")
    client.run(*copy, from_, f"docker://{client.image}", f"dir:{client.folder / 'pulled'}")


def buildah(client: Client) -> None:
    policy = client.folder / "policy.json"
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    folders = ("--root", client.folder / "root", "--runroot", client.folder / "run")
    storage = ("buildah", *folders, "--storage-driver", "vfs")
    way = (f"--tls-verify={verified(client)}", "--signature-policy", policy)
    client.run(*storage, "pull", *way, f"docker-archive:{client.archive}")
    client.run(*storage, "push", *way, "hello:1", f"docker://{client.image}")
    client.run(*storage, "rmi", "--all")
    client.run(*storage, "pull", *way, f"docker://{client.image}")


def crane(client: Client) -> None:
    way = ["--insecure"] if client.target.plain else []
    client.run(tool("crane"), "push", *way, client.archive, client.image)
    client.run(tool("crane"), "pull", *way, client.image, client.folder / "pulled.tar")


def oras(client: Client) -> None:
    way = ["--plain-http"] if client.target.plain else []
    (client.folder / "artifact").write_text("an artifact")
    # It takes files below the current folder alone.
    program = ("env", "--chdir", client.folder, tool("oras"))
    client.run(*program, "push", *way, client.image, "artifact:text/plain")
    client.run(*program, "pull", *way, "--output", "pulled", client.image)
    assert (client.folder / "pulled/artifact").read_text() == "an artifact"


def regctl(client: Client) -> None:
    way = ["--tls", "disabled"] if client.target.plain else []
    client.run(tool("regctl"), "registry", "set", "--skip-check", *way, client.target.host)
    client.run(tool("regctl"), "image", "import", client.image, client.archive)
    client.run(tool("regctl"), "image", "export", client.image, client.folder / "pulled.tar")


def verified(client: Client) -> str:
    """Return what clients that try both schemes take for plain HTTP, or else for HTTPS."""
    return "false" if client.target.plain else "true"


CLIENTS: tuple[Callable[[Client], None], ...] = (
    docker,
    ctr,
    skopeo,
    buildah,
    crane,
    oras,
    regctl,
)
TARGETS = ("HTTP with a port", "HTTPS with a port", "an address", "behind a proxy")


def init_stack(
    project: Project, pairs: Mapping[str, CertificatePair], name: str, domain: str, **values: str
) -> None:
    """Make a stack with a Traefik of its own; it serves the domain's certificate, if it is to."""
    settings = {"stackName": name, "domain": domain, "proxy": "stack", "network": name, **values}
    project.init(name, {f"registry:{key}": value for key, value in settings.items()})
    if values["https"] == "own":
        pair = pairs[domain]
        project.ok("config", "set", "registry:certificate", stdin=pair.chain)
        project.ok("config", "set", "--secret", "registry:certificateKey", stdin=pair.key)


def start_front(
    site: SwarmUnderTest, pair: CertificatePair, folder: Path
) -> subprocess.Popen[bytes]:
    """Start a proxy outside the swarm that ends TLS in front of the stack `plain`."""
    pem = folder / "front.pem"
    pem.write_text(pair.chain + pair.key)
    ip, node = site.swarm.outside.ip, site.node_of("plain_proxy").ip
    config = folder / "haproxy.cfg"
    config.write_text(FRONT.format(ip=ip, pem=pem, port=PLAIN_PORT, node=node))
    log = folder / "haproxy.log"
    return site.swarm.spawn(site.swarm.outside, "haproxy", "-db", "-f", config, log=log)


@pytest.fixture(scope="module")
def targets(
    site: SwarmUnderTest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Target]]:
    """Yield places by name: one stack behind the proxy, and on its own port without TLS."""
    swarm, project = site.swarm, site.project
    folder = tmp_path_factory.mktemp("certificates")
    first = swarm.nodes[0]
    pairs = {
        name: CertificatePair.make(name) for name in (PLAIN_DOMAIN, SECURE_DOMAIN)
    } | {first.ip: CertificatePair.make(address=first.ip)}  # fmt: skip
    root = folder / "root.pem"
    root.write_text("".join(pair.chain for pair in pairs.values()))
    site.trust(root)

    stack = partial(init_stack, project, pairs)
    stack("plain", PLAIN_DOMAIN, https="external", proxyHttpPort=str(PLAIN_PORT))
    headers = "registry:config.http.headers.Access-Control-Allow-"
    project.configure(
        "plain",
        {
            "registry:trustedProxies[0]": swarm.outside.ip,
            f"{headers}Origin[0]": ORIGIN,
            f"{headers}Methods[0]": "GET",
            f"{headers}Headers[0]": "Authorization",
        },
    )
    project.up("plain")
    ports = {"proxyHttpsPort": str(SECURE_PORT), "proxyHttpPort": "8082"}
    stack("secure", SECURE_DOMAIN, https="own", **ports)
    project.up("secure")
    # On every manager, so also on the one that has the address.
    stack("address", first.ip, https="own", proxyMode="global")
    project.up("address")

    swarm.add_host(SECURE_DOMAIN, site.node_of("secure_proxy").ip)
    swarm.add_host(PLAIN_DOMAIN, swarm.outside.ip)
    front = start_front(site, pairs[PLAIN_DOMAIN], folder)
    for name in pairs:
        port = f":{SECURE_PORT}" if name == SECURE_DOMAIN else ""
        wait(f"{name} to answer", partial(answers, site, f"https://{name}{port}/v2/"), STARTED_S)
    yield {
        "HTTP with a port": Target("plain", f"{PLAIN_DOMAIN}:{PLAIN_PORT}", plain=True),
        "HTTPS with a port": Target("secure", f"{SECURE_DOMAIN}:{SECURE_PORT}"),
        "an address": Target("address", first.ip),
        "behind a proxy": Target("plain", PLAIN_DOMAIN),
    }
    front.kill()
    front.wait(ENDED_S)


def answers(site: SwarmUnderTest, url: str) -> bool:
    return site.status(url, node=site.swarm.outside) == 401


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: str(client.__name__))
@pytest.mark.parametrize("name", TARGETS)
def test_a_client_pushes_and_pulls(
    site: SwarmUnderTest,
    targets: dict[str, Target],
    archive: Path,
    tmp_path: Path,
    name: str,
    client: Callable[[Client], None],
) -> None:
    target, node = targets[name], site.swarm.nodes[2]
    folder = tmp_path / client.__name__
    folder.mkdir()
    login = base64.b64encode(site.login(target.stack).encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {target.host: {"auth": login}}}))
    # These two have an engine of their own; a node's, which trusts what is in a folder of its own.
    on_node = client in (docker, ctr)
    if on_node and not target.plain:
        trusted = f"/etc/docker/certs.d/{target.host}"
        site.swarm.exec(node, "mkdir", "-p", trusted)
        site.swarm.exec(node, "cp", site.root, f"{trusted}/ca.crt")
    machine = node if on_node else site.swarm.outside
    client(Client(site, target, machine, archive, folder))


def test_the_name_in_tls_does_not_matter(site: SwarmUnderTest, targets: dict[str, Target]) -> None:
    outside = site.swarm.outside
    for target in (targets["HTTPS with a port"], targets["an address"]):
        port = target.host.partition(":")[2] or "443"
        address = site.swarm.nodes[0].ip
        if target.stack == "secure":
            address = site.node_of("secure_proxy").ip
        # curl sends no name for an address, and here another one than in Host.
        for url in (f"https://{address}:{port}", f"https://other.example.com:{port}"):
            ask = ("curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "-H")
            to = ("--resolve", f"other.example.com:{port}:{address}", f"{url}/v2/")
            status = site.swarm.exec(outside, *ask, f"Host: {target.host}", *to).stdout
            assert status == "401", (target, url)


def test_where_plain_http_is_meant_no_tls_is_answered(
    site: SwarmUnderTest, targets: dict[str, Target]
) -> None:
    host = targets["HTTP with a port"].host
    ask = ("curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", f"https://{host}/v2/")
    done = site.swarm.exec(site.swarm.outside, *ask, check=False)
    assert (done.returncode, done.stdout) == (35, "000"), "the handshake fails"
    assert site.status(f"http://{host}/v2/", node=site.swarm.outside) == 401


def test_what_a_proxy_in_front_says_holds_and_what_a_stranger_says_does_not(
    site: SwarmUnderTest, targets: dict[str, Target]
) -> None:
    target = targets["behind a proxy"]
    assert site.project.outputs("plain")["url"] == f"https://{PLAIN_DOMAIN}"
    headers = ("-H", "X-Forwarded-Proto: https", "-o", "/dev/null", "-D", "-", "-X", "POST")
    node = site.node_of("plain_proxy")

    def location(machine: Node | ClientHost, url: str) -> str:
        login = ("--user", site.login("plain"), "--cacert", site.root)
        to = ("--resolve", f"{PLAIN_DOMAIN}:{PLAIN_PORT}:{node.ip}")
        command = ("curl", "-sS", *login, *headers, *to, f"{url}/v2/a/blobs/uploads/")
        headers_back = site.swarm.exec(machine, *command).stdout.lower()
        return next(line for line in headers_back.splitlines() if line.startswith("location: "))

    outside, stranger = site.swarm.outside, site.swarm.nodes[2]
    assert f"location: https://{target.host}/v2/" in location(outside, f"https://{target.host}")
    direct = f"http://{PLAIN_DOMAIN}:{PLAIN_PORT}"
    assert "location: https://" in location(outside, direct)
    assert "location: http://" in location(stranger, direct)


def test_the_doctor_looks_at_the_outer_address(
    site: SwarmUnderTest, targets: dict[str, Target]
) -> None:
    output = site.made("doctor", "STACK=plain", "SLOW=0")
    assert f"https://{targets['behind a proxy'].host}, seen from this machine" in output
    for line in ("strangers are refused (401), admin gets in (200)", "insist on HTTPS"):
        assert line in output
    assert "wrong" not in output


def test_a_browsers_preflight_needs_no_login(
    site: SwarmUnderTest, targets: dict[str, Target]
) -> None:
    url = f"https://{targets['behind a proxy'].host}/v2/_catalog"
    ask = ("-X", "OPTIONS", "-H", f"Origin: {ORIGIN}", "-H", "Access-Control-Request-Method: GET")
    command = ("curl", "-sS", "--cacert", site.root, "-D", "-", "-o", "/dev/null")
    answer = site.swarm.exec(site.swarm.outside, *command, *ask, url).stdout.lower()
    assert answer.splitlines()[0].split()[1] == "200", answer
    assert f"access-control-allow-origin: {ORIGIN}" in answer
    assert "access-control-allow-headers: authorization" in answer
    # What it announces still takes the login.
    answer = site.swarm.exec(
        site.swarm.outside, *command, "-H", f"Origin: {ORIGIN}", url
    ).stdout.lower()
    assert answer.splitlines()[0].split()[1] == "401", answer
    assert answer.count("access-control-allow-origin") == 1


@pytest.mark.usefixtures("targets")
def test_nothing_changes_later(site: SwarmUnderTest) -> None:
    site.project.ok("preview", "--expect-no-changes", "--stack", "plain")
