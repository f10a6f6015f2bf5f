"""Settings and outputs that have another name now: the former one goes on working for a while."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.version import VERSION
from ops.outputs import StackOutputs
from settings import Settings, parse, renamed
from settings.copies import copy_for
from settings.stack_schema import stack_file

from .program import Declared, declare, raw
from .shared_program import FIRST

PROXY: Mapping[str, Any] = {**FIRST, "proxy": "stack"}
EXAMPLES: Mapping[str, tuple[Mapping[str, Any], str]] = {"proxyUiPort": (PROXY, "8090")}
"""For each former name of a setting some others, and a value."""


def read(values: Mapping[str, Any], *secrets: str) -> Settings:
    return parse(raw(values), lambda key: key in secrets, "prod")


def test_each_former_name_has_an_example() -> None:
    assert set(EXAMPLES) == set(renamed.SETTINGS)


def test_former_names_end_with_a_major_version() -> None:
    # A stack's settings then have to be changed by hand.
    assert int(VERSION.partition(".")[0]) < int(renamed.END.partition(".")[0])


@pytest.mark.parametrize("former", EXAMPLES)
def test_a_former_name_means_what_the_present_one_does(
    former: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    others, value = EXAMPLES[former]
    present = renamed.SETTINGS[former]

    def declared(key: str) -> Declared:
        return declare({**others, key: value}, (), monkeypatch, tmp_path)

    by_former, by_present = declared(former), declared(present)
    assert by_former.resources == by_present.resources
    assert by_former.outputs == by_present.outputs
    (warning,) = {*by_former.warnings} - {*by_present.warnings}
    first, command, other_command = warning.splitlines()
    assert first.startswith(f"registry:{former} is called registry:{present} now")
    assert command.startswith("      pulumi config set --stack ")
    assert command.endswith(f" registry:{present} {value}")
    assert other_command.startswith("      pulumi config rm --stack ")
    assert other_command.endswith(f" registry:{former}")


@pytest.mark.parametrize("former", EXAMPLES)
def test_both_names_at_once_are_one_error(former: str) -> None:
    others, value = EXAMPLES[former]
    with pytest.raises(pulumi.RunError) as error:
        read({**others, former: value, renamed.SETTINGS[former]: value})
    first, line, command = str(error.value).splitlines()
    assert first.startswith("One setting of stack prod is wrong")
    assert line == (
        f"  - registry:{former} is the former name of registry:{renamed.SETTINGS[former]},"
        " which is set, too."
    )
    assert command == f"      pulumi config rm --stack prod registry:{former}"


def test_what_is_wrong_is_said_of_the_name_that_the_file_has() -> None:
    with pytest.raises(pulumi.RunError) as error:
        read({**PROXY, "proxyUiPort": "many"})
    lines = str(error.value).splitlines()[1:]
    assert lines[0].startswith("  - registry:proxyUiPort is 'many': it must be a whole number")
    assert lines[1].startswith("      pulumi config set --stack prod registry:proxyUiPort ")
    with pytest.raises(pulumi.RunError, match="rm --stack prod registry:proxyUiPort"):
        read({**FIRST, "proxyUiPort": "8090"})


def test_a_secret_is_not_in_the_warning() -> None:
    (warning,) = read({**PROXY, "proxyUiPort": "8090"}, "registry:proxyUiPort").warnings
    assert "8090" not in warning
    assert "registry:proxyDashboardPort --secret\n" in warning


def test_a_copy_for_another_stack_leaves_out_what_has_a_former_name() -> None:
    values = {**FIRST, "proxy": "main", "docker:host": "ssh://me@dog", "proxyUiPort": "0"}
    copy = copy_for(raw(values), "prod", "new", "new.example.com")
    assert [each.key for each in copy.edits if each.value is None] == ["registry:proxyUiPort"]


def test_an_editor_takes_a_former_name_and_marks_it() -> None:
    properties = stack_file({})["properties"]["config"]["properties"]
    for former, present in renamed.SETTINGS.items():
        assert properties[f"registry:{former}"]["deprecated"] is True
        assert f"`registry:{present}`" in properties[f"registry:{former}"]["description"]


def test_outputs_of_before_are_read_by_their_former_names() -> None:
    outputs = {"url": "http://a", "ui": "http://b", "uiPasswords": {"admin": "secret"}}
    read = StackOutputs.read(outputs)
    assert read
    assert read.dashboard == "http://b"
    assert list(read.dashboard_users) == ["admin"]
