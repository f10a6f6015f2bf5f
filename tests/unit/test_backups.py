"""`make backup`, `make restore`, `make clone`: what they ask of their job, and its log in words."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components import BackupLocation, BackupOptions
from ops import backups
from ops.backups import Report
from ops.bootstrap.console import UserError
from ops.job import Job

STORE = BackupLocation(storage={"s3": {"bucket": "b", "secretkey": "of-the-test"}})
FILE = """\
encryptionsalt: v1:salt
config:
  registry:domain: images.example.com
  registry:passwords:
    ci:
      secure: v1:text
"""


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Return the jobs that are run, all of which end well."""
    run: list[Job] = []

    def run_job(_: object, job: Job, __: object) -> int:
        run.append(job)
        return 0

    monkeypatch.setattr(backups, "run_job", run_job)
    return run


def stack(folder: Path, **changes: Any) -> Any:
    """Return a stack that is deployed, whose images are on a node."""
    file = folder / "Pulumi.prod.yaml"
    file.write_text(FILE)
    settings = {
        "backup": None,
        "has_node_volume": True,
        "volumes": SimpleNamespace(names=frozenset({"images_registry-data"})),
        "registry": SimpleNamespace(config={}, ca="of the store"),
        "routing": SimpleNamespace(domain="images.example.com"),
    }
    return SimpleNamespace(
        name="prod", file=file, settings=SimpleNamespace(**settings | changes), outputs={}
    )


def test_a_folder_is_mounted_and_secrets_stay_here(jobs: list[Job], tmp_path: Path) -> None:
    backups.back_up(stack(tmp_path), "/srv/backup")
    (job,) = jobs
    assert " ".join(job.command) == (
        "/bin/registry-backup run /var/lib/registry-backup --name images.example.com"
        " --attach stack.yaml=/etc/registry-backup/stack.yaml"
    )
    mount = {"Type": "bind", "Source": "/srv/backup", "Target": "/var/lib/registry-backup"}
    assert job.mounts == [mount]
    (attached,) = job.files.values()
    assert "domain: images.example.com" in attached
    assert "ci" in attached
    assert not {word for word in ("v1:", "salt") if word in attached}


def test_encrypted_secrets_go_along_when_they_are_given(jobs: list[Job], tmp_path: Path) -> None:
    backups.back_up(stack(tmp_path), "/srv/backup", "encrypted")
    (job,) = jobs
    assert "--attach secrets.json=/etc/registry-backup/secrets.json" in " ".join(job.command)
    assert job.files["/etc/registry-backup/secrets.json"] == "encrypted"


def test_keys_of_a_store_are_a_secret(jobs: list[Job], tmp_path: Path) -> None:
    options = BackupOptions(name="images.example.com", location=STORE, keep=3)
    backups.back_up(stack(tmp_path, backup=options), None)
    (job,) = jobs
    assert job.command[:3] == ["/bin/registry-backup", "run", "/etc/registry-backup/storage.yml"]
    assert "--keep 3" in " ".join(job.command)
    ((path, text),) = job.secrets.items()
    assert path == job.command[2]
    assert json.loads(text) == {"version": "0.1", "storage": STORE.storage}
    assert "of-the-test" not in repr(job) + " ".join([*job.command, *job.files.values()])
    assert not job.mounts


