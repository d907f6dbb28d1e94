"""How stored originals would come out under what a route was, and under what it would be.

Guarantees that nothing is written and no value is told: what differs is counted by tag path and by the lines that did
it. Both sides go through all that cleaning is, the leak gate too.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from sqlalchemy import select

from node.errors import DatasetError, HoldInstance, HoldReason, NodeError
from node.files import Settings
from node.files.one import identities
from node.gate import through
from node.instances import Scratch, Source, opened
from node.ledger.database import Database
from node.ledger.schema import instances
from node.objects import Verdict
from node.recipe.dictionary import show
from node.recipe.trace import Traced, trace
from node.sealing import Original, check_memory, new_memory, open_original
from node.spool import Spool

_LOOKED_AT = 2000  # rows of a route, the newest, among which samples are sought

_SENT, _EXCLUDED = "sent", "excluded"


@dataclass(frozen=True, slots=True)
class Result:
    """What becomes of an instance: `sent`, `excluded`, or the reason for which it is held; its elements, by path."""

    outcome: str
    elements: dict[str, Traced] = field(default_factory=dict)
    pixels: tuple[str, ...] = ()


@dataclass(slots=True)
class Comparison:
    """What differs, counted over the samples of one route."""

    samples: int = 0
    unreadable: int = 0
    changed: int = 0
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    elements: Counter[tuple[str, str, str, str, str, str]] = field(default_factory=Counter)
    pixels: int = 0

    def add(self, before: Result, after: Result) -> None:
        """Count one instance."""
        self.samples += 1
        differs = before.outcome != after.outcome
        if differs:
            self.outcomes[before.outcome, after.outcome] += 1
        elif before.outcome == _SENT:
            if before.pixels != after.pixels:
                self.pixels += 1
                differs = True
            for key in _differences(before.elements, after.elements):
                self.elements[key] += 1
                differs = True
        self.changed += differs

    def told(self) -> dict[str, Any]:
        """As `plan --json` prints it."""
        names = ("path", "name", "before", "after", "line_before", "line_after")
        return {
            "samples": self.samples,
            "unreadable": self.unreadable,
            "changed": self.changed,
            "new_holds": self._holds(1),
            "ended_holds": self._holds(0),
            "newly_excluded": sum(n for (_, other), n in self.outcomes.items() if other == _EXCLUDED),
            "pixels": self.pixels,
            "elements": [
                dict(zip(names, key, strict=True)) | {"instances": count}
                for key, count in sorted(self.elements.items())
            ],
        }

    def _holds(self, which: int) -> dict[str, int]:
        """How often each reason to hold stands before (0) or after (1) a change of the outcome."""
        found: Counter[str] = Counter()
        for pair, count in self.outcomes.items():
            if pair[which] not in (_SENT, _EXCLUDED):
                found[pair[which]] += count
        return dict(found)


def compare(spool: Spool, names: Iterable[str], before: Settings, after: Settings) -> Comparison:
    """Clean stored originals, by their ids, in two ways."""
    found = Comparison()
    for name in names:
        try:
            with _opened(spool, name) as source:
                one, other = result(before, source), result(after, source)
        except (NodeError, OSError):
            found.unreadable += 1
            continue
        found.add(one, other)
    return found


def stored(database: Database, spool: Spool, route: str, most: int) -> list[str]:
    """Return ids of a route's originals that are in the spool, held ones among them.

    Of the newest, those of each sender and SOP class in turn, so that one busy modality does not stand for all.
    """
    query = (
        select(instances.c.id, instances.c.calling_ae_title, instances.c.sop_class_uid, instances.c.state)
        .where(instances.c.route == route)
        .order_by(instances.c.seq.desc())
        .limit(_LOOKED_AT)
    )
    with database.read() as connection:
        rows = connection.execute(query).all()
    kinds: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        if _path(spool, row.id) is not None:
            kinds.setdefault((row.state, row.calling_ae_title, row.sop_class_uid), []).append(row.id)
    turns = (name for turn in zip_longest(*kinds.values()) for name in turn if name is not None)
    return list(islice(turns, most))


def _path(spool: Spool, name: str) -> Path | None:
    return next((path for path in (spool.original(name), spool.retained_file(name)) if path.exists()), None)


@contextlib.contextmanager
def _opened(spool: Spool, name: str) -> Iterator[Source]:
    path = _path(spool, name)
    if path is None:
        raise FileNotFoundError
    scratch = Scratch(Path(tempfile.gettempdir()))
    original: Original = open_original(path, name, spool.sealing)
    with contextlib.closing(original):
        sealed = original.sealed
        make, room = (new_memory, check_memory) if sealed else (scratch.create, scratch.check_room)
        with opened(original.mappable(), make, room) as source:
            yield source


def result(settings: Settings, source: Source) -> Result:
    """Return what becomes of an instance under these settings."""
    try:
        if settings.exclude is not None and settings.exclude.matches(source.dataset) is not None:
            return Result(_EXCLUDED)
        verdict = settings.policy.judge(settings.recipe, source.dataset)
        return Result(_EXCLUDED) if verdict.excluded else _cleaned(settings, source, verdict)
    except HoldInstance as hold:
        return Result(str(hold.reason))
    except DatasetError:
        return Result(str(HoldReason.UNPARSABLE))


def _cleaned(settings: Settings, source: Source, verdict: Verdict) -> Result:
    """Return what becomes of one that is not excluded. Raises HoldInstance and DatasetError."""
    known = identities(settings, settings.make_maps(), source.dataset)
    traced = trace(settings.recipe, source.dataset, known, settings.variables, verdict.judgement)
    if traced.held is not None:
        raise traced.held
    assert traced.cleaned is not None
    cleaned = verdict.finished(traced.cleaned)
    if through(cleaned, settings.recipe, settings.gate).left:
        return Result(str(HoldReason.LEAK))
    pixels = [f"{'kept' if one.keep else 'masked'}: {one.box}" for one in cleaned.regions]
    changes = sorted(f"{show(tag)} {change}" for tag, change in verdict.changes(traced.cleaned)[0].items())
    return Result(_SENT, {one.path: one for one in traced.elements}, (*pixels, *changes))


def _differences(before: dict[str, Traced], after: dict[str, Traced]) -> Iterator[tuple[str, str, str, str, str, str]]:
    """Give where two results differ: path, name, what was done before and after, and the lines that did it."""
    for path in dict.fromkeys([*before, *after]):
        one, other = before.get(path), after.get(path)
        if (one.after if one else None) == (other.after if other else None):
            continue
        there = one or other
        assert there is not None
        # What a private creator is called may name somebody.
        name = "" if there.name.startswith("(") else there.name
        yield path, name, _what(one), _what(other), _line(one), _line(other)


def _what(element: Traced | None) -> str:
    return "absent" if element is None else str(element.what)


def _line(element: Traced | None) -> str:
    return element.rules[-1].where if element is not None and element.rules else ""
