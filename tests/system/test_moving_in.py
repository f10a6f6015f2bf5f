"""DockerSwarm.rocks' main Traefik, joined, and the original's stack, taken over."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from ops.console import run, wait
from testing.authority import Authority, served
from testing.project import Result
from testing.site import Site
from testing.testswarm import SOON_S

MAIN, PROXY = "traefik", "traefik_traefik"
ORIGINAL, SERVICE = "registry-com", "registry-com_registry"
DOMAIN, JOINED = "registry.tmd.fakhred.in", "stag.registry.tmd.fakhred.in"
LOGIN = "admin:changethis"
DOCTOR_LIMIT_S = 240


def main_traefik(authority: Authority, authority_file: str) -> dict[str, object]:
    """The recipe, in the variant that publishes ports on the host; only the authority differs."""
    labels = {
        "traefik.enable": "true",
        "traefik.docker.network": "traefik-public",
        "traefik.constraint-label": "traefik-public",
        "traefik.http.middlewares.https-redirect.redirectscheme.scheme": "https",
        "traefik.http.middlewares.https-redirect.redirectscheme.permanent": "true",
        "traefik.http.routers.traefik-public-http.rule": "Host(`traefik.example.com`)",
        "traefik.http.routers.traefik-public-http.entrypoints": "http",
        "traefik.http.routers.traefik-public-http.middlewares": "https-redirect",
        "traefik.http.services.traefik-public.loadbalancer.server.port": "8080",
    }
    return {
        "version": "3.3",
        "services": {
            "traefik": {
                "image": "traefik:v3.7.15",
                "ports": [
                    {"target": port, "published": port, "mode": "host"} for port in (80, 443)
                ],
                "deploy": {
                    "placement": {
                        "constraints": [
                            "node.labels.traefik-public.traefik-public-certificates == true"
                        ]
                    },
                    "labels": labels,
                },
                "volumes": [
                    "/var/run/docker.sock:/var/run/docker.sock:ro",
                    "traefik-public-certificates:/certificates",
                ],
                "command": [
                    "--providers.docker",
                    "--providers.docker.constraints="
                    "Label(`traefik.constraint-label`, `traefik-public`)",
                    "--providers.docker.exposedbydefault=false",
                    "--providers.swarm.endpoint=unix:///var/run/docker.sock",
                    "--entrypoints.http.address=:80",
                    "--entrypoints.https.address=:443",
                    "--certificatesresolvers.le.acme.email=admin@example.com",
                    "--certificatesresolvers.le.acme.storage=/certificates/acme.json",
                    "--certificatesresolvers.le.acme.tlschallenge=true",
                    f"--certificatesresolvers.le.acme.caserver={authority.directory}",
                    "--certificatesresolvers.le.acme.cacertificates=/ca.pem",
                    "--accesslog",
                    "--log",
                    "--api",
                ],
                "configs": [{"source": "ca", "target": "/ca.pem"}],
                "networks": ["traefik-public"],
            }
        },
        "volumes": {"traefik-public-certificates": {}},
        "configs": {"ca": {"file": authority_file}},
        "networks": {"traefik-public": {"external": True}},
    }


def original(hashed: str) -> dict[str, object]:
    """What the docker-compose project deploys: Traefik asks for the login, by its apr1 hash."""
    router = "traefik.http.routers.registry.com"
    name = router.replace("registry.com", "registry-com")
    labels = {
        "traefik.enable": "true",
        "traefik.docker.network": "traefik-public",
        "traefik.constraint-label": "traefik-public",
        f"{name}-http.rule": f"Host(`{DOMAIN}`)",
        f"{name}-http.entrypoints": "http",
        f"{name}-http.middlewares": "https-redirect",
        f"{name}-https.rule": f"Host(`{DOMAIN}`)",
        f"{name}-https.entrypoints": "https",
        f"{name}-https.tls": "true",
        f"{name}-https.tls.certresolver": "le",
        f"{name}-https.middlewares": "registry-com-auth",
        "traefik.http.services.registry-com.loadbalancer.server.port": "5000",
        "traefik.http.middlewares.registry-com-auth.basicauth.users": (
            f"admin:{hashed}".replace("$", "$$")
        ),
    }
    return {
        "version": "3.3",
        "services": {
            "registry": {
                "image": "registry:3.1.2",
                "environment": {
                    "REGISTRY_STORAGE_DELETE_ENABLED": "true",
                    "REGISTRY_HTTP_DRAINTIMEOUT": "5s",
                },
                "volumes": ["app-registry-data:/var/lib/registry"],
                "networks": ["traefik-public", "default"],
                "deploy": {
                    "placement": {
                        "constraints": [f"node.labels.{ORIGINAL}.app-registry-data == true"]
                    },
                    "labels": labels,
                },
            }
        },
        # Which `docker stack deploy` gives no label of the stack.
        "volumes": {"app-registry-data": {"external": {"name": f"{ORIGINAL}_app-registry-data"}}},
        "networks": {"traefik-public": {"external": True}},
    }


def deploy(site: Site, folder: Path, name: str, stack: dict[str, object]) -> None:
    """`docker stack deploy`."""
    file = folder / f"{name}.yml"
    file.write_text(yaml.safe_dump(stack))
    site.swarm.docker(site.swarm.nodes[0], "stack", "deploy", "-c", file, name, timeout=120)


@pytest.fixture(scope="module", autouse=True)
def _there(site: Site, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What was there before: a main Traefik and the original's stack, on different nodes."""
    site.trust(authority.root_file)
    folder, swarm = tmp_path_factory.mktemp("before"), site.swarm
    first, second, _ = swarm.nodes
    ca = folder / "ca.pem"
    ca.write_text(authority.transport_root)
    network = ("network", "create", "--driver=overlay", "--attachable", "traefik-public")
    swarm.docker(first, *network)
    for node, label in (
        (first, "traefik-public.traefik-public-certificates"),
        (second, f"{ORIGINAL}.app-registry-data"),
    ):
        site.update_node(node.id, "--label-add", f"{label}=true")
    for domain in (DOMAIN, JOINED):
        swarm.add_host(domain, first.ip)
    deploy(site, folder, MAIN, main_traefik(authority, str(ca)))
    salted = ["openssl", "passwd", "-apr1", LOGIN.partition(":")[2]]
    hashed = run(salted).strip()
    deploy(site, folder, ORIGINAL, original(hashed))


