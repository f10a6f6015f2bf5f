"""Every configuration key of the program: read, checked and typed, once.

`read()` gives the settings of the stack that is being deployed, or raises one
`pulumi.RunError` that names every wrong key, what it must be, and what to type.
A secret's value is never part of a message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

import pulumi
from pulumi.runtime.config import CONFIG, is_config_secret

from components.credentials import MAX_PASSWORD_BYTES, MIN_GIVEN_COST
from components.distribution.config import (
    DRAIN_SECONDS,
    OWNED,
    REGISTRY_IMAGE,
    drivers_in,
    keeps_files,
    owned_paths_in,
    value_at,
)
from components.run.operation import option
from components.swarm.engine import Tls
from components.swarm.location import IMAGES, MIRRORED, Location, Volume, is_shared, object_store
from components.swarm.pull_login import PullLogin
from components.swarm.service import service_name
from components.traefik.flags import DISCOVERY_SECONDS, REGISTRY_OPTIONS, REGISTRY_PATH
from components.traefik.route import CORS_OPTIONS, NETWORK_LABELS, Https, Route
from settings import rules
from settings.certificate import is_address
from settings.limits import check_limits
from settings.mirrors import MirrorSettings, parse_mirrors
from settings.proxy import (
    HTTPS_MODES,
    OF_TRAEFIK,
    TRAEFIK_IMAGE,
    HttpsMode,
    ProxyMode,
    ProxySettings,
    parse_proxy,
)
from settings.pull_logins import parse_pull_logins
from settings.reader import Reader
from settings.registry_schema import conform
from settings.secrecy import secrets_in
from settings.stack_file import config_of, path_of
from settings.storage import check_storage
from settings.volume import VolumeSettings, parse_volume

__all__ = [
    "REGISTRY_IMAGE",
    "TRAEFIK_IMAGE",
    "Settings",
    "parse",
    "read",
    "read_removal",
    "settings_of",
]

REDIS_IMAGE = "redis:7.4-alpine"
"""Official."""
CACHES = ("memory", "redis")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one stack is told; the README's table of settings has the same rows."""

    stack_name: str
    """Swarm stack: the prefix of every service, volume and node label. Required."""
    domain: str
    """Public host name of the registry, no scheme, no port. Required."""
    shared_domain: bool
    """Another service, such as a UI, answers at this name as well: only the API, below /v2/, is the
    registry's. Default false."""
    traefik_tag: str
    """Names this stack's routers in Traefik. Default: `stack_name`."""
    public_tag: str
    """Constraint label's value that the swarm's main Traefik asks for. Default `traefik-public`."""
    constraint_label: str
    """Key of the label that Traefik filters services by. Default `traefik.constraint-label`."""
    entry_point: str
    """Traefik's entry point for plain HTTP. Default `http`, as DockerSwarm.rocks names it."""
    https: HttpsMode
    """`acme`: Traefik obtains certificates. `own`: it is given one. `external`: TLS ends at a proxy
    in front of it. `none`: plain HTTP. Default `acme`; with a `stack` proxy `none`."""
    https_entry_point: str
    """Traefik's entry point for HTTPS. Default `https`."""
    cert_resolver: str
    """Traefik's certificate resolver. Default `le`."""
    redirect_middleware: str
    """Traefik's middleware that sends HTTP to HTTPS. Default `https-redirect`."""
    tls_options: str | None
    """Traefik's TLS options for the registry's name, such as `modern@file`. Default: Traefik's
    default ones; with a `main` proxy some without HTTP/2, which large blobs are slower by."""
    middlewares: tuple[str, ...]
    """Further Traefik middlewares, such as `limit@swarm`, of the routers of registry, mirrors and
    dashboard; before the login."""

    network: str
    """Overlay network that Traefik and the registry share. Default `traefik-public`."""
    network_label: str
    """Label that tells Traefik the network. Default: DockerSwarm.rocks' `traefik.docker.network`;
    with a proxy of its own `traefik.swarm.network`."""
    create_network: bool
    """Whether this stack owns the network; else it joins. Default: true with a proxy of its own."""
    encrypt_network: bool
    """Whether a network made here encrypts between nodes (IPsec). Default false."""

    networks: tuple[str, ...]
    """Further overlay networks that registry and mirrors join, such as an object store's."""

    proxy_mode: ProxyMode
    """`registry:proxy`. `none`: there is a main Traefik already. `stack`: a Traefik for this stack
    alone. `main`: this stack runs the swarm's main Traefik. Default `none`."""
    proxy: ProxySettings | None
    """What that Traefik is told, if it is the stack's own."""

    image: str
    image_refresh: str | None
    """Any text; a new one asks the registries for the images that the tags name by now."""
    pull_logins: Mapping[str, PullLogin] = field(repr=False)
    """What private images are pulled with, by host of their registry."""
    users: tuple[str, ...]
    """Who may log in; the first is the one that the outputs name. Default `admin`."""
    passwords: Mapping[str, str] = field(repr=False)
    """Given passwords; a user without one gets a generated one."""
    hashed_passwords: Mapping[str, str] = field(repr=False)
    """Hashes by user, for Traefik to ask for the login instead: apr1 works nowhere else."""
    password_cost: int
    """bcrypt cost of given passwords. Default 10; generated ones need no slow hash."""
    password_rotation: str
    """Any text; a new one makes new passwords for the users that have generated ones."""

    volume: VolumeSettings
    """Where the images are. Default `<stack_name>_registry-data`."""
    volume_driver: str | None
    volume_options: Mapping[str, str]
    """Volume driver and its options: for storage that all nodes see (NFS), where no node is pinned,
    or for a folder or disk of one node."""
    destroy_data: bool
    """Whether `pulumi destroy`, and nothing else, deletes the volume. Default false."""
    swarm_moved_from: str | None
    """Consent to another swarm: the id of the one that the stack was deployed to until now."""

    mirrors: tuple[MirrorSettings, ...]
    """Pull-through caches of other registries. Default: none."""
    mirrors_volume: VolumeSettings
    """Where they keep what was pulled, if in files. Default `<stack_name>_mirrors`."""
    storage_ca: str | None
    """PEM: authority of an object store's certificate, besides those that the image trusts."""

    replicas: int
    """Tasks of the registry. Default 1; more need storage that every node sees."""
    spread: str | None
    """Node label over whose values the replicas are spread, such as `node.labels.zone`.
    Default: over nodes, as Swarm does by itself."""
    cache: Literal["memory", "redis"]
    """Where blob descriptors are remembered: in each task, or in a Redis that all tasks share.
    Default `memory`."""
    redis_image: str
    redis_memory_mib: int
    """Hard memory limit of Redis, MiB; half of it is for the cache. Default 128."""
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
    drain_seconds: int
    """How long a task that must end lets uploads and downloads under way finish. Default 60."""
    config: Mapping[str, Any] = field(repr=False)
    """Keys of the registry's own `config.yml`, merged over the component's."""

    engine_host: str | None
    """`docker:host`. Default: `DOCKER_HOST`, else the current docker context."""
    engine_tls: Tls | None
    """`docker:caMaterial`, `docker:certMaterial`, `docker:keyMaterial`."""
    policy: str
    """Whether a violation of the policy pack is a warning or an error. Default `advisory`."""
    warnings: tuple[str, ...] = ()
    """What is good for now."""

    @property
    def constraint_value(self) -> str:
        """A Traefik of the stack's own serves only the stack; a main one all that are public."""
        return self.traefik_tag if self.proxy_mode == "stack" else self.public_tag

    @property
    def keeps_files(self) -> bool:
        """Whether the images are files on a volume; else `config` names an object store."""
        return keeps_files(self.config)

    @property
    def images(self) -> Mapping[str, str]:
        """The image of each service that is deployed."""
        images = {"registry": self.image}
        images |= {f"mirror-{mirror.name}": self.image for mirror in self.mirrors}
        if self.cache == "redis":
            images["redis"] = self.redis_image
        if self.proxy:
            images["proxy"] = self.proxy.image
            if self.proxy.socket_proxy:
                images["socket_proxy"] = self.proxy.socket_proxy_image
        return images

    @property
    def internal_networks(self) -> Mapping[str, str]:
        """What to type to have a network made anew, for each that only services of the stack join;
        they have the names of the services that they lead to."""
        again = {}
        if self.cache == "redis":
            again["redis"] = ("registry:cache", "memory", "redis")
        if self.proxy and self.proxy.socket_proxy:
            again["socket_proxy"] = ("registry:proxySocket", "mount", "proxy")
        return {
            service_name(self.stack_name, service): (
                f"      pulumi config set {key} {without}   # and deploy\n"
                f"      pulumi config set {key} {as_it_is}   # and deploy"
            )
            for service, (key, without, as_it_is) in again.items()
        }

    @property
    def linger_seconds(self) -> int:
        """How long a task that must end serves on, until Traefik has noticed.

        Others than ours ask for changes every 15 s (`providers.swarm.refreshSeconds`).
        """
        return DISCOVERY_SECONDS if self.proxy else 20

    @property
    def pins_volume(self) -> bool:
        """Whether the images are in a volume of one node."""
        return self.keeps_files and not is_shared(self.volume_driver, self.volume_options)

    def _location(self, volume: VolumeSettings) -> Location:
        if self.keeps_files:
            return Volume(name=volume.name, driver=self.volume_driver, options=self.volume_options)
        (driver,) = drivers_in(self.config)
        return object_store(driver, self.config["storage"][driver] or {})

    @property
    def location(self) -> Location:
        """Where the images shall be; a volume of one node without its node yet."""
        return self._location(self.volume)

    @property
    def mirrors_location(self) -> Location:
        """Where mirrors keep what was pulled."""
        return self._location(self.mirrors_volume)

    @property
    def volumes(self) -> frozenset[str]:
        """Volumes that the stack's data are in, or were in until now."""
        told = [self.volume, self.mirrors_volume]
        told += [self.proxy.certificates] if self.proxy else []
        names = {name for volume in told for name in (volume.name, volume.moved_from)}
        return frozenset(name for name in names if name)

    def _route(self, domain: str, tag: str, *, tls_options: str | None = None) -> Route:
        return Route(
            domain=domain,
            tag=tag,
            network=self.network,
            network_label=self.network_label,
            constraint_label=self.constraint_label,
            constraint_value=self.constraint_value,
            entry_point=self.entry_point,
            https=self._https(tls_options),
            external_https=self.https == "external",
            middlewares=self.middlewares,
        )

    def _blob_options(self, domain: str) -> str | None:
        """Return the TLS options for a registry's name.

        Without any where a connection may begin without the name (SNI), or another service has it
        too: Traefik gives that one its default options, and answers 421 where the router names
        others.
        """
        if self.tls_options:
            return self.tls_options
        fronted = bool(self.proxy and self.proxy.trusted_proxies)
        shared = self.shared_domain and domain == self.domain
        if self.proxy_mode != "main" or fronted or shared or is_address(domain):
            return None
        return f"{REGISTRY_OPTIONS}@file"

    def _https(self, options: str | None) -> Https | None:
        if self.https not in OF_TRAEFIK:
            return None
        return Https(
            entry_point=self.https_entry_point,
            resolver=self.cert_resolver if self.https == "acme" else None,
            options=options,
            redirect=self.redirect_middleware,
        )

    @property
    def route(self) -> Route:
        """How Traefik finds the registry."""
        options = self._blob_options(self.domain)
        route = self._route(self.domain, self.traefik_tag, tls_options=options)
        path = REGISTRY_PATH if self.shared_domain else ""
        return replace(route, path=path, cors=_cors(self.config), users=self.hashed_passwords)

    @property
    def dashboard_route(self) -> Route | None:
        """How Traefik finds its own dashboard, if there shall be one."""
        if not self.proxy or not self.proxy.dashboard_domain:
            return None
        tag = f"{self.traefik_tag}-dashboard"
        return self._route(self.proxy.dashboard_domain, tag)

    def mirror_route(self, mirror: MirrorSettings) -> Route:
        """How Traefik finds a mirror."""
        tag = f"{self.traefik_tag}-mirror-{mirror.name}"
        options = self._blob_options(mirror.domain)
        route = self._route(mirror.domain, tag, tls_options=options)
        users = {} if mirror.allow else self.hashed_passwords
        return replace(route, allow=mirror.allow, users=users)

    def url_of(self, domain: str) -> str:
        """Where `domain` answers, with scheme."""
        if self.https == "none":
            port = self.proxy.http_port if self.proxy else 80
            return f"http://{domain}" + ("" if port == 80 else f":{port}")
        port = self.proxy.https_port if self.proxy else 443
        return f"https://{domain}" + ("" if port == 443 else f":{port}")

    @property
    def url(self) -> str:
        """Where the registry answers, with scheme."""
        return self.url_of(self.domain)

    @property
    def ui_url(self) -> str | None:
        """Where Traefik's dashboard, else its UI for development, answers, with scheme."""
        if self.proxy and self.proxy.dashboard_domain:
            return f"{self.url_of(self.proxy.dashboard_domain)}/dashboard/"
        if self.proxy and self.proxy.ui_port:
            return f"http://{self.domain}:{self.proxy.ui_port}"
        return None


