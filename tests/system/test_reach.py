"""The ways to an engine: a real sshd on two nodes, clients with a home of their own; TLS."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from ops.bootstrap import packages
from ops.bootstrap.console import wait
from testing.certificates import CertificatePair
from testing.project import Result
from testing.site import SwarmUnderTest
from testing.testswarm import SOON_S, Node

from .test_options import relay, tls_context

STACK = "reach"
PORT = 2222
"""Port of the manager's sshd; the jump host's is 22."""
VALUES = {
    "registry:stackName": "reach-com",
    "registry:domain": "reach.example.com",
    "registry:network": "reach",
    "registry:createNetwork": "true",
    "registry:https": "none",
    "registry:proxy": "none",
}
# OpenSSH takes the home of the user from /etc/passwd, whatever HOME is. So the client has a /root
# of its own over this machine's, which it reads and never changes.
AT_HOME = """
set -e
mount -t overlay overlay -o "lowerdir=/root,upperdir=$0/upper,workdir=$0/work" /root
rm -rf /root/.ssh
cp -r "$0/ssh" /root/.ssh
exec "$@"
"""


@dataclass
class Home:
    """A user on a machine outside the swarm, who has keys, known hosts and a configuration."""

    site: SwarmUnderTest
    folder: Path
    known_hosts: str
    key: Path

    def run(
        self,
        *args: str,
        known_hosts: str | None = None,
        key: Path | None = None,
        config: str = "",
        env: Mapping[str, str] | None = None,
    ) -> Result:
        """Run a command of the project with this configuration of `ssh`; it must end."""
        ssh = self.folder / "ssh"
        for part in (ssh, self.folder / "upper", self.folder / "work"):
            subprocess.run(["rm", "-rf", part], check=True, timeout=60)
            part.mkdir()
        (ssh / "known_hosts").write_text(self.known_hosts if known_hosts is None else known_hosts)
        identity = ssh / "id_ed25519"
        identity.touch(mode=0o600)
        identity.write_text((key or self.key).read_text())
        first, second = (node.ip for node in self.site.swarm.nodes[:2])
        (ssh / "config").write_text(
            f"{config}\nHost Mgr\n  HostName {first}\n  Port {PORT}\n  User root\n"
            f"  ProxyJump bastion\nHost bastion\n  HostName {second}\n  User root\n"
        )
        project = self.site.project
        done = self.site.swarm.exec(
            self.site.swarm.outside,
            *("sh", "-c", AT_HOME, str(self.folder), *args),
            check=False,
            timeout=300,
            env={**project.environment, "PWD": str(project.folder), **(env or {})},
        )
        return Result(done.returncode, done.stdout + done.stderr, done.stdout)

    def pulumi(self, host: str, *args: str, **choice: object) -> Result:
        """Run `pulumi` on an engine at `host`."""
        command = ("pulumi", "--cwd", str(self.site.project.folder), *args, "--stack", STACK)
        flags = ("--non-interactive", "--color", "never")
        return self.run(*command, *flags, env={"DOCKER_HOST": host}, **choice)  # type: ignore[arg-type]


def _make_key(path: Path, passphrase: str = "") -> Path:
    args = ["-q", "-t", "ed25519", "-N", passphrase, "-C", "test", "-f", str(path)]
    subprocess.run(["ssh-keygen", *args], check=True, timeout=60)
    return path


def _serve(
    site: SwarmUnderTest, node: Node, port: int, folder: Path, key: Path
) -> subprocess.Popen[bytes]:
    (folder / "authorized_keys").write_text(key.with_suffix(".pub").read_text())
    config = folder / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress {node.ip}\nHostKey {folder}/host\nPidFile none\nUsePAM no\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\n"
    )
    site.swarm.exec(node, "mkdir", "-p", "/run/sshd")
    log = folder / "sshd.log"
    process = site.swarm.spawn(node, packages.program("sshd"), "-D", "-e", "-f", config, log=log)
    wait("sshd", lambda: "listening" in log.read_text(), SOON_S)
    return process


@pytest.fixture(scope="module")
def home(site: SwarmUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Yield a home that reaches the first node over the second, where its stack is."""
    folder = tmp_path_factory.mktemp("home")
    key, known, servers = _make_key(folder / "key"), "", []
    for node, port in zip(site.swarm.nodes, (PORT, 22), strict=False):
        of_node = folder / node.name
        of_node.mkdir()
        public = _make_key(of_node / "host").with_suffix(".pub").read_text()
        known += f"{node.ip if port == 22 else f'[{node.ip}]:{port}'} {public}"
        servers.append(_serve(site, node, port, of_node, key))
    site.project.init(STACK, VALUES)
    yield Home(site, folder, known, key)
    for server in servers:
        server.terminate()
        server.wait(SOON_S)


def _log(home: Home, node: int) -> str:
    return (home.folder / f"node{node}" / "sshd.log").read_text()


