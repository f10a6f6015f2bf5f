"""No password, hash or HTTP secret is in plain text anywhere that a person or a log can see.

One file, since its tests share what they deploy.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from components.version import TOOLS_IMAGE
from ops.bootstrap.console import run, wait
from testing.certificates import CertificatePair
from testing.process_list import ProcessList
from testing.site import SwarmUnderTest
from testing.testswarm import SOON_S

GIVEN = "a-given-Passw0rd-that-nobody-else-has"
FORMER, LATER = "the-Passw0rd-that-was-given-before", "a-Passw0rd-that-is-given-after-it"
NAME, DOMAIN = "secretive", "secretive.example.com"
TOKEN = "a-token-of-a-DNS-provider"
PAIR = CertificatePair.make(DOMAIN, f"traefik.{DOMAIN}")
HASHES, HASHES_KEY = "hashes", "registry:hashedPasswords.admin"
"""A stack behind another's Traefik, which has the hashes in a label."""


@pytest.fixture(scope="module")
def printed(site: SwarmUnderTest) -> str:
    """Return what two deployments and a preview print, with the process list."""
    values = {"registry:domain": DOMAIN, "registry:proxy": "stack", "registry:https": "own"}
    names = {"registry:stackName": NAME, "registry:network": NAME}
    site.project.init("dev", {**values, **names})
    site.project.set("dev", "registry:dashboardDomain", f"traefik.{DOMAIN}")
    # The certificate from a file, its key as a secret.
    (site.project.folder / "chain.pem").write_text(PAIR.chain)
    site.project.set("dev", "registry:certificate", "chain.pem")
    site.project.set("dev", "registry:certificateKey", PAIR.key, "--secret")
    site.project.set("dev", "registry:proxySecrets.CF_DNS_API_TOKEN", TOKEN, "--path", "--secret")
    site.trust(site.project.folder / "chain.pem")
    site.project.set("dev", "registry:users[0]", "admin", "--path")
    site.project.set("dev", "registry:users[1]", "ci", "--path")
    site.project.set("dev", "registry:passwords.ci", GIVEN, "--path", "--secret")
    with ProcessList() as processes:
        first = site.project.up("dev", "--diff")
        site.project.set("dev", "registry:passwordRotation", "2")
        preview = site.project.preview("dev", "--diff").text
        second = site.project.up("dev", "--diff")
    assert any("pulumi" in line for line in processes.seen)
    return "\n".join([first, preview, second, *processes.seen])


@pytest.fixture(scope="module")
def secrets(site: SwarmUnderTest, printed: str) -> dict[str, str]:
    """Return the secrets by description."""
    assert printed
    raw = site.project.ok("stack", "export", "--show-secrets", "--stack", "dev")
    by_description = {"the given password": GIVEN, "the DNS provider's token": TOKEN}
    by_description["the certificate's key"] = PAIR.key.splitlines()[1]
    by_description["the certificate's key, encoded"] = base64.b64encode(PAIR.key.encode()).decode()
    stack = site.project.outputs("dev")
    by_description["the generated password"] = stack["password"]
    by_description["the dashboard's password"] = stack["dashboardPasswords"]["admin"]
    for resource in json.loads(raw)["deployment"]["resources"]:
        name, outputs = resource["urn"].rpartition("::")[2], resource.get("outputs", {})
        if name in ("registry-http-secret", "login-seed", "dashboard-seed"):
            by_description[name] = plain(outputs["base64"])
        if name.endswith(("login-htpasswd", "dashboard-htpasswd")):
            data = plain(outputs["data"])
            by_description[f"{name}, encoded"] = data
            for line in base64.b64decode(data).decode().splitlines():
                user, _, digest = line.partition(":")
                by_description[f"the hash of {user} in {name}"] = digest
    return by_description


def plain(value: object) -> str:
    """Return a value of `stack export --show-secrets`."""
    return str(json.loads(value["plaintext"]) if isinstance(value, dict) else value)


