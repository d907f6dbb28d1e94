"""What is taken out of a data set before a recipe sees it, whatever the recipe says.

Guarantees that no sequence is left, in whatever form it is encoded, or no private element at any level. Never refuses
what the engine would not.
"""

from __future__ import annotations

from functools import cache

from node.errors import DatasetError
from node.recipe import Cleaned, EncodedDataset, Recipe, RecipeText, load_recipe
from node.recipe.compiled import effective_vr
from node.recipe.elements import items_coding
from node.recipe.encoded import Element
from node.recipe.output import Output


def without_sequences(dataset: EncodedDataset) -> Cleaned:
    """Return a data set without sequences.

    Not by a recipe, which leaves VOI LUT Sequence, and what is encoded as UN and only looks like a sequence. Group
    lengths (PS3.5 7.2, retired) of groups that lose something go as well.
    """
    output = Output(dataset)
    sequences = [element for element in dataset.elements if _is_sequence(dataset, element)]
    groups = {element[0] >> 32 for element in sequences}
    lengths = [element for element in dataset.elements if element[0] >> 16 in {group << 16 for group in groups}]
    for element in (*sequences, *lengths):
        output.remove(element)
    return output.cleaned(dataset.codec)


def _is_sequence(dataset: EncodedDataset, element: Element) -> bool:
    vr, kind = effective_vr(element[0], None, dataset.signed)
    try:
        return vr == "SQ" or items_coding(dataset.walker, element, kind, dataset.coding) is not None
    except DatasetError:  # broken, and known to be a sequence
        return True


def without_private(dataset: EncodedDataset) -> Cleaned:
    """Return a data set without private elements, in items too. Raises DatasetError."""
    return _private().apply(dataset, None, {})


@cache
def _private() -> Recipe:
    return load_recipe([RecipeText("private", "FORMAT dicom\n%header\nREMOVE select:private")], in_node=False)
