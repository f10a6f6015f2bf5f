"""How a task ends: SIGTERM at whatever moment, to process 1 in the image's own shell."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import stat
import subprocess
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from components.distribution.config import ConfigOptions, Secrets, Wiring, document
from components.distribution.service import GRACEFUL_STOP, STORAGE_FIRST
from ops.bootstrap import images
from ops.bootstrap.console import run, wait
from ops.bootstrap.image_build import ALL

STOPS = 1000
SIDE_BY_SIDE = 16
STARTS = 60
UPLOADS = 40
PERIOD_S = 60
"""Nothing here takes long, but the machine may be busy; after a lost signal it takes for ever."""
SERVER = "trap 'echo drained; exit 3' TERM; echo up; sleep 60 & wait"
"""Shell: ends when it is asked to, as the registry does."""
PORT = 21000
"""Below those that a kernel gives to clients: one of these could connect to itself."""
REGISTRY = ("/entrypoint.sh", "/etc/distribution/config.yml")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the files of the registry's image."""
    folder = tmp_path_factory.mktemp("image")
    (image,) = (recipe.image for recipe in ALL if recipe.name == "registry")
    with tarfile.open(images.tarballs()[image]) as archive:
        (layer,) = (name for name in archive.getnames() if name.endswith("/layer.tar"))
        content = archive.extractfile(layer)
        with tarfile.open(fileobj=content) as files:
            files.extractall(folder, filter="tar")
    (folder / "dev").mkdir()
    config = document(ConfigOptions(), Secrets(http="a secret"), Wiring(login=False))
    (folder / "etc/distribution/config.yml").write_text(json.dumps(config))
    os.mknod(folder / "dev/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    return folder


class Task:
    """COMMAND under graceful-stop, as process 1; with `network` in a network of its own."""

    def __init__(self, root: Path, delay: str, *command: str, network: bool = False) -> None:
        spaces = ["unshare", "--pid", "--fork", "--kill-child", *(["--net"] if network else [])]
        program = ["/bin/sh", "-c", GRACEFUL_STOP, "graceful-stop", delay, *command]
        self.process = subprocess.Popen(
            [*spaces, "chroot", str(root), *program],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.first = self._first()

    def _first(self) -> int:
        """Return the id out here of its process 1, once that catches SIGTERM.

        Before, the kernel drops the signal: that is a process 1's, and not the script's.
        """
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children")
        while True:
            with contextlib.suppress(OSError):
                for child in children.read_text().split():
                    status = Path(f"/proc/{child}/status").read_text()
                    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
                    if caught >> (signal.SIGTERM - 1) & 1:
                        return int(child)

    def stop(self) -> tuple[int, str]:
        """Send SIGTERM once, and return exit code and output of a task that ends in time."""
        os.kill(self.first, signal.SIGTERM)
        try:
            output, _ = self.process.communicate(timeout=PERIOD_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return self.process.returncode, output


def test_a_stop_is_never_lost(root: Path) -> None:
    def stop(_: int) -> tuple[int, str]:
        task = Task(root, "0", "/bin/sh", "-c", SERVER)
        # Most at the very beginning, where the child is being made.
        time.sleep(0.02 * random.random() ** 3)  # noqa: S311
        return task.stop()

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        ends = list(pool.map(stop, range(STOPS)))
    # One that hasn't come as far as its own trap has nothing to drain.
    assert set(ends) <= {(143, "Terminated\n"), (3, "drained\n"), (3, "up\ndrained\n")}
    assert (3, "up\ndrained\n") in ends


def test_a_registry_stops_at_whatever_moment_of_its_start(root: Path) -> None:
    def stop(number: int) -> int:
        task = _on_storage(root, f"/data/{number}")
        time.sleep(random.random())  # noqa: S311
        return task.stop()[0]

    with ThreadPoolExecutor(4) as pool:
        codes = set(pool.map(stop, range(STARTS)))
    # 143: before it could drain, and so before it served anybody.
    assert codes <= {0, 143}


def test_a_registry_serves_once_its_storage_can_be_read(root: Path) -> None:
    task = _on_storage(root, "/data/readable")
    output = task.process.stdout
    assert output
    line = next(line for line in output if "listening on" in line)
    assert ":5000" in line, "the trial listens elsewhere, and says nothing of it"
    # It says so before it catches SIGTERM, and answers after.
    inside = ("nsenter", f"--net=/proc/{task.first}/ns/net")
    run([*inside, "curl", "--fail", "--silent", "http://127.0.0.1:5000/v2/"])
    assert task.stop()[0] == 0


def test_a_registry_with_unreadable_storage_never_serves_and_says_why(root: Path) -> None:
    task = _on_storage(root, "/etc/passwd/no-folder")
    output, _ = task.process.communicate(timeout=PERIOD_S)
    assert task.process.returncode == 1
    assert "not a directory" in output
    assert "listening on" not in output
    assert output.endswith("The registry can't read its storage: the lines above say why.\n")


def test_an_upload_under_way_is_finished(root: Path) -> None:
    def stop(number: int) -> tuple[int, int]:
        port = PORT + number
        variables = (
            f"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/data/upload-{number}",
            f"REGISTRY_HTTP_ADDR=127.0.0.1:{port}",
        )
        task = Task(root, "1", "/usr/bin/env", *variables, *REGISTRY)
        wait("the registry", lambda: _listens(port), PERIOD_S)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PERIOD_S)
        connection.request("POST", "/v2/an/image/blobs/uploads/")
        begun = connection.getresponse()
        begun.read()
        location = urlsplit(begun.headers["Location"])
        connection.putrequest("PATCH", f"{location.path}?{location.query}")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders(b"5\r\nfirst\r\n")
        time.sleep(0.3 * random.random())  # noqa: S311
        with ThreadPoolExecutor(1) as other:
            end = other.submit(task.stop)
            # It has stopped listening: so it no longer lingers, it drains.
            wait("the drain", lambda: not _listens(port), PERIOD_S)
            connection.send(b"4\r\nlast\r\n0\r\n\r\n")
            answer = connection.getresponse()
            answer.read()
            connection.close()
            return answer.status, end.result()[0]

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        ends = set(pool.map(stop, range(UPLOADS)))
    assert ends == {(202, 0)}


def test_a_registry_that_fails_while_it_lingers_says_so(root: Path) -> None:
    task = Task(root, "60", "/bin/sh", "-c", "echo up; sleep 1; exit 7")
    assert task.stop() == (7, "up\n")


def _on_storage(root: Path, folder: str) -> Task:
    """Run the registry as a task does, in a network of its own, with images in `folder`."""
    loopback = 'ip link set lo up && exec "$@"'
    variable = f"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY={folder}"
    command = ("/bin/sh", "-c", STORAGE_FIRST, "storage-first", *REGISTRY)
    program = ("/bin/sh", "-c", loopback, "sh", "/usr/bin/env", variable, *command)
    return Task(root, "0", *program, network=True)


def _listens(port: int) -> bool:
    with contextlib.suppress(ConnectionError):
        socket.create_connection(("127.0.0.1", port), 5).close()
        return True
    return False
