"""`deid_func:` in the node and outside (language page 1.7, contract)."""

from __future__ import annotations

import re
import uuid

import pytest
from pydicom.uid import UID, generate_uid

from node.errors import HoldInstance, HoldReason
from node.recipe import EncodedDataset, load_recipe
from node.syntaxes import EXPLICIT_LE
from tests.recipe.support import Keys, clean, cleaned, dataset, decode, encode, text

SOURCE = dataset(
    SOPClassUID="1.2.840.10008.5.1.4.1.1.2",
    SOPInstanceUID="1.2.3",
    StudyDate="20230115",
    PatientID="E123",
    PatientName="",
    StudyInstanceUID="1.2.4",
    ContentSequence=[dataset(PatientID="E123", StudyInstanceUID="1.2.4")],
)
SOURCE.FailedSOPInstanceUIDList = ["1.2.3", "1.2.4"]


def outside(source, *lines: str):
    recipe = load_recipe([text("%header", *lines)], in_node=False)
    return recipe.apply(EncodedDataset.scan(encode(source), 0, EXPLICIT_LE), Keys(), {})


@pytest.mark.parametrize("name", ["basic_uuid", "simple_uuid"])
def test_a_uuid_is_the_same_for_the_same_value_wherever_it_stands(name):
    again = cleaned(SOURCE, f"REPLACE PatientID deid_func:{name}", f"REPLACE PatientName deid_func:{name}")
    assert str(uuid.UUID(again.PatientID)) == again.PatientID
    assert again.ContentSequence[0].PatientID == again.PatientID
    assert again.PatientID == cleaned(SOURCE, "REPLACE PatientID deid_func:basic_uuid").PatientID
    # Where there is no value, it belongs to the instance.
    assert uuid.UUID(str(again.PatientName)) != uuid.UUID(again.PatientID)


def test_suffix_uuid_begins_with_the_name_and_its_parents():
    again = cleaned(SOURCE, "REPLACE PatientID deid_func:suffix_uuid")
    assert re.fullmatch(r"patientid-[0-9a-f-]{36}", again.PatientID)
    nested = again.ContentSequence[0].PatientID
    assert re.fullmatch(r"contentsequence__patientid-[0-9a-f-]{36}", nested)


def test_uids_are_keyed_well_known_ones_stay_and_references_hold():
    again = cleaned(
        SOURCE,
        "REPLACE SOPClassUID deid_func:pydicom_uuid",
        "REPLACE select:VR:UI deid_func:pydicom_uuid",
    )
    keys = Keys()
    assert again.SOPClassUID == "1.2.840.10008.5.1.4.1.1.2"
    assert again.StudyInstanceUID == keys.uid("1.2.4") == again.ContentSequence[0].StudyInstanceUID
    assert list(again.FailedSOPInstanceUIDList) == [keys.uid("1.2.3"), keys.uid("1.2.4")]
    other = cleaned(SOURCE, "REPLACE StudyInstanceUID deid_func:dicom_uuid org_root=1.2.826.0.1")
    assert other.StudyInstanceUID.startswith("1.2.826.0.1.")
    assert UID(other.StudyInstanceUID).is_valid
    assert other.ContentSequence[0].StudyInstanceUID == other.StudyInstanceUID
    prefixed = cleaned(SOURCE, "REPLACE StudyInstanceUID deid_func:pydicom_uuid prefix=1.55. stable_remapping=false")
    assert prefixed.StudyInstanceUID.removeprefix("1.55.") == other.StudyInstanceUID.removeprefix("1.2.826.0.1.")
    for line in ("deid_func:dicom_uuid", "deid_func:pydicom_uuid prefix=none"):
        assert cleaned(SOURCE, f"REPLACE StudyInstanceUID {line}").StudyInstanceUID == keys.uid("1.2.4")


