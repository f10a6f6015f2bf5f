"""`registry:backup`, `make backup` and `make clone` on a swarm: under load, and when broken."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.version import TOOLS_IMAGE
from testing.archive import archive_of
from testing.load import Load
from testing.site import SwarmUnderTest
from testing.store import BUCKET, REGION, Store

LIVE, SPARE = "live", "spare"
PORTS = {LIVE: 8088, SPARE: 8089}
PULLED_S = 120
"""Time limit for the pull of an image, on a busy machine, seconds."""


def host(stack: str) -> str:
    return f"{stack}.example.com:{PORTS[stack]}"


@pytest.fixture(scope="module")
def store(site: SwarmUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(site.swarm, tmp_path_factory.mktemp("store"))
    yield store
    store.end()


def deploy(site: SwarmUnderTest, stack: str, store: Store | None = None) -> None:
    """Deploy a registry of files, with backups in the store if there is one."""
    domain = f"{stack}.example.com"
    values = {"stackName": stack, "domain": domain, "proxy": "stack", "network": stack}
    values |= {"proxyHttpPort": str(PORTS[stack]), "toolsImage": TOOLS_IMAGE}
    site.project.init(stack, {f"registry:{key}": value for key, value in values.items()})
    if store:
        backup = "registry:backup"
        settings = {
            "registry:storageCa": str(store.root_file),
            f"{backup}.to": f"s3://{BUCKET}/copies",
            f"{backup}.schedule": "0 3 * * *",
            f"{backup}.s3.region": REGION,
            f"{backup}.s3.regionendpoint": store.endpoint,
            f"{backup}.s3.forcepathstyle": "true",
        }
        secrets = {
            f"{backup}.s3.accesskey": store.access_key,
            f"{backup}.s3.secretkey": store.secret_key,
        }
        site.project.configure(stack, settings, secrets)
    site.project.up(stack)
    site.serves(stack, domain, f"{stack}_proxy")
    site.resolve(host(stack), f"{stack}_proxy")


def pulls(site: SwarmUnderTest, stack: str, image: str, folder: Path) -> bool:
    """Return whether an image can be pulled, with all its layers."""
    done = site.swarm.exec(
        site.node_of(f"{stack}_proxy"),
        *("skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", "--src-creds"),
        *(site.login(stack), f"docker://{host(stack)}/{image}", f"dir:{folder}"),
        check=False,
        timeout=PULLED_S,
    )
    return done.returncode == 0


def image(folder: Path, content: str) -> Path:
    """Return an image with one file, as `docker save` writes it."""
    below = folder / content
    below.mkdir()
    with tarfile.open(below / "layer.tar", "w") as tar:
        entry = tarfile.TarInfo("file")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content.encode()))
    return archive_of(below / "layer.tar", f"{content}:1")


def test_what_was_pushed_before_a_backup_is_in_another_registry_after_a_clone(
    site: SwarmUnderTest, store: Store, archive: Path, tmp_path: Path
) -> None:
    deploy(site, LIVE, store)
    site.project.ok("preview", "--expect-no-changes", "--stack", LIVE)
    pushed = {
        name: site.push(LIVE, host(LIVE), f"{name}:1", image(tmp_path, name))
        for name in ("one", "two", "three")
    }
    with Load(site, LIVE, host(LIVE), f"{LIVE}_proxy", archive, tmp_path, pulled="one:1") as load:
        made = site.made("backup", f"STACK={LIVE}")
    assert "blobs copied" in made
    assert load.failed == []

    site.made("backup", f"STACK={LIVE}")
    listed = site.made("backup", f"STACK={LIVE}", "LIST=1")
    assert "the last run ended" in listed
    assert listed.count(" repositories, ") in (1, 2)

    digest = pushed["two"].partition(":")[2]
    blob = store.bucket / "copies/blobs/sha256" / digest[:2] / digest
    content = blob.read_bytes()
    blob.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    read = site.make("backup", f"STACK={LIVE}", "VERIFY=1")
    assert read.code == 2
    assert f"broken: sha256:{digest}" in read.text
    assert "breaks two:1" in read.text
    blob.write_bytes(content)

    deploy(site, SPARE)
    cloned = site.made("clone", f"FROM={LIVE}", f"TO={SPARE}")
    assert "nothing is new" in cloned
    assert "restored from" in cloned
    for name, each in pushed.items():
        assert pulls(site, SPARE, f"{name}@{each}", tmp_path / "pulled")
        assert pulls(site, SPARE, f"{name}:1", tmp_path / "pulled")
    for stack in (LIVE, SPARE):
        site.project.ok("preview", "--expect-no-changes", "--stack", stack)
