"""Options that are settled but not built: each is refused by name, since ignoring one could let identity through.

An option that only states what this version does anyway is accepted where that cannot mislead.
"""

from __future__ import annotations

from collections.abc import Iterator

from node.config.yaml12 import Document, KeyPath, Value, dotted
from node.errors import Fault

DEFAULTS: dict[KeyPath, Value] = {
    ("peers",): {},
}


def refused(document: Document, file: str) -> list[Fault]:
    """Return a fault for every option that is not in this version, and take it out of the document's data."""
    return [
        Fault(file, document.line_of(path), "not in this version.", "Remove it.", dotted(path))
        for path in list(_found(document.data))
        if _take_out(document.data, path)
    ]


def _found(data: Value) -> Iterator[KeyPath]:
    for path, default in DEFAULTS.items():
        present, value = _at(data, path)
        if present and value is not None and value != default:
            yield path
    yield ("trial_destination", "tls")


def _at(data: Value, path: KeyPath) -> tuple[bool, Value]:
    """Return whether there is something at a key path (all its parts are words), and what."""
    for key in path:
        if not isinstance(data, dict) or key not in data:
            return False, None
        data = data[str(key)]
    return True, data


def _take_out(data: Value, path: KeyPath) -> bool:
    """Remove the option, so that the model does not name it a second time; say whether it was there."""
    section = data
    for key in path[:-1]:
        if isinstance(section, dict) and isinstance(key, str):
            section = section.get(key)
        elif isinstance(section, tuple) and isinstance(key, int):
            section = section[key]
    if not isinstance(section, dict) or path[-1] not in section:
        return False
    del section[str(path[-1])]
    return True
