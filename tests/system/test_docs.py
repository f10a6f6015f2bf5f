"""The documentation's commands, typed as they stand there, on a machine without any deployment."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ops.bootstrap import images
from ops.bootstrap.console import wait
from testing.archive import archive_of
from testing.documents import blocks, files, script
from testing.project import ROOT, Project
from testing.site import SwarmUnderTest
from testing.testswarm import SOON_S, TestSwarm

ACCESS = ROOT / "docs/access.md"
DOCUMENTS = [file for file in sorted((ROOT / "docs").rglob("*.md")) if list(blocks(file))]
# It goes on with the stack of the first deployment, and leaves one that asks for tokens.
DOCUMENTS.sort(key=lambda file: file == ACCESS)
CHOSEN = (
    *("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"),
    "DOCKER_HOST",
)
"""Variables of somebody who has chosen a backend or an engine, as no reader has yet."""
TYPED = "a-Passw0rd-of-a-readers-own"
TYPIST = f"""
pulumi() {{
  case " $* " in
    *" config set "*" --secret "*) printf %s {TYPED} | command pulumi "$@" ;;
    *) command pulumi "$@" ;;
  esac
}}
"""
"""Answer to each question of pulumi's for a secret, since nobody is at the terminal."""
LIMIT_S = 500
"""Time limit for all commands of a document together, seconds."""


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwarmUnderTest]:
    """Return a checkout on a machine whose engine has the image `alpine`, undeployed."""
    folder = tmp_path_factory.mktemp("reader")
    layer = folder / "layer.tar"
    with tarfile.open(layer, "w") as tar:
        tar.addfile(tarfile.TarInfo("empty"), io.BytesIO())
    tarballs = [*images.tarballs().values(), archive_of(layer, "alpine:latest")]
    with TestSwarm(nodes=1, images=tarballs) as swarm:
        project = Project(folder / "registry", "unix:///var/run/docker.sock")
        (project.folder / "Pulumi.local.yaml").unlink(missing_ok=True)
        for file in ROOT.glob("*.example.yaml"):
            (project.folder / file.name).write_text(file.read_text())
        yield SwarmUnderTest(swarm, project)


def here(text: str) -> str:
    """Return what of the page on access is for a registry in production, for this machine's."""
    return re.sub(r"\bprod\b", "local", text).replace("registry.example.com", "localhost")


def put(file: Path, text: str) -> None:
    """Put a text into its file; of a stack's it is a part of the settings."""
    if file.name.startswith("Pulumi."):
        content = yaml.safe_load(file.read_text())
        content["config"] |= yaml.safe_load(text)
        text = yaml.safe_dump(content)
    file.write_text(text)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: file.stem)
def test_the_commands_of_a_document_do_what_it_says(
    reader: SwarmUnderTest, document: Path, tmp_path: Path
) -> None:
    unset = [word for name in CHOSEN for word in ("-u", name)]
    adapted = here if document == ACCESS else str
    for name, text in files(document).items():
        put(reader.project.folder / adapted(name), adapted(text))
    done = reader.swarm.exec(
        reader.swarm.nodes[0],
        *("env", *unset, "-C", str(reader.project.folder), "bash", "-c"),
        f"exec 2>&1\n{TYPIST}\n{adapted(script(document))}",
        check=False,
        timeout=LIMIT_S,
        # Logins of this machine's own docker stay as they are.
        env={
            "DOCKER_CONFIG": str(tmp_path),
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "ROBOT_PASSWORD": TYPED,
        },
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout


def test_a_task_that_is_started_later_pulls_with_the_login_of_its_deployment(
    reader: SwarmUnderTest,
) -> None:
    # The page on access has deployed it.
    node, service, image = reader.swarm.nodes[0], "app_app", "localhost/team/app"

    def ids() -> list[str]:
        return reader.swarm.docker(node, "image", "ls", "--quiet", image).split()

    reader.swarm.docker(node, "service", "scale", "--detach", f"{service}=0")
    reader.swarm.docker(node, "image", "rm", "--force", *ids())
    assert ids() == []
    reader.swarm.docker(node, "service", "scale", "--detach", f"{service}=1")
    wait("it to be pulled", ids, SOON_S)
