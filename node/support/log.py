"""The end of the node's log, where it is a file that can be found; else where it is.

Guarantees that of a line only the time, the level, the process, the event, ids of instances, numbers and words of
closed lists stay; details are told by their tag paths; names become words.
"""

from __future__ import annotations

import json
import os
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from node.errors import HoldReason
from node.spool import is_id
from node.support.tokens import Tokens, statuses_in, tags_in

_PAIR = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)')
_HUMAN = re.compile(r"(\d{4}-\d\d-\d\dT[\d:.]+Z) ([A-Z]+) +([\w.-]+): (.*)")
_NAMES = {"route": "route", "destination": "destination", "project": "project"}
_AE = frozenset({"calling_ae_title", "called_ae_title"})
_KEPT = frozenset({"time", "level", "process", "status", "trace", "state", "signal"})
_EVENT = re.compile(r"[a-z][a-z -]{0,60}\Z")
_SENTENCES = frozenset({"error"})
_REASONS = frozenset(map(str, HoldReason))


def place_of(process: int | None) -> tuple[str, Path | None]:
    """Return where a running node logs to, in words, and the file where it is one."""
    if process is None:
        return "the node does not run: standard error of whatever starts it", None
    try:
        target = os.readlink(f"/proc/{process}/fd/2")
    except OSError:
        return "standard error of the node, which this account cannot see", None
    if target.startswith("socket:"):
        return "the system's journal: journalctl -u deid-node", None
    if target.startswith("pipe:"):
        return "a pipe of whatever started the node, such as a container engine (docker logs)", None
    path = Path(target)
    return ("a file", path) if path.is_file() else ("standard error is no file: what it says is lost", None)


def tail(path: Path, lines: int, tokens: Tokens) -> list[dict[str, Any]]:
    """Return the last lines of a log, without names. Raises OSError."""
    with path.open(encoding="utf-8", errors="replace") as file:
        last = deque(file, lines)
    return [found for line in last if (found := _line(line, tokens))]


def _line(line: str, tokens: Tokens) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except ValueError:
        fields = _human(line)
    return dict(_safe(fields, tokens)) if isinstance(fields, dict) else {}


def _human(line: str) -> dict[str, Any]:
    found = _HUMAN.match(line)
    if found is None:
        return {}
    when, level, process, rest = found.groups()
    first = _PAIR.search(rest)
    event = rest if first is None else rest[: first.start()].strip()
    pairs = {name: _number(value.strip('"')) for name, value in _PAIR.findall(rest)}
    return {**pairs, "time": when, "level": level.lower(), "process": process, "event": event}


def _number(text: str) -> str | int:
    return int(text) if text.isdecimal() and len(text) < 16 else text


def _safe(fields: dict[str, Any], tokens: Tokens) -> Iterator[tuple[str, Any]]:
    for key, value in fields.items():
        if isinstance(value, bool | int | float) or value is None or key in _KEPT:
            yield key, value
        elif key == "event":
            yield key, value if _EVENT.match(str(value)) else "…"
        elif key in _NAMES or key in _AE:
            yield key, tokens.of(_NAMES.get(key, "ae"), str(value))
        elif key in _SENTENCES:
            yield key, tokens.sentence(str(value))
        elif is_id(str(value)) or str(value) in _REASONS:
            yield key, value
        elif key == "detail":
            yield "tags", tags_in(str(value)) + statuses_in(str(value))
