"""What became of each element of an instance, and which line did it: the recipe's, the node's own, the gate's.

Guarantees that a note (`noted`), which outlives the original, has no value of a data set, neither original nor
replaced: tag paths, VRs, what became of elements, and lines of the recipe. A private creator and the place of a region
that the image itself names are values, so they are left out. Bounded: of more than `MOST_CHANGES` elements the number.
Refuses nothing: of what cannot be followed there is no note.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, NamedTuple

from node.errors import DatasetError, HoldInstance
from node.objects import Verdict
from node.recipe import Cleaned, Identities, Recipe, Region
from node.recipe.amend import Change
from node.recipe.dictionary import entry, show
from node.recipe.trace import Traced, trace

MOST_CHANGES = 2000
_NODE = {"where": "the node", "text": "for the kind of object (docs/pixels.md)"}


@dataclass(frozen=True, slots=True)
class Row:
    """One element as it is shown; `before` and `after` are None where it is absent."""

    path: str
    name: str
    vr: str
    what: str
    before: str | None
    after: str | None
    lines: list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Noted:
    """A note as it is kept: compressed JSON, and the digest by which equal ones are known; `recipe` is its hash."""

    digest: bytes
    recipe: str = field(compare=False)
    content: bytes = field(compare=False, repr=False)


class Done(NamedTuple):
    """What was decided about an instance, what the recipe made of it, and what the gate then made of texts, by path."""

    verdict: Verdict
    cleaned: Cleaned
    texts: Mapping[str, str]


def rows_of(
    elements: Iterable[Traced], recipe: Recipe, changes: Mapping[int, Change], texts: Mapping[str, str]
) -> list[Row]:
    """Return elements as they went out.

    `changes` is what the node itself says of the instance, or puts in its place (`Verdict.changes`), `texts` what the
    gate made of texts, by tag path.
    """
    rows = _with([_row(element, recipe) for element in elements], changes)
    return [_scrubbed(row, texts[row.path]) if row.path in texts else row for row in rows]


def changed(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Give what changed, without values; a private creator is one."""
    for row in rows:
        if row.what != "kept":
            name = "" if row.name.startswith("(") else row.name
            yield {"path": row.path, "name": name, "vr": row.vr, "what": row.what, "rules": row.lines}


def masks(regions: Iterable[Region]) -> list[str]:
    """Return what of the image is masked or kept, in order."""
    return [_region(region, region.box) for region in regions]


def noted(recipe: Recipe, identities: Identities, variables: Mapping[str, Any], done: Done) -> Noted | None:
    """Return what a recipe did to an instance, by doing it once more and watching; None where that cannot be followed.

    So the site's functions that it calls are called once more.
    """
    verdict = done.verdict
    try:
        changes, _ = verdict.changes(done.cleaned)
        only = {*done.texts, *(show(tag) for tag in changes)}
        traced = trace(recipe, verdict.dataset, identities, variables, verdict.judgement, only)
        rows = rows_of(traced.elements, recipe, changes, done.texts)
    except (HoldInstance, DatasetError):
        return None
    return None if traced.held is not None else pack(recipe, list(changed(rows)), done.cleaned.regions)


def pack(recipe: Recipe, changes: Sequence[Mapping[str, Any]], regions: Collection[Region]) -> Noted:
    """Return a note of what changed, as `changed` gives it, and of what was masked."""
    lines: dict[tuple[str, str], int] = {}

    def number(rule: Mapping[str, str]) -> int:
        return lines.setdefault((rule["where"], rule["text"]), len(lines))

    told = [
        [one["path"], one["name"], one["vr"], one["what"], [number(rule) for rule in one["rules"]]]
        for one in islice(changes, MOST_CHANGES)
    ]
    more = len(changes) - len(told)
    known = {None} | {line.box for section in recipe.filters for label in section.labels for line in label.regions}
    pixels = list(dict.fromkeys(_region(one, one.box if one.box in known else ...) for one in regions))
    written = json.dumps({"changes": told, "lines": [*lines], "more": more, "pixels": pixels}, separators=(",", ":"))
    digest = hashlib.sha256(f"{recipe.hash} {written}".encode()).digest()
    return Noted(digest, recipe.hash, zlib.compress(written.encode()))


def unpack(content: bytes) -> tuple[list[dict[str, Any]], list[str], int]:
    """Return what a note says changed, as `changed` gives it; what was masked; of how many elements more it has none.

    Raises ValueError, LookupError, TypeError or zlib.error where it is none.
    """
    found = json.loads(zlib.decompress(content))
    lines = [{"where": where, "text": text} for where, text in found["lines"]]
    changes = [
        {"path": path, "name": name, "vr": vr, "what": what, "rules": [lines[number] for number in numbers]}
        for path, name, vr, what, numbers in found["changes"]
    ]
    return changes, list(found["pixels"]), int(found["more"])


def _row(element: Traced, recipe: Recipe) -> Row:
    lines = [{"where": rule.where, "text": recipe.line(rule.where)} for rule in element.rules]
    return Row(element.path, element.name, element.vr, str(element.what), element.before, element.after, lines)


def _with(rows: list[Row], changes: Mapping[int, Change]) -> list[Row]:
    """Return the rows with what the node itself says of the instance, or puts in its place."""
    for tag, change in sorted(changes.items()):
        path, known = show(tag), entry(tag)
        there = next((row for row in rows if row.path == path), None)
        before, after = there.before if there else None, _changed(change)
        what = "removed" if after is None else "added" if before is None else "kept" if after == before else "changed"
        if before is None and after is None:
            continue
        new = Row(path, known.keyword if known else "", known.vr if known else "", what, before, after, [dict(_NODE)])
        rows = sorted([*(row for row in rows if row is not there), new], key=lambda row: row.path)
    return rows


def _changed(change: Change) -> str | None:
    if change is None:
        return None
    vr, value = change
    if vr == "OB":
        return f"{len(value)} bytes"
    return str(int.from_bytes(value, "little")) if vr == "UL" else value.decode("utf-8", "replace")


def _scrubbed(row: Row, after: str) -> Row:
    line = {"where": "gate", "text": "scrub"}
    return replace(row, what="changed", after=after, lines=[*row.lines, line])


def _region(region: Region, box: object) -> str:
    where = "all" if box is None else "as the image says" if box is ... else ",".join(map(str, region.box or ()))
    return f"{'kept' if region.keep else 'masked'}: {where}"
