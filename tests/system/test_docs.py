"""The documentation's commands, typed as they stand there, on a machine without any deployment."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.bootstrap import images
from testing.archive import archive_of
from testing.documents import blocks, script
from testing.project import ROOT, Project
from testing.site import SwarmUnderTest
from testing.testswarm import TestSwarm

DOCUMENTS = [file for file in sorted((ROOT / "docs").rglob("*.md")) if list(blocks(file))]
CHOSEN = (
    *("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"),
    "DOCKER_HOST",
)
"""Variables of somebody who has chosen a backend or an engine, as no reader has yet."""
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


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: file.stem)
def test_the_commands_of_a_document_do_what_it_says(
    reader: SwarmUnderTest, document: Path, tmp_path: Path
) -> None:
    unset = [word for name in CHOSEN for word in ("-u", name)]
    done = reader.swarm.exec(
        reader.swarm.nodes[0],
        *("env", *unset, "-C", str(reader.project.folder), "bash", "-c"),
        f"exec 2>&1\n{script(document)}",
        check=False,
        timeout=LIMIT_S,
        # Logins of this machine's own docker stay as they are.
        env={"DOCKER_CONFIG": str(tmp_path), "PULUMI_SKIP_UPDATE_CHECK": "1"},
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout
