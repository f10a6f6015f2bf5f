"""The two programs that are deployed, out of the images that the project builds."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

from ops.bootstrap import image_build
from ops.bootstrap.console import UserError
from ops.bootstrap.toolchain import cache

ANSWER_S = 60
"""Time limit for Traefik to read its options, seconds."""
_DECODING = re.compile(r'failed to decode configuration from \w+: (.*?)","time"')


def program(name: str) -> Path:
    """Return the program of the image `name`, as a file of this machine."""
    recipe = next(each for each in image_build.ALL if each.name == name)
    image = image_build.tarball(recipe)
    digest = hashlib.sha256(str(image).encode()).hexdigest()[:16]
    file = cache() / f"{name}-{digest}"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        half = file.with_suffix(f".{os.getpid()}")
        with tarfile.open(image) as whole:
            layer = next(each for each in whole.getnames() if each.endswith("layer.tar"))
            with tarfile.open(fileobj=cast(IO[bytes], whole.extractfile(layer))) as files:
                content = cast(IO[bytes], files.extractfile(next(iter(recipe.programs)))).read()
        half.write_bytes(content)
        half.chmod(0o755)
        half.rename(file)
    return file


def wrong_with_options(traefik: Path, flags: Sequence[str]) -> str | None:
    """Return why Traefik can't read `flags`; None when it can. It doesn't start."""
    # A command that asks a running Traefik reads all options first, and ends at a missing `ping`.
    command = [str(traefik), "healthcheck", *flags]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=ANSWER_S, check=False,
        env={"PATH": os.defpath},
    )  # fmt: skip
    answer = done.stdout + done.stderr
    if match := _DECODING.search(answer):
        return match[1].replace('\\"', '"')
    if "Error calling healthcheck" in answer or "Bad healthcheck" in answer or not answer:
        return None
    raise UserError(f"Traefik says {answer[-500:]}")


def is_there(name: str) -> bool:
    """Return whether an image `name` has been built here already."""
    return any(cache().glob(f"images-*/{name}.tar"))
