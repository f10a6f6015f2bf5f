"""A registry that has newer versions, for `make outdated`."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from components.swarm.pull_login import PullLogin
from ops.outdated.remote import Engine

DIGEST, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
TAGS = ["3", "3.1", "3.1.2", "3.1.3", "3.2.0", "3.2.0-rc1", "4.0.0", "latest", "v3.9.0"]
LOGIN = PullLogin(username="ci", password="secret")


@contextmanager
def registry(
    login: str = "", status: int = 200, others: Mapping[str, object] | None = None
) -> Iterator[tuple[Engine, list[str]]]:
    """Yield an engine whose mirror is a registry with TAGS, and the requests that this gets.

    It asks for a `basic` or a `bearer` login. `others` are answers by the end of their path.
    """
    requests: list[str] = []
    secret = base64.b64encode(f"{LOGIN.username}:{LOGIN.password}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(f"{self.command} {self.path}")
            given = self.headers.get("Authorization", "")
            address = f"http://{self.headers['Host']}"
            url = urlsplit(self.path)
            for end, content in (others or {}).items():
                if url.path.endswith(end):
                    return self.answer(200, content)
            if url.path == "/token":
                name = "ci" if given == f"Basic {secret}" else "nobody"
                return self.answer(200, {"token": f"for-{name}"})
            challenges = {
                "basic": (f"Basic {secret}", 'Basic realm="x"'),
                "bearer": ("Bearer for-ci", f'Bearer realm="{address}/token",service="s"'),
            }
            expected, challenge = challenges.get(login, ("", ""))
            if given != expected:
                return self.answer(401, {}, {"WWW-Authenticate": challenge})
            if url.path.endswith("/tags/list"):
                last = parse_qs(url.query).get("last", [""])[0]
                page = TAGS[4:] if last else TAGS[:4]
                link = {} if last else {"Link": f'<{url.path}?n=4&last={page[-1]}>; rel="next"'}
                return self.answer(status, {"tags": page}, link)
            return self.answer(status, {}, {"Docker-Content-Digest": DIGEST})

        def do_HEAD(self) -> None:
            self.do_GET()

        def answer(self, code: int, content: object, headers: dict[str, str] | None = None) -> None:
            body = b"" if self.command == "HEAD" else json.dumps(content).encode()
            self.send_response(code)
            for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield Engine(mirrors=(f"http://127.0.0.1:{server.server_port}",)), requests
        server.shutdown()
