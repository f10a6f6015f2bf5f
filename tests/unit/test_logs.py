"""`make logs`: one stream of several services, in the order of time."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops import logs
from ops.bootstrap.console import wait


def line(second: int, service: str) -> str:
    return f"2026-01-01T00:00:{second:02d}.000000000Z {service}.1.abc@dog    | a line\n"


def test_lines_of_all_services_come_in_the_order_of_time() -> None:
    proxy = [line(second, "proxy") for second in (1, 4, 5)]
    registry = [line(second, "registry") for second in (2, 3, 6)]
    assert list(logs.merged([proxy, registry], 30)) == sorted(proxy + registry)
    assert list(logs.merged([], 30)) == []


def test_a_line_begins_with_time_service_and_node() -> None:
    # Docker's beginning takes up to 75 characters, of a terminal that has 80.
    assert (
        logs.shortened(line(1, "stack_registry"))
        == "2026-01-01T00:00:01 stack_registry@dog | a line\n"
    )
    error = "error from daemon: no such service\n"
    assert logs.shortened(error) == error


@pytest.mark.timeout(60)
def test_a_stream_that_goes_on_is_shown_as_it_comes() -> None:
    # Also where lines never stop: what was collected is shown after a moment.
    ended = threading.Event()

    def endless() -> Iterator[str]:
        while not ended.wait(0.01):
            yield line(1, "registry")

    shown = logs.merged([endless(), [line(0, "proxy")]], 0.2)
    assert next(shown) == line(0, "proxy")
    assert next(shown) == line(1, "registry")
    ended.set()
    assert set(shown) <= {line(1, "registry")}


def test_what_containers_write_to_stderr_is_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    docker = tmp_path / "docker"
    docker.write_text(
        """#!/bin/sh
        for service; do :; done
        if [ "$service" = proxy ]; then
            echo "2026-01-01T00:00:02Z proxy"
        else
            echo "2026-01-01T00:00:03Z out"
            echo "2026-01-01T00:00:01Z err $*" >&2
        fi
        """
    )
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    logs.show_services(["proxy", "registry"], follow=False)
    printed = capsys.readouterr().out.splitlines()
    assert [each.split()[1] for each in printed] == ["err", "proxy", "out"]
    assert "service logs --timestamps --tail 100 registry" in printed[0]


def test_readers_end_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid\nexec sleep 1000\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def interrupted(*_: object) -> Iterator[str]:
        wait("the reader", (tmp_path / "pid").exists, 30)
        raise KeyboardInterrupt
        yield ""

    monkeypatch.setattr(logs, "merged", interrupted)
    with pytest.raises(KeyboardInterrupt):
        logs.show_services(["registry"], follow=True)
    pid = (tmp_path / "pid").read_text().strip()
    done = subprocess.run(["kill", "-0", pid], capture_output=True, check=False, timeout=20)
    assert done.returncode != 0
