"""Configurations of the registry, made at random."""

from __future__ import annotations

import json

from components.distribution.config import OWNED
from settings.registry_schema import SCHEMA_FILE

from .samples import Samples

SCHEMA = json.loads(SCHEMA_FILE.read_text())

# What can't start here, whatever its types: stores and a Redis elsewhere, and files and middlewares
# by names that only who writes them knows.
ELSEWHERE = {"storage.gcs", "storage.azure", "storage.s3", "middleware", "redis", "validation"}
ELSEWHERE |= {"http.host", "log.hooks"}
SAMPLES = Samples(left_out=ELSEWHERE | set(OWNED))
