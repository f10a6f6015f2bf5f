"""`make move`: the images go to another node under pushes and pulls, and nothing is lost."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

from components.version import TOOLS_IMAGE
from ops.bootstrap.console import wait
from testing.load import Load
from testing.site import SwarmUnderTest

NAME, DOMAIN, PORT = "moved", "moved.example.com", 8089
HOST = f"{DOMAIN}:{PORT}"
URL = f"http://{HOST}/v2"
PROXY, LABEL = f"{NAME}_proxy", f"{NAME}.registry-data"
RETRIES = 5
"""As often docker sends a layer again."""
STEP_S = 120
"""Time limit of a step of a move with few images, on a busy machine, seconds."""
PAUSE_S = 330
"""Longest time for which pushes wait, and a little more, seconds."""


class PasswordPushes:
    """Blobs pushed until the block ends with a password in each request, as no docker does it.

    In token mode these go by the token server. One is begun anew, as docker does it, when it lost
    its registry between its two requests.
    """

    def __init__(self, site: SwarmUnderTest) -> None:
        self._site, self._node = site, site.node_of(PROXY)
        self._curl = ("curl", "-sS", "-u", site.login(NAME), "--max-time", str(PAUSE_S))
        self._ended = threading.Event()
        self._worker = threading.Thread(target=self._loop, daemon=True)
        self.pushed: list[str] = []
        """Digests."""
        self.failed: list[str] = []
        self.longest = 0.0
        """Time of the longest push, seconds."""

    def __enter__(self) -> PasswordPushes:
        self._worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._worker.join(2 * PAUSE_S)

    def _loop(self) -> None:
        while not self._ended.wait(0.2):
            began, text = time.monotonic(), f"blob {len(self.pushed)}"
            digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
            answer = ""
            for _ in range(RETRIES):
                answer = self._push(digest, text)
                if "BLOB_UPLOAD_UNKNOWN" not in answer:
                    break
            self.longest = max(self.longest, time.monotonic() - began)
            if answer == "201":
                self.pushed.append(digest)
            else:
                self.failed.append(answer)

    def _push(self, digest: str, text: str) -> str:
        begin = ("-X", "POST", "-o", "/dev/null", "-w", "%header{location}")
        location = self._run(*begin, f"{URL}/by-password/blobs/uploads/")
        # Of a form, curl's default, the registry would take the body for itself.
        content = ("-H", "Content-Type: application/octet-stream", "--data-binary", text)
        put = ("-X", "PUT", "-w", "%{http_code}", *content, f"{location}&digest={digest}")
        return self._run(*put) if location else "nowhere to upload"

    def _run(self, *args: str) -> str:
        command = (*self._curl, *args)
        done = self._site.swarm.exec(self._node, *command, check=False, timeout=2 * PAUSE_S)
        return done.stdout

    def missing(self) -> list[str]:
        """Return the status of each that is not there."""
        urls = [f"{URL}/by-password/blobs/{digest}" for digest in self.pushed]
        output = ["-o", "/dev/null"] * len(urls)
        codes = self._run("-I", "-w", "%{http_code} ", *output, *urls).split()
        assert len(codes) == len(urls)
        return [code for code in codes if code != "200"]


def kill_during_move(site: SwarmUnderTest, node: str, log: Path) -> None:
    """Begin a move, and kill it with all its processes, while pushes wait for the deployment."""
    with log.open("wb") as output:
        run = subprocess.Popen(
            [".venv/bin/python", "-m", "ops", "move", "--stack", NAME, "--node", node],
            cwd=site.project.folder,
            env={**os.environ, **site.project.environment, "YES": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait("the deployment", lambda: f"goes to {node}" in log.read_text(), STEP_S)
    finally:
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(ProcessLookupError):
                if os.getsid(int(process.name)) == run.pid:
                    os.kill(int(process.name), signal.SIGKILL)
        run.wait(STEP_S)


def test_the_images_go_to_another_node_while_in_use(
    site: SwarmUnderTest, archive: Path, tmp_path: Path
) -> None:
    values = {"stackName": NAME, "domain": DOMAIN, "proxy": "stack", "network": NAME}
    values |= {"proxyHttpPort": str(PORT), "toolsImage": TOOLS_IMAGE, "auth": "token"}
    site.project.init(NAME, {f"registry:{key}": value for key, value in values.items()})
    site.project.up(NAME)
    site.serves(NAME, DOMAIN, PROXY)
    site.takes_tokens(f"{URL}/", site.resolve(HOST, PROXY))
    digest = site.push(NAME, HOST, "kept:1", archive)
    old = site.node_of(f"{NAME}_registry")
    new = next(node for node in site.swarm.nodes if node not in (old, site.node_of(PROXY)))
    settings = site.project.folder / f"Pulumi.{NAME}.yaml"
    before = settings.read_text()

    with (
        PasswordPushes(site) as by_password,
        Load(site, NAME, HOST, PROXY, archive, tmp_path, pulled="kept:1", retries=RETRIES) as load,
    ):
        kill_during_move(site, new.name, tmp_path / "killed.log")
        assert site.holders(LABEL) == [old.name]
        assert settings.read_text() == before, "no consent stays"
        # Its gate would stay closed for minutes.
        site.swarm.docker(site.any_node(), "service", "rm", f"{NAME}_job-move-gate")
        by_password.longest = 0.0
        moved = site.make("move", f"STACK={NAME}", f"NODE={new.name}", "YES=1", CHECK="no")
    assert moved.code == 0, moved.text
    print(moved.text, f"{load.done} operations, the longest gap {load.gap:.1f} s")
    print(f"{len(by_password.pushed)} by password, the longest {by_password.longest:.1f} s")
    waited = re.search(r"pushes waited for (\d+) s", moved.text)
    assert waited
    assert by_password.longest > int(waited[1]) / 2, "pushes with a password wait too"
    assert f"docker volume rm {NAME}_registry-data" in moved.text
    assert not load.failed, load.failed
    assert not by_password.failed, by_password.failed
    assert site.holders(LABEL) == [new.name]
    assert site.holders(f"{LABEL}-left") == []
    assert site.node_of(f"{NAME}_registry") == new
    assert site.digest(NAME, HOST, "kept:1") == digest
    # All that was pushed meanwhile is there, with all its layers.
    assert not by_password.missing()
    for number in (0, 2):
        options = ("--src-creds", site.login(NAME), f"docker://{HOST}/load-{number}-1:1")
        site.skopeo(HOST, "copy", *options, f"dir:{tmp_path / 'again'}")
    site.project.ok("preview", "--expect-no-changes", "--stack", NAME)
    jobs = site.swarm.docker(site.any_node(), "service", "ls", "-q", "--filter", "name=job")
    assert not jobs.split()
