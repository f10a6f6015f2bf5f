"""`python -m ops.adopt STACK FROM LOGINS`, in the project's virtual environment: it needs YAML."""

from __future__ import annotations

import sys

from ops.adopt.takeover import adopt
from ops.bootstrap import ROOT
from ops.bootstrap.console import main, one_at_a_time


def _adopt() -> None:
    stack, source, logins = sys.argv[1:]
    # The lock of the command that became this one went with it.
    with one_at_a_time(ROOT):
        adopt(stack, source, logins or None)


if __name__ == "__main__":
    main(_adopt)
