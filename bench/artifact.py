"""Images to push: OCI layouts of random layers, whose digests are new in each round."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

OCI = "application/vnd.oci.image"
CHUNK = 1024**2


class Image:
    """An OCI layout of `count` layers with `mib` MiB each, that nothing compresses."""

    def __init__(self, folder: Path, count: int, mib: int) -> None:
        self.folder = folder
        self.mib = count * mib
        self._blobs = folder / "blobs/sha256"
        self._blobs.mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self.layers: list[str] = []
        """Digests, since it was made anew last."""
        self._layers = [folder / f"layer-{number}" for number in range(count)]
        for layer in self._layers:
            with layer.open("wb") as file:
                for _ in range(mib):
                    file.write(os.urandom(CHUNK))

    def renew(self) -> str:
        """Make another image of it, of which no registry has a layer; return its digest."""
        for old in self._blobs.iterdir():
            old.unlink()
        layers = []
        for layer in self._layers:
            with layer.open("r+b") as file:
                file.write(os.urandom(32))
            digest = hashlib.sha256(layer.read_bytes()).hexdigest()
            os.link(layer, self._blobs / digest)
            layers.append(_descriptor(f"{OCI}.layer.v1.tar", digest, layer.stat().st_size))
        self.layers = [str(layer["digest"]) for layer in layers]
        root = {"type": "layers", "diff_ids": self.layers}
        about = {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": root,
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": self._blob(about, f"{OCI}.config.v1+json"),
            "layers": layers,
        }
        top = self._blob(manifest, f"{OCI}.manifest.v1+json")
        index = {"schemaVersion": 2, "manifests": [top]}
        (self.folder / "index.json").write_text(json.dumps(index))
        return str(top["digest"])

    def _blob(self, content: dict[str, Any], kind: str) -> dict[str, Any]:
        data = json.dumps(content).encode()
        digest = hashlib.sha256(data).hexdigest()
        (self._blobs / digest).write_bytes(data)
        return _descriptor(kind, digest, len(data))


def _descriptor(kind: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": size}
