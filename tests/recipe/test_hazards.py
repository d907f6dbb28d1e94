"""What pydicom/deid lets pass in silence, and what can be known when a recipe is loaded: each is a fault (5.1 H1-H32).

A fault names file, line, the text of the line, what is wrong, and the nearest right word or the remedy.
"""

from __future__ import annotations

import pytest

from node.config import Config
from node.errors import Fault, RecipeError
from node.recipe import RecipeText, load_functions, load_recipe, read_recipe
from node.routing import compile_routes
from tests.config.support import load, routes


def fault(*lines: str) -> Fault:
    """The one fault of a recipe, in its last line."""
    text = "\n".join(("FORMAT dicom", *lines))
    with pytest.raises(RecipeError) as refused:
        load_recipe([RecipeText("own/r.dicom", text)])
    (found,) = refused.value.faults
    assert (found.file, found.line, found.key) == ("own/r.dicom", len(lines) + 1, lines[-1].strip())
    return found


def test_h1_a_recipe_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(RecipeError) as refused:
        read_recipe(tmp_path / "gone.dicom")
    assert str(tmp_path / "gone.dicom") in str(refused.value)


def test_h1_no_recipe_at_all_is_refused():
    with pytest.raises(RecipeError):
        load_recipe([])


@pytest.mark.parametrize(
    ("word", "nearest"),
    [("REMOVED", "REMOVE"), ("REPLACES", "REPLACE"), ("BLANKED", "BLANK"), ("KEEPX", "KEEP"), ("JITER", "JITTER")],
)
def test_h2_a_word_that_is_no_action(word, nearest):
    found = fault("%header", f"{word} PatientName")
    assert found.problem == f"{word} is no action."
    assert found.hint == f"Did you mean {nearest}?"


def test_h2_an_action_in_another_case_is_that_action():
    for word in ("remove", "Remove", "rEMOVE"):
        load_recipe([RecipeText("r", f"FORMAT dicom\n%header\n{word} PatientName")])


def test_h3_a_comment_is_no_condition_and_no_part_of_a_name():
    recipe = load_recipe([RecipeText("r", "FORMAT dicom\n%header\nREMOVE PatientName # note\nADD StudyID var:id # n")])
    assert [rule.value and rule.value.text for rule in recipe.rules] == [None, "id"]


def test_h4_an_unknown_function():
    assert fault("%header", "REPLACE PatientID func:pseudonim").hint == "Did you mean pseudonym?"


def test_h4_an_unknown_function_of_deid():
    assert fault("%header", "REPLACE PatientID deid_func:dicom_uid").hint == "Did you mean dicom_uuid?"
    assert "suuid is no function" in fault("%header", "REPLACE PatientID deid_func:suuid").problem


def test_h4_a_variable_that_the_route_does_not_set(tmp_path):
    config: Config = load(tmp_path, routes("{calling_ae: [A]}"))
    (tmp_path / "own/careful.dicom").write_text("FORMAT dicom\n%header\nREPLACE PatientID var:site\n")
    with pytest.raises(RecipeError, match="needs the variable 'site'"):
        compile_routes(config)


def test_h4_a_prefix_in_capitals():
    assert fault("%header", "REPLACE PatientID VAR:id").hint == "Write var:id."
    assert fault("%header", "REPLACE PatientID Func:pseudonym").hint == "Write func:pseudonym."


@pytest.mark.parametrize(
    ("field", "hint"),
    [
        ("PatientsName", "Did you mean PatientName?"),
        ("OverlayComment", "Did you mean OverlayComments?"),
        ("contain:Patient", "Did you mean contains?"),
        ("allexcept:Patient", "Did you mean except?"),
        ("allfields", ""),
        ("select:VR", "Write select:vr:DA."),
        ("select:vrs:DA", "Did you mean VR?"),
        ("select:VR:DAT", None),
        ("select:VR:DX", "Did you mean"),
        ("RequestAttributesSequence__PatientsID", "Did you mean PatientID?"),
        ("RequestAttributesSequence__0__PatientID", ""),
        ("(0040,0275)__(0010,0020)", "Write (gggg,eeee)__0__(gggg,eeee), with the number of each item."),
        ("(60xx,3000)", ""),
        ("0010,0020", "Write (gggg,eeee) without blanks, or ggggeeee."),
        ("0x00100020", "Write (gggg,eeee) without blanks, or ggggeeee."),
        ("(0010, 0020)", "Write (gggg,eeee) without blanks."),
        ('"Patient ID"', ""),
        ("FIELDS:x", "Write a section %fields x."),
        ("values:names", "Write a section %values names."),
    ],
)
def test_h5_a_field_that_matches_nothing(field, hint):
    if hint is None:  # two letters of it are a VR, as in the original
        load_recipe([RecipeText("r", f"FORMAT dicom\n%header\nREMOVE {field}")])
    else:
        assert hint in fault("%header", f"REMOVE {field}").hint


def test_h5_a_misspelled_list():
    found = fault("%values names", "FIELD PatientName", "%header", "REMOVE values:name")
    assert found.hint == "Did you mean names?"
    found = fault("%values names", "FIELD PatientName", "%header", "REMOVE fields:names")
    assert found.problem == "There is no list %fields names."
    assert "Did you mean by?" in fault("%values names", "SPLIT PatientName bye=^").hint


def test_h5_a_misspelled_key_of_a_filter():
    assert fault("%filter x", "LABEL a", "contains Manfacturer ACME").hint == "Did you mean Manufacturer?"