def test_an_alias_with_a_port_and_a_jump_host_is_deployed_to(home: Home) -> None:
    deployed = home.pulumi("ssh://Mgr", "up", "--yes", "--skip-preview")
    assert deployed.code == 0, deployed.text
    assert "Accepted publickey" in _log(home, 1)
    assert "Accepted publickey" in _log(home, 2), "the way leads over the jump host"
    unchanged = home.pulumi("ssh://Mgr", "preview", "--expect-no-changes")
    assert unchanged.code == 0, unchanged.text


def test_the_makefile_reaches_it_as_the_program_does(home: Home) -> None:
    folder = str(home.site.project.folder)
    logs = home.run(
        *("make", "--no-print-directory", "-C", folder, "logs", f"STACK={STACK}"),
        env={"DOCKER_HOST": "ssh://Mgr"},
    )
    assert logs.code == 0, logs.text
    asked = home.run(
        *(f"{folder}/.venv/bin/python", "-m", "ops.bootstrap.engine"),
        env={"DOCKER_HOST": "ssh://Mgr", "PYTHONPATH": folder},
        known_hosts="",
    )
    assert asked.code == 1
    assert "host key is not known here" in asked.text
    assert "Traceback" not in asked.text


def test_each_failure_of_ssh_is_one_line_with_what_to_type(home: Home) -> None:
    direct = f"ssh://root@{home.site.swarm.nodes[0].ip}:{PORT}"
    command = f"ssh -p {PORT} root@{home.site.swarm.nodes[0].ip}"
    stranger = _make_key(home.folder / "stranger")
    locked = _make_key(home.folder / "locked", "a passphrase")
    public = stranger.with_suffix(".pub").read_text()
    changed = f"[{home.site.swarm.nodes[0].ip}]:{PORT} {public}"
    for host, choice, reason, remedy in (
        (direct, {"known_hosts": ""}, "host key is not known here", command),
        (direct, {"known_hosts": changed}, "host key is another one", "ssh-keygen -R"),
        (direct, {"key": stranger}, "none of this machine's keys is accepted", "ssh-copy-id"),
        (direct, {"key": locked}, "none of this machine's keys is accepted", "ssh-add"),
        (direct, {"config": "Prot 2222"}, "line 1: Bad configuration option", command),
        ("ssh://root@nowhere.invalid", {}, "Could not resolve hostname", "nowhere.invalid"),
        (f"{direct}/run/nothing.sock", {}, "no Docker engine answers on that", "systemctl start"),
    ):
        refused = home.pulumi(host, "preview", **choice)
        assert refused.code != 0
        line = next(line for line in refused.text.splitlines() if "No Docker engine" in line)
        assert f"answers at {host}: " in line
        assert reason in line
        assert remedy in line
        assert "Traceback" not in refused.text


def test_a_context_with_tls_is_used_with_its_certificates(
    site: SwarmUnderTest, tmp_path: Path
) -> None:
    server, client = CertificatePair.make(address="127.0.0.1"), CertificatePair.make("client")
    for name, text in (
        ("ca.pem", server.chain), ("cert.pem", client.chain), ("key.pem", client.key),
    ):  # fmt: skip
        (tmp_path / name).write_text(text)
    project, host = site.project, site.project.environment.pop("DOCKER_HOST")
    values = {name: value.replace("reach", "context") for name, value in VALUES.items()}
    project.init("context", values)
    variables = project.environment
    variables["DOCKER_CONFIG"] = str(tmp_path / "docker")
    try:
        with relay(
            Path(host.removeprefix("unix://")), tls_context(server, client, tmp_path)
        ) as port:
            files = ",".join(f"{key}={tmp_path}/{key}.pem" for key in ("ca", "cert", "key"))
            for args in (
                ("create", "far", "--docker", f"host=tcp://127.0.0.1:{port},{files}"),
                ("use", "far"),
            ):
                subprocess.run(["docker", "context", *args], env=variables, check=True, timeout=60)
            project.ok("up", "--yes", "--skip-preview", "--stack", "context")
            # What the provider would read by itself, and take in place of what it is given.
            variables |= {"DOCKER_CONTEXT": "far", "DOCKER_CERT_PATH": "/nowhere"}
            project.ok("preview", "--stack", "context")
            project.ok("refresh", "--yes", "--run-program", "--stack", "context")
            assert client.key.splitlines()[1] not in project.state_text()
            asked = subprocess.run(
                ["python3", "-m", "ops.bootstrap.engine"], cwd=project.folder, env=variables,
                capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
            assert asked.stdout.strip() == f"tcp://127.0.0.1:{port}", asked.stderr
            project.ok("destroy", "--yes", "--run-program", "--stack", "context")
        subprocess.run(["rm", "-rf", tmp_path / "docker/contexts"], check=True, timeout=60)
        removed = project.pulumi("preview", "--stack", "context")
        assert removed.code != 0
        assert "there is no docker context 'far'" in removed.text
    finally:
        for name in ("DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_CERT_PATH"):
            variables.pop(name, None)
        variables["DOCKER_HOST"] = host
