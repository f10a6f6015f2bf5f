"""`registry:backup`, `make backup`, `make restore` and `make clone` on swarms: a backup is made
under load, read when it is broken, and brings the registry back where nothing else is left of it.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.distribution.config import REGISTRY_IMAGE
from components.proxy import ProxyOptions
from components.version import TOOLS_IMAGE
from ops.bootstrap import images
from ops.bootstrap.console import wait
from testing.archive import archive_of
from testing.load import Load
from testing.process_list import ProcessList
from testing.project import ROOT, Project
from testing.site import SwarmUnderTest
from testing.store import BUCKET, REGION, Store
from testing.testswarm import TestSwarm

LIVE, SPARE = "live", "spare"
PORTS = {LIVE: 8088, SPARE: 8089}
GIVEN = "a-given-Passw0rd-of-this-test"
PASSPHRASE = "six words that this test has"
PULLED_S = 120
"""Time limit for the pull of an image, on a busy machine, seconds."""
STANDS_S = 500
"""Time limit for all commands that a new swarm takes, on a busy machine, seconds."""
NEEDED = (REGISTRY_IMAGE, ProxyOptions().image, TOOLS_IMAGE)


def host(stack: str) -> str:
    return f"{stack}.example.com:{PORTS[stack]}"


@pytest.fixture(scope="module")
def store(site: SwarmUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(site.swarm, tmp_path_factory.mktemp("store"))
    yield store
    store.end()


@pytest.fixture(scope="module")
def passphrase(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return what names a file with the passphrase, for `make`."""
    file = tmp_path_factory.mktemp("passphrase") / "file"
    file.write_text(f"{PASSPHRASE}\n")
    return f"PASSPHRASE_FILE={file}"


def deploy(site: SwarmUnderTest, stack: str, store: Store | None = None) -> None:
    """Deploy a registry of files, with backups in the store if there is one."""
    domain = f"{stack}.example.com"
    values = {"stackName": stack, "domain": domain, "proxy": "stack", "network": stack}
    values |= {"proxyHttpPort": str(PORTS[stack]), "toolsImage": TOOLS_IMAGE}
    site.project.init(stack, {f"registry:{key}": value for key, value in values.items()})
    if store:
        backup = "registry:backup"
        settings = {
            "registry:users[0]": "admin",
            "registry:users[1]": "ci",
            "registry:storageCa": str(store.root_file),
            f"{backup}.to": f"s3://{BUCKET}/copies",
            f"{backup}.schedule": "0 3 * * *",
            f"{backup}.s3.region": REGION,
            f"{backup}.s3.regionendpoint": store.endpoint,
            f"{backup}.s3.forcepathstyle": "true",
        }
        secrets = {
            "registry:passwords.ci": GIVEN,
            f"{backup}.s3.accesskey": store.access_key,
            f"{backup}.s3.secretkey": store.secret_key,
        }
        site.project.configure(stack, settings, secrets)
    site.project.up(stack)
    site.serves(stack, domain, f"{stack}_proxy")
    site.resolve(host(stack), f"{stack}_proxy")


def pulled(site: SwarmUnderTest, stack: str, image: str, login: str, folder: Path) -> str:
    """Return the digest of an image that was pulled with all its layers; empty if that fails."""
    done = site.swarm.exec(
        site.node_of(f"{stack}_proxy"),
        *("skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", "--src-creds"),
        *(login, f"docker://{host(stack)}/{image}", f"dir:{folder}"),
        check=False,
        timeout=PULLED_S,
    )
    if done.returncode != 0:
        return ""
    return f"sha256:{hashlib.sha256((folder / 'manifest.json').read_bytes()).hexdigest()}"


def image(folder: Path, content: str) -> Path:
    """Return an image with one file, as `docker save` writes it."""
    below = folder / content
    below.mkdir()
    with tarfile.open(below / "layer.tar", "w") as tar:
        entry = tarfile.TarInfo("file")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content.encode()))
    return archive_of(below / "layer.tar", f"{content}:1")


@dataclass(frozen=True, kw_only=True)
class Backup:
    """A backup that was made while clients pushed and pulled."""

    acknowledged: Mapping[str, str]
    """Digests by name and tag of all that was pushed before it began."""
    printed: str
    """All that a person, or a process list, could see meanwhile."""


