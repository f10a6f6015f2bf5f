"""Three environments behind one Traefik; the third made by one command, while the others run."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import yaml

from testing.acme_server import AcmeServer, served
from testing.project import changed
from testing.site import SwarmUnderTest

PROXY = "registry-com_proxy"
DOMAINS = {
    "prod": "registry.tmd.fakhred.in",
    "stag": "stag.registry.tmd.fakhred.in",
    "preprod": "preprod.registry.tmd.fakhred.in",
}
NEW = ("env", "NAME=preprod", "FROM=stag", f"DOMAIN={DOMAINS['preprod']}")
GIVEN = "a-given-Passw0rd-of-staging"


@pytest.fixture(scope="module", autouse=True)
def _deployed(site: SwarmUnderTest, hub: None, acme_server: AcmeServer) -> None:
    """Deploy production with its Traefik, and staging, which has a password that was given."""
    assert hub is None  # It only has to be there.
    site.trust(acme_server.root_file)
    first = site.swarm.nodes[0]
    for domain in DOMAINS.values():
        site.swarm.add_host(domain, first.ip)
    # What all environments share stands once, and those without a proxy pass it by.
    shared = {"Server": acme_server.directory, "Ca": acme_server.transport_root}
    project = site.project.folder / "Pulumi.yaml"
    content = yaml.safe_load(project.read_text())
    content["config"] = {f"registry:acme{key}": {"value": value} for key, value in shared.items()}
    project.write_text(yaml.safe_dump(content))
    site.project.init("prod", {"registry:certificatesNode": first.name})
    site.project.init("stag", {"registry:volumeNode": site.swarm.nodes[1].name})
    site.project.set("stag", "registry:passwords.admin", GIVEN, "--path", "--secret")
    for stack in ("prod", "stag"):
        site.made("deploy", f"STACK={stack}")


@pytest.fixture(scope="module")
def preprod(site: SwarmUnderTest, archive: Path) -> float:
    """Return the seconds from nothing to a pushed image."""
    begin = time.monotonic()
    before = files(site)
    site.made(*NEW)
    after = files(site)
    assert after.keys() - before.keys() == {"Pulumi.preprod.yaml"}
    assert {name: after[name] for name in before} == before, "what was there is as it was"
    site.made("deploy", "STACK=preprod")
    site.resolve(DOMAINS["preprod"], PROXY)
    site.push("preprod", DOMAINS["preprod"], "hello:1", archive)
    return time.monotonic() - begin


def files(site: SwarmUnderTest) -> dict[str, str]:
    """Return the settings by file."""
    return {path.name: path.read_text() for path in site.project.folder.glob("Pulumi*.yaml")}


def settings_of(site: SwarmUnderTest, stack: str) -> dict[str, object]:
    file = site.project.folder / f"Pulumi.{stack}.yaml"
    return dict(yaml.safe_load(file.read_text())["config"])


def test_one_command_makes_the_settings_of_a_new_environment(
    site: SwarmUnderTest, preprod: float
) -> None:
    print(f"preprod, from nothing to a pushed image: {preprod:.1f} s")
    old, new = settings_of(site, "stag"), settings_of(site, "preprod")
    assert new["registry:stackName"] == "preprod-registry-com"
    assert new["registry:traefikTag"] == "preprod.registry.com"
    assert new["registry:domain"] == DOMAINS["preprod"]
    assert "registry:volumeNode" not in new, "where staging's images are is staging's alone"
    same = {"registry:proxy", "registry:networkLabel"}
    assert {key: new[key] for key in same} == {key: old[key] for key in same}
    file = (site.project.folder / "Pulumi.preprod.yaml").read_text()
    assert GIVEN not in file
    assert "registry:passwords" in old
    assert "registry:passwords" not in new, "who has staging's password gets into staging alone"
    assert "# That Traefik is production's, a recent one." in file, "comments come along"


def test_secrets_are_encrypted_anew_and_the_store_has_a_folder_for_each(
    site: SwarmUnderTest,
) -> None:
    project = site.project
    source = project.folder / "Pulumi.store.yaml"
    source.write_text(
        "# Images are objects.\n"
        "config:\n"
        "  registry:stackName: store\n"
        "  registry:domain: store.example.com  # as in DNS\n"
        "  registry:volumeNode: dog\n"
        "  registry:config:\n"
        "    storage:\n"
        "      # Shared by all.\n"
        "      s3: {bucket: images, region: eu-central-1, accesskey: AKIA}\n"
    )
    project.ok("stack", "init", "store")
    secret = "registry:config.storage.s3.secretkey"
    project.set("store", secret, "the-secret-key", "--path", "--secret")
    before = files(site)
    output = site.made("env", "NAME=second", "FROM=store", "DOMAIN=second.example.com")
    assert files(site) == before | {"Pulumi.second.yaml": files(site)["Pulumi.second.yaml"]}
    text = files(site)["Pulumi.second.yaml"]
    for comment in ("# Images are objects.", "# as in DNS", "# Shared by all."):
        assert comment in text
    assert "registry:volumeNode: left out (where one stack's images are)" in output
    assert "rootdirectory: /second (a folder of its own in the object store)" in output
    shown = json.loads(project.ok("config", "--json", "--show-secrets", "--stack", "second"))
    assert json.loads(shown["registry:config"]["value"])["storage"]["s3"] == {
        **{"bucket": "images", "region": "eu-central-1", "accesskey": "AKIA"},
        **{"secretkey": "the-secret-key", "rootdirectory": "/second"},
    }
    assert shown["registry:domain"]["value"] == "second.example.com"
    assert "the-secret-key" not in text + output
    old, new = (yaml.safe_load(each)["config"] for each in (before["Pulumi.store.yaml"], text))
    keys = [each["registry:config"]["storage"]["s3"]["secretkey"]["secure"] for each in (old, new)]
    assert keys[0] != keys[1]


def test_secrets_of_a_stack_that_isnt_known_here_cant_be_copied(site: SwarmUnderTest) -> None:
    (site.project.folder / "Pulumi.foreign.yaml").write_text(
        "config:\n"
        "  registry:stackName: foreign\n"
        "  registry:proxySecrets:\n"
        "    CF_DNS_API_TOKEN: {secure: v1:abc}\n"
        "encryptionsalt: v1:abc\n"
    )
    refused = site.make("env", "NAME=third", "FROM=foreign", "DOMAIN=third.example.com")
    assert refused.code != 0
    assert "FROM=foreign: Pulumi.foreign.yaml has secrets" in refused.text
    assert "Pulumi.third.yaml" not in files(site)


@pytest.mark.usefixtures("preprod")
def test_each_has_its_own_certificate_and_its_own_login(site: SwarmUnderTest) -> None:
    serials = {served(site.swarm, domain).serial_number for domain in DOMAINS.values()}
    assert len(serials) == 3
    outside = site.swarm.outside
    for stack, domain in DOMAINS.items():
        assert site.status(f"https://{domain}/v2/", site.login(stack), outside) == 200
    url = f"https://{DOMAINS['prod']}/v2/"
    assert site.status(url, site.login("preprod"), outside) == 401
    assert site.login("prod") != site.login("stag")


@pytest.mark.usefixtures("preprod")
def test_nothing_changes_for_anybody(site: SwarmUnderTest) -> None:
    for stack in DOMAINS:
        site.project.ok("preview", "--expect-no-changes", "--stack", stack)


@pytest.mark.usefixtures("preprod")
def test_an_environment_that_is_there_is_not_made_again(site: SwarmUnderTest) -> None:
    for args, says in (
        (NEW, "there is an environment preprod already"),
        (("env", "NAME=x y", "FROM=stag", "DOMAIN=x.example.com"), "NAME=x y: letters"),
        (("env", "NAME=other", "FROM=nobody", "DOMAIN=x.example.com"), "no Pulumi.nobody.yaml"),
        (("env", "NAME=other", "FROM=stag"), "DOMAIN=… missing"),
        (("deploy", "STACK=other"), "make env NAME=other FROM=stag DOMAIN=…"),
    ):
        result = site.make(*args)
        assert result.code != 0
        assert says in result.text
        assert "Traceback" not in result.text
    assert not (site.project.folder / "Pulumi.other.yaml").exists()


@pytest.mark.usefixtures("preprod")
def test_a_change_of_one_environment_is_that_ones_alone(site: SwarmUnderTest) -> None:
    site.project.set("preprod", "registry:domain", "other.example.com")
    service = "update docker:index/service:Service registry-service"
    assert changed(site.project.steps("preprod")) == {service}
    site.project.set("preprod", "registry:domain", DOMAINS["preprod"])
    site.project.ok("preview", "--expect-no-changes", "--stack", "stag")
