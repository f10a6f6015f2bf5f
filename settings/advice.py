"""Which settings help against a task that can't run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from components.swarm.service import service_name
from components.swarm.task_failure import Cause, TaskFailure
from settings.stack import IMAGE_KEYS, Settings


def advice(settings: Settings, stack: str) -> Callable[[TaskFailure], str]:
    """Return a function that says what to type for a failure: nothing where no setting helps."""

    def change(sentence: str, keys: Sequence[str], value: str, flag: str = "") -> str:
        command = f"pulumi config set --stack {stack}{flag}"
        return "\n".join([f"  {sentence}", *(f"      {command} {key} {value}" for key in keys)])

    registry = settings.registry

    def advise(failure: TaskFailure) -> str:
        match failure.cause:
            case Cause.PORT:
                keys = [key for port, key in _ports(settings).items() if port in failure.ports]
                return change("Free the port, or take another:", keys, "PORT") if keys else ""
            case Cause.IMAGE if key := _image_key(settings, failure):
                return change("Where its name is wrong:", [key], "IMAGE:TAG")
            case Cause.MEMORY:
                limits = _memory_limits(settings)
                key, mib = limits.get(failure.service, ("registry:memory", registry.memory_mib))
                return change("To double the limit:", [key], f"{2 * mib}MiB") if key else ""
            case Cause.PLACEMENT if registry.constraints:
                return (
                    f"  The constraints that the settings add: {', '.join(registry.constraints)}."
                    f" To take them away:\n      pulumi config rm --stack {stack}"
                    " registry:constraints"
                )
            case Cause.MOUNT if settings.volumes.options:
                key = f"registry:volumeOptions.{next(iter(settings.volumes.options))}"
                return change("Where the volume's options are wrong:", [key], "VALUE", " --path")
        return ""

    return advise


def _ports(settings: Settings) -> Mapping[int, str]:
    """Return the keys by published port."""
    proxy = settings.proxy
    if proxy is None:
        return {}
    ports = {proxy.http_port: "registry:proxyHttpPort", proxy.https_port: "registry:proxyHttpsPort"}
    if proxy.dashboard_port:
        ports[proxy.dashboard_port] = "registry:proxyDashboardPort"
    return ports


def _image_key(settings: Settings, failure: TaskFailure) -> str | None:
    """Return the key that names the image which isn't there."""
    images = {image: IMAGE_KEYS.get(service, "image") for service, image in settings.images.items()}
    # Either may be without its digest.
    name = failure.image.partition("@")[0]
    keys = [key for image, key in images.items() if image.partition("@")[0] == name]
    return f"registry:{keys[0]}" if keys else None


def _memory_limits(settings: Settings) -> Mapping[str, tuple[str, int]]:
    """Return key and limit by service, of all but registry and mirrors; without key it is fixed."""
    limits = {"socket_proxy": ("", 0), "token": ("", 0)}
    if settings.redis:
        limits["redis"] = ("registry:redisMemory", settings.redis.memory_mib)
    if settings.proxy:
        limits["proxy"] = ("registry:proxyMemory", settings.proxy.memory_mib)
    if settings.gc:
        limits["gc"] = ("--path registry:gc.memory", settings.gc.memory_mib)
    if settings.backup:
        limits["backup"] = ("--path registry:backup.memory", settings.backup.memory_mib)
    return {service_name(settings.stack.name, name): limits[name] for name in limits}
