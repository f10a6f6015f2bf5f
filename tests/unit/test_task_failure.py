"""What engines write of a task that can't run, in words."""

from __future__ import annotations

import pytest

from components.swarm.task_failure import LONGEST, Cause, read_failure

ID = "ee82170eea6a3943f239dcdfd048af24841994e29bf96e7c811289ea639f0306"
GATEWAY = (
    "driver failed programming external connectivity on endpoint gateway_ee82170eea6a"
    " (f4da4647b6fc83c00e21e44a610340bcc0f46c6de5fa3e9ac20b195d9d05e564): "
)
OLD = f"starting container failed: container {ID}: endpoint join on GW Network failed: {GATEWAY}"
NEW = f"starting container failed: failed to set up container networking: {GATEWAY}"
MOUNTED = "/var/lib/docker/volumes/s_registry-data/_data"

# Texts of engines 20.10 and 28.
TEXTS = [
    (
        f"{OLD}Error starting userland proxy: listen tcp4 0.0.0.0:80: bind: address already in use",
        Cause.PORT,
        "port 80 is taken by another program",
        "sport = :80",
    ),
    (
        f"{OLD}Bind for 0.0.0.0:8080 failed: port is already allocated",
        Cause.PORT,
        "port 8080 is taken by another program",
        "sport = :8080",
    ),
    (
        f"{NEW}failed to bind host port for 0.0.0.0:443:172.18.0.3:443/tcp: address already in use",
        Cause.PORT,
        "port 443 is taken by another program",
        "sport = :443",
    ),
    (
        f"{NEW}failed to bind host port for [::]:80:172.18.0.3:80/tcp: address already in use",
        Cause.PORT,
        "port 80 is taken by another program",
        "sport = :80",
    ),
    (
        f"{NEW}Bind for :::80 failed: port is already allocated",
        Cause.PORT,
        "port 80 is taken by another program",
        "sport = :80",
    ),
    (
        "No such image: registry:3.1.2",
        Cause.IMAGE,
        "there is no image registry:3.1.2, and it can't be pulled",
        "docker pull registry:3.1.2",
    ),
    (
        "starting container failed: mkdir /var/lib/docker/overlay2/x: no space left on device",
        Cause.DISK,
        "the disk is full",
        "docker system df",
    ),
    (
        'network sandbox join failed: subnet sandbox join failed for "10.0.1.0/24": error creating'
        " vxlan interface: file exists",
        Cause.NETWORK,
        "the overlay network can't be joined",
        "systemctl restart docker",
    ),
    (
        "node is missing network attachments, ip addresses may be exhausted",
        Cause.NETWORK,
        "no address is left for the network",
        "docker network ls",
    ),
    (
        "task: non-zero exit (137)",
        Cause.MEMORY,
        "its process was killed: it needs more memory than its limit, or didn't stop in time",
        "journalctl -k",
    ),
    (
        "task: non-zero exit (143): dockerexec: unhealthy container",
        Cause.HEALTH,
        "it runs, but its health check fails; its log says why",
        "",
    ),
    (
        "task: non-zero exit (137): dockerexec: unhealthy container",
        Cause.HEALTH,
        "it runs, but its health check fails; its log says why",
        "",
    ),
    (
        'invalid mount config for type "bind": bind source path does not exist: /srv/images',
        Cause.MOUNT,
        "there is no /srv/images to mount",
        "",
    ),
    (
        f"starting container failed: error while mounting volume '{MOUNTED}': failed to mount local"
        f" volume: mount :/srv:{MOUNTED}, data: addr=10.0.0.1: no such file or directory",
        Cause.MOUNT,
        "the volume can't be mounted: what its `device` names isn't there",
        "",
    ),
    (
        f"failed to populate volume: error while mounting volume '{MOUNTED}': failed to mount local"
        f" volume: mount :/srv:{MOUNTED}, data: addr=10.0.0.1: connection refused",
        Cause.MOUNT,
        "the volume can't be mounted: its server doesn't answer this node",
        "",
    ),
    (
        'error looking up volume plugin rexray: plugin "rexray" not found',
        Cause.MOUNT,
        "there is no volume plugin rexray",
        "docker plugin install rexray",
    ),
    (
        "starting container failed: failed to create task for container: failed to create shim"
        ' task: OCI runtime create failed: runc create failed: exec: "/entrypoint.sh": stat'
        " /entrypoint.sh: no such file or directory: unknown",
        Cause.PROCESS,
        "the image doesn't have the program that it's started with",
        "",
    ),
    (
        "task: non-zero exit (1)",
        Cause.PROCESS,
        "its process ended with exit code 1; its log says why",
        "",
    ),
    (
        "no suitable node (host-mode port already in use on 1 node; scheduling constraints not"
        " satisfied on 2 nodes)",
        Cause.PORT,
        "Swarm finds no node for it: on 1 node a port is taken by another service; on 2 nodes the"
        " constraints aren't fulfilled",
        "docker node ls",
    ),
    (
        "no suitable node (1 node not available for new tasks; insufficient resources on 2 nodes)",
        Cause.PLACEMENT,
        "Swarm finds no node for it: on 1 node it is down, drained or paused; on 2 nodes too little"
        " memory or CPU is free",
        "docker node ls",
    ),
    ("no suitable node", Cause.PLACEMENT, "Swarm finds no node for it", "docker node ls"),
    ("something new", Cause.UNKNOWN, "something new", ""),
]


@pytest.mark.parametrize(("text", "cause", "meaning", "typed"), TEXTS)
def test_a_text_of_an_engine_is_put_into_words(
    text: str, cause: Cause, meaning: str, typed: str
) -> None:
    failure = read_failure(text, service="s_proxy", node="dog", published=(80, 443))
    assert (failure.cause, failure.meaning) == (cause, meaning)
    assert failure.headline == f"on node dog, {meaning}"
    assert typed in failure.remedy
    assert bool(typed) == bool(failure.remedy)


def test_the_port_that_is_taken_is_known_or_is_one_of_the_services() -> None:
    by_engine = read_failure(TEXTS[0][0], service="s_proxy", node="dog", published=(80, 443))
    assert by_engine.ports == (80,)
    by_swarm = read_failure(
        "no suitable node (host-mode port already in use on 3 nodes)",
        service="s_proxy",
        published=(80, 443),
    )
    assert by_swarm.ports == (80, 443)
    assert by_swarm.headline.startswith("Swarm finds no node")


def test_the_engines_own_text_stays_without_ids_and_wrappings() -> None:
    failure = read_failure(TEXTS[0][0], service="s_proxy", node="dog")
    assert failure.raw == "listen tcp4 0.0.0.0:80: bind: address already in use"
    unknown = read_failure(f"starting container failed: {ID} {'x ' * 500}it", service="s_proxy")
    assert ID not in unknown.raw
    assert len(unknown.raw) == LONGEST
    assert unknown.raw.endswith("it")


def test_a_password_in_the_options_of_a_volume_is_not_shown() -> None:
    text = "failed to mount local volume: mount //nas/x:/y, data: user=me,password=hidden,vers=3: ?"
    failure = read_failure(text, service="s_registry", node="dog")
    assert "hidden" not in f"{failure}"
    assert "user=me" in failure.raw
