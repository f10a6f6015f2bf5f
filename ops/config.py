"""What a stack is configured with, as `pulumi config` has it: texts by key.

Reading the settings as a whole takes a second, and all secrets in plain text; most commands need a
name or two of them (`settings.early`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from components.swarm.endpoint import Endpoint, EndpointError, find_endpoint
from ops.bootstrap import ROOT, engine
from ops.bootstrap.console import UserError, run
from settings import early
from settings.reader import DOCKER_KEYS, Reader
from settings.stack_file import config_of

if TYPE_CHECKING:
    from components.registry import RegistryOptions
    from settings import Settings


@dataclass(frozen=True, kw_only=True)
class Config:
    """A stack's configuration."""

    stack: str
    values: Mapping[str, str] = field(repr=False)
    """Texts by full key; of a secret an empty one, unless it was asked for."""
    secret_keys: frozenset[str] = frozenset()
    structures: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Lists and maps by full key; `values` have the same as JSON."""

    @classmethod
    def read(cls, stack: str, *, show_secrets: bool = False) -> Config:
        """Return a stack's configuration, with secrets in plain text if they shall be shown."""
        flags = ["--show-secrets"] if show_secrets else []
        entries = json.loads(run(["pulumi", "config", "--json", "--stack", stack, *flags]))
        return cls(
            stack=stack,
            values={key: entry.get("value", "") for key, entry in entries.items()},
            secret_keys=frozenset(key for key, entry in entries.items() if entry.get("secret")),
            structures={
                key: entry["objectValue"]
                for key, entry in entries.items()
                if "objectValue" in entry
            },
        )

    @classmethod
    def of(cls, stack: str, content: Mapping[str, Any]) -> Config:
        """Return the configuration of a file with `content`: texts, lists and maps by full key.

        All of them count as secrets, so that no message shows one.
        """
        structures = {key: each for key, each in content.items() if not isinstance(each, str)}
        texts = {key: json.dumps(each) for key, each in structures.items()}
        return cls(
            stack=stack,
            values={**content, **texts},
            secret_keys=frozenset(content),
            structures=structures,
        )

    @property
    def _reader(self) -> Reader:
        return Reader(self.values, self.secret_keys.__contains__, self.stack)

    @property
    def swarm_stack(self) -> str:
        """Name of the stack on the swarm; empty where none is set."""
        return early.stack_name(self._reader)

    @property
    def network(self) -> str:
        """Name of the network that Traefik is on."""
        return early.network_name(self._reader)

    @property
    def brings_certificate(self) -> bool:
        """Its certificate is in the settings; nobody renews it by itself."""
        return early.brings_certificate(self._reader)

    @property
    def log_level(self) -> str | None:
        """Level of the registry's own log; None where none is set."""
        return early.log_level(self._reader)

    @property
    def enforces_policies(self) -> bool:
        """A violation of the policy pack is an error."""
        return early.policy(self._reader) == "mandatory"

    @property
    def asks_tokens(self) -> bool:
        """The registry asks for tokens, not for logins."""
        return early.asks_tokens(self._reader)

    @property
    def needs_tools_image(self) -> bool:
        """It deploys the image that `make build` makes of the project's own programs."""
        uses = (early.asks_tokens, early.collects_garbage, early.is_backed_up)
        uses_tools = any(each(self._reader) for each in uses)
        return uses_tools and early.tools_image(self._reader) is None

    @property
    def passwords(self) -> Mapping[str, str]:
        """Passwords that were given, by user."""
        return early.passwords(self._reader)

    @property
    def names_engine(self) -> bool:
        """It says which engine is deployed to, or how that is talked to."""
        return any(key.startswith(DOCKER_KEYS) for key in self.values)

    @property
    def has_engine_secrets(self) -> bool:
        """Secrets say how the engine is talked to."""
        return any(key.startswith(DOCKER_KEYS) for key in self.secret_keys)

    def endpoint(self) -> Endpoint:
        """Return the engine that is deployed to: of the settings, else the one that `docker` has.

        Needs its secrets in plain text. Raises UserError when there is none, or settings are wrong.
        """
        host = tls = None
        if self.names_engine:
            # Not at the top: that takes a second, and most stacks on this machine name no engine.
            from settings.engine import parse_endpoint

            reader = self._reader
            named = parse_endpoint(reader)
            if problems := reader.report():
                raise UserError(problems)
            host, tls = named.host, named.tls
        try:
            return find_endpoint(host, tls)
        except EndpointError as error:
            raise UserError(str(error)) from error

    def lead_docker(self) -> None:
        """Have `docker` talk to the engine that is deployed to, from here on."""
        if self.names_engine:
            endpoint = self.endpoint()
            engine.lead_docker(endpoint.host, endpoint.tls)
        else:
            engine.lead_docker()

    def users(self) -> Sequence[str]:
        """Return the users that have passwords."""
        from settings.login import parse_users

        return parse_users(self._reader)

    def registry(self) -> RegistryOptions:
        """Return what is chosen of the registry itself, whatever else is wrong.

        Needs all secrets in plain text.
        """
        from settings.registry import parse_registry

        return parse_registry(self._reader)

    def settings(self) -> Settings:
        """Return all settings; a UserError lists what is wrong. Needs all secrets in plain text."""
        import pulumi

        from settings import parse

        is_secret, file = self.secret_keys.__contains__, config_of(self.stack, ROOT)
        try:
            return parse(self.values, is_secret, self.stack, file)
        except pulumi.RunError as error:
            raise UserError(str(error)) from error
