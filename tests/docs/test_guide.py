"""Each line that the guide to recipes proposes does what the guide says, behind the recipes that it names."""

from __future__ import annotations

import re

import pytest
from pydicom.dataset import Dataset

from node.recipe import EncodedDataset, RecipeText, load_recipe, shipped_recipe
from node.syntaxes import EXPLICIT_LE
from tests.docs.pages import DOCS, Block, blocks
from tests.recipe.support import Keys, apply, encode
from tests.recipe.test_page import get, put

BLOCKS = blocks(DOCS / "recipe-guide.md")
EXAMPLES = [index for index, block in enumerate(BLOCKS) if block.kind == "recipe"]
_HEAD = re.compile(r"# recipe: \[([^\]]+)\]\n")


def told(index: int, kind: str) -> list[str]:
    """The lines of a block that belongs to the example: what stands between it and the next one."""
    end = next((other for other in EXAMPLES if other > index), len(BLOCKS))
    return [line for block in BLOCKS[index:end] if block.kind == kind for line in block.text.splitlines()]


def recipes(block: Block) -> list[RecipeText]:
    head = _HEAD.match(block.text)
    assert head is not None, "an example says which recipes the route has"
    found = []
    for name in head[1].split(", "):
        if "/" in name:
            lines = block.text if "%" in block.text else f"%header\n{block.text}"
            found.append(RecipeText(name, f"FORMAT dicom\n{lines}"))
        else:
            text = shipped_recipe(name)
            assert text is not None
            found.append(text)
    return found


@pytest.mark.parametrize("index", EXAMPLES, ids=lambda index: f"line{BLOCKS[index].line}")
def test_an_example_of_the_guide_does_what_it_says(index: int) -> None:
    recipe = load_recipe(recipes(BLOCKS[index]))
    source = Dataset()
    source.SOPClassUID, source.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4"
    source.PatientID, source.PatientName, source.Modality = "MRN-1", "Simpson^Homer", "CT"
    results = [re.split(": | → ", line) for line in told(index, "result")]
    for path, before, *_ in results:
        if path.startswith("("):
            private(source, path, before)
        else:
            put(source, path, before)
    variables = dict(line.split(": ") for line in told(index, "variables"))
    if not results:
        source.Modality, source.Manufacturer, source.Rows, source.Columns = "US", "Acme", 480, 640
        scanned = EncodedDataset.scan(encode(source), 0, EXPLICIT_LE)
        assert [one.box for one in recipe.apply(scanned, Keys(), variables, masks=True).regions]
        return
    after = apply(recipe, source, EXPLICIT_LE, **variables)
    for path, *values in results:
        found = private_value(after, path) if path.startswith("(") else get(after, path)
        assert found == values[-1], path


def private(source: Dataset, path: str, value: str) -> None:
    group, creator, low = re.fullmatch(r'\((\w+),"([^"]+)",(\w+)\)', path).groups()  # type: ignore[union-attr]
    source.private_block(int(group, 16), creator, create=True).add_new(int(low, 16), "LO", value)


def private_value(source: Dataset, path: str) -> str:
    group, creator, low = re.fullmatch(r'\((\w+),"([^"]+)",(\w+)\)', path).groups()  # type: ignore[union-attr]
    return str(source.private_block(int(group, 16), creator)[int(low, 16)].value)


def test_the_guide_has_many_examples() -> None:
    assert len(EXAMPLES) > 9
