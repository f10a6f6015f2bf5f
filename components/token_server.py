"""The token server: checks a login once, and signs for some minutes what that user may do."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pulumi
import pulumi_docker as docker
import pulumi_random as random
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from components.distribution.config import DRAIN_SECONDS, TOKEN_PATH
from components.distribution.config import PORT as REGISTRY_PORT
from components.swarm.service import SwarmService, service_name, swarm_service
from components.swarm.stack import SwarmStack
from components.swarm.task import (
    always_restart,
    duration,
    go_memory,
    json_file_log,
    limits,
    program_probe,
    secret_file,
)
from components.traefik.dynamic import REGISTRY_PATH
from components.traefik.route import RateLimit, Route
from components.version import TOOLS_IMAGE

PROGRAM = "/bin/registry-token"
FOLDER = "/etc/registry-token"
PORT = 5001
USER_ID = 65534
"""`nobody`: the program writes nothing, and no other file of its image is anybody's."""
MEMORY_MIB = 128
SHUTDOWN_SECONDS = 15
"""Time that a stop may take beyond serving on and draining, until Swarm kills the task."""
ACTIONS = ("pull", "push", "delete", "catalog")
"""Actions that a rule may allow; `catalog` lists the names of all repositories."""
ALL_REPOSITORIES = "**"
"""The pattern of all repositories."""
MAX_USER_BYTES = 128
"""Length of the longest name of a user that the server takes."""
FAILURES, WINDOW_SECONDS, CHECKS = 20, 60, 2
"""Wrong logins of a user from an address in a window of time, before more are refused; passwords
that one task checks at once."""
REQUESTS_PER_SECOND, BURST = 50, 200
"""Requests that Traefik lets through from one address, which may be that of many clients. A storm
ends there, and guessing at the server."""
NOT_BEARER = "!HeaderRegexp(`Authorization`, `(?i)^Bearer `)"
"""Traefik's rule for requests without a token."""
SEED_BYTES = 32
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Private keys of P-256 are the numbers from 1 to this one, without it."""
COORDINATE_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class AccessRule:
    """Who may do what with which repositories; rules add up, and the rest is forbidden."""

    users: Sequence[str] = ()
    """Names of users, or patterns of them: `*` stands for any characters."""
    anonymous: bool = False
    """For everybody, with and without a login."""
    repositories: Sequence[str] = (ALL_REPOSITORIES,)
    """Patterns of whole names: `*` stands for characters without a slash, `**` for any."""
    actions: Sequence[str]
    """Of `ACTIONS`."""


@dataclass(frozen=True, kw_only=True)
class TokenServerOptions:
    """Options of a token server."""

    image: str = TOOLS_IMAGE
    access: Sequence[AccessRule] = (AccessRule(users=("*",), actions=ACTIONS),)
    """Default: every user may do everything."""
    lifetime_seconds: int = 240
    """Time for which a token holds, 60 or more; registries allow for 60 more."""
    replicas: int = 2
    """Tasks, which Swarm spreads over nodes."""
    signing_keys: Sequence[str] = ("1",)
    """Names of keys: the first one signs, and tokens of all of them count."""
    trusted_proxies: Sequence[str] = ()
    """Addresses and networks (CIDR) of proxies in front of Traefik, which say whom they serve."""


@dataclass(frozen=True, kw_only=True)
class TokenServerArgs:
    """Arguments of `TokenServer`."""

    stack: SwarmStack
    options: TokenServerOptions = TokenServerOptions()
    routes: Mapping[str, Route]
    """Of all that ask for its tokens, by Swarm service, the registry's first: it answers at their
    host names."""
    drain_seconds: int = DRAIN_SECONDS
    """Time for which a stopping server lets requests finish that it passes on to a registry."""
    network_id: pulumi.Input[str]
    """Full id of the network that Traefik is on."""
    users: docker.Secret
    """Hashes of passwords by user, of `Credentials`."""


class TokenServer(pulumi.ComponentResource):
    """Signs tokens, behind Traefik, at the registry's own host names.

    What has no token goes through it to the registry, too: clients that have begun with a password
    go on with it while the registry changes over to tokens, and back.

    It keeps no state: users, rules and key are Swarm secrets. Its keys are derived from one seed,
    which is kept in the state, and their names.
    """

    jwks: pulumi.Output[str]
    """Public keys of all tokens that count (RFC 7517), in an order of their own: which key signs is
    no concern of a registry's."""
    service: SwarmService
    """The Swarm service."""

    def __init__(
        self, name: str, args: TokenServerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("registry:index:TokenServer", name, None, opts)
        child, stack, options = pulumi.ResourceOptions(parent=self), args.stack, args.options
        seed = random.RandomBytes(f"{name}-seed", length=SEED_BYTES, opts=child).base64.apply(
            base64.b64decode
        )
        self.jwks = seed.apply(
            lambda seed: json.dumps(key_set(seed, options.signing_keys), indent=2)
        )
        pem = seed.apply(lambda seed: private_pem(signing_key(seed, options.signing_keys[0])))
        config = json.dumps(
            server_config(stack.name, args.routes, options, args.drain_seconds), indent=2
        )
        files = {
            "config.json": stack.secret(f"{name}-config", config, child),
            "users.json": args.users,
            "key.pem": stack.secret(f"{name}-key", pem, child),
        }
        self.service = swarm_service(
            f"{name}-service",
            stack=stack,
            service="token",
            labels=server_labels([*args.routes.values()], options),
            task=_task(args, files),
            replicas=options.replicas,
            # It has no state, so no login finds nobody.
            order="start-first",
            opts=child,
        )
        self.register_outputs({"jwks": self.jwks})


def _task(args: TokenServerArgs, files: Mapping[str, docker.Secret]) -> docker.ServiceTaskSpecArgs:
    discovery_seconds = _discovery_seconds(args.routes)
    return docker.ServiceTaskSpecArgs(
        container_spec=docker.ServiceTaskSpecContainerSpecArgs(
            image=args.options.image,
            commands=[PROGRAM, "serve"],
            # The one variable here: the provider sends several in random order, which restarts
            # tasks.
            env=go_memory(MEMORY_MIB),
            user=f"{USER_ID}:{USER_ID}",
            secrets=[
                secret_file(f"{FOLDER}/{file}", secret, USER_ID) for file, secret in files.items()
            ],
            healthcheck=program_probe(PROGRAM, "healthcheck"),
            read_only=True,
            stop_grace_period=duration(discovery_seconds + args.drain_seconds + SHUTDOWN_SECONDS),
        ),
        networks_advanceds=[docker.ServiceTaskSpecNetworksAdvancedArgs(id=args.network_id)],
        resources=limits(MEMORY_MIB, None),
        restart_policy=always_restart(),
        log_driver=json_file_log(args.stack.logs),
    )


def _discovery_seconds(routes: Mapping[str, Route]) -> int:
    return max(route.discovery_seconds for route in routes.values())


def server_config(
    stack_name: str, routes: Mapping[str, Route], options: TokenServerOptions, drain_seconds: int
) -> dict[str, Any]:
    """Return the server's `config.json`, in which there is no secret."""
    return {
        "issuer": stack_name,
        "service": stack_name,
        "listen": f":{PORT}",
        "lifetime_seconds": options.lifetime_seconds,
        # How long Traefik may go on sending requests to a task that is about to end.
        "discovery_seconds": _discovery_seconds(routes),
        "drain_seconds": drain_seconds,
        "registries": {
            route.domain: f"{service_name(stack_name, service)}:{REGISTRY_PORT}"
            for service, route in routes.items()
        },
        "access": [
            {
                "users": list(rule.users),
                "anonymous": rule.anonymous,
                "repositories": list(rule.repositories),
                "actions": list(rule.actions),
            }
            for rule in options.access
        ],
        "limits": {"failures": FAILURES, "window_seconds": WINDOW_SECONDS, "checks": CHECKS},
        "trusted_proxies": [str(ipaddress.ip_network(each)) for each in options.trusted_proxies],
    }


def server_labels(routes: Sequence[Route], options: TokenServerOptions) -> dict[str, str]:
    """Return labels for Traefik: at the host of each route, TOKEN_PATH leads to the server.

    So does what has no token. These rules are longer than that of the registry's own router, so
    they come first.
    """
    limit = RateLimit(
        average=REQUESTS_PER_SECOND, burst=BURST, trusted_proxies=options.trusted_proxies
    )
    labels: dict[str, str] = {}
    for route in routes:
        token_route = replace(route, path=TOKEN_PATH, tag=f"{route.tag}-token", limit=limit)
        # No limit here: a push with a password is hundreds of requests within seconds.
        login_route = replace(
            route, path=REGISTRY_PATH, condition=NOT_BEARER, tag=login_tag(route.tag)
        )
        for each in (token_route, login_route):
            # Clients don't ask again for a token, and a lost node has half of the tasks. No health
            # check: the server keeps no connection that one could go over.
            labels |= each.to_several_tasks().labels(PORT)
    return labels


def login_tag(tag: str) -> str:
    """Return the tag of the route of what has no token, for a registry's `tag`."""
    return f"{tag}-login"


def signing_key(seed: bytes, name: str) -> ec.EllipticCurvePrivateKey:
    """Return the key of that name, of the curve P-256; another seed, another one."""
    digest = hmac.digest(seed, f"signing key {name}".encode(), "sha512")
    number = int.from_bytes(digest, "big") % (P256_ORDER - 1) + 1
    return ec.derive_private_key(number, ec.SECP256R1())


def private_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """Return a key as the server reads it: PKCS #8."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def key_set(seed: bytes, names: Sequence[str]) -> dict[str, Any]:
    """Return the public halves of the keys of these names, as the registry reads them."""
    return {"keys": [public_jwk(signing_key(seed, name)) for name in sorted(names)]}


def public_jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    """Return the public half of a key as JWK; its id is its thumbprint (RFC 7638)."""
    numbers = key.public_key().public_numbers()
    x, y = (_base64url(each.to_bytes(COORDINATE_BYTES, "big")) for each in (numbers.x, numbers.y))
    required = {"crv": "P-256", "kty": "EC", "x": x, "y": y}
    canonical = json.dumps(required, separators=(",", ":"), sort_keys=True)
    thumbprint = _base64url(hashlib.sha256(canonical.encode()).digest())
    return {**required, "alg": "ES256", "kid": thumbprint, "use": "sig"}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
