"""Components under mocks: what each declares."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import bcrypt
import pulumi
import pytest

from components import (
    Credentials,
    CredentialsArgs,
    CredentialsOptions,
    Dashboard,
    Https,
    MirrorOptions,
    Mirrors,
    MirrorsArgs,
    MountedData,
    NetworkOptions,
    Proxy,
    ProxyArgs,
    ProxyOptions,
    PublicNetwork,
    PublicNetworkArgs,
    Redis,
    RedisArgs,
    Registry,
    RegistryArgs,
    RegistryOptions,
    Route,
    SocketProxy,
    SocketProxyArgs,
    SocketProxyOptions,
    SwarmStack,
    redis,
    socket_proxy,
)
from components.credentials import generated_password, htpasswd_line
from components.distribution.config import (
    DATA_PATH,
    HUB,
    ConfigOptions,
    Secrets,
    Upstream,
    Wiring,
    document,
    folder_of_mirror,
    of_mirrors,
)
from components.distribution.service import GRACEFUL_STOP, STORAGE_FIRST
from components.errors import NetworkError, NetworkNotEncryptedError
from components.files import FOLDER
from components.proxy import MAX_PROXY_SECRET
from components.redis import PASSWORD_LENGTH
from components.swarm.inspect import Network
from components.swarm.stack import MAX_SECRET_BYTES, secret_data, secret_name
from components.swarm.task import volume_mount
from components.traefik.flags import Acme, ExternalAccount, file_content, storage_in_use
from ops.bootstrap import ROOT

from .conftest import Deploy, Recorder, refused, swarm

ROUTE = Route(
    domain="registry.example.com",
    tag="registry.com",
    network="traefik-public",
    constraint_label="traefik.constraint-label",
    constraint_value="traefik-public",
)

QUICK = replace(ROUTE, discovery_seconds=5)
RETRY = {
    "traefik.http.middlewares.registry-com-retry.retry.attempts": "2",
    "traefik.http.middlewares.registry-com-retry.retry.initialinterval": "100ms",
}


def labels(inputs: dict[str, Any]) -> dict[str, str]:
    return {label["label"]: label["value"] for label in inputs["labels"]}


STACK = SwarmStack(name="s")
MOUNT = volume_mount("registry-com", "registry-com_registry-data", DATA_PATH)


def chosen(options: type[Any], values: dict[str, Any]) -> Any:
    """Return the `options` that are among `values`, which are taken out of them."""
    names = {field.name for field in fields(options)} & values.keys()
    return options(**{name: values.pop(name) for name in names})


def registry(deploy: Deploy, **changes: Any) -> Recorder:
    """Run a registry; `changes` are of its options, or of its arguments."""

    def program() -> None:
        login = Credentials("login", CredentialsArgs(stack=STACK))
        base: dict[str, Any] = {
            "stack": SwarmStack(name="registry-com"),
            "options": chosen(RegistryOptions, changes),
            "route": ROUTE,
            "networks": ["net-id"],
            "htpasswd": login.secret,
            "data": MountedData(mounts=[MOUNT], constraints=["node.labels.x == true"]),
        }
        Registry("registry", RegistryArgs(**(base | changes)))

    return deploy(program)


def config_of(recorder: Recorder) -> dict[str, Any]:
    data = recorder.of_type("Secret")["registry-config"]["data"]
    return dict(json.loads(base64.b64decode(data["value"])))


def test_behind_a_main_traefik_the_labels_are_those_of_dockerswarm_rocks() -> None:
    route = replace(ROUTE, network_label="traefik.docker.network", https=Https())
    assert route.labels(5000) == {
        "traefik.enable": "true",
        "traefik.docker.network": "traefik-public",
        "traefik.constraint-label": "traefik-public",
        "traefik.http.routers.registry-com-http.rule": "Host(`registry.example.com`)",
        "traefik.http.routers.registry-com-http.entrypoints": "http",
        "traefik.http.routers.registry-com-http.service": "registry-com",
        "traefik.http.routers.registry-com-http.middlewares": "https-redirect",
        "traefik.http.routers.registry-com-https.rule": "Host(`registry.example.com`)",
        "traefik.http.routers.registry-com-https.entrypoints": "https",
        "traefik.http.routers.registry-com-https.service": "registry-com",
        "traefik.http.routers.registry-com-https.tls": "true",
        "traefik.http.routers.registry-com-https.tls.certresolver": "le",
        "traefik.http.routers.registry-com-https.middlewares": "registry-com-retry",
        **RETRY,
        "traefik.http.services.registry-com.loadbalancer.server.port": "5000",
    }


def test_tls_options_are_named_where_they_arent_everybodys() -> None:
    labels = replace(ROUTE, https=Https(options="registry@file")).labels(5000)
    assert labels["traefik.http.routers.registry-com-https.tls.options"] == "registry@file"


def test_a_login_that_traefik_asks_for_guards_the_router_that_serves() -> None:
    users = {"admin": "$apr1$a$b", "ci": "$apr1$c$d"}
    for https, router in ((None, "http"), (Https(), "https")):
        labels = replace(ROUTE, https=https, users=users, middlewares=("limit@swarm",)).labels(5000)
        serving = labels[f"traefik.http.routers.registry-com-{router}.middlewares"]
        # A rate limit before the login counts wrong passwords too.
        assert serving == "limit@swarm,registry-com-auth,registry-com-retry"
        users_label = "traefik.http.middlewares.registry-com-auth.basicauth.users"
        assert labels[users_label] == "admin:$apr1$a$b,ci:$apr1$c$d"


def test_a_browsers_preflight_is_answered_before_the_login() -> None:
    cors = {"Access-Control-Allow-Origin": "https://ui.example.com", "Access-Control-Max-Age": "60"}
    labels = replace(ROUTE, cors=cors, users={"admin": "$apr1$a$b"}).labels(5000)
    serving = labels["traefik.http.routers.registry-com-http.middlewares"]
    assert serving == "registry-com-cors,registry-com-auth,registry-com-retry"
    prefix = "traefik.http.middlewares.registry-com-cors.headers"
    assert labels[f"{prefix}.accesscontrolalloworiginlist"] == "https://ui.example.com"
    assert labels[f"{prefix}.accesscontrolmaxage"] == "60"


def test_a_registry_behind_tls_that_ends_before_traefik_insists_on_https() -> None:
    assert not replace(ROUTE).is_secure
    outside = replace(ROUTE, external_https=True)
    assert outside.labels(5000) == ROUTE.labels(5000), "Traefik itself serves plain HTTP"
    assert outside.is_secure


def test_the_redirect_is_on_traefiks_own_service_which_outlives_the_registrys_tasks(
    deploy: Deploy,
) -> None:
    redirect = "traefik.http.middlewares.https-redirect.redirectscheme"
    of_registry = replace(ROUTE, https=Https()).labels(5000)
    assert not any(key.startswith(redirect) for key in of_registry)
    values = labels(proxy(deploy, https=Https(), https_port=8443))
    assert values["traefik.enable"] == "true"
    assert values["traefik.constraint-label"] == "tag"
    assert values["traefik.http.routers.s-redirect.middlewares"] == "https-redirect"
    # Without these Traefik would skip the labels, or make a router of its own.
    assert values["traefik.http.routers.s-redirect.service"] == "s-redirect"
    assert values["traefik.http.services.s-redirect.loadbalancer.server.port"] == "80"
    assert {key: value for key, value in values.items() if key.startswith(redirect)} == {
        f"{redirect}.scheme": "https",
        f"{redirect}.permanent": "true",
        f"{redirect}.port": "8443",
    }


def test_without_https_the_registry_is_routed_by_its_domain_and_nothing_else(
    deploy: Deploy,
) -> None:
    service = registry(deploy).of_type("Service")["registry-service"]
    assert labels(service) == {
        "com.docker.stack.namespace": "registry-com",
        "traefik.enable": "true",
        "traefik.swarm.network": "traefik-public",
        "traefik.constraint-label": "traefik-public",
        "traefik.http.routers.registry-com-http.rule": "Host(`registry.example.com`)",
        "traefik.http.routers.registry-com-http.entrypoints": "http",
        "traefik.http.routers.registry-com-http.service": "registry-com",
        "traefik.http.routers.registry-com-http.middlewares": "registry-com-retry",
        **RETRY,
        "traefik.http.services.registry-com.loadbalancer.server.port": "5000",
    }
    assert service["endpointSpec"] == {"mode": "dnsrr"}
    assert service["taskSpec"]["placement"]["constraints"] == ["node.labels.x == true"]


def test_login_and_configuration_reach_the_registry_as_secrets_only(deploy: Deploy) -> None:
    recorder = registry(deploy)
    files = recorder.of_type("Service")["registry-service"]["taskSpec"]["containerSpec"]
    assert {file["fileName"]: file["secretId"] for file in files["secrets"]} == {
        "/etc/distribution/config.yml": "registry-config-id",
        "/run/secrets/htpasswd": "login-htpasswd-id",
    }
    assert files["env"] == {"OTEL_TRACES_EXPORTER": "none"}
    secrets = recorder.of_type("Secret")
    assert not any("name" in inputs for inputs in secrets.values())
    for inputs in secrets.values():
        assert pulumi.runtime.rpc.is_rpc_secret(inputs["data"])


def test_a_text_that_swarm_takes_no_secret_of_is_refused_by_its_size() -> None:
    assert base64.b64decode(secret_data("chain", "s" * MAX_SECRET_BYTES))
    with pytest.raises(pulumi.RunError, match=r"secret chain has 512000 bytes") as error:
        secret_data("chain", "s" * (MAX_SECRET_BYTES + 1))
    assert "sss" not in str(error.value)


def test_all_secrets_of_a_stack_begin_with_its_name(deploy: Deploy) -> None:
    def program() -> None:
        stack = SwarmStack(name="images", secret_prefix="images")
        login = Credentials("login", CredentialsArgs(stack=stack))
        redis = Redis("redis", RedisArgs(stack=stack))
        common: dict[str, Any] = {
            "stack": stack,
            "options": RegistryOptions(ca="-----BEGIN CERTIFICATE-----"),
            "networks": ["net-id"],
            "htpasswd": login.secret,
        }
        Registry("registry", RegistryArgs(route=ROUTE, redis=redis, **common))
        upstream = Upstream(url="https://ghcr.io", username="me", password="token")
        mirror = MirrorOptions(name="hub", domain="hub.example.com", upstream=upstream)
        Mirrors("mirrors", MirrorsArgs(mirrors=[mirror], routes={"hub": ROUTE}, **common))
        socket = SocketProxy("socket-proxy", SocketProxyArgs(stack=stack))
        Proxy("proxy", proxy_args(stack=stack, socket_proxy=socket, secrets={"A": "b"}))

    names = sorted(deploy(program).of_type("Secret"))
    assert {name.partition("-")[0] for name in names} == {"images"}
    assert len(names) == 10


@pytest.mark.parametrize("stack_name", ["s", "images-com", "x" * 40, "a" * 11 + "-" + "b" * 28])
@pytest.mark.parametrize(
    "name",
    [
        "registry-config",
        f"mirrors-{'m' * 24}-authorities",
        f"proxy-secret-{'a' * (MAX_PROXY_SECRET - 1)}",
        f"proxy-secret-{'a' * MAX_PROXY_SECRET}",
    ],
)
def test_a_secrets_name_begins_with_the_stacks_as_far_as_swarm_has_room(
    name: str, stack_name: str
) -> None:
    whole = secret_name(stack_name, name)
    assert len(f"{whole}-1234567") <= 64
    assert whole.endswith(name)
    prefix = whole.removesuffix(name).rstrip("-")
    assert stack_name.startswith(prefix)
    assert "--" not in whole
    if len(stack_name) + len(name) < 56:
        assert whole == f"{stack_name}-{name}"


def test_redis_is_found_by_its_password_which_only_secrets_have(deploy: Deploy) -> None:
    def program() -> None:
        redis = Redis("redis", RedisArgs(stack=STACK))
        options = RegistryOptions(
            replicas=3,
            spread="node.labels.zone",
            ca="-----BEGIN CERTIFICATE-----",
            config={"storage": {"s3": {"bucket": "b", "region": "r"}}},
        )
        args = RegistryArgs(
            stack=STACK,
            options=options,
            route=ROUTE,
            networks=["net-id", "storage-id"],
            htpasswd=None,
            redis=redis,
        )
        Registry("registry", args)

    recorder = deploy(program)
    config = config_of(recorder)
    assert config["redis"] == {"addrs": ["s_redis:6379"], "password": "p" * PASSWORD_LENGTH}
    assert config["storage"]["cache"] == {"blobdescriptor": "redis"}
    services = recorder.of_type("Service")
    assert "pppp" not in json.dumps(services)
    cache = services["redis-service"]["taskSpec"]["containerSpec"]
    assert cache["user"] == "999:999"
    (file,) = cache["secrets"]
    assert (file["fileUid"], file["fileMode"]) == ("999", 0o400)
    registry = services["registry-service"]
    assert registry["mode"] == {"replicated": {"replicas": 3}}
    assert registry["taskSpec"]["placement"]["prefs"] == ["node.labels.zone"]
    networks = {each["id"] for each in registry["taskSpec"]["networksAdvanceds"]}
    assert networks == {"net-id", "storage-id", "redis-network-id"}
    assert recorder.of_type("Network")["redis-network"]["internal"] is True
    container = registry["taskSpec"]["containerSpec"]
    files = [file["fileName"] for file in container["secrets"]]
    assert "/etc/distribution/authorities/further.pem" in files
    assert "SSL_CERT_DIR=/etc/distribution/authorities" in container["commands"]


def seconds_of(duration: str) -> int:
    """Return the seconds of a duration as Go writes it, such as 1h0m20s."""
    parts = re.findall(r"(\d+)([hms])", duration)
    assert "".join(map("".join, parts)) == duration
    return sum(int(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in parts)


def after(part: str, command: Sequence[str]) -> list[str]:
    """Return what follows a part of a command."""
    return list(command[command.index(part) + 1 :])


def heap_mib(command: Sequence[str]) -> int:
    """Return the memory that Go keeps below, by a command's variables, MiB."""
    (limit,) = (part for part in command if part.startswith("GOMEMLIMIT="))
    return int(limit.removeprefix("GOMEMLIMIT=").removesuffix("MiB"))


