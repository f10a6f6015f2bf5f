"""A report as a comment on the pull or merge request: one for each stack, rewritten in place."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ops.bootstrap.console import UserError, run, say

MAX_CHARACTERS = 60_000
"""Characters of a comment; GitHub takes 65 536."""


def post(stack: str, report: str) -> None:
    """Write the stack's comment on the request that GitHub's or GitLab's variables name."""
    mark = f"<!-- preview of stack {stack} -->"
    if len(report) > MAX_CHARACTERS:
        report = f"{report[:MAX_CHARACTERS]}\n```\n\nThe job's log has the rest.\n"
    if event := os.environ.get("GITHUB_EVENT_PATH"):
        request = json.loads(Path(event).read_text()).get("pull_request")
        if request is None:
            raise UserError("the workflow wasn't started by a pull request: nowhere to comment")
        commit = str(request["head"]["sha"])
        _github(int(request["number"]), mark, _body(mark, report, commit))
    elif number := os.environ.get("CI_MERGE_REQUEST_IID"):
        _gitlab(number, mark, _body(mark, report, _variable("CI_COMMIT_SHA")))
    else:
        raise UserError(
            "FORMAT=comment needs a pull request on GitHub or a merge request on GitLab"
        )
    say(f"commented on the request: stack {stack}")


def _body(mark: str, report: str, commit: str) -> str:
    return f"{mark}\n{report}\nCommit {commit[:12]}"


def _variable(name: str) -> str:
    if value := os.environ.get(name):
        return value
    raise UserError(f"{name} isn't set; FORMAT=comment needs it")


def _github(number: int, mark: str, body: str) -> None:
    """Comment by `gh`, which GitHub's runners have and which takes its token from GH_TOKEN."""
    comments = f"repos/{_variable('GITHUB_REPOSITORY')}/issues/{number}/comments"
    listed = run(
        [
            "gh",
            "api",
            "--paginate",
            f"{comments}?per_page=100",
            "--jq",
            ".[] | [.id, .body] | @json",
        ],
        timeout=60,
    )
    existing = _first(map(tuple, map(json.loads, listed.splitlines())), mark)
    if existing is None:
        target = ["POST", comments]
    else:
        issues = comments.rpartition("/")[0].rpartition("/")[0]
        target = ["PATCH", f"{issues}/comments/{existing}"]
    request = json.dumps({"body": body})
    run(["gh", "api", "--method", *target, "--input", "-", "--silent"], stdin=request, timeout=60)


def _gitlab(number: str, mark: str, body: str) -> None:
    api, project = _variable("CI_API_V4_URL"), _variable("CI_PROJECT_ID")
    notes = f"{api}/projects/{project}/merge_requests/{number}/notes"

    def listed() -> Iterator[tuple[int, str]]:
        page = 1
        while answer := _request("GET", f"{notes}?per_page=100&page={page}"):
            yield from ((note["id"], note["body"]) for note in answer)
            page += 1

    existing = _first(listed(), mark)
    if existing is None:
        _request("POST", notes, {"body": body})
    else:
        _request("PUT", f"{notes}/{existing}", {"body": body})


def _first(comments: Iterator[Any], mark: str) -> int | None:
    return next((int(id_) for id_, text in comments if text.startswith(mark)), None)


def _request(method: str, url: str, content: Mapping[str, str] | None = None) -> Any:
    """Return GitLab's answer. GITLAB_TOKEN has a project's access token with the scope `api`."""
    headers = {"PRIVATE-TOKEN": _variable("GITLAB_TOKEN"), "Content-Type": "application/json"}
    data = json.dumps(content).encode() if content else None
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 (GitLab's own)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise UserError(f"GitLab answers {error.code} to {method} {url}") from None
    except OSError as error:
        raise UserError(f"GitLab can't be reached: {error}") from None
