"""The names of `deid.utils` that have a meaning here."""

from __future__ import annotations

from pathlib import Path


def get_installdir() -> str:
    """Return the folder of the installed package `node`."""
    return str(Path(__file__).resolve().parent.parent)
