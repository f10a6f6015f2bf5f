"""What a stack's state holds, as `pulumi stack export` shows it; edited where a run was cut off.

Secrets in it stay encrypted, and it never touches a disk outside the backend.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ops import backend
from ops.bootstrap.console import UserError, run

KINDS = {
    "docker:index/service:Service": "services",
    "docker:index/network:Network": "networks",
    "docker:index/secret:Secret": "secrets",
}
"""Types of what is on the swarm, and what `Inventory` calls them."""

STASH = "pulumi:index:Stash"

Resource = Mapping[str, Any]


@dataclass(frozen=True)
class Checkpoint:
    """A stack's state."""

    raw: Mapping[str, Any]
    """As Pulumi exports and imports it."""

    @property
    def resources(self) -> Sequence[Resource]:
        """All resources, also those that are about to be deleted."""
        return self.raw["deployment"].get("resources") or []

    @property
    def pending(self) -> set[str]:
        """Kinds of the operations that were begun and never ended, such as "creating"."""
        operations = self.raw["deployment"].get("pending_operations") or []
        return {str(each["type"]) for each in operations}

    @property
    def on_swarm(self) -> Sequence[Resource]:
        """Services, networks and secrets."""
        return [each for each in self.resources if each["type"] in KINDS]

    @property
    def volume_locations(self) -> Sequence[Resource]:
        """Resources that record which node a volume is on."""
        return [each for each in self.resources if _location(each)]

    @property
    def cluster(self) -> str:
        """Id of the swarm that the stack was deployed to; empty where none was noted."""
        noted = [_noted(each).get("cluster") for each in self.resources]
        return next((str(cluster) for cluster in noted if cluster), "")

    @property
    def volumes(self) -> set[str]:
        """Names of those volumes."""
        return {str(_location(each)["volume"]) for each in self.volume_locations}

    @property
    def labels(self) -> set[str]:
        """Labels of their nodes."""
        return {str(_location(each)["label"]) for each in self.volume_locations}

    def noted(self, name: str) -> Mapping[str, Any]:
        """Return what the `pulumi.Stash` of that name keeps; nothing where there is none."""
        named = [each for each in self.resources if each["urn"].endswith(f"::{name}")]
        return _noted(named[0]) if named else {}

    def ids(self, kind: str) -> set[str]:
        """Return the ids of the services, networks or secrets."""
        return {str(each["id"]) for each in self.on_swarm if KINDS[each["type"]] == kind}

    def without(self, resources: Sequence[Resource]) -> Checkpoint:
        """Return the state without these, and without operations that never ended."""
        rest = [each for each in self.resources if each not in resources]
        lost = {each["urn"] for each in resources} - {each["urn"] for each in rest}
        updated = [_without_references(each, lost) for each in rest]
        deployment = {**self.raw["deployment"], "resources": updated}
        deployment.pop("pending_operations", None)
        return Checkpoint({**self.raw, "deployment": deployment})


def read(stack: str) -> Checkpoint:
    """Return the stack's state."""
    known = backend.exported(stack)
    return Checkpoint(known) if known else _exported(stack)


def read_with_secrets(stack: str) -> Checkpoint:
    """Return the stack's state with secrets that `plain` reads."""
    return _exported(stack, "--show-secrets")


def _exported(stack: str, *flags: str) -> Checkpoint:
    try:
        return Checkpoint(json.loads(run(["pulumi", "stack", "export", *flags, "--stack", stack])))
    except ValueError:
        raise UserError(f"`pulumi stack export --stack {stack}` gives no JSON") from None


def plain(value: Any) -> str:
    """Return a text of `read_with_secrets`, which may be a secret."""
    return str(json.loads(value["plaintext"]) if isinstance(value, Mapping) else value)


def secret_texts(stack: str, ids: Collection[str]) -> Mapping[str, str]:
    """Return the texts of Swarm secrets by id, as far as the stack's state has these."""
    return {
        each["id"]: base64.b64decode(plain(each["outputs"]["data"])).decode()
        for each in read_with_secrets(stack).on_swarm
        if KINDS[each["type"]] == "secrets" and each.get("id") in ids
    }


def write(stack: str, checkpoint: Checkpoint) -> None:
    """Put it in place of the stack's state."""
    run(["pulumi", "stack", "import", "--stack", stack], stdin=json.dumps(checkpoint.raw))


def _location(resource: Resource) -> Mapping[str, Any]:
    noted = _noted(resource)
    return noted if noted.get("nodeId") else {}


def _noted(resource: Resource) -> Mapping[str, Any]:
    """Return what a `pulumi.Stash` keeps: here, where data are."""
    noted = (resource.get("inputs") or {}).get("input") if resource["type"] == STASH else None
    return noted if isinstance(noted, Mapping) else {}


def _without_references(resource: Resource, lost: set[str]) -> Resource:
    """Return the resource, no longer depending on what isn't there."""
    kept = dict(resource)
    if kept.get("dependencies"):
        kept["dependencies"] = [urn for urn in kept["dependencies"] if urn not in lost]
    if kept.get("propertyDependencies"):
        kept["propertyDependencies"] = {
            name: [urn for urn in urns or [] if urn not in lost]
            for name, urns in kept["propertyDependencies"].items()
        }
    if kept.get("deletedWith") in lost:
        del kept["deletedWith"]
    return kept
