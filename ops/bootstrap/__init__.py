"""What a bare machine needs before anything else: an environment, Pulumi, an engine, images.

It runs before `.venv` exists, so it imports the standard library alone, and those few modules of
`components` that do so too.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""This checkout."""