def test_there_is_something_to_look_for(secrets: dict[str, str]) -> None:
    assert len(secrets) == 14
    assert all(len(value) > 20 for value in secrets.values())


@pytest.mark.parametrize(
    "source", ["the services", "the swarm's secrets and configs", "the containers", "the state"]
)
def test_nothing_is_in_plain_text_in(
    site: SwarmUnderTest, secrets: dict[str, str], source: str
) -> None:
    node = site.node_of(f"{NAME}_registry")

    def all_of(kind: str) -> str:
        ids = site.swarm.docker(node, *kind.split(), "ls", "-q").split()
        return site.swarm.docker(node, *kind.split(), "inspect", *ids) if ids else ""

    sources = {
        "the services": lambda: all_of("service") + all_of("network") + all_of("volume"),
        "the swarm's secrets and configs": lambda: all_of("secret") + all_of("config"),
        "the containers": lambda: all_of("container"),
        "the state": site.project.state_text,
    }
    text = sources[source]()
    assert NAME in text
    assert [name for name, value in secrets.items() if value in text] == []


def test_nothing_is_in_plain_text_in_what_was_said(printed: str, secrets: dict[str, str]) -> None:
    assert "login-htpasswd" in printed
    assert [name for name, value in secrets.items() if value in printed] == []


def test_both_users_can_log_in(site: SwarmUnderTest, secrets: dict[str, str]) -> None:
    site.serves("dev", DOMAIN, f"{NAME}_proxy")
    node = site.node_of(f"{NAME}_proxy")
    url = f"https://{DOMAIN}/v2/"
    assert site.status(url, f"ci:{GIVEN}", node) == 200
    assert site.status(url, f"admin:{secrets['the generated password']}", node) == 200
    assert site.status(url, "ci:wrong", node) == 401


def test_passwords_are_shown_only_when_asked_for(
    site: SwarmUnderTest, secrets: dict[str, str]
) -> None:
    shown = site.project.ok("stack", "output", "--stack", "dev")
    assert secrets["the generated password"] not in shown
    asked = site.project.ok("stack", "output", "password", "--show-secrets", "--stack", "dev")
    assert asked.strip() == secrets["the generated password"]


@pytest.mark.usefixtures("printed")
def test_traefik_finds_the_token_and_is_shown_with_its_place_only(site: SwarmUnderTest) -> None:
    environment = site.inside(f"{NAME}_proxy", "cat", "/proc/1/environ").split("\0")
    variable = "CF_DNS_API_TOKEN_FILE=/run/secrets/CF_DNS_API_TOKEN"
    assert variable in environment
    assert site.inside(f"{NAME}_proxy", "cat", variable.partition("=")[2]) == TOKEN


@pytest.mark.usefixtures("printed")
def test_a_certificate_of_ones_own_is_served_on_every_manager(site: SwarmUnderTest) -> None:
    site.project.set("dev", "registry:proxyMode", "global")
    # A service's mode can't be changed, so Traefik is made anew.
    site.project.up("dev")
    site.project.ok("preview", "--expect-no-changes", "--stack", "dev")
    nodes = site.swarm.nodes
    wait("a Traefik on each", lambda: len(site.tasks(f"{NAME}_proxy")) == len(nodes), SOON_S)
    url, login, outside = f"https://{DOMAIN}/v2/", site.login("dev"), site.swarm.outside
    for node in nodes:
        site.swarm.add_host(DOMAIN, node.ip)
        # It runs, and may not have read yet what it serves.
        wait(f"the Traefik of {node.name}", lambda: site.status(url, login, outside) == 200, SOON_S)


@pytest.fixture(scope="module")
def hashes() -> dict[str, str]:
    """Return hashes of three passwords: in use, configured later, and put there by hand."""
    return {
        name: run(["openssl", "passwd", "-apr1", f"the-password-{name}"]).strip()
        for name in ("in use", "configured", "by hand")
    }