@pytest.fixture(scope="module")
def backup(
    site: SwarmUnderTest,
    store: Store,
    archive: Path,
    passphrase: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Backup:
    """Deploy a registry, and back it up with its secrets."""
    folder = tmp_path_factory.mktemp("images")
    deploy(site, LIVE, store)
    site.project.ok("preview", "--expect-no-changes", "--stack", LIVE)
    names = {f"{name}:1" for name in ("one", "two", "three")}
    for name in names:
        site.push(LIVE, host(LIVE), name, image(folder, name.partition(":")[0]))
    with Load(site, LIVE, host(LIVE), f"{LIVE}_proxy", archive, folder, pulled="one:1") as load:
        wait("some pushes", lambda: len(load.pushed) > 4, PULLED_S)
        names |= set(load.pushed)
        with ProcessList(("cmdline", "environ")) as processes:
            made = site.made("backup", f"STACK={LIVE}", "SECRETS=1", passphrase)
    assert "blobs copied" in made
    assert load.failed == []
    assert any("pulumi" in line for line in processes.seen)
    digests = {name: site.digest(LIVE, host(LIVE), name) for name in names}
    return Backup(acknowledged=digests, printed="\n".join([made, *processes.seen]))


def test_a_broken_backup_is_named_and_a_clone_has_all_images(
    site: SwarmUnderTest, store: Store, backup: Backup, tmp_path: Path
) -> None:
    site.made("backup", f"STACK={LIVE}")
    listed = site.made("backup", f"STACK={LIVE}", "LIST=1")
    assert "the last run ended" in listed
    assert listed.count(" repositories, ") == listed.count(", with secrets") in (1, 2)

    digest = backup.acknowledged["two:1"].partition(":")[2]
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
    for name in ("one:1", "two:1", "three:1"):
        there = pulled(site, SPARE, name, site.login(SPARE), tmp_path / "pulled")
        assert there == backup.acknowledged[name]
    for stack in (LIVE, SPARE):
        site.project.ok("preview", "--expect-no-changes", "--stack", stack)


def seed_of(site: SwarmUnderTest) -> str:
    """Return the seed of the generated passwords."""
    state = json.loads(site.project.ok("stack", "export", "--show-secrets", "--stack", LIVE))
    (seed,) = [
        str(json.loads(each["outputs"]["base64"]["plaintext"]))
        for each in state["deployment"]["resources"]
        if each["urn"].endswith("::login-seed")
    ]
    return seed


def test_secrets_are_nowhere_in_plain_text(
    site: SwarmUnderTest, store: Store, backup: Backup
) -> None:
    secrets = {"passphrase": PASSPHRASE, "seed": seed_of(site), "given password": GIVEN}
    assert [name for name, text in secrets.items() if text in backup.printed] == []
    # Nobody but the registry's clients, which are part of this test, showed that one.
    secrets |= {"generated password": site.project.outputs(LIVE)["password"]}
    secrets |= {"key of the store": store.secret_key}
    files = [file.read_bytes() for file in store.bucket.rglob("*") if file.is_file()]
    assert any(b"registry-encrypted/1" in file for file in files)
    kept = b"\n".join(files)
    assert [name for name, text in secrets.items() if text.encode() in kept] == []


@pytest.fixture
def other(tmp_path: Path) -> Iterator[SwarmUnderTest]:
    """Return another swarm, and a checkout that has never seen the first one."""
    tarballs = images.tarballs()
    with TestSwarm(nodes=1, images=[tarballs[name] for name in NEEDED]) as swarm:
        project = Project(tmp_path / "registry", swarm.nodes[0].host)
        project.environment["PULUMI_CONFIG_PASSPHRASE"] = "another one"
        yield SwarmUnderTest(swarm, project)


def documented(folder: Path) -> str:
    """Return the documentation's commands for a new swarm, for a backup in `folder`."""
    blocks = re.findall(r"^```bash\n(.*?)^```$", (ROOT / "docs/backup.md").read_text(), re.M | re.S)
    (commands,) = [block for block in blocks if "SECRETS=secrets.json" in block]
    return re.sub(r"\bprod\b", LIVE, commands).replace("/srv/backup", str(folder))


def test_a_backup_alone_brings_images_and_logins_back_on_another_swarm(
    site: SwarmUnderTest,
    store: Store,
    backup: Backup,
    passphrase: str,
    other: SwarmUnderTest,
    tmp_path: Path,
) -> None:
    admin = site.login(LIVE)
    (node,) = other.swarm.nodes
    other.swarm.add_host(f"{LIVE}.example.com", node.ip)
    # The store is the only thing that both can reach.
    store.end()
    store.begin(other.swarm)

    def type_(commands: str) -> str:
        done = other.swarm.exec(
            node,
            *("bash", "-ec", f"exec 2>&1; cd {other.project.folder}; {commands}"),
            check=False,
            timeout=STANDS_S,
            env=other.project.environment,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    # What the program is given by Pulumi then is no concern of this test.
    before, deploy_, after = documented(store.bucket / "copies").partition("make deploy")
    with ProcessList(("cmdline", "environ")) as processes:
        printed = type_(f"export {passphrase}; {before}")
    shown = "\n".join([printed, *processes.seen])
    secrets = [PASSPHRASE, GIVEN, seed_of(site)]
    assert [text for text in secrets if text in shown] == []
    assert "registry:passwordSeeds.login: set" in printed
    restored = type_(f"{deploy_}{after}")
    assert "restored from" in restored
    other.resolve(host(LIVE), f"{LIVE}_proxy")
    assert other.login(LIVE) == admin
    for name, digest in backup.acknowledged.items():
        assert pulled(other, LIVE, name, admin, tmp_path / "pulled") == digest
    assert pulled(other, LIVE, "one:1", f"ci:{GIVEN}", tmp_path / "pulled")
    assert not pulled(other, LIVE, "one:1", "ci:wrong", tmp_path / "pulled")
    other.project.ok("preview", "--expect-no-changes", "--stack", LIVE)
    secrets += [store.secret_key, admin.partition(":")[2]]
    kept = other.project.state_text() + (other.project.folder / f"Pulumi.{LIVE}.yaml").read_text()
    assert [text for text in secrets if text in kept] == []
