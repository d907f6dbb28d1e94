"""Options that are settled but not built: each is refused by name, since ignoring one could let identity through."""

from __future__ import annotations

from node.config.yaml12 import Document, KeyPath, Value, dotted
from node.errors import Fault

NOT_BUILT: tuple[KeyPath, ...] = (("trial_destination", "tls"),)


def refused(document: Document, file: str) -> list[Fault]:
    """Return a fault for every option that is not in this version, and take it out of the document's data."""
    return [
        Fault(file, document.line_of(path), "not in this version.", "Remove it.", dotted(path))
        for path in NOT_BUILT
        if _take_out(document.data, path)
    ]


def _take_out(data: Value, path: KeyPath) -> bool:
    """Remove the option, so that the model does not name it a second time; say whether it was there."""
    section = data
    for key in path[:-1]:
        section = section.get(str(key)) if isinstance(section, dict) else None
    if not isinstance(section, dict) or path[-1] not in section:
        return False
    del section[str(path[-1])]
    return True
