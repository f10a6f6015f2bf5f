"""Every configuration key of the program: read, checked and typed, once.

`read()` gives the settings of the stack that is being deployed, or raises one
`pulumi.RunError` that names every wrong key, what it must be, and what to type.
A secret's value is never part of a message.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import pulumi
from pulumi.runtime.config import CONFIG, is_config_secret

from components.credentials import MAX_PASSWORD_BYTES, MIN_GIVEN_COST
from components.registry_config import (
    drivers_in,
    keeps_files,
    owned_paths_in,
    unknown_sections_in,
)

NAMESPACE = "registry"

REGISTRY_IMAGE = "registry:3.1.2"
TRAEFIK_IMAGE = "traefik:v3.7.15"
"""The versions that `images/` builds where Docker Hub can't be reached."""

ProxyMode = Literal["none", "stack", "main"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one stack is told; the README's table of settings has the same rows."""

    stack_name: str
    """Swarm stack: the prefix of every service, volume and node label. Required."""
    domain: str
    """Public host name of the registry, no scheme, no port. Required."""
    traefik_tag: str
    """Names this stack's routers in Traefik. Default: `stack_name`."""
    public_tag: str
    """Constraint label's value that the swarm's main Traefik asks for. Default `traefik-public`."""
    constraint_label: str
    """Key of the label that Traefik filters services by. Default `traefik.constraint-label`."""
    entry_point: str
    """Traefik's entry point for plain HTTP. Default `http`, as DockerSwarm.rocks names it."""
    middlewares: tuple[str, ...]
    """Further Traefik middlewares of the registry's router, such as `limit@swarm`."""

    network: str
    """Overlay network that Traefik and the registry share. Default `traefik-public`."""
    create_network: bool
    """Whether this stack owns the network; else it joins. Default: true with a proxy of its own."""
    encrypt_network: bool
    """Whether a network made here encrypts between nodes (IPsec). Default false."""

    proxy: ProxyMode
    """`none`: there is a main Traefik already. `stack`: a Traefik for this stack alone.
    `main`: this stack runs the swarm's main Traefik. Default `none`."""
    proxy_image: str
    proxy_http_port: int
    """Port on the proxy's node, host mode. Default 80."""
    proxy_ui_port: int | None
    """Port of Traefik's UI, without login, for development. Default: no UI."""

    image: str
    users: tuple[str, ...]
    """Who may log in; the first is the one that the outputs name. Default `admin`."""
    passwords: Mapping[str, str] = field(repr=False)
    """Given passwords; a user without one gets a generated one."""
    password_cost: int
    """bcrypt cost of given passwords. Default 10; generated ones need no slow hash."""
    password_rotation: str
    """Any text; a new one makes new passwords for the users that have generated ones."""

    volume_name: str
    """Docker volume with the images. Default `<stack_name>_registry-data`."""
    volume_node: str | None
    """Host name or id of the node that holds the volume. Default: one is chosen, once."""
    volume_moved_from: str | None
    """Consent to a move: the node (or volume) that held the images until now."""
    volume_driver: str | None
    volume_options: Mapping[str, str]
    """Volume driver and its options, for storage that all nodes see (NFS): no node is pinned."""
    destroy_data: bool
    """Whether `pulumi destroy` deletes the volume. Default false."""

    constraints: tuple[str, ...]
    """Further placement constraints of the registry, such as `node.platform.arch == x86_64`."""
    memory_mib: int
    """Hard memory limit of a registry task, MiB. Default 512."""
    cpus: float | None
    """CPU limit of a registry task, in cores. Default: none."""
    log_mib: int
    log_files: int
    """Log rotation: size of one file, MiB (default 10), and how many are kept (default 3)."""
    deploy_timeout: int
    """Seconds until a service that doesn't come up is reported as failed. Default 300."""
    config: Mapping[str, Any] = field(repr=False)
    """Keys of the registry's own `config.yml`, merged over the component's."""

    engine_host: str | None
    """`docker:host`. Default: `DOCKER_HOST`, else the current docker context."""

    @property
    def constraint_value(self) -> str:
        """A Traefik of the stack's own serves only the stack; a main one all that are public."""
        return self.traefik_tag if self.proxy == "stack" else self.public_tag

    @property
    def keeps_files(self) -> bool:
        """Whether the images are files on a volume; else `config` names an object store."""
        return keeps_files(self.config)

    @property
    def pins_volume(self) -> bool:
        """Whether the volume is on one node; a driver with options of its own is for sharing."""
        return self.keeps_files and not (self.volume_driver or self.volume_options)

    @property
    def url(self) -> str:
        """Where the registry answers, with scheme."""
        own = self.proxy != "none" and self.proxy_http_port != 80
        return f"http://{self.domain}" + (f":{self.proxy_http_port}" if own else "")

    @property
    def ui_url(self) -> str | None:
        """Where Traefik's UI answers, with scheme."""
        return f"http://{self.domain}:{self.proxy_ui_port}" if self.proxy_ui_port else None


@dataclass(frozen=True)
class _Rule:
    """What text a key takes, in a regular expression and in words."""

    pattern: str
    must: str
    example: str

    def admits(self, text: str) -> bool:
        return re.fullmatch(self.pattern, text) is not None


_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_STACK = _Rule(
    r"[a-z0-9][a-z0-9-]{0,39}",
    "1 to 40 lower-case letters, digits and '-', beginning with a letter or digit",
    "registry-com",
)
_DOMAIN = _Rule(
    rf"localhost|(?=.{{1,253}}$){_LABEL}(\.{_LABEL})+",
    "a lower-case host name with a dot in it, or localhost; no scheme, port or path"
    " (docker takes a name without a dot for a repository on Docker Hub)",
    "registry.example.com",
)
_TAG = _Rule(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", "letters, digits, '.', '_' and '-'", "registry.com"
)
_LABEL_KEY = _Rule(
    r"[a-z0-9][a-z0-9._-]{0,127}",
    "a label key: lower-case letters, digits, '.', '_' and '-'",
    "traefik.constraint-label",
)
_NAME = _Rule(
    r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}",
    "a Docker name: letters, digits, '_', '.' and '-'",
    "traefik-public",
)
_NODE = _Rule(
    r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?",
    "a node's host name or id as `docker node ls` shows it",
    "dog.example.com",
)
_MIDDLEWARE = _Rule(
    r"[A-Za-z0-9_-]+(@[a-z]+)?", "a Traefik middleware, `name` or `name@provider`", "limit@swarm"
)
_IMAGE = _Rule(
    r"[a-z0-9]+([._/:-][a-z0-9]+|__[a-z0-9]+)*:[\w][\w.-]{0,127}(@sha256:[0-9a-f]{64})?",
    "an image with its tag, and a digest if you like: name:tag or name:tag@sha256:…",
    REGISTRY_IMAGE,
)
_USER = _Rule(
    r"[^\s:\x00-\x1f\x7f]{1,255}", "a user name without ':', blanks or control characters", "admin"
)
_CONSTRAINT = _Rule(
    r"(node\.(id|hostname|role|platform\.(os|arch)|labels\.\S+)|engine\.labels\.\S+)\s*(==|!=)\s*\S+",
    "a placement constraint of Swarm",
    "node.labels.disk == ssd",
)
_HOST = _Rule(
    r"unix:///\S+|(tcp|ssh)://\S+",
    "an engine's address: unix://, ssh:// or tcp://",
    "ssh://me@host",
)
_SIZE = _Rule(r"\d{1,9}(MiB|GiB|m|g)", "a whole number of MiB or GiB", "512MiB")
_ANY = _Rule(r"[^\x00-\x1f\x7f]{1,200}", "a line of text", "2026-11")


