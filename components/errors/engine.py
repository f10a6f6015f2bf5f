"""The engine, or its swarm, can't be used."""

from __future__ import annotations

from dataclasses import dataclass

from components.errors.base import DeploymentError
from components.swarm.engine_errors import EndpointError


@dataclass(eq=False)
class EngineError(DeploymentError):
    """The engine can't be used."""

    cause: EndpointError

    def __str__(self) -> str:
        return str(self.cause)


class EngineNotChosenError(EngineError):
    """Settings, environment or docker contexts that lead to no engine."""

    def __str__(self) -> str:
        return f"No Docker engine is chosen: {self.cause}"
