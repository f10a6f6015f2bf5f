"""`make adopt`: reading a running registry, planning its move, and carrying that out."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from components.distribution.config import CONFIG_PATH, OWNED
from components.swarm.engine import Tls, find_engine
from ops.adopt import takeover
from ops.adopt.configuration import Configuration, read_configuration
from ops.adopt.original import (
    Docker,
    Mount,
    Original,
    UnreadableError,
    find_registry,
    node_of,
    reader,
)
from ops.adopt.plan import Plan, overlaid
from ops.adopt.planning import make_plan, swarm_stack_of
from ops.adopt.preparation import mounts
from ops.bootstrap.console import UserError
from ops.config import Config
from ops.stack import Stack

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
    "traefik.http.middlewares.app-auth.basicauth.users": "admin:$apr1$aaaaaaaa$" + "b" * 22,
    "traefik.http.services.app.loadbalancer.server.port": "5000",
}
ROUTER = "traefik.http.routers.app-https"
BCRYPT = "$2y$05$" + "c" * 53
HTPASSWD = {"REGISTRY_AUTH": "htpasswd", "REGISTRY_AUTH_HTPASSWD_PATH": "/auth/htpasswd"}
IMAGES = Mount("volume", "app_data", "/var/lib/registry")
FILE = Mount("bind", "/srv/config.yml", "/etc/docker/registry/config.yml")


def original(**changes: Any) -> Original:
    about: dict[str, Any] = {
        "name": "app_registry",
        "id": "id",
        "is_service": True,
        "image": "registry:2",
        "labels": LABELS,
        "variables": {},
        "mounts": [IMAGES],
        "networks": ["web", "app_default"],
    }
    return Original(**(about | changes))


def planned(
    changes: Mapping[str, Any] | None = None,
    files: Mapping[str, str] | None = None,
    logins: str | None = None,
    configured: Mapping[str, Any] | None = None,
) -> Plan:
    return make_plan(
        original(**(changes or {})),
        "app",
        "prod",
        "dog",
        (files or {}).get,
        logins=logins,
        configured=configured,
    )


def config(
    variables: Mapping[str, str] | None = None, files: Mapping[str, str] | None = None
) -> Configuration:
    return read_configuration(original(variables=variables or {}), (files or {}).get)


def test_route_and_volume_are_read_off_what_runs() -> None:
    made = planned()
    assert made.values == {
        "registry:stackName": "app",
        "registry:proxy": "none",
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
    made.check()
    assert made.in_place


def test_a_resolver_alone_asks_for_tls_as_well() -> None:
    labels = {key: value for key, value in LABELS.items() if key != f"{ROUTER}.tls"}
    assert planned({"labels": labels}).values["registry:https"] == "acme"


def test_without_tls_it_stays_plain_http() -> None:
    plain = {key: value for key, value in LABELS.items() if "https" not in key}
    values = planned({"labels": plain}).values
    assert values["registry:https"] == "none"
    assert "registry:certResolver" not in values


@pytest.mark.parametrize("path", OWNED)
def test_settings_that_the_program_owns_are_left_out_with_a_reason(path: str) -> None:
    value = "filesystem" if path == "auth" else "x"
    configuration = config({f"REGISTRY_{path.upper().replace('.', '_')}": value})
    assert overlaid({}, configuration.config) == {}
    silent = ("version", "auth", "http.addr", "storage.filesystem.rootdirectory")
    assert (path in configuration.left_out) is (path not in silent) or configuration.obstacles


def test_settings_that_no_registry_3_knows_are_left_out() -> None:
    configuration = config({"REGISTRY_COMPATIBILITY_SCHEMA1_ENABLED": "true"})
    assert configuration.config == {}
    assert configuration.left_out == {"compatibility": "no registry 3 knows it"}


def test_variables_of_2_8_have_their_types() -> None:
    configuration = config(
        {
            "REGISTRY_STORAGE": "filesystem",
            "REGISTRY_STORAGE_DELETE_ENABLED": "true",
            "REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR": "redis",
            "REGISTRY_REDIS_ADDR": "redis:6379",
            "REGISTRY_REDIS_PASSWORD": "0123",
            "REGISTRY_REDIS_POOL_MAXIDLE": "16",
            "REGISTRY_HTTP_HEADERS_Access-Control-Allow-Origin": "['https://ui.example.com']",
            "REGISTRY_LOG_LEVEL": "debug",
            "REGISTRY_HTTP_SECRET": "x",
            "REGISTRY_NOTIFICATIONS_ENDPOINTS_0_NAME": "007",
            "REGISTRY_NOTIFICATIONS_ENDPOINTS_0_THRESHOLD": "5",
            "REGISTRY_CONFIGURATION_PATH": "/etc/x.yml",
        }
    )
    assert configuration.config == {
        "storage": {"delete": {"enabled": True}},
        "http": {"headers": {"access-control-allow-origin": ["https://ui.example.com"]}},
        "log": {"level": "debug"},
        "notifications": {"endpoints": [{"name": "007", "threshold": 5}]},
    }
    assert set(configuration.left_out) == {
        "http.secret",
        "redis",
        "storage.cache.blobdescriptor: redis",
    }
    assert not configuration.obstacles
    assert "0123" not in str(configuration)


OFFICIAL = """
version: 0.1
log: {fields: {service: registry}}
storage:
  cache: {blobdescriptor: inmemory}
  filesystem: {rootdirectory: /var/lib/registry}
