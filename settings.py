"""Every configuration key of the program: read, checked and typed, once.

`read()` gives the settings of the stack that is being deployed, or raises one
`pulumi.RunError` that names every wrong key, what it must be, and what to type.
A secret's value is never part of a message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import pulumi
from pulumi.runtime.config import CONFIG, is_config_secret

from components.credentials import MAX_PASSWORD_BYTES, MIN_GIVEN_COST
from components.registry import Mount, Route
from components.registry_config import (
    drivers_in,
    keeps_files,
    owned_paths_in,
    unknown_sections_in,
)
from config_reader import Reader, Rule, full_key

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
    def route(self) -> Route:
        """How Traefik finds the registry."""
        return Route(
            domain=self.domain,
            tag=self.traefik_tag,
            network=self.network,
            constraint_label=self.constraint_label,
            constraint_value=self.constraint_value,
            entry_point=self.entry_point,
            middlewares=self.middlewares,
        )

    @property
    def mount(self) -> Mount | None:
        """The volume with the images, if they are files."""
        if not self.keeps_files:
            return None
        return Mount(
            volume=self.volume_name, driver=self.volume_driver, options=self.volume_options
        )

    @property
    def url(self) -> str:
        """Where the registry answers, with scheme."""
        own = self.proxy != "none" and self.proxy_http_port != 80
        return f"http://{self.domain}" + (f":{self.proxy_http_port}" if own else "")

    @property
    def ui_url(self) -> str | None:
        """Where Traefik's UI answers, with scheme."""
        return f"http://{self.domain}:{self.proxy_ui_port}" if self.proxy_ui_port else None


_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_STACK = Rule(
    r"[a-z0-9][a-z0-9-]{0,39}",
    "1 to 40 lower-case letters, digits and '-', beginning with a letter or digit",
    "registry-com",
)
_DOMAIN = Rule(
    rf"localhost|(?=.{{1,253}}$){_LABEL}(\.{_LABEL})+",
    "a lower-case host name with a dot in it, or localhost; no scheme, port or path"
    " (docker takes a name without a dot for a repository on Docker Hub)",
    "registry.example.com",
)
_TAG = Rule(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", "letters, digits, '.', '_' and '-'", "registry.com")
_LABEL_KEY = Rule(
    r"[a-z0-9][a-z0-9._-]{0,127}",
    "a label key: lower-case letters, digits, '.', '_' and '-'",
    "traefik.constraint-label",
)
_NAME = Rule(
    r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}",
    "a Docker name: letters, digits, '_', '.' and '-'",
    "traefik-public",
)
_NODE = Rule(
    r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?",
    "a node's host name or id as `docker node ls` shows it",
    "dog.example.com",
)
_MIDDLEWARE = Rule(
    r"[A-Za-z0-9_-]+(@[a-z]+)?", "a Traefik middleware, `name` or `name@provider`", "limit@swarm"
)
_IMAGE = Rule(
    r"[a-z0-9]+([._/:-][a-z0-9]+|__[a-z0-9]+)*:[\w][\w.-]{0,127}(@sha256:[0-9a-f]{64})?",
    "an image with its tag, and a digest if you like: name:tag or name:tag@sha256:…",
    REGISTRY_IMAGE,
)
_USER = Rule(
    r"[^\s:\x00-\x1f\x7f]{1,255}", "a user name without ':', blanks or control characters", "admin"
)
_CONSTRAINT = Rule(
    r"(node\.(id|hostname|role|platform\.(os|arch)|labels\.\S+)|engine\.labels\.\S+)\s*(==|!=)\s*\S+",
    "a placement constraint of Swarm",
    "node.labels.disk == ssd",
)
_HOST = Rule(
    r"unix:///\S+|(tcp|ssh)://\S+",
    "an engine's address: unix://, ssh:// or tcp://",
    "ssh://me@host",
)
_ANY = Rule(r"[^\x00-\x1f\x7f]{1,200}", "a line of text", "2026-11")


def _passwords(reader: Reader, users: tuple[str, ...], is_secret: bool) -> Mapping[str, str]:
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


def _registry_config(reader: Reader) -> Mapping[str, Any]:
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
    reader = Reader(values, is_secret, stack)
    stack_name = reader.required("stackName", _STACK)
    proxy = cast(ProxyMode, reader.choice("proxy", ("none", "stack", "main"), "none"))
    users = reader.names("users", _USER, ("admin",))
    if not users:
        reader.problem("users", "is empty: nobody could log in.")
    passwords = _passwords(reader, users, is_secret(full_key("passwords")))
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
    if wrong := reader.report():
        raise pulumi.RunError(wrong)
    return settings


def read() -> Settings:
    """The settings of the stack that is being deployed; `RunError` lists all that is wrong."""
    return parse(CONFIG.get(), is_config_secret, pulumi.get_stack())