@pytest.fixture(scope="module")
def reports(
    site: SwarmUnderTest, hashes: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a folder with what previews, reports, drift, failed and interrupted runs print.

    The hash that is in use is no longer in the configuration: so Pulumi itself masks it nowhere.
    """
    folder, service = tmp_path_factory.mktemp("reports"), f"{HASHES}_registry"
    names = {"registry:stackName": HASHES, "registry:domain": f"{HASHES}.example.com"}
    network = {"registry:network": HASHES, "registry:createNetwork": "true"}
    site.project.init(HASHES, {**names, **network, "registry:proxy": "none"})
    site.project.set(HASHES, HASHES_KEY, hashes["in use"], "--path", "--secret")
    site.project.up(HASHES)

    site.project.set(HASHES, HASHES_KEY, hashes["configured"], "--path", "--secret")
    (folder / "preview").write_text(site.project.preview(HASHES, "--diff").text)
    (folder / "report").write_text(site.made("preview", f"STACK={HASHES}", "FORMAT=markdown"))
    (folder / "interrupted").write_text(interrupted_up(site, folder / "interrupted"))
    site.project.set(HASHES, "registry:image", "registry:0.0.0")
    failed = site.make("deploy", f"STACK={HASHES}")
    assert failed.code != 0, failed.text
    (folder / "failed").write_text(failed.text)

    label = next(key for key in labels(site, service) if key.endswith("basicauth.users"))
    other = f"{label}=admin:{hashes['by hand']}"
    manager = site.any_node()
    site.swarm.docker(manager, "service", "update", "--detach", "--label-add", other, service)
    site.project.unset(HASHES, "registry:image")
    drift = site.make("drift", f"STACK={HASHES}")
    assert drift.code != 0, drift.text
    (folder / "drift").write_text(drift.text)
    return folder


def labels(site: SwarmUnderTest, service: str) -> dict[str, str]:
    """Return the labels of a service."""
    return dict(site.inspect("service", service)["Spec"]["Labels"])


def interrupted_up(site: SwarmUnderTest, log: Path) -> str:
    """Return what an `up` prints that is interrupted when it has begun."""
    command = ["pulumi", "up", "--yes", "--skip-preview", "--diff", "--non-interactive"]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "--stack", HASHES],
            cwd=site.project.folder,
            env=site.project.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            wait(
                "the deployment to begin",
                lambda: "docker:index/service" in log.read_text() or process.poll() is not None,
                SOON_S,
            )
            if process.poll() is None:
                os.kill(process.pid, signal.SIGINT)
            process.wait(SOON_S)
        finally:
            process.kill()
    return log.read_text()


@pytest.mark.parametrize("source", ["preview", "report", "interrupted", "failed", "drift"])
def test_no_hash_is_shown_neither_an_old_one_nor_a_new_one_in(
    reports: Path, hashes: dict[str, str], source: str
) -> None:
    text = (reports / source).read_text()
    assert HASHES in text
    assert [name for name, value in hashes.items() if value in text] == []


@pytest.mark.parametrize("source", ["report", "drift"])
def test_a_report_says_that_a_login_differs(reports: Path, source: str) -> None:
    text = (reports / source).read_text()
    assert "labels changed (not shown)" in text, text


@pytest.mark.usefixtures("reports")
def test_no_hash_is_in_plain_text_in_the_state(
    site: SwarmUnderTest, hashes: dict[str, str]
) -> None:
    text = site.project.state_text()
    assert [name for name, value in hashes.items() if value in text] == []


VERSIONS = [{"version": "2"}, {"version": "1", "until": "2999-01-01T00:00:00Z"}]
IN_TOKEN_MODE = ("preview", "report", "deployed", "failed", "drift", "users", "login", "logs")
"""Files with what commands print of a stack on its way to tokens, and with them."""


@pytest.fixture(scope="module")
def with_tokens(
    site: SwarmUnderTest, reports: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a folder with what is printed once the same stack goes over to tokens."""
    assert reports
    folder, project, stack = tmp_path_factory.mktemp("tokens"), site.project, f"STACK={HASHES}"
    # Each node has that image.
    values = {"auth": "token", "toolsImage": TOOLS_IMAGE, "users": '["ci", "deploy"]'}
    values |= {"passwordVersions": json.dumps({"deploy": VERSIONS})}
    values |= {"formerPasswords.ci.until": VERSIONS[1]["until"]}
    project.configure(HASHES, {f"registry:{key}": value for key, value in values.items()})
    for key, text in (("passwords.ci", GIVEN), ("formerPasswords.ci.password", FORMER)):
        project.set(HASHES, f"registry:{key}", text, "--path", "--secret")

    def note(name: str, text: str) -> None:
        (folder / name).write_text(text)

    note("preview", project.preview(HASHES, "--diff").text)
    note("report", site.made("preview", stack, "FORMAT=markdown"))
    with ProcessList() as processes:
        note("deployed", project.up(HASHES, "--diff"))
        note("users", site.made("users", stack))
        note("login", site.made("login", stack, "USER=deploy", "PRINT=1"))
    note("processes", "\n".join(processes.seen))
    note("logs", site.made("logs", stack))
    project.set(HASHES, "registry:toolsImage", "registry-tools:0.0.0")
    project.set(HASHES, "registry:passwords.ci", LATER, "--path", "--secret")
    failed = site.make("deploy", stack, "CHECK=no")
    assert failed.code != 0, failed.text
    note("failed", failed.text)
    service = ("service", "update", "--detach", "--label-add", "by=hand", f"{HASHES}_token")
    site.swarm.docker(site.any_node(), *service)
    project.set(HASHES, "registry:toolsImage", TOOLS_IMAGE)
    drift = site.make("drift", stack)
    assert drift.code != 0, drift.text
    note("drift", drift.text)
    return folder


@pytest.fixture(scope="module")
def hidden(site: SwarmUnderTest, with_tokens: Path, hashes: dict[str, str]) -> dict[str, str]:
    """Return the secrets of a stack with tokens by description."""
    assert with_tokens
    passwords = site.project.outputs(HASHES)["passwords"]
    by_name = {"given": GIVEN, "former": FORMER, "later": LATER, "generated": passwords["deploy"]}
    by_name |= hashes
    raw = site.project.ok("stack", "export", "--show-secrets", "--stack", HASHES)
    for resource in json.loads(raw)["deployment"]["resources"]:
        name, outputs = resource["urn"].rpartition("::")[2], resource.get("outputs", {})
        if name in ("token-seed", "login-seed"):
            by_name[name] = plain(outputs["base64"])
        if name.endswith(("login-users", "token-key")):
            by_name[f"{name}, encoded"] = data = plain(outputs["data"])
            text = base64.b64decode(data).decode()
            if name.endswith("key"):
                by_name[name] = text.splitlines()[1]
            else:
                by_name |= {f"hash {n}": each["hash"] for n, each in enumerate(json.loads(text))}
    return by_name


def test_there_is_something_to_look_for_with_tokens(hidden: dict[str, str]) -> None:
    # Four passwords, three hashes of before and five that are in use, two seeds, a key as it is and
    # encoded, and the file of users encoded.
    assert len(hidden) == 17
    assert all(len(value) > 20 for value in hidden.values())


@pytest.mark.parametrize("source", [*IN_TOKEN_MODE, "processes"])
def test_with_tokens_no_secret_is_shown_in(
    with_tokens: Path, hidden: dict[str, str], source: str
) -> None:
    text = (with_tokens / source).read_text()
    assert HASHES in text
    assert [name for name, value in hidden.items() if value in text] == []


def test_with_tokens_no_secret_is_in_plain_text_on_the_swarm_or_in_the_state(
    site: SwarmUnderTest, hidden: dict[str, str]
) -> None:
    manager, text = site.any_node(), site.project.state_text()
    for kind in ("service", "secret", "config"):
        ids = site.swarm.docker(manager, kind, "ls", "-q").split()
        text += site.swarm.docker(manager, kind, "inspect", *ids) if ids else ""
    assert f"{HASHES}_token" in text
    assert [name for name, value in hidden.items() if value in text] == []
