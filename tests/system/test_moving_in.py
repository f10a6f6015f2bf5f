"""DockerSwarm.rocks' main Traefik, joined, and the original's stack, taken over.

One file, since its tests share what they deploy.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import yaml

from components.version import TOOLS_IMAGE
from ops.bootstrap.console import run, wait
from testing.acme_server import AcmeServer, served
from testing.archive import registry_2_image
from testing.project import Result
from testing.site import SwarmUnderTest
from testing.testswarm import SOON_S

from .originals import (
    DOMAIN,
    IMAGE,
    MAIN,
    ORIGINAL,
    PROXY,
    SERVICE,
    deploy,
    main_traefik,
    original,
    registry_stack,
    router_labels,
)

JOINED = "stag.registry.tmd.fakhred.in"
LOGIN = "admin:changethis"
DOCTOR_LIMIT_S = 240


@pytest.fixture(scope="module", autouse=True)
def _there(
    site: SwarmUnderTest, acme_server: AcmeServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Deploy what was there before: a Traefik and the original, on different nodes."""
    site.trust(acme_server.root_file)
    folder, swarm = tmp_path_factory.mktemp("before"), site.swarm
    first, second, _ = swarm.nodes
    swarm.load(registry_2_image(folder, IMAGE))
    ca = folder / "ca.pem"
    ca.write_text(acme_server.transport_root)
    network = ("network", "create", "--driver=overlay", "--attachable", "traefik-public")
    swarm.docker(first, *network)
    for node, label in (
        (first, "traefik-public.traefik-public-certificates"),
        (second, f"{ORIGINAL}.app-registry-data"),
    ):
        site.update_node(node.id, "--label-add", f"{label}=true")
    for domain in (DOMAIN, JOINED):
        swarm.add_host(domain, first.ip)
    deploy(site, folder, MAIN, main_traefik(acme_server, str(ca)))
    salted = ["openssl", "passwd", "-apr1", LOGIN.partition(":")[2]]
    hashed = run(salted).strip()
    deploy(site, folder, ORIGINAL, original(hashed))


@pytest.fixture(scope="module")
def digest(site: SwarmUnderTest, archive: Path) -> str:
    """Return the digest of an image that was pushed to the original's registry."""
    answers(site, DOMAIN, LOGIN)
    site.resolve(DOMAIN, PROXY)
    target = f"docker://{DOMAIN}/team/hello:1"
    site.skopeo(DOMAIN, "copy", "--dest-creds", LOGIN, f"docker-archive:{archive}", target)
    return pulled(site, LOGIN)


def pulled(site: SwarmUnderTest, login: str) -> str:
    """Return the digest of that image, with all of it brought back."""
    shown = ("inspect", "--format", "{{.Digest}}", "--creds", login)
    image = f"docker://{DOMAIN}/team/hello:1"
    site.skopeo(DOMAIN, "copy", "--src-creds", login, image, "dir:/run/pulled")
    return site.skopeo(DOMAIN, *shown, image).strip()


def answers(site: SwarmUnderTest, domain: str, login: str) -> None:
    """Wait until strangers get 401 and `login` 200, with a certificate that is trusted."""
    url, outside = f"https://{domain}/v2/", site.swarm.outside
    wait(
        f"{url} to answer",
        lambda: (site.status(url, node=outside), site.status(url, login, outside)) == (401, 200),
        SOON_S,
    )


class Watch(threading.Thread):
    """Asks for the image's manifest again and again."""

    def __init__(self, site: SwarmUnderTest, url: str, logins: list[str]) -> None:
        super().__init__(daemon=True)
        self._site, self._url, self._logins = site, url, logins
        self._end = threading.Event()
        self.gaps: list[float] = []
        """Seconds without a good answer, each time there was none."""

    def run(self) -> None:
        last, failing = time.monotonic(), False
        while not self._end.is_set():
            outside = self._site.swarm.outside
            statuses = [self._site.status(self._url, login, outside) for login in self._logins]
            now = time.monotonic()
            if 200 in statuses or 401 in statuses:
                if failing:
                    self.gaps.append(now - last)
                last, failing = now, False
            else:
                failing = True
            time.sleep(0.1)

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self.join(60)


