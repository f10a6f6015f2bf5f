"""`make move` to another storage: which ways it takes, in which order, and what stays."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from components.distribution.config import CA_FILE, CONFIG_PATH, DATA_PATH
from components.run.takeover import Move
from components.swarm.location import object_store
from ops import checkpoint
from ops.bootstrap.console import UserError
from ops.move import storage_route, storages

from .shared_move_storage import FILES, LABEL, ON_DOG, VOLUME, DeployedStack
from .shared_settings import ISSUER

KEYS = {"accesskey": "AKIA", "secretkey": "hunter2-but-longer"}
OLD_S3 = {"bucket": "images", "region": "eu-central-1", "rootdirectory": "/old", **KEYS}
NEW_S3 = {"bucket": "others", "region": "eu-central-1", **KEYS}


def to_bucket(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> DeployedStack:
    config = {"storage": {"s3": NEW_S3 | changes}}
    return DeployedStack(monkeypatch, ON_DOG, FILES, config=config)


def out_of_bucket(monkeypatch: pytest.MonkeyPatch, **new: Any) -> DeployedStack:
    return DeployedStack(monkeypatch, object_store("s3", OLD_S3), {"s3": OLD_S3}, **new)


ORDER = ["move-source", "look", "copy", "move-source ends", "move-gate", "rest", "deploy", "end"]


def test_files_go_to_a_bucket_and_each_side_knows_its_own_storage_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = to_bucket(monkeypatch)
    storages.move(site.stack)
    assert site.steps == [*ORDER, "move-gate ends"]
    assert site.moves == [Move(moved_from=VOLUME, node=None)]
    shown = capsys.readouterr().err
    assert "pushes waited for 12 s" in shown
    assert f"type on dog:\n      docker volume rm {VOLUME}" in shown
    for name in ("move-source", "move-gate"):
        source = site.jobs[name]
        # A secret in use can't be removed, and the deployment replaces the registry's.
        assert not source.has_storage
        assert json.loads(source.secrets[CONFIG_PATH]) == {"storage": FILES}
        assert [each["Source"] for each in source.mounts] == [VOLUME]
        assert source.constraints is None
    for step in ("look", "copy", "rest", "end"):
        target = site.jobs[step]
        assert not target.has_storage
        assert json.loads(target.secrets[CONFIG_PATH])["storage"] == {"s3": NEW_S3}
        assert (target.mounts, target.constraints) == ([], [])
    assert KEYS["secretkey"] not in str([job.command for job in site.jobs.values()])


def test_a_bucket_goes_to_the_volume_of_a_node(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = out_of_bucket(monkeypatch, volumeNode="cat")
    storages.move(site.stack)
    assert site.steps == [*ORDER, "move-gate ends"]
    assert site.moves == [Move(moved_from="images", node="cat-id")]
    assert site.jobs["copy"].constraints == ["node.id == cat-id"]
    (mount,) = site.jobs["copy"].mounts
    assert (mount["Source"], mount["Target"]) == (VOLUME, DATA_PATH)
    assert json.loads(site.jobs["copy"].secrets[CONFIG_PATH])["storage"] == FILES
    assert "aws s3 rm --recursive s3://images/old/docker/registry/" in capsys.readouterr().err


def test_a_bucket_goes_to_another_one_with_its_ca_and_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text(ISSUER.chain)
    new = {"networks": ["minio"], "storageCa": str(tmp_path / "ca.pem")}
    site = out_of_bucket(monkeypatch, config={"storage": {"s3": NEW_S3}}, **new)
    storages.move(site.stack)
    target = site.jobs["copy"]
    assert target.networks == ["minio-id"]
    assert json.loads(target.secrets[CONFIG_PATH])["storage"] == {"s3": NEW_S3}
    assert target.secrets[CA_FILE] == ISSUER.chain
    assert CA_FILE not in site.jobs["move-source"].secrets
    # Of each storage its mark has another name.
    names = [site.jobs[name].command[-1] for name in ("move-source", "copy")]
    assert names == ["object store s3 images old", "object store s3 others"]


def test_the_same_storage_is_nothing_to_move(monkeypatch: pytest.MonkeyPatch) -> None:
    site = DeployedStack(monkeypatch, ON_DOG, FILES)
    with pytest.raises(UserError, match=r"are in volume .* on node dog, as the settings .* say"):
        storages.move(site.stack)
    assert site.steps == []


def test_another_node_alone_takes_the_other_command(monkeypatch: pytest.MonkeyPatch) -> None:
    site = DeployedStack(monkeypatch, ON_DOG, FILES, volumeNode="cat")
    with pytest.raises(UserError, match="make move NODE=cat STACK=prod"):
        storages.move(site.stack)


def test_another_volume_of_the_same_node_is_a_move(monkeypatch: pytest.MonkeyPatch) -> None:
    site = DeployedStack(monkeypatch, ON_DOG, FILES, volumeName="larger")
    storages.move(site.stack)
    assert site.moves == [Move(moved_from=VOLUME, node="dog-id")]
    assert [each["Source"] for each in site.jobs["copy"].mounts] == ["larger"]


def test_a_shared_volume_is_mounted_with_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    nfs = {"type": "nfs", "o": "addr=10.0.0.1", "device": ":/images"}
    site = out_of_bucket(monkeypatch, volumeOptions=nfs)
    storages.move(site.stack)
    (mount,) = site.jobs["copy"].mounts
    assert mount["VolumeOptions"]["DriverConfig"] == {"Name": "local", "Options": nfs}
    assert site.jobs["copy"].constraints == []
    assert "10.0.0.1" not in site.jobs["copy"].command


def test_the_label_of_an_earlier_volume_is_no_riddle(monkeypatch: pytest.MonkeyPatch) -> None:
    site = out_of_bucket(monkeypatch, volumeNode="cat")
    site.labels = {"dog": {LABEL: "true"}}
    with pytest.raises(UserError, match=f"docker node update --label-rm {LABEL} dog"):
        storages.move(site.stack)


def test_a_network_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    site = out_of_bucket(monkeypatch, config={"storage": {"s3": NEW_S3}}, networks=["gone"])
    with pytest.raises(UserError, match="registry:networks has 'gone'"):
        storages.move(site.stack)


@pytest.mark.parametrize("step", ["look", "copy", "rest"])
def test_a_step_that_fails_before_the_deployment_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    site = to_bucket(monkeypatch)
    site.fails = step
    with pytest.raises(UserError, match="the move stopped: no space left"):
        storages.move(site.stack)
    assert "deploy" not in site.steps
    assert site.steps[-1].endswith("ends")


def test_too_little_space_is_seen_before_anything_is_copied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = out_of_bucket(monkeypatch, volumeNode="cat")
    site.counts["free"] = 2**10
    with pytest.raises(UserError, match=r"1\.0 MiB are to be copied, and volume .* 1\.0 KiB"):
        storages.move(site.stack)
    assert site.steps == ["move-source", "look", "move-source ends"]


def test_a_deployment_that_fails_leaves_the_registry_where_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = to_bucket(monkeypatch)
    site.fails = "deploy"
    with pytest.raises(UserError, match="no"):
        storages.move(site.stack)
    assert site.steps[-2:] == ["deploy", "move-gate ends"]


def test_a_registry_that_has_gone_over_all_the_same_gets_what_came_late(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = to_bucket(monkeypatch)

    def deploy(move: Move) -> None:
        site.storage = {"s3": NEW_S3}
        raise UserError(f"another service failed, {move.moved_from}")

    site.stack.deploy_again = deploy
    with pytest.raises(UserError, match="another service failed"):
        storages.move(site.stack)
    assert "to end the move: make move STACK=prod" in capsys.readouterr().err
    assert site.steps[-2:] == ["end", "move-gate ends"]


def test_a_move_whose_registry_has_gone_over_copies_nothing_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = to_bucket(monkeypatch)
    # What was pushed since is in the bucket alone, and would count as of an older copy.
    site.storage = {"s3": NEW_S3}
    storages.move(site.stack)
    assert site.steps == ["deploy"]
    assert site.moves == [Move(moved_from=VOLUME, node=None)]


def test_without_the_configuration_that_is_deployed_nothing_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = to_bucket(monkeypatch)
    monkeypatch.setattr(checkpoint, "secret_texts", lambda *_: {})
    with pytest.raises(UserError, match="hasn't the registry's configuration"):
        storages.move(site.stack)
    assert site.steps == []


def test_a_stack_that_is_not_deployed_has_nothing_to_move(monkeypatch: pytest.MonkeyPatch) -> None:
    site = to_bucket(monkeypatch)
    monkeypatch.setattr(site, "noted", lambda _: {})
    with pytest.raises(UserError, match="make deploy STACK=prod"):
        storage_route.find_storage_route(site.stack)


def test_texts_of_secrets_come_from_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    def resource(id_: str, type_: str, data: Any) -> Mapping[str, Any]:
        return {"id": id_, "type": type_, "urn": id_, "outputs": {"data": data}}

    hidden = {"plaintext": json.dumps(base64.b64encode(b"a text").decode())}
    resources = [
        resource("1", "docker:index/secret:Secret", hidden),
        resource("2", "docker:index/secret:Secret", hidden),
        resource("1", "docker:index/network:Network", None),
    ]
    state = json.dumps({"deployment": {"resources": resources}})
    monkeypatch.setattr(checkpoint, "run", lambda _: state)
    assert checkpoint.secret_texts("prod", ["1", "3"]) == {"1": "a text"}
