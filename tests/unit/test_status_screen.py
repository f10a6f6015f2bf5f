"""`make status`: the screen as a whole, and what this machine asks by itself."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import docker.errors
import pytest
import requests

from ops.bootstrap import ROOT
from ops.bootstrap.console import UserError
from ops.config import Config
from ops.doctor import access
from ops.doctor.request import CheckFailedError
from ops.documentation import SCREENS
from ops.quantities import size, span
from ops.stack import Stack
from ops.status import deployment, screen
from ops.status.answer import answer_lines
from ops.status.certificate import certificate_lines
from ops.status.line import Line
from ops.terminal import COLORS, COLUMNS, picture
from testing.certificates import CertificatePair

from .shared_doctor import outputs, registry
from .shared_status import NOW, inputs, stack, swarm
from .test_doctor_connection import tls_server

LONG = "this is a text that is longer than what there is room for in a line of eighty columns"


def line(state: Any = "ok", title: str = "disk", text: str = "fine", *commands: str) -> Line:
    return Line(title=title, state=state, text=text, commands=commands)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Line]:
    """Return the lines that the swarm gives, to be changed."""
    lines: list[Line] = []

    @contextlib.contextmanager
    def swarm_of(*_: object) -> Iterator[Any]:
        yield swarm()

    monkeypatch.setattr(Stack, "ensure", lambda _: None)
    monkeypatch.setattr(screen, "deployed", lambda _: stack())
    monkeypatch.setattr(screen, "swarm_of", swarm_of)
    monkeypatch.setattr(screen, "FROM_HERE", ())
    monkeypatch.setattr(screen, "FROM_SWARM", [("disk", lambda *_: lines)])
    monkeypatch.setattr(deployment, "deployment_lines", lambda _: [])
    return lines


def test_a_screen_has_eighty_columns(asked: list[Line], capsys: pytest.CaptureFixture[str]) -> None:
    asked += [line(), line("warning", "disk mirror-hub", LONG, "make logs STACK=prod")]
    screen.show(Stack("prod"), "terminal")
    assert capsys.readouterr().out == (
        "https://registry.example.com: 1 warning\n"
        "\n"
        "  ok       disk          fine\n"
        "  warning  disk mirror-hub\n"
        "                         this is a text that is longer than what there is room\n"
        "                         for in a line of eighty columns\n"
        "             make logs STACK=prod\n"
    )


@pytest.mark.parametrize(
    ("states", "headline", "overall"),
    [
        (["ok", "off"], "all is well", "ok"),
        (["ok", "unknown"], "1 not known", "ok"),
        (["warning", "ok", "warning"], "2 warnings", "warning"),
        (["warning", "wrong", "unknown"], "1 wrong, 1 warning, 1 not known", "wrong"),
    ],
)
def test_the_headline_counts_what_isnt_well(
    states: Sequence[Any], headline: str, overall: str
) -> None:
    lines = [line(state) for state in states]
    assert (screen.headline(lines), screen.overall(lines)) == (headline, overall)


@pytest.mark.parametrize("form", ["terminal", "json"])
def test_the_command_fails_only_where_something_is_wrong(asked: list[Line], form: str) -> None:
    asked += [line(), line("warning"), line("unknown"), line("off")]
    screen.show(Stack("prod"), form)
    asked.append(line("wrong"))
    with pytest.raises(UserError, match="marked as wrong"):
        screen.show(Stack("prod"), form)


def test_scripts_get_the_same_as_json(
    asked: list[Line], capsys: pytest.CaptureFixture[str]
) -> None:
    asked.append(line("warning", "disk", "little", "df"))
    screen.show(Stack("prod"), "json")
    assert json.loads(capsys.readouterr().out) == {
        "stack": "prod",
        "url": "https://registry.example.com",
        "at": NOW.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "state": "warning",
        "lines": [
            {
                "title": "disk",
                "state": "warning",
                "text": "little",
                "commands": ["df"],
                "facts": {},
            }
        ],
    }


def test_a_swarm_that_doesnt_answer_is_one_line(
    asked: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def swarm_of(*_: object) -> Iterator[Any]:
        raise UserError("No Docker engine answers at ssh://dog\n  Start it")
        yield

    monkeypatch.setattr(screen, "swarm_of", swarm_of)
    (only,) = screen.all_lines(Stack("prod"), stack())
    expected = ("swarm", "wrong", "No Docker engine answers at ssh://dog Start it")
    assert (only.title, only.state, only.text) == expected
    assert asked == []


def test_a_question_that_the_engine_refuses_leaves_the_other_lines(
    asked: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> list[Line]:
        raise docker.errors.APIError("500 Server Error: rpc error")

    def hang(*_: object) -> list[Line]:
        raise requests.ReadTimeout("Read timed out.")

    asked.append(line(title="nodes"))
    questions = [("logins", refuse), ("disk", hang), ("nodes", lambda *_: asked)]
    monkeypatch.setattr(screen, "FROM_SWARM", questions)
    lines = screen.all_lines(Stack("prod"), stack())
    states = {each.title: each.state for each in lines}
    assert states == {"logins": "unknown", "disk": "unknown", "nodes": "ok"}
    assert ["rpc error" in lines[0].text, lines[1].text] == [True, "Read timed out."]


def test_an_answer_is_what_the_doctor_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    with registry() as (there, _):
        (only,) = answer_lines(stack(outputs=there))
        assert (only.state, "admin gets in" in only.text) == ("ok", True)
    with registry(without_login=404) as (there, _):
        (only,) = answer_lines(stack(outputs=there))
        assert (only.state, "strangers get 404, not 401" in only.text) == ("wrong", True)
    (only,) = answer_lines(stack(outputs=outputs("http://127.0.0.1:1")))
    assert only.text.startswith("http://127.0.0.1:1 gives none to this machine: ")
    assert only.commands == ("make doctor STACK=prod",)

    def fail(_: object) -> str:
        raise CheckFailedError("no")

    monkeypatch.setattr(access, "login", fail)
    assert answer_lines(stack())[0].state == "wrong"


@pytest.mark.parametrize(
    ("days", "since_days", "state"),
    [
        (60, 30, "ok"),
        (20, 70, "ok"),
        (10, 80, "warning"),  # Of 90 days it is renewed when 30 are left.
        (2, 88, "wrong"),
        (100, 265, "ok"),
        (13, 352, "warning"),  # However long its life.
        (1.5, 5.5, "ok"),  # Of 7 days it is renewed when 1 is left.
        (0.5, 6.5, "warning"),
        (0.01, 0.031, "ok"),  # Of an hour it is renewed when 20 minutes are left.
    ],
)
def test_a_certificate_that_wasnt_renewed_is_shown(
    days: float, since_days: float, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = CertificatePair.make(address="127.0.0.1", days=days, since_days=since_days)
    (tmp_path / "root.pem").write_text(pair.chain)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "root.pem"))
    now = datetime.now(timezone.utc)
    with tls_server(tmp_path, pair) as there:
        (only,) = certificate_lines(stack(outputs=there, now=now))
    end = now + timedelta(days=days)
    assert only.state == state
    assert re.match(rf"by test CA, ends {end:%Y-%m-%d}, in \d+ (days|h|min)", only.text)
    assert ("should have renewed it" in only.text) == (state != "ok")


@pytest.mark.parametrize(
    ("https", "services", "text", "command"),
    [
        ("own", [], "deploy a new one", "pulumi config set --stack prod registry:certificate"),
        ("acme", ["images_proxy"], "Traefik's log says why", "make logs STACK=prod"),
        ("acme", [], "what is in front of the registry", ""),
    ],
)
def test_whoever_can_renew_a_certificate_is_named(
    https: str,
    services: Sequence[str],
    text: str,
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pair = CertificatePair.make(address="127.0.0.1", days=1, since_days=89)
    (tmp_path / "root.pem").write_text(pair.chain)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "root.pem"))
    config = Config(stack="prod", values={"registry:stackName": "images", "registry:https": https})
    now = datetime.now(timezone.utc)
    with tls_server(tmp_path, pair) as there:
        deployed = stack(*map(inputs, services), outputs=there, now=now, config=config)
        (only,) = certificate_lines(deployed)
    assert text in only.text
    assert "".join(only.commands).startswith(command)
    assert bool(only.commands) == bool(command)


def test_a_certificate_that_nobody_trusts_is_wrong(tmp_path: Path) -> None:
    pair = CertificatePair.make(address="127.0.0.1")
    with tls_server(tmp_path, pair) as there:
        (only,) = certificate_lines(stack(outputs=there))
    assert (only.state, only.commands) == ("wrong", ("make doctor STACK=prod",))
    (only,) = certificate_lines(stack(outputs=outputs("http://127.0.0.1:1")))
    assert only.state == "off"


def test_times_and_sizes_are_short() -> None:
    times = [
        (5, "5 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7200, "2 h"),
        (172800, "2 days"),
        (-9, "0 s"),
    ]
    assert [(seconds, span(timedelta(seconds=seconds))) for seconds, _ in times] == times
    sizes = [
        (0, "0 B"),
        (999, "999 B"),
        (2048, "2.0 KiB"),
        (2**20, "1.0 MiB"),
        (320 * 2**20, "320 MiB"),
        (-1024 * 2**20, "1.0 GiB"),
        (34 * 2**30, "34 GiB"),
        (2.5 * 2**40, "2.5 TiB"),
    ]
    assert [(count, size(count)) for count, _ in sizes] == sizes


def test_a_picture_of_a_terminal_has_its_lines_with_their_colors() -> None:
    drawn = picture("make status", "a <b>\n\n  wrong    disk   full\n")
    assert "$ make status</text>" in drawn
    assert "a &lt;b&gt;</text>" in drawn
    assert f'  <tspan fill="{COLORS["wrong"]}">wrong</tspan>    disk   full</text>' in drawn
    assert drawn.count("<text") == 3


@pytest.mark.parametrize("name", SCREENS)
def test_the_screens_in_the_documentation_are_screens(name: str) -> None:
    head, _, *rows = (ROOT / f"docs/{name}.txt").read_text().splitlines()
    assert re.fullmatch(r"https://\S+: .+", head)
    states = [row.split()[0] for row in rows if re.match(r"  \S", row)]
    assert set(states) <= set(COLORS)
    assert ("all is well" in head) == ("wrong" not in states)
    assert max(map(len, rows)) <= COLUMNS
