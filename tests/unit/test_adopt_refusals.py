"""What refuses a whole plan, and what becomes of logins and secrets."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from components.distribution.config import CONFIG_PATH
from ops.adopt import takeover
from ops.adopt.original import (
    Mount,
    UnreadableError,
)
from ops.adopt.plan import overlaid
from ops.adopt.planning import make_plan
from ops.bootstrap.console import UserError
from settings import parse

from .shared_adopt import (
    FILE,
    IMAGES,
    LABELS,
    config,
    labels,
    original,
    planned,
    variables,
)

BCRYPT = "$2y$05$" + "c" * 53
HTPASSWD = {"REGISTRY_AUTH": "htpasswd", "REGISTRY_AUTH_HTPASSWD_PATH": "/auth/htpasswd"}


HTTPS = "routers__app-https__"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (variables(REGISTRY_AUTH_TOKEN_REALM="https://a"), "logins of kind token"),
        (variables(REGISTRY_PROXY_REMOTEURL="https://hub"), "mirror of another registry"),
        (variables(REGISTRY_HTTP_PREFIX="/x/"), "puts all below a path"),
        (variables(REGISTRY_HTTP_TLS_CLIENTCAS="[/ca.pem]"), "asks clients for certificates"),
        (variables(REGISTRY_STORAGE="inmemory"), "isn't known by a registry 3"),
        (
            variables(REGISTRY_STORAGE="s3", AWS_SECRET_ACCESS_KEY="hunter2"),
            "AWS_SECRET_ACCESS_KEY says who",
        ),
        (variables(REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY="/data"), "no volume at /data"),
        (
            {
                "mounts": [IMAGES, Mount("bind", "/srv", "/keys")],
                **variables(REGISTRY_REDIS="", REGISTRY_HTTP_DEBUG_ADDR="/keys/a"),
            },
            "http.debug.addr names /keys/a",
        ),
        ({"mounts": [Mount("bind", "/srv", "/var/lib/registry")]}, "in the folder /srv"),
        ({"mounts": []}, "has no volume at /var/lib/registry"),
        (
            {"mounts": [IMAGES, Mount("volume", "b", "/var/lib/registry/docker")]},
            "a mount of its own",
        ),
        ({"mounts": [Mount("volume", "a", "/var/lib/registry", True)]}, "driver or options"),
        (labels(middlewares__a__basicauth__usersFile="/users"), "logins in /users"),
        (variables(**HTPASSWD), "logins in /auth/htpasswd would be lost: it isn't there"),
        (
            labels(
                **{
                    f"{HTTPS}middlewares": "app-auth,office",
                    "middlewares__office__ipallowlist__sourcerange": "10.0.0.0/8",
                }
            ),
            r"middleware office \(ipallowlist\)",
        ),
        (
            labels(**{"middlewares__to-https-redirect__redirectscheme__scheme": "https"}),
            r"middleware to-https-redirect \(redirectscheme\)",
        ),
        (labels(**{f"{HTTPS}rule": "Host(`r.example.com`) && PathPrefix(`/x`)"}), "more than a"),
        (
            labels(**{f"{HTTPS}rule": "Host(`r.example.com`) && ClientIP(`10.0.0.1`)"}),
            "more than a name",
        ),
        (labels(**{f"{HTTPS}rule": "Host(`a.b`) || Host(`c.d`)"}), "one host name is needed"),
        (
            labels(
                **{
                    "routers__inner__rule": "Host(`r.example.com`)",
                    "routers__inner__tls": "true",
                }
            ),
            "2 routers for HTTPS",
        ),
        ({"labels": {}}, "no label of it makes a router"),
    ],
)
def test_a_loss_refuses_the_whole_plan(changes: dict[str, Any], reason: str) -> None:
    made = planned(changes)
    assert any(re.search(reason, obstacle) for obstacle in made.obstacles), made.obstacles
    with pytest.raises(UserError, match="nothing was touched"):
        made.check()
    assert "hunter2" not in str(made.obstacles)


def test_a_file_that_cant_be_read_refuses_the_whole_plan() -> None:
    def read(_: str) -> str | None:
        raise UnreadableError("can't be read from here")

    made = make_plan(original(mounts=[IMAGES, FILE]), "app", "prod", "dog", read)
    assert "configuration file /etc/distribution/config.yml can't be read" in made.obstacles[0]


@pytest.mark.parametrize("text", ["a: [hunter2", "hunter2"])
def test_a_file_that_is_no_configuration_is_not_quoted(text: str) -> None:
    (obstacle,) = config(files={CONFIG_PATH: text}).obstacles
    assert "hunter2" not in obstacle


LINES = f"# who\nadmin:{BCRYPT}\nci:{BCRYPT}\nold:$apr1$x$y\n"


BARE = {key: value for key, value in LABELS.items() if "auth" not in key}


def test_the_registrys_own_logins_are_kept() -> None:
    changes = {"labels": BARE, **variables(**HTPASSWD)}
    files = {"/auth/htpasswd": LINES}
    keep = planned(changes, files, "keep")
    assert keep.values["registry:hashedPasswords"] == {"admin": BCRYPT, "ci": BCRYPT}
    assert "the registry itself no longer" in keep.logins
    keep.check()
    new = planned(changes, files)
    assert new.values["registry:users"] == ["admin", "ci"]
    assert "registry:hashedPasswords" not in new.values
    new.check()


def test_where_traefik_asks_too_it_has_to_know_the_user() -> None:
    plan = planned(variables(**HTPASSWD), {"/auth/htpasswd": LINES}, "keep")
    assert plan.values["registry:hashedPasswords"] == {"admin": BCRYPT}


def test_logins_that_cannot_be_read_are_given_up_only_when_that_is_asked_for() -> None:
    assert planned(variables(**HTPASSWD), {}, "new").obstacles == []
    assert len(planned(variables(**HTPASSWD), {}, "keep").obstacles) == 1


def test_hashes_in_a_label_are_refused_where_policies_are_mandatory() -> None:
    mandatory = {"registry:policy": "mandatory"}
    with pytest.raises(UserError, match="registry:policy mandatory forbids"):
        planned(logins="keep", configured=mandatory).check()
    planned(configured=mandatory).check()
    planned(logins="keep").check()


@pytest.mark.parametrize(
    ("changes", "files", "hashes"),
    [
        ({}, {}, {"admin": "$apr1$aaaaaaaa$" + "b" * 22}),
        (
            {"labels": BARE, **variables(**HTPASSWD)},
            {"/auth/htpasswd": LINES},
            {"admin": BCRYPT, "ci": BCRYPT},
        ),
    ],
    ids=["Traefik's", "the registry's own"],
)
def test_a_token_server_takes_over_the_logins_and_no_label_has_a_hash(
    changes: dict[str, Any], files: dict[str, str], hashes: dict[str, str]
) -> None:
    configured = {"registry:auth": "token", "registry:policy": "mandatory"}
    made = planned(changes, files, "keep", configured)
    made.check()
    assert "kept, the token server asks for them; no label has their hashes" in made.logins
    assert made.values["registry:hashedPasswords"] == hashes
    # Nobody else gets in: not even the user whom a stack has unless others are named.
    assert "registry:users" not in made.values
    values = overlaid(configured, made.values)
    raw = {key: each if isinstance(each, str) else json.dumps(each) for key, each in values.items()}
    settings = parse(raw, lambda key: key == "registry:hashedPasswords", "prod")
    assert settings.login.hashes == hashes
    assert not settings.login.users
    assert "$" not in str(settings.routes.registry.labels(5000))


def test_settings_that_would_be_refused_refuse_the_whole_plan() -> None:
    with pytest.raises(UserError, match="dashboardDomain"):
        planned(configured={"registry:dashboardDomain": "ui.example.com"}).check()


def test_what_the_file_has_encrypted_is_not_taken_for_plain_text() -> None:
    former = {"ci": {"password": "hunter2hunter2", "until": "2999-01-01T00:00:00Z"}}
    configured: dict[str, Any] = {"registry:auth": "token", "registry:users": ["ci"]}
    configured |= {"registry:formerPasswords": former, "registry:passwords": {"ci": "hunter3"}}
    planned(logins="keep", configured=configured).check()


def test_restrictions_that_there_are_settings_for_are_kept() -> None:
    changes = labels(
        **{
            f"{HTTPS}middlewares": "app-auth,office@file,limit@swarm",
            f"{HTTPS}tls__options": "modern@file",
            f"{HTTPS}rule": "Host(`r.example.com`) && PathPrefix(`/v2`)",
        }
    )
    made = planned(changes)
    made.check()
    assert made.values["registry:middlewares"] == ["office@file", "limit@swarm"]
    assert made.values["registry:tlsOptions"] == "modern@file"
    assert made.values["registry:sharedDomain"] == "true"


def test_all_is_shown_but_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    headers = "REGISTRY_NOTIFICATIONS_ENDPOINTS_0_HEADERS_AUTHORIZATION"
    changes = {
        **variables(**{headers: "hunter2-of-no-known-scheme", "REGISTRY_LOG_LEVEL": "warn"}),
        "mounts": [IMAGES, Mount("bind", "/srv", "/srv")],
        "ports": [5000],
        "hosts": ["10.0.0.9 store"],
        **labels(**{f"{HTTPS}priority": "7"}),
    }
    configured = {"registry:proxy": "main", "registry:config": {"log": {"level": "hunter2"}}}
    planned(changes, logins="keep", configured=configured).show()
    shown = capsys.readouterr().err
    assert "hunter2" not in shown
    assert "apr1" not in shown
    for line in (
        "changed in place",
        "stay in volume app_data on dog",
        "network   web; not app_default",
        "of admin: kept, Traefik asks for them as before",
        "registry:proxy: none (replaces another value)",
        "registry:config.log.level: warn (replaces another value)",
        "registry:config.notifications.endpoints[0].headers.authorization[0]: [secret]",
        "registry:hashedPasswords.admin: [secret]",
        "port 5000: clients come through Traefik",
        "host 10.0.0.9 store: there is no setting",
        "bind at /srv: this program mounts",
        "label traefik.http.routers.app-https.priority: there is no setting",
    ):
        assert line in shown


def test_secrets_are_not_on_a_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[tuple[list[str], str | None]] = []
    monkeypatch.setattr(
        takeover, "run", lambda command, stdin=None: commands.append((list(command), stdin))
    )
    changes = variables(
        REGISTRY_LOG_HOOKS_0_OPTIONS_SMTP_PASSWORD="hunter2",
        REGISTRY_NOTIFICATIONS_ENDPOINTS_0_HEADERS_AUTHORIZATION="hunter2-of-no-known-scheme",
        REGISTRY_LOG_LEVEL="debug",
    )
    takeover.write("prod", planned(changes).settings)
    assert "hunter2" not in str([command for command, _ in commands])
    assert {stdin for _, stdin in commands} == {"hunter2", "hunter2-of-no-known-scheme", None}
    assert "registry:config.log.level=debug" in commands[0][0]


def test_the_originals_compose_file_is_planned() -> None:
    # As its README deploys it, with the labels of DockerSwarm.rocks.
    names = {"traefik.docker.network": "traefik-public", "traefik.constraint-label": "x"}
    made = planned({"labels": LABELS | names, "mounts": [IMAGES]}, logins="keep")
    made.check()
    assert made.values["registry:hashedPasswords"] == {"admin": "$apr1$aaaaaaaa$" + "b" * 22}