def _passwords(reader: Reader, users: tuple[str, ...]) -> Mapping[str, str]:
    given = reader.mapping("passwords", "…")
    reader.unshare("passwords", "whoever has one would have both registries' images")
    for name, password in given.items():
        key = path_of("passwords", name)
        again = f"\n      {reader.command('set', key, path=True, flags=' --secret')}"
        reader.secret("passwords", name)
        dotted = [user for user in users if user.startswith(f"{name}.")]
        if name not in users and isinstance(password, Mapping) and dotted:
            meant = reader.command(
                "set", path_of("passwords", dotted[0]), path=True, flags=" --secret"
            )
            what = f"is a map: a dot in a name separates, unless it is quoted. Type:\n      {meant}"
            reader.remove(key, f"{what}\n  and take this out:")
            continue
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


def _hashed_passwords(reader: Reader) -> Mapping[str, str]:
    hashes = reader.texts("hashedPasswords", rules.LABEL_USER, "…")
    reader.unshare("hashedPasswords", "whoever has one would have both registries' images")
    for name, text in hashes.items():
        reader.secret("hashedPasswords", name)
        if not rules.HASH.admits(text):
            reader.problem(path_of("hashedPasswords", name), f"must be {rules.HASH.must}.")
    for key in ("users", "passwords") if hashes else ():
        if reader.has(key):
            what = "can't go with hashedPasswords: with these Traefik asks for the login."
            reader.remove(key, what)
    return hashes


