"""Several recipes together, and the section %labels (language page 1.4, 1.14, section 7)."""

from __future__ import annotations

import pytest

from node.errors import RecipeError
from node.recipe import load_recipe
from tests.recipe.support import apply, dataset, text


def test_the_lines_of_a_later_recipe_come_after_those_of_an_earlier_one():
    base = text("%header", "REMOVE PatientID", "ADD StudyID base", name="base")
    own = text("%header", "ADD PatientID own", "BLANK StudyID", name="own")
    source = dataset(PatientID="1", PatientName="A")
    again = apply(load_recipe([base, own]), source)
    assert (again.PatientID, again.StudyID) == ("own", "")
    again = apply(load_recipe([own, base]), source)
    assert ("PatientID" in again, again.StudyID) == (False, "base")


def test_keep_in_one_recipe_holds_against_the_other():
    base = text("%header", "REMOVE PatientID", name="base")
    assert "PatientID" in apply(load_recipe([base, text("%header", "KEEP PatientID")]), dataset(PatientID="1"))


def test_sections_may_repeat_and_stand_in_any_order():
    one = text(
        "%header", "REMOVE PatientID", "%labels", "ADD Project x", "%HEADER", "REMOVE StudyID", "%Labels", "KEEP y"
    )
    recipe = load_recipe([one, text("%labels", "LABEL nothing", "REPLACE Site a b # note", name="b")])
    assert len(apply(recipe, dataset(PatientID="1", StudyID="2"))) == 0
    assert [(line.action, line.field, line.value, line.where) for line in recipe.labels] == [
        ("ADD", "Project", "x", "r.dicom:5"),
        ("KEEP", "y", "", "r.dicom:9"),
        ("REPLACE", "Site", "a b", "b:4"),
    ]


@pytest.mark.parametrize("line", ["ADD Project", "REPLACED Project x", "REMOVE"])
def test_a_line_of_labels_has_the_form_of_an_action(line):
    with pytest.raises(RecipeError, match=r"r\.dicom:3"):
        load_recipe([text("%labels", line)])


def test_the_faults_of_all_recipes_come_at_once_in_their_order():
    first = text("%header", "REMOVE values:x", "REMOVE Foo", "%filter f", "LABEL a", name="a")
    with pytest.raises(RecipeError) as refused:
        load_recipe([first, text("%heade", name="b"), text("%header", "REMOVE Bar", name="c")])
    assert [(fault.file, fault.line) for fault in refused.value.faults] == [
        ("a", 3),
        ("a", 4),
        ("a", 6),
        ("b", 2),
        ("c", 3),
    ]