def test_a_stack_joins_the_recipes_traefik_with_nothing_but_settings(
    site: SwarmUnderTest, archive: Path
) -> None:
    # As Pulumi.stag.yaml, but for the label that older Traefiks read too, which is the default.
    site.project.init("stag")
    site.project.unset("stag", "registry:networkLabel")
    site.made("deploy", "STACK=stag")
    site.resolve(JOINED, PROXY)
    assert "Pebble" in served(site.swarm, JOINED).issuer.rfc4514_string()
    assert site.push("stag", JOINED, "hello:1", archive).startswith("sha256:")
    site.project.ok("preview", "--expect-no-changes", "--stack", "stag")


@pytest.fixture(scope="module")
def doctor(site: SwarmUnderTest) -> Iterator[Future[Result]]:
    """Start `make doctor` of the stack that joined: over a minute, while other tests run."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(site.make, "doctor", "STACK=stag", timeout=DOCTOR_LIMIT_S)


@pytest.fixture(scope="module")
def taken(site: SwarmUnderTest, digest: str) -> tuple[str, list[float]]:
    """Return what `make adopt` printed, and the gaps that a client met meanwhile."""
    assert digest
    volume, node = f"{ORIGINAL}_app-registry-data", site.swarm.nodes[1]
    before = site.inspect("service", SERVICE)["ID"]
    with Watch(site, f"https://{DOMAIN}/v2/", [LOGIN]) as watch:
        output = site.made("adopt", "STACK=moved", f"FROM={ORIGINAL}", "YES=1")
        time.sleep(2)
    assert site.inspect("service", SERVICE)["ID"] == before, "the service itself went on"
    assert volume in site.swarm.docker(node, "volume", "ls", "-q").split()
    return output, watch.gaps


@pytest.mark.usefixtures("doctor")
def test_the_originals_registry_is_taken_over_with_its_images(
    site: SwarmUnderTest, digest: str, taken: tuple[str, list[float]]
) -> None:
    output, gaps = taken
    assert "of admin: the registry can't use their hashes: new passwords" in output
    assert "registry:config.storage.delete.enabled: true" in output
    assert "http.draintimeout: this program decides it" in output
    assert f"{SERVICE} is changed in place" in output
    login = site.login("moved")
    answers(site, DOMAIN, login)
    assert site.status(f"https://{DOMAIN}/v2/", LOGIN, site.swarm.outside) == 401
    assert pulled(site, login) == digest
    assert site.node_of(SERVICE) is site.swarm.nodes[1]
    # The service is swapped twice, and this Traefik looks for new tasks every 15 s.
    assert sum(gaps) < 2 * 15 + 10, gaps
    print(f"without an answer: {sum(gaps):.1f} s")
    mounts = site.inspect("service", SERVICE)["Spec"]["TaskTemplate"]["ContainerSpec"]["Mounts"]
    assert [mount["Source"] for mount in mounts] == [f"{ORIGINAL}_app-registry-data"]


@pytest.mark.usefixtures("taken")
def test_nothing_changes_after_the_takeover(site: SwarmUnderTest) -> None:
    site.project.ok("preview", "--expect-no-changes", "--stack", "moved")
    assert "adoptService" not in (site.project.folder / "Pulumi.moved.yaml").read_text()


@pytest.mark.usefixtures("taken")
def test_old_logins_are_kept_through_traefik_where_that_is_wanted(
    site: SwarmUnderTest, digest: str
) -> None:
    hashed = run(["openssl", "passwd", "-apr1", "changethis"]).strip()
    key = "registry:hashedPasswords.admin"
    site.project.set("moved", key, hashed, "--path", "--secret")
    site.made("deploy", "STACK=moved")
    answers(site, DOMAIN, LOGIN)
    assert pulled(site, LOGIN) == digest
    site.project.ok("preview", "--expect-no-changes", "--stack", "moved")
    assert hashed not in site.project.state_text()
    other = run(["openssl", "passwd", "-apr1", "changed"]).strip()
    site.project.set("moved", key, other, "--path", "--secret")
    shown = [
        site.project.ok("preview", "--diff", "--stack", "moved"),
        site.made("preview", "STACK=moved", "FORMAT=markdown"),
    ]
    site.project.set("moved", key, hashed, "--path", "--secret")
    for text in shown:
        assert "basicauth.users" in text or "labels" in text
        assert hashed not in text
        assert other not in text


def test_the_doctor_sees_that_this_traefik_cuts_off_long_uploads(doctor: Future[Result]) -> None:
    result = doctor.result(DOCTOR_LIMIT_S)
    assert result.code != 0
    cut = re.search(r"wrong an upload was cut off after (\d+) s", result.text)
    assert cut, result.text
    assert 55 <= int(cut[1]) <= 70
    assert "readTimeout=0s" in result.text


def test_a_container_of_compose_is_taken_over_too(site: SwarmUnderTest, archive: Path) -> None:
    # Its labels and networks are as Compose gives them; the engine sees no difference.
    node, domain, volume = site.swarm.nodes[0], "compose.example.com", "old_registry-data"
    site.swarm.add_host(domain, node.ip)
    labels = {
        "com.docker.compose.project": "old",
        "com.docker.compose.service": "registry",
        **router_labels(domain, "old"),
    }
    site.swarm.docker(
        node,
        *("run", "--detach", "--restart", "always"),
        *("--name", "old_registry_1", "--network", "traefik-public"),
        *("--volume", f"{volume}:/var/lib/registry"),
        *(word for key, value in labels.items() for word in ("--label", f"{key}={value}")),
        IMAGE,
    )
    outside = site.swarm.outside
    wait("it to answer", lambda: site.status(f"https://{domain}/v2/", node=outside) == 200, SOON_S)
    site.resolve(domain, PROXY)
    source, target = f"docker-archive:{archive}", f"docker://{domain}/hello:1"
    site.skopeo(domain, "copy", source, target)
    before = site.skopeo(domain, "inspect", "--format", "{{.Digest}}", target).strip()
    output = site.made("adopt", "STACK=composed", "FROM=old", "YES=1")
    assert "old_registry_1 is stopped for it" in output
    assert "nobody had to log in, and from now on everybody has to" in output
    answers(site, domain, site.login("composed"))
    assert site.digest("composed", domain, "hello:1") == before
    shown = "{{.State.Status}} {{.HostConfig.RestartPolicy.Name}}"
    state = ("inspect", "--format", shown, "old_registry_1")
    assert site.swarm.docker(node, *state) == "exited no", "stopped for good, and not deleted"
    site.swarm.docker(node, "rm", "old_registry_1")


def test_what_cant_be_taken_over_is_told(site: SwarmUnderTest) -> None:
    for source, says in (
        ("nobody", "no swarm stack and no compose project of this name runs here"),
        (MAIN, "traefik has 0 registries"),
        ("", "FROM=… missing"),
    ):
        result = site.make("adopt", "STACK=refused", f"FROM={source}")
        assert result.code != 0
        assert says in result.text
        assert "Traceback" not in result.text


SECRETS = ("hunter2hunter2", "hunter3hunter3")
"""Secrets in variables and files of the original registries; no output may show them."""
FILED, LOCKED, CACHED = "filed", "locked", "cached"
"""Stacks with a configuration file, with logins of the registry's own, and with a Redis."""
OFFICE = "office@swarm"


