"""Token mode: who may do what, with each client, and the way there and back under load.

One stack, behind a proxy that ends TLS and on a port of its own without. It begins in basic mode,
which it goes back to in the end.

One file, since its tests share what they deploy.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from components.token_server import public_jwk, signing_key
from components.version import TOOLS_IMAGE
from ops.bootstrap.console import UserError, run, wait
from testing.certificates import CertificatePair
from testing.load import Load
from testing.project import changed
from testing.site import STARTED_S, SwarmUnderTest
from testing.testswarm import ENDED_S, Node

from .conftest import PLAIN_DOMAIN, PLAIN_PORT
from .test_clients import FRONT, Client, Target, answers, crane, docker, oras, regctl, skopeo

NAME, HOST = "tokens", f"{PLAIN_DOMAIN}:{PLAIN_PORT}"
PROXY, REGISTRY, SERVER = f"{NAME}_proxy", f"{NAME}_registry", f"{NAME}_token"
URL = f"http://{HOST}"
GIVEN = "a-given-Passw0rd-that-nobody-else-has"
HASHED = "the-password-of-an-original"
REPOSITORIES = ("team/app", "public/app", "secret/app")
RULES: list[dict[str, Any]] = [
    {"users": ["admin"], "actions": ["pull", "push", "delete", "catalog"]},
    {"users": ["ci", "robot-*"], "repositories": ["team/**"], "actions": ["pull", "push"]},
    {"users": ["deploy"], "actions": ["pull"]},
    {"anonymous": True, "repositories": ["public/**"], "actions": ["pull"]},
]
ALLOWED: dict[str, dict[str, set[str]]] = {
    "admin": {each: {"pull", "push", "delete", "catalog"} for each in REPOSITORIES},
    "ci": {"team/app": {"pull", "push"}, "public/app": {"pull"}, "secret/app": set()},
    "robot-1": {"team/app": {"pull", "push"}, "public/app": {"pull"}, "secret/app": set()},
    "deploy": {each: {"pull"} for each in REPOSITORIES},
    "": {"team/app": set(), "public/app": {"pull"}, "secret/app": set()},
}
"""Actions that the rules allow, by user and repository."""
CLIENTS_AT_WORK = 4
"""Of `Load`, those that push and pull."""
ABSENT = "sha256:" + "0" * 64


@dataclass(frozen=True)
class Registry:
    """The registry as its clients see it."""

    site: SwarmUnderTest
    archive: Path

    @property
    def passwords(self) -> dict[str, str]:
        """Return the password of each user."""
        return {**self.site.project.outputs(NAME)["passwords"], "robot-1": HASHED}

    def login(self, user: str) -> str:
        """Return `user:password`."""
        return f"{user}:{self.passwords[user]}"

    def curl(self, *args: str) -> str:
        """Return what curl prints outside the swarm."""
        trusted = ("--cacert", self.site.root)
        return self.site.swarm.exec(self.site.swarm.outside, "curl", "-sS", *trusted, *args).stdout

    def status(self, method: str, path: str, token: str, *args: str) -> int:
        """Return the status of a request with a token."""
        kind = ("--head",) if method == "HEAD" else ("-X", method)
        shown = ("-o", "/dev/null", "-w", "%{http_code}")
        header = f"Authorization: Bearer {token}"
        return int(self.curl(*kind, *shown, "-H", header, *args, f"{URL}{path}"))

    def token(self, user: str, *scopes: str) -> str:
        """Return a token of the user, who asks for scopes; of nobody for an empty name."""
        login = ("--user", self.login(user)) if user else ()
        asked = [f"&scope={scope}" for scope in scopes]
        answer = self.curl(*login, f"{URL}/auth/token?service={NAME}{''.join(asked)}")
        return str(json.loads(answer)["token"])

    @cached_property
    def state(self) -> list[dict[str, Any]]:
        """Return the resources of the stack as the state has them, secrets in plain text."""
        raw = self.site.project.ok("stack", "export", "--show-secrets", "--stack", NAME)
        return list(json.loads(raw)["deployment"]["resources"])

    def signed(self, **claims: Any) -> str:
        """Return a token that the stack's own key has signed, whatever it says."""
        (seed,) = (
            json.loads(each["outputs"]["base64"]["plaintext"])
            for each in self.state
            if each["urn"].endswith("::token-seed")
        )
        key = signing_key(base64.b64decode(seed), "1")
        now = int(time.time())
        access = {"type": "repository", "name": "team/app", "actions": ["pull"]}
        content: dict[str, Any] = {
            "iss": NAME,
            "sub": "admin",
            "aud": [NAME],
            "access": [access],
            "jti": "1",
        }
        content |= {"exp": now + 60, "nbf": now - 600, "iat": now - 600}
        header = {"alg": "ES256", "typ": "JWT", "kid": public_jwk(key)["kid"]}
        text = b".".join(encoded(json.dumps(each).encode()) for each in (header, content | claims))
        r, s = utils.decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
        return (text + b"." + encoded(r.to_bytes(32, "big") + s.to_bytes(32, "big"))).decode()


def encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


@pytest.fixture(scope="module")
def registry(
    site: SwarmUnderTest, archive: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    """Deploy the registry in basic mode and put an image into each repository."""
    swarm, project, folder = site.swarm, site.project, tmp_path_factory.mktemp("token")
    pair = CertificatePair.make(PLAIN_DOMAIN)
    (folder / "root.pem").write_text(pair.chain)
    site.trust(folder / "root.pem")
    values = {"stackName": NAME, "domain": PLAIN_DOMAIN, "proxy": "stack", "network": NAME}
    values |= {"https": "external", "proxyHttpPort": str(PLAIN_PORT)}
    values |= {"trustedProxies[0]": swarm.outside.ip, "config.storage.delete.enabled": "true"}
    values |= {f"users[{n}]": user for n, user in enumerate(("admin", "ci", "deploy"))}
    project.init(NAME, {f"registry:{key}": value for key, value in values.items()})
    project.configure(NAME, {}, {"registry:passwords.ci": GIVEN})
    project.up(NAME)
    swarm.add_host(PLAIN_DOMAIN, swarm.outside.ip)
    (folder / "front.pem").write_text(pair.chain + pair.key)
    text = FRONT.format(
        ip=swarm.outside.ip,
        pem=folder / "front.pem",
        port=PLAIN_PORT,
        node=site.node_of(PROXY).ip,
    )
    (folder / "haproxy.cfg").write_text(text)
    args = ("haproxy", "-db", "-f", folder / "haproxy.cfg")
    front = swarm.spawn(swarm.outside, *args, log=folder / "haproxy.log")
    wait("the registry", partial(answers, site, f"https://{PLAIN_DOMAIN}/v2/"), STARTED_S)
    for repository in REPOSITORIES:
        to = ("--dest-tls-verify=false", "--dest-creds", site.login(NAME))
        source = f"docker-archive:{archive}"
        target = f"docker://{HOST}/{repository}:1"
        copy = ("skopeo", "--insecure-policy", "copy")
        swarm.exec(swarm.outside, *copy, *to, source, target, timeout=120)
    yield Registry(site, archive)
    front.kill()
    front.wait(ENDED_S)


def load(registry: Registry, folder: Path) -> Load:
    return Load(
        *(registry.site, NAME, HOST, PROXY, registry.archive, folder),
        pulled="team/app:1",
        retries=3,
        with_containerd=True,
    )


def test_a_stack_goes_over_to_tokens_under_load(registry: Registry, tmp_path: Path) -> None:
    project = registry.site.project
    apr1 = run(["openssl", "passwd", "-apr1", HASHED]).strip()
    # Each node has it already.
    values = {"registry:auth": "token", "registry:toolsImage": TOOLS_IMAGE}
    project.configure(NAME, {**values, "registry:access": json.dumps(RULES)})
    project.set(NAME, "registry:hashedPasswords.robot-1", apr1, "--path", "--secret")
    steps = changed(project.steps(NAME))
    assert {each for each in steps if "Service" in each} == {
        "create docker:index/service:Service token-service",
        "update docker:index/service:Service registry-service",
    }
    with load(registry, tmp_path) as working:
        project.up(NAME)
    assert working.failed == [], f"{len(working.failed)} of {working.done}"
    assert working.done > CLIENTS_AT_WORK
    project.ok("preview", "--expect-no-changes", "--stack", NAME)


def test_make_doctor_and_make_users_know_tokens(registry: Registry) -> None:
    doctor = registry.site.made("doctor", f"STACK={NAME}", "SLOW=0")
    assert "admin gets in with a token (200)" in doctor
    assert "an upload of 64 KiB is stored" in doctor
    users = registry.site.made("users", f"STACK={NAME}")
    assert "robot-1   hash taken over" in users
    assert "(anyone)  no login" in users


REQUESTS: list[tuple[str, str, str]] = [
    ("pull", "GET", "/v2/{}/tags/list"),
    ("pull", "GET", "/v2/{}/manifests/1"),
    ("pull", "HEAD", f"/v2/{{}}/manifests/{ABSENT}"),
    ("pull", "HEAD", f"/v2/{{}}/blobs/{ABSENT}"),
    ("pull", "GET", f"/v2/{{}}/manifests/{ABSENT.replace(':', '-')}"),
    ("push", "POST", "/v2/{}/blobs/uploads/"),
    ("push", "PATCH", "/v2/{}/blobs/uploads/2f6ee2a3-5e1c-4c38-8d3c-2a6f1b8ef7a1"),
    ("push", "PUT", "/v2/{}/manifests/sha256-0"),
    ("push", "POST", f"/v2/{{}}/blobs/uploads/?mount={ABSENT}&from={{}}"),
    ("delete", "DELETE", f"/v2/{{}}/manifests/{ABSENT}"),
    ("delete", "DELETE", f"/v2/{{}}/blobs/{ABSENT}"),
    ("catalog", "GET", "/v2/_catalog"),
]
"""Requests: the action that each needs, its method and its path. Clients keep referrers at tags
as `sha256-…`."""


@pytest.mark.parametrize("user", ALLOWED, ids=lambda user: user or "nobody")
def test_each_user_may_do_what_the_rules_say(registry: Registry, user: str) -> None:
    for repository in REPOSITORIES:
        scopes = (f"repository:{repository}:pull,push,delete", "registry:catalog:*")
        token, allowed = registry.token(user, *scopes), ALLOWED[user][repository]
        assert registry.status("GET", "/v2/", token) == 200
        for action, method, path in REQUESTS:
            # The registry wants both for a push.
            may = {"pull", action} <= allowed if action == "push" else action in allowed
            path = path.format(repository, repository)
            status = registry.status(method, path, token)
            assert (status not in (401, 403)) == may, (repository, method, path, status)


def test_a_mount_takes_a_pull_from_the_other_repository(registry: Registry) -> None:
    (blob,) = json.loads(
        registry.curl(
            *("-H", f"Authorization: Bearer {registry.token('admin', 'repository:team/app:pull')}"),
            *("-H", "Accept: application/vnd.docker.distribution.manifest.v2+json"),
            f"{URL}/v2/team/app/manifests/1",
        )
    )["layers"]
    mount = f"/v2/team/other/blobs/uploads/?mount={blob['digest']}&from="
    scopes = ("repository:team/other:pull,push", "repository:team/app:pull")
    assert registry.status("POST", f"{mount}team/app", registry.token("ci", *scopes)) == 201
    scopes = ("repository:team/other:pull,push", "repository:secret/app:pull")
    # Without it the client has to upload: no error, and nothing is mounted.
    assert registry.status("POST", f"{mount}secret/app", registry.token("ci", *scopes)) in (
        202,
        401,
    )


@pytest.mark.parametrize("login", ["ci:wrong", "stranger:wrong", "robot-1:wrong"])
def test_a_wrong_login_gets_no_token(registry: Registry, login: str) -> None:
    args = ("--user", login, "-o", "/dev/null", "-w", "%{http_code}")
    assert registry.curl(*args, f"{URL}/auth/token?service={NAME}") == "401"


def test_only_tokens_count_that_are_for_this_registry_now(registry: Registry) -> None:
    path, now = "/v2/team/app/manifests/1", int(time.time())
    assert registry.status("GET", path, registry.signed()) == 200
    # The registry allows for a minute that clocks are apart.
    wrong: dict[str, dict[str, Any]] = {
        "expired": {"exp": now - 90},
        "not yet": {"nbf": now + 90},
        "of another stack": {"iss": "other"},
        "for another registry": {"aud": ["other"]},
        "for another repository": {
            "access": [{"type": "repository", "name": "team/other", "actions": ["pull"]}]
        },
    }
    for name, claims in wrong.items():
        assert registry.status("GET", path, registry.signed(**claims)) == 401, name
    token = registry.signed()
    assert registry.status("GET", path, token[:-8] + "AAAAAAAA") == 401
    header, content, _ = token.split(".")
    unsigned = encoded(json.dumps({"alg": "none", "typ": "JWT"}).encode()).decode()
    assert registry.status("GET", path, f"{unsigned}.{content}.") == 401
    assert registry.status("GET", path, f"{header}.{content}.") == 401


def test_a_password_opens_what_the_rules_say_and_nothing_behind_traefik(
    registry: Registry,
) -> None:
    shown = ("-o", "/dev/null", "-w", "%{http_code}")
    for url in (URL, f"https://{PLAIN_DOMAIN}"):
        answer = registry.curl("-o", "/dev/null", "-D", "-", f"{url}/v2/").lower()
        assert answer.split()[1] == "401"
        # Clients go to no other host or scheme for it.
        assert f'realm="{url}/auth/token"' in answer
        for user, repository, right in (
            ("ci", "team/app", "200"),
            ("ci", "secret/app", "401"),
            ("deploy", "secret/app", "200"),
        ):
            login = ("--user", registry.login(user))
            path = f"/v2/{repository}/tags/list"
            assert registry.curl(*shown, *login, f"{url}{path}") == right, (user, repository)
        assert registry.curl(*shown, "--user", "ci:wrong", f"{url}/v2/") == "401"
    encoded_login = base64.b64encode(registry.login("admin").encode()).decode()
    ask = (
        f"wget -S --header 'Authorization: Basic {encoded_login}' -O /dev/null"
        f" http://{REGISTRY}:5000/v2/_catalog 2>&1 || true"
    )
    assert "401 Unauthorized" in registry.site.inside(PROXY, "sh", "-c", ask)


CLIENTS: tuple[Callable[[Client], None], ...] = (docker, skopeo, crane, oras, regctl)
PLAIN, SECURE = Target(NAME, HOST, plain=True), Target(NAME, PLAIN_DOMAIN)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: str(client.__name__))
@pytest.mark.parametrize(
    ("user", "folder", "target"),
    [("ci", "team", PLAIN), ("robot-1", "team", SECURE), ("ci", "other", PLAIN)],
    ids=["HTTP", "HTTPS", "forbidden"],
)
def test_clients_push_and_pull_what_the_rules_allow(
    registry: Registry,
    tmp_path: Path,
    user: str,
    folder: str,
    target: Target,
    client: Callable[[Client], None],
) -> None:
    site, work = registry.site, tmp_path / folder
    work.mkdir()
    login = base64.b64encode(registry.login(user).encode()).decode()
    (work / "config.json").write_text(json.dumps({"auths": {target.host: {"auth": login}}}))
    node = site.swarm.nodes[2]
    if client is docker and not target.plain:
        trusted = f"/etc/docker/certs.d/{target.host}"
        site.swarm.exec(node, "mkdir", "-p", trusted)
        site.swarm.exec(node, "cp", site.root, f"{trusted}/ca.crt")
    machine = node if client is docker else site.swarm.outside
    run_client = Client(site, target, machine, registry.archive, work)
    if folder == "team":
        client(run_client)
    else:
        with pytest.raises(UserError, match=r"(?i)denied|unauthorized"):
            client(run_client)


