"""Every example of the page about recipes does what the page says."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from node.errors import HoldInstance, HoldReason, RecipeError
from node.recipe import BUILT_IN, EncodedDataset, Functions, load_functions, load_recipe
from node.recipe.deid_functions import PARAMETERS
from node.recipe.header import Action
from node.recipe.language import SECTIONS, RecipeText
from node.recipe.profile import CODES
from node.syntaxes import EXPLICIT_LE
from tests.recipe.support import Keys, apply, encode

PAGE = (Path(__file__).parents[2] / "docs/recipes.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STEP = re.compile(r"(?P<name>[^.\[]+)(?:\[(?P<item>\d+)\])?")


@dataclass
class Example:
    recipe: str
    line: int
    parts: dict[str, list[str]] = field(default_factory=dict)


def examples() -> list[Example]:
    found: list[Example] = []
    for match in BLOCK.finditer(PAGE):
        kind, text = match[1], match[2]
        if kind == "recipe":
            found.append(Example(text, PAGE.count("\n", 0, match.start()) + 1))
        elif kind != "python":
            found[-1].parts[kind] = text.splitlines()
    return found


def whole(recipe: str) -> tuple[RecipeText, int]:
    """The recipe with what the page leaves out, and how many lines that is."""
    head = "" if "FORMAT" in recipe else "FORMAT dicom\n"
    head += "" if "%" in recipe else "%header\n"
    return RecipeText("r.dicom", head + recipe), head.count("\n")


@dataclass(frozen=True)
class Line:
    path: str
    before: str
    after: str


def result_lines(example: Example) -> list[Line]:
    lines = []
    for text in example.parts.get("result", []):
        path, _, values = text.partition(": ")
        before, arrow, after = values.partition(" → ")
        lines.append(Line(path, before, after if arrow else before))
    return lines


def tag_of(name: str) -> int:
    return int(name[1:5] + name[6:10], 16) if name.startswith("(") else tag_for_keyword(name)


def put(source: Dataset, path: str, value: str) -> None:
    if value == "absent":
        return
    *parents, name = path.split(".") if not path.startswith("(") else [path]
    for parent in parents:
        step = STEP.fullmatch(parent)
        tag = tag_of(step["name"])
        if tag not in source:
            source.add_new(tag, "SQ", [])
        while len(source[tag].value) <= int(step["item"]):
            source[tag].value.append(Dataset())
        source = source[tag].value[int(step["item"])]
    if name.startswith("("):
        source.add_new(tag_of(name), "LT" if name.startswith("(60") else "LO", value)
    else:
        setattr(source, name, int(value) if name == "Rows" else value)


def get(source: Dataset, path: str) -> str:
    *parents, name = path.split(".") if not path.startswith("(") else [path]
    for parent in parents:
        step = STEP.fullmatch(parent)
        tag = tag_of(step["name"])
        if tag not in source:
            return "removed"
        source = source[tag].value[int(step["item"])]
    if tag_of(name) not in source:
        return "removed"
    value = source[tag_of(name)].value
    return (
        "empty"
        if value in ("", None)
        else "\\".join(map(str, value))
        if not isinstance(value, str | int) and hasattr(value, "append")
        else str(value)
    )


@pytest.fixture(scope="module")
def functions(tmp_path_factory) -> Functions:
    path = tmp_path_factory.mktemp("functions") / "my_functions.py"
    path.write_text("\n".join(m[2] for m in BLOCK.finditer(PAGE) if m[1] == "python"))
    return load_functions([path])


@pytest.mark.parametrize("example", examples(), ids=lambda example: f"line{example.line}")
@pytest.mark.filterwarnings("ignore")
def test_an_example_does_what_the_page_says(example, functions):
    text, added = whole(example.recipe)
    if "fault" in example.parts:
        with pytest.raises(RecipeError) as refused:
            load_recipe([text], functions=functions)
        faults = [f"{fault.line - added}: {fault.problem} {fault.hint}".strip() for fault in refused.value.faults]
        assert faults == example.parts["fault"]
        return
    source, lines = Dataset(), result_lines(example)
    for line in lines:
        put(source, line.path, line.before)
    recipe = load_recipe([text], functions=functions)
    variables = dict(line.split(": ") for line in example.parts.get("variables", []))
    if "held" in example.parts:
        with pytest.raises(HoldInstance) as held:
            apply(recipe, source, **variables)
        assert str(held.value).splitlines() == example.parts["held"]
        return
    assert lines
    if "masked" in example.parts:
        scanned = EncodedDataset.scan(encode(source), 0, EXPLICIT_LE)
        regions = recipe.apply(scanned, Keys(), variables, masks=True).regions
        shown = [f"{'keep ' if one.keep else ''}{','.join(map(str, one.box))}" for one in regions]
        assert shown == example.parts["masked"]
        return
    again = apply(recipe, source, **variables)
    for line in lines:
        expected = re.escape(line.after).replace("…", ".+")
        assert re.fullmatch(expected, get(again, line.path)), (line, get(again, line.path))


def test_the_page_names_every_word_of_the_language():
    words = [*Action, *CODES, *(f"%{name}" for name in SECTIONS), *BUILT_IN, *PARAMETERS]
    words += [word for parameters in PARAMETERS.values() for word in parameters]
    words += ["startswith:", "endswith:", "contains:", "except:", "select:VR", "select:group", "select:private"]
    words += [
        "select:standard",
        "fields:",
        "values:",
        "var:",
        "func:",
        "deid_func:",
        "FIELD",
        "SPLIT",
        "by=",
        "minlength=",
    ]
    words += ["contains", "notcontains", "equals", "notequals", "missing", "present", "empty", "coordinates"]
    words += ["ctpcoordinates", "keepcoordinates", "ctpkeepcoordinates", "from:", "LABEL", "FORMAT", "splitval="]
    assert [word for word in words if word not in PAGE] == []
    assert str(HoldReason.PIXEL_RISK) in PAGE
