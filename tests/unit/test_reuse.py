"""The components in programs that aren't this project's."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from types import ModuleType
from typing import Any

import pulumi
import pytest
from pulumi.provider.experimental.analyzer import Analyzer

from ops.bootstrap import ROOT

from .conftest import Deploy

EXAMPLE = ROOT / "docs/example/__main__.py"


def service_of(resources: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the one service that is declared."""
    (service,) = resources.values()
    return service


def constraints(service: dict[str, Any]) -> list[str]:
    return list(service["taskSpec"]["placement"]["constraints"])


def test_the_example_declares_a_registry_with_settings_of_its_own(deploy: Deploy) -> None:
    settings = {"domain": "cache.example.com", "node": "dog.example.com"}

    def program() -> None:
        pulumi.runtime.set_all_config(
            {f"{pulumi.get_project()}:{key}": value for key, value in settings.items()}
        )
        runpy.run_path(str(EXAMPLE), run_name="__main__")

    try:
        declared = deploy(program)
    finally:
        pulumi.runtime.set_all_config({})
    service = service_of(declared.of_type("Service"))
    assert service["name"] == "build-cache_registry"
    assert constraints(service) == ["node.hostname == dog.example.com"]


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the module with the component of `package/`."""
    file = ROOT / "package/private_registry.py"
    spec = importlib.util.spec_from_file_location("private_registry", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_the_packages_component_declares_a_registry(deploy: Deploy, package: ModuleType) -> None:
    args = {"domain": "images.example.com", "node": "dog", "users": ["ci"], "memory_mib": 256}
    declared = deploy(lambda: package.PrivateRegistry("team", args))
    service = service_of(declared.of_type("Service"))
    assert service["name"] == "registry_registry"
    assert constraints(service) == ["node.hostname == dog"]
    assert service["taskSpec"]["resources"]["limits"]["memoryBytes"] == 256 * 1024**2


def test_each_input_of_the_package_says_what_it_is(package: ModuleType) -> None:
    # Pulumi's own analyzer, by which the CLI makes the schema.
    analyzed = Analyzer("swarm-registry").analyze([package.PrivateRegistry])
    component = analyzed["component_definitions"]["PrivateRegistry"]
    inputs = component.inputs
    assert {name for name, each in inputs.items() if not each.optional} == {"domain", "node"}
    assert {"stackName", "network", "users", "https", "memoryMib"} < set(inputs)
    assert set(component.outputs) == {"url", "passwords"}
    assert all(each.description for each in [*inputs.values(), *component.outputs.values()])


@pytest.mark.parametrize("folder", ["docs/example", "package"])
def test_what_is_installed_for_it_is_this_project(folder: str) -> None:
    lines = (ROOT / folder / "requirements.txt").read_text().splitlines()
    (requirement,) = [line for line in lines if not line.startswith("#")]
    assert (ROOT / folder / requirement).resolve() == ROOT