def test_strangers_pull_what_is_for_everybody(registry: Registry) -> None:
    outside = registry.site.swarm.outside
    for repository, allowed in (("public/app", True), ("team/app", False)):
        args = ("skopeo", "inspect", "--raw", "--no-creds", "--tls-verify=false")
        image = f"docker://{HOST}/{repository}:1"
        done = registry.site.swarm.exec(outside, *args, image, check=False, timeout=120)
        assert (done.returncode == 0) == allowed, done.stderr


def test_no_password_hash_or_key_is_in_plain_text_anywhere(registry: Registry) -> None:
    site = registry.site
    hidden = dict(registry.passwords)
    for resource in registry.state:
        name, outputs = resource["urn"].rpartition("::")[2], resource.get("outputs", {})
        if name in ("token-seed", "login-seed"):
            hidden[name] = json.loads(outputs["base64"]["plaintext"])
        if name.endswith(("login-users", "token-key")):
            data = json.loads(outputs["data"]["plaintext"])
            hidden[f"{name}, encoded"] = data
            text = base64.b64decode(data).decode()
            if name.endswith("users"):
                hidden |= {f"{n}. hash": each["hash"] for n, each in enumerate(json.loads(text))}
            else:
                hidden[name] = text.splitlines()[1]
    # Passwords of four users, two seeds, two files, four hashes, a key.
    assert len(hidden) == 13
    node = site.any_node()

    def all_of(kind: str) -> str:
        ids = site.swarm.docker(node, kind, "ls", "-q").split()
        return site.swarm.docker(node, kind, "inspect", *ids) if ids else ""

    def logs_of(node: Node) -> str:
        ids = site.swarm.docker(node, "ps", "-q", "--filter", f"name={NAME}_").split()
        return "".join(site.swarm.docker(node, "logs", each) for each in ids)

    kinds = ("service", "network", "secret", "config")
    text = "\n".join(
        [*map(all_of, kinds), *map(logs_of, site.swarm.nodes), site.project.state_text()]
    )
    assert '"user":"ci"' in text, "the audit log is among it"
    assert [name for name, value in hidden.items() if value in text] == []


def test_it_goes_back_to_logins_under_load(registry: Registry, tmp_path: Path) -> None:
    project = registry.site.project
    for key in ("auth", "access", "hashedPasswords"):
        project.unset(NAME, f"registry:{key}")
    with load(registry, tmp_path) as working:
        project.up(NAME)
    assert working.unexpected == [], f"{len(working.unexpected)} of {working.done}"
    assert len(working.failed) <= CLIENTS_AT_WORK < working.done
    project.ok("preview", "--expect-no-changes", "--stack", NAME)
    services = registry.site.swarm.docker(registry.site.any_node(), "service", "ls")
    assert SERVER not in services
