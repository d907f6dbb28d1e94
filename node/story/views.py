"""What a recipe makes of one file, element by element, and which line does it.

Guarantees that a file goes through the same code as on its way through the node, and that nothing is written. Values
are in the result: who shows it to somebody else masks it (`masked`). What is sealed is decrypted into memory alone.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from node.effects import Row, masks, rows_of
from node.errors import DatasetError, HoldInstance, HoldReason, NodeError, SealError
from node.files import Settings
from node.files.one import identities
from node.gate import described, through
from node.instances import InstanceIdentities, Scratch, Source, opened
from node.objects import Verdict
from node.recipe.trace import Trace, held_by_filter, trace
from node.sealing import Original, Sealing, check_memory, is_sealed, new_memory, open_original

MASKED = "***"


def _no_sealing() -> Sealing | None:
    return None


@dataclass(frozen=True, slots=True)
class View:
    """What becomes of a file: its elements, or why it is held and by which line; or the rule that excludes it.

    `pixels` says what of the image is masked, in order; `leaks`, where the result still shows whose it is, `leak`
    the same in short.
    """

    rows: list[Row]
    held: dict[str, str] | None = None
    excluded: str | None = None
    pixels: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    leak: str = ""


def look(
    settings: Settings, path: Path, sealing: Callable[[], Sealing | None] = _no_sealing, accepted: str | None = None
) -> View:
    """Return what becomes of a file, which may be a sealed original of the spool, named by its id.

    `sealing` is asked for the key of one that is sealed; `accepted` are the risks of its pixels that somebody answers
    for. Raises NodeError where it cannot be read as DICOM at all.
    """
    try:
        with _opened(path, sealing) as source:
            rule = settings.exclude.matches(source.dataset) if settings.exclude is not None else None
            if rule is not None:
                return View([], excluded=rule)
            verdict, hold = _judged(settings, source, accepted)
            if verdict is None:
                return View([], hold)
            if verdict.excluded:
                return View([], excluded=verdict.excluded)
            known = identities(settings, settings.make_maps(), source.dataset)
            if isinstance(known, InstanceIdentities):
                known.require_mapping()
            traced = trace(settings.recipe, source.dataset, known, settings.variables, verdict.judgement)
            return _view(traced, settings, verdict)
    except HoldInstance as hold:
        return View([], _held(hold))
    except DatasetError as error:
        return View([], _held(HoldInstance(HoldReason.UNPARSABLE, str(error))))


@contextlib.contextmanager
def _opened(path: Path, sealing: Callable[[], Sealing | None]) -> Iterator[Source]:
    scratch = Scratch(Path(tempfile.gettempdir()))
    with contextlib.closing(_original(path, sealing)) as original:
        file = original.mappable()
        if os.pread(file, 4, 128) != b"DICM":
            raise NodeError(f"{path} is no DICOM file: it has no DICM prefix.")
        make, check_room = scratch.create, scratch.check_room
        if original.sealed:
            make, check_room = new_memory, check_memory
        with opened(file, make, check_room) as source:
            yield source


def _original(path: Path, sealing: Callable[[], Sealing | None]) -> Original:
    try:
        with path.open("rb") as file:
            sealed = is_sealed(file.fileno())
        return open_original(path, path.stem, sealing() if sealed else None)
    except OSError as error:
        raise NodeError(f"{path} cannot be read: {error.strerror}.") from None
    except SealError as error:
        raise NodeError(f"{path} cannot be opened: {error}.") from None


def _judged(settings: Settings, source: Source, accepted: str | None) -> tuple[Verdict | None, dict[str, str]]:
    """Return what is decided about a file before it is cleaned, or why it is held and by which line."""
    try:
        return settings.policy.judge(settings.recipe, source.dataset, accepted), {}
    except HoldInstance as hold:
        where = held_by_filter(settings.recipe, source.dataset, hold)
        return None, _held(hold, where, settings.recipe.line(where))


def _view(traced: Trace, settings: Settings, verdict: Verdict) -> View:
    recipe = settings.recipe
    if traced.held is not None:
        return View([], _held(traced.held, traced.where, recipe.line(traced.where)))
    assert traced.cleaned is not None
    cleaned = verdict.finished(traced.cleaned)
    passed = through(cleaned, recipe, settings.gate)
    found = passed.left or passed.reported
    changes, _ = verdict.changes(traced.cleaned)
    return View(
        rows_of(traced.elements, recipe, changes, passed.texts),
        pixels=masks(cleaned.regions),
        leaks=list(map(str, found)),
        leak=described(found),
    )


def _held(hold: HoldInstance, where: str = "", text: str = "") -> dict[str, str]:
    return {"reason": str(hold.reason), "detail": hold.detail, "where": where, "text": text}


def masked(row: Row) -> Row:
    """Return a row without values, a private creator among them; what is empty or absent still shows as that."""
    return replace(
        row, name="" if row.name.startswith("(") else row.name, before=row.before and MASKED, after=row.after and MASKED
    )


def differences(one: View, other: View) -> list[tuple[Row | None, Row | None]]:
    """Return what becomes of elements in two ways, where these differ: pairs in the order of tag paths."""
    left, right = ({row.path: row for row in view.rows} for view in (one, other))
    paths = sorted({*left, *right})
    pairs = ((left.get(path), right.get(path)) for path in paths)
    return [pair for pair in pairs if _result(pair[0]) != _result(pair[1])]


def _result(row: Row | None) -> str | None:
    return row.after if row is not None else None
