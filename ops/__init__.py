"""What runs before and beside the program: engine, images, toolchain."""

import sys

# Each of the Makefile's commands begins here, so that a Python too old to read the other files
# still reads this one, and says what is wrong.
OLDEST = (3, 10)
if sys.platform == "win32":
    sys.exit("error: Windows isn't supported; run this in WSL 2 (wsl --install), with Docker there")
if sys.version_info < OLDEST:
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    sys.exit(
        f"error: Python 3.10 or later is needed, and python3 is {version} ({sys.executable})."
        " Install a later one, and have its folder first on PATH"
    )
