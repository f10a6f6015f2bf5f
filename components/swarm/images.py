"""The image that each service runs: its tag, and the digest that the state remembers for it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import docker.errors
import pulumi

from components.errors import EngineError
from components.run.deployed import Deployed, once
from components.swarm.engine import Engine, connected
from components.swarm.inspect import Swarm
from components.swarm.pull_login import DOCKER_HUB, HUB_HOSTS, registry_of
from components.swarm.service import service_name

MEMORY = "service-images"
"""Name of the `pulumi.Stash` with the image of each service."""
REFRESH = "image-refresh"
"""Name of the one with the text that asked for new digests last."""


@dataclass(frozen=True, kw_only=True)
class PinnedImages:
    """The image of each service with its digest, and what the state remembers of them."""

    by_service: Mapping[str, str]
    remembered: Mapping[str, str] | None
    refreshed: str | None
    """The text by which they were asked for last."""
    refreshed_before: str | None

    def remember(self, running: pulumi.Output[bool]) -> None:
        """Keep the images in the state, other ones than before once they are `running`."""
        remember_images(self.by_service, self.remembered, running)
        remember_refresh(self.refreshed, self.refreshed_before, running)


def choose_images(
    swarm: Swarm,
    stack_name: str,
    images: Mapping[str, str],
    deployed: Deployed,
    refresh: str | None,
) -> PinnedImages:
    """Return the `images` of a deployment, by service; another text `refresh` asks for newer ones.

    Where a registry can't be asked, the images stay as they are, and the next deployment asks
    again.
    """
    remembered, before = deployed.remembers(MEMORY), deployed.remembers(REFRESH)
    with_digests = pin_images(swarm, stack_name, images, remembered)
    # What is deployed for the first time has the newest images anyway.
    if refresh and refresh != before and remembered is not None:
        newest = refresh_images(swarm, images, with_digests)
        with_digests, refresh = (newest, refresh) if newest else (with_digests, before)
    return PinnedImages(
        by_service=with_digests, remembered=remembered, refreshed=refresh, refreshed_before=before
    )


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
    asked = {image for service, image in images.items() if service not in known}
    answers = _resolve(
        swarm.engine,
        asked,
        "each node runs what it has by that tag",
        "The first deployment that finds it adds it",
    )
    return {
        service: known.get(service) or answers.get(image, image)
        for service, image in images.items()
    }


def refresh_images(
    swarm: Swarm, images: Mapping[str, str], with_digests: Mapping[str, str]
) -> Mapping[str, str] | None:
    """Return the image of each service with the digest that its tag has by now.

    None, after a warning, where one of them can't be had. An image whose digest is given keeps it.
    """
    tags = {service: familiar(image) for service, image in images.items() if "@" not in image}
    asked = set(tags.values())
    answers = _resolve(
        swarm.engine, asked, "no image is refreshed", "The next deployment asks again"
    )
    if answers.keys() != asked:
        return None
    return {**with_digests, **{service: answers[image] for service, image in tags.items()}}


def remember_images(
    with_digests: Mapping[str, str],
    remembered: Mapping[str, str] | None,
    running: pulumi.Output[bool],
) -> None:
    """Keep the images in the state; other ones than before only when they are `running`."""
    memory = with_digests if with_digests == remembered else once(running, with_digests)
    pulumi.Stash(MEMORY, input=memory)


def remember_refresh(
    refreshed: str | None, remembered: str | None, running: pulumi.Output[bool]
) -> None:
    """Keep the text that the images were `refreshed` by, another than before once they run."""
    if refreshed:
        memory = refreshed if refreshed == remembered else once(running, refreshed)
        pulumi.Stash(REFRESH, input=memory)


def familiar(image: str) -> str:
    """Return `image` as the docker client writes it into a service: without Docker Hub's name."""
    registry = registry_of(image)
    if registry in HUB_HOSTS and image.startswith(f"{registry}/"):
        image = image.removeprefix(f"{registry}/")
    elif registry != DOCKER_HUB:
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


def _resolve(
    engine: Engine, images: Collection[str], consequence: str, remedy: str
) -> Mapping[str, str]:
    """Return each image with its digest; those that have none are missing, after a warning."""
    asked = sorted(images)
    # A registry that doesn't answer takes as long as the engine's patience lasts.
    with ThreadPoolExecutor() as pool:
        answers = dict(zip(asked, pool.map(partial(_ask, engine), asked), strict=True))
    reasons = {image: answer for image, answer in answers.items() if "@" not in answer}
    if reasons:
        # One for all: mostly it is one registry that is out of reach.
        pulumi.log.warn(
            f"no digest can be had of {', '.join(reasons)}, so {consequence}.\n"
            f"  Why: {'; '.join(sorted(set(reasons.values())))}\n  {remedy}."
        )
    return {image: answer for image, answer in answers.items() if image not in reasons}


def _ask(engine: Engine, image: str) -> str:
    """Return `image` with the digest that its registry has, or else why it can't be had."""
    try:
        with connected(engine) as client:
            try:
                answer = engine.inspect_distribution(client, image)
            except docker.errors.APIError as error:
                # Go says the way to an error first, with a port that is another one each time.
                text = str(error.explanation or error)
                return f"the engine says {re.sub(r'read udp [^ ]+: ', '', text)}"
    except EngineError as error:
        return str(error)
    return f"{image}@{answer['Descriptor']['digest']}"
