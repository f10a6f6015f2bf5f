"""`make outdated`: what registries are asked, and what they answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ops.outdated.remote import Engine, Name, Remote, RemoteError

from .shared_outdated import DIGEST, LOGIN, TAGS, registry


@pytest.mark.parametrize("login", ["", "basic", "bearer"])
def test_a_registry_says_tags_and_digest_with_each_kind_of_login(login: str) -> None:
    with registry(login) as (engine, requests):
        remote = Remote(Name.of("registry:3.1.2"), engine, LOGIN if login else None)
        assert remote.tags() == TAGS
        assert remote.digest() == DIGEST
    assert "HEAD /v2/library/registry/manifests/3.1.2" in requests
    if login == "bearer":
        assert "GET /token?service=s&scope=repository%3Alibrary%2Fregistry%3Apull" in requests


def test_a_registry_that_refuses_or_is_silent_is_one_line() -> None:
    name = Name.of("ghcr.io/acme/app:1")
    with registry("basic") as (engine, _), pytest.raises(RemoteError, match=r"answers 401 about"):
        Remote(Name.of("registry:3"), Engine(mirrors=[*engine.mirrors] * 2), None)._answer(
            f"{engine.mirrors[0]}/v2/", "GET"
        )
    silent = Engine(insecure=frozenset({"127.0.0.1:1"}))
    with pytest.raises(RemoteError, match=r"^127\.0\.0\.1:1 gives no answer \(.*refused\)$") as no:
        Remote(Name.of("127.0.0.1:1/acme/app:1"), silent).tags()
    assert "object at" not in str(no.value)
    assert name.registry == "ghcr.io"


@pytest.mark.parametrize(
    ("path", "content"),
    [("tags/list", ["a"]), ("tags/list", {"tags": "a"}), ("tags/list", None), ("/token", ["t"])],
)
def test_an_answer_of_something_else_is_one_line(path: str, content: object) -> None:
    with (
        registry("bearer" if path == "/token" else "", others={path: content}) as (engine, _),
        pytest.raises(RemoteError, match="isn't a registry's answer"),
    ):
        Remote(Name.of("registry:3.1.2"), engine, LOGIN).tags()


def test_what_is_no_tag_is_left_out() -> None:
    with registry(others={"tags/list": {"tags": ["1", None, 2]}}) as (engine, _):
        assert Remote(Name.of("registry:3.1.2"), engine).tags() == ["1"]


def test_no_login_goes_to_a_place_without_tls() -> None:
    refusal: Any = SimpleNamespace(
        url="https://ghcr.io/v2/",
        headers={"WWW-Authenticate": 'Bearer realm="http://127.0.0.1:1/token"'},
    )
    remote = Remote(Name.of("ghcr.io/acme/app:1"), Engine(), LOGIN)
    with pytest.raises(RemoteError, match=r"asks for the login at http://127.0.0.1:1/token, with"):
        remote._authorization(refusal)
