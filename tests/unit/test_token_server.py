"""The token server's keys, configuration and task."""

from __future__ import annotations

import base64
import hashlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from components import (
    AccessRule,
    TokenServerOptions,
)
from components.token_server import (
    ACTIONS,
    NOT_BEARER,
    P256_ORDER,
    key_set,
    private_pem,
    public_jwk,
    server_config,
    server_labels,
    signing_key,
)
from components.traefik.flags import DIAL_SECONDS
from components.version import TOOLS_IMAGE
from ops.documentation import reference
from settings.access import RULE_KEYS

from .conftest import Deploy
from .shared_access import (
    ROUTE,
    SEED,
    content,
    server,
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
    assert container["stopGracePeriod"] == "1m35s", "longer than it serves on and drains"
    assert service["mode"]["replicated"]["replicas"] == 2
    key = load_pem_private_key(content(recorder, "token-key").encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    # The first one signs.
    signature = key.sign(b"text", ec.ECDSA(hashes.SHA256()))
    signing_key(SEED, "2").public_key().verify(signature, b"text", ec.ECDSA(hashes.SHA256()))


def test_the_servers_configuration_says_what_the_rules_do() -> None:
    rule = AccessRule(users=("ci",), repositories=("team/**",), actions=("pull", "push"))
    options = TokenServerOptions(access=[rule], lifetime_seconds=60, trusted_proxies=("9.9.9.9",))
    config = server_config("images", {"registry": ROUTE}, options, 30)
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
    assert config["drain_seconds"] == 30
    assert config["registries"] == {"images.example.com": "images_registry:5000"}
    assert config["trusted_proxies"][-1] == "9.9.9.9/32"


def test_its_router_comes_before_the_registrys_and_limits_each_address() -> None:
    labels = server_labels([ROUTE], TokenServerOptions())
    router = "traefik.http.routers.images-com-token-http"
    assert labels[f"{router}.rule"] == "Host(`images.example.com`) && PathPrefix(`/auth/token`)"
    login = "traefik.http.routers.images-com-login-http"
    assert labels[f"{login}.rule"] == f"{ROUTE.rule} && {NOT_BEARER}"
    # Traefik takes the longer rule first.
    assert len(labels[f"{router}.rule"]) > len(ROUTE.rule)
    assert labels[f"{login}.middlewares"] == "limit@swarm,images-com-login-retry"
    chain = labels[f"{router}.middlewares"].split(",")
    assert chain == ["images-com-token-limit", "limit@swarm", "images-com-token-retry"]
    limit = "traefik.http.middlewares.images-com-token-limit.ratelimit"
    assert {f"{limit}.average", f"{limit}.burst"} <= labels.keys()
    assert not any("sourcecriterion" in key for key in labels)
    fronted = server_labels(
        [ROUTE], TokenServerOptions(trusted_proxies=("10.0.0.5", "10.1.0.0/16"))
    )
    assert fronted[f"{limit}.sourcecriterion.ipstrategy.excludedips"] == "10.0.0.5,10.1.0.0/16"


def test_traefik_tries_several_tasks_and_leaves_none_out() -> None:
    labels = server_labels([ROUTE], TokenServerOptions())
    assert not any("healthcheck" in key for key in labels)
    attempts = labels["traefik.http.middlewares.images-com-token-retry.retry.attempts"]
    assert 0.5 ** int(attempts) < 0.001, "each meets the lost one of two as likely as not"
    assert int(attempts) * (DIAL_SECONDS + 0.2) < 15, "docker login waits no longer"


def test_the_reference_names_all_keys_and_actions_of_a_rule() -> None:
    (text,) = (text for keys, _, text in reference() if keys == ["registry:access"])
    for word in (*RULE_KEYS, *ACTIONS):
        assert f"`{word}" in text, word
