"""A registry outside the swarm that stands where Docker Hub does: the nodes' mirror of it.

With it an image's tag has a digest, as it has where there is internet.
"""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from pathlib import Path

from ops.console import run, wait

from .testswarm import ENDED_S, MIRROR_PORT, TestSwarm

CONFIG = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {data}}}}}
http: {{addr: ":{port}"}}
log: {{level: warn}}
"""


class Hub:
    """Has `images`, tarballs by name; runs from construction until `end`."""

    def __init__(self, swarm: TestSwarm, folder: Path, images: Mapping[str, Path]) -> None:
        program = registry_program(images, folder)
        config = folder / "config.yml"
        config.write_text(CONFIG.format(data=folder / "data", port=MIRROR_PORT))
        outside = swarm.outside
        command = (program, "serve", config)
        self._process = swarm.spawn(
            outside, "env", "OTEL_TRACES_EXPORTER=none", *command, log=folder / "log"
        )
        address = f"{outside.ip}:{MIRROR_PORT}"
        asked = ("curl", "-sf", "--max-time", "2", f"http://{address}/v2/")
        wait("the hub", lambda: swarm.exec(outside, *asked, check=False).returncode == 0, 15)
        for name, tarball in images.items():
            target = f"docker://{address}/library/{name}"
            copy = ("copy", "--quiet", "--dest-tls-verify=false", f"docker-archive:{tarball}")
            swarm.exec(outside, "skopeo", "--insecure-policy", *copy, target, timeout=120)

    def end(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait(ENDED_S)


def registry_program(images: Mapping[str, Path], folder: Path) -> Path:
    """The registry's program, from its own image."""
    image = next(path for name, path in images.items() if name.startswith("registry:"))
    run(["tar", "-xf", image, "-C", folder, "--wildcards", "*/layer.tar"])
    layer = next(folder.glob("*/layer.tar"))
    with tarfile.open(layer) as archive:
        archive.extract("bin/registry", folder, filter="data")
    layer.unlink()
    return folder / "bin/registry"
