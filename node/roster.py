"""Who is there: the node's processes, as the supervisor last told of them, for whoever asks from outside.

A small file beside the spool's lock. Nothing depends on it but what people and monitors are told. It is written at
every change and every few seconds, so that its age tells whether the supervisor still looks after its children.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node import jotting

_NAME = "roster.json"
_TELL_SECONDS = 5.0


@dataclass(slots=True)
class Roster:
    """What the supervisor tells; made when the node starts."""

    spool: Path
    started: float = field(default_factory=time.time)
    _deaths: Counter[str] = field(default_factory=Counter)
    _told: dict[str, Any] = field(default_factory=dict)
    _told_at: float = 0.0

    def died(self, role: str) -> None:
        """Count a child that ended without being told to."""
        self._deaths[role] += 1

    def tell(self, roles: Mapping[str, int], recipes: Mapping[str, str]) -> None:
        """Say which children there are: their process ids by their labels (0: it is to be started again), and the
        hashes of the recipes in use, by route.
        """
        now = time.monotonic()
        told = {
            "process": os.getpid(),
            "started": self.started,
            "roles": dict(roles),
            "deaths": dict(self._deaths),
            "recipes": dict(recipes),
        }
        if told == self._told and now - self._told_at < _TELL_SECONDS:
            return
        self._told, self._told_at = told, now
        jotting.replace(self.spool / _NAME, told | {"at": time.time()})


@dataclass(frozen=True, slots=True)
class Present:
    """What was told last: by which process, when (seconds, UTC), since when it runs; and what `Roster.tell` says."""

    process: int = 0
    at: float = 0.0
    started: float = 0.0
    roles: Mapping[str, int] = field(default_factory=dict)
    deaths: Mapping[str, int] = field(default_factory=dict)
    recipes: Mapping[str, str] = field(default_factory=dict)


def present(spool: Path, process: int) -> Present | None:
    """Return what the node of a process id has told; None where it has not told anything yet."""
    found = jotting.read(spool / _NAME)
    try:
        told = Present(**{key: found[key] for key in Present.__dataclass_fields__})
    except KeyError:
        return None
    return told if told.process == process else None
