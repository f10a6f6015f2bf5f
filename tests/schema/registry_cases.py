"""Configurations of the registry, made at random."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from components.distribution.config import OWNED
from settings.registry_schema import SCHEMA_FILE

from .samples import Samples

SCHEMA = json.loads(SCHEMA_FILE.read_text())

# What can't start here, whatever its types: stores and a Redis elsewhere, and files and middlewares
# by names that only who writes them knows.
ELSEWHERE = {"storage.gcs", "storage.azure", "storage.s3", "middleware", "redis", "validation"}
ELSEWHERE |= {"http.host", "log.hooks"}
SAMPLES = Samples(left_out=ELSEWHERE | set(OWNED))
# Keys have to be encrypted; this driver asks its store nothing before a client comes.
_WITH_S3 = Samples(
    left_out={f"s3.{key}" for key in ("accesskey", "secretkey", "sessiontoken")},
    texts={
        "region": ["eu-central-1", "us-east-1", "us-gov-west-1", "garage"],
        "regionendpoint": ["https://store.example.com", "http://store:9000"],
    },
)


def whole() -> st.SearchStrategy[Any]:
    """Return configurations with anything that starts here."""
    return SAMPLES.maps(SCHEMA)


def with_s3() -> st.SearchStrategy[Any]:
    """Return configurations that keep images in S3, and what that driver needs above all."""
    driver = SCHEMA["properties"]["storage"]["properties"]["s3"]
    needed = {"bucket": "images", "region": "eu-central-1"}
    return _WITH_S3.maps(driver, "s3").map(lambda some: {"storage": {"s3": needed | some}})
