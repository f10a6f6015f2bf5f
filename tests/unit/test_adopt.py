"""What is read off a running registry."""

from __future__ import annotations

import re
from typing import Any

import pytest

from components.registry_config import OWNED
from ops import adopt
from ops.adopt import Found, find
from ops.console import Problem

LABELS = {
    "traefik.enable": "true",
    "traefik.docker.network": "web",
    "traefik.constraint-label": "public",
    "traefik.http.routers.app-http.rule": "Host(`r.example.com`)",
    "traefik.http.routers.app-http.entrypoints": "web",
    "traefik.http.routers.app-http.middlewares": "to-https-redirect",
    "traefik.http.routers.app-https.rule": "Host(`r.example.com`)",
    "traefik.http.routers.app-https.entrypoints": "websecure",
    "traefik.http.routers.app-https.tls": "true",
    "traefik.http.routers.app-https.tls.certResolver": "letsencrypt",
    "traefik.http.middlewares.app-auth.basicauth.users": "admin:$apr1$a$b,ci:$apr1$c$d",
}


def found(**changes: Any) -> Found:
    about: dict[str, Any] = {
        "name": "app_registry",
        "id": "id",
        "is_service": True,
        "node": "dog",
        "image": "registry:2",
        "labels": LABELS,
        "variables": {},
        "volume": "app_data",
    }
    return Found(**(about | changes))


def test_the_route_is_read_off_the_labels() -> None:
    assert found().settings == {
        "registry:domain": "r.example.com",
        "registry:traefikTag": "app",
        "registry:https": "acme",
        "registry:certResolver": "letsencrypt",
        "registry:httpsEntryPoint": "websecure",
        "registry:entryPoint": "web",
        "registry:redirectMiddleware": "to-https-redirect",
        "registry:network": "web",
        "registry:networkLabel": "traefik.docker.network",
        "registry:constraintLabel": "traefik.constraint-label",
        "registry:publicTag": "public",
        "registry:volumeName": "app_data",
        "registry:volumeNode": "dog",
    }


def test_without_tls_it_stays_plain_http() -> None:
    plain = {key: value for key, value in LABELS.items() if "https" not in key}
    settings = found(labels=plain).settings
    assert settings["registry:https"] == "none"
    assert "registry:certResolver" not in settings


@pytest.mark.parametrize("rule", ["PathPrefix(`/v2/`)", "Host(`a.b`) || Host(`c.d`)"])
def test_a_route_of_no_one_host_name_is_refused(rule: str) -> None:
    with pytest.raises(Problem, match="one host name is needed"):
        _ = found(labels={"traefik.http.routers.x.rule": rule}).settings


def test_variables_become_configuration_unless_the_program_owns_them() -> None:
    variables = {
        "REGISTRY_STORAGE_DELETE_ENABLED": "true",
        "REGISTRY_HTTP_SECRET": "x",
        "REGISTRY_AUTH": "htpasswd",
        "REGISTRY_AUTH_HTPASSWD_PATH": "/x",
        "PATH": "/bin",
    }
    assert found(variables=variables).config == {"storage.delete.enabled": "true"}


@pytest.mark.parametrize("path", OWNED)
def test_what_the_program_would_refuse_is_not_taken_over(path: str) -> None:
    """Neither the path itself, nor one below, nor all that is above it as one text."""
    parts = path.split(".")
    for name in (parts, [*parts, "x"], parts[:1]):
        registry = found(variables={f"REGISTRY_{'_'.join(name).upper()}": "x"})
        assert registry.config == {}
        assert registry.left_out == [".".join(name)]


def test_what_the_registry_no_longer_knows_is_left_out() -> None:
    registry = found(variables={"REGISTRY_COMPATIBILITY_SCHEMA1_ENABLED": "true"})
    assert registry.config == {}
    assert registry.left_out == ["compatibility.schema1.enabled"]


def test_a_number_in_a_variable_is_a_place_in_a_list() -> None:
    variables = {"REGISTRY_NOTIFICATIONS_ENDPOINTS_0_NAME": "hook"}
    assert found(variables=variables).config == {"notifications.endpoints[0].name": "hook"}


def test_logins_are_those_that_traefik_asks_for() -> None:
    assert found().logins == {"admin": "$apr1$a$b", "ci": "$apr1$c$d"}
    assert found(labels={}).logins == {}


class FakeDocker:
    """Answers as a swarm with one service would."""

    def __init__(self, *mounts: dict[str, str], env: tuple[str, ...] = ()) -> None:
        container = {"Image": "registry:2@sha256:x", "Mounts": list(mounts), "Env": list(env)}
        spec = {"Name": "app_registry", "TaskTemplate": {"ContainerSpec": container}}
        self.service = {"ID": "id", "Spec": {**spec, "Labels": LABELS}}

    def __call__(self, *words: str) -> str:
        return {"service ls": "id", "service ps": "dog"}.get(" ".join(words[:2]), "")

    def inspect(self, kind: str, *names: str) -> list[Any]:
        return [self.service] if kind == "service" and names else []


def test_the_volume_is_the_one_at_the_registrys_root() -> None:
    other = {"Type": "volume", "Source": "other", "Target": "/other"}
    mount = {"Type": "volume", "Source": "data", "Target": "/data/"}
    env = ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/data",)
    registry = find(FakeDocker(other, mount, env=env), "app")  # type: ignore[arg-type]
    assert (registry.volume, registry.node, registry.image) == ("data", "dog", "registry:2")


