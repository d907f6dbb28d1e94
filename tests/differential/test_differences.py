"""Where ours differs from pydicom/deid on purpose, beside the rows of the language: what each of the two does."""

from __future__ import annotations

import pytest

from node.errors import RecipeError
from node.recipe import RecipeText, load_recipe, read_recipe
from tests.differential.matrix import recipe
from tests.differential.peer import by_deid, by_ours, ours
from tests.differential.rows import encoded, plain

pytest.importorskip("deid")


def test_lists_and_filters_of_a_second_recipe_are_kept(tmp_path):
    from deid.config import DeidRecipe

    first = recipe(
        "%filter x", "LABEL a", "present Rows", "%values v", "FIELD PatientID", "%header", "REMOVE PatientName"
    )
    second = recipe(
        "%filter x", "LABEL b", "present Rows", "%values w", "FIELD PatientID", "%header", "REMOVE PatientID"
    )
    for name, text in (("first", first), ("second", second)):
        (tmp_path / name).write_text(text)
    theirs = DeidRecipe([str(tmp_path / "first"), str(tmp_path / "second")])
    mine = load_recipe([RecipeText("first", first), RecipeText("second", second)])
    assert [label["name"] for label in theirs.get_filters("x")] == ["LABEL b"]
    assert [label.name for label in mine.filters[0].labels] == ["a", "b"]
    assert theirs.ls_valuelists() == ["v"]
    assert [section.name for section in mine.lists] == ["v", "w"]
    assert [rule.selector.text for rule in mine.rules] == [action["field"] for action in theirs.get_actions()]


def test_items_in_unknown_bytes_are_met_too(tmp_path):
    source = plain()
    source.add_new(0x00090010, "LO", "SYNTHETIC")
    item = b"\x10\x00\x20\x00\x04\x00\x00\x00E123"
    source.add_new(0x00091001, "UN", b"\xfe\xff\x00\xe0" + len(item).to_bytes(4, "little") + item)
    data, text = encoded(source), recipe("%header", "REMOVE PatientID")
    theirs, mine = by_deid(data, text, tmp_path, {})[0], by_ours(data, ours(text), {})[0]
    assert b"E123" in theirs["(0009,1001)"][1]
    assert b"E123" not in mine["(0009,1001)"][1]


def test_an_unknown_recipe_is_refused(tmp_path):
    from deid.config import DeidRecipe

    assert DeidRecipe(str(tmp_path / "gone")).deid is None
    with pytest.raises(RecipeError):
        read_recipe(tmp_path / "gone")
