"""Looks at ledger and spool, and twice at what does not seem to fit."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeVar

from node.digest import new_digest
from node.errors import OUTCOMES, DatasetError, SealError
from node.ledger.database import Database
from node.ledger.evidence import Evidence, Known, Place, Recount
from node.part10 import read_file_meta
from node.proof.report import Acknowledged, Report
from node.proof.rules import (
    Fault,
    File,
    Files,
    Problem,
    compare_tallies,
    is_open,
    judge,
    judge_file,
    needs_original,
)
from node.sealing import Original
from node.spool import Spool
from node.sweeper import GRACE_SECONDS

LEFT_SECONDS = 1.5 * GRACE_SECONDS
"""For so long a file that nothing needs may wait for the sweeper, and one without a row for being adopted."""

_ROWS_AT_ONCE = 1000
_NAMES_AT_ONCE = 500
_SUSPECTS_AT_ONCE = 5000
_LOOKS = 3
_HEAD = 65536
_CHUNK = 1 << 20

_T = TypeVar("_T")


@dataclass(slots=True)
class Proof:
    """Looks at ledger and spool; `content` reads every original that is still needed and compares its digest.

    `again` is how many seconds lie between two looks at what does not seem to fit, `left` how long a file may wait to
    be removed or adopted.
    """

    database: Database
    spool: Spool
    content: bool = False
    again: float = 1.0
    left: float = LEFT_SECONDS
    report: Report = field(default_factory=Report)
    _evidence: Evidence = field(init=False)

    def __post_init__(self) -> None:
        self._evidence = Evidence(self.database)

    def run(self, acknowledged: Iterable[str] | None = None) -> Report:
        """Prove; `acknowledged` are the lines of a sender's list of SOP Instance UIDs.

        Raises
        ------
        LedgerError
            The ledger cannot be read.
        """
        self._prove_rows()
        self._prove_files("originals", self.spool.list_originals())
        self._prove_files("cleaned", self.spool.list_cleaned())
        self._prove_tallies()
        if acknowledged is not None:
            self.report.acknowledged = self._compare(acknowledged)
        return self.report

    def _prove_rows(self) -> None:
        suspects: list[Known] = []
        last = 0
        while batch := self._evidence.after(last, _ROWS_AT_ONCE):
            last = batch[-1].seq
            suspects += [known for known in batch if self._faults(known)]
            if len(suspects) >= _SUSPECTS_AT_ONCE:
                self.report.add(self._staying(suspects))
                suspects = []
        self.report.add(self._staying(suspects))

    def _faults(self, known: Known) -> list[Fault]:
        files = Files()
        if needs_original(known) or is_open(known):
            files = Files(
                self._original(known),
                self._cleaned(known),
            )
        return judge(known, files)

    def _original(self, known: Known) -> File | None:
        """Look at an original; at what its data set is only where it is needed. None where it is not there."""
        try:
            with contextlib.closing(self.spool.open_original(known.id)) as original:
                if not needs_original(known):
                    return File(original.size)
                return self._data_set(original, known)
        except SealError:
            return File(0)  # it is there, and nobody can read it
        except OSError:
            return None  # missing, or a disk that does not give it

    def _data_set(self, original: Original, known: Known) -> File:
        whole = original.size
        try:
            _, offset = read_file_meta(original.read(0, min(_HEAD, whole)))
        except DatasetError:
            return File(whole)
        digest = new_digest() if self.content and known.digest else None
        if digest is not None:
            for place in range(offset, whole, _CHUNK):
                digest.update(original.read(place, min(_CHUNK, whole - place)))
            self.report.files["read"] += 1
        return File(whole, whole - offset, None if digest is None else digest.digest())

    def _cleaned(self, known: Known) -> File | None:
        try:
            return File(self.spool.cleaned_file(known.id).stat().st_size)
        except OSError:
            return None

    def _staying(self, suspects: Sequence[Known]) -> list[Fault]:
        """Return the faults of those that stay as they are; whatever went on meanwhile is looked at once more."""
        before = {known.id: known for known in suspects}
        for _ in range(_LOOKS - 1):
            if not before:
                return []
            time.sleep(self.again)
            now = (known for names in _batches(before, _NAMES_AT_ONCE) for known in self._evidence.of(names))
            before = {known.id: known for known in now if self._faults(known)}
        return [fault for known in before.values() for fault in self._faults(known)]

    def _prove_files(self, folder: str, listed: Iterable[tuple[str, float]]) -> None:
        suspects: list[str] = []
        for batch in _batches(listed, _NAMES_AT_ONCE):
            self.report.files[folder] += len(batch)
            modified = dict(batch)
            places = self._evidence.places(list(modified))
            for name, at in modified.items():
                problem = judge_file(folder, places.get(name), retains=self.spool.retains)
                if problem is not None and not self._may_wait(problem, at, places.get(name)):
                    suspects.append(name)
            if len(suspects) >= _SUSPECTS_AT_ONCE:
                self.report.add(self._left(folder, suspects))
                suspects = []
        self.report.add(self._left(folder, suspects))

    def _may_wait(self, problem: Problem, modified: float, place: Place | None) -> bool:
        """Whether a file that nothing needs is about to be removed, or one that has no row to be adopted."""
        since = modified if place is None else max(modified, place.changed_at)
        waits = time.time() - since < self.left
        if waits:
            self.report.files["young" if problem is Problem.FILE_UNKNOWN else "to_be_removed"] += 1
        return waits

    def _left(self, folder: str, suspects: Sequence[str]) -> Iterator[Fault]:
        """Tell of the files that are still there, and still not needed."""
        if suspects:
            time.sleep(self.again)
        path: Callable[[str], Path] = self.spool.original if folder == "originals" else self.spool.cleaned_file
        for names in _batches(suspects, _NAMES_AT_ONCE):
            there = [name for name in names if path(name).exists()]
            places = self._evidence.places(there)
            for name in there:
                problem = judge_file(folder, places.get(name), retains=self.spool.retains)
                if problem is not None:
                    yield Fault(problem, name, detail=folder)

    def _prove_tallies(self) -> None:
        recount = Recount(self.database, _ROWS_AT_ONCE)
        recount.run()
        self.report.counts = dict.fromkeys(("received", *OUTCOMES), 0)
        for (_, _, outcome, _), n in recount.instances.items():
            self.report.counts["received"] += n
            self.report.counts[str(outcome)] += n
        for (_, state), n in recount.deliveries.items():
            self.report.deliveries[str(state)] = self.report.deliveries.get(str(state), 0) + n
        self.report.add(compare_tallies(recount.instances, recount.tallies))
        self.report.add(compare_tallies(recount.deliveries, recount.delivery_tallies))

    def _compare(self, lines: Iterable[str]) -> Acknowledged:
        told = Acknowledged()
        seen: Counter[bytes] = Counter()
        numbered = ((number, text) for number, line in enumerate(lines, 1) if (text := line.strip()))
        for batch in _batches(numbered, _NAMES_AT_ONCE):
            outcomes = self._evidence.outcomes(text for _, text in batch)
            for number, text in batch:
                told.lines += 1
                became = outcomes.get(text)
                if became is None:
                    told.unknown.append(number)
                    continue
                told.outcomes[next(one for one in _WAITING_FIRST if one in became)] += 1
                key = new_digest(text.encode()).digest()[:8]
                seen[key] += 1
                if seen[key] > len(became):
                    told.fewer.append(number)
        return told


_WAITING_FIRST = ("in_flight", "held", "delivered", "discarded", "excluded")


def _batches(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch
