"""The class of each item of a sequence, asked for before its elements are decided.

Guarantees the same answer to whoever walks the items: the engine, and those who look at its work.
"""

from __future__ import annotations

from node.recipe.compiled import Decision, Level
from node.recipe.content import CLOSED, CODE_ITEMS, FIXED_ITEMS, GONE, GRAPHIC, GRAPHIC_ITEMS, kind_of_code
from node.recipe.content_items import ItemAt, facts, scheme
from node.recipe.encoded import EncodedDataset

_REFERENCED_ITEM = 0x0040DB73  # Referenced Content Item Identifier


def kind_of_item(decision: Decision, level: Level, item: ItemAt) -> int:
    """Return the class of an item of a sequence, whose decision was made on `level`."""
    how, profile = decision.items, level.rules.profile
    if not how or profile is None:
        return level.content
    if how == GRAPHIC_ITEMS:
        return GRAPHIC
    if how == CODE_ITEMS:
        return kind_of_code(scheme(item))
    kind = profile.content.kind(facts(item))
    return CLOSED if kind == GONE and how == FIXED_ITEMS else kind


def has_references_to_items(dataset: EncodedDataset) -> bool:
    """Tell whether content items may refer to others by their place: then none can go without another moving up."""
    tag = _REFERENCED_ITEM
    wanted = [
        (tag >> 16).to_bytes(2, order) + (tag & 0xFFFF).to_bytes(2, order) for order in ("little", dataset.coding.order)
    ]
    buffer = dataset.buffer
    if isinstance(buffer, memoryview):
        buffer = bytes(buffer)
    return any(buffer.find(one, dataset.start, dataset.end) >= 0 for one in wanted)