@pytest.mark.parametrize("drain", [10, 40, 60, 3600])
def test_a_stopping_registry_gets_longer_than_it_serves_on_and_drains(
    deploy: Deploy, drain: int
) -> None:
    recorder = registry(deploy, route=QUICK, drain_seconds=drain)
    container = recorder.of_type("Service")["registry-service"]["taskSpec"]["containerSpec"]
    serves_on = int(after("graceful-stop", container["commands"])[0])
    assert serves_on == QUICK.discovery_seconds
    assert seconds_of(config_of(recorder)["http"]["draintimeout"]) == drain
    assert seconds_of(container["stopGracePeriod"]) > serves_on + drain


def test_a_task_stops_in_order_and_listens_once_its_storage_can_be_read(deploy: Deploy) -> None:
    recorder = registry(deploy, route=QUICK)
    container = recorder.of_type("Service")["registry-service"]["taskSpec"]["containerSpec"]
    command = container["commands"]
    # Each runs the rest of the command.
    order = [GRACEFUL_STOP, "/usr/bin/env", STORAGE_FIRST, "/entrypoint.sh"]
    assert [part for part in command if part in order] == order
    (config,) = after("/entrypoint.sh", command)
    assert config in [file["fileName"] for file in container["secrets"]]


@pytest.mark.parametrize("limit", [64, 512, 4096])
def test_go_keeps_its_heap_below_the_memory_of_its_task(deploy: Deploy, limit: int) -> None:
    registries = registry(deploy, memory_mib=limit).of_type("Service")["registry-service"]
    assert limit / 3 < heap_mib(registries["taskSpec"]["containerSpec"]["commands"]) < limit
    traefik = proxy(deploy, memory_mib=limit)
    assert limit / 3 < heap_mib(traefik["taskSpec"]["containerSpec"]["commands"]) < limit


