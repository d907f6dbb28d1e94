"""The site's own functions (language page section 7, contract "Cleaning")."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from node.errors import HoldInstance, HoldReason, RecipeError
from node.recipe import EncodedDataset, Functions, Recipe, load_functions, load_recipe
from node.syntaxes import EXPLICIT_LE
from tests.recipe.support import Keys, apply, dataset, encode, text

SOURCE = dataset(
    SOPInstanceUID="1.2.3",
    StudyDate="20230115",
    Modality="CT",
    PatientID="SECRET1",
    ContentSequence=[dataset(PatientID="SECRET2")],
    Rows=4,
)
SOURCE.ImageType = ["ORIGINAL", "PRIMARY"]

FILE = '''
"""Functions of a test."""
import uuid
from os.path import basename  # an import is no function of the file
SEEN = []

def generate(item, value, field, dicom):
    """As in the documentation of the original."""
    prefix = field.lower().replace(" ", " ")
    return prefix + "-" + str(uuid.UUID(int=7))

def look(item, value, field, dicom):
    SEEN.append((dict(item), value, str(field), field.name, field.keyword, field.tag, field.uid,
                 field.element.value if field.element is not None else None,
                 dicom.PatientID, "PixelData" in dicom, field.element is not None and field.element.is_private))
    return "x"

def is_private(item, value, field, dicom): return field.element.is_private
def is_ct(*, item, value, field, dicom): return dicom.Modality == "CT"
def days(**given): return 3
def number(item, value, field, dicom): return 7
def many(item, value, field, dicom): return ["A", "B"]
def nothing(item, value, field, dicom): return None
def odd(item, value, field, dicom): return {}
def fails(item, value, field, dicom): raise ValueError("about " + dicom.PatientID)
def leaves(item, value, field, dicom): raise SystemExit(dicom.PatientID)
def current(item, value, field, dicom): return field.element.value + "!"
def changes(item, value, field, dicom):
    for change in (lambda: setattr(dicom, "PatientID", "x"), lambda: dicom.pop(0x00100020), lambda: dicom.clear(),
                   lambda: setattr(dicom.ContentSequence[0], "PatientID", "x"),
                   lambda: setattr(dicom["PatientID"], "value", "x"), lambda: dicom.add_new(0x00100010, "PN", "x"),
                   lambda: delattr(dicom, "Modality")):
        try: change()
        except TypeError: continue
        return "changed"
    return dicom.PatientID + dicom.ContentSequence[0].PatientID
def _helper(): return 1
'''


@pytest.fixture
def functions(tmp_path) -> Functions:
    (tmp_path / "mine.py").write_text(FILE)
    return load_functions([tmp_path / "mine.py"])


def load(functions: Functions, *lines: str) -> Recipe:
    return load_recipe([text("%header", *lines)], functions=functions)


def done(functions: Functions, *lines: str, **variables: str):
    return apply(load(functions, *lines), SOURCE, **variables)


def test_a_function_replaces_and_adds_with_the_name_of_the_field(functions):
    again = done(
        functions, "REPLACE PatientID func:generate", "ADD StudyComments func:generate", "ADD PatientID func:generate"
    )
    assert again.PatientID == "patientid-00000000-0000-0000-0000-000000000007"
    assert again.StudyComments == "studycomments-00000000-0000-0000-0000-000000000007"
    assert again.ContentSequence[0].PatientID.startswith("contentsequence__patientid-")


def test_a_function_is_given_item_value_field_and_dicom(functions):
    done(functions, "REPLACE PatientID y", "REPLACE PatientID func:look", "ADD StudyID func:look", site="12")
    seen = functions.by_name["look"].__globals__["SEEN"]
    assert seen == [
        (
            {"site": "12"},
            "func:look",
            "PatientID",
            "PatientID",
            "PatientID",
            "(0010,0020)",
            "(0010,0020)",
            "y",
            "SECRET1",
            False,
            False,
        ),
        (
            {"site": "12"},
            "func:look",
            "ContentSequence__PatientID",
            "ContentSequence__PatientID",
            "PatientID",
            "(0010,0020)",
            "(0040,A730)__0__(0010,0020)",
            "y",
            "SECRET1",
            False,
            False,
        ),
        (
            {"site": "12"},
            "func:look",
            "StudyID",
            "StudyID",
            "StudyID",
            "(0020,0010)",
            "(0020,0010)",
            None,
            "SECRET1",
            False,
            False,
        ),
    ]


def test_remove_asks_a_function(functions):
    source = dataset(PatientID="1", ContentSequence=[dataset(PatientID="2")])
    source.add_new(0x00090010, "LO", "SYNTHETIC")
    source.add_new(0x00091001, "LO", "x")
    again = apply(load(functions, "REMOVE ALL func:is_private"), source)
    assert [e.keyword for e in again] == ["PatientID", "ContentSequence"]
    assert "PatientID" not in done(functions, "REMOVE PatientID func:is_ct")


def test_results_become_values(functions):
    again = done(functions, "REPLACE Rows func:number", "REPLACE ImageType func:many", "JITTER StudyDate func:days")
    assert (again.Rows, list(again.ImageType), again.StudyDate) == (7, ["A", "B"], "20230118")
    assert done(functions, "REPLACE PatientID a", "REPLACE PatientID func:current").PatientID == "a!"


def test_an_empty_sequence_is_looked_at_like_any_other(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "def f(item, value, field, dicom): return f'{len(dicom.RequestAttributesSequence)}{field.element.VR}'\n"
        "def g(item, value, field, dicom): return field.element.VR == 'SQ'\n"
    )
    source = dataset(PatientID="1", RequestAttributesSequence=[])
    again = apply(load(load_functions([path]), "REPLACE PatientID func:f", "REMOVE ALL func:g"), source)
    assert again.PatientID == "0LO"
    assert "RequestAttributesSequence" not in again


def test_nobody_can_change_the_original(functions):
    assert done(functions, "REPLACE PatientID func:changes").PatientID == "SECRET1SECRET2"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fails", "fails failed"),
        ("leaves", "leaves failed"),
        ("nothing", "returned nothing"),
        ("odd", "returned a dict"),
    ],
)
@pytest.mark.parametrize("line", ["REPLACE PatientID", "ADD PatientName", "REMOVE PatientID", "JITTER StudyDate"])
def test_what_a_function_cannot_do_holds_the_instance_without_a_value_in_error_or_log(
    functions, name, words, line, caplog
):
    with caplog.at_level(logging.ERROR), pytest.raises(HoldInstance) as held:
        done(functions, f"{line} func:{name}")
    assert held.value.reason is HoldReason.FUNCTION_FAILED
    assert words in str(held.value)
    assert "r.dicom:3" in held.value.detail
    # Also by a handler that is not the node's own, which would write what an exception says.
    shown = str(held.value) + caplog.text
    for record in caplog.records:
        shown += str(record.node_fields)
        assert "mine.py" in record.node_fields["trace"]
        assert "mine.py" in held.value.detail
    assert "SECRET" not in shown
    assert len(caplog.records) == (name in ("fails", "leaves"))


def test_a_result_that_the_vr_refuses_holds_the_instance(functions):
    with pytest.raises(HoldInstance) as held:
        done(functions, "REPLACE SOPInstanceUID func:generate")
    assert held.value.reason is HoldReason.ACTION_FAILED


def test_the_data_set_is_not_made_unless_a_function_looks(functions):
    # A value whose length pydicom would trip over: only looking at it shows.
    data = encode(dataset(PatientID="1")) + b"\x28\x00\x10\x00US\x01\x00x"
    source = EncodedDataset.scan(data, 0, EXPLICIT_LE)
    assert load(functions, "REPLACE PatientID func:generate").apply(source, Keys(), {}).changed


def test_the_hash_of_a_recipe_changes_with_the_functions_that_it_calls(functions, tmp_path):
    other = tmp_path / "other.py"
    other.write_text(FILE + "# changed\n")
    changed = load_functions([other])
    assert load(functions, "REPLACE PatientID func:look").hash != load(changed, "REPLACE PatientID func:look").hash
    assert load(functions, "REMOVE PatientID").hash == load(changed, "REMOVE PatientID").hash
    plain = load_recipe([text("%header", "REMOVE PatientID")])
    assert plain.hash == load(functions, "REMOVE PatientID").hash


def test_a_reload_sees_the_changed_file(tmp_path):
    path = tmp_path / "mine.py"
    for result in ("one", "two"):
        path.write_text(f"def f(item, value, field, dicom): return '{result}'\n")
        assert done(load_functions([path]), "REPLACE PatientID func:f").PatientID == result


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("def f(:\n", "SyntaxError in line 1"),
        ("import os\nimport no_such_module\n", "ModuleNotFoundError (no_such_module) in line 2"),
        ("raise SystemExit(3)\n", "SystemExit in line 1"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("def generate_uid(item, value, field, dicom): return ''\n", "generate_uid is a function of the node"),
        ("def f(item, value): return ''\n", "f does not take item, value, field and dicom"),
        ("def f(item, value, field, dicom, extra): return ''\n", "f does not take"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_fault_that_names_it(tmp_path, content, words):
    path = tmp_path / "broken.py"
    path.write_text(content)
    with pytest.raises(RecipeError) as refused:
        load_functions([path])
    assert str(path) in str(refused.value)
    assert words in str(refused.value)


def test_the_faults_of_all_files_come_at_once(tmp_path):
    (tmp_path / "a.py").write_text("def f(item, value, field, dicom): return ''\n")
    (tmp_path / "b.py").write_text("def f(item, value, field, dicom): return ''\n")
    with pytest.raises(RecipeError) as refused:
        load_functions([tmp_path / "a.py", tmp_path / "b.py", tmp_path / "none.py", tmp_path])
    text_of = str(refused.value)
    assert len(refused.value.faults) == 3
    assert "a.py too" in text_of
    assert "No such file" in text_of


def test_a_misspelled_function_is_a_fault_with_the_nearest_right_one(functions):
    with pytest.raises(RecipeError, match="Did you mean generate"):
        load(functions, "REPLACE PatientID func:generat")
    with pytest.raises(RecipeError, match="basename is no function"):
        load(functions, "REPLACE PatientID func:basename")
    with pytest.raises(RecipeError, match="_helper is no function"):
        load(functions, "REPLACE PatientID func:_helper")


def test_outside_the_node_a_function_may_come_with_the_variables_and_redefine_a_built_in(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def generate_uid(item, value, field, dicom): return field.lower() + '-1'\n")
    own = load_functions([path], in_node=False)
    lines = ("REPLACE SOPInstanceUID func:generate_uid", "REPLACE PatientID func:given")
    recipe = load_recipe([text("%header", *lines)], in_node=False, functions=own)
    again = apply(recipe, SOURCE, given=lambda item, value, field, dicom: dicom.Modality)
    assert again.SOPInstanceUID == "sopinstanceuid-1"
    assert again.PatientID == "CT"
    with pytest.raises(HoldInstance) as held:
        apply(recipe, SOURCE)
    assert held.value.reason is HoldReason.FUNCTION_FAILED


def test_a_path_may_be_anywhere(tmp_path):
    folder = Path(tmp_path / "with blank")
    folder.mkdir()
    (folder / "my-functions.py").write_text("def f(item, value, field, dicom): return 'x'\n")
    assert set(load_functions([folder / "my-functions.py"]).by_name) == {"f"}
