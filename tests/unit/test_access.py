"""Who may do what: rules of access, passwords in several versions, and the server that has them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

import bcrypt
import pulumi
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from components import (
    AccessRule,
    Credentials,
    CredentialsArgs,
    CredentialsOptions,
    FormerPassword,
    PasswordVersion,
    Route,
    SwarmStack,
    TokenServer,
    TokenServerArgs,
    TokenServerOptions,
)
from components.credentials import generated_password
from components.token_server import (
    ACTIONS,
    P256_ORDER,
    TOOLS_IMAGE,
    key_set,
    private_pem,
    public_jwk,
    server_config,
    server_labels,
    signing_key,
)
from ops.documentation import reference
from settings import Settings, parse
from settings.access import RULE_KEYS

from .conftest import Deploy, Recorder
from .program import raw

GOOD = {"stackName": "images-com", "domain": "images.example.com", "auth": "token"}
USERS = ["admin", "ci", "deploy"]
EVERYBODY = {"users": ["*"], "actions": ["pull"]}
UNTIL = "2026-11-27T10:00:00Z"
APR1 = "$apr1$8sdhfjsd$Mb6IbAMxSMVRIsDe0lS.j/"
SHA = "{SHA}" + base64.b64encode(bytes(20)).decode()
SECRET = "hunter2-but-longer"
SECRETS = ("registry:passwords", "registry:hashedPasswords", "registry:formerPasswords")
SEED, OTHER_SEED = b"\1" * 32, b"\2" * 32


def settings(secrets: Sequence[str] = SECRETS, **values: Any) -> Settings:
    return parse(raw({**GOOD, **values}), lambda key: key in secrets, "prod")


def rules(*access: Any) -> dict[str, Any]:
    return {"users": USERS, "access": [*access]}


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("auth", {"auth": "tokens"}, "must be one of basic, token"),
    ("access", {"auth": "basic", "access": [EVERYBODY]}, "needs registry:auth token"),
    ("signingKeys", {"auth": "basic", "signingKeys": ["1"]}, "needs registry:auth token"),
    ("tokenLifetime", {"auth": "basic", "tokenLifetime": "60"}, "needs registry:auth token"),
    ("tokenReplicas", {"auth": "basic", "tokenReplicas": "1"}, "needs registry:auth token"),
    ("access", {"access": "admin"}, "must be a list"),
    ("access", {"access": []}, "names admin in no rule"),
    ("access[1]", rules(EVERYBODY, "admin"), "must be a map of users, anonymous, repositories"),
    ("access[0].user", rules({**EVERYBODY, "user": "ci"}), "Did you mean users?"),
    ("access[0].until", rules({**EVERYBODY, "until": UNTIL}), "There are users, anonymous"),
    ("access[0].anonymous", rules({**EVERYBODY, "anonymous": "yes"}), "must be true or false"),
    ("access[0].users[1]", rules({**EVERYBODY, "users": ["*", 1]}), "must be a text"),
    ("access[0].users[1]", rules({**EVERYBODY, "users": ["*", "depoly"]}), "mean deploy?"),
    ("access[0].users[1]", rules({**EVERYBODY, "users": ["*", "robot-*"]}), "no user is called"),
    ("access[1].users[0]", rules(EVERYBODY, {"actions": ["pull"]}), "for everybody (anonymous"),
    ("access", rules({"users": ["admin", "c*"], "actions": ["pull"]}), "names deploy in no rule"),
    ("access[1].users[0]", rules(EVERYBODY, {**EVERYBODY, "users": "ci"}), "must be in a list"),
    ("access[0].actions[0]", rules({"users": ["*"]}), "one of pull, push, delete, catalog"),
    ("access[0].actions[0]", rules({**EVERYBODY, "actions": []}), "one of pull, push, delete"),
    ("access[0].actions[0]", rules({**EVERYBODY, "actions": "pull"}), "must be in a list"),
    ("access[0].actions[0]", rules({**EVERYBODY, "actions": ["puhs"]}), "Did you mean push?"),
    ("access[0].repositories", rules({**EVERYBODY, "repositories": []}), "for all repositories"),
    ("access[0].repositories[0]", rules({**EVERYBODY, "repositories": "a"}), "must be in a list"),
    ("tokenLifetime", {"tokenLifetime": "59"}, "from 60 to 3600"),
    ("tokenReplicas", {"tokenReplicas": "0"}, "from 1 to 100"),
    ("toolsImage", {"toolsImage": "tools"}, "an image with its tag"),
    ("signingKeys", {"signingKeys": ["1", "1"]}, "has '1' twice"),
    ("signingKeys", {"signingKeys": []}, "one has to sign"),
    ("signingKeys[0]", {"signingKeys": ["a b"]}, "letters, digits"),
    ("users", {"users": ["x" * 129]}, "takes 128 bytes"),
    ("hashedPasswords.ci", {"users": USERS, "hashedPasswords": {"ci": APR1}}, "of registry:users"),
    ("hashedPasswords.ci", {"hashedPasswords": {"ci": "$2b$17$" + "a" * 53}}, "takes 4 to 16"),
    ("passwordVersions.ci", {"passwordVersions": {"ci": [{"version": "1"}]}}, "no such user"),
    ("passwordVersions.admin[0].version", {"passwordVersions": {"admin": "2"}}, "must be a list"),
    ("passwordVersions.admin[0]", {"passwordVersions": {"admin": ["2"]}}, "must be a map with"),
    (
        "passwordVersions.admin[0].versoin",
        {"passwordVersions": {"admin": [{"version": "1", "versoin": "2"}]}},
        "Did you mean version?",
    ),
    (
        "passwordVersions.admin[0].until",
        {"passwordVersions": {"admin": [{"version": "2", "until": UNTIL}]}},
        "the newest password, which has no end",
    ),
    (
        "passwordVersions.admin[1].until",
        {"passwordVersions": {"admin": [{"version": "2"}, {"version": "1", "until": "soon"}]}},
        "a moment in UTC",
    ),
    (
        "passwordVersions.admin",
        {"passwordVersions": {"admin": [{"version": "1"}, {"version": "1"}]}},
        "has version '1' twice",
    ),
    (
        "passwordVersions.admin",
        {"passwords": {"admin": SECRET}, "passwordVersions": {"admin": [{"version": "1"}]}},
        "has a given password",
    ),
    (
        "formerPasswords.ci",
        {"formerPasswords": {"ci": {"password": SECRET, "until": UNTIL}}},
        "no such user",
    ),
    (
        "formerPasswords.admin.until",
        {"formerPasswords": {"admin": {"password": SECRET}}},
        "is missing: it must be a moment",
    ),
    (
        "formerPasswords.admin.password",
        {"formerPasswords": {"admin": {"password": SECRET * 5, "until": UNTIL}}},
        "bcrypt takes 72",
    ),
]


@pytest.mark.parametrize(("key", "values", "says"), WRONG, ids=lambda value: str(value)[:50])
def test_what_is_wrong_is_one_line_with_what_to_type(
    key: str, values: dict[str, Any], says: str
) -> None:
    with pytest.raises(pulumi.RunError) as error:
        settings(**values)
    message = str(error.value)
    assert message.startswith("One setting of stack prod is wrong"), message
    assert f"- registry:{key} " in message
    assert says in message
    assert SECRET not in message


@pytest.mark.parametrize(
    "pattern",
    ["Team", "/team", "team/", "team//a", "a b", "", "***", "team/****", "x" * 256, "a:1"],
)
def test_a_pattern_that_no_name_could_match_is_refused(pattern: str) -> None:
    with pytest.raises(pulumi.RunError, match=r"repositories\[0\] is .*a pattern of whole names"):
        settings(**rules({**EVERYBODY, "repositories": [pattern]}))


@pytest.mark.parametrize(
    "pattern", ["**", "*", "team/**", "team/*/app", "a-*", "**/base", "a__b.c"]
)
def test_patterns_of_names_are_taken(pattern: str) -> None:
    access = settings(**rules({**EVERYBODY, "repositories": [pattern]})).token_server
    assert access
    assert access.access[0].repositories == [pattern]


def test_each_user_without_a_rule_is_a_line_and_the_commands_make_one_rule_of_all() -> None:
    with pytest.raises(pulumi.RunError, match="2 settings of stack prod are wrong") as error:
        settings(**rules({"users": ["admin"], "actions": ["pull"]}))
    commands = re.findall(r"--path '(registry:access\S+)' (\w+)", str(error.value))
    assert dict(commands) == {
        "registry:access[1].users[0]": "ci",
        "registry:access[1].users[1]": "deploy",
        "registry:access[1].actions[0]": "pull",
    }


def test_a_former_password_in_plain_text_is_refused() -> None:
    with pytest.raises(pulumi.RunError, match=r"formerPasswords\.admin\.password is in plain"):
        settings((), formerPasswords={"admin": {"password": SECRET, "until": UNTIL}})


def test_without_rules_every_user_may_do_everything() -> None:
    server = settings().token_server
    assert server
    assert list(server.access) == [
        AccessRule(
            users=("*",), repositories=("**",), actions=("pull", "push", "delete", "catalog")
        )
    ]
    assert settings(auth="basic").token_server is None


def test_a_rule_by_which_strangers_push_is_a_warning() -> None:
    assert settings(**rules(EVERYBODY, {"anonymous": True, "actions": ["pull"]})).warnings == ()
    (warning,) = settings(**rules(EVERYBODY, {"anonymous": True, "actions": ["push"]})).warnings
    assert "registry:access[1] lets everybody without a login push" in warning


def test_a_rule_for_everybody_opens_no_mirror_that_has_a_login_upstream() -> None:
    everybody = {"anonymous": True, "actions": ["pull"]}
    hub = {"upstream": "https://registry-1.docker.io", "domain": "hub.example.com"}
    private = {**hub, "username": "me", "password": SECRET}
    secrets = ("registry:mirrors",)
    settings(secrets, **rules(EVERYBODY, everybody), mirrors={"hub": hub})
    allowed = {**private, "allow": ["10.0.0.0/8"]}
    settings(secrets, **rules(EVERYBODY, everybody), mirrors={"hub": allowed})
    some = {**everybody, "repositories": ["public/**"]}
    settings(secrets, **rules(EVERYBODY, some), mirrors={"hub": private})
    with pytest.raises(pulumi.RunError, match=r"access\[1\]\.repositories\[0\] is for all"):
        settings(secrets, **rules(EVERYBODY, everybody), mirrors={"hub": private})


@pytest.mark.parametrize("text", [APR1, SHA, "$2y$05$" + "a" * 53])
def test_hashes_go_to_the_token_server_and_into_no_label(text: str) -> None:
    alone = settings(hashedPasswords={"ci": text})
    assert (alone.hashed_passwords, alone.routes.registry.users) == ({}, {})
    assert (alone.login.users, alone.login.hashes) == ((), {"ci": text})
    beside = settings(users=["admin"], hashedPasswords={"ci": text})
    assert (beside.login.users, beside.login.hashes) == (("admin",), {"ci": text})
    # A rule may name either.
    settings(users=["admin"], hashedPasswords={"ci": text}, access=[{**EVERYBODY, "users": ["*"]}])


def test_versions_are_kept_where_only_the_newest_counts() -> None:
    versions = {"admin": [{"version": 2}, {"version": "1", "until": UNTIL}]}
    for auth in ("basic", "token"):
        options = settings(auth=auth, passwordVersions=versions).login
        assert options.versions["admin"] == [
            PasswordVersion(version="2"),
            PasswordVersion(version="1", until=UNTIL),
        ]


def test_mirrors_that_ask_for_a_login_take_tokens_at_their_own_name() -> None:
    hub = {"upstream": "https://registry-1.docker.io", "domain": "hub.example.com"}
    open_ = {"upstream": "https://ghcr.io", "domain": "ghcr.example.com", "allow": ["10.0.0.0/8"]}
    options = settings(mirrors={"hub": hub, "ghcr": open_})
    assert [route.domain for route in options.routes.tokens] == [GOOD["domain"], "hub.example.com"]


def credentials(deploy: Deploy, options: CredentialsOptions, form: Any = "users") -> Recorder:
    def program() -> pulumi.Output[Any]:
        stack = SwarmStack(name="s")
        args = CredentialsArgs(stack=stack, options=options, form=form)
        return Credentials("login", args).passwords.apply(passwords.update)

    passwords.clear()
    return deploy(program)


passwords: dict[str, str] = {}
"""Of the components that `credentials` has made last."""


def content(recorder: Recorder, secret: str) -> str:
    return base64.b64decode(recorder.of_type("Secret")[secret]["data"]["value"]).decode()


OVERLAP = CredentialsOptions(
    users=("admin", "ci", "deploy"),
    passwords={"ci": "present"},
    versions={"deploy": (PasswordVersion(version="2"), PasswordVersion(version="1", until=UNTIL))},
    former={"ci": FormerPassword(password="before", until=UNTIL)},
    hashes={"robot": APR1},
)


def test_a_token_servers_users_have_all_passwords_with_their_ends(deploy: Deploy) -> None:
    users = json.loads(content(credentials(deploy, OVERLAP), "login-users"))
    assert [(each["user"], each.get("until")) for each in users] == [
        ("admin", None),
        ("ci", None),
        ("ci", UNTIL),
        ("deploy", None),
        ("deploy", UNTIL),
        ("robot", None),
    ]
    assert users[-1]["hash"] == APR1
    seed = SEED
    expected = [
        generated_password(seed, "admin"),
        "present",
        "before",
        generated_password(seed, "deploy", "2"),
        generated_password(seed, "deploy", "1"),
    ]
    for each, password in zip(users, expected, strict=False):
        assert bcrypt.checkpw(password.encode(), each["hash"].encode())
    costs = [each["hash"][4:6] for each in users[:-1]]
    # A generated password can't be guessed; a given one may.
    assert costs == ["04", "10", "10", "04", "04"]
    assert len({each["hash"][7:29] for each in users[:-1]}) == 5, "each has a salt of its own"
    assert passwords == {"admin": expected[0], "ci": "present", "deploy": expected[3]}


def test_where_the_registry_checks_logins_the_newest_passwords_count(deploy: Deploy) -> None:
    lines = content(credentials(deploy, OVERLAP, "htpasswd"), "login-htpasswd").splitlines()
    assert [line.partition(":")[0] for line in lines] == ["admin", "ci", "deploy"]
    newest = generated_password(SEED, "deploy", "2")
    assert bcrypt.checkpw(newest.encode(), lines[2].partition(":")[2].encode())


def test_another_version_is_another_password_and_the_first_is_that_of_before() -> None:
    versions = ["1", "2", "11"]
    assert len({generated_password(SEED, "ci", each) for each in versions}) == len(versions)
    assert generated_password(SEED, "ci", "1") != generated_password(OTHER_SEED, "ci", "1")
    assert (
        generated_password(SEED, "ci")
        == generated_password(SEED, "ci", "1")
        == "cqxJUp92XtIuNWfdxaURAA8aEAyR3Seh"
    )


@given(seed=st.binary(min_size=32, max_size=32), name=st.text(min_size=1, max_size=9))
def test_a_signing_key_is_its_names_alone_and_has_its_thumbprint_for_an_id(
    seed: bytes, name: str
) -> None:
    key = signing_key(seed, name)
    assert 0 < key.private_numbers().private_value < P256_ORDER
    assert private_pem(key) == private_pem(signing_key(seed, name))
    jwk = public_jwk(key)
    # RFC 7638, 3: the members that are required, in the order of their names, without blanks.
    text = f'{{"crv":"P-256","kty":"EC","x":"{jwk["x"]}","y":"{jwk["y"]}"}}'
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
    assert jwk["kid"] == digest.decode().rstrip("=")
    # 32 bytes, leading zeros among them.
    assert (len(jwk["x"]), len(jwk["y"])) == (43, 43)


def test_which_key_signs_is_no_change_of_a_registry() -> None:
    assert key_set(SEED, ["1", "2"]) == key_set(SEED, ["2", "1"])
    kids = [each["kid"] for each in key_set(SEED, ["1", "2"])["keys"]]
    assert len(set(kids)) == 2
    assert "d" not in key_set(SEED, ["1"])["keys"][0]


ROUTE = Route(
    domain="images.example.com",
    path="/v2/",
    tag="images.com",
    network="public",
    constraint_label="c",
    constraint_value="v",
    middlewares=("limit@swarm",),
    discovery_seconds=20,
)


def server(deploy: Deploy, **options: Any) -> Recorder:
    def program() -> None:
        stack = SwarmStack(name="images")
        login = Credentials("login", CredentialsArgs(stack=stack, form="users"))
        args = TokenServerArgs(
            stack=stack,
            options=TokenServerOptions(**options),
            routes=[ROUTE],
            network_id="net-id",
            users=login.secret,
        )
        TokenServer("token", args)

    return deploy(program)


def test_the_token_server_has_all_that_it_knows_from_secrets(deploy: Deploy) -> None:
    recorder = server(deploy, signing_keys=("2", "1"))
    service = recorder.of_type("Service")["token-service"]
    container = service["taskSpec"]["containerSpec"]
    assert {file["fileName"]: file["secretId"] for file in container["secrets"]} == {
        "/etc/registry-token/config.json": "token-config-id",
        "/etc/registry-token/users.json": "login-users-id",
        "/etc/registry-token/key.pem": "token-key-id",
    }
    # The program is nobody, and the image has no shell.
    assert {file["fileUid"] for file in container["secrets"]} == {"65534"}
    assert container["user"] == "65534:65534"
    assert container["healthcheck"]["tests"] == ["CMD", "/bin/registry-token", "healthcheck"]
    assert container["readOnly"] is True
    assert container["image"] == TOOLS_IMAGE
    assert container["stopGracePeriod"] == "35s", "longer than it serves on"
    assert service["mode"]["replicated"]["replicas"] == 2
    key = load_pem_private_key(content(recorder, "token-key").encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    # The first one signs.
    signature = key.sign(b"text", ec.ECDSA(hashes.SHA256()))
    signing_key(SEED, "2").public_key().verify(signature, b"text", ec.ECDSA(hashes.SHA256()))


def test_the_servers_configuration_says_what_the_rules_do() -> None:
    rule = AccessRule(users=("ci",), repositories=("team/**",), actions=("pull", "push"))
    options = TokenServerOptions(access=[rule], lifetime_seconds=60, trusted_proxies=("9.9.9.9",))
    config = server_config("images", ROUTE, options)
    assert (config["issuer"], config["service"]) == ("images", "images")
    assert config["access"] == [
        {
            "users": ["ci"],
            "anonymous": False,
            "repositories": ["team/**"],
            "actions": ["pull", "push"],
        }
    ]
    assert (config["lifetime_seconds"], config["discovery_seconds"]) == (60, 20)
    assert config["trusted_proxies"][-1] == "9.9.9.9/32"


def test_its_router_comes_before_the_registrys_and_limits_each_address() -> None:
    labels = server_labels([ROUTE], TokenServerOptions())
    router = "traefik.http.routers.images-com-token-http"
    assert labels[f"{router}.rule"] == "Host(`images.example.com`) && PathPrefix(`/auth/token`)"
    # Traefik takes the longer rule first.
    assert len(labels[f"{router}.rule"]) > len(ROUTE.rule)
    chain = labels[f"{router}.middlewares"].split(",")
    assert chain == ["images-com-token-limit", "limit@swarm", "images-com-token-retry"]
    limit = "traefik.http.middlewares.images-com-token-limit.ratelimit"
    assert {f"{limit}.average", f"{limit}.burst"} <= labels.keys()
    assert not any("sourcecriterion" in key for key in labels)
    fronted = server_labels(
        [ROUTE], TokenServerOptions(trusted_proxies=("10.0.0.5", "10.1.0.0/16"))
    )
    assert fronted[f"{limit}.sourcecriterion.ipstrategy.excludedips"] == "10.0.0.5,10.1.0.0/16"


def test_the_reference_names_all_keys_and_actions_of_a_rule() -> None:
    (text,) = (text for keys, _, text in reference() if keys == ["registry:access"])
    for word in (*RULE_KEYS, *ACTIONS):
        assert f"`{word}" in text, word