@pytest.fixture(scope="module")
def digest(site: Site, archive: Path) -> str:
    """Digest of an image that was pushed to the original's registry."""
    answers(site, DOMAIN, LOGIN)
    site.resolve(DOMAIN, PROXY)
    target = f"docker://{DOMAIN}/team/hello:1"
    site.skopeo(DOMAIN, "copy", "--dest-creds", LOGIN, f"docker-archive:{archive}", target)
    return pulled(site, LOGIN)


def pulled(site: Site, login: str) -> str:
    """Digest of that image, with all of it brought back."""
    shown = ("inspect", "--format", "{{.Digest}}", "--creds", login)
    image = f"docker://{DOMAIN}/team/hello:1"
    site.skopeo(DOMAIN, "copy", "--src-creds", login, image, "dir:/run/pulled")
    return site.skopeo(DOMAIN, *shown, image).strip()


def answers(site: Site, domain: str, login: str) -> None:
    """Waits until strangers get 401 and `login` 200, with a certificate that is trusted."""
    url, outside = f"https://{domain}/v2/", site.swarm.outside
    wait(
        f"{url} to answer",
        lambda: (site.status(url, node=outside), site.status(url, login, outside)) == (401, 200),
        SOON_S,
    )


class Watch(threading.Thread):
    """Asks for the image's manifest again and again."""

    def __init__(self, site: Site, url: str, logins: list[str]) -> None:
        super().__init__(daemon=True)
        self._site, self._url, self._logins = site, url, logins
        self._end = threading.Event()
        self.gaps: list[float] = []
        """Seconds without a good answer, each time there was none."""

    def run(self) -> None:
        last, failing = time.monotonic(), False
        while not self._end.is_set():
            outside = self._site.swarm.outside
            found = [self._site.status(self._url, login, outside) for login in self._logins]
            now = time.monotonic()
            if 200 in found or 401 in found:
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
    site: Site, archive: Path
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
def doctor(site: Site) -> Iterator[Future[Result]]:
    """`make doctor` of the stack that joined; it takes over a minute, while other tests run."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(site.make, "doctor", "STACK=stag", timeout=DOCTOR_LIMIT_S)


@pytest.fixture(scope="module")
def taken(site: Site, digest: str) -> tuple[str, list[float]]:
    """What `make adopt` said, and the gaps that a client met meanwhile."""
    assert digest
    volume, node = f"{ORIGINAL}_app-registry-data", site.swarm.nodes[1]
    before = site.inspect("service", SERVICE)["ID"]
    with Watch(site, f"https://{DOMAIN}/v2/", [LOGIN]) as watch:
        said = site.made("adopt", "STACK=moved", f"FROM={ORIGINAL}")
        time.sleep(2)
    assert site.inspect("service", SERVICE)["ID"] == before, "the service itself went on"
    assert volume in site.swarm.docker(node, "volume", "ls", "-q").split()
    return said, watch.gaps


@pytest.mark.usefixtures("doctor")
def test_the_originals_registry_is_taken_over_with_its_images(
    site: Site, digest: str, taken: tuple[str, list[float]]
) -> None:
    said, gaps = taken
    assert "logins of admin: the registry can't use their hashes" in said
    assert "registry:config.storage.delete.enabled: true" in said
    assert "http.draintimeout: left out" in said
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
def test_nothing_changes_after_the_takeover(site: Site) -> None:
    site.project.ok("preview", "--expect-no-changes", "--stack", "moved")
    assert "adoptService" not in (site.project.folder / "Pulumi.moved.yaml").read_text()


@pytest.mark.usefixtures("taken")
def test_old_logins_are_kept_through_traefik_where_that_is_wanted(site: Site, digest: str) -> None:
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


def test_a_container_of_compose_is_taken_over_too(site: Site, archive: Path) -> None:
    """Its labels and networks are as Compose gives them; the engine sees no difference."""
    node, domain, volume = site.swarm.nodes[0], "compose.example.com", "old_registry-data"
    site.swarm.add_host(domain, node.ip)
    labels = {
        "com.docker.compose.project": "old",
        "com.docker.compose.service": "registry",
        "traefik.enable": "true",
        "traefik.docker.network": "traefik-public",
        "traefik.constraint-label": "traefik-public",
        "traefik.http.routers.old-https.rule": f"Host(`{domain}`)",
        "traefik.http.routers.old-https.entrypoints": "https",
        "traefik.http.routers.old-https.tls": "true",
        "traefik.http.routers.old-https.tls.certresolver": "le",
        "traefik.http.services.old.loadbalancer.server.port": "5000",
    }
    site.swarm.docker(
        node,
        *("run", "--detach", "--name", "old_registry_1", "--network", "traefik-public"),
        *("--volume", f"{volume}:/var/lib/registry"),
        *(word for key, value in labels.items() for word in ("--label", f"{key}={value}")),
        "registry:3.1.2",
    )
    outside = site.swarm.outside
    wait("it to answer", lambda: site.status(f"https://{domain}/v2/", node=outside) == 200, SOON_S)
    site.resolve(domain, PROXY)
    source, target = f"docker-archive:{archive}", f"docker://{domain}/hello:1"
    site.skopeo(domain, "copy", source, target)
    before = site.skopeo(domain, "inspect", "--format", "{{.Digest}}", target).strip()
    site.made("adopt", "STACK=composed", "FROM=old")
    answers(site, domain, site.login("composed"))
    assert site.digest("composed", domain, "hello:1") == before
    state = ("inspect", "--format", "{{.State.Status}}", "old_registry_1")
    assert site.swarm.docker(node, *state) == "exited", "stopped, and not deleted"
    site.swarm.docker(node, "rm", "old_registry_1")


def test_what_cant_be_taken_over_is_told(site: Site) -> None:
    for source, says in (
        ("nobody", "no swarm stack and no compose project of this name runs here"),
        (MAIN, "traefik has 0 registries"),
        ("", "FROM=… missing"),
    ):
        result = site.make("adopt", "STACK=refused", f"FROM={source}")
        assert result.code != 0
        assert says in result.text
        assert "Traceback" not in result.text
