"""`python forward.py HOST`: its pages on http://127.0.0.1:8000, logged in as $LOGIN.

For a browser without a person: it can't fill in a login, and pages don't load their data from
addresses with one in it.
"""

from __future__ import annotations

import base64
import http.client
import os
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TRUSTING = ssl.create_default_context()
TRUSTING.check_hostname, TRUSTING.verify_mode = False, ssl.CERT_NONE
LOGIN = base64.b64encode(os.environ["LOGIN"].encode()).decode()


class Handler(BaseHTTPRequestHandler):
    """Passes on what is asked."""

    def do_GET(self) -> None:
        """Pass a request on, with the login."""
        host = http.client.HTTPSConnection(sys.argv[1], context=TRUSTING)
        host.request("GET", self.path, headers={"Authorization": f"Basic {LOGIN}"})
        answer = host.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name in ("Content-Type", "Location"):
            if value := answer.getheader(name):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", 8000), Handler).serve_forever()