def test_a_uid_function_works_on_other_elements_and_with_add():
    again = cleaned(SOURCE, "REPLACE PatientID deid_func:dicom_uuid", "ADD FrameOfReferenceUID deid_func:pydicom_uuid")
    assert UID(again.PatientID).is_valid
    assert UID(again.FrameOfReferenceUID).is_valid
    empty = dataset(SOPInstanceUID="1.2", StudyInstanceUID="")
    assert cleaned(empty, "REPLACE StudyInstanceUID deid_func:pydicom_uuid").StudyInstanceUID == ""


@pytest.mark.parametrize(
    ("options", "expected"),
    [("", "20230116"), ("days=-15", "20221231"), ("years=1", "20240116"), ("days=0 years=-1", "20220115")],
)
def test_jitter_moves_by_days_and_years_of_365_days(options, expected):
    again = cleaned(SOURCE, f"REPLACE StudyDate deid_func:jitter {options}")
    assert again.StudyDate == expected
    assert outside(SOURCE, f"REPLACE StudyDate deid_func:jitter {options}").text(0x00080020) == expected


def test_what_does_not_fit_holds_the_instance():
    with pytest.raises(HoldInstance) as held:
        clean(SOURCE, "REPLACE select:VR:UI deid_func:basic_uuid")
    assert held.value.reason is HoldReason.ACTION_FAILED
    with pytest.raises(HoldInstance):
        clean(SOURCE, "REPLACE contains:^PatientID deid_func:jitter")


def test_nothing_of_the_value_is_in_the_result_and_everything_is_the_same_again():
    lines = [
        f"REPLACE PatientID deid_func:{name}" for name in ("basic_uuid", "suffix_uuid", "dicom_uuid", "pydicom_uuid")
    ]
    for line in lines:
        result = clean(SOURCE, line).tobytes()
        assert b"E123" not in result
        assert result == clean(SOURCE, line).tobytes()


def test_outside_the_node_the_results_are_those_of_pydicom_deid():
    again = decode(
        outside(
            SOURCE,
            "REPLACE StudyInstanceUID deid_func:pydicom_uuid",
            "REPLACE FailedSOPInstanceUIDList deid_func:pydicom_uuid prefix=1.55.",
            "REPLACE PatientID deid_func:suffix_uuid",
        ).tobytes()
    )
    assert again.StudyInstanceUID == generate_uid("2.25.", ["1.2.4"])
    assert again.FailedSOPInstanceUIDList == generate_uid("1.55.", ["['1.2.3', '1.2.4']"])
    assert again.PatientID != outside(SOURCE, "REPLACE PatientID deid_func:suffix_uuid").text(0x00100020)


def test_outside_the_node_a_uid_of_a_function_that_is_none_is_written_with_a_warning():
    result = outside(
        SOURCE, "REPLACE StudyInstanceUID deid_func:basic_uuid", "ADD FrameOfReferenceUID deid_func:dicom_uuid"
    )
    assert len(result.text(0x0020000D)) == 36
    assert result.text(0x00200052).startswith("anonymous-organization.")
    assert len(result.warnings) == 3
    assert result.warnings[0].startswith("(0020,000D): r.dicom:3: VR UI")
    with pytest.raises(HoldInstance):
        outside(SOURCE, "REPLACE contains:StudyInstanceUID no-uid")


def test_outside_the_node_lines_may_name_file_meta_information():
    meta = b"\x02\x00\x02\x00UI\x04\x001.2\0\x02\x00\x03\x00UI\x06\x001.2.3\0"
    meta += b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\0"
    recipe = load_recipe(
        [text("%header", "REPLACE MediaStorageSOPInstanceUID 9.9", "REMOVE ALL", "ADD SourceApplicationEntityTitle X")],
        in_node=False,
    )
    data = EncodedDataset.scan(encode(SOURCE), 0, EXPLICIT_LE)
    result = recipe.apply(data, Keys(), {}, meta=EncodedDataset.scan(meta, 0, EXPLICIT_LE, meta=True))
    again = decode(result.meta.tobytes())
    assert [(int(e.tag), e.value) for e in again] == [
        (0x00020002, "1.2"),
        (0x00020003, "9.9"),
        (0x00020010, "1.2.840.10008.1.2.1"),
        (0x00020016, "X"),
    ]
    assert 0x00020016 not in decode(result.tobytes())
