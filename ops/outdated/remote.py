"""What a registry says of a repository: its tags, and the digest of one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import requests

from components.swarm.pull_login import DOCKER_HUB, HUB_HOSTS, PullLogin, registry_of

HUB_URL = "https://registry-1.docker.io"
TIMEOUT_SECONDS = 10
MAX_PAGES = 100
"""Pages of tags that are read: some repositories have tens of thousands."""
PAGE = 1000
"""Tags that are asked for at once; registries may send fewer."""
MANIFESTS = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1",
        "docker.distribution.manifest.list.v2",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.v2",
    )
)


class RemoteError(Exception):
    """A registry that gives no answer, or refuses, and why."""


@dataclass(frozen=True)
class Name:
    """An image's name, in its parts."""

    registry: str
    repository: str
    tag: str
    digest: str = ""

    @classmethod
    def of(cls, image: str) -> Name:
        """Return the parts of a name as docker reads it."""
        rest, _, digest = image.partition("@")
        registry = registry_of(rest)
        path = rest.removeprefix(f"{registry}/")
        registry = DOCKER_HUB if registry in HUB_HOSTS else registry
        path, colon, tag = path.rpartition(":") if ":" in path else (path, "", "")
        if registry == DOCKER_HUB and "/" not in path:
            path = f"library/{path}"
        return cls(registry, path, tag if colon else "latest", digest)


@dataclass(frozen=True, kw_only=True)
class Engine:
    """The engine's own settings of registries."""

    mirrors: Sequence[str] = ()
    """Addresses that stand for Docker Hub, before it."""
    insecure: frozenset[str] = frozenset()
    """Hosts that are asked over plain HTTP."""

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> Engine:
        """Return it from what `docker info` has."""
        about = info.get("RegistryConfig") or {}
        hosts = about.get("IndexConfigs") or {}
        return cls(
            mirrors=tuple(each.rstrip("/") for each in about.get("Mirrors") or []),
            insecure=frozenset(
                name for name, each in hosts.items() if not each.get("Secure", True)
            ),
        )

    def addresses(self, registry: str) -> Sequence[str]:
        """Return where a registry is asked, one after the other until one answers."""
        if registry == DOCKER_HUB:
            return (*self.mirrors, HUB_URL)
        host = registry.partition(":")[0]
        is_plain = registry in self.insecure or host in ("localhost", "127.0.0.1")
        return (f"{'http' if is_plain else 'https'}://{registry}",)


class Remote:
    """A repository of a registry, asked from this machine."""

    def __init__(self, name: Name, engine: Engine, login: PullLogin | None = None) -> None:
        self._name, self._login = name, login
        self._addresses = engine.addresses(name.registry)
        self._session = requests.Session()

    def tags(self) -> list[str]:
        """Return all tags; `RemoteError` where they can't be had."""
        path, tags = f"/v2/{self._name.repository}/tags/list?n={PAGE}", list[str]()
        for _ in range(MAX_PAGES):
            answer = self._ask(path)
            named = _content(answer).get("tags") or []
            if not isinstance(named, list):
                raise RemoteError(f"{answer.url} isn't a registry's answer")
            tags += [tag for tag in named if isinstance(tag, str)]
            if "next" not in answer.links:
                break
            # It may be another path of the same host.
            path = re.sub(r"^https?://[^/]+", "", urljoin(answer.url, answer.links["next"]["url"]))
        return tags

    def digest(self) -> str:
        """Return the digest that the tag has by now; `RemoteError` where it can't be had."""
        path = f"/v2/{self._name.repository}/manifests/{self._name.tag}"
        return self._ask(path, "HEAD").headers.get("Docker-Content-Digest", "")

    def _ask(self, path: str, method: str = "GET") -> requests.Response:
        errors = []
        for address in self._addresses:
            try:
                return self._answer(f"{address}{path}", method)
            except RemoteError as error:
                errors.append(str(error))
        raise RemoteError("; ".join(errors))

    def _answer(self, url: str, method: str) -> requests.Response:
        headers = {"Accept": MANIFESTS} if "/manifests/" in url else {}
        host = url.partition("://")[2].partition("/")[0]
        try:
            answer = self._session.request(method, url, headers=headers, timeout=TIMEOUT_SECONDS)
            if answer.status_code == 401:
                headers["Authorization"] = self._authorization(answer)
                answer = self._session.request(
                    method, url, headers=headers, timeout=TIMEOUT_SECONDS
                )
        except requests.RequestException as error:
            raise RemoteError(f"{host} gives no answer ({_reason(error)})") from None
        if answer.status_code != 200:
            raise RemoteError(f"{host} answers {answer.status_code} about {self._name.repository}")
        return answer

    def _authorization(self, refusal: requests.Response) -> str:
        """Return the header that a registry asks for: with the login, or a token for anybody."""
        challenge = refusal.headers.get("WWW-Authenticate", "")
        login = (self._login.username, self._login.password) if self._login else None
        if challenge.lower().startswith("basic") and login:
            prepared = requests.Request("GET", refusal.url, auth=login).prepare()
            return str(prepared.headers["Authorization"])
        values = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        if "realm" not in values or not challenge.lower().startswith("bearer"):
            return ""
        query = {
            "service": values.get("service", ""),
            "scope": f"repository:{self._name.repository}:pull",
        }
        realm = values["realm"]
        if login and refusal.url.startswith("https:") and not realm.startswith("https:"):
            raise RemoteError(f"{self._name.registry} asks for the login at {realm}, without TLS")
        answer = self._session.get(realm, params=query, auth=login, timeout=TIMEOUT_SECONDS)
        content = _content(answer)
        token = content.get("token") or content.get("access_token") or ""
        return f"Bearer {token}"


def _content(answer: requests.Response) -> Mapping[str, Any]:
    """Return the JSON object that a registry answers with; `RemoteError` when it is another."""
    try:
        content = answer.json()
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise RemoteError(f"{answer.url.partition('?')[0]} isn't a registry's answer")
    return content


def _reason(error: requests.RequestException) -> str:
    """Return the last words of an error: the others name objects of Python."""
    if isinstance(error, requests.Timeout):
        return f"not within {TIMEOUT_SECONDS} s"
    text = re.sub(r"<[^>]*>:? ?", "", str(error))
    return text.rpartition("] ")[2].rstrip("')\"") or type(error).__name__