http:
  addr: :5000
  headers: {X-Content-Type-Options: [nosniff]}
health: {storagedriver: {enabled: true, interval: 10s, threshold: 3}}
"""


def test_the_file_of_the_official_image_sets_nothing() -> None:
    configuration = config(files={FILE.target: OFFICIAL})
    assert (configuration.config, configuration.left_out, configuration.obstacles) == ({}, {}, [])


def test_a_file_is_read_and_variables_override_it() -> None:
    text = """
version: 0.1
storage:
  filesystem: {rootdirectory: /data, maxthreads: 50}
  delete: {enabled: yes}
log: {level: warn}
http: {addr: ":5000", draintimeout: 5s, host: "https://r.example.com"}
"""
    changes = {
        "mounts": [Mount("volume", "app_data", "/data/"), FILE],
        "variables": {"REGISTRY_LOG_LEVEL": "error"},
    }
    made = planned(changes, {FILE.target: text})
    assert made.values["registry:config"] == {
        "storage": {"filesystem": {"maxthreads": 50}, "delete": {"enabled": True}},
        "log": {"level": "error"},
        "http": {"host": "https://r.example.com"},
    }
    assert made.values["registry:volumeName"] == "app_data"
    assert list(made.files) == [FILE.target]
    assert made.left_out == {"http.draintimeout": "this program decides it"}
    made.check()


def test_images_in_an_object_store_stay_there() -> None:
    text = """