def test_others_read_and_restore(
    jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prod = stack(tmp_path)
    backups.verify(prod, "volume:copies")
    backups.show(prod, "volume:copies")
    backups.restore(prod, "volume:copies", "20261126T030000Z", overwrites=False)
    monkeypatch.setenv("YES", "1")
    backups.restore(prod, "volume:copies", None, overwrites=True)
    assert [" ".join([job.command[1], *job.command[3:]]) for job in jobs] == [
        "verify",
        "list",
        "restore --generation 20261126T030000Z",
        "restore --overwrite",
    ]
    assert {job.mounts[0]["Type"] for job in jobs} == {"volume"}


def test_tags_are_overwritten_only_after_a_yes(
    jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("YES", raising=False)
    with pytest.raises(UserError, match="YES=1"):
        backups.restore(stack(tmp_path), "volume:copies", None, overwrites=True)
    assert not jobs


def test_a_clone_is_a_backup_of_one_and_a_restore_into_the_other(
    jobs: list[Job], tmp_path: Path
) -> None:
    options = BackupOptions(name="images.example.com", location=STORE)
    backups.clone(stack(tmp_path, backup=options), stack(tmp_path))
    assert [job.command[1] for job in jobs] == ["run", "restore"]
    ca = {"/etc/distribution/authorities/of-backups.pem": "of the store"}
    assert jobs[1].secrets == {**jobs[0].secrets, **ca}


def test_what_stands_against_a_clone_comes_before_its_backup(
    jobs: list[Job], tmp_path: Path
) -> None:
    class Undeployed:
        name = "stag"
        settings = stack(tmp_path).settings

        @property
        def outputs(self) -> Any:
            raise UserError("stack stag isn't deployed")

    undeployed: Any = Undeployed()
    here = BackupOptions(name="images.example.com", location=BackupLocation(source="/srv/backup"))
    source = stack(tmp_path, backup=here)
    with pytest.raises(UserError, match="stag isn't deployed"):
        backups.clone(source, undeployed)
    with pytest.raises(UserError, match=r"registry:backup.to of prod, .* the images are on none"):
        backups.clone(source, stack(tmp_path, has_node_volume=False))
    assert not jobs


@pytest.mark.parametrize(
    ("to", "changes", "expected"),
    [
        (None, {}, r"where\? TO=s3://bucket/prefix"),
        ("backups", {}, "TO=backups: it must be s3://bucket/prefix"),
        ("/srv/backup", {"has_node_volume": False}, "is on one node"),
        ("s3://backups", {}, r"which region\?"),
        ("volume:images_registry-data", {}, "a volume that the stack itself keeps data in"),
    ],
)
def test_a_location_that_is_none_is_refused(
    jobs: list[Job], tmp_path: Path, to: str | None, changes: dict[str, Any], expected: str
) -> None:
    with pytest.raises(UserError, match=expected):
        backups.verify(stack(tmp_path, **changes), to)
    assert not jobs


def test_a_job_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_: object, __: object, show: Any) -> int:
        show(json.dumps({"time": "t", "level": "ERROR", "msg": "the disk is full"}))
        return 1

    monkeypatch.setattr(backups, "run_job", run)
    with pytest.raises(UserError, match="the disk is full"):
        backups.verify(stack(tmp_path), "volume:copies")


RUN = {
    **{"ended": "2026-11-26T03:00:05Z", "error": "", "interrupted": False},
    **{"generation": "20261126T030000Z", "new": True, "tags": 500, "blobs": 1550},
    **{"bytes": 3 * 2**20, "blobs_copied": 3, "bytes_copied": 2048, "broken": 0},
}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            {"msg": "done", "run": RUN},
            "generation 20261126T030000Z: 3 blobs copied (2.0 KiB); 500 tags, 3.0 MiB in all",
        ),
        (
            {"msg": "done", "run": RUN | {"new": False}},
            "nothing is new since generation 20261126T030000Z: 500 tags, 3.0 MiB in all",
        ),
        (
            {"msg": "the last run", "last_run": RUN},
            "the last run ended 2026-11-26T03:00:05Z, well",
        ),
        (
            {"msg": "done", "generations": 2, "blobs": 7, "bytes": 5, "broken": 1},
            "read 7 blobs (5 B) of 2 generations: 1 broken",
        ),
        (
            {
                **{"msg": "done", "generation": "G", "tags_restored": 2, "tags_kept": 1},
                **{"blobs_copied": 4, "bytes_copied": 5},
            },
            "restored from G: 2 tags, 4 blobs (5 B); 1 tags stay as they are",
        ),
        (
            {"msg": "kept", "repository": "app", "tag": "v1", "digest": "a", "backup": "b"},
            "app:v1 stays at a; in the backup it is b",
        ),
        (
            {
                **{"level": "ERROR", "msg": "broken", "digest": "sha256:a", "reason": "missing"},
                **{"file": "/blobs/a", "breaks": [f"app:{number}" for number in range(12)]},
            },
            "broken: sha256:a (/blobs/a): missing; breaks app:0, app:1, app:2, app:3, app:4,"
            " app:5, app:6, app:7, app:8, app:9 and 2 more",
        ),
        (
            {
                **{"msg": "generation", "name": "G", "until": "U", "tags": 2, "repositories": 1},
                **{"bytes": 5, "files": ["secrets.json", "stack.yaml"]},
            },
            "G (until U): 2 tags of 1 repositories, 5 B, with secrets",
        ),
        ({"msg": "waiting", "for": "a clean-up"}, "waiting: for a clean-up"),
        ({"msg": "copying", "blobs": 1, "of": 2, "bytes": 3}, "copying: 1 of 2 blobs, 3 B"),
    ],
)
def test_a_log_is_shown_in_words(line: dict[str, Any], expected: str) -> None:
    shown: list[str] = []
    Report(shown.append).take(json.dumps({"time": "t", "level": "INFO", **line}))
    assert shown == [expected]


def test_what_is_no_json_is_shown_as_it_is() -> None:
    shown: list[str] = []
    Report(shown.append).take("panic: out of memory")
    assert shown == ["panic: out of memory"]