@pytest.mark.parametrize("line", ["REPLACE Rows ANON", "REPLACE SliceThickness ANON", "ADD Rows 70000", "ADD Rows x"])
def test_h7_a_number_that_is_none(line):
    assert "does not take this value" in fault("%header", line).problem


@pytest.mark.parametrize(
    "line", ["REPLACE PatientBirthDate ANON", "REPLACE SOPInstanceUID foo bar", "REPLACE PatientSex anonymous"]
)
def test_h7_a_text_that_its_vr_does_not_allow(line):
    assert "does not take this value" in fault("%header", line).problem


def test_h9_a_criterion_that_can_never_be_met():
    assert "startswith is no line" in fault("%filter x", "LABEL a", "startswith Modality C").problem
    assert "needs a value" in fault("%filter x", "LABEL a", "equals Modality # nothing").problem
    assert "before any LABEL" in fault("%filter x", "equals Modality US").problem


def test_h9_a_line_that_begins_with_or_is_warned_of():
    text = "FORMAT dicom\n%filter x\nLABEL a\nequals Modality US\n|| equals Modality CT"
    (warning,) = load_recipe([RecipeText("own/r.dicom", text)]).warnings
    assert (warning.file, warning.line, warning.key) == ("own/r.dicom", 5, "|| equals Modality CT")


@pytest.mark.parametrize(
    "line", ["coordinates 5,5,1,1", "coordinates -1,0,5,5", "coordinates 1,2,3", "ctpcoordinates a,b,c,d"]
)
def test_h11_coordinates_that_mask_nothing(line):
    assert fault("%filter x", "LABEL a", line).problem


def test_h12_keep_of_one_element_is_written_as_a_path():
    load_recipe([RecipeText("r", "FORMAT dicom\n%header\nKEEP RequestAttributesSequence__PatientID\nREMOVE PatientID")])


def test_h13_and_h20_file_meta_information_is_the_nodes_own():
    assert "file meta" in fault("%header", "REPLACE MediaStorageSOPInstanceUID 1.2").problem
    assert "file meta" in fault("%header", "REMOVE select:group:0002").problem


def test_h18_a_recipe_is_a_shipped_name_or_a_path_and_never_searched_for(tmp_path, monkeypatch):
    (tmp_path / "dicom").mkdir()
    (tmp_path / "dicom/deid.dicom").write_text("FORMAT dicom\n%header\nKEEP ALL\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError):
        read_recipe(tmp_path / "dicom")


def test_h20_a_function_whose_uid_would_be_none():
    assert "no root of UIDs" in fault("%header", "REPLACE StudyInstanceUID deid_func:dicom_uuid org_root=me").problem
    assert "no prefix" in fault("%header", "REPLACE StudyInstanceUID deid_func:pydicom_uuid prefix=1.5").problem


@pytest.mark.parametrize("field", ["StudyTime", "PatientWeight", "select:VR:TM", "PatientName"])
def test_h23_jitter_of_what_has_no_date(field):
    assert "only DA and DT can be moved" in fault("%header", f"JITTER {field} 5").problem


def test_h23_days_that_are_no_whole_number():
    assert "whole days" in fault("%header", "JITTER StudyDate 1.5").problem


@pytest.mark.parametrize("condition", ["contains:X", "ANON", "False", "equals:x", "values:names"])
def test_h24_a_condition_on_values_that_remove_does_not_have(condition):
    found = fault("%values names", "FIELD PatientName", "%header", f"REMOVE ALL {condition}")
    assert found.problem == "REMOVE has no condition on values."
    assert "REMOVE values:NAME" in found.hint


@pytest.mark.parametrize("expression", ["contains:(", "startswith:[", "except:*", "endswith:a{2,1}"])
def test_h26_a_regular_expression_that_is_none(expression):
    assert "no regular expression" in fault("%header", f"REMOVE {expression}").problem


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("REMOVE PatientName",), "before any section"),
        (("%filter x", "LABEL a", "present Modality", "REMOVE PatientName"), "Write %header before it."),
        (("%values x", "REMOVE PatientName"), "Write %header before it."),
        (("%headers",), "Did you mean %header?"),
        (("% header",), "no section"),
        (("%header own",), "takes no name"),
        (("FORMAT nifti",), "FORMAT dicom"),
        (("%header", "REMOVE"), "names no field"),
        (("%header", "ADD PatientID"), "needs a value"),
        (("%header", "KEEP PatientID REMOVE PatientName"), "takes no value"),
        (("%header", "ADD ALL func:generate_uid"), "ADD names one element"),
        (("%header", "REPLACE RequestAttributesSequence X"), "A sequence takes no value"),
    ],
)
def test_h26_what_ends_or_confuses_the_original_is_a_fault_like_any_other(lines, words):
    found = fault(*lines)
    assert words in f"{found.problem} {found.hint}"


def test_h26_a_byte_order_mark_and_other_line_ends_do_no_harm():
    load_recipe([RecipeText("r", "\ufeffFORMAT dicom\r\n%header\r\nREMOVE PatientName\r\n")])


def test_a_protected_element_that_a_line_names():
    assert "protected" in fault("%header", "REMOVE PixelData").problem


def test_a_file_of_functions_that_redefines_a_built_in(tmp_path):
    (tmp_path / "f.py").write_text("def shift_date(item, value, field, dicom): return ''\n")
    with pytest.raises(RecipeError, match="shift_date is a function of the node"):
        load_functions([tmp_path / "f.py"])
