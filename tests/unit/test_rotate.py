"""`make rotate`: another password of a user, another key, and where each goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

import pulumi
import pytest

from components.credentials import PasswordVersion
from components.swarm.endpoint import Endpoint
from ops import rotate
from ops.__main__ import arguments
from ops.bootstrap.console import UserError
from ops.commands import ACTIONS
from ops.rotate import next_versions, overlap_seconds, rotate_key, rotate_password
from ops.stack import Stack
from settings import Settings, parse

from .program import raw

NOW = datetime(2026, 11, 26, 12, tzinfo=timezone.utc)
PAST, SOON = "2026-11-26T11:59:59Z", "2026-11-26T18:00:00Z"
TOMORROW, LATER = "2026-11-27T12:00:00Z", "2026-12-24T00:00:00Z"
DAY = 86400
SECRET = "hunter2-but-longer"
GOOD = {"stackName": "images-com", "domain": "images.example.com"}
SECRETS = ("registry:passwords", "registry:hashedPasswords")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C."""


class Configured(Stack):
    """A stack whose settings are here, and which notes what it is deployed with."""

    def __init__(self, values: dict[str, Any], ends_after: int = 9) -> None:
        super().__init__("prod")
        self.values = {**GOOD, **values}
        self.events: list[Any] = []
        self.ends_after = ends_after
        """Deployments and pauses until an interruption."""

    @property
    def settings(self) -> Settings:
        return parse(raw(self.values), SECRETS.__contains__, self.name)

    def note(self, event: object) -> None:
        if len(self.events) == self.ends_after:
            raise Interrupted
        self.events.append(event)

    def deploy(self, *_: Any, **__: Any) -> None:
        assert self.settings.token_server
        self.note(list(self.settings.token_server.signing_keys))

    def run(self, command: Sequence[str]) -> str:
        """Change the settings as `pulumi config` does."""
        assert command[:6] == ["pulumi", "config", "set-all", "--stack", "prod", "--json"]
        for key, entry in json.loads(command[6]).items():
            assert json.loads(entry["value"]) == entry["objectValue"]
            self.values[key.removeprefix("registry:")] = entry["objectValue"]
        return ""


def configured(monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], **more: Any) -> Configured:
    """Return a stack in token mode with these settings, which `make rotate` changes."""
    stack = Configured({"auth": "token", **values}, **more)
    monkeypatch.setattr(rotate, "run", stack.run)
    monkeypatch.setattr(rotate, "_require_deployable", lambda _: None)
    return stack


@pytest.mark.parametrize("kind", ["password", "key"])
def test_nothing_is_written_where_nothing_could_be_deployed(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    stack = Configured({"auth": "token"})
    monkeypatch.setattr(rotate, "run", stack.run)
    monkeypatch.setattr(Configured, "outputs", {"url": "https://images.example.com"})
    monkeypatch.setattr(Configured, "endpoint", Endpoint(host="unix:///nowhere.sock"))
    with pytest.raises(UserError, match="No Docker engine answers at unix:///nowhere"):
        rotate_password(stack, "admin", DAY, NOW) if kind == "password" else rotate_key(stack)
    assert stack.values == {**GOOD, "auth": "token"}
    assert stack.events == []


def version(text: str, until: str | None = None) -> PasswordVersion:
    """Return a version of a password."""
    return PasswordVersion(version=text, until=until)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([version("1")], [version("2"), version("1", TOMORROW)]),
        # What has ended is taken out; what ends earlier than the overlap still does.
        (
            [version("4"), version("3", SOON), version("2", PAST)],
            [version("5"), version("4", TOMORROW), version("3", SOON)],
        ),
        # What would go on for longer ends with the overlap.
        (
            [version("9"), version("10", LATER), version("a")],
            [version("11"), *(version(each, TOMORROW) for each in ("9", "10", "a"))],
        ),
        ([version("2026-11")], [version("20261126120000"), version("2026-11", TOMORROW)]),
    ],
)
def test_a_new_version_comes_first_and_those_before_it_get_an_end(
    before: list[PasswordVersion], after: list[PasswordVersion]
) -> None:
    assert next_versions(before, TOMORROW, NOW) == after


def test_a_rotation_of_a_password_is_written_and_deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    users = ["admin", "jane.doe"]
    versions = [{"version": "3"}, {"version": "2", "until": PAST}, {"version": "1", "until": PAST}]
    values = {"users": users, "passwordVersions": {"jane.doe": versions}}
    stack = configured(monkeypatch, values)
    for user in users:
        rotate_password(stack, user, DAY, NOW)
    assert stack.settings.login.versions == {
        "jane.doe": [version("4"), version("3", TOMORROW)],
        "admin": [version("2"), version("1", TOMORROW)],
    }
    assert stack.events == [["1"], ["1"]]


