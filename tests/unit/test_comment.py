"""Comments on pull and merge requests, through stand-ins for GitHub's command and GitLab's API."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from ops.bootstrap.console import UserError
from ops.review import comment

from .shared_ops import command

# A stand-in for `gh`, which can't be had without GitHub: it notes what it is asked for.
GH = """
echo "$@" >> "$FOLDER/asked"
case "$*" in
*--paginate*) cat "$FOLDER/comments" ;;
*) cat > "$FOLDER/body" ;;
esac
"""


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a pull request with somebody's comment on it."""
    command(tmp_path / "gh", GH)
    request = {"number": 7, "head": {"sha": "0123456789abcdef"}}
    (tmp_path / "event.json").write_text(json.dumps({"pull_request": request}))
    (tmp_path / "comments").write_text(json.dumps([1, "<!-- of mine -->\nhello"]) + "\n")
    monkeypatch.setenv("FOLDER", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "event.json"))
    monkeypatch.setenv("GITHUB_REPOSITORY", "owner/registry")
    return tmp_path


def test_a_pull_request_gets_one_comment_for_each_stack(github: Path) -> None:
    comment.post("stag", "**stag**: $(no) `changes`\n")
    assert "--method POST repos/owner/registry/issues/7/comments" in (github / "asked").read_text()
    body = json.loads((github / "body").read_text())["body"]
    assert (
        body == "<!-- preview of stack stag -->\n**stag**: $(no) `changes`\n\nCommit 0123456789ab"
    )
    with (github / "comments").open("a") as comments:
        comments.write(json.dumps([2, body]) + "\n")
    comment.post("prod", "**prod**: no changes\n")
    assert "PATCH" not in (github / "asked").read_text()
    comment.post("stag", "**stag**: 1 to change\n")
    last = (github / "asked").read_text().splitlines()[-1]
    assert "--method PATCH repos/owner/registry/issues/comments/2" in last
    assert "1 to change" in (github / "body").read_text()


def test_a_report_that_github_would_refuse_is_cut(github: Path) -> None:
    comment.post("stag", "x" * 100_000)
    assert len(json.loads((github / "body").read_text())["body"]) < 65_536


def test_without_a_request_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_EVENT_PATH", "CI_MERGE_REQUEST_IID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="FORMAT=comment needs a pull request"):
        comment.post("stag", "")


class GitLab(BaseHTTPRequestHandler):
    """As much of GitLab's API as notes take."""

    notes: list[dict[str, Any]]
    token = "glpat-hidden"

    def _answer(self, content: Any) -> None:
        self.send_response(200 if self.headers["PRIVATE-TOKEN"] == self.token else 401)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def do_GET(self) -> None:
        self._answer(self.notes if self.path.endswith("page=1") else [])

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.notes.append({"id": len(self.notes) + 1, **body})
        self._answer(self.notes[-1])

    def do_PUT(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.notes[int(self.path.rpartition("/")[2]) - 1].update(body)
        self._answer({})

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """Return those of a merge request."""
    GitLab.notes = [{"id": 1, "body": "hello"}]
    with HTTPServer(("127.0.0.1", 0), GitLab) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.delenv("GITHUB_EVENT_PATH", raising=False)
        for name, value in {
            "CI_MERGE_REQUEST_IID": "7",
            "CI_API_V4_URL": f"http://127.0.0.1:{server.server_port}",
            "CI_PROJECT_ID": "42",
            "CI_COMMIT_SHA": "0123456789abcdef",
            "GITLAB_TOKEN": GitLab.token,
        }.items():
            monkeypatch.setenv(name, value)
        yield GitLab.notes
        server.shutdown()


def test_a_merge_request_gets_one_note_for_each_stack(
    notes: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for report in ("**stag**: 1 to change\n", "**stag**: no changes\n"):
        comment.post("stag", report)
    comment.post("prod", "**prod**: no changes\n")
    assert [note["body"].splitlines()[-3:-2] for note in notes[1:]] == [
        ["**stag**: no changes"],
        ["**prod**: no changes"],
    ]
    monkeypatch.setenv("GITLAB_TOKEN", "wrong-and-hidden")
    with pytest.raises(UserError, match="GitLab answers 401") as problem:
        comment.post("stag", "")
    assert "hidden" not in str(problem.value)