def _engine(reader: Reader) -> tuple[str | None, Tls | None]:
    return reader.optional("docker:host", rules.HOST), engine_tls(reader)


def engine_tls(reader: Reader) -> Tls | None:
    """Return what an engine behind TLS is talked to with; None when nothing is configured."""
    keys = ("docker:caMaterial", "docker:certMaterial", "docker:keyMaterial")
    kinds = ("CERTIFICATE", "CERTIFICATE", "PRIVATE KEY")
    texts = [reader.pem(key, kind) for key, kind in zip(keys, kinds, strict=True)]
    reader.secret_text(keys[2])
    given = [key for key in keys if reader.has(key)]
    for missing in (name for name in keys if given and name not in given):
        what = f"is missing: {' and '.join(given)} {'are' if len(given) > 1 else 'is'} there."
        reader.problem(missing, f"{what}\n      {reader.command('set', missing)} < FILE")
    ca, certificate, key = texts
    if ca is None or certificate is None or key is None:
        return None
    return Tls(ca=ca, certificate=certificate, key=key)


def _registry_config(reader: Reader, image: str) -> Mapping[str, Any]:
    config = reader.mapping("config", "info")
    reader.owned("config", owned_paths_in(config))
    config = conform(reader, config, lambda path: path not in OWNED, image)
    _check_debug(reader, config)
    check_storage(reader, config)
    for path in secrets_in(config):
        reader.secret("config", *path)
    return config


