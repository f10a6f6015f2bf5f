"""`make outdated`: newer versions of images and packages, asked of registries on this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from components.swarm.pull_login import PullLogin
from ops import checkpoint, inventory
from ops.bootstrap.console import UserError
from ops.checkpoint import Checkpoint
from ops.outdated import packages, report
from ops.outdated.packages import NAMES, locked, package_lines, version_line
from ops.outdated.remote import HUB_URL, Engine, Name
from ops.outdated.report import image_line, images
from ops.outdated.version import Newer, newer
from ops.stack import Stack

from .shared_outdated import DIGEST, OTHER, TAGS, registry
from .shared_status import inputs, stack


@pytest.mark.parametrize(
    ("tag", "tags", "expected"),
    [
        ("3.1.2", TAGS, Newer("3.2.0", "4.0.0")),
        ("3.2.0", TAGS, Newer("", "4.0.0")),
        ("3.1", TAGS, Newer("", "")),
        ("3", TAGS, Newer()),
        ("v3.7.15", TAGS, Newer("v3.9.0")),
        ("v3.7.9", ["v3.7.10", "v3.7.8"], Newer("v3.7.10")),
        ("7.4-alpine", ["7.6", "8.2-alpine", "7.4.1-alpine"], Newer("", "8.2-alpine")),
        ("7.4-alpine", ["7.6-alpine", "7.5-alpine"], Newer("7.6-alpine")),
        ("latest", TAGS, Newer()),
        ("3.1.2", [], Newer()),
    ],
)  # fmt: skip
def test_newer_versions_are_those_of_the_same_line(
    tag: str, tags: Sequence[str], expected: Newer
) -> None:
    assert newer(tag, tags) == expected


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("registry:3.1.2", Name("docker.io", "library/registry", "3.1.2")),
        ("library/redis", Name("docker.io", "library/redis", "latest")),
        (f"acme/app:1@{DIGEST}", Name("docker.io", "acme/app", "1", DIGEST)),
        ("docker.io/traefik:v3", Name("docker.io", "library/traefik", "v3")),
        ("index.docker.io/acme/app:1", Name("docker.io", "acme/app", "1")),
        ("host:5000/a/b:1", Name("host:5000", "a/b", "1")),
        ("ghcr.io/a/b", Name("ghcr.io", "a/b", "latest")),
        (f"localhost/a@{DIGEST}", Name("localhost", "a", "latest", DIGEST)),
    ],
)
def test_a_name_has_the_parts_that_docker_reads_in_it(image: str, expected: Name) -> None:
    assert Name.of(image) == expected


def test_docker_hub_is_asked_through_the_engines_mirrors_first() -> None:
    info = {
        "RegistryConfig": {
            "Mirrors": ["http://mirror:5000/"],
            "IndexConfigs": {"plain:5000": {"Secure": False}, "docker.io": {"Secure": True}},
        }
    }
    engine = Engine.of(info)
    assert engine.addresses("docker.io") == ("http://mirror:5000", HUB_URL)
    assert engine.addresses("plain:5000") == ("http://plain:5000",)
    assert engine.addresses("localhost:5000") == ("http://localhost:5000",)
    assert engine.addresses("ghcr.io") == ("https://ghcr.io",)
    assert Engine.of({}).addresses("docker.io") == (HUB_URL,)


def test_an_image_that_has_newer_versions_is_shown_with_what_to_type() -> None:
    now = datetime(2026, 11, 26, tzinfo=timezone.utc)
    image = f"registry:3.1.2@{DIGEST}"
    line = image_line("prod", image, "registry", TAGS, OTHER, "image", lambda: now)
    assert (line.title, line.state) == ("registry:3.1.2", "newer")
    assert line.text == (
        "3.2.0 is newer; 4.0.0 is another major version: read its notes; the tag leads to another"
        " image by now (registry)"
    )
    assert line.commands == (
        "pulumi config set --stack prod registry:image registry:3.2.0",
        "pulumi config set --stack prod registry:imageRefresh 2026-11-26",
    )
    newest = image_line("prod", f"host:5000/a:4.0.0@{DIGEST}", "token", TAGS, DIGEST, "toolsImage")
    assert (newest.state, newest.text, newest.commands) == ("ok", "the newest (token)", ())
    latest = image_line("prod", f"a:latest@{DIGEST}", "registry", TAGS, DIGEST, "image")
    assert latest.text == "the tag's present image (registry)"
    behind = image_line("prod", f"host:5000/a:3.1.2@{DIGEST}", "token", TAGS, "", "toolsImage")
    assert behind.commands == (
        "pulumi config set --stack prod registry:toolsImage host:5000/a:3.2.0",
    )


def test_services_are_listed_by_their_image() -> None:
    state = stack(inputs(), inputs("images_mirror-hub")).state
    assert list(images(state, "images").values()) == [["mirror-hub", "registry"]]


def test_the_whole_command_asks_for_each_image(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Settings:
        class engine:  # noqa: N801
            pull_logins: dict[str, PullLogin] = {}  # noqa: RUF012

    tools = inputs("images_token", taskSpec={"containerSpec": {"image": "registry-tools:1.0.0"}})
    deployed = stack(inputs(), inputs("images_mirror-hub"), tools)
    monkeypatch.setattr(Stack, "ensure", lambda _: None)
    monkeypatch.setattr(Stack, "last_outputs", deployed.outputs)
    monkeypatch.setattr(Stack, "config", deployed.config)
    monkeypatch.setattr(Stack, "settings", Settings)
    monkeypatch.setattr(checkpoint, "read", lambda _: deployed.state)
    monkeypatch.setattr(report, "package_lines", list)
    with registry() as (engine, _):
        monkeypatch.setattr(report, "_engine", lambda _: (engine, []))
        report.show(Stack("prod"))
    shown = capsys.readouterr().out
    assert "  newer    registry:3.1.2\n" in shown
    assert "3.2.0 is newer" in shown
    assert "made by `make build`" in shown
    assert "(mirror-hub, registry)" in " ".join(shown.split())
    monkeypatch.setattr(Stack, "last_outputs", None)
    with pytest.raises(UserError, match="isn't deployed"):
        report.show(Stack("prod"))


def test_an_engine_that_doesnt_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise UserError("No Docker engine\n  answers")

    monkeypatch.setattr(inventory, "connected", refuse)
    monkeypatch.setattr(Stack, "endpoint", None)
    engine, (line,) = report._engine(Stack("prod"))
    assert engine == Engine()
    assert (line.state, line.text) == ("unknown", "No Docker engine answers")


@contextmanager
def index(versions: Sequence[str]) -> Iterator[str]:
    """Yield the address of an index of packages, each in these versions."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.strip("/").replace("-", "_")
            files = [f"{name}-{each}-py3-none-any.whl" for each in versions]
            body = "".join(f'<a href="{file}">{file}</a>' for file in files).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_packages_are_asked_of_pips_own_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "NAMES", ("pulumi",))
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    major = locked("pulumi").partition(".")[0]
    with index(["3.1.0", f"{major}.9999.0"]) as url:
        monkeypatch.setenv("PIP_INDEX_URL", url)
        (line,) = package_lines()
    assert (line.state, line.text) == ("newer", f"{major}.9999.0 is newer")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/")
    (line,) = package_lines()
    assert (line.state, line.text) == ("unknown", "pip finds no index that knows it")


def test_each_package_has_a_version() -> None:
    assert all(map(locked, NAMES))
    assert locked("not-there") == ""
    assert version_line("a 1.0", "1.0", ["1.0", "0.9"]).text == "the newest"
    later = version_line("a 1.0", "1.0", ["1.1", "2.0"])
    assert later.text == "1.1 is newer, and 2.0 is another major version"


def test_a_state_without_services_has_no_image() -> None:
    empty: dict[str, Any] = {"deployment": {"resources": []}}
    assert images(Checkpoint(empty), "images") == {}
