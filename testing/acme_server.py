"""An ACME server outside the swarm: Pebble, Let's Encrypt's own test server.

It checks real challenges: it connects to the domain's ports 80 and 443, as a public one would.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from cryptography import x509

from ops.bootstrap.console import wait
from testing.certificates import CertificatePair
from testing.tools import tool

from .testswarm import ENDED_S, SOON_S, TestSwarm

ACME_PORT, MANAGEMENT_PORT = 14000, 15000


class AcmeServer:
    """Runs from construction until `end`."""

    def __init__(
        self,
        swarm: TestSwarm,
        folder: Path,
        *,
        valid_seconds: int = 90 * 24 * 3600,
        ports: tuple[int, int] = (ACME_PORT, MANAGEMENT_PORT),
        accounts: Mapping[str, str] | None = None,
    ) -> None:
        """Serve at `ports` of the machine outside; keys by id of `accounts` bind those here."""
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "pebble.log"
        outside = swarm.outside
        self.directory = f"https://{outside.ip}:{ports[0]}/dir"
        """What ACME clients are told."""
        pair = CertificatePair.make(address=outside.ip)
        self.transport_root = pair.chain
        """Root of the certificate of `directory` itself: this one is its own."""
        (folder / "certificate.pem").write_text(pair.chain)
        (folder / "key.pem").write_text(pair.key)
        config = {
            "pebble": {
                "listenAddress": f"0.0.0.0:{ports[0]}",
                "managementListenAddress": f"0.0.0.0:{ports[1]}",
                "certificate": str(folder / "certificate.pem"),
                "privateKey": str(folder / "key.pem"),
                "httpPort": 80,
                "tlsPort": 443,
                "profiles": {"default": {"description": "", "validityPeriod": valid_seconds}},
                "externalAccountBindingRequired": bool(accounts),
                "externalAccountMACKeys": dict(accounts or {}),
            }
        }
        (folder / "pebble.json").write_text(json.dumps(config))
        # Without these it sleeps up to 15 s a challenge and refuses some requests on purpose.
        haste = ("env", "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0")
        program = (tool("pebble"), "-config", folder / "pebble.json")
        self._process = swarm.spawn(outside, *haste, *program, log=self._log)
        management = f"https://{outside.ip}:{ports[1]}/roots/0"
        asked = ("curl", "-sk", "--max-time", "2", management)
        self.root = wait(
            "the ACME server", lambda: swarm.exec(outside, *asked, check=False).stdout, SOON_S
        )
        """PEM root of the certificates that it issues."""
        self.root_file = folder / "root.pem"
        self.root_file.write_text(self.root)

    def orders(self) -> int:
        """Return how many certificates it has issued."""
        return self.log.count("Issued certificate serial")

    @property
    def log(self) -> str:
        """Its output so far."""
        return self._log.read_text(errors="replace")

    def end(self) -> None:
        """End it; its data are in memory alone."""
        self._process.kill()
        self._process.wait(ENDED_S)


def served(swarm: TestSwarm, domain: str) -> x509.Certificate:
    """Return the certificate that `domain` shows."""
    connect = f"openssl s_client -connect {domain}:443 -servername {domain} </dev/null"
    output = swarm.exec(swarm.outside, "sh", "-c", connect, check=False).stdout
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    pem = output[output.index(begin) : output.index(end) + len(end)]
    return x509.load_pem_x509_certificate(pem.encode())
