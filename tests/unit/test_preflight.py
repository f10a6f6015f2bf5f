"""What is looked at before anything is made."""

from __future__ import annotations



