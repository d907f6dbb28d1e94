"""A whole run: many files, several processes, one output folder.

Guarantees that every file found is counted once and that what is not written is named with the reason; that files under
their names are durable when `run` returns; that a run which was interrupted is taken up by the next, which
does not do again what is there.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from node.errors import NoRoom, SpoolError
from node.files.finding import Found
from node.files.one import CONFLICT, FileCleaner, Kind, Outcome, Settings
from node.files.places import OutputFolder
from node.files.pool import Pool

DIED = "the process that cleaned it died"


@dataclass(slots=True)
class Summary:
    """What became of all files: how many of each kind, and those that a person has to look at."""

    counts: Counter[Kind] = field(default_factory=Counter)
    held: list[tuple[Path, Outcome]] = field(default_factory=list)
    failed: list[tuple[Path, Outcome]] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether nothing is held and nothing has failed."""
        return not (self.held or self.failed)

    def add(self, found: Found, outcome: Outcome) -> None:
        """Count a file."""
        self.counts[outcome.kind] += 1
        if outcome.kind is Kind.HELD:
            self.held.append((found.path, outcome))
        elif outcome.kind is Kind.FAILED:
            self.failed.append((found.path, outcome))


def run(
    settings: Settings,
    files: Iterable[Found],
    out: OutputFolder,
    processes: int,
    tell: Callable[[Found, Outcome], None] = lambda _found, _outcome: None,
) -> Summary:
    """Clean files into a folder.

    Parameters
    ----------
    settings
        How.
    files
        What.
    out
        Where to; it is closed by its owner.
    processes
        How many work at a time.
    tell
        Called for each file when it is done.

    Raises
    ------
    NoRoom
        The disk is full; what was written so far stays.
    SpoolError
        The output folder cannot be synced.
    """
    summary = Summary()
    cleaner = FileCleaner(settings, out)
    try:
        # Closed here, and not when it is forgotten: then all processes are gone, whatever happened.
        with contextlib.closing(Pool(cleaner.clean, processes).map(files)) as done:
            for found, outcome in _placed(done, out):
                summary.add(found, outcome)
                tell(found, outcome)
    finally:
        out.sync()
    return summary


def _placed(done: Iterator[tuple[Found, Outcome | None]], out: OutputFolder) -> Iterator[tuple[Found, Outcome]]:
    """Give what was written its name: one after another, so that no two files take the same one."""
    for found, outcome in done:
        if outcome is None:
            yield found, Outcome(Kind.FAILED, DIED)
        elif outcome.draft is None or outcome.target is None:
            yield found, outcome
        else:
            yield found, _place(outcome, outcome.draft, outcome.target, out)


def _place(outcome: Outcome, draft: Path, target: Path, out: OutputFolder) -> Outcome:
    try:
        was_there = target.exists()
        if not out.place(draft, target):
            return Outcome(Kind.FAILED, CONFLICT.format(target))
    except NoRoom:
        raise
    except SpoolError as error:
        return Outcome(Kind.FAILED, str(error))
    return Outcome(Kind.ALREADY) if was_there else outcome
