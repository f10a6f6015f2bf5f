"""`python -m testing.screenshot`: docs/dashboard.png anew, from a real deployment.

Needs root, and what `make test` installs; and chromium.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from ops.bootstrap import images
from ops.bootstrap.console import main, wait

from .acme_server import AcmeServer
from .project import ROOT, Project
from .site import SwarmUnderTest
from .testswarm import TestSwarm

DOMAIN, DASHBOARD = "registry.tmd.fakhred.in", "traefik.tmd.fakhred.in"


def _shoot() -> None:
    with (
        tempfile.TemporaryDirectory() as name,
        TestSwarm(nodes=1, images=images.tarballs().values()) as swarm,
    ):
        folder, (node,) = Path(name), swarm.nodes
        acme_server = AcmeServer(swarm, folder / "acme-server")
        site = SwarmUnderTest(swarm, Project(folder / "registry", node.host))
        site.trust(acme_server.root_file)
        for domain in (DOMAIN, DASHBOARD, f"stag.{DOMAIN}"):
            swarm.add_host(domain, node.ip)
        site.project.init(
            "prod",
            {
                "registry:acmeServer": acme_server.directory,
                "registry:dashboardDomain": DASHBOARD,
            },
        )
        site.project.ok("config", "set", "registry:acmeCa", stdin=acme_server.transport_root)
        site.project.init("stag")
        for stack in ("prod", "stag"):
            site.project.up(stack)
        password = site.project.outputs("prod")["dashboardPasswords"]["admin"]
        page = f"https://{DASHBOARD}/dashboard/"
        wait(
            "the dashboard",
            lambda: site.status(page, f"admin:{password}", swarm.outside) == 200,
            60,
        )
        for stack, domain in (("prod", DOMAIN), ("stag", f"stag.{DOMAIN}")):
            site.serves(stack, domain, "registry-com_proxy")
        login = f"LOGIN=admin:{password}"
        forward = (sys.executable, Path(__file__).with_name("forward.py"), DASHBOARD)
        forwarding = swarm.spawn(swarm.outside, "env", login, *forward, log=folder / "forward.log")
        swarm.exec(
            swarm.outside,
            *("chromium", "--headless", "--no-sandbox"),
            *("--window-size=1280,640", "--hide-scrollbars", "--virtual-time-budget=15000"),
            f"--user-data-dir={folder}/browser",
            f"--screenshot={ROOT}/docs/dashboard.png",
            "http://127.0.0.1:8000/dashboard/#/http/routers",
            timeout=120,
        )
        forwarding.kill()
        acme_server.end()


if __name__ == "__main__":
    main(_shoot)
