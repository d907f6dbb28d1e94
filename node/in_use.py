"""The configuration that the node runs with, as it stood when it was taken; and which recipe each route has.

A file in the data folder, so that a file which was edited since can be compared with it. It is not synced, and one that
cannot be written or read costs the comparison alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from node import jotting
from node.config import Config
from node.recipe import Recipe

_NAME = "in-use.json"


@dataclass(frozen=True, slots=True)
class InUse:
    """Since when (seconds, UTC), the file and what stood in it, and the hash of each route's recipe."""

    at: float
    file: Path
    text: str
    recipes: Mapping[str, str]


def note(config: Config, recipes: Mapping[str, Recipe]) -> None:
    """Note what is taken now."""
    try:
        text = config.file.read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return
    hashes = {name: recipe.hash for name, recipe in recipes.items()}
    said = {"at": time.time(), "file": os.path.abspath(config.file), "text": text, "recipes": hashes}
    jotting.replace(config.node.data / _NAME, said)


def read(data: Path) -> InUse | None:
    """Return what was noted last in a data folder; None where nothing was."""
    found = jotting.read(data / _NAME)
    try:
        recipes = {str(name): str(value) for name, value in found["recipes"].items()}
        return InUse(float(found["at"]), Path(found["file"]), str(found["text"]), recipes)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
