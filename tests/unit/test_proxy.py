"""Traefik, as the component runs it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pulumi
import pytest

from components import (
    Credentials,
    CredentialsArgs,
    Dashboard,
    Https,
    Proxy,
    SocketProxy,
    SocketProxyArgs,
    SocketProxyOptions,
)
from components.proxy import HALF_THE_CORES
from components.traefik.flags import Acme, ExternalAccount, file_content, storage_in_use

from .conftest import Deploy, Recorder
from .shared_components import (
    ROUTE,
    STACK,
    labels,
    plain,
    proxy,
    proxy_args,
    proxy_recorder,
)


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


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "drop"),
        ({"image": "mirror.example.com/traefik:v3.7.15@sha256:" + "a" * 64}, "drop"),
        # Another version may not know the option, and would end at it.
        ({"image": "traefik:v3.1.0"}, None),
        ({"config": {"accessLog": False}}, None),
        (
            {"config": {"accessLog": {"fields": {"queryParameters": {"defaultMode": "keep"}}}}},
            "keep",
        ),
    ],
)
def test_no_name_that_somebody_types_is_in_the_access_log(
    deploy: Deploy, options: dict[str, Any], expected: str | None
) -> None:
    flags = dict(
        flag.split("=", 1) for flag in proxy(deploy, **options)["taskSpec"]["containerSpec"]["args"]
    )
    assert flags.get("--accesslog.fields.queryparameters.defaultmode") == expected


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
    assert "--serverstransport.forwardingtimeouts.dialtimeout=1s" in container["args"]
    assert container["commands"][-1] == "/entrypoint.sh"


def test_a_traefik_for_registries_alone_leaves_them_half_of_the_cores(deploy: Deploy) -> None:
    commands = {
        alone: proxy(deploy, registries_only=alone)["taskSpec"]["containerSpec"]["commands"]
        for alone in (False, True)
    }
    wrapper = len(commands[True]) - len(commands[False])
    assert commands[True][wrapper:] == commands[False]
    assert commands[True][:wrapper] == ["/bin/sh", "-c", HALF_THE_CORES, "half-the-cores"]


def test_the_ui_is_there_only_when_asked_for(deploy: Deploy) -> None:
    without = proxy(deploy)
    assert not any("api" in flag for flag in without["taskSpec"]["containerSpec"]["args"])
    assert [port["publishedPort"] for port in without["endpointSpec"]["ports"]] == [80]
    ports = proxy(deploy, dashboard_port=8090)["endpointSpec"]["ports"]
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