def test_after_a_failed_deployment_the_way_on_is_no_second_rotation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack = configured(monkeypatch, {})

    def fail(**_: Any) -> None:
        raise UserError("`pulumi up` failed")

    monkeypatch.setattr(stack, "deploy", fail)
    with pytest.raises(UserError, match=r"`pulumi up` failed.* make deploy STACK=prod goes on"):
        rotate_password(stack, "admin", DAY, NOW)


def test_of_a_given_password_it_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = configured(monkeypatch, {"passwords": {"admin": SECRET}})
    with pytest.raises(UserError) as error:
        rotate_password(stack, "admin", DAY, NOW)
    assert str(error.value).splitlines()[1:] == [
        "      pulumi config set --stack prod --path --secret"
        " registry:formerPasswords.admin.password   # the one of now",
        "      pulumi config set --stack prod --path --plaintext"
        f" registry:formerPasswords.admin.until {TOMORROW}",
        "      pulumi config set --stack prod --path --secret"
        " registry:passwords.admin   # the new one",
        "      make deploy STACK=prod",
    ]
    assert SECRET not in str(error.value)
    assert stack.events == []


def test_who_has_no_password_that_could_be_rotated_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack = configured(
        monkeypatch, {"users": ["ci"], "hashedPasswords": {"old": "$2b$10$" + "a" * 53}}
    )
    with pytest.raises(UserError, match="USER=cy: registry:users has ci"):
        rotate_password(stack, "cy", DAY, NOW)
    with pytest.raises(UserError, match="of old a hash alone is known"):
        rotate_password(stack, "old", DAY, NOW)


def test_without_a_token_server_it_says_what_a_rotation_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack = configured(monkeypatch, {"auth": "basic"})
    with pytest.raises(UserError, match=r"(?s)registry:auth token.*registry:passwordRotation"):
        rotate_password(stack, "admin", DAY, NOW)
    with pytest.raises(UserError, match=r"(?s)registry:auth token.*registry:passwordRotation"):
        rotate_key(stack)


def test_another_key_takes_three_deployments_and_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = configured(monkeypatch, {"tokenLifetime": 600})
    rotate_key(stack, stack.note)
    pause = 600 + 60 + 30
    assert stack.events == [["1", "2"], ["2", "1"], pause, ["2"]]
    stack.events.clear()
    rotate_key(stack, stack.note)
    assert stack.events == [["2", "3"], ["3", "2"], pause, ["3"]]


@pytest.mark.parametrize("steps", range(4))
def test_an_interrupted_rotation_of_the_key_goes_on(
    monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """No key is forgotten that a token may be of, and none signs that a registry doesn't know."""
    stack = configured(monkeypatch, {"signingKeys": ["9"]}, ends_after=steps)
    with pytest.raises(Interrupted):
        rotate_key(stack, stack.note)
    stack.ends_after = 99
    if stack.settings.token_server and stack.settings.token_server.signing_keys == ("10",):
        # All but the last deployment was done; any deployment ends it.
        assert steps == 3
        return
    rotate_key(stack, stack.note)
    events = [
        event
        for event, before in zip(stack.events, [None, *stack.events], strict=False)
        if event != before
    ]
    deployed = [event for event in events if isinstance(event, list)]
    assert deployed == [["9", "10"], ["10", "9"], ["10"]]
    assert events[-2] == 240 + 60 + 30


@pytest.mark.parametrize("keys", [["a"], ["1", "a"], ["1", "2", "3"]])
def test_keys_that_it_has_not_named_itself_are_left_alone(
    monkeypatch: pytest.MonkeyPatch, keys: list[str]
) -> None:
    stack = configured(monkeypatch, {"signingKeys": keys})
    with pytest.raises(UserError, match=r"docs/access\.md"):
        rotate_key(stack, stack.note)
    assert stack.events == []


def test_an_overlap_has_a_unit() -> None:
    assert [overlap_seconds(text) for text in (None, "90m", "7d", "0s")] == [DAY, 5400, 7 * DAY, 0]
    for text in ("24", "1w", "-1h", "1h30m"):
        with pytest.raises(UserError, match=f"OVERLAP={text}"):
            overlap_seconds(text)


@pytest.mark.parametrize("variables", [{}, {"LOGIN_USER": "ci", "KEY": "1"}])
def test_either_a_user_or_the_key_is_rotated(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    monkeypatch.setattr("ops.commands.process_env", lambda: None)
    with pytest.raises(UserError, match=r"USER=ci, .* or KEY=1"):
        ACTIONS["rotate"](arguments(["rotate"], variables))


def test_a_key_that_pulumi_took_for_a_number_is_refused_with_what_to_type() -> None:
    with pytest.raises(pulumi.RunError) as error:
        parse(raw({**GOOD, "auth": "token", "signingKeys": [12]}), SECRETS.__contains__, "prod")
    command = "pulumi config set --stack prod --path --type string 'registry:signingKeys[0]' 12"
    assert command in str(error.value)
