"""The routing of the original: its labels for Traefik, as settings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from components.traefik.flags import PUBLIC_NETWORK
from components.traefik.route import NETWORK_LABELS

LOGINS = "basicauth"
_RULE = re.compile(r"Host\(`([^`]+)`\)(\s*&&\s*PathPrefix\(`/v2/?`\))?")
"""Rules for which there is a setting: a name, or its paths below /v2/."""
_CONSTRAINT = re.compile(r"(traefik\.)?[a-z.-]*(constraint|tags?)[a-z.-]*")
_UNDERSTOOD = re.compile(
    r"traefik\.(enable|http\.routers\.[^.]+\.(rule|entrypoints|middlewares|service"
    r"|tls|tls\.certresolver|tls\.options)|http\.services\.[^.]+\.loadbalancer\.server\.(port|scheme)"
    r"|http\.middlewares\..*)"
)
"""Labels that become settings, or that the program sets itself."""


@dataclass(frozen=True)
class Router:
    """A router of Traefik's HTTP."""

    name: str
    rule: str
    secure: bool
    entry_point: str | None
    middlewares: Sequence[str]
    resolver: str | None
    options: str | None


@dataclass(frozen=True)
class Routing:
    """The routing that the labels define."""

    settings: Mapping[str, str]
    """Settings by key without the program's name."""
    middlewares: Sequence[str] = ()
    """Middlewares for `registry:middlewares`."""
    logins: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Hashes of the passwords that Traefik asks for, by user."""
    users_file: str | None = None
    """File of Traefik's with the logins."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Reasons, by name of what isn't taken over."""
    obstacles: Sequence[str] = ()
    """Sentences about what would be lost."""


def read_routing(labels: Mapping[str, str]) -> Routing:
    """Return the routing that `labels` define; Traefik ignores the case of their keys."""
    labels = {key.lower(): value for key, value in labels.items()}
    routers = list(_routers(labels))
    kinds = _middleware_kinds(labels)
    middlewares = [name for router in routers for name in router.middlewares]
    secure = [router for router in routers if router.secure]
    plain = [router for router in routers if not router.secure]
    redirects = [name for router in plain for name in router.middlewares if "redirect" in name]
    redirect = redirects[0] if secure and redirects else None
    return Routing(
        settings=_settings(labels, secure, plain, redirect) if routers else {},
        # A login and a redirect have settings of their own.
        middlewares=[
            name
            for name in dict.fromkeys(middlewares)
            if kinds.get(name.partition("@")[0]) != LOGINS and name != redirect
        ],
        logins=dict(
            line.strip().split(":", 1)
            for key, value in labels.items()
            if re.search(rf"\.{LOGINS}\.users$", key)
            for line in value.split(",")
            if ":" in line
        ),
        users_file=next(
            (value for key, value in labels.items() if key.endswith(f".{LOGINS}.usersfile")), None
        ),
        left_out=_left_out(labels, kinds, middlewares),
        obstacles=[*_obstacles(routers), *_lost_middlewares(kinds, middlewares)],
    )


def _routers(labels: Mapping[str, str]) -> Iterator[Router]:
    for key, rule in labels.items():
        match = re.fullmatch(r"traefik\.http\.routers\.([^.]+)\.rule", key)
        if not match:
            continue
        prefix = f"{key.removesuffix('.rule')}."
        options = {name.removeprefix(prefix): value for name, value in labels.items()}
        # A resolver or options turn TLS on as well.
        tls = [name for name in options if name == "tls" or name.startswith("tls.")]
        names = options.get("middlewares", "").split(",")
        yield Router(
            name=match[1],
            rule=rule.strip(),
            secure=bool(tls) and options.get("tls", "true").lower() != "false",
            entry_point=options.get("entrypoints"),
            middlewares=[name.strip() for name in names if name.strip()],
            resolver=options.get("tls.certresolver"),
            options=options.get("tls.options"),
        )


def _middleware_kinds(labels: Mapping[str, str]) -> Mapping[str, str]:
    """Return the kinds of the middlewares that the labels define, by name."""
    pattern = re.compile(r"traefik\.http\.middlewares\.([^.]+)\.([^.]+)\.")
    matches = (pattern.match(key) for key in labels)
    return {match[1]: match[2] for match in matches if match}


def _settings(
    labels: Mapping[str, str],
    secure: Sequence[Router],
    plain: Sequence[Router],
    redirect: str | None,
) -> Mapping[str, str]:
    routers = [*secure, *plain]
    hosts = _hosts(routers)
    settings: dict[str, str | None] = {
        "domain": next(iter(sorted(hosts)), None),
        "sharedDomain": "true" if any("PathPrefix" in each.rule for each in routers) else None,
        "traefikTag": re.sub(r"-https?$", "", routers[0].name),
        "network": PUBLIC_NETWORK,
        "redirectMiddleware": redirect,
    }
    for router in plain[:1]:
        settings["entryPoint"] = router.entry_point
    if secure:
        router = secure[0]
        settings["https"] = "acme" if router.resolver else "own"
        settings["certResolver"] = router.resolver
        settings["httpsEntryPoint"] = router.entry_point
        settings["tlsOptions"] = router.options
    else:
        settings["https"] = "none"
    for key in NETWORK_LABELS:
        if key in labels:
            settings |= {"network": labels[key], "networkLabel": key}
    for key, value in labels.items():
        if _CONSTRAINT.fullmatch(key):
            settings |= {"constraintLabel": key, "publicTag": value}
    return {key: value for key, value in settings.items() if value}


def _hosts(routers: Sequence[Router]) -> set[str]:
    return {host for router in routers for host in re.findall(r"Host\(`([^`]+)`", router.rule)}


def _without_providers(middlewares: Sequence[str]) -> set[str]:
    return {name.lower().partition("@")[0] for name in middlewares}


def _obstacles(routers: Sequence[Router]) -> Iterator[str]:
    if not routers:
        yield "no label of it makes a router of Traefik, and no other way leads to it afterwards"
        return
    hosts = _hosts(routers)
    if len(hosts) != 1:
        listed = ", ".join(sorted(hosts)) or "none"
        yield f"one host name is needed in the rules of its routers, and there is: {listed}"
    for rule in sorted({router.rule for router in routers}):
        if not _RULE.fullmatch(rule):
            yield f"the rule {rule} says more than a name, and there is no setting for that"
    for secure, kind in ((True, "HTTPS"), (False, "plain HTTP")):
        names = [router.name for router in routers if router.secure is secure]
        if len(names) > 1:
            yield f"it has {len(names)} routers for {kind} ({', '.join(names)}), and can have one"


def _lost_middlewares(kinds: Mapping[str, str], middlewares: Sequence[str]) -> Iterator[str]:
    names = _without_providers(middlewares)
    for name, kind in sorted(kinds.items()):
        if kind != LOGINS and name in names:
            yield (
                f"middleware {name} ({kind}) is made by its labels, and would be gone. Define it in"
                f" Traefik's own configuration, name it there ({name}@file), and adopt again"
            )


def _left_out(
    labels: Mapping[str, str], kinds: Mapping[str, str], middlewares: Sequence[str]
) -> Mapping[str, str]:
    names = _without_providers(middlewares)
    reasons = {
        f"middleware {name} ({kind})": "its routers don't use it; if others do, define it elsewhere"
        for name, kind in sorted(kinds.items())
        if kind != LOGINS and name not in names
    }
    # Only their keys, since a value may be a secret.
    for key in sorted(labels):
        is_routing = key.startswith("traefik.") and key not in NETWORK_LABELS
        if is_routing and not _UNDERSTOOD.fullmatch(key) and not _CONSTRAINT.fullmatch(key):
            reasons[f"label {key}"] = "there is no setting for it"
    return reasons