version: 0.1
storage: {s3: {bucket: images, region: eu-1, accesskey: AKIA, secretkey: hunter2hunter2}}
"""
    made = planned({"mounts": [FILE], "replicas": 3}, {FILE.target: text})
    assert made.volume is None
    assert "registry:volumeNode" not in made.values
    assert made.values["registry:replicas"] == "3"
    made.check()
    secret = [each for each in made.settings if each.is_secret]
    assert [each.path for each in secret] == ["registry:config.storage.s3.secretkey"]


def variables(**values: str) -> dict[str, Any]:
    return {"variables": values}


def labels(**values: str) -> dict[str, Any]:
    names = {f"traefik.http.{key.replace('__', '.')}": value for key, value in values.items()}
    return {"labels": LABELS | names}


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


def test_the_registrys_own_logins_are_kept() -> None:
    bare = {key: value for key, value in LABELS.items() if "auth" not in key}
    changes = {"labels": bare, **variables(**HTPASSWD)}
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


def test_settings_that_would_be_refused_refuse_the_whole_plan() -> None:
    with pytest.raises(UserError, match="dashboardDomain"):
        planned(configured={"registry:dashboardDomain": "ui.example.com"}).check()


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


class FakeDocker(Docker):
    """Answers as a swarm with one service would."""

    def __init__(self, *, env: tuple[str, ...] = (), container: str = "c1", **spec: Any) -> None:
        self.container = container
        self.files = {"/etc/x": "copied", "/run/secrets/htpasswd": ""}
        task = {"Image": "registry:2@sha256:x", "Env": list(env), **spec}
        service = {
            "Name": "app_registry",
            "Mode": {"Replicated": {"Replicas": 1}},
            "Labels": LABELS,
            "TaskTemplate": {"ContainerSpec": task, "Networks": [{"Target": "n1"}]},
            "EndpointSpec": {"Ports": [{"PublishedPort": 5000}]},
        }
        self.service: dict[str, Any] = {"ID": "id", "Spec": service}

    def __call__(self, *args: str) -> str:
        answers = {
            "service ls": "id",
            "service ps": "dog",
            "network ls": "n1 web\nn2 other",
            "ps -q": self.container,
        }
        return answers.get(" ".join(args[:2]), "")

    def inspect(self, kind: str, *names: str) -> list[Any]:
        if kind == "config":
            return [{"Spec": {"Data": base64.b64encode(b"a config").decode()}}]
        return [self.service] if kind == "service" and names else []

    def copied(self, _: str, path: str) -> str | None:
        return self.files.get(path)

    def printed(self, container: str, path: str) -> str | None:
        return f"{container} printed {path}"


SECRET = {"SecretID": "s", "SecretName": "logins", "File": {"Name": "htpasswd"}}
CONFIG = {"ConfigID": "c", "ConfigName": "c", "File": {"Name": CONFIG_PATH}}


def test_a_service_is_found_with_all_that_it_has() -> None:
    mount = {"Type": "volume", "Source": "data", "Target": "/data/"}
    docker = FakeDocker(env=("A=b=c",), Mounts=[mount], Secrets=[SECRET], Configs=[CONFIG])
    registry = find_registry(docker, "app")
    assert (registry.image, registry.networks, registry.ports) == ("registry:2", ["web"], [5000])
    assert registry.variables == {"A": "b=c"}
    assert [(each.kind, each.target) for each in registry.mounts] == [
        ("volume", "/data/"),
        ("secret", "/run/secrets/htpasswd"),
        ("config", CONFIG_PATH),
    ]
    assert node_of(docker, registry) == "dog"
    assert not registry.is_deployed_by_us
    assert not registry.is_stopped


def test_files_are_read_where_they_are() -> None:
    docker = FakeDocker(Secrets=[SECRET], Configs=[CONFIG])
    read = reader(docker, find_registry(docker, "app"), "dog")
    assert read(CONFIG_PATH) == "a config"
    assert read("/run/secrets/htpasswd") == "c1 printed /run/secrets/htpasswd"
    assert read("/etc/x") == "copied"
    assert read("/etc/y") is None


def test_files_of_another_node_are_unreadable_but_for_swarms_configs() -> None:
    docker = FakeDocker(container="", Secrets=[SECRET], Configs=[CONFIG])
    read = reader(docker, find_registry(docker, "app"), "dog")
    assert read(CONFIG_PATH) == "a config"
    assert read("/etc/x") is None, "what its image has"
    with pytest.raises(UnreadableError, match="DOCKER_HOST=ssh://USER@dog"):
        read("/run/secrets/htpasswd")
    docker.service["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] = "example.com/our/registry:2"
    read = reader(docker, find_registry(docker, "app"), "dog")
    with pytest.raises(UnreadableError, match="DOCKER_HOST=ssh://USER@dog"):
        read("/etc/x")


def test_a_registry_of_this_program_is_recognized() -> None:
    named_by_pulumi = SECRET | {
        "SecretName": "registry-config-0a1b2c3",
        "File": {"Name": CONFIG_PATH},
    }
    assert find_registry(FakeDocker(Secrets=[named_by_pulumi]), "app").is_deployed_by_us
    other = named_by_pulumi | {"SecretName": "my-config"}
    assert not find_registry(FakeDocker(Secrets=[other]), "app").is_deployed_by_us


def test_no_label_of_the_originals_stays_behind_without_a_word() -> None:
    assert planned().left_out == {}


class Swarm(Docker):
    """Docker that records its commands."""

    def __init__(self, running: str = "") -> None:
        self.running = running
        self.commands: list[str] = []

    def __call__(self, *args: str) -> str:
        self.commands.append(" ".join(args))
        return self.running if args[:2] == ("service", "ps") else ""


def test_a_container_that_is_stopped_stays_so_when_the_engine_starts_again() -> None:
    docker = Swarm()
    container = original(is_service=False, id="c", restart="always")
    with pytest.raises(KeyboardInterrupt), takeover.stopped(docker, container, "app"):
        raise KeyboardInterrupt
    assert docker.commands[:2] == ["update --restart=no c", "stop c"]
    assert docker.commands[-2:] == ["update --restart=always c", "start c"]


@pytest.mark.parametrize(("running", "started"), [("Running 3 seconds ago", False), ("", True)])
def test_the_old_registry_is_started_only_if_the_new_one_does_not_run(
    running: str, started: bool
) -> None:
    docker = Swarm(running)
    with pytest.raises(KeyboardInterrupt), takeover.stopped(docker, original(id="c"), "app"):
        raise KeyboardInterrupt
    assert any("c=1" in command for command in docker.commands) is started


class Answer:
    """A function that gives one answer, and notes that it was asked."""

    def __init__(self, value: Any, name: str = "", calls: list[str] | None = None) -> None:
        self.value, self.name, self.calls = value, name, [] if calls is None else calls

    def __call__(self, *_: Any, **__: Any) -> Any:
        self.calls.append(self.name)
        return self.value


class Steps:
    """A swarm with `registry`, on which each step of adopt is noted instead of done."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, registry: Original, known: Any = None
    ) -> None:
        self.done: list[str] = []
        self.operations: set[str] = {"import"}
        answers: dict[Any, dict[str, Any]] = {
            takeover: {
                "_configured": known or {},
                "_serves": False,
                "Docker": None,
                "find_registry": registry,
                "node_of": "dog",
                "reader": Answer(None),
            },
            Config: {"lead_docker": None},
        }
        steps: dict[Any, tuple[str, ...]] = {
            takeover: ("run", "prepare_for_import", "_stop", "_start"),
            Stack: ("ensure", "preview", "deploy"),
        }
        for module, values in answers.items():
            for name, value in values.items():
                monkeypatch.setattr(module, name, Answer(value))
        for module, names in steps.items():
            for name in names:
                monkeypatch.setattr(module, name, Answer(None, name, self.done))
        monkeypatch.setattr(takeover, "_operations", lambda *_: self.operations)


