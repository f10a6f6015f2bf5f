"""`python3 -m testing.testswarm [image.tar …]`: keep a swarm of three nodes up until Ctrl-C."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from ops.bootstrap.console import main, say

from .swarm import TestSwarm


def _keep_up() -> None:
    begin = time.monotonic()
    with TestSwarm(images=[Path(word) for word in sys.argv[1:]]) as swarm:
        say(f"ready after {time.monotonic() - begin:.1f} s; Ctrl-C ends it")
        for node in swarm.nodes:
            print(node.name, node.ip, node.host, node.netns, flush=True)
        signal.pause()


if __name__ == "__main__":
    main(_keep_up)
