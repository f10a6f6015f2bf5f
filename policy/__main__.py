"""The policy pack: advisory, unless `registry:policy` of a stack is mandatory."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

# Pulumi runs this folder by itself; its modules are those of a package, as for the tests.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from policy import rules

Rule = Callable[[rules.Inputs], Iterator[str]]

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


NEEDS_KNOWN_INPUTS: frozenset[Rule] = frozenset(
    {
        rules.stateful_services_pinned,
        rules.memory_limited,
        rules.updates_can_be_undone,
        rules.logs_rotated,
    }
)
"""Rules that report an absence, which in a preview may be an unknown value: then Pulumi says that
it can't tell, and the update itself is checked. The others judge what is known already."""


def known(value: Any) -> Any:
    """Return a copy of `value` without what isn't known in a preview."""
    if isinstance(value, Mapping):
        return dict(_known_items(value, value))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [part for _, part in _known_items(value, range(len(value)))]
    return value


def _known_items(value: Any, keys: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    for key in keys:
        with contextlib.suppress(UnknownValueError):
            yield key, known(value[key])


def policy(rule: Rule, kind: str) -> ResourceValidationPolicy:
    """Return `rule` for resources of type `kind`, under the name of the function."""

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        if args.resource_type == kind:
            for problem in rule(args.props if rule in NEEDS_KNOWN_INPUTS else known(args.props)):
                report(problem, None)

    description = (rule.__doc__ or "").strip()
    return ResourceValidationPolicy(rule.__name__.replace("_", "-"), description, validate)


PolicyPack(
    name="registry",
    enforcement_level=EnforcementLevel.ADVISORY,
    policies=[policy(rule, kind) for rule, kind in POLICIES.items()],
)
