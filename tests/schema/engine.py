"""A stand-in for a swarm's manager: services with labels, for Traefik's Swarm provider."""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

NETWORK = "traefik-public"
VERSION = "1.41"
"""Of Docker's API."""


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@contextmanager
def engine(socket: Path, services: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Answer at `socket` as an engine with `services`, each with its labels; yield its address."""
    answers = _answers(services)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def address_string(self) -> str:
            return "local"

        def log_message(self, *_: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(b"")

        def do_GET(self) -> None:
            path = urlsplit(self.path).path.removeprefix(f"/v{VERSION}")
            self._answer(json.dumps(answers.get(path, [])).encode())

        def _answer(self, content: bytes) -> None:
            self.send_response(200)
            self.send_header("Api-Version", VERSION)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with _Server(str(socket), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"unix://{socket}"
        finally:
            server.shutdown()
            thread.join(timeout=10)


def _answers(services: Mapping[str, Mapping[str, str]]) -> Mapping[str, Any]:
    """Return what the engine says, by path."""
    listed, tasks = [], []
    for number, (name, labels) in enumerate(services.items()):
        address = f"10.1.{number // 250}.{number % 250 + 2}/16"
        listed.append(
            {
                "ID": f"id-{name}",
                "Version": {"Index": 1},
                "Spec": {
                    "Name": name,
                    "Labels": dict(labels),
                    "Mode": {"Replicated": {"Replicas": 1}},
                    "EndpointSpec": {"Mode": "dnsrr"},
                    "TaskTemplate": {"Networks": [{"Target": "net"}]},
                },
                "Endpoint": {"Spec": {"Mode": "dnsrr"}},
            }
        )
        tasks.append(
            {
                "ID": f"task-{name}",
                "ServiceID": f"id-{name}",
                "Slot": 1,
                "Spec": {},
                "Status": {"State": "running", "ContainerStatus": {"ContainerID": name}},
                "DesiredState": "running",
                "NetworksAttachments": [
                    {
                        "Network": {"ID": "net", "Spec": {"Name": NETWORK}},
                        "Addresses": [address],
                    }
                ],
            }
        )
    return {
        "/_ping": "OK",
        "/version": {"Version": "20.10.24", "ApiVersion": VERSION},
        "/info": {"Swarm": {"LocalNodeState": "active", "ControlAvailable": True}},
        "/networks": [{"Id": "net", "Name": NETWORK, "Scope": "swarm", "Driver": "overlay"}],
        "/services": listed,
        "/tasks": tasks,
    }
