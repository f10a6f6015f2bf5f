"""The swarm that is deployed to, and what the state has of the stack's last deployment."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pulumi

from components.distribution.bucket import missing_bucket
from components.errors import DeploymentError
from components.run.deployed import read_deployed, refuse_partial_upgrade
from components.run.operation import operation
from components.run.takeover import swarm_moved_from
from components.run.target import Target
from components.storage import IMAGES_STORAGE, place_of
from components.swarm.engine import find_engine
from components.swarm.guard import refuse_another_swarm
from components.swarm.images import PinnedImages, choose_images
from components.swarm.inspect import Swarm, inspect_swarm
from settings import Settings
from settings.certificate import refuse_expired
from settings.engine import EngineSettings
from settings.failure import fail
from settings.preflight import check_swarm
from settings.remedies import explain


def find_target(settings: EngineSettings, consent: str | None) -> Target:
    """Return the swarm behind the configured engine, and the stack's state.

    `AnotherSwarmError` when the stack was deployed to another one, unless `consent` is its id.
    Before a provider is made of its engine: the state would keep that, right or wrong. And on the
    wrong swarm nothing is found to destroy, so all would be forgotten while it runs on.
    """
    engine = find_engine(settings.host, settings.tls, settings.pull_logins)
    if engine.warning:
        warn(f"{engine.warning}:\n      pulumi config set docker:host ssh://USER@MANAGER")
    swarm, stack = inspect_swarm(engine), pulumi.get_stack()
    deployed = read_deployed(pulumi.get_organization(), pulumi.get_project(), stack)
    refuse_another_swarm(
        deployed.remembers(place_of(IMAGES_STORAGE)),
        swarm.cluster_id,
        engine.host,
        consent or swarm_moved_from(),
    )
    return Target(swarm=swarm, deployed=deployed, explain=partial(explain, stack=stack), fail=fail)


def prepare(settings: Settings) -> tuple[Target, PinnedImages]:
    """Return the swarm, and the images to deploy; show warnings.

    `RunError` when the settings can't be deployed there.
    """
    for text in settings.warnings:
        warn(text)
    target = find_target(settings.engine, settings.swarm_moved_from)
    refuse_partial_upgrade(target.deployed)
    certificate = settings.proxy and settings.proxy.certificate
    if certificate and operation() != "refresh":
        refuse_expired(certificate.chain, target.deployed)
    for warning in _check(settings, target.swarm):
        warn(warning)
    return target, choose_images(
        target.swarm,
        settings.stack.name,
        settings.pulled_images,
        target.deployed,
        settings.image_refresh,
    )


def _check(settings: Settings, swarm: Swarm) -> Iterator[DeploymentError | str]:
    """Yield warnings; `RunError` when the settings can't be deployed there."""
    network = settings.network
    if bucket := missing_bucket(settings.registry.config, settings.registry.ca):
        yield f"{bucket} doesn't exist, says the store: create it before deploying"
    swarm.require_network(network.name, created_here=network.create)
    swarm.further_networks(settings.networks)
    if network.encrypted:
        yield from swarm.require_encrypted(network.name, settings.internal_networks)
    if operation() != "refresh":
        yield from check_swarm(settings, swarm)


def warn(warning: DeploymentError | str) -> None:
    """Show a warning, with what to type."""
    pulumi.log.warn(explain(warning, pulumi.get_stack()))
