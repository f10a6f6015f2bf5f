"""`registry:cache`, and the Redis that it may bring."""

from __future__ import annotations

from components.redis import RedisOptions
from settings import rules
from settings.kinds import Choice, Mebibytes
from settings.reader import Reader

DEFAULTS = RedisOptions()


def parse_redis(reader: Reader) -> RedisOptions | None:
    """Return the Redis that all replicas share; None where each task remembers by itself."""
    options = RedisOptions(
        image=reader.get("redisImage", rules.IMAGE, DEFAULTS.image),
        memory_mib=reader.get("redisMemory", Mebibytes(32), DEFAULTS.memory_mib),
    )
    cache = reader.get("cache", Choice(("memory", "redis")), "memory")
    return options if cache == "redis" else None
