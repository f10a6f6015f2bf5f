"""The recipe of an image: what it is made from, and its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ops.bootstrap import ROOT
from ops.bootstrap.console import UserError

IMAGES = ROOT / "images"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Description of one image and of its programs."""

    name: str
    """Name of the image."""
    folder_name: str
    """Its folder in images/: files of this image alone."""
    tag: str
    """The image's tag, with {} for the version."""
    pin: tuple[str, str]
    """File that has the version, seen from images/, and the pattern it is found by."""
    programs: Mapping[str, str]
    """Source of each program (a Go package, a file of a wheel), by the program's path in the image
    without the first slash."""
    program: Callable[[Recipe, str, str, Path], Path]
    """Function that makes a program from this recipe, the program's source, the architecture in
    Go's terms and a scratch folder, and returns its path in that folder."""
    module: tuple[str, ...] = ()
    """Files of images/ that pin what is compiled."""
    is_official: bool = True
    """Docker Hub has an image of this name."""
    has_shell: bool = True
    """busybox is in it."""

    @property
    def folder(self) -> Path:
        """Files of this image alone."""
        return IMAGES / self.folder_name

    @property
    def sources(self) -> list[Path]:
        """Files in images/ that the image is made from: a change of any makes another image."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        parts = [path for path in files if not _is_test(path)]
        return sorted([*parts, *(IMAGES / name for name in self.module)])

    @property
    def version(self) -> str:
        """The pinned version, without a "v". The only place that has it."""
        file, pattern = self.pin
        match = re.search(pattern, (IMAGES / file).read_text())
        if not match:
            raise UserError(f"{IMAGES / file} pins no version")
        return match[1]

    @property
    def image(self) -> str:
        """Name with tag, as the engine and Docker Hub have it."""
        return f"{self.name}:{self.tag.format(self.version)}"


def _is_test(path: Path) -> bool:
    """Return whether a Go file is of tests alone: by its name, or by that of its package."""
    return path.name.endswith("_test.go") or path.parent.name.endswith("test")
