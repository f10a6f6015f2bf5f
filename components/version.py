"""The version of the project: of the program and of these components."""

VERSION = "1.0.0"
"""The newest release in CHANGELOG.md; output `version` of a stack."""
TOOLS_IMAGE = f"registry-tools:{VERSION}"
"""Image that `make build` makes of `images/tools`, on the engine at hand."""
