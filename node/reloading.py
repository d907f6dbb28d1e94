"""What became of a reload, told by the running node to the command that asked for it.

A small file beside the spool's lock, replaced whole: how many reloads the node has answered since it started, and what
was wrong with the last one.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_NAME = "reload.json"


@dataclass(frozen=True, slots=True)
class Answer:
    """The node's process, how many reloads it has answered, and the faults of the last: none where it was taken."""

    process: int = 0
    number: int = 0
    faults: tuple[str, ...] = ()


def tell(spool: Path, number: int, faults: Sequence[str]) -> None:
    """Say what became of the reload of this number; `spool` is the spool's folder."""
    new = spool / f"{_NAME}.new"
    new.write_text(json.dumps({"process": os.getpid(), "number": number, "faults": list(faults)}), encoding="utf-8")
    new.replace(spool / _NAME)


def last(spool: Path) -> Answer:
    """The last answer of whichever node used the spool."""
    try:
        found = json.loads((spool / _NAME).read_text(encoding="utf-8"))
        return Answer(int(found["process"]), int(found["number"]), tuple(map(str, found["faults"])))
    except (OSError, ValueError, KeyError, TypeError):
        return Answer()


def wait_for_answer(spool: Path, before: Answer, seconds: float) -> Answer | None:
    """The answer that comes after `before`, or None where none comes in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        answer = last(spool)
        if (answer.process, answer.number) != (before.process, before.number):
            return answer
        time.sleep(0.05)
    return None