class _Reader:
    """Takes keys one by one and gathers what is wrong with them."""

    def __init__(self, values: Mapping[str, str], stack: str) -> None:
        self._values = values
        self._stack = stack
        self._known: set[str] = set()
        self.problems: list[str] = []

    def problem(self, key: str, what: str, example: str | None = None, path: bool = False) -> None:
        """Notes what is wrong with `key`, and how to set it to `example`."""
        line = f"{_full(key)} {what}"
        if example is not None:
            line += f"\n      {self.command('set', key, path)} {_quoted(example)}"
        self.problems.append(line)

    def remove(self, key: str, what: str) -> None:
        """Notes what is wrong with `key`, and how to take it out."""
        command = self.command("rm", key, path=not key.isalnum())
        self.problems.append(f"{_full(key)} {what}\n      {command}")

    def command(self, verb: str, key: str, path: bool = False, flags: str = "") -> str:
        """What to type about `key`."""
        options = f"--stack {self._stack}{' --path' if path else ''}{flags}"
        return f"pulumi config {verb} {options} {_quoted(_full(key))}"

    def _raw(self, key: str) -> str | None:
        self._known.add(_full(key))
        return self._values.get(_full(key))

    def text(self, key: str, rule: _Rule, default: str) -> str:
        value = self._raw(key)
        if value is None:
            return default
        if not rule.admits(value):
            self.problem(key, f"is {value!r}: it must be {rule.must}.", rule.example)
        return value

    def required(self, key: str, rule: _Rule) -> str:
        if self._raw(key) is None:
            self.problem(key, f"is missing: it must be {rule.must}.", rule.example)
            return rule.example
        return self.text(key, rule, "")

    def optional(self, key: str, rule: _Rule) -> str | None:
        return None if self._raw(key) is None else self.text(key, rule, "")

    def choice(self, key: str, among: Collection[str], default: str) -> str:
        value = self._raw(key)
        if value is None:
            return default
        if value not in among:
            self.problem(key, f"is {value!r}: it must be one of {', '.join(among)}.", default)
        return value

    def boolean(self, key: str, default: bool) -> bool:
        text = "true" if default else "false"
        return self.choice(key, ("true", "false"), text) == "true"

    def number(self, key: str, low: int, high: int, default: int) -> int:
        value = self._raw(key)
        if value is None:
            return default
        if not re.fullmatch(r"\d{1,9}", value) or not low <= int(value) <= high:
            what = f"is {value!r}: it must be a whole number from {low} to {high}."
            self.problem(key, what, str(default))
            return default
        return int(value)

    def mebibytes(self, key: str, low: int, default: int) -> int:
        value = self._raw(key)
        if value is None:
            return default
        if not _SIZE.admits(value):
            self.problem(key, f"is {value!r}: it must be {_SIZE.must}.", f"{default}MiB")
            return default
        count = int(re.sub(r"\D", "", value)) * (1024 if value.endswith(("GiB", "g")) else 1)
        if count < low:
            self.problem(key, f"is {value!r}: it must be {low}MiB or more.", f"{default}MiB")
        return count

    def cores(self, key: str) -> float | None:
        value = self._raw(key)
        if value is None:
            return None
        if not re.fullmatch(r"\d{1,3}(\.\d{1,3})?", value) or float(value) == 0:
            self.problem(key, f"is {value!r}: it must be a number of cores over 0.", "1.5")
            return None
        return float(value)

    def _json(self, key: str, kind: type, must: str, example: str) -> Any:
        value = self._raw(key)
        if value is None:
            return None
        try:
            parsed = json.loads(value)
        except ValueError:
            parsed = None
        if not isinstance(parsed, kind):
            self.problem(key, f"must be {must}.", example, path=True)
            return None
        return parsed

    def names(self, key: str, rule: _Rule, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        items = self._json(key, list, f"a list, each {rule.must}", rule.example)
        if items is None:
            return default
        for index, item in enumerate(items):
            if not isinstance(item, str) or not rule.admits(item):
                what = f"is {item!r}: it must be {rule.must}."
                self.problem(f"{key}[{index}]", what, rule.example, path=True)
        texts = tuple(str(item) for item in items)
        for twice in sorted({text for text in texts if texts.count(text) > 1}):
            self.problem(key, f"has {twice!r} twice.")
        return texts

    def mapping(self, key: str, example: str) -> Mapping[str, Any]:
        return (
            cast("Mapping[str, Any]", self._json(key, dict, "a map of names to values", example))
            or {}
        )

    def unknown(self) -> None:
        """Reports keys of this project that nobody reads: a slip of the pen does nothing else."""
        for key in sorted(set(self._values) - self._known):
            if not key.startswith(f"{NAMESPACE}:"):
                continue
            near = difflib.get_close_matches(key, self._known, 1)
            hint = f" Did you mean {near[0]}?" if near else ""
            self.remove(key.partition(":")[2], f"is not a setting.{hint}")


def _full(key: str) -> str:
    return key if ":" in key else f"{NAMESPACE}:{key}"


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[\w@%+=:,./-]+", text) else f"'{text}'"


def _passwords(reader: _Reader, users: tuple[str, ...], is_secret: bool) -> Mapping[str, str]:
    given = reader.mapping("passwords", "…")
    if given and not is_secret:
        again = reader.command("set", "passwords.NAME", path=True, flags=" --secret")
        reader.problem(
            "passwords",
            "is in plain text in the stack's file: remove it there, and give each password with"
            f"\n      {again}",
        )
    for name, password in given.items():
        key = f"passwords.{name}"
        again = f"\n      {reader.command('set', key, path=True, flags=' --secret')}"
        if name not in users:
            reader.remove(key, f"has no such user: registry:users has {', '.join(users)}.")
        # A number in YAML or on the command line arrives as a number; bcrypt wants text.
        if not isinstance(password, str) or not password:
            reader.problem(key, f"must be a text that isn't empty.{again}")
        elif len(password.encode()) > MAX_PASSWORD_BYTES:
            length = len(password.encode())
            limit = f"bcrypt takes {MAX_PASSWORD_BYTES} at the most"
            reader.problem(key, f"is {length} bytes long: {limit}.{again}")
        elif re.search(r"[\x00-\x1f\x7f]", password):
            reader.problem(key, f"has a control character in it.{again}")
    return {name: str(password) for name, password in given.items()}


def _registry_config(reader: _Reader) -> Mapping[str, Any]:
    config = reader.mapping("config", "info")
    for path in owned_paths_in(config):
        reader.remove(
            f"config.{path}",
            "can't be set: this program owns it, and another value would break the deployment.",
        )
    for section in unknown_sections_in(config):
        what = "is not a section of the registry's configuration."
        reader.remove(f"config.{section}", what)
    drivers = drivers_in(config)
    if len(drivers) > 1:
        what = f"names {' and '.join(drivers)}: the registry takes one storage driver."
        reader.remove("config.storage", what)
    return config


def parse(values: Mapping[str, str], is_secret: Callable[[str], bool], stack: str) -> Settings:
    """Settings from `values`, raw texts by full key; `RunError` that lists all that is wrong.

    `is_secret` tells whether a full key holds a secret; `stack` is named in the error.
    """
    reader = _Reader(values, stack)
    stack_name = reader.required("stackName", _STACK)
    proxy = cast(ProxyMode, reader.choice("proxy", ("none", "stack", "main"), "none"))
    users = reader.names("users", _USER, ("admin",))
    if not users:
        reader.problem("users", "is empty: nobody could log in.")
    passwords = _passwords(reader, users, is_secret(_full("passwords")))
    options = reader.mapping("volumeOptions", "nfs")
    for name, value in options.items():
        if not isinstance(value, str):
            reader.problem(f"volumeOptions.{name}", "must be a text.", "nfs", path=True)
    volume_driver = reader.optional("volumeDriver", _NAME)
    volume_node = reader.optional("volumeNode", _NODE)
    if volume_node and (volume_driver or options):
        what = "can't go with volumeDriver or volumeOptions: such a volume is on no single node."
        reader.remove("volumeNode", what)
    proxy_http_port = reader.number("proxyHttpPort", 1, 65535, 80)
    proxy_ui_port = reader.number("proxyUiPort", 0, 65535, 0)
    if proxy_ui_port == proxy_http_port:
        reader.problem("proxyUiPort", f"is {proxy_ui_port}, as is proxyHttpPort.", "8090")
    create_network = reader.boolean("createNetwork", proxy != "none")
    encrypt_network = reader.boolean("encryptNetwork", False)
    if encrypt_network and not create_network:
        what = "needs createNetwork: a network that is joined stays as its owner made it."
        reader.remove("encryptNetwork", what)
    if proxy == "none" and proxy_ui_port:
        reader.remove("proxyUiPort", "needs a proxy of this stack.")
    settings = Settings(
        stack_name=stack_name,
        domain=reader.required("domain", _DOMAIN),
        traefik_tag=reader.text("traefikTag", _TAG, stack_name),
        public_tag=reader.text("publicTag", _TAG, "traefik-public"),
        constraint_label=reader.text("constraintLabel", _LABEL_KEY, "traefik.constraint-label"),
        entry_point=reader.text("entryPoint", _TAG, "http"),
        middlewares=reader.names("middlewares", _MIDDLEWARE),
        network=reader.text("network", _NAME, "traefik-public"),
        create_network=create_network,
        encrypt_network=encrypt_network,
        proxy=proxy,
        proxy_image=reader.text("proxyImage", _IMAGE, TRAEFIK_IMAGE),
        proxy_http_port=proxy_http_port,
        proxy_ui_port=proxy_ui_port or None,
        image=reader.text("image", _IMAGE, REGISTRY_IMAGE),
        users=users,
        passwords=passwords,
        password_cost=reader.number("passwordCost", MIN_GIVEN_COST, 15, MIN_GIVEN_COST),
        password_rotation=reader.optional("passwordRotation", _ANY) or "",
        volume_name=reader.text("volumeName", _NAME, f"{stack_name}_registry-data"),
        volume_node=volume_node,
        volume_moved_from=reader.optional("volumeMovedFrom", _NAME),
        volume_driver=volume_driver,
        volume_options=options,
        destroy_data=reader.boolean("destroyData", False),
        constraints=reader.names("constraints", _CONSTRAINT),
        memory_mib=reader.mebibytes("memory", 64, 512),
        cpus=reader.cores("cpus"),
        log_mib=reader.mebibytes("logSize", 1, 10),
        log_files=reader.number("logFiles", 1, 100, 3),
        deploy_timeout=reader.number("deployTimeout", 10, 3600, 300),
        config=_registry_config(reader),
        engine_host=reader.optional("docker:host", _HOST),
    )
    reader.unknown()
    if reader.problems:
        raise pulumi.RunError(_report(reader.problems, stack))
    return settings


def _report(problems: list[str], stack: str) -> str:
    one = len(problems) == 1
    head = f"{'One setting' if one else f'{len(problems)} settings'} of stack {stack}"
    body = "\n".join(f"  - {problem}" for problem in problems)
    return f"{head} {'is' if one else 'are'} wrong; nothing was touched:\n{body}"


def read() -> Settings:
    """The settings of the stack that is being deployed; `RunError` lists all that is wrong."""
    return parse(CONFIG.get(), is_config_secret, pulumi.get_stack())
