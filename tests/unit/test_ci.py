"""The workflows and what they run: linted, and tried against stand-ins of their services."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import yaml

from tests.tools import tool

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PIPELINES = [*WORKFLOWS, ROOT / ".gitlab-ci.example.yml"]
TOKEN = "a-token-that-nobody-may-see"


def test_the_workflows_are_sound() -> None:
    done = subprocess.run(
        [tool("actionlint"), "-no-color"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", PIPELINES, ids=lambda file: str(file.name))
def test_what_they_run_is_there(file: Path) -> None:
    text = file.read_text()
    assert yaml.safe_load(text)
    targets = set(re.findall(r"^(\w+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?<!\w)make (\w+)", text)) <= targets
    for script in re.findall(r"(?:ci|\.ci)/[\w.]+", text):
        assert os.access(ROOT / script, os.X_OK), script
    assert re.search(r"make |\.ci/run", text)


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: str(file.name))
def test_no_expression_is_pasted_into_a_script(file: Path) -> None:
    for job in yaml.safe_load(file.read_text())["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", ""), "its value could be a command: pass it by env"


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A report as `make preview` writes it."""
    file = tmp_path / "preview.md"
    file.write_text("### `stag`: 1 to change\n\n| a | b |\n")
    return file


@pytest.mark.parametrize("there", [False, True])
def test_the_preview_is_one_comment_on_a_pull_request(
    tmp_path: Path, report: Path, there: bool
) -> None:
    gh = tmp_path / "gh"
    # Answers the search for the comment, and notes what it is asked to do.
    gh.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *--paginate*) {"echo 42" if there else ":"} ;;'
        f' *) echo "$*" >>{tmp_path}/asked; for word; do case $word in body=@*)'
        f" cat ${{word#body=@}} >{tmp_path}/body ;; esac; done ;; esac\n"
    )
    gh.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "REPOSITORY": "team/registry",
        "NUMBER": "7",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
    }
    subprocess.run([ROOT / "ci/comment.sh", "stag", report], env=environment, check=True)
    asked, body = (tmp_path / "asked").read_text(), (tmp_path / "body").read_text()
    if there:
        assert "--method PATCH repos/team/registry/issues/comments/42" in asked
    else:
        assert "--method POST repos/team/registry/issues/7/comments" in asked
    assert body == "<!-- preview of stag -->\n" + report.read_text()
    assert (tmp_path / "summary").read_text() == report.read_text()


class _Gitlab(BaseHTTPRequestHandler):
    """Has one note or none, and remembers what it is asked to do."""

    notes: list[dict[str, Any]] = []  # noqa: RUF012 - replaced by each test
    asked: list[tuple[str, str, str]] = []  # noqa: RUF012

    def _answer(self) -> None:
        assert self.headers["PRIVATE-TOKEN"] == TOKEN
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        if self.command != "GET":
            body = parse_qs(text)["body"][0]
            type(self).asked.append((self.command, self.path, body))
        answer = json.dumps(self.notes if self.command == "GET" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = _answer  # noqa: N815 - the names that http.server asks for

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def gitlab() -> Iterator[str]:
    """Address of a stand-in for GitLab's API."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Gitlab) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("there", [False, True])
def test_the_preview_is_one_note_on_a_merge_request(report: Path, gitlab: str, there: bool) -> None:
    others = [{"id": 1, "body": "<!-- preview of prod -->\nx"}]
    mine = [{"id": 2, "body": "<!-- preview of stag -->\nold"}]
    _Gitlab.notes, _Gitlab.asked = others + (mine if there else []), []
    environment = {
        "PATH": os.environ["PATH"],
        "GITLAB_TOKEN": TOKEN,
        "CI_API_V4_URL": gitlab,
        "CI_PROJECT_ID": "3",
        "CI_MERGE_REQUEST_IID": "7",
    }
    subprocess.run([ROOT / "ci/note.sh", "stag", report], env=environment, check=True)
    notes = "/projects/3/merge_requests/7/notes"
    body = "<!-- preview of stag -->\n" + report.read_text()
    assert _Gitlab.asked == [("PUT", f"{notes}/2", body) if there else ("POST", notes, body)]


def test_the_key_of_ssh_is_for_nobody_elses_eyes(tmp_path: Path) -> None:
    script = ROOT / "ci/ssh.sh"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    subprocess.run([script], env=environment, check=True)
    assert not (tmp_path / ".ssh").exists()
    refused = subprocess.run(
        [script], env={**environment, "SSH_KEY": "k"}, capture_output=True, text=True, check=False
    )
    assert refused.returncode != 0
    assert "ssh-keyscan" in refused.stderr
    given = {**environment, "SSH_KEY": "key", "SSH_KNOWN_HOSTS": "host ssh-ed25519 AAAA"}
    subprocess.run([script], env=given, check=True)
    key = tmp_path / ".ssh/id_ed25519"
    assert key.read_text() == "key\n"
    assert key.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / ".ssh/known_hosts").read_text() == "host ssh-ed25519 AAAA\n"
