"""Where ours differs from pydicom/deid on purpose: what each of the two does (language page, section 7)."""

from __future__ import annotations

import io
import re

import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from node.errors import HoldInstance, HoldReason, RecipeError
from node.recipe import RecipeText, load_recipe
from tests.differential.matrix import recipe
from tests.differential.peer import (
    DeidFailed,
    by_deid,
    by_ours,
    filtered_by_deid,
    filtered_by_ours,
    ours,
)
from tests.recipe.support import dataset

pytest.importorskip("deid")

ID, NAME, DATE, TIME = "(0010,0020)", "(0010,0010)", "(0008,0020)", "(0008,0030)"


def patient(**values: object) -> Dataset:
    return dataset(
        **{
            "SOPClassUID": "1.2.9",
            "SOPInstanceUID": "1.2.3",
            "StudyDate": "20230115",
            "StudyTime": "101112",
            "Modality": "CT",
            "PatientName": "Simpson^Homer",
            "PatientID": "E123",
            "Rows": 4,
        }
        | values
    )


@pytest.fixture
def both(tmp_path):
    """What both sides make of a data set; None where a side refuses."""

    def run(source: Dataset, *lines: str, sections: tuple[str, ...] = ("%header",), **variables: object):
        data, text = encoded(source), recipe(*sections, *lines)
        try:
            theirs = by_deid(data, text, tmp_path, variables)[0]
        except DeidFailed:
            theirs = None
        try:
            mine = by_ours(data, ours(text), variables)[0]
        except (RecipeError, HoldInstance) as error:
            return theirs, error
        return theirs, mine

    return run


def encoded(source: Dataset) -> bytes:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.9", "1.2.3"
    stream = io.BytesIO()
    FileDataset(stream, source, file_meta=meta, preamble=b"\0" * 128).save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@pytest.mark.parametrize("line", ["REMOVE PatientID # note", "REMOVE PatientID var:id # note"])
def test_a_comment_behind_a_line_is_a_comment(both, line):
    theirs, mine = both(patient(), line, id="x")
    assert ID in theirs
    assert ID not in mine


def test_a_comment_behind_a_value_is_no_part_of_it(both):
    theirs, mine = both(patient(), "REPLACE PatientID Anon # note", "ADD StudyID var:id # note", id="x")
    assert "(0020,0010)" not in theirs
    assert (mine[ID][1], mine["(0020,0010)"][1]) == ("Anon", "x")


@pytest.mark.parametrize("word", ["remove", "Remove", "blank"])
def test_an_action_in_another_case_is_the_action(both, word):
    theirs, mine = both(patient(), f"{word} PatientID")
    assert theirs[ID][1] == "E123"
    assert mine.get(ID, ("", ""))[1] == ""


@pytest.mark.parametrize(
    "line",
    [
        "REMOVED PatientID",
        "DELETE PatientID",
        "REMOVE PatientsID",
        "REMOVE allexcept:Modality",
        "REMOVE fields:p",
        "REMOVE FIELDS:p",
        "REMOVE values:p",
        "REPLACE PatientID deid_func:simple",
        "REMOVE 0010,0020",
        "REMOVE 0x00100020",
        "REMOVE RequestAttributesSequence__0__PatientID",
    ],
)
def test_what_is_ignored_in_silence_is_a_fault(both, line):
    theirs, mine = both(patient(), line)
    assert theirs[ID][1] == "E123"
    assert isinstance(mine, RecipeError)


@pytest.mark.parametrize("line", ["REPLACE PatientID var:missing", "REPLACE PatientID func:missing"])
def test_a_missing_variable_or_function_holds_and_never_leaves_the_original(both, line):
    theirs, mine = both(patient(), "REMOVE PatientID", line)
    assert theirs[ID][1] == "E123"
    assert mine.reason in (HoldReason.VARIABLE_MISSING, HoldReason.FUNCTION_FAILED)


@pytest.mark.parametrize("name", ["Simpson^Homer", "a+b", "x(y)"])
def test_the_text_of_a_value_is_no_pattern(both, name):
    theirs, mine = both(
        patient(PatientName=name), "REMOVE values:p", sections=("%values p", "FIELD PatientName", "%header")
    )
    assert NAME in theirs
    assert NAME not in mine


def test_a_value_that_is_no_pattern_at_all_ends_the_other_side(both):
    theirs, mine = both(
        patient(PatientName="Smith (MD"), "REMOVE values:p", sections=("%values p", "FIELD PatientName", "%header")
    )
    assert theirs is None
    assert NAME not in mine


def test_empty_values_match_nothing(both):
    source = patient(OtherPatientIDs=["A1", ""])
    theirs, mine = both(source, "REMOVE values:p", sections=("%values p", "FIELD OtherPatientIDs", "%header"))
    assert ID not in theirs
    assert ID in mine


