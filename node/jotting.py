"""Small files in which one process leaves word for the next one: JSON objects, read leniently.

Guarantees that a reader finds what was written before or after, never a part; what cannot be read says nothing.
They are not synced, and a disk that refuses them costs what the reader could have known: nothing may depend on them.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read(path: Path) -> dict[str, Any]:
    """Return what stands in a file; nothing where it is missing, or holds something else."""
    try:
        found = json.loads(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def replace(path: Path, values: Mapping[str, Any]) -> None:
    """Write a file anew, where the disk takes it."""
    with contextlib.suppress(OSError):
        new = path.with_name(f"{path.name}.new")
        new.write_text(json.dumps(values), encoding="ascii")
        os.replace(new, path)
