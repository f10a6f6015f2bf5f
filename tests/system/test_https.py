"""Production over HTTPS: certificates without a human, and what passes through Traefik.

One file, since its tests share what they deploy.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.bootstrap.console import wait
from testing.acme_server import AcmeServer, served
from testing.site import SwarmUnderTest

DOMAIN = "registry.tmd.fakhred.in"
DASHBOARD = "traefik.tmd.fakhred.in"
SHORT = "short.example.com"
PROXY = "registry-com_proxy"
RENEWAL_S = 150
UPLOAD_LIMIT_S = 300
GIB = 1 << 30
SIZE = 5 * GIB
BLOCK = b"\0" * (1 << 20)


@pytest.fixture(scope="module")
def short_lived(
    site: SwarmUnderTest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AcmeServer]:
    """Yield an ACME server whose certificates Traefik renews after about a minute.

    Traefik renews what was made for an hour when 20 minutes are left, and looks once a minute.
    """
    folder = tmp_path_factory.mktemp("short")
    acme_server = AcmeServer(site.swarm, folder, valid_seconds=20 * 60 + 20, ports=(14001, 15001))
    yield acme_server
    acme_server.end()


@pytest.fixture(scope="module", autouse=True)
def _deployed(
    site: SwarmUnderTest, hub: None, acme_server: AcmeServer, short_lived: AcmeServer
) -> None:
    """Deploy production as committed, and a stack with a Traefik of its own on another node."""
    assert hub is None  # It only has to be there.
    site.trust(acme_server.root_file)
    first, second, _ = site.swarm.nodes
    for name in (DOMAIN, DASHBOARD):
        site.swarm.add_host(name, first.ip)
    site.swarm.add_host(SHORT, second.ip)
    site.project.init(
        "prod",
        {
            "registry:acmeServer": acme_server.directory,
            "registry:certificatesNode": first.name,
            "registry:dashboardDomain": DASHBOARD,
            "registry:proxyMetrics": "true",
        },
    )
    site.project.ok("config", "set", "registry:acmeCa", stdin=acme_server.transport_root)
    site.project.init(
        "short",
        {
            "registry:stackName": "short",
            "registry:domain": SHORT,
            "registry:proxy": "stack",
            "registry:https": "acme",
            "registry:acmeServer": short_lived.directory,
            "registry:acmeChallenge": "http",
            "registry:certificatesNode": second.name,
            "registry:network": "short",
        },
    )
    site.project.ok("config", "set", "registry:acmeCa", stdin=short_lived.transport_root)
    duration = "registry:proxyConfig.certificatesResolvers.le.acme.certificatesDuration"
    site.project.set("short", duration, "1", "--path")
    # One after the other: both are on the same swarm.
    site.project.up("short")
    site.made("deploy", "STACK=prod")


@pytest.fixture(scope="module")
def slow(
    site: SwarmUnderTest, _deployed: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Upload]:
    """Yield an upload over a slow link, under way while the other tests run."""
    upload = Upload(site, tmp_path_factory.mktemp("slow") / "blob")
    upload.start()
    yield upload
    upload.join(UPLOAD_LIMIT_S)


class Upload(threading.Thread):
    """Sends a blob so slowly that it takes over 90 s."""

    def __init__(self, site: SwarmUnderTest, file: Path) -> None:
        super().__init__(daemon=True)
        self._site, self._file = site, file
        self.seconds = 0.0
        self.answer = ""

    def run(self) -> None:
        self._file.write_bytes(b"slow" * 256 * 1024)
        digest = hashlib.sha256(self._file.read_bytes()).hexdigest()
        url = begin_upload(self._site, "slow")
        start = time.monotonic()
        self.answer = curl(
            self._site,
            *("-X", "PUT", "--limit-rate", "10800", "--upload-file", str(self._file)),
            *("-o", "/dev/null", "-w", "%{http_code}"),
            f"{url}&digest=sha256:{digest}",
            timeout=UPLOAD_LIMIT_S,
        )
        self.seconds = time.monotonic() - start


def curl(site: SwarmUnderTest, *args: str, timeout: float = 60) -> str:
    """Run curl outside the swarm, logged in to production."""
    login = ("--cacert", site.root, "--user", site.login("prod"))
    return site.swarm.exec(site.swarm.outside, "curl", "-sS", *login, *args, timeout=timeout).stdout


def begin_upload(site: SwarmUnderTest, name: str) -> str:
    """Return the address that a blob of repository `name` goes to."""
    url = f"https://{DOMAIN}/v2/{name}/blobs/uploads/"
    headers = curl(site, "-X", "POST", "-D", "-", "-o", "/dev/null", url)
    location = re.search(r"(?im)^location: (\S+)", headers)
    assert location, headers
    target = location[1]
    return target if target.startswith("http") else f"https://{DOMAIN}{target}"


@pytest.mark.usefixtures("slow")
def test_the_certificate_is_the_authoritys(site: SwarmUnderTest) -> None:
    assert "Pebble" in served(site.swarm, DOMAIN).issuer.rfc4514_string()
    outside = site.swarm.outside
    assert site.status(f"https://{DOMAIN}/v2/", node=outside) == 401
    assert site.status(f"https://{DOMAIN}/v2/", site.login("prod"), outside) == 200


def test_nothing_changes_later(site: SwarmUnderTest) -> None:
    for stack in ("prod", "short"):
        site.project.ok("preview", "--expect-no-changes", "--stack", stack)
        site.project.ok("refresh", "--yes", "--expect-no-changes", "--stack", stack)


def test_the_doctor_finds_nothing_wrong(site: SwarmUnderTest) -> None:
    output = site.made("doctor", "STACK=prod", "SLOW=0")
    for line in (
        f"{DOMAIN} leads to",
        "certificate by Pebble",
        "TLS 1.2 and later only",
        "http:// leads to https:// (30",
        "strangers are refused (401), admin gets in (200)",
        "insist on HTTPS",
        "dashboard asks for a login (401)",
    ):
        assert f"  ok    {line}" in output or line in output
    assert "wrong" not in output


def test_docker_logs_in_pushes_and_pulls(
    site: SwarmUnderTest, acme_server: AcmeServer, archive: Path
) -> None:
    swarm, node = site.swarm, site.swarm.nodes[2]
    trusted = f"/etc/docker/certs.d/{DOMAIN}"
    swarm.exec(node, "mkdir", "-p", trusted)
    swarm.exec(node, "cp", acme_server.root_file, f"{trusted}/ca.crt")
    user, _, password = site.login("prod").partition(":")
    swarm.exec(node, "docker", "login", "-u", user, "--password-stdin", DOMAIN, stdin=password)
    swarm.docker(node, "load", "--input", archive)
    image = f"{DOMAIN}/team/hello:1"
    swarm.docker(node, "tag", "hello:1", image)
    pushed = re.search(r"sha256:[0-9a-f]{64}", swarm.exec(node, "docker", "push", image).stdout)
    assert pushed
    swarm.docker(node, "image", "rm", image, "hello:1")
    assert pushed[0] in swarm.exec(node, "docker", "pull", image).stdout
    swarm.exec(node, "docker", "logout", DOMAIN)


def test_the_registry_speaks_http_1_and_the_dashboard_http_2(site: SwarmUnderTest) -> None:
    asked = ("curl", "-s", "--cacert", site.root, "-o", "/dev/null", "-w", "%{http_version}")
    for domain, version in ((DOMAIN, "1.1"), (DASHBOARD, "2")):
        answer = site.swarm.exec(site.swarm.outside, *asked, f"https://{domain}/").stdout
        assert answer == version, domain


def test_plain_http_leads_to_https(site: SwarmUnderTest) -> None:
    asked = ("curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}")
    for domain in (DOMAIN, DASHBOARD, SHORT):
        answer = site.swarm.exec(site.swarm.outside, *asked, f"http://{domain}/v2/").stdout
        assert re.fullmatch(rf"30[18] https://{domain}/v2/", answer), answer


@pytest.mark.parametrize(
    ("flags", "accepted"),
    [
        ("-tls1", False),
        ("-tls1_1", False),
        ("-tls1_2", True),
        ("-tls1_3", True),
        ("-tls1_2 -cipher ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-CHACHA20-POLY1305", True),
        ("-tls1_2 -cipher ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA", False),
        ("-tls1_2 -cipher AES128-GCM-SHA256:AES128-SHA", False),
    ],
)
def test_old_protocols_and_weak_ciphers_are_refused(
    site: SwarmUnderTest, flags: str, accepted: bool
) -> None:
    # This machine's own OpenSSL would refuse some of them too: it mustn't be what decides.
    cipher = flags if "-cipher" in flags else f"{flags} -cipher ALL"
    command = f"openssl s_client {cipher}:@SECLEVEL=0 -connect {DOMAIN}:443 -servername {DOMAIN}"
    done = site.swarm.exec(site.swarm.outside, "sh", "-c", f"{command} </dev/null", check=False)
    assert ("Cipher is (NONE)" not in done.stdout and done.returncode == 0) is accepted
    if not accepted:
        assert "alert" in done.stderr, "refused by the server, and not by this machine"


def test_browsers_are_told_to_insist_on_https(site: SwarmUnderTest) -> None:
    for url in (f"https://{DOMAIN}/v2/", f"https://{DASHBOARD}/dashboard/"):
        headers = curl(site, "-D", "-", "-o", "/dev/null", url).lower()
        assert "strict-transport-security: max-age=31536000" in headers
        assert "x-content-type-options: nosniff" in headers


def test_the_dashboard_is_behind_a_login_and_nowhere_else(site: SwarmUnderTest) -> None:
    outside, page = site.swarm.outside, f"https://{DASHBOARD}/dashboard/"
    password = site.project.outputs("prod")["dashboardPasswords"]["admin"]
    assert site.status(page, node=outside) == 401
    assert site.status(page, f"admin:{password}", outside) == 200
    assert site.status(f"https://{DASHBOARD}/api/rawdata", node=outside) == 401
    assert site.status(page, site.login("prod"), outside) == 401, "the registry's own login"
    assert site.status(f"http://{DASHBOARD}/dashboard/", f"admin:{password}", outside) in (301, 308)
    # Not at other names, not on other ports, and not on a Traefik that wasn't asked for one.
    assert site.status(f"https://{DOMAIN}/dashboard/", node=outside) == 404
    first, second, _ = site.swarm.nodes
    for node in (first, second):
        assert site.status(f"http://{node.ip}:8080/dashboard/", node=outside) == 0
    to_second = ("--resolve", f"{DASHBOARD}:443:{second.ip}", "-k", "-o", "/dev/null")
    assert curl(site, *to_second, "-w", "%{http_code}", page) == "404"


def test_metrics_are_for_services_on_the_network_only(site: SwarmUnderTest) -> None:
    fetch = ("wget", "-q", "-O-", "http://127.0.0.1:8083/metrics")
    assert "traefik_service_requests_total" in site.inside(PROXY, *fetch)
    node = site.node_of(PROXY)
    assert site.status(f"http://{node.ip}:8083/metrics", node=site.swarm.outside) == 0


def test_a_blob_of_5_gib_passes(site: SwarmUnderTest) -> None:
    digest = hashlib.sha256()
    for _ in range(SIZE // len(BLOCK)):
        digest.update(BLOCK)
    login = f'--cacert {site.root} --user "$LOGIN"'
    url = begin_upload(site, "large")
    script = (
        f"head -c {SIZE} /dev/zero | curl -sSf {login} -X PUT --upload-file - -o /dev/null"
        f" -H 'Content-Type: application/octet-stream' '{url}&digest=sha256:{digest.hexdigest()}'"
        f" && curl -sSf {login} https://{DOMAIN}/v2/large/blobs/sha256:{digest.hexdigest()}"
        " | sha256sum"
    )
    done = site.swarm.exec(
        site.swarm.outside,
        *("bash", "-o", "pipefail", "-c", script),
        timeout=600,
        env={"LOGIN": site.login("prod")},
    )
    assert done.stdout.split()[0] == digest.hexdigest()


def test_an_upload_that_lasts_over_90_s_passes(slow: Upload) -> None:
    slow.join(timeout=120)
    assert slow.answer == "201"
    assert slow.seconds > 90


def test_the_certificate_survives_traefik_and_its_node(
    site: SwarmUnderTest, acme_server: AcmeServer
) -> None:
    node = site.node_of(PROXY)
    serial, orders = served(site.swarm, DOMAIN).serial_number, acme_server.orders()
    (file,) = (node.dir / "data/volumes/registry-com_certificates/_data").glob("acme-*.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    site.swarm.docker(node, "service", "update", "--force", "--quiet", PROXY)
    site.serves("prod", DOMAIN, PROXY)
    assert served(site.swarm, DOMAIN).serial_number == serial
    site.swarm.kill(node)
    site.swarm.start(node)
    site.serves("prod", DOMAIN, PROXY)
    assert served(site.swarm, DOMAIN).serial_number == serial
    assert acme_server.orders() == orders


def test_no_log_has_a_credential(site: SwarmUnderTest) -> None:
    secrets = [site.login("prod").partition(":")[2]]
    secrets += site.project.outputs("prod")["dashboardPasswords"].values()
    log = site.log(PROXY)
    assert "GET /v2/ HTTP" in log
    assert not [secret for secret in secrets if secret in log]


def test_a_certificate_that_ends_soon_is_renewed(
    site: SwarmUnderTest, short_lived: AcmeServer
) -> None:
    first = served(site.swarm, SHORT)
    wait(
        "a newer certificate",
        lambda: served(site.swarm, SHORT).serial_number != first.serial_number,
        RENEWAL_S,
        every=2,
    )
    assert served(site.swarm, SHORT).not_valid_after_utc > first.not_valid_after_utc
    assert short_lived.orders() >= 2
    trusted = ("--cacert", str(short_lived.root_file), "-o", "/dev/null", "-w", "%{http_code}")
    asked = ("curl", "-s", *trusted, f"https://{SHORT}/v2/")
    assert site.swarm.exec(site.swarm.outside, *asked).stdout == "401"


def test_another_authority_takes_over_with_an_account_of_its_own(
    site: SwarmUnderTest, tmp_path: Path
) -> None:
    key = base64.urlsafe_b64encode(b"the key of the external account:)").decode()
    bound = AcmeServer(site.swarm, tmp_path, ports=(14002, 15002), accounts={"kid-1": key})
    try:
        site.project.set("short", "registry:acmeServer", bound.directory)
        site.project.ok(
            "config", "set", "--stack", "short", "registry:acmeCa", stdin=bound.transport_root
        )
        site.project.set("short", "registry:acmeEabKid", "kid-1")
        site.project.set("short", "registry:acmeEabHmac", key, "--secret")
        before = served(site.swarm, SHORT).issuer
        site.project.up("short")
        wait("the other's certificate", lambda: bound.orders() > 0, RENEWAL_S, every=2)
        wait("it to be served", lambda: served(site.swarm, SHORT).issuer != before, RENEWAL_S)
        site.project.ok("preview", "--expect-no-changes", "--stack", "short")
        shown = site.inspect("service", "short_proxy") | {"state": site.project.state_text()}
        assert key not in json.dumps(shown)
        folder = site.swarm.nodes[1].dir / "data/volumes/short_certificates/_data"
        assert len(list(folder.glob("acme-*.json"))) == 2
    finally:
        bound.end()