@pytest.mark.parametrize(
    ("mounts", "says"),
    [
        ([{"Type": "bind", "Source": "/srv", "Target": "/var/lib/registry"}], "in the folder /srv"),
        ([], "has no volume at /var/lib/registry"),
    ],
)
def test_images_that_are_in_no_volume_are_told(mounts: list[dict[str, str]], says: str) -> None:
    with pytest.raises(Problem, match=says):
        find(FakeDocker(*mounts), "app")  # type: ignore[arg-type]


ROUTER = "traefik.http.routers.app-https"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"targets": ["/etc/docker/registry/config.yml"]}, "configuration of its own"),
        ({"targets": ["/etc/distribution"]}, "configuration of its own"),
        ({"variables": {"REGISTRY_AUTH_HTPASSWD_PATH": "/auth/htpasswd"}}, "logins in /auth"),
        (
            {"labels": LABELS | {"traefik.http.middlewares.a.basicauth.usersFile": "/users"}},
            "logins in /users",
        ),
        (
            {
                "labels": LABELS
                | {
                    f"{ROUTER}.middlewares": "app-auth,office",
                    "traefik.http.middlewares.office.ipallowlist.sourcerange": "10.0.0.0/8",
                }
            },
            r"middleware office \(ipallowlist\)",
        ),
        (
            {"labels": LABELS | {f"{ROUTER}.rule": "Host(`r.example.com`) && PathPrefix(`/x`)"}},
            "says more than a name",
        ),
        (
            {
                "labels": LABELS
                | {f"{ROUTER}.rule": "Host(`r.example.com`) && ClientIP(`10.0.0.1`)"}
            },
            "says more than a name",
        ),
    ],
)
def test_what_would_be_lost_is_said_before_anything_is_touched(
    changes: dict[str, Any], says: str
) -> None:
    (problem,) = found(**changes).obstacles(None, "advisory")
    assert re.search(says, problem)


def test_logins_that_cannot_be_read_are_given_up_only_when_that_is_asked_for() -> None:
    registry = found(variables={"REGISTRY_AUTH_HTPASSWD_PATH": "/auth/htpasswd"})
    assert registry.obstacles("new", "advisory") == []
    assert len(registry.obstacles("keep", "advisory")) == 1


def test_hashes_in_a_label_are_refused_where_policies_are_mandatory() -> None:
    (problem,) = found().obstacles("keep", "mandatory")
    assert "registry:policy mandatory" in problem
    assert found().obstacles("keep", "advisory") == []
    assert found().obstacles(None, "mandatory") == []


def test_restrictions_that_there_are_settings_for_are_kept() -> None:
    labels = LABELS | {
        f"{ROUTER}.middlewares": "app-auth,office@file,limit@swarm",
        f"{ROUTER}.tls.options": "modern@file",
        f"{ROUTER}.rule": "Host(`r.example.com`) && PathPrefix(`/v2`)",
    }
    registry = found(labels=labels)
    assert registry.obstacles(None, "advisory") == []
    kept = registry.settings
    assert kept["registry:middlewares[0]"] == "office@file"
    assert kept["registry:middlewares[1]"] == "limit@swarm"
    assert "registry:middlewares[2]" not in kept
    assert kept["registry:tlsOptions"] == "modern@file"
    assert kept["registry:sharedDomain"] == "true"


def test_secrets_are_neither_shown_nor_on_a_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands: list[tuple[list[str], str | None]] = []
    monkeypatch.setattr(
        adopt, "run", lambda words, stdin=None: commands.append((list(words), stdin))
    )
    registry = found(
        variables={
            "REGISTRY_REDIS_PASSWORD": "hunter2",
            "REGISTRY_NOTIFICATIONS_ENDPOINTS_0_HEADERS_AUTHORIZATION": "Bearer hunter2",
            "REGISTRY_NOTIFICATIONS_ENDPOINTS_1_HEADERS_AUTHORIZATION_0": "Bearer hunter2",
            "REGISTRY_LOG_LEVEL": "debug",
        }
    )
    adopt.set_config("prod", registry)
    assert "hunter2" not in str([words for words, _ in commands])
    assert {stdin for _, stdin in commands} == {"hunter2", "Bearer hunter2", None}
    shown = capsys.readouterr().err
    assert "hunter2" not in shown
    assert "log.level: debug" in shown


class Swarm:
    """Notes what docker is told."""

    def __init__(self, running: str) -> None:
        self.running = running
        self.told: list[str] = []

    def __call__(self, *words: str) -> str:
        self.told.append(" ".join(words))
        return self.running if words[:2] == ("service", "ps") else ""


def test_a_container_that_is_stopped_stays_so_when_the_engine_starts_again() -> None:
    docker = Swarm("")
    container = found(is_service=False, id="c", restart="always")
    adopt._stop(docker, container)  # type: ignore[arg-type]
    assert docker.told == ["update --restart=no c", "stop c"]
    docker.told.clear()
    adopt._start(docker, container)  # type: ignore[arg-type]
    assert docker.told == ["update --restart=always c", "start c"]


@pytest.mark.parametrize(("running", "started"), [("Running 3 seconds ago", False), ("", True)])
def test_the_old_registry_is_started_only_if_the_new_one_does_not_run(
    running: str, started: bool
) -> None:
    docker = Swarm(running)
    with pytest.raises(KeyboardInterrupt), adopt.stopped(docker, found(id="c"), "app"):  # type: ignore[arg-type]
        raise KeyboardInterrupt
    assert any("c=1" in words for words in docker.told) is started