SERVER = "trap 'echo drained; exit 3' TERM; echo up; while :; do sleep 0.1; done"
"""Shell: ends when it is asked to, as the registry does."""


@contextlib.contextmanager
def graceful(
    delay: str, *command: str, script: str = GRACEFUL_STOP
) -> Iterator[subprocess.Popen[str]]:
    """Run the script with a command, in a group of its own, which ends with process 1."""
    command_line = ["sh", "-c", script, "graceful-stop", delay, *command]
    with subprocess.Popen(
        command_line, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            # Until the last of it has gone. Those whose parent ended are this process's children
            # by now, and stay in the group until it has waited for them.
            with contextlib.suppress(ProcessLookupError):
                for _ in range(100):
                    os.killpg(process.pid, signal.SIGKILL)
                    process.poll()
                    with contextlib.suppress(ChildProcessError):
                        os.waitpid(-process.pid, os.WNOHANG)
                    time.sleep(0.02)


def test_a_task_that_must_end_serves_on_and_then_drains() -> None:
    with graceful("0.5", "sh", "-c", SERVER) as task:
        assert task.stdout
        assert task.stdout.readline() == "up\n"
        task.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            task.wait(0.3)
        assert task.wait(10) == 3
        assert task.stdout.read() == "drained\n"


def test_a_task_that_fails_by_itself_says_so() -> None:
    with graceful("5", "sh", "-c", "exit 7") as task:
        assert task.wait(10) == 7


def test_a_task_that_fails_while_it_lingers_says_so() -> None:
    with graceful("60", "sh", "-c", "echo up; sleep 0.5; exit 7") as task:
        assert task.stdout
        assert task.stdout.readline() == "up\n"
        task.terminate()
        assert task.wait(10) == 7


LINES = GRACEFUL_STOP.splitlines()


@pytest.mark.parametrize(
    "line", range(LINES.index("trap stop TERM"), LINES.index('    wait "$child"'))
)
def test_a_stop_after_any_line_of_the_script_is_not_lost(line: int) -> None:
    stretched = [*LINES[: line + 1], "echo here; sleep 0.4", *LINES[line + 1 :]]
    with graceful("0", "sh", "-c", SERVER, script="\n".join(stretched)) as task:
        assert task.stdout
        output = [next(task.stdout)]
        while output[-1] != "here\n":
            output.append(next(task.stdout))
        task.terminate()
        assert task.wait(10) in (3, 143)
        output += list(task.stdout)
    assert "drained\n" in output or "up\n" not in output


def test_scripts_are_sound_shell() -> None:
    scripts = sorted([*FOLDER.glob("*.sh"), *ROOT.glob("testing/**/*.sh")])
    checker = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run(
        [checker, *scripts], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout
    assert len(scripts) == 4


def test_comments_of_a_script_are_no_part_of_a_task() -> None:
    for text in (GRACEFUL_STOP, STORAGE_FIRST):
        assert not re.search("^ *#", text, re.MULTILINE)


def test_the_users_configuration_is_merged_deeply(deploy: Deploy) -> None:
    config = config_of(
        registry(
            deploy,
            config={"log": {"level": "debug"}, "storage": {"delete": {"enabled": True}}},
        )
    )
    assert config["log"] == {"level": "debug", "accesslog": {"disabled": True}}
    assert config["storage"]["delete"] == {"enabled": True}
    assert config["storage"]["filesystem"] == {"rootdirectory": "/var/lib/registry"}


def test_an_object_store_takes_the_place_of_the_volume(deploy: Deploy) -> None:
    recorder = registry(deploy, config={"storage": {"s3": {"bucket": "b"}}}, data=MountedData())
    assert "filesystem" not in config_of(recorder)["storage"]
    task = recorder.of_type("Service")["registry-service"]["taskSpec"]
    assert not task["containerSpec"].get("mounts")


def test_a_shared_volumes_driver_and_options_go_into_the_mount(deploy: Deploy) -> None:
    mount = volume_mount("s", "images", DATA_PATH, "local", {"type": "nfs"})
    recorder = registry(deploy, data=MountedData(mounts=[mount]))
    task = recorder.of_type("Service")["registry-service"]["taskSpec"]
    options = task["containerSpec"]["mounts"][0]["volumeOptions"]
    assert options["driverName"] == "local"
    assert options["driverOptions"] == {"type": "nfs"}


def test_files_of_tasks_name_what_the_components_do() -> None:
    assert f"port {redis.PORT}\n" in (FOLDER / "redis.conf").read_text()
    assert redis.CONFIG_PATH in redis.PROBE
    assert f"bind :{socket_proxy.PORT}\n" in socket_proxy.CONFIG
    assert f"server engine {socket_proxy.SOCKET_PATH}\n" in socket_proxy.CONFIG
    assert "#" not in socket_proxy.CONFIG, "another comment must not be an update"


def test_a_generated_password_has_the_lowest_cost_and_a_given_one_its_own(deploy: Deploy) -> None:
    def program() -> None:
        Credentials(
            "login",
            CredentialsArgs(
                stack=STACK,
                options=CredentialsOptions(
                    users=["admin", "ci"], passwords={"ci": "given"}, cost=11
                ),
            ),
        )

    recorder = deploy(program)
    data = recorder.of_type("Secret")["login-htpasswd"]["data"]["value"]
    lines = dict(line.split(":") for line in base64.b64decode(data).decode().splitlines())
    assert lines["admin"].startswith("$2b$04$")
    assert lines["ci"].startswith("$2b$11$")
    generated = generated_password(b"\1" * 32, "admin")
    assert re.fullmatch("[A-Za-z0-9]{32}", generated)
    assert bcrypt.checkpw(generated.encode(), lines["admin"].encode())
    assert bcrypt.checkpw(b"given", lines["ci"].encode())
    assert set(recorder.of_type("RandomBytes")) == {"login-seed"}


def test_each_user_and_each_seed_makes_another_password() -> None:
    users = ["admin", "ci", "admin2"]
    made = {generated_password(bytes([fill]) * 32, user) for fill in range(50) for user in users}
    assert len(made) == 150
    letters = "".join(made)
    # 4800 letters of 62: 77 each, give or take.
    assert all(40 < letters.count(letter) < 130 for letter in set(letters))
    assert len(set(letters)) == 62


@pytest.mark.parametrize("fill", [0, 1, 127, 255])
def test_every_salt_makes_a_line_that_bcrypt_takes_and_always_the_same(fill: int) -> None:
    salt = bytes([fill]) * 16
    line = htpasswd_line("admin", "secret", salt, 4)
    assert line == htpasswd_line("admin", "secret", salt, 4)
    assert bcrypt.checkpw(b"secret", line.partition(":")[2].encode())


def test_a_network_is_made_or_joined(deploy: Deploy) -> None:
    def made() -> None:
        options = NetworkOptions(name="n", create=True, encrypted=True)
        PublicNetwork("network", PublicNetworkArgs(stack=STACK, options=options))

    network = deploy(made).of_type("Network")["network-overlay"]
    assert network["driver"] == "overlay"
    assert network["attachable"] is True
    assert network["options"] == {"encrypted": ""}

    def joined() -> pulumi.Output[None]:
        args = PublicNetworkArgs(stack=STACK, options=NetworkOptions(name="n"))
        network = PublicNetwork("network", args)

        def check(network_id: str) -> None:
            assert network_id == "joined-id"

        return network.network_id.apply(check)

    assert not deploy(joined).of_type("Network")


def test_networks_within_the_stack_are_encrypted_too(deploy: Deploy) -> None:
    def program() -> None:
        stack = SwarmStack(name="s", encrypted=True)
        Redis("redis", RedisArgs(stack=stack))
        SocketProxy("socket", SocketProxyArgs(stack=stack))

    networks = deploy(program).of_type("Network")
    assert len(networks) == 2
    for network in networks.values():
        assert network["options"] == {"encrypted": ""}


@pytest.mark.parametrize("there", ["traefik-public", "s_redis"])
def test_a_network_that_is_there_and_not_encrypted_is_refused(there: str) -> None:
    network = Network(name=there, driver="overlay", scope="swarm")
    key = "registry:cache memory" if there == "s_redis" else "registry:network NAME"
    with refused(NetworkNotEncryptedError, rf"{there} (.*\n)+.* {key}"):
        swarm(networks=(network,)).require_encrypted("traefik-public", {"s_redis": "redis"})


STORAGE = Network(name="storage", driver="overlay", scope="swarm", id="storage-id")


def test_a_further_network_is_joined_by_its_id() -> None:
    assert swarm(networks=(STORAGE,)).further_networks(["storage"]) == ["storage-id"]


@pytest.mark.parametrize(
    ("name", "reason"), [("nowhere", "has no such network"), ("bridge", "need an overlay network")]
)
def test_a_further_network_has_to_be_there_and_be_an_overlay(name: str, reason: str) -> None:
    there = (STORAGE, Network(name="bridge", driver="bridge", scope="local"))
    with refused(NetworkError, rf"{reason}(.*\n)+.*'registry:networks\[1\]'"):
        swarm(networks=there).further_networks(["storage", name])


def test_networks_that_are_encrypted_or_will_be_are_fine() -> None:
    names = ("traefik-public", "s_redis")
    networks = [
        Network(name=name, driver="overlay", scope="swarm", encrypted=True) for name in names
    ]
    for there in ([], networks[:1], networks):
        swarm(networks=tuple(there)).require_encrypted("traefik-public", {"s_redis": "redis"})


def test_a_stack_whose_inner_networks_were_never_encrypted_is_warned() -> None:
    public = Network(name="n", driver="overlay", scope="swarm", encrypted=True)
    redis = Network(name="s_redis", driver="overlay", scope="swarm")
    (warning,) = swarm(networks=(public, redis)).require_encrypted("n", {"s_redis": "redis"})
    assert "s_redis is there and isn't encrypted" in str(warning)


def proxy_args(**changes: Any) -> ProxyArgs:
    """Return arguments of a proxy; `changes` are of its options, its arguments, or `https`."""
    route = replace(ROUTE, network="n", constraint_value="tag", https=changes.pop("https", None))
    options = chosen(ProxyOptions, changes)
    base: dict[str, Any] = {"stack": STACK, "route": route, "network_id": "net-id"}
    return ProxyArgs(options=options, **(base | changes))


def proxy_recorder(deploy: Deploy, **changes: Any) -> Recorder:
    return deploy(lambda: Proxy("proxy", proxy_args(**changes)) and None)


def proxy(deploy: Deploy, **changes: Any) -> dict[str, Any]:
    return proxy_recorder(deploy, **changes).of_type("Service")["proxy-traefik"]


def test_the_proxy_sees_only_what_carries_its_label_and_cuts_no_upload(deploy: Deploy) -> None:
    task = proxy(deploy)["taskSpec"]
    flags = task["containerSpec"]["args"]
    assert "--providers.swarm.constraints=Label(`traefik.constraint-label`, `tag`)" in flags
    assert "--providers.swarm.exposedbydefault=false" in flags
    assert read_seconds(flags, "http") >= 3600
    assert task["containerSpec"]["mounts"][0]["readOnly"] is True
    assert task["placement"]["constraints"] == ["node.role == manager"]


def test_a_socket_elsewhere_is_mounted_where_the_proxy_looks_for_it(deploy: Deploy) -> None:
    path = "/opt/docker/docker.sock"
    mounts = [proxy(deploy, socket_path=path)["taskSpec"]["containerSpec"]["mounts"][0]]

    def program() -> None:
        options = SocketProxyOptions(socket_path=path)
        SocketProxy("socket", SocketProxyArgs(stack=STACK, options=options))

    recorder = deploy(program).of_type("Service")["socket-haproxy"]
    mounts += recorder["taskSpec"]["containerSpec"]["mounts"]
    for mount in mounts:
        assert (mount["source"], mount["target"]) == (path, "/var/run/docker.sock")


@pytest.mark.parametrize("https", [None, Https()])
def test_a_registry_without_a_task_is_unavailable_and_not_unknown(
    deploy: Deploy, https: Https | None
) -> None:
    recorder = proxy_recorder(deploy, https=https)
    container = recorder.of_type("Service")["proxy-traefik"]["taskSpec"]["containerSpec"]
    assert "--providers.file.filename=/etc/traefik/dynamic.yml" in container["args"]
    assert "/etc/traefik/dynamic.yml" in [file["fileName"] for file in container["secrets"]]
    http = dynamic_file(recorder)["http"]
    entry_points = ["http", "https"] if https else ["http"]
    assert [router["entryPoints"] for router in http["routers"].values()] == [
        [entry_point] for entry_point in entry_points
    ]
    for router in http["routers"].values():
        assert (router["rule"], router["priority"]) == ("PathPrefix(`/v2/`)", 1)
        assert ("tls" in router) == (router["entryPoints"] == ["https"])
        assert http["services"][router["service"]] == {"loadBalancer": {"servers": []}}


def dynamic_file(recorder: Recorder) -> dict[str, Any]:
    return dict(plain(recorder.of_type("Secret")["proxy-dynamic"]))


def test_where_no_tls_is_meant_none_is_answered(deploy: Deploy) -> None:
    options = dynamic_file(proxy_recorder(deploy))["tls"]["options"]
    assert options == {"default": {"sniStrict": True}}


@pytest.mark.parametrize("registries_only", [False, True])
def test_a_connection_without_a_name_begins_with_the_options_of_whom_it_may_be_for(
    deploy: Deploy, registries_only: bool
) -> None:
    recorder = proxy_recorder(deploy, https=Https(), registries_only=registries_only)
    options = dynamic_file(recorder)["tls"]["options"]
    assert not any("sniStrict" in each for each in options.values())
    assert (options["default"] == options["registry"]) is registries_only
    assert ("alpnProtocols" in options["default"]) is registries_only


def read_seconds(flags: list[str], entry_point: str) -> int:
    prefix = f"--entrypoints.{entry_point}.transport.respondingtimeouts.readtimeout="
    (value,) = [flag.removeprefix(prefix) for flag in flags if flag.startswith(prefix)]
    return int(value.removesuffix("s"))


def test_a_request_may_last_long_where_uploads_go_and_nowhere_else(deploy: Deploy) -> None:
    options = flags(deploy, https=Https())
    assert read_seconds(options, "http") == 60
    # 0 would be no limit at all.
    assert 3600 <= read_seconds(options, "https") <= 24 * 3600


def test_proxies_in_front_are_trusted_by_their_addresses(deploy: Deploy) -> None:
    options = flags(deploy, https=Https(), trusted_proxies=["10.0.0.5", "10.1.0.0/16"])
    for entry_point in ("http", "https"):
        key = f"--entrypoints.{entry_point}.forwardedheaders.trustedips"
        assert f"{key}=10.0.0.5,10.1.0.0/16" in options
    assert not any("forwardedheaders" in flag for flag in flags(deploy))


def test_traefik_looks_seldom_gives_up_soon_and_collects_its_garbage(deploy: Deploy) -> None:
    container = proxy(deploy)["taskSpec"]["containerSpec"]
    assert "--providers.swarm.refreshseconds=5s" in container["args"]
    assert "--serverstransport.forwardingtimeouts.dialtimeout=2s" in container["args"]
    assert container["commands"][-1] == "/entrypoint.sh"


def test_the_ui_is_there_only_when_asked_for(deploy: Deploy) -> None:
    without = proxy(deploy)
    assert not any("api" in flag for flag in without["taskSpec"]["containerSpec"]["args"])
    assert [port["publishedPort"] for port in without["endpointSpec"]["ports"]] == [80]
    ports = proxy(deploy, ui_port=8090)["endpointSpec"]["ports"]
    assert {port["publishedPort"]: port["publishMode"] for port in ports} == {
        80: "host",
        8090: "host",
    }


def flags(deploy: Deploy, **changes: Any) -> list[str]:
    return list(proxy(deploy, **changes)["taskSpec"]["containerSpec"]["args"])


def test_certificates_are_obtained_as_told(deploy: Deploy) -> None:
    options = flags(deploy, https=Https(), acme=Acme(email="a@example.com"))
    prefix = "--certificatesresolvers.le.acme"
    assert [flag for flag in options if flag.startswith(prefix)] == [
        f"{prefix}.storage=/certificates/acme-acme-v02.api.letsencrypt.org-directory.json",
        f"{prefix}.email=a@example.com",
        f"{prefix}.tlschallenge=true",
    ]
    assert "--entrypoints.https.address=:443" in options
    dns = Acme(challenge="dns:cloudflare", directory="https://ca/dir", ca="PEM")
    recorder = proxy_recorder(deploy, https=Https(), acme=dns, secrets={"CF_DNS_API_TOKEN": "t"})
    container = recorder.of_type("Service")["proxy-traefik"]["taskSpec"]["containerSpec"]
    assert f"{prefix}.dnschallenge.provider=cloudflare" in container["args"]
    assert f"{prefix}.cacertificates=/etc/traefik/acme-ca.pem" in container["args"]
    # The token is in a file, and only its place in the environment.
    variable = "CF_DNS_API_TOKEN_FILE=/run/secrets/CF_DNS_API_TOKEN"
    assert variable in container["commands"]
    assert not any(part.startswith("CF_DNS_API_TOKEN=") for part in container["commands"])
    assert "/run/secrets/CF_DNS_API_TOKEN" in [file["fileName"] for file in container["secrets"]]
    for inputs in recorder.of_type("Secret").values():
        assert pulumi.runtime.rpc.is_rpc_secret(inputs["data"])


def test_each_authority_has_a_file_of_its_own_and_the_first_one_stays() -> None:
    staging = Acme(directory="https://acme-staging-v02.api.letsencrypt.org/directory")
    files = {acme.storage_file for acme in (Acme(), staging, Acme(directory="https://ca/a"))}
    assert len(files) == 3
    prefix = "--certificatesresolvers.le.acme"
    first = [f"{prefix}.storage=/certificates/acme.json", f"{prefix}.caserver={staging.directory}"]
    assert storage_in_use(staging, first) == "/certificates/acme.json"
    assert storage_in_use(Acme(), first[:1]) == "/certificates/acme.json"
    # Another authority's certificates would be kept until they end.
    assert storage_in_use(Acme(), first) == Acme().storage_file
    assert storage_in_use(staging, first[:1]) == staging.storage_file
    assert storage_in_use(staging, []) == staging.storage_file


def test_the_key_of_an_external_account_is_in_a_file_and_no_flag(deploy: Deploy) -> None:
    account = ExternalAccount(key_id="kid-1", hmac="the-key-of-the-account")
    acme = Acme(directory="https://ca/dir", account=account)
    config = {
        "certificatesResolvers": {"le": {"acme": {"dnsChallenge": {"resolvers": ["a", "b"]}}}}
    }
    recorder = proxy_recorder(deploy, https=Https(), acme=acme, config=config)
    service = recorder.of_type("Service")["proxy-traefik"]
    assert account.hmac not in str(service)
    assert account.hmac not in repr(acme)
    container = service["taskSpec"]["containerSpec"]
    assert container["args"] == ["--configfile=/run/secrets/traefik.yml"]
    assert "/run/secrets/traefik.yml" in [file["fileName"] for file in container["secrets"]]
    static = plain(recorder.of_type("Secret")["proxy-static"])
    resolver = static["certificatesresolvers"]["le"]["acme"]
    assert resolver["eab"] == {"kid": "kid-1", "hmacencoded": account.hmac}
    assert resolver["dnschallenge"]["resolvers"] == "a,b"
    assert static["providers"]["swarm"]["exposedbydefault"] == "false"


def test_options_are_the_same_tree_in_a_file() -> None:
    options = {"api": "true", "api.insecure": "true", "a.b[0].c": "1", "a.b[1].c": "2", "d": "x"}
    assert file_content(options) == {
        "api": {"insecure": "true"},
        "a": {"b": [{"c": "1"}, {"c": "2"}]},
        "d": "x",
    }
    assert file_content({"api.insecure": "true", "api": "true"}) == {"api": {"insecure": "true"}}


def test_any_option_of_traefik_is_passed_through_over_the_components_own(deploy: Deploy) -> None:
    options = flags(
        deploy,
        config={
            "log": {"level": "DEBUG"},
            "entryPoints": {"http": {"forwardedHeaders": {"trustedIPs": ["10.0.0.0/8", "::1"]}}},
            "accessLog": {"filters": {"retryAttempts": True}},
            "domains": [{"main": "a"}, {"main": "b"}],
        },
    )
    assert "--log.level=DEBUG" in options
    assert "--log.level=INFO" not in options
    assert "--entrypoints.http.forwardedheaders.trustedips=10.0.0.0/8,::1" in options
    assert "--accesslog.filters.retryattempts=true" in options
    assert "--domains[1].main=b" in options


def test_the_dashboard_has_a_login_and_no_plain_http(deploy: Deploy) -> None:
    route = replace(ROUTE, domain="traefik.example.com", tag="dash", https=Https())
    route = replace(route, middlewares=("limit@swarm",))

    def program() -> None:
        users = Credentials("dashboard", CredentialsArgs(stack=STACK))
        dashboard = Dashboard(route=route, users=users.secret)
        Proxy("proxy", proxy_args(dashboard=dashboard, https=Https()))

    service = deploy(program).of_type("Service")["proxy-traefik"]
    values = labels(service)
    assert values["traefik.http.routers.dash-https.service"] == "api@internal"
    assert values["traefik.http.routers.dash-https.middlewares"] == (
        "dash-headers,limit@swarm,dash-auth"
    )
    assert values["traefik.http.routers.dash-http.middlewares"] == "https-redirect"
    assert values["traefik.http.middlewares.dash-auth.basicauth.usersfile"].startswith("/run/")
    container = service["taskSpec"]["containerSpec"]
    assert "--api=true" in container["args"]
    assert not any("insecure" in flag for flag in container["args"])
    without = proxy(deploy, https=Https())
    assert "api@internal" not in labels(without).values()
    assert labels(proxy(deploy))["traefik.enable"] == "false"
    assert not any("--api" in flag for flag in without["taskSpec"]["containerSpec"]["args"])


def test_one_traefik_or_one_on_every_manager(deploy: Deploy) -> None:
    assert proxy(deploy)["mode"] == {"replicated": {"replicas": 1}}
    assert proxy(deploy, mode="global")["mode"] == {"global": True}


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [
        ({"accountkey": "a2V5"}, "shared_key"),
        ({}, "default_credentials"),
        ({"credentials": {"type": "client_secret"}}, "client_secret"),
    ],
)
def test_azure_is_told_which_kind_of_credentials_it_has(
    parameters: dict[str, Any], kind: str
) -> None:
    config = {"storage": {"azure": {"accountname": "a", "container": "c", **parameters}}}
    made = document(ConfigOptions(config=config), Secrets(http="s"), Wiring())
    assert made["storage"]["azure"]["credentials"]["type"] == kind


def mirrors(deploy: Deploy, *options: MirrorOptions) -> Recorder:
    def program() -> None:
        login = Credentials("login", CredentialsArgs(stack=STACK))
        args = MirrorsArgs(
            stack=STACK,
            networks=["n"],
            mirrors=options,
            routes=dict.fromkeys((mirror.name for mirror in options), ROUTE),
            htpasswd=login.secret,
        )
        Mirrors("mirrors", args)

    return deploy(program)


def plain(secret: dict[str, Any]) -> Any:
    return json.loads(base64.b64decode(secret["data"]["value"]))


QUAY = MirrorOptions(
    name="quay",
    domain="quay.example.com",
    upstream=Upstream(url="https://quay.io", ttl="24h", username="me", password="the token"),
)


def test_a_mirror_needs_nobody_upstream_to_start_and_removes_what_has_expired(
    deploy: Deploy,
) -> None:
    record = mirrors(deploy, QUAY)
    made = record.of_type("Secret")
    config = plain(made["mirrors-config"])
    assert config["proxy"] == {"exec": {"command": "cat"}}
    assert config["storage"]["delete"] == {"enabled": True}
    assert "auth" in config
    assert plain(made["mirrors-quay-upstream"]) == {"Username": "me", "Secret": "the token"}
    service = record.of_type("Service")["mirrors-quay-service"]
    container = service["taskSpec"]["containerSpec"]
    assert service["name"] == "s_mirror-quay"
    assert f"{container['dir']}/get" in [each["fileName"] for each in container["secrets"]]
    assert {part for part in container["commands"] if part.startswith("REGISTRY_")} == {
        f"REGISTRY_PROXY_REMOTEURL={QUAY.upstream.url}",
        f"REGISTRY_PROXY_TTL={QUAY.upstream.ttl}",
        f"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY={DATA_PATH}/mirrors/quay",
    }
    assert "the token" not in str(service)


def test_another_mirror_is_one_more_service_and_nothing_else(deploy: Deploy) -> None:
    hub = replace(QUAY, upstream=Upstream(url=HUB), allow=["10.0.0.0/8"])
    few = mirrors(deploy, replace(hub, name="a"))
    many = mirrors(deploy, *(replace(hub, name=name) for name in "abcdefgh"))
    assert len(many.registered) == len(few.registered) + 7
    assert "auth" not in plain(many.of_type("Secret")["mirrors-config-open"])


@pytest.mark.parametrize(
    ("parameters", "storage", "folder"),
    [
        ({}, {}, ("filesystem", "/var/lib/registry/mirrors/hub")),
        (
            {"cache": {"blobdescriptor": "redis"}, "s3": {"bucket": "b"}, "redirect": {}},
            {"s3": {"bucket": "b"}, "redirect": {}},
            ("s3", "/mirrors/hub"),
        ),
        (
            {"gcs": {"bucket": "b", "rootdirectory": "/prod/"}},
            {"gcs": {"bucket": "b", "rootdirectory": "/prod/"}},
            ("gcs", "/prod/mirrors/hub"),
        ),
    ],
)
def test_a_mirror_keeps_what_it_has_in_a_folder_of_its_own(
    parameters: dict[str, Any], storage: dict[str, Any], folder: tuple[str, str]
) -> None:
    config = {"storage": parameters, "log": {"level": "warn"}, "notifications": {}}
    assert of_mirrors(config) == {"storage": storage, "log": {"level": "warn"}}
    assert folder_of_mirror(config, "hub") == folder
