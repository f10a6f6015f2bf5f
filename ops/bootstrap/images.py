"""The images that are deployed: pulled, or built where Docker Hub can't be reached.

`python3 -m ops.bootstrap.images` has them on the engine.
"""

from __future__ import annotations

import queue
import subprocess
import threading
from pathlib import Path

from ops.bootstrap import engine, image_build
from ops.bootstrap.console import UserError, last_words, main, say

PULL_ANSWER_S = 8
"""Time limit for Docker Hub's first answer, seconds; the download itself has no limit."""


def ensure(engine_host: str | None = None) -> None:
    """Have the official images on the engine; by default on the one that the environment names."""
    host = engine_host or engine.chosen_host()
    obstacle = None
    for recipe in _missing(host, official=True):
        if obstacle is None and (obstacle := _pull(host, recipe.image)):
            say(f"no images from Docker Hub ({obstacle}): using those that images/ describes")
        if obstacle:
            _load(host, recipe)


def ensure_tools(engine_host: str | None = None) -> None:
    """Have the project's own images on the engine: built here, unless they are there already."""
    host = engine_host or engine.chosen_host()
    for recipe in _missing(host, official=False):
        _load(host, recipe)


def tarballs() -> dict[str, Path]:
    """Return all images as `docker load` takes them, by name; build what the cache hasn't got."""
    return {recipe.image: image_build.tarball(recipe) for recipe in image_build.ALL}


def _missing(host: str, *, official: bool) -> list[image_build.Recipe]:
    kind = [recipe for recipe in image_build.ALL if recipe.is_official is official]
    return [recipe for recipe in kind if not _has(host, recipe.image)]


def _load(host: str, recipe: image_build.Recipe) -> None:
    tarball = image_build.tarball(recipe)
    say(f"loading {recipe.image}")
    engine.docker(host, "load", "--input", tarball, timeout=300)


def _has(host: str, image: str) -> bool:
    try:
        engine.docker(host, "image", "inspect", image)
    except UserError as problem:
        if "no such image" in str(problem).lower():
            return False
        raise
    return True


def _pull(host: str, image: str) -> str | None:
    """Pull an image; return None, or within seconds why that doesn't go."""
    say(f"pulling {image}")
    # The engine does it, not this process: it may be elsewhere, or have a proxy or a mirror.
    command = [*engine.client(host), "pull", image]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as pull:
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=_read, args=(pull, lines), daemon=True).start()
        try:
            line = lines.get(timeout=PULL_ANSWER_S)  # "3.1.2: Pulling from library/registry"
        except queue.Empty:
            pull.kill()
            return f"no answer within {PULL_ANSWER_S} s"
        last = line
        while line := lines.get():  # No time limit: the download takes what it takes.
            last = line
    reason = last_words(last).removeprefix("Error response from daemon: ")
    return reason if pull.returncode else None


def _read(pull: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    for line in pull.stdout or ():
        lines.put(line)
    lines.put("")


if __name__ == "__main__":
    main(ensure)
