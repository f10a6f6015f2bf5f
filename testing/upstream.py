"""A registry elsewhere, over TLS and with a login: what a mirror is of."""

from __future__ import annotations

import json
import secrets
import subprocess
from pathlib import Path

import bcrypt

from ops.bootstrap import images
from ops.bootstrap.console import wait
from testing.certificates import CertificatePair

from .hub import registry_program
from .testswarm import ENDED_S, SOON_S, TestSwarm

PORT = 5443


class Upstream:
    """Runs from construction until `end`, and again from `start`."""

    def __init__(self, swarm: TestSwarm, folder: Path) -> None:
        self._swarm, self._folder = swarm, folder
        self._program = registry_program(images.tarballs(), folder)
        self.address = f"{swarm.outside.ip}:{PORT}"
        self.url = f"https://{self.address}"
        self.username, self.password = "reader", secrets.token_hex(16)
        pair = CertificatePair.make(address=swarm.outside.ip)
        self.root_file = folder / "certificate.pem"
        """PEM: its certificate is its own CA."""
        self.root_file.write_text(pair.chain)
        key, logins = folder / "key.pem", folder / "htpasswd"
        key.write_text(pair.key)
        digest = bcrypt.hashpw(self.password.encode(), bcrypt.gensalt(4)).decode()
        logins.write_text(f"{self.username}:{digest}\n")
        tls = {"certificate": str(self.root_file), "key": str(key)}
        config = {
            "version": "0.1",
            "log": {"level": "warn"},
            "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
            "http": {"addr": f":{PORT}", "tls": tls},
            "auth": {"htpasswd": {"realm": "upstream", "path": str(logins)}},
        }
        (folder / "config.yml").write_text(json.dumps(config))
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, with the images that it had."""
        outside = self._swarm.outside
        command = (self._program, "serve", self._folder / "config.yml")
        quiet = ("env", "OTEL_TRACES_EXPORTER=none")
        log = self._folder / "log"
        self._process = self._swarm.spawn(outside, *quiet, *command, log=log)
        asked = ("curl", "-sk", "--max-time", "2", f"{self.url}/v2/")
        wait("the upstream", lambda: self._swarm.exec(outside, *asked, check=False).stdout, SOON_S)

    def push(self, image: str, name: str) -> None:
        """Push `image`, in skopeo's form, as `name`."""
        creds = ("--dest-tls-verify=false", "--dest-creds", f"{self.username}:{self.password}")
        target = f"docker://{self.address}/{name}"
        skopeo = ("skopeo", "--insecure-policy", "copy", "--quiet", *creds, image, target)
        self._swarm.exec(self._swarm.outside, *skopeo, timeout=120)

    def end(self) -> None:
        """End it; its images stay."""
        if self._process:
            self._process.kill()
            self._process.wait(ENDED_S)
            self._process = None
