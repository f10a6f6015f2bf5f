"""The registry that tries an object store: nobody else reaches it, and nothing of it stays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from components.distribution.config import CONFIG_PATH, PORT, REGISTRY_IMAGE
from ops.bootstrap.console import UserError
from ops.config import Config
from ops.doctor import store_trial
from ops.doctor.store import Store, store_of
from ops.doctor.store_errors import explanation
from ops.doctor.store_trial import LIFETIME_SECONDS

STORE = Store(
    "live",
    "s3",
    {"storage": {"s3": {"bucket": "images", "region": "eu-central-1", "secretkey": "hidden"}}},
    "registry:3",
    None,
)


def test_a_store_is_known_where_other_settings_are_wrong_or_missing() -> None:
    config = json.dumps(STORE.config)
    values = {"registry:config": config, "registry:https": "maybe", "registry:replicas": "many"}
    store = store_of(Config(stack="live", values=values))
    assert store
    assert (store.driver, store.bucket, store.image) == ("s3", "images", REGISTRY_IMAGE)
    assert store_of(Config(stack="live", values={"registry:https": "maybe"})) is None


def test_it_listens_where_nobody_else_reaches_it() -> None:
    document = json.loads(store_trial._files(STORE)[CONFIG_PATH])
    assert document["http"]["addr"] == f"127.0.0.1:{PORT}"


def test_it_ends_and_is_gone_by_itself_and_no_command_line_has_its_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands: list[Sequence[Any]] = []

    def run(command: Sequence[Any], **_: object) -> str:
        commands.append(command)
        return "container"

    def put(*_: object) -> None:
        raise UserError("`docker cp`: no space left")

    monkeypatch.setattr(store_trial, "run", run)
    monkeypatch.setattr(store_trial, "_put", put)
    with pytest.raises(UserError, match="no space left"):
        store_trial._error(STORE)
    create = next(command for command in commands if command[1] == "create")
    assert "--rm" in create
    assert create[create.index("--entrypoint") + 1] == "timeout"
    assert create[create.index(STORE.image) + 1] == str(LIFETIME_SECONDS)
    assert commands[-1] == ["docker", "rm", "--force", "--volumes", "container"]
    assert "hidden" not in str(commands)


def test_an_error_that_is_logged_after_the_answer_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = ['level=info msg="listening on 127.0.0.1:5000"'] * 3
    logs.append(logs[0] + '\nlevel=error err.detail="NoSuchBucket"')

    class Trial:
        def log(self) -> str:
            return logs.pop(0) if len(logs) > 1 else logs[0]

        def runs(self) -> bool:
            return True

        def is_ready(self) -> bool:
            return True

    def run(*_: object, **__: object) -> str:
        raise UserError("`docker exec`: 503")

    monkeypatch.setattr(store_trial, "run", run)
    error = store_trial._result(STORE, "container", Trial())  # type: ignore[arg-type]
    assert error == "the registry says: NoSuchBucket"
    assert "images doesn't exist at" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("driver", "parameters", "log", "remedy"),
    [
        (
            "s3",
            {"bucket": "imags", "regionendpoint": "https://store.example.com"},
            'level=error msg="x" err.detail="s3aws: NoSuchBucket: gone"',
            "imags doesn't exist at https://store.example.com: create it, or name another:\n"
            "      pulumi config set --stack live --path registry:config.storage.s3.bucket NAME",
        ),
        (
            "azure",
            {"accountname": "tests", "container": "imags"},
            'level=error err.detail="ContainerNotFound"',
            "registry:config.storage.azure.container NAME",
        ),
        (
            "azure",
            {"accountname": "tests"},
            'level=error err.detail="AuthenticationFailed"',
            "--secret registry:config.storage.azure.accountkey",
        ),
        ("gcs", {}, 'panic: Get "x": no such host\n\ngoroutine 1', "nobody answers for gcs"),
        ("gcs", {}, "", "the default remedy"),
    ],
)
def test_each_known_error_has_its_remedy(
    driver: str,
    parameters: dict[str, Any],
    log: str,
    remedy: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = Store("live", driver, {"storage": {driver: parameters}}, "registry:3", None)
    explanation(store, log, "the default remedy")
    assert remedy in capsys.readouterr().err


def test_no_part_of_a_secret_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    credentials = {"private_key": "first-line\nsecond-line", "type": "none"}
    config = {"storage": {"gcs": {"bucket": "images", "credentials": credentials}}}
    store = Store("live", "gcs", config, "registry:3", None)
    log = 'level=fatal msg="first-line and second-line are of type none"'
    error = explanation(store, log, "")
    assert error == "the registry says: [secret] and [secret] are of type none"
    assert "first-line" not in str(store) + capsys.readouterr().err
