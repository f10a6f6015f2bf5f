"""`make outdated`: images of a deployed stack, and Pulumi's packages, that have newer versions.

`report` prints a line for each. `remote` asks a registry, `packages` the index of Python packages;
`version` says which of the tags there are newer ones of the same line. Nothing is changed.
"""