def test_an_absent_value_is_not_the_word_none(both):
    source = patient(ImageType=["ORIGINAL", "NONE"], SliceThickness=None)
    theirs, mine = both(source, "REMOVE values:p", sections=("%values p", "SPLIT SliceThickness", "%header"))
    assert "(0008,0008)" not in theirs
    assert "(0008,0008)" in mine


def test_a_sequence_is_searched_for_its_values_and_not_for_names_and_tags(both):
    source = patient(PatientID="Code", RequestAttributesSequence=[dataset(CodeValue="1")])
    theirs, mine = both(source, "REMOVE values:p", sections=("%values p", "FIELD PatientID", "%header"))
    assert "(0040,0275)" not in theirs
    assert "(0040,0275)" in mine


def test_a_regular_expression_is_used_as_written(both):
    theirs, mine = both(patient(), r"REMOVE contains:^Patient\SD$")
    assert ID in theirs
    assert ID not in mine


def test_equals_takes_alternatives(tmp_path):
    text = recipe("%filter x", "LABEL a", "equals Modality CT|MR")
    data = encoded(patient())
    assert not filtered_by_deid(data, text, tmp_path)["flagged"]
    assert filtered_by_ours(data, text)["flagged"]


def test_a_test_without_a_value_leaves_the_next_one_its_own(tmp_path):
    text = recipe("%filter x", "LABEL a", "missing Modality || contains PatientID E1")
    data = encoded(patient())
    assert not filtered_by_deid(data, text, tmp_path)["flagged"]
    assert filtered_by_ours(data, text)["flagged"]


def test_a_comment_behind_a_criterion_is_a_comment(tmp_path):
    text = recipe("%filter x", "LABEL a", "contains Modality CT # note")
    data = encoded(patient())
    assert not filtered_by_deid(data, text, tmp_path)["flagged"]
    assert filtered_by_ours(data, text)["flagged"]


def test_a_line_that_begins_with_or_is_and_on_both_sides(tmp_path):
    text = recipe("%filter x", "LABEL a", "contains Modality CT", "|| contains Modality MR")
    data = encoded(patient())
    assert not filtered_by_deid(data, text, tmp_path)["flagged"]
    assert not filtered_by_ours(data, text)["flagged"]
    assert len(ours(text).warnings) == 1


def test_the_options_of_split_are_those_of_its_documentation(both):
    line = "SPLIT PatientName splitval='^';minlength='4'"
    theirs, mine = both(patient(), "REMOVE values:p", sections=("%values p", line, "%header"))
    assert theirs is None
    assert NAME not in mine
    theirs, mine = both(patient(), "REMOVE values:p", sections=("%values p", "SPLIT PatientName splitval=^", "%header"))
    assert NAME in theirs
    assert NAME not in mine


def test_simple_uuid_exists(both):
    theirs, mine = both(patient(), "REPLACE PatientID deid_func:simple_uuid")
    assert theirs[ID][1] == "E123"
    assert re.fullmatch("[0-9a-f-]{36}", mine[ID][1])


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("basic_uuid", "[0-9a-f-]{36}"),
        ("suffix_uuid", "patientid-[0-9a-f-]{36}"),
        ("dicom_uuid", r"anonymous-organization\.[0-9]{30,41}"),
        ("dicom_uuid org_root=1.2", r"1\.2\.[0-9]{30,39}"),
    ],
)
def test_what_is_random_has_the_same_form_on_both_sides(both, name, pattern):
    for side in both(patient(), f"REPLACE PatientID deid_func:{name}"):
        assert re.fullmatch(pattern, side[ID][1])


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


def test_keep_of_a_path_keeps_just_that_one(both):
    source = patient(RequestAttributesSequence=[dataset(PatientID="nested")])
    theirs, mine = both(source, "KEEP RequestAttributesSequence__PatientID", "REMOVE PatientID")
    assert "(0040,0275)__0__(0010,0020)" not in theirs
    assert "(0040,0275)__0__(0010,0020)" in mine
    assert ID not in mine


def test_keep_of_a_list_keeps_what_it_names(both):
    theirs, mine = both(patient(), "KEEP fields:k", "REMOVE ALL", sections=("%fields k", "FIELD PatientID", "%header"))
    assert ID not in theirs
    assert ID in mine


@pytest.mark.parametrize("keyword", ["StudyTime", "PatientWeight", "SeriesNumber"])
def test_jitter_of_what_is_no_date_is_refused(both, keyword):
    theirs, mine = both(patient(PatientWeight="99.5", SeriesNumber="7"), f"JITTER {keyword} 1")
    assert isinstance(mine, RecipeError)
    before, _ = both(patient(PatientWeight="99.5", SeriesNumber="7"), "KEEP Modality")
    assert theirs != before