def test_nothing_is_touched_before_somebody_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("YES", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    steps = Steps(monkeypatch, original())
    with pytest.raises(UserError, match="add YES=1"):
        takeover.adopt("prod", "app", None)
    assert steps.done == []


def test_a_refused_plan_touches_nothing_whoever_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YES", "1")
    steps = Steps(monkeypatch, original(mounts=[]))
    with pytest.raises(UserError, match="nothing was touched"):
        takeover.adopt("prod", "app", None)
    assert steps.done == []


def test_a_service_that_pulumi_would_delete_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YES", "1")
    steps = Steps(monkeypatch, original())
    steps.operations = {"replace", "create-replacement"}
    with pytest.raises(UserError, match="can't be changed in place"):
        takeover.adopt("prod", "app", None)
    assert "deploy" not in steps.done


def test_a_second_run_goes_on_where_the_first_was_interrupted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("YES", raising=False)
    known = {"registry:stackName": "app"}
    deployed = Steps(monkeypatch, original(is_deployed_by_us=True), known)
    takeover.adopt("prod", "app", None)
    assert deployed.done == ["deploy"]
    stopped = Steps(monkeypatch, original(name="c", is_service=False, is_stopped=True), known)
    takeover.adopt("prod", "app", None)
    assert stopped.done == ["deploy"]


def test_another_stacks_registry_and_one_that_does_not_run_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for registry, reason in (
        (original(is_deployed_by_us=True), "deployed by this program already"),
        (original(is_stopped=True), "only what runs is taken over"),
    ):
        steps = Steps(monkeypatch, registry, {"registry:stackName": "other"})
        with pytest.raises(UserError, match=reason):
            takeover.adopt("prod", "app", None)
        assert steps.done == []


def test_containers_of_compose_are_found() -> None:
    # As `docker inspect` shows one.
    raw = {
        "Id": "c",
        "Name": "/old_registry_1",
        "State": {"Running": True},
        "Args": ["serve", "/etc/docker/registry/config.yml"],
        "Config": {"Image": "registry:2", "Labels": LABELS, "Env": ["A=b"]},
        "HostConfig": {
            "RestartPolicy": {"Name": "always"},
            "PortBindings": {"5000/tcp": [{"HostIp": "", "HostPort": "5001"}]},
        },
        "Mounts": [{"Type": "volume", "Name": "v", "Source": "/x", "Destination": "/r"}],
        "NetworkSettings": {"Networks": {"web": {}}},
    }

    class Compose(FakeDocker):
        def __call__(self, *args: str) -> str:
            return {"ps -aq": "c", "info --format": "node"}.get(" ".join(args[:2]), "")

        def inspect(self, kind: str, *names: str) -> list[Any]:
            return [json.loads(json.dumps(raw))] if kind == "container" and names else []

    docker = Compose()
    registry = find_registry(docker, "my_old")
    assert (registry.restart, registry.ports, registry.networks) == ("always", [5001], ["web"])
    assert registry.mounts == [Mount("volume", "v", "/r")]
    assert swarm_stack_of(registry, "my_old") == "my-old"
    assert node_of(docker, registry) == "node"


def test_the_engine_is_the_one_of_the_stacks_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    # For the docker command, and for what the program's own clients do.
    for name in ("DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "DOCKER_CONTEXT"):
        # So that they are as before afterwards.
        monkeypatch.setenv(name, "")
    begin = "-----BEGIN CERTIFICATE-----\n"
    parts = {"ca": begin + "a", "cert": begin + "c", "key": "-----BEGIN PRIVATE KEY-----\nk"}
    values = {"docker:host": "tcp://dog.example.com:2376"}
    values |= {f"docker:{name}Material": text for name, text in parts.items()}
    Config(stack="test", values=values, secret_keys=frozenset(values)).lead_docker()
    engine = find_engine(None)
    assert engine.host == "tcp://dog.example.com:2376"
    assert engine.tls == Tls(ca=parts["ca"], certificate=parts["cert"], key=parts["key"])


def test_settled_mounts_leave_pulumi_nothing_to_replace_a_service_for() -> None:
    # The provider makes a service anew for each mount with a label that comes or goes.
    labelled = {"Labels": {"com.docker.stack.namespace": "app"}}
    here = {
        "Type": "volume",
        "Source": "data",
        "Target": "/var/lib/registry",
        "VolumeOptions": labelled,
    }
    elsewhere = {**here, "Target": "/data", "VolumeOptions": {"NoCopy": True, **labelled}}
    bind = {"Type": "bind", "Source": "/srv", "Target": "/srv"}
    bare = {"Type": "volume", "Source": "data", "Target": "/data"}
    assert mounts([here, bind], "app", "data") == [bind, here]
    external = {"Type": "volume", "Source": "data", "Target": "/var/lib/registry/"}
    assert mounts([external], "app", "data") == [here], "docker gives an external volume no label"
    assert mounts([elsewhere], "app", "data") == [
        bare | {"VolumeOptions": {"NoCopy": True}},
        here,
    ]
    assert mounts([here], "app", None) == [bare | {"Target": "/var/lib/registry"}]