def _check_debug(reader: Reader, config: Mapping[str, Any]) -> None:
    """Warn of a debug server that others on the shared network could reach."""
    address = value_at(config, "http.debug.addr")
    if isinstance(address, str) and not rules.LOOPBACK.admits(address):
        reader.warnings.append(
            f"registry:config.http.debug.addr is {address}: beside metrics it shows the registry's"
            " memory (pprof) to each container on the network. Where nobody asks for metrics, take"
            " it out, or let it be 127.0.0.1:5001."
        )


def parse(
    values: Mapping[str, str],
    is_secret: Callable[[str], bool],
    stack: str,
    file: Mapping[str, Any] | None = None,
) -> Settings:
    """Settings from `values`, raw texts by full key; `RunError` that lists all that is wrong.

    `is_secret` tells whether a full key holds a secret, and `file`, of `stack_file.config_of`, at
    which paths; `stack` is named in the error.
    """
    reader = Reader(values, is_secret, stack, file)
    settings = settings_of(reader)
    if wrong := reader.report():
        raise pulumi.RunError(wrong)
    return settings


def settings_of(reader: Reader) -> Settings:
    """Return the settings; those that are wrong, as `reader` notes, are as good as made up."""
    stack_name = reader.required("stackName", rules.STACK)
    domain = reader.required("domain", rules.DOMAIN)
    proxy_mode = cast(ProxyMode, reader.choice("proxy", ("none", "stack", "main"), "none"))
    default = "none" if proxy_mode == "stack" else "acme"
    https = cast(HttpsMode, reader.choice("https", HTTPS_MODES, default))
    mirrors = parse_mirrors(reader)
    domains = [domain, *(mirror.domain for mirror in mirrors)]
    _check_domains(reader, https, domains)
    joins = proxy_mode == "none"
    point = rules.TAG if joins else rules.OWN_NAME
    redirect = rules.MIDDLEWARE if joins else rules.OWN_NAME
    cert_resolver = reader.text("certResolver", point, "le")
    entry_point = reader.text("entryPoint", point, "http")
    https_entry_point = reader.text("httpsEntryPoint", point, "https")
    points = (entry_point, https_entry_point)
    proxy = parse_proxy(reader, stack_name, domains, https, cert_resolver, points, proxy_mode)
    create_network = reader.boolean("createNetwork", not joins)
    encrypt_network = reader.boolean("encryptNetwork", False)
    if encrypt_network and not create_network:
        what = "needs createNetwork: a network that is joined stays as its owner made it."
        reader.remove("encryptNetwork", what)
    users = reader.names("users", rules.USER, ("admin",))
    if not users:
        reader.problem("users", "is empty: nobody could log in.")
    volume_driver, options = _volume_driver(reader)
    engine_host, tls = _engine(reader)
    image = reader.text("image", rules.IMAGE, REGISTRY_IMAGE)
    settings = Settings(
        stack_name=stack_name,
        domain=domain,
        shared_domain=reader.boolean("sharedDomain", False),
        traefik_tag=reader.text("traefikTag", rules.TAG, stack_name),
        public_tag=reader.text("publicTag", rules.TAG, "traefik-public"),
        constraint_label=reader.text(
            "constraintLabel", rules.LABEL_KEY, "traefik.constraint-label"
        ),
        entry_point=entry_point,
        https=https,
        https_entry_point=https_entry_point,
        cert_resolver=cert_resolver,
        redirect_middleware=reader.text("redirectMiddleware", redirect, "https-redirect"),
        tls_options=reader.optional("tlsOptions", rules.TLS_OPTIONS),
        middlewares=reader.names("middlewares", rules.MIDDLEWARE),
        network=reader.text("network", rules.NAME, "traefik-public"),
        network_label=reader.choice("networkLabel", NETWORK_LABELS, NETWORK_LABELS[not joins]),
        create_network=create_network,
        encrypt_network=encrypt_network,
        networks=reader.names("networks", rules.NAME),
        proxy_mode=proxy_mode,
        proxy=None if joins else proxy,
        image=image,
        image_refresh=reader.optional("imageRefresh", rules.LINE),
        pull_logins=parse_pull_logins(reader),
        users=users,
        passwords=_passwords(reader, users),
        hashed_passwords=_hashed_passwords(reader),
        password_cost=reader.number("passwordCost", MIN_GIVEN_COST, 15, MIN_GIVEN_COST),
        password_rotation=reader.optional("passwordRotation", rules.LINE) or "",
        volume=parse_volume(reader, IMAGES, f"{stack_name}_registry-data"),
        volume_driver=volume_driver,
        volume_options=options,
        destroy_data=reader.boolean("destroyData", False),
        swarm_moved_from=reader.optional("swarmMovedFrom", rules.ID),
        mirrors=mirrors,
        mirrors_volume=parse_volume(reader, MIRRORED, f"{stack_name}_mirrors"),
        storage_ca=reader.pem("storageCa", "CERTIFICATE"),
        replicas=reader.number("replicas", 1, 100, 1),
        spread=reader.optional("spread", rules.SPREAD),
        cache=cast(Literal["memory", "redis"], reader.choice("cache", CACHES, "memory")),
        redis_image=reader.text("redisImage", rules.IMAGE, REDIS_IMAGE),
        redis_memory_mib=reader.mebibytes("redisMemory", 32, 128),
        constraints=reader.names("constraints", rules.CONSTRAINT),
        memory_mib=reader.mebibytes("memory", 64, 512),
        cpus=reader.cores("cpus"),
        log_mib=reader.mebibytes("logSize", 1, 10),
        log_files=reader.number("logFiles", 1, 100, 3),
        deploy_timeout=reader.number("deployTimeout", 10, 3600, 300),
        drain_seconds=reader.number("drainSeconds", 10, 3600, DRAIN_SECONDS),
        config=_registry_config(reader, image),
        engine_host=engine_host,
        engine_tls=tls,
        policy=reader.choice("policy", ("advisory", "mandatory"), "advisory"),
        warnings=tuple(reader.warnings),
    )
    _check_sharing(reader, settings)
    check_limits(reader, settings)
    # As a secret it would look to ops/policy.py as if it weren't set.
    reader.open("policy", "it says which rules hold for the stack")
    reader.unshare("destroyData", "consent to lose one stack's images")
    reader.unshare("swarmMovedFrom", "consent to leave one stack's swarm")
    reader.unknown()
    return settings


