"""A bucket that isn't there is known without keys."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from components.distribution.bucket import missing_bucket


class _Store(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response({"/there": 403, "/public": 200, "/moved": 301}.get(self.path, 404))
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Store) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def s3(bucket: str, endpoint: str) -> dict[str, Any]:
    return {"storage": {"s3": {"bucket": bucket, "region": "r", "regionendpoint": endpoint}}}


def test_a_bucket_that_the_store_does_not_know_is_missing(endpoint: str) -> None:
    assert missing_bucket(s3("imags", endpoint)) == f"{endpoint}/imags"


@pytest.mark.parametrize("bucket", ["there", "public", "moved"])
def test_whatever_else_it_says_is_no_reason_to_warn(endpoint: str, bucket: str) -> None:
    assert missing_bucket(s3(bucket, endpoint)) is None


def test_where_nobody_answers_nothing_is_known() -> None:
    assert missing_bucket(s3("images", "http://127.0.0.1:1")) is None
    assert missing_bucket({}) is None
    assert missing_bucket({"storage": {"filesystem": {}}}) is None
