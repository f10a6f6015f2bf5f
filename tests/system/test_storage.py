"""Where the images are: whatever is changed, they stay, or a deployment refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.bootstrap.console import wait
from testing.project import Project, changed
from testing.site import STARTED_S, SwarmUnderTest
from testing.store import BUCKET, DRIVER, Store
from testing.testswarm import Node

NAME = "kept"
LABEL = f"{NAME}.registry-data"
SERVICE = f"{NAME}_registry"
PROXY = f"{NAME}_proxy"
DOMAIN = "kept.example.com"
VOLUME = f"{NAME}_registry-data"


@pytest.fixture(scope="module", autouse=True)
def image(site: SwarmUnderTest, archive: Path) -> str:
    """Return the digest of an image that was pushed before anything is changed.

    The first deployment finds a label that somebody has set by hand, with a capital letter.
    """
    holder = site.swarm.nodes[1]
    site.update_node(holder.name, "--label-add", f"{LABEL}=True")
    site.project.init(
        NAME,
        {
            "registry:stackName": NAME,
            "registry:domain": DOMAIN,
            "registry:proxy": "stack",
            "registry:network": NAME,
        },
    )
    site.project.up(NAME)
    assert site.node_of(SERVICE).name == holder.name
    assert site.labels(holder)[LABEL] == "True"
    site.serves(NAME, DOMAIN, PROXY)
    return site.push(NAME, DOMAIN, "hello:1", archive)


@pytest.fixture
def store(site: SwarmUnderTest, tmp_path: Path) -> Iterator[Store]:
    store = Store(site.swarm, tmp_path)
    yield store
    store.end()


def pulled(site: SwarmUnderTest, image: str, tmp_path: Path) -> None:
    """Check that all bytes of the image come, by its digest."""
    site.serves(NAME, DOMAIN, PROXY)
    target = tmp_path / "pulled"
    shutil.rmtree(target, ignore_errors=True)
    creds = ("--src-creds", site.login(NAME))
    site.skopeo(DOMAIN, "copy", *creds, f"docker://{DOMAIN}/hello@{image}", f"dir:{target}")


def refused(project: Project, *args: str) -> str:
    """Return what an `up` without a preview prints when it refuses."""
    done = project.pulumi("up", "--yes", "--skip-preview", "--stack", NAME, *args)
    assert done.code != 0, done.text
    assert "Traceback" not in done.text
    return done.text


def volumes(site: SwarmUnderTest, node: Node) -> list[str]:
    return site.swarm.docker(node, "volume", "ls", "-q").split()


def set_all(project: Project, **values: str) -> None:
    for key, value in values.items():
        project.set(NAME, f"registry:{key}", value)


def unset_all(project: Project, *keys: str) -> None:
    for key in keys:
        project.unset(NAME, f"registry:{key}")


def quiet(site: SwarmUnderTest) -> None:
    site.project.ok("preview", "--expect-no-changes", "--stack", NAME)


def test_a_label_with_a_capital_letter_holds(
    site: SwarmUnderTest, image: str, tmp_path: Path
) -> None:
    quiet(site)
    pulled(site, image, tmp_path)


def test_the_node_is_one_that_the_constraints_admit(site: SwarmUnderTest) -> None:
    for number, node in enumerate(site.swarm.nodes):
        name = f"disk{number}"
        site.update_node(node.name, "--label-add", "disk=ssd")
        site.project.init(
            name,
            {
                "registry:stackName": name,
                "registry:domain": f"{name}.example.com",
                "registry:network": NAME,
            },
        )
        constraint = ("registry:constraints[0]", "node.labels.disk == ssd")
        site.project.set(name, *constraint, "--path")
        site.project.up(name)
        assert site.node_of(f"{name}_registry").name == node.name
        site.project.remove(name)
        site.update_node(node.name, "--label-rm", "disk")


@pytest.mark.parametrize("flags", ["--target=**login-htpasswd", "--exclude=**registry-data*"])
def test_a_partial_deployment_leaves_the_images_where_they_are(
    site: SwarmUnderTest, image: str, tmp_path: Path, flags: str
) -> None:
    (holder,) = (node for node in site.swarm.nodes if node.name == site.node_of(SERVICE).name)
    other = site.swarm.nodes[0]
    site.update_node(holder.name, "--label-rm", LABEL)
    set_all(site.project, passwordRotation=flags[2:8])
    site.project.up(NAME, flags)
    assert site.holders(LABEL) == [holder.name], "the label is back"
    site.update_node(holder.name, "--label-rm", LABEL)
    site.update_node(other.name, "--label-add", f"{LABEL}=true")
    assert f"The images are on node {holder.name}" in refused(site.project, flags)
    site.update_node(other.name, "--label-rm", LABEL)
    site.project.up(NAME)
    pulled(site, image, tmp_path)


def test_a_move_into_a_bucket_and_back_takes_consent(
    site: SwarmUnderTest, image: str, tmp_path: Path, store: Store
) -> None:
    project, holder = site.project, site.node_of(SERVICE)
    project.configure(NAME, store.settings, store.secrets)
    text = refused(project)
    assert f"The images are in volume {VOLUME} on node {holder.name}" in text
    assert f"pulumi config rm --stack {NAME} --path {DRIVER}" in text
    pulled(site, image, tmp_path)
    # As docs/storage-and-replicas.md has it: a copy of the files.
    data = holder.dir / "data/volumes" / VOLUME / "_data/docker"
    shutil.copytree(data, store.bucket / "docker")
    set_all(project, volumeMovedFrom=VOLUME)
    project.up(NAME)
    unset_all(project, "volumeMovedFrom")
    quiet(site)
    pulled(site, image, tmp_path)
    project.set(NAME, f"{DRIVER}.bucket", "imgaes", "--path")
    assert f"The images are in bucket {BUCKET} at {store.endpoint}" in refused(project)
    unset_all(project, "config", "storageCa")
    assert f"registry:volumeMovedFrom {BUCKET}" in refused(project)
    set_all(project, volumeMovedFrom=BUCKET)
    project.up(NAME)
    unset_all(project, "volumeMovedFrom")
    quiet(site)
    pulled(site, image, tmp_path)


def test_only_destroy_deletes_a_volume(site: SwarmUnderTest, image: str, tmp_path: Path) -> None:
    project, holder = site.project, site.node_of(SERVICE)
    set_all(project, destroyData="true")
    project.up(NAME)
    set_all(project, volumeName="other", volumeMovedFrom=VOLUME)
    project.up(NAME)
    assert {VOLUME, "other"} <= set(volumes(site, holder))
    set_all(project, volumeMovedFrom="other")
    unset_all(project, "volumeName")
    project.up(NAME)
    unset_all(project, "volumeMovedFrom", "destroyData")
    project.up(NAME)
    assert {VOLUME, "other"} <= set(volumes(site, holder))
    pulled(site, image, tmp_path)


def test_after_a_move_that_failed_the_way_back_is_one_command(
    site: SwarmUnderTest, image: str, tmp_path: Path
) -> None:
    project, holder = site.project, site.node_of(SERVICE)
    other = next(node for node in site.swarm.nodes if node.name != holder.name)
    set_all(project, volumeNode=other.name, volumeMovedFrom=holder.name, image="registry:none")
    text = refused(project)
    back = f"pulumi config set --stack {NAME} registry:volumeNode {holder.name}"
    assert f"still in volume {VOLUME} on node {holder.name}" in text
    assert back in text
    assert site.holders(LABEL) == [holder.name], "the label is back, before anybody does anything"
    project.ok(*back.split()[1:])
    unset_all(project, "image")
    project.up(NAME, "--refresh")
    quiet_with_consent = project.preview(NAME, "--expect-no-changes")
    assert quiet_with_consent.code == 0, quiet_with_consent.text
    unset_all(project, "volumeMovedFrom", "volumeNode")
    quiet(site)
    assert site.node_of(SERVICE).name == holder.name
    pulled(site, image, tmp_path)


def test_the_plan_is_the_same_from_every_manager(site: SwarmUnderTest) -> None:
    project = site.project
    host = project.environment["DOCKER_HOST"]
    for node in site.swarm.nodes:
        project.environment["DOCKER_HOST"] = node.host
        for flags in ((), ("--refresh",)):
            rest = changed(project.steps(NAME, *flags))
            # Each resource is read; and the engine's address is the provider's.
            ignored = ("refresh ", "update pulumi:providers:docker ")
            assert [each for each in rest if not each.startswith(ignored)] == [], node.name
    project.environment["DOCKER_HOST"] = host


def test_another_swarm_is_refused_before_the_state_knows_it(site: SwarmUnderTest) -> None:
    project = site.project
    exported = json.loads(project.ok("stack", "export", "--stack", NAME))
    resources = exported["deployment"]["resources"]
    (location,) = (each for each in resources if each["urn"].endswith("::registry-data-place"))
    cluster = location["inputs"]["input"]["cluster"]
    for part in (location["inputs"], location["outputs"]):
        part["input"]["cluster"] = "z" * 25
    project.ok("stack", "import", "--stack", NAME, stdin=json.dumps(exported))
    host = project.environment["DOCKER_HOST"]
    project.environment["DOCKER_HOST"] = site.swarm.nodes[2].host
    text = refused(project)
    project.environment["DOCKER_HOST"] = host
    assert f"Stack {NAME} is deployed to swarm {'z' * 25}" in text
    assert cluster in text
    assert site.swarm.nodes[2].host not in project.ok("stack", "export", "--stack", NAME)
    set_all(project, swarmMovedFrom="z" * 25)
    project.up(NAME)
    unset_all(project, "swarmMovedFrom")
    quiet(site)


def test_a_mirror_whose_node_is_down_holds_up_nothing(site: SwarmUnderTest) -> None:
    project, holder = site.project, site.node_of(SERVICE)
    busy = {holder.name, site.node_of(PROXY).name, site.swarm.nodes[0].name}
    away = next((node for node in site.swarm.nodes if node.name not in busy), None)
    away = away or next(node for node in site.swarm.nodes[1:] if node.name != holder.name)
    mirror = "registry:mirrors.hub"
    project.set(NAME, f"{mirror}.upstream", "http://198.18.0.1:9", "--path")
    project.set(NAME, f"{mirror}.domain", "hub.example.com", "--path")
    set_all(project, mirrorsNode=away.name)
    project.up(NAME)
    site.swarm.kill(away)
    try:
        state = ("node", "inspect", away.id, "--format", "{{.Status.State}}")
        wait(
            "the swarm to notice",
            lambda: site.swarm.docker(site.any_node(), *state) == "down",
            STARTED_S,
        )
        set_all(project, passwordRotation="later")
        output = project.up(NAME)
        assert f"The mirrored images are on node {away.name}" in output
        assert "which is down" in output
    finally:
        site.swarm.start(away)
    project.unset(NAME, mirror)
    unset_all(project, "mirrorsNode")
    project.up(NAME)


def test_a_lost_state_is_recovered_with_every_image(
    site: SwarmUnderTest, image: str, tmp_path: Path
) -> None:
    project, service = site.project, site.inspect("service", SERVICE)["ID"]
    shutil.rmtree(project.state)
    project.state.mkdir()
    project.ok("stack", "init", NAME)
    assert f"make recover STACK={NAME}" in refused(project)
    output = site.made("recover", f"STACK={NAME}", "CHECK=no")
    assert "new passwords: admin" in output
    assert site.inspect("service", SERVICE)["ID"] == service, "it was changed in place"
    quiet(site)
    pulled(site, image, tmp_path)
