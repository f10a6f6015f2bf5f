"""The doctor's uploads, and which checks apply."""

from __future__ import annotations

import socket

import pytest

from ops.bootstrap.console import UserError
from ops.doctor import access, token
from ops.doctor.checks import CHECKS, examine
from ops.doctor.request import Answer
from ops.outputs import StackOutputs

from .shared_doctor import DASHBOARD, URL, outputs, registry


def test_a_small_upload_is_tried_and_cancelled(capsys: pytest.CaptureFixture[str]) -> None:
    with registry() as (target, requests):
        examine(target, slow_seconds=0)
    assert "ok    an upload of 64 KiB is stored" in capsys.readouterr().out
    assert requests[-1].startswith("DELETE /v2/registry-doctor/blobs/uploads/1")


def test_a_slow_upload_comes_after_all_else(capsys: pytest.CaptureFixture[str]) -> None:
    with registry() as (target, requests):
        examine(target, slow_seconds=1)
    assert "ok    an upload of 1 s gets through" in capsys.readouterr().out
    assert requests[-1].startswith("DELETE ")


@pytest.mark.parametrize("statuses", [{"begins": 500}, {"takes": 500}, {"begins": 503}])
def test_a_disk_that_is_full_or_read_only_is_noticed(
    statuses: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    with registry(**statuses) as (target, _), pytest.raises(UserError):
        examine(target, slow_seconds=1)
    output = capsys.readouterr().out
    (status,) = statuses.values()
    assert f"wrong a small upload isn't stored ({status})" in output
    assert "make logs" in output
    assert "df -h" in output
    assert "upload of 1 s" not in output


def test_a_registry_that_is_read_only_by_its_settings_passes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with registry(begins=405) as (target, _):
        examine(target, slow_seconds=1)
    assert "storage.maintenance.readonly" in capsys.readouterr().out


def test_no_check_follows_where_no_name_is_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lookup(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with pytest.raises(UserError, match="marked as wrong above"):
        examine(outputs())
    (_, line) = capsys.readouterr().out.splitlines()
    assert line.startswith("  wrong registry.example.com leads nowhere")


def test_an_error_that_a_check_does_not_explain_is_shown_with_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def request(*_: object) -> Answer:
        raise TimeoutError("timed out")

    for module in (access, token):
        monkeypatch.setattr(module, "request", request)
    with registry() as (target, _), pytest.raises(UserError):
        examine(target, slow_seconds=0)
    assert "  wrong login: timed out\n" in capsys.readouterr().out


HTTPS = ["name", "certificate", "TLS versions", "redirect", "login"]


@pytest.mark.parametrize(
    ("target", "names"),
    [
        (outputs("http://registry.localhost:80", password=None), ["name", "login"]),
        (outputs("http://registry.localhost"), ["name", "login", "small upload"]),
        (outputs(password=None), HTTPS),
        (outputs(), [*HTTPS, "small upload", "headers"]),
        (outputs(dashboard=DASHBOARD), [*HTTPS, "small upload", "headers", "dashboard"]),
        # The port of plain HTTP isn't known.
        (outputs(f"{URL}:8443", password=None), [each for each in HTTPS if each != "redirect"]),
        # A proxy in front may have no plain HTTP at all.
        (
            outputs(password=None, external_https=True),
            [each for each in HTTPS if each != "redirect"],
        ),
        # The dashboard of a developer's machine asks for no login.
        (
            outputs("http://a.localhost", dashboard="http://localhost:8080"),
            ["name", "login", "small upload"],
        ),
    ],
)
def test_each_check_applies_where_the_deployment_has_what_it_checks(
    target: StackOutputs, names: list[str]
) -> None:
    assert [check.name for check in CHECKS if check.applies(target)] == names


def test_outputs_are_read_from_what_pulumi_prints() -> None:
    read = StackOutputs.read(
        {
            "url": URL,
            "username": "admin",
            "password": "secret",
            "dashboard": "",
            "https": "external",
        }
    )
    assert read == outputs(external_https=True)
    assert "secret" not in str(read)
    local = StackOutputs.read(
        {"url": "http://a", "dashboard": "http://b", "passwords": {"ci": "secret"}}
    )
    assert local == StackOutputs(url="http://a", dashboard="http://b", passwords={"ci": "secret"})
    assert local
    assert local.users == ("ci",)
    assert "secret" not in str(local)
    tokens = StackOutputs.read({"url": URL, "auth": "token"})
    assert tokens == StackOutputs(url=URL, has_tokens=True)
    assert StackOutputs.read({}) is None
