"""The image that each service runs: its tag, and the digest that the state remembers for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import docker.errors
import pulumi

from components.deployed import once
from components.engine import Engine, connected
from components.service import service_name
from components.swarm import Swarm

MEMORY = "service-images"
"""Name of the `pulumi.Stash` with the image of each service."""


def pin_images(
    swarm: Swarm, stack_name: str, images: Mapping[str, str], remembered: Mapping[str, str] | None
) -> Mapping[str, str]:
    """Return the image of each service with its digest; `images` and the result are by service.

    A tag is resolved once and then `remembered`, until the setting names another: so a tag that is
    pushed again changes nothing, every node runs the same, and whatever else runs is a difference.
    A stack that has no memory yet goes on with what it runs. An image whose registry can't be asked
    stays as it is, with a warning, until it can be.
    """
    images = {service: familiar(image) for service, image in images.items()}
    known = _known(swarm, stack_name, images, remembered)
    asked = sorted({image for service, image in images.items() if service not in known})
    # A registry that doesn't answer takes as long as the engine's patience lasts.
    with ThreadPoolExecutor() as pool:
        answers = dict(zip(asked, pool.map(partial(_resolve, swarm.engine), asked), strict=True))
    reasons = {image: answer for image, answer in answers.items() if "@" not in answer}
    if reasons:
        # One for all: mostly it is one registry that is out of reach.
        pulumi.log.warn(
            f"no digest can be had of {', '.join(reasons)}, so each node runs what it has by that"
            f" tag: {'; '.join(sorted(set(reasons.values())))}. The first deployment that finds it"
            " adds it"
        )
        answers |= {image: image for image in reasons}
    return {service: known.get(service) or answers[image] for service, image in images.items()}


def remember_images(
    pinned: Mapping[str, str],
    remembered: Mapping[str, str] | None,
    running: pulumi.Output[bool],
) -> None:
    """Keep the images in the state; other ones than before only when they are `running`."""
    memory = pinned if pinned == remembered else once(running, pinned)
    pulumi.Stash(MEMORY, input=memory)


def familiar(image: str) -> str:
    """Return `image` as the docker client writes it into a service: without Docker Hub's name."""
    host, slash, path = image.partition("/")
    if not slash:
        return image
    if host in ("docker.io", "index.docker.io"):
        image = path
    elif "." in host or ":" in host or host == "localhost" or host != host.lower():
        return image
    folder, _, name = image.partition("/")
    return name if folder == "library" and name and "/" not in name else image


def _known(
    swarm: Swarm, stack_name: str, images: Mapping[str, str], remembered: Mapping[str, str] | None
) -> Mapping[str, str]:
    """Return the images, by service, whose registry needn't be asked."""
    known = {}
    for service, image in images.items():
        if "@" in image:
            known[service] = image
            continue
        if remembered is None:
            running = swarm.services.get(service_name(stack_name, service))
            candidates = [running.image] if running else []
        else:
            # A mirror that is added runs the same as the registry.
            candidates = [remembered.get(service, ""), *sorted(remembered.values())]
        for candidate in candidates:
            name, _, digest = candidate.partition("@")
            if digest and familiar(name) == image:
                known.setdefault(service, f"{image}@{digest}")
    return known


def _resolve(engine: Engine, image: str) -> str:
    """Return `image` with the digest that its registry has, or else why it can't be had."""
    try:
        with connected(engine) as client:
            try:
                found = client.inspect_distribution(image)
            except docker.errors.APIError as error:
                # Go says the way to an error first, with a port that is another one each time.
                words = str(error.explanation or error)
                return f"the engine says {re.sub(r'read udp [^ ]+: ', '', words)}"
    except pulumi.RunError as error:
        return str(error)
    return f"{image}@{found['Descriptor']['digest']}"