def _check_domains(reader: Reader, https: HttpsMode, domains: Sequence[str]) -> None:
    for domain in domains:
        certified = rules.PUBLIC_DOMAIN.admits(domain) or not rules.DOMAIN.admits(domain)
        if https == "acme" and not certified:
            what = f"is acme, and no authority would certify {domain}: it isn't a name with a dot."
            reader.problem("https", what, "none")
        if re.fullmatch(r"[\d.]+", domain) and not is_address(domain):
            reader.problem("domain", f"is {domain}: that is no address.", rules.DOMAIN.example)
        if domains.count(domain) > 1:
            reader.problem("mirrors", f"have {domain} more than once, or the registry has it.")
            return


def _cors(config: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the headers by which the registry admits pages of other sites, and their values."""
    headers = value_at(config, "http.headers")
    if not isinstance(headers, Mapping):
        return {}
    given = {str(name).title(): value for name, value in headers.items()}
    if not given.get("Access-Control-Allow-Origin"):
        return {}
    return {
        name: ",".join(map(str, given[name])) if isinstance(given[name], list) else str(given[name])
        for name in CORS_OPTIONS
        if name in given
    }


def _check_sharing(reader: Reader, settings: Settings) -> None:
    """Replicas that keep their images apart would each know a part of them."""
    if settings.replicas > 1 and settings.pins_volume:
        reader.problem(
            "replicas",
            f"is {settings.replicas}, and the images are in a volume of one node: replicas need"
            " storage that every node sees, an object store (registry:config.storage.s3, gcs or"
            " azure) or a volume of NFS (registry:volumeOptions).",
            "1",
        )
    if settings.network in settings.networks:
        index = settings.networks.index(settings.network)
        what = "is registry:network, which the registry is on already."
        reader.remove(f"networks[{index}]", what)
    if settings.storage_ca and settings.keeps_files:
        reader.remove("storageCa", "needs an object store (registry:config.storage.s3).")
    asks_redis = value_at(settings.config, "storage.cache.blobdescriptor") == "redis"
    if asks_redis and settings.cache != "redis" and not value_at(settings.config, "redis.addrs"):
        reader.remove(
            "config.storage.cache.blobdescriptor",
            "is redis, and no Redis is named: registry:cache redis brings one.",
        )
    if settings.cache == "redis" and "redis" in settings.config:
        what = "can't go with registry:cache redis, which brings a Redis of its own."
        reader.remove("config.redis", what)


def _volume_driver(reader: Reader) -> tuple[str | None, Mapping[str, str]]:
    for key in ("volumeDriver", "volumeOptions"):
        reader.unshare(key, "storage that both stacks would write into")
    options = reader.mapping("volumeOptions", "nfs")
    reader.open("volumeOptions", "`docker volume inspect` shows it; name a file of credentials")
    for name, value in options.items():
        if not isinstance(value, str):
            reader.problem(path_of("volumeOptions", name), "must be a text.", "nfs", path=True)
    driver = reader.optional("volumeDriver", rules.NAME)
    if options.get("type") == "tmpfs":
        what = "is tmpfs, which forgets all images when the registry restarts."
        reader.remove("volumeOptions.type", what)
    for key in ("volumeNode", "mirrorsNode") if is_shared(driver, options) else ():
        if reader.has(key):
            what = "can't go with these volumeOptions or this volumeDriver: every node sees it."
            reader.remove(key, what)
    return driver, options


def read() -> Settings:
    """The settings of the stack that is being deployed; `RunError` lists all that is wrong."""
    stack, chosen = pulumi.get_stack(), option("--config-file")
    # The working folder of a program is its project's.
    file = config_of(stack, Path.cwd(), Path(chosen) if chosen else None)
    return parse(CONFIG.get(), is_config_secret, stack, file)


@dataclass(frozen=True, kw_only=True)
class RemovalSettings:
    """All that a `pulumi destroy` asks of the settings."""

    engine_host: str | None
    engine_tls: Tls | None
    swarm_moved_from: str | None


def read_removal() -> RemovalSettings:
    """Return what a destroy needs; `RunError` when that is wrong, whatever the rest says."""
    reader = Reader(CONFIG.get(), is_config_secret, pulumi.get_stack())
    host, tls = _engine(reader)
    moved_from = reader.optional("swarmMovedFrom", rules.ID)
    if wrong := reader.report():
        raise pulumi.RunError(wrong)
    return RemovalSettings(engine_host=host, engine_tls=tls, swarm_moved_from=moved_from)
