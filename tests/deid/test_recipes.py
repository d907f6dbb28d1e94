"""`DeidRecipe`: what it shows, and that what it shows is what is carried out."""

from __future__ import annotations

import pytest

from node.deid import DeidRecipe, replace_identifiers
from node.errors import RecipeError
from tests.deid.support import patient, recipe, write

TEXT = """FORMAT dicom
%labels
ADD Project trial
%values people
FIELD PatientID
SPLIT PatientName by="^";minlength=4
%fields dates
FIELD endswith:Date
%filter blacklist
LABEL Screens
contains ImageType SECONDARY || equals Modality OT
+ missing Rows
coordinates 0,0,10,20
keepcoordinates all
LABEL Ultrasound
present SequenceOfUltrasoundRegions
coordinates from:SequenceOfUltrasoundRegions
%header
REPLACE StudyInstanceUID func:generate_uid
REPLACE SeriesInstanceUID func:generate_uid # by the site
remove values:people
JITTER StudyDate -31
REMOVE PatientAge var:old
BLANK (0010,0030)
KEEP Modality
ADD FrameOfReferenceUID func:generate_uid
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "deid.dicom"
    path.write_text(TEXT)
    return path


def test_actions_are_dictionaries_in_the_order_of_the_lines(path):
    assert DeidRecipe(path).get_actions() == [
        {"action": "REPLACE", "field": "StudyInstanceUID", "value": "func:generate_uid"},
        {"action": "REPLACE", "field": "SeriesInstanceUID", "value": "func:generate_uid"},
        {"action": "REMOVE", "field": "values:people"},
        {"action": "JITTER", "field": "StudyDate", "value": "-31"},
        {"action": "REMOVE", "field": "PatientAge", "value": "var:old"},
        {"action": "BLANK", "field": "(0010,0030)"},
        {"action": "KEEP", "field": "Modality"},
        {"action": "ADD", "field": "FrameOfReferenceUID", "value": "func:generate_uid"},
    ]


def test_actions_are_found_by_action_by_field_and_by_both(path):
    mine = DeidRecipe(str(path))
    assert [a["field"] for a in mine.get_actions(action="remove")] == ["values:people", "PatientAge"]
    assert [a["action"] for a in mine.get_actions(field="frameofreferenceUID")] == ["ADD"]
    assert mine.get_actions(field="PatientID", action="REMOVE") == []


def test_the_other_sections_are_there(path):
    mine = DeidRecipe([path])
    assert mine.get_format() == mine.deid["format"] == "dicom"
    assert mine.ls_filters() == mine.listof("filter") == ["blacklist"]
    assert (mine.ls_valuelists(), mine.ls_fieldlists()) == (["people"], ["dates"])
    assert mine.get_labels() == [{"action": "ADD", "field": "Project", "value": "trial"}]
    assert mine.get_values_lists("people") == [
        {"action": "FIELD", "field": "PatientID"},
        {"action": "SPLIT", "field": "PatientName", "value": 'by="^";minlength=4'},
    ]
    assert mine.get_fields_lists() == {"dates": [{"action": "FIELD", "field": "endswith:Date"}]}
    screens, ultrasound = mine.get_filters("blacklist")
    assert screens == {
        "name": "LABEL Screens",
        "filters": [
            {
                "action": ["contains", "equals"],
                "field": ["ImageType", "Modality"],
                "operator": None,
                "InnerOperators": ["or"],
                "value": ["SECONDARY", "OT"],
            },
            {"action": ["missing"], "field": ["Rows"], "operator": "and", "InnerOperators": [], "value": []},
        ],
        "coordinates": [[0, "0,0,10,20"], [1, "all"]],
    }
    assert ultrasound["coordinates"] == [[0, "from:SequenceOfUltrasoundRegions"]]
    assert (mine.has_actions(), mine.has_values_lists(), mine.has_fields_lists()) == (True, True, True)


def test_a_section_that_is_absent_is_none_and_a_name_that_is_absent_has_no_lines(path):
    empty = DeidRecipe({"format": "dicom"})
    assert (empty.get_filters(), empty.get_values_lists("x"), empty.get_fields_lists()) == (None, None, None)
    assert (empty.get_actions(), empty.get_labels(), empty.ls_filters()) == ([], [], [])
    assert (empty.has_actions(), empty.has_values_lists(), empty.has_fields_lists()) == (False, False, False)
    assert DeidRecipe(path).get_filters("x") == []


def test_a_recipe_becomes_a_dictionary_and_a_recipe_again(path):
    mine = DeidRecipe(path)
    again = DeidRecipe(mine.deid)
    assert again.deid == mine.deid
    assert [str(rule.action) for rule in again.compiled.rules] == [str(rule.action) for rule in mine.compiled.rules]
    assert [label.lines[0].words for label in again.compiled.filters[0].labels] == [
        "ImageType contains SECONDARY or Modality equals OT",
        "SequenceOfUltrasoundRegions present ",
    ]


def test_several_recipes_are_one_and_the_base_comes_first(path):
    mine = DeidRecipe([str(path), recipe("REMOVE PatientID")], base=True)
    research = DeidRecipe("research").get_actions()
    assert mine.get_actions()[: len(research)] == research
    assert mine.get_actions()[-1] == {"action": "REMOVE", "field": "PatientID"}
    loaded = DeidRecipe(path)
    loaded.load(recipe("REMOVE PatientID"))
    assert loaded.get_actions() == [*DeidRecipe(path).get_actions(), {"action": "REMOVE", "field": "PatientID"}]


def test_what_cannot_be_loaded_behind_a_recipe_leaves_it_as_it_was():
    mine = DeidRecipe(recipe("REMOVE PatientID"))
    with pytest.raises(RecipeError):
        mine.load(recipe("REMOVE PatientsID"))
    assert mine.get_actions() == [{"action": "REMOVE", "field": "PatientID"}]
    assert [rule.selector.text for rule in mine.compiled.rules] == ["PatientID"]


def test_a_recipe_that_was_changed_is_carried_out_as_it_shows(tmp_path):
    file = write(tmp_path / "a.dcm", patient())
    mine = DeidRecipe(recipe("REMOVE PatientID"))
    assert "PatientName" in replace_identifiers(file, deid=mine, save=False)[0]
    mine.deid["header"].append({"action": "REMOVE", "field": "PatientName"})
    ds = replace_identifiers(file, deid=mine, save=False)[0]
    assert "PatientName" not in ds
    assert "PatientID" not in ds
    assert "PatientName" not in replace_identifiers(file, deid=[mine], save=False)[0]
    mine.deid["header"][0]["field"] = "PatientsID"
    with pytest.raises(RecipeError):
        replace_identifiers(file, deid=mine)
    with pytest.raises(RecipeError):
        replace_identifiers(file, deid=[mine])


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        "absent/deid.dicom",
        "absent.dicom",
        "dicom",
        {},
        {"format": "nifti"},
        {"format": "dicom", "headers": []},
        {"format": "dicom", "header": [{"action": "REMOVE"}]},
        {"format": "dicom", "header": [{"action": "REPLACE", "field": "PatientID", "value": "a\nKEEP ALL"}]},
        {"format": "dicom", "header": [{"action": "REPLACE", "field": "PatientID", "value": "a # b"}]},
        {"format": "dicom", "header": [{"action": "Remove this", "field": "PatientID"}]},
        {"format": "dicom", "filter": {"x": [{"filters": [{}], "coordinates": []}]}},
    ],
    ids=str,
)
def test_no_recipe_is_an_error_and_nothing_is_cleaned(wrong, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dicom").mkdir()
    (tmp_path / "dicom/deid").write_text("FORMAT dicom\n%header\nKEEP ALL\n")
    file = write(tmp_path / "a.dcm", patient())
    with pytest.raises(RecipeError):
        replace_identifiers(file, deid=wrong, output_folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_hardly_meant_is_a_warning():
    lines = {"action": ["missing"], "field": ["Rows"], "operator": "or", "InnerOperators": [], "value": []}
    with pytest.warns(UserWarning, match="Lines are joined by AND") as warned:
        DeidRecipe({"format": "dicom", "filter": {"x": [{"filters": [lines], "coordinates": [], "name": "LABEL a"}]}})
    assert warned[0].filename == __file__


def test_every_fault_is_named_with_file_and_line(tmp_path):
    path = tmp_path / "mine.dicom"
    path.write_text("FORMAT dicom\n%header\nREMOVED PatientID\nREMOVE PatientsName\n")
    with pytest.raises(RecipeError) as refused:
        DeidRecipe(path)
    assert [(fault.file, fault.line) for fault in refused.value.faults] == [(str(path), 3), (str(path), 4)]