@pytest.mark.parametrize("date", ["2023", "230115", "2023.01.15", "UNKNOWN"])
@pytest.mark.filterwarnings("ignore")
def test_jitter_of_what_is_no_full_date_holds(both, date):
    _, mine = both(patient(StudyDate=date), "JITTER StudyDate 1")
    assert mine.reason is HoldReason.ACTION_FAILED


def test_jitter_of_a_date_and_time_keeps_its_precision(both):
    source = patient(AcquisitionDateTime="20230115101112")
    theirs, mine = both(source, "JITTER AcquisitionDateTime 1")
    assert theirs["(0008,002A)"][1] == "20230116101112.000000"
    assert mine["(0008,002A)"][1] == "20230116101112"


@pytest.mark.parametrize(
    "line", ["REPLACE Rows ANON", "REPLACE PatientBirthDate ANON", "REPLACE SOPInstanceUID foo bar"]
)
def test_a_value_that_the_vr_refuses_is_a_fault_where_the_vr_is_known(both, line):
    theirs, mine = both(patient(PatientBirthDate="20000101"), line)
    assert theirs is not None
    assert isinstance(mine, RecipeError)


def test_a_value_that_the_vr_refuses_holds_elsewhere(both):
    theirs, mine = both(patient(), "REPLACE select:group:0028 ANON")
    assert theirs["(0028,0010)"][1] == "4"
    assert mine.reason is HoldReason.ACTION_FAILED


def test_a_repeating_group_is_meant_by_its_keyword(both):
    source = patient()
    source.add_new(0x60003000, "OW", b"\0\0")
    source.add_new(0x60023000, "OW", b"\0\0")
    theirs, mine = both(source, "REMOVE OverlayData")
    assert len([path for path in theirs if path.startswith("(60")]) == 2
    assert not [path for path in mine if path.startswith("(60")]


def test_a_class_uid_is_changed_only_by_a_line_that_names_it(both):
    _, mine = both(patient(), "REMOVE select:VR:UI")
    assert "(0008,0018)" not in mine
    data = encoded(patient())
    from node.part10 import read_file_meta
    from node.recipe import EncodedDataset
    from node.syntaxes import EXPLICIT_LE
    from tests.recipe.support import Keys

    scanned = EncodedDataset.scan(data, read_file_meta(data)[1], EXPLICIT_LE)
    assert ours(recipe("%header", "REMOVE select:VR:UI")).apply(scanned, Keys(), {}).text(0x00080016) == "1.2.9"


def test_the_same_tag_inside_itself_works(both):
    source = patient(ContentSequence=[dataset(TextValue="a", ContentSequence=[dataset(TextValue="b")])])
    theirs, mine = both(source, "REMOVE ContentSequence")
    assert theirs is None
    assert "(0040,A730)" not in mine


def test_a_literal_for_a_sequence_is_refused(both):
    source = patient(RequestAttributesSequence=[])
    theirs, mine = both(source, "REPLACE RequestAttributesSequence X")
    assert theirs is None
    assert isinstance(mine, RecipeError)


def test_remove_has_no_condition_on_values(both):
    theirs, mine = both(patient(), "REMOVE ALL contains:nothing")
    assert ID not in theirs
    assert isinstance(mine, RecipeError)


def test_items_in_unknown_bytes_are_met_too(both):
    source = patient()
    source.add_new(0x00090010, "LO", "SYNTHETIC")
    item = b"\x10\x00\x20\x00\x04\x00\x00\x00E123"
    source.add_new(0x00091001, "UN", b"\xfe\xff\x00\xe0" + len(item).to_bytes(4, "little") + item)
    theirs, mine = both(source, "REMOVE PatientID")
    assert b"E123" in theirs["(0009,1001)"][1]
    assert b"E123" not in mine["(0009,1001)"][1]


def test_an_apostrophe_in_a_value_stays(both):
    theirs, mine = both(patient(), "REPLACE PatientID Patient's data")
    assert theirs[ID][1] == "Patient s data"
    assert mine[ID][1] == "Patient's data"


def test_a_function_always_gets_a_text_as_field(both):
    seen: list[object] = []

    def function(item, value, field, dicom):
        seen.append((isinstance(field, str), getattr(field, "name", None)))
        return "x"

    both(patient(), "REPLACE PatientID func:f", "ADD StudyID func:f", f=function)
    assert seen == [(False, "PatientID"), (True, None), (True, "PatientID"), (True, "StudyID")]


def test_an_unknown_recipe_is_refused(tmp_path):
    from deid.config import DeidRecipe

    from node.recipe import read_recipe

    assert DeidRecipe(str(tmp_path / "gone")).deid is None
    with pytest.raises(RecipeError):
        read_recipe(tmp_path / "gone")
