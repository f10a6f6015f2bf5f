"""An object store outside the swarm: versitygw, which speaks S3 over TLS and keeps files."""

from __future__ import annotations

import secrets
from pathlib import Path

from ops.bootstrap.console import wait
from testing.certificates import CertificatePair
from testing.tools import tool

from .testswarm import ENDED_S, SOON_S, TestSwarm

PORT = 7070
REGION = "us-east-1"
BUCKET = "images"
DRIVER = "registry:config.storage.s3"
"""Beginning of the settings of a registry that keeps its images in S3."""


class Store:
    """Has one empty bucket; runs from construction until `end`, but for its outages."""

    def __init__(self, swarm: TestSwarm, folder: Path) -> None:
        self._swarm, self._folder, outside = swarm, folder, swarm.outside
        self.endpoint = f"https://{outside.ip}:{PORT}"
        pair = CertificatePair.make(address=outside.ip)
        self.root_file = folder / "certificate.pem"
        """PEM: its certificate is its own CA."""
        self.access_key, self.secret_key = "registry", secrets.token_hex(16)
        self.root_file.write_text(pair.chain)
        (folder / "key.pem").write_text(pair.key)
        self.bucket = folder / "buckets" / BUCKET
        self.bucket.mkdir(parents=True)
        self.begin()

    def begin(self, swarm: TestSwarm | None = None) -> None:
        """Start it, with whatever it has; from now on beside that swarm, if one is given.

        All swarms have the same addresses, so it has the same endpoint there.
        """
        self._swarm = swarm or self._swarm
        outside, folder = self._swarm.outside, self._folder
        # Its command line would show the keys.
        keys = (f"ROOT_ACCESS_KEY={self.access_key}", f"ROOT_SECRET_KEY={self.secret_key}")
        certificate = ("--cert", self.root_file, "--key", folder / "key.pem")
        self._process = self._swarm.spawn(
            outside,
            *("env", *keys, tool("versitygw"), "--port", f":{PORT}", "--region", REGION),
            *(*certificate, "--quiet", "posix", folder / "buckets"),
            log=folder / "log",
        )
        asked = ("curl", "-sk", "--max-time", "2", self.endpoint)
        wait("the store", lambda: self._swarm.exec(outside, *asked, check=False).stdout, SOON_S)

    @property
    def settings(self) -> dict[str, str]:
        """Settings by which a registry has its images in the bucket, and hands them out itself."""
        return {
            "registry:storageCa": str(self.root_file),
            f"{DRIVER}.bucket": BUCKET,
            f"{DRIVER}.region": REGION,
            f"{DRIVER}.regionendpoint": self.endpoint,
            f"{DRIVER}.forcepathstyle": "true",
            f"{DRIVER}.accesskey": self.access_key,
            "registry:config.storage.redirect.disable": "true",
        }

    @property
    def secrets(self) -> dict[str, str]:
        """Settings beside these that are secrets."""
        return {f"{DRIVER}.secretkey": self.secret_key}

    def end(self) -> None:
        """End it; its files are its folder's, and another `begin` finds them."""
        self._process.kill()
        self._process.wait(ENDED_S)
