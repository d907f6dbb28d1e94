"""The configuration that the node runs with, as it stood when it was taken; which recipe each route has, and digests
of the files of certificates.

A file in the data folder, so that a file which was edited since can be compared with it. It is not synced, and one that
cannot be written or read costs the comparison alone. Of private keys nothing is in it.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from node import jotting
from node.config import Config, certificates
from node.recipe import Recipe

_NAME = "in-use.json"


@dataclass(frozen=True, slots=True)
class InUse:
    """Since when (seconds, UTC), the file and what stood in it, the hash of each route's recipe, and the digest of each
    file of certificates (None: an earlier program noted none).
    """

    at: float
    file: Path
    text: str
    recipes: Mapping[str, str]
    certificates: Mapping[str, str] | None = None


def note(config: Config, recipes: Mapping[str, Recipe]) -> None:
    """Note what is taken now."""
    try:
        text = config.file.read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return
    hashes = {name: recipe.hash for name, recipe in recipes.items()}
    said = {"at": time.time(), "file": os.path.abspath(config.file), "text": text, "recipes": hashes}
    said["certificates"] = {str(path): _digest(path) for _, path in certificates(config)}
    jotting.replace(config.node.data / _NAME, said)


def read(data: Path) -> InUse | None:
    """Return what was noted last in a data folder; None where nothing was."""
    found = jotting.read(data / _NAME)
    try:
        recipes = {str(name): str(value) for name, value in found["recipes"].items()}
        noted = found.get("certificates")
        digests = None if noted is None else {str(path): str(value) for path, value in noted.items()}
        return InUse(float(found["at"]), Path(found["file"]), str(found["text"]), recipes, digests)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def changed_certificates(used: InUse | None, config: Config) -> list[tuple[str, Path]]:
    """Return who uses which file of certificates that has another content now than when it was taken."""
    noted = {} if used is None or used.certificates is None else used.certificates
    return [
        (what, path) for what, path in certificates(config) if str(path) in noted and noted[str(path)] != _digest(path)
    ]


def _digest(path: Path) -> str:
    """Return the digest (hexadecimal) of a file's content; empty where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
