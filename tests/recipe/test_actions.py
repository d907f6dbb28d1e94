"""What the actions do, alone and with one another (language page 1.8, 1.9)."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from node.errors import HoldInstance, HoldReason
from node.syntaxes import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE
from tests.recipe.support import CELLS, LINES, STUDY_DATE, clean, cleaned, dataset, decode, encode


@pytest.mark.parametrize("syntax", [IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE], ids=["implicit", "explicit", "big"])
@pytest.mark.parametrize(("first", "second", "expected"), CELLS, ids=[f"{a}-{b}" for a, b, _ in CELLS])
def test_two_actions_on_one_element_end_as_the_interaction_table_says(first, second, expected, syntax):
    source = dataset(StudyDate=STUDY_DATE, StudyTime="1200", PatientName="A^B")
    result = clean(source, LINES[first], LINES[second], syntax=syntax)
    again = decode(result.tobytes(), syntax)
    assert again.get("StudyDate") == expected
    assert result.text(0x00080020) == expected
    assert again.StudyTime == "1200"
    assert again.PatientName == "A^B"


@pytest.mark.parametrize(("first", "second", "expected"), CELLS, ids=[f"{a}-{b}" for a, b, _ in CELLS])
def test_remove_all_interacts_like_remove(first, second, expected):
    lines = dict(LINES, REMOVE="REMOVE ALL")
    again = cleaned(dataset(StudyDate=STUDY_DATE), lines[first], lines[second])
    assert again.get("StudyDate") == expected


def nested() -> Dataset:
    inner = dataset(PatientID="inner", ReferencedSOPInstanceUID="1.2.3")
    middle = dataset(PatientID="middle", ReferencedImageSequence=[inner, dataset(PatientID="second")])
    return dataset(PatientID="top", RequestAttributesSequence=[middle])


def test_a_keyword_means_every_level():
    again = cleaned(nested(), "REPLACE PatientID X")
    assert again.PatientID == "X"
    item = again.RequestAttributesSequence[0]
    assert [item.PatientID, *(i.PatientID for i in item.ReferencedImageSequence)] == ["X", "X", "X"]


def test_a_path_id_means_one_element():
    again = cleaned(nested(), "REPLACE (0040,0275)__0__(0008,1140)__1__(0010,0020) X")
    item = again.RequestAttributesSequence[0]
    assert [again.PatientID, item.PatientID, *(i.PatientID for i in item.ReferencedImageSequence)] == [
        "top",
        "middle",
        "inner",
        "X",
    ]


def test_a_keyword_path_means_all_items_on_it():
    again = cleaned(nested(), "REMOVE RequestAttributesSequence__ReferencedImageSequence__PatientID")
    item = again.RequestAttributesSequence[0]
    assert "PatientID" in again
    assert "PatientID" in item
    assert not any("PatientID" in inner for inner in item.ReferencedImageSequence)


def test_keep_of_a_keyword_keeps_nested_ones_and_a_path_just_that_one():
    again = cleaned(nested(), "KEEP PatientID", "REPLACE PatientID X")
    assert again.RequestAttributesSequence[0].PatientID == "middle"
    again = cleaned(nested(), "KEEP RequestAttributesSequence__PatientID", "REPLACE PatientID X")
    assert again.PatientID == "X"
    assert again.RequestAttributesSequence[0].PatientID == "middle"
    assert again.RequestAttributesSequence[0].ReferencedImageSequence[0].PatientID == "X"


def test_keep_of_a_sequence_keeps_its_items_and_does_not_save_it_from_its_parent():
    assert clean(nested(), "KEEP RequestAttributesSequence", "KEEP PatientID", "REMOVE ALL").changed is False
    assert "RequestAttributesSequence" not in cleaned(
        nested(), "KEEP RequestAttributesSequence__ReferencedImageSequence", "REMOVE RequestAttributesSequence"
    )


def test_blank_of_a_sequence_leaves_no_items():
    for undefined in (False, True):
        source = nested()
        source["RequestAttributesSequence"].is_undefined_length = undefined
        encoded = encode(source)
        result = clean(encoded, "BLANK RequestAttributesSequence").tobytes()
        assert len(decode(result).RequestAttributesSequence) == 0
        assert (b"\xff\xff\xff\xff" in result) is undefined


def test_the_same_tag_inside_itself_works():
    deep = dataset(ContentSequence=[dataset(TextValue="a", ContentSequence=[dataset(TextValue="b")])])
    assert "ContentSequence" not in cleaned(deep, "REMOVE ContentSequence")
    assert cleaned(deep, "REPLACE TextValue X").ContentSequence[0].ContentSequence[0].TextValue == "X"


def test_add_makes_an_element_in_its_place_and_only_at_the_top():
    result = clean(nested(), "ADD PatientName A^B", "ADD 00100021 text", "ADD StudyID 1").tobytes()
    again = decode(result)
    assert [e.tag for e in again] == sorted(e.tag for e in again)
    assert again.PatientName == "A^B"
    assert again["IssuerOfPatientID"].VR == "ST"
    assert "PatientName" not in again.RequestAttributesSequence[0]


def test_add_by_digits_keeps_the_vr_of_an_element_that_exists():
    assert cleaned(dataset(PatientID="1"), "ADD 00100020 2")["PatientID"].VR == "LO"


def test_add_is_not_stopped_by_keep_and_later_lines_reach_what_it_made():
    assert "PatientID" not in cleaned(dataset(PatientID="1"), "KEEP PatientID", "ADD PatientID 2", "REMOVE PatientID")
    assert "StudyID" not in cleaned(dataset(PatientID="1"), "ADD StudyID 2", "REMOVE ALL")
    assert cleaned(dataset(PatientID="1"), "REMOVE ALL", "ADD StudyID 2").StudyID == "2"
    assert cleaned(dataset(PatientID="1"), "ADD StudyID 2", "BLANK StudyID").StudyID == ""


def test_remove_with_a_variable_is_conditional():
    assert "PatientID" not in cleaned(dataset(PatientID="1"), "REMOVE PatientID var:gone", gone="yes")
    assert "PatientID" in cleaned(dataset(PatientID="1"), "REMOVE PatientID var:gone", gone="")


@pytest.mark.parametrize(
    ("source", "line", "reason"),
    [
        (dataset(PatientID="1"), "REPLACE PatientID var:missing", HoldReason.VARIABLE_MISSING),
        (dataset(PatientID="1"), "REMOVE PatientID var:missing", HoldReason.VARIABLE_MISSING),
        (dataset(StudyDate="20230115"), "JITTER StudyDate var:missing", HoldReason.VARIABLE_MISSING),
        (dataset(StudyDate="2023"), "JITTER StudyDate 1", HoldReason.ACTION_FAILED),
        (dataset(StudyDate="00000000"), "REPLACE StudyDate func:shift_date", HoldReason.ACTION_FAILED),
        (dataset(AcquisitionDateTime="202301"), "JITTER AcquisitionDateTime 1", HoldReason.ACTION_FAILED),
        (dataset(StudyTime="1200"), "JITTER contains:Time 1", HoldReason.ACTION_FAILED),
        (dataset(Rows=5), "REPLACE select:group:0028 ANON", HoldReason.ACTION_FAILED),
        (nested(), "REPLACE contains:RequestAttributes X", HoldReason.ACTION_FAILED),
        (dataset(StudyDate="20230115"), "REPLACE StudyDate func:pseudonym", HoldReason.ACTION_FAILED),
        (dataset(PatientID="1"), "REPLACE PatientID Ä", HoldReason.ACTION_FAILED),
        (dataset(StudyDate="00010101"), "JITTER StudyDate -1", HoldReason.ACTION_FAILED),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_done_holds_the_instance_and_names_tag_and_line(source, line, reason):
    with pytest.raises(HoldInstance) as held:
        clean(source, line)
    assert held.value.reason is reason
    assert "r.dicom:3" in held.value.detail


@pytest.mark.filterwarnings("ignore")
def test_a_hold_has_no_value_of_the_data_set():
    with pytest.raises(HoldInstance) as held:
        clean(dataset(StudyDate="SECRET1"), "JITTER StudyDate 1")
    assert "SECRET" not in str(held.value)


def test_jitter_moves_whole_days_and_keeps_time_zone_and_empty_values():
    source = dataset(StudyDate="", AcquisitionDateTime="20231231235959.12+0100", DateOfSecondaryCapture="20240228")
    source.CalibrationDate = ["20230101", "20230102"]
    again = cleaned(source, "JITTER endswith:Date 1", "JITTER AcquisitionDateTime 1", "JITTER startswith:DateOf +1")
    assert again.StudyDate == ""
    assert again.AcquisitionDateTime == "20240101235959.12+0100"
    assert again.DateOfSecondaryCapture == "20240229"
    assert list(again.CalibrationDate) == ["20230102", "20230103"]


def test_functions_replace_uids_dates_and_the_patient():
    source = dataset(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.2",
        SOPInstanceUID="1.2.3",
        StudyInstanceUID="",
        PatientID="1",
        StudyDate="20230111",
        RelatedSeriesSequence=[dataset(StudyInstanceUID="1.2.3", ReferencedSOPClassUID="1.2.9")],
    )
    source.FailedSOPInstanceUIDList = ["1.2.3", "1.2.4"]
    again = cleaned(
        source,
        "REPLACE select:VR:UI func:generate_uid",
        "REPLACE PatientID func:pseudonym",
        "REPLACE select:VR:DA func:shift_date",
    )
    assert again.SOPClassUID == "1.2.840.10008.5.1.4.1.1.2"
    assert again.SOPInstanceUID.startswith("2.25.")
    assert again.StudyInstanceUID == ""
    assert again.FailedSOPInstanceUIDList[0] == again.SOPInstanceUID
    assert again.RelatedSeriesSequence[0].StudyInstanceUID == again.SOPInstanceUID
    assert again.RelatedSeriesSequence[0].ReferencedSOPClassUID == "1.2.9"
    assert again.PatientID == "PSEUDONYM1"
    assert again.StudyDate == "20230101"


def test_a_class_uid_changes_only_when_it_is_named_and_a_well_known_one_never_by_generate_uid():
    source = dataset(SOPClassUID="1.2.9")
    for line in ("REMOVE ALL", "REMOVE contains:UID", "BLANK select:VR:UI", "REPLACE select:group:0008 1.2"):
        assert cleaned(source, line).SOPClassUID == "1.2.9"
    assert cleaned(source, "REPLACE SOPClassUID func:generate_uid").SOPClassUID.startswith("2.25.")
    well_known = dataset(SOPClassUID="1.2.840.10008.1.1")
    assert cleaned(well_known, "REPLACE SOPClassUID func:generate_uid").SOPClassUID == "1.2.840.10008.1.1"


def test_add_of_a_uid_that_is_absent_makes_one_that_is_the_same_every_time():
    source = dataset(SOPInstanceUID="1.2.3")
    line = "ADD FrameOfReferenceUID func:generate_uid"
    assert cleaned(source, line).FrameOfReferenceUID.startswith("2.25.")
    assert clean(source, line).tobytes() == clean(source, line).tobytes()
