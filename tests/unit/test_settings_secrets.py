"""What must be a secret, what mustn't, and what is never shown."""

from __future__ import annotations

import pulumi
import pytest

from settings import parse

from .program import raw
from .shared_settings import (
    GOOD,
    PULL,
    SECRET,
    settings,
)


def test_a_login_for_images_is_encrypted_and_named_by_host() -> None:
    logins = {"ghcr.io": PULL, "registry.example.com:5000": PULL, "localhost": PULL, "[::1]": PULL}
    parsed = settings(pullLogins=logins)
    assert parsed.engine.pull_logins["ghcr.io"].password == SECRET
    assert list(parsed.engine.pull_logins) == sorted(logins)
    assert SECRET not in repr(parsed)
    with pytest.raises(pulumi.RunError, match=r'\["ghcr\.io"\]\.password is in plain') as error:
        settings(secrets=(), pullLogins={"ghcr.io": PULL})
    path = "'registry:pullLogins[\"ghcr.io\"].password'"
    assert f"pulumi config set --stack prod --path --secret {path}" in str(error.value)


def test_a_password_in_plain_text_is_refused() -> None:
    with pytest.raises(pulumi.RunError, match=r"passwords\.admin is in plain text") as error:
        settings(secrets=(), passwords={"admin": SECRET})
    assert "pulumi config set --stack prod --path --secret registry:passwords.admin" in str(
        error.value
    )
    assert SECRET not in str(error.value)


@pytest.mark.parametrize("key", ["domain", "memory", "users", "proxy", "logFiles"])
def test_a_wrong_value_that_was_given_as_a_secret_is_not_shown(key: str) -> None:
    value = [SECRET + ":"] if key == "users" else f" {SECRET} "
    with pytest.raises(pulumi.RunError, match=r"is \[secret\]") as error:
        settings(secrets=(f"registry:{key}",), **{key: value})
    assert SECRET not in str(error.value)


def test_a_slip_of_the_pen_gets_a_suggestion() -> None:
    with pytest.raises(pulumi.RunError, match=r"Did you mean registry:domain\?"):
        settings(domian="registry.example.com")


def test_other_projects_settings_are_left_alone() -> None:
    values = {**GOOD, "aws:region": "eu-central-1"}
    assert parse(raw(values), lambda _: False, "prod").stack.name == "registry-com"


def test_the_defaults_are_those_of_the_documentation() -> None:
    plain = settings()
    assert plain.routing.tag == "registry-com"
    assert plain.network.name == "traefik-public"
    assert not plain.network.create
    assert plain.proxy is None
    assert plain.routing.network_label == "traefik.docker.network"
    assert plain.login.users == ("admin",)
    assert plain.volumes.images.name == "registry-com_registry-data"
    assert plain.has_node_volume
    assert not plain.destroy_data
    assert plain.routes.url == "https://registry.example.com"
