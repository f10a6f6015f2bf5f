"""The policy pack: advisory, unless `registry:policy` of a stack is mandatory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import rules
from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

Rule = Callable[[rules.Inputs], Iterator[str]]
UNKNOWN = object()

POLICIES: Mapping[Rule, str] = {
    rules.no_plain_secrets: rules.SERVICE,
    rules.no_secret_configs: rules.CONFIG,
    rules.stateful_services_pinned: rules.SERVICE,
    rules.memory_limited: rules.SERVICE,
    rules.images_by_digest: rules.SERVICE,
    rules.no_latest: rules.SERVICE,
    rules.updates_can_be_undone: rules.SERVICE,
    rules.logs_rotated: rules.SERVICE,
    rules.ports_on_the_proxy_only: rules.SERVICE,
    rules.socket_for_the_proxy_only: rules.SERVICE,
}
"""Each rule, and the type of resource that it is about."""


def known(value: Callable[[], Any]) -> Any:
    """A copy of a value without what isn't known in a preview."""
    try:
        found = value()
        if isinstance(found, Mapping):
            parts = {key: known(lambda key=key: found[key]) for key in found}  # type: ignore[misc]
            return {key: part for key, part in parts.items() if part not in (UNKNOWN, None)}
        if isinstance(found, (list, tuple)) or (
            hasattr(found, "__len__") and not isinstance(found, str)
        ):
            items = [known(lambda index=index: found[index]) for index in range(len(found))]  # type: ignore[misc]
            return [item for item in items if item is not UNKNOWN]
    except UnknownValueError:
        return UNKNOWN
    return found


def policy(rule: Rule, kind: str) -> ResourceValidationPolicy:
    """`rule` for resources of type `kind`, under the name of the function."""

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        if args.resource_type == kind:
            for problem in rule(known(lambda: args.props)):
                report(problem)

    description = (rule.__doc__ or "").strip()
    return ResourceValidationPolicy(rule.__name__.replace("_", "-"), description, validate)


PolicyPack(
    name="registry",
    enforcement_level=EnforcementLevel.ADVISORY,
    policies=[policy(rule, kind) for rule, kind in POLICIES.items()],
)
