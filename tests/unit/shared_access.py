"""Settings of stacks with a token server."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from components import (
    Credentials,
    CredentialsArgs,
    Route,
    SwarmStack,
    TokenServer,
    TokenServerArgs,
    TokenServerOptions,
)
from settings import Settings, parse

from .conftest import Deploy, Recorder
from .program import raw

GOOD = {"stackName": "images-com", "domain": "images.example.com", "auth": "token"}
EVERYBODY = {"users": ["*"], "actions": ["pull"]}
UNTIL = "2026-11-27T10:00:00Z"
APR1 = "$apr1$8sdhfjsd$Mb6IbAMxSMVRIsDe0lS.j/"
SECRETS = (
    *("registry:passwords", "registry:hashedPasswords", "registry:formerPasswords"),
    "registry:passwordSeeds",
)
SEED, OTHER_SEED = b"\1" * 32, b"\2" * 32


def settings(secrets: Sequence[str] = SECRETS, **values: Any) -> Settings:
    return parse(raw({**GOOD, **values}), lambda key: key in secrets, "prod")


def content(recorder: Recorder, secret: str) -> str:
    return base64.b64decode(recorder.of_type("Secret")[secret]["data"]["value"]).decode()


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
            routes={"registry": ROUTE},
            network_id="net-id",
            users=login.secret,
        )
        TokenServer("token", args)

    return deploy(program)
