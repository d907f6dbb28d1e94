"""Changes to a cleaned data set that no line of a recipe makes: what the node itself says of it, or puts in its place.

Guarantees that nothing else changes, that a new element stands where its tag belongs, and that the length of a group
that has one is right afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from node.errors import HoldInstance, HoldReason
from node.recipe.coding import Coding
from node.recipe.encoded import EncodedDataset
from node.recipe.output import Cleaned, Edit

Change: TypeAlias = tuple[str, bytes] | None
"""VR and encoded value of an element of the top level; None where it goes."""

_NUL_PADDED = ("OB", "UI", "UN")
_NO_GROUP = 0xFFFE


def amended(cleaned: Cleaned, changes: Mapping[int, Change], ranges: Sequence[Edit] = ()) -> Cleaned:
    """Return a cleaned data set with other elements.

    Parameters
    ----------
    cleaned
        What the recipe made of it; `changes` and `ranges` go over what its lines did.
    changes
        By tag of the top level.
    ranges
        Values of the source (offsets) that are replaced by others of the same length; where the recipe takes away what
        they stand in, nothing happens.

    Raises
    ------
    HoldInstance
        What a line wrote reaches over the bounds of what is changed.
    """
    dataset = cleaned.dataset
    edits, values = list(cleaned.edits), dict(cleaned.values)
    for tag, change in sorted(changes.items()):
        new = b"" if change is None else _encoded(tag, *change, dataset.coding)
        grown = _put(edits, dataset, tag, new)
        _settle(edits, dataset, tag, grown)
        values[tag] = None if change is None else change[1].decode("latin-1")
    for one in ranges:
        _over(edits, one)
    return cleaned.redone(edits, values)


def _encoded(tag: int, vr: str, value: bytes, coding: Coding) -> bytes:
    value += (b"\0" if vr in _NUL_PADDED else b" ") * (len(value) & 1)
    return coding.header(tag, vr, len(value)) + value


def _put(edits: list[Edit], dataset: EncodedDataset, tag: int, new: bytes) -> int:
    """Put an encoded element in place of what is there; return by how many bytes the group grows."""
    element = dataset.find(tag)
    if element is not None:
        start, end = element[1], element[4]
        before = end - start
        for edit in _touching(edits, start, end):
            parts = _outside(edit, start, end)
            before += len(edit[2]) - (min(edit[1], end) - max(edit[0], start))
            edits.remove(edit)
            edits += parts
        edits.append((start, end, new))
        return len(new) - before
    position = dataset.place_of(tag)
    for around in [edit for edit in edits if edit[0] < position < edit[1]]:
        parts = _outside(around, position, position)
        edits.remove(around)
        edits += parts
    there = [edit for edit in edits if edit[:2] == (position, position)]
    old = [edit for edit in there if _tag(edit, dataset.coding) == tag]
    later = next((edit for edit in there if _NO_GROUP << 16 > _tag(edit, dataset.coding) > tag), None)
    for edit in old:
        edits.remove(edit)
    if new:
        edits.insert(edits.index(later) if later is not None else len(edits), (position, position, new))
    return len(new) - sum(len(edit[2]) for edit in old)


def _touching(edits: list[Edit], start: int, end: int) -> list[Edit]:
    return [edit for edit in edits if edit[1] > start and edit[0] < end]


def _outside(edit: Edit, start: int, end: int) -> list[Edit]:
    """Return what an edit does beside a range: what it takes away there goes whatever is put into the range.

    Raises HoldInstance where it puts something in the place of more than the range: nobody knows what belongs where.
    """
    parts = [(edit[0], start, b"")] * (edit[0] < start) + [(end, edit[1], b"")] * (edit[1] > end)
    if parts and edit[2]:
        raise HoldInstance(HoldReason.ACTION_FAILED, "what is said of the instance and what a line wrote overlap")
    return parts


def _tag(edit: Edit, coding: Coding) -> int:
    if len(edit[2]) < 4:
        return 0
    group, element = (int.from_bytes(edit[2][place : place + 2], coding.order) for place in (0, 2))
    return group << 16 | element


def _settle(edits: list[Edit], dataset: EncodedDataset, tag: int, grown: int) -> None:
    """Correct the length of the tag's group, where there is one that stays."""
    length = dataset.find(tag & 0xFFFF0000)
    if length is None or not grown or length[4] - length[2] != 4:
        return
    old = next((edit for edit in edits if edit[1] > length[1] and edit[0] < length[4]), None)
    if old is not None and old[:2] != (length[2], length[4]):
        return  # it goes
    value = int.from_bytes(dataset.raw(length) if old is None else old[2], dataset.coding.order) + grown
    if old is not None:
        edits.remove(old)
    edits.append((length[2], length[4], value.to_bytes(4, dataset.coding.order)))


def _over(edits: list[Edit], new: Edit) -> None:
    start, end, _ = new
    hit = _touching(edits, start, end)
    if any(edit[0] <= start and edit[1] >= end and edit[:2] != (start, end) for edit in hit):
        return
    if any(edit[0] < start or edit[1] > end for edit in hit):
        raise HoldInstance(HoldReason.ACTION_FAILED, "a range that is replaced and what a line wrote overlap")
    for edit in hit:
        edits.remove(edit)
    edits.append(new)