def domain_of(name: str) -> str:
    return f"{name}.example.com"


def file_of_registry() -> dict[str, Any]:
    """Return a configuration with secrets in it."""
    hook = {
        "name": "hook",
        "url": "http://hook.invalid",
        "headers": {"Authorization": [SECRETS[0]]},
    }
    return {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": "/data"}, "delete": {"enabled": True}},
        "http": {"addr": ":5000", "secret": SECRETS[1]},
        "notifications": {"endpoints": [hook]},
    }


@pytest.fixture(scope="module")
def others(site: SwarmUnderTest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Deploy further originals; return the line of the one that has logins of its own."""
    folder = tmp_path_factory.mktemp("others")
    first, second, _ = site.swarm.nodes
    line = "admin:" + bcrypt.hashpw(b"changethis", bcrypt.gensalt(5)).decode()
    (folder / "htpasswd").write_text(f"{line}\n")
    (folder / "config.yml").write_text(yaml.safe_dump(file_of_registry()))
    far, near = f"node.id == {second.id}", f"node.id == {first.id}"
    mounted = {"source": "settings", "target": "/etc/docker/registry/config.yml"}
    stacks = {
        # Read through Swarm, wherever the task is.
        FILED: registry_stack(
            router_labels(domain_of(FILED), FILED),
            far,
            configs=[mounted],
            volumes=["data:/data"],
        )
        | {"configs": {"settings": {"file": str(folder / "config.yml")}}},
        # Read in the container, on the node that docker talks to.
        LOCKED: registry_stack(
            router_labels(domain_of(LOCKED), LOCKED, OFFICE),
            near,
            secrets=["htpasswd"],
            environment={
                "REGISTRY_AUTH": "htpasswd",
                "REGISTRY_AUTH_HTPASSWD_REALM": "Registry",
                "REGISTRY_AUTH_HTPASSWD_PATH": "/run/secrets/htpasswd",
            },
        )
        | {"secrets": {"htpasswd": {"file": str(folder / "htpasswd")}}},
        CACHED: registry_stack(
            router_labels(domain_of(CACHED), CACHED),
            far,
            environment={
                "REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR": "redis",
                "REGISTRY_REDIS_ADDR": "redis:6379",
                # As registry 3 has it, in whose terms it is taken over.
                "REGISTRY_REDIS_ADDRS": "['redis:6379']",
                "REGISTRY_REDIS_PASSWORD": SECRETS[0],
                "REGISTRY_COMPATIBILITY_SCHEMA1_ENABLED": "true",
                "REGISTRY_HTTP_HEADERS_Access-Control-Allow-Origin": "['https://ui.example.com']",
            },
        ),
    }
    for name, stack in stacks.items():
        site.swarm.add_host(domain_of(name), first.ip)
        deploy(site, folder, name, stack)
    for name in stacks:
        site.node_of(f"{name}_registry")
    return line


@pytest.mark.usefixtures("others", "taken")
def test_nothing_is_touched_before_somebody_agrees(site: SwarmUnderTest) -> None:
    before = site.inspect("service", f"{FILED}_registry")["Version"]
    result = site.make("adopt", f"STACK={FILED}", f"FROM={FILED}")
    assert result.code != 0
    for line in (
        f"stay in volume {FILED}_data on {site.swarm.nodes[1].name}",
        "read      /etc/docker/registry/config.yml",
        "registry:config.notifications.endpoints[0].headers.Authorization[0]: [secret]",
        "http.secret: this program decides it",
        "add YES=1",
    ):
        assert line in result.text
    assert not any(secret in result.text for secret in SECRETS)
    assert site.inspect("service", f"{FILED}_registry")["Version"] == before
    assert not (site.project.folder / f"Pulumi.{FILED}.yaml").exists()
    assert FILED not in site.project.ok("stack", "ls")


@pytest.fixture(scope="module")
def moved(site: SwarmUnderTest, others: str, archive: Path) -> dict[str, str]:
    """Return what `make adopt` printed of each of them."""
    assert others
    domain = domain_of(FILED)
    url = f"https://{domain}/v2/"
    wait("it to answer", lambda: site.status(url, node=site.swarm.outside) == 200, SOON_S)
    site.resolve(domain, PROXY)
    site.skopeo(domain, "copy", f"docker-archive:{archive}", f"docker://{domain}/hello:1")
    # The look from outside waits for Traefik, each time: here once, for all of them.
    printed = {}
    for name in (FILED, LOCKED, CACHED):
        keep = []
        if name == LOCKED:
            keep = ["LOGINS=keep"]
            # Each node has that image already.
            values = {"registry:auth": "token", "registry:toolsImage": TOOLS_IMAGE}
            file = site.project.folder / f"Pulumi.{LOCKED}.yaml"
            file.write_text(yaml.safe_dump({"config": values}))
        args = (f"STACK={name}", f"FROM={name}", "YES=1", "CHECK=no", *keep)
        printed[name] = site.made("adopt", *args)
    return printed


def test_a_configuration_file_is_taken_over(site: SwarmUnderTest, moved: dict[str, str]) -> None:
    assert "registry:config.storage.delete.enabled: true" in moved[FILED]
    login = site.login(FILED)
    answers(site, domain_of(FILED), login)
    assert site.digest(FILED, domain_of(FILED), "hello:1").startswith("sha256:")
    assert site.node_of(f"{FILED}_registry") is site.swarm.nodes[1]


def test_the_registrys_own_logins_and_an_allow_list_are_kept(
    site: SwarmUnderTest, moved: dict[str, str], others: str, archive: Path
) -> None:
    assert "of admin: kept, the token server asks for them" in moved[LOCKED]
    url = f"https://{domain_of(LOCKED)}"
    token, outside = f"{url}/auth/token?service={LOCKED}", site.swarm.outside
    wait("the token server", lambda: site.status(token, LOGIN, outside) == 200, SOON_S)
    assert site.status(token, "admin:wrong", outside) == 401
    # The token server puts a token in the place of a password.
    wait("the registry", lambda: site.status(f"{url}/v2/", LOGIN, outside) == 200, SOON_S)
    assert site.status(f"{url}/v2/", "admin:wrong", outside) == 401
    site.resolve(domain_of(LOCKED), PROXY)
    source, target = f"docker-archive:{archive}", f"docker://{domain_of(LOCKED)}/hello:1"
    site.skopeo(domain_of(LOCKED), "copy", "--dest-creds", LOGIN, source, target)
    for service in ("registry", "token"):
        labels = site.inspect("service", f"{LOCKED}_{service}")["Spec"]["Labels"]
        used = next(value for key, value in labels.items() if key.endswith("-https.middlewares"))
        assert OFFICE in used.split(",")
        assert "$" not in str(labels), "no hash in a label"
    assert others.partition(":")[2] not in moved[LOCKED]


def test_variables_of_2_8_have_their_types_and_redis_stays_behind(
    site: SwarmUnderTest, moved: dict[str, str]
) -> None:
    assert "redis: its address and its login went with the cache" in moved[CACHED]
    assert "compatibility: no registry 3 knows it" in moved[CACHED]
    file = yaml.safe_load((site.project.folder / f"Pulumi.{CACHED}.yaml").read_text())
    headers = {"access-control-allow-origin": ["https://ui.example.com"]}
    assert file["config"]["registry:config"] == {"http": {"headers": headers}}
    answers(site, domain_of(CACHED), site.login(CACHED))


def test_secrets_of_the_originals_are_in_nothing_that_is_written_or_printed(
    site: SwarmUnderTest, moved: dict[str, str], others: str
) -> None:
    files = [path.read_text() for path in site.project.folder.glob("Pulumi.*.yaml")]
    texts = "".join([*files, *moved.values(), site.project.state_text()])
    for secret in (*SECRETS, others.partition(":")[2]):
        assert secret not in texts


@pytest.mark.usefixtures("moved")
def test_a_second_run_changes_nothing(site: SwarmUnderTest) -> None:
    before = site.inspect("service", f"{CACHED}_registry")["Spec"]
    printed = site.made("adopt", f"STACK={CACHED}", f"FROM={CACHED}", "CHECK=no")
    assert "is taken over already" in printed
    assert site.inspect("service", f"{CACHED}_registry")["Spec"] == before


def test_what_would_lose_a_restriction_is_refused_whole(
    site: SwarmUnderTest, tmp_path: Path
) -> None:
    labels = router_labels("open.example.com", "open", "inside")
    labels["traefik.http.middlewares.inside.ipallowlist.sourcerange"] = "10.0.0.0/8"
    stack = registry_stack(labels, "node.role == manager")
    # Nothing of the plan depends on a task of it.
    stack["services"]["registry"]["volumes"] = ["/srv:/var/lib/registry"]
    deploy(site, tmp_path, "open", stack)
    site.node_of("open_registry")
    before = site.inspect("service", "open_registry")["Version"]
    result = site.make("adopt", "STACK=open", "FROM=open", "YES=1")
    assert result.code != 0
    assert "middleware inside (ipallowlist) is made by its labels" in result.text
    assert "are in the folder /srv" in result.text
    assert site.inspect("service", "open_registry")["Version"] == before
    assert not (site.project.folder / "Pulumi.open.yaml").exists()
