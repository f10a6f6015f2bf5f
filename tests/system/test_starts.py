"""Settings made at random: what is accepted starts, with the very programs that are deployed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import pulumi
from hypothesis import given, settings

from components.distribution.config import (
    CONFIG_PATH,
    DATA_PATH,
    HTPASSWD_PATH,
    PORT,
    Secrets,
    Wiring,
    document,
)
from components.traefik import dynamic
from components.traefik.flags import PING_PORT
from ops.bootstrap import images
from settings import parse
from tests.schema import registry_cases
from tests.schema.traefik_cases import PAIR, Case, cases, dynamic_of, flags_of, parsed

STARTS = int(os.environ.get("REGISTRY_TEST_STARTS", "25"))
"""Number of starts of each program."""
START_S = 30
"""Time limit for a program to answer, seconds; it takes one where nothing else runs."""
MADE = 1000
"""Number of generated settings; the starts use some of the accepted ones."""
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""As the images have it."""


class Root:
    """An image's files, and one container's worth of isolation for its program."""

    def __init__(self, image: str, folder: Path) -> None:
        self.folder = folder
        with tarfile.open(images.tarballs()[image]) as whole:
            layer = next(each for each in whole.getnames() if each.endswith("layer.tar"))
            with tarfile.open(fileobj=cast(IO[bytes], whole.extractfile(layer))) as files:
                files.extractall(folder)  # noqa: S202 - an image that this project has built

    @contextmanager
    def runs(self, files: Mapping[str, str], command: Sequence[str]) -> Iterator[Program]:
        """Run a command of the image with `files`, on a loopback of its own."""
        for path, text in files.items():
            file = self.folder / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        start = ["unshare", "--net", "chroot", str(self.folder), "/bin/sh", "-c"]
        start += ['ip link set lo up && exec "$@"', "sh", "/entrypoint.sh", *command]
        log = self.folder.with_suffix(".log")
        with log.open("w") as out:
            process = subprocess.Popen(start, stdout=out, stderr=out, env={"PATH": SEARCH_PATH})
        try:
            yield Program(self.folder, process, log)
        finally:
            process.kill()
            process.wait(timeout=START_S)


class Program:
    """A program that has been started."""

    def __init__(self, root: Path, process: subprocess.Popen[bytes], log: Path) -> None:
        self._root, self._process, self._log = root, process, log

    def wrong(self, url: str) -> str | None:
        """Return why `url` isn't answered; None once it is."""
        command = ["nsenter", f"--net=/proc/{self._process.pid}/ns/net", "chroot", str(self._root)]
        command += ["wget", "-q", "-O", "-", url]
        deadline, answer = time.monotonic() + START_S, ""
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                return f"ended: {self._last_words()}"
            done = subprocess.run(command, capture_output=True, timeout=START_S, check=False)
            if done.returncode == 0:
                return None
            answer = done.stderr.decode(errors="replace")
            time.sleep(0.05)
        return f"no answer ({answer}): {self._last_words()}"

    def _last_words(self) -> str:
        """Return why it ended, as far as its log says so."""
        lines = self._log.read_text(errors="replace").splitlines()
        reasons = [line for line in lines if re.search(r"panic|fatal|FTL|error", line)]
        return "\n  ".join((reasons or lines)[-3:])


def some(strategy: Any, accept: Callable[[Any], Any]) -> list[tuple[Any, Any]]:
    """Return some of what the strategy makes and `accept` doesn't refuse, the longest ones."""
    accepted: dict[str, tuple[Any, Any]] = {}

    @settings(max_examples=MADE)
    @given(strategy)
    def judge(case: Any) -> None:
        try:
            accepted[repr(case)] = (case, accept(case))
        except pulumi.RunError:
            return

    judge()
    longest = sorted(accepted, key=len, reverse=True)[: 2 * STARTS : 2]
    return [accepted[each] for each in longest]


def report(failed: Sequence[tuple[str, Any]]) -> str:
    return "\n\n".join(f"{why}\n  <- {case}" for why, case in failed)


def test_a_traefik_starts(tmp_path: Path) -> None:
    root = Root(images_named("traefik"), tmp_path / "traefik")
    (root.folder / "certificates").mkdir()
    failed: list[tuple[str, Case]] = []
    chosen = some(cases(), parsed)
    assert len(chosen) == STARTS
    for case, made in chosen:
        files = {
            dynamic.DYNAMIC_PATH: json.dumps(dynamic_of(made)),
            dynamic.CERTIFICATE_PATH: PAIR.chain,
            dynamic.KEY_PATH: PAIR.key,
        }
        with root.runs(files, flags_of(made)) as traefik:
            if why := traefik.wrong(f"http://127.0.0.1:{PING_PORT}/ping"):
                failed.append((why, case))
    assert not failed, report(failed)


def test_a_registry_starts(tmp_path: Path) -> None:
    root = Root(images_named("registry"), tmp_path / "registry")
    (root.folder / DATA_PATH.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def config_of(config: Any) -> Any:
        values = {"registry:stackName": "registry-com", "registry:domain": "registry.example.com"}
        values["registry:config"] = json.dumps(config)
        return parse(values, lambda _: False, "prod").registry

    failed: list[tuple[str, Any]] = []
    chosen = some(registry_cases.whole(), config_of)
    assert len(chosen) == STARTS
    for config, made in chosen:
        content = json.dumps(document(made, Secrets(http="secret"), Wiring()))
        with root.runs({CONFIG_PATH: content, HTPASSWD_PATH: ""}, [CONFIG_PATH]) as registry:
            if why := registry.wrong(f"http://127.0.0.1:{PORT}/"):
                failed.append((why, config))
    assert not failed, report(failed)


def images_named(name: str) -> str:
    return next(image for image in images.tarballs() if image.startswith(f"{name}:"))
