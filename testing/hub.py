"""A registry outside the swarm that stands where Docker Hub does: the nodes' mirror of it.

With it an image's tag has a digest, as it has where there is internet.
"""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from pathlib import Path

from components.credentials import GENERATED_COST, htpasswd_line
from ops.bootstrap.console import run, wait

from .testswarm import ENDED_S, MIRROR_PORT, SOON_S, TestSwarm

CONFIG = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {data}}}}}
http: {{addr: ":{port}"}}
log: {{level: warn}}
"""
LOGIN = "auth: {{htpasswd: {{realm: hub, path: {file}}}}}"


class Hub:
    """Has `images`, tarballs by name; runs from construction until `end`.

    With a `login` (user and password) it is private.
    """

    def __init__(
        self,
        swarm: TestSwarm,
        folder: Path,
        images: Mapping[str, Path],
        login: tuple[str, str] | None = None,
    ) -> None:
        program = registry_program(images, folder)
        config = folder / "config.yml"
        text = CONFIG.format(data=folder / "data", port=MIRROR_PORT)
        if login:
            file = folder / "htpasswd"
            file.write_text(htpasswd_line(*login, bytes(16), GENERATED_COST))
            text += LOGIN.format(file=file)
        config.write_text(text)
        self._swarm, self._images = swarm, images
        self._credentials = ":".join(login) if login else None
        outside = swarm.outside
        command = (program, "serve", config)
        self._process = swarm.spawn(
            outside, "env", "OTEL_TRACES_EXPORTER=none", *command, log=folder / "log"
        )
        self.address = f"{outside.ip}:{MIRROR_PORT}"
        user = ("--user", self._credentials) if self._credentials else ()
        asked = ("curl", "-sf", "--max-time", "2", *user, f"http://{self.address}/v2/")
        wait("the hub", lambda: swarm.exec(outside, *asked, check=False).returncode == 0, SOON_S)
        for name in images:
            self.push(name, name)

    def push(self, image: str, name: str, *flags: str) -> None:
        """Push `image` by `name`; `flags` are those of `skopeo copy`."""
        source, target = f"docker-archive:{self._images[image]}", self._url(name)
        login = ("--dest-creds", self._credentials) if self._credentials else ()
        copy = ("copy", "--quiet", "--dest-tls-verify=false", *login, *flags, source, target)
        self._skopeo(*copy)

    def digest(self, name: str) -> str:
        """Return the digest that `name` has now."""
        login = ("--creds", self._credentials) if self._credentials else ()
        inspect = ("inspect", "--tls-verify=false", *login, "--format", "{{.Digest}}")
        return self._skopeo(*inspect, self._url(name)).strip()

    def _url(self, name: str) -> str:
        return f"docker://{self.address}/library/{name}"

    def _skopeo(self, *args: str) -> str:
        command = ("skopeo", "--insecure-policy", *args)
        return self._swarm.exec(self._swarm.outside, *command, timeout=120).stdout

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait(ENDED_S)


def registry_program(images: Mapping[str, Path], folder: Path) -> Path:
    """Return the registry's program, from its own image."""
    image = next(path for name, path in images.items() if name.startswith("registry:"))
    run(["tar", "-xf", image, "-C", folder, "--wildcards", "*/layer.tar"])
    layer = next(folder.glob("*/layer.tar"))
    with tarfile.open(layer) as archive:
        archive.extract("bin/registry", folder, filter="data")
    layer.unlink()
    return folder / "bin/registry"
