"""The class of each item of a sequence, asked for before its elements are decided.

Guarantees the same answer to whoever walks the items: the engine, and those who look at its work.
"""

from __future__ import annotations

from node.recipe.coding import Coding
from node.recipe.compiled import Decision, Level
from node.recipe.content import CLOSED, CODE_ITEMS, GONE, GRAPHIC, GRAPHIC_ITEMS, SHRINKING, kind_of_code
from node.recipe.content_items import facts, scheme
from node.recipe.encoded import UNDEFINED, EncodedDataset, Walker

_REFERENCED_ITEM = 0x0040DB73  # Referenced Content Item Identifier


def kind_of_item(
    walker: Walker, decision: Decision, level: Level, tag: int, position: int, end: int, length: int, coding: Coding
) -> int:
    """Return the class of the item whose elements begin at `position`.

    `decision` is the one for the sequence `tag` on `level`; `end` is where the item must have ended.
    """
    how, profile = decision.items, level.rules.profile
    if not how or profile is None:
        return level.content
    if how == GRAPHIC_ITEMS:
        return GRAPHIC
    end = end if length == UNDEFINED else position + length
    if how == CODE_ITEMS:
        return kind_of_code(scheme(walker, position, end, coding))
    kind = profile.content.kind(facts(walker, position, end, coding))
    return CLOSED if kind == GONE and tag not in SHRINKING else kind


def has_references_to_items(dataset: EncodedDataset) -> bool:
    """Tell whether content items may refer to others by their place: then none can go without another moving up."""
    tag = _REFERENCED_ITEM
    wanted = [
        (tag >> 16).to_bytes(2, order) + (tag & 0xFFFF).to_bytes(2, order)
        for order in ("little", dataset.coding.order)
    ]
    buffer = dataset.buffer
    if isinstance(buffer, memoryview):
        buffer = bytes(buffer)
    return any(buffer.find(one, dataset.start, dataset.end) >= 0 for one in wanted)
