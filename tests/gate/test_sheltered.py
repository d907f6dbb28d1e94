"""What is kept by name shelters itself alone: not what stands in its items, nor others who stand in its value."""

from __future__ import annotations

import pytest

from node.gate import leaks
from node.recipe import EncodedDataset, load_recipe
from node.recipe.coding import EXPLICIT_CODING
from node.syntaxes import EXPLICIT_LE
from tests.gate.support import UID, element, found, more, patient
from tests.profile.support import profile
from tests.recipe.support import Keys, dataset, encode, text

# What a profile keeps, and nothing that would take anything out.
KEEPING = load_recipe(
    [text("%profile ours", "K (0040,0275)", "K (0008,0080)", "K (0010,1000)", "K (0008,0020)", "K (0008,1050)",
          "K (0010,1030)", "K (0020,0052)", "X select:VR:PN", "U select:VR:UI",
          *(f"X {tag}" for tag in ("(0010,0020)", "(0010,0030)", "(0010,1040)", "(0010,2154)", "(0008,0050)",
                                   "(0008,0081)", "(0018,1000)", "(0020,0010)", "(0008,0021)")))]
)  # fmt: skip


def kept(**changes: object) -> list[str]:
    """The findings in what `KEEPING` makes of a patient."""
    encoded = EncodedDataset.scan(encode(patient(**changes)), 0, EXPLICIT_LE)
    return [str(one) for one in leaks(KEEPING.apply(encoded, Keys(), {}), KEEPING)]


def test_a_sequence_that_a_profile_keeps_does_not_shelter_what_stands_in_its_items():
    inside = {"AccessionNumber": "A-5512-77", "RequestedProcedureID": "RP-5512"}
    found = kept(RequestAttributesSequence=[dataset(**inside)])
    assert found == ["Requested Procedure ID in (0040,0275)__0__(0040,1001)"]


def test_what_a_profile_keeps_by_name_is_on_purpose():
    assert kept() == []
    assert kept(OtherPatientIDs="X-90210", PerformingPhysicianName="BOND^JAMES") == []


@pytest.mark.parametrize(
    "text", ["Clinic of Zofia Kowalska", "PID-77313", "88441199", UID.format(2), "Ward 11.03.1953"]
)
def test_the_patient_in_a_value_that_is_kept_for_what_else_it_says_is_found(text):
    assert kept(InstitutionName=text) != []


def test_a_person_who_is_kept_is_found_nowhere_else():
    assert kept(PerformingPhysicianName="KOWALSKA^ZOFIA^MARIA") == []
    assert kept(PerformingPhysicianName="PID-77313") == ["Patient ID in (0008,1050)"]


def test_a_value_with_another_vr_than_its_attribute_has_is_kept_by_nobody():
    """Patient's Weight that a header calls a date, and that is the birth date."""

    def result(vr: str, value: bytes) -> list[str]:
        data = encode(patient())
        at = EncodedDataset.scan(data, 0, EXPLICIT_LE).place_of(0x00101030)
        data = data[:at] + element(0x00101030, vr, value, EXPLICIT_CODING) + data[at:]
        cleaned = KEEPING.apply(EncodedDataset.scan(data, 0, EXPLICIT_LE), Keys(), {})
        return [str(one) for one in leaks(cleaned, KEEPING)]

    assert result("DS", b"71") == []
    assert result("DA", b"19530311") == ["Patient's Weight in (0010,1030)"]


@pytest.mark.parametrize("vr", ["DS", "IS", "TM", "AS"])
@pytest.mark.parametrize("value", [b"CT_KOWALSKA_1", b"id:88441199", b"19530311101112", b"Zofia"])
def test_what_is_no_number_is_searched_as_the_text_that_it_is(vr, value):
    data = encode(patient())
    data += element(0x7FDF0010, "LO", b"ACME", EXPLICIT_CODING) + element(0x7FDF1002, vr, value, EXPLICIT_CODING)
    assert found(data)
    assert found(data.replace(value, b"1".ljust(len(value)))) == []


def test_a_date_with_a_time_behind_it_is_found():
    assert found(patient(StudyDescription="born 195303111015")) == ["Patient's Birth Date in (0008,1030)"]
    for other in ("195303119999", "119530311101112", "1.2.19530311101112"):
        assert found(patient(StudyDescription=other)) == []


def test_a_uid_of_the_study_is_found_where_uids_say_what_an_object_is():
    code = dataset(CodeValue="1", CodingSchemeDesignator="99X", CodingSchemeUID=UID.format(2))
    source = patient(ProcedureCodeSequence=[code])
    assert found(source, more("KEEP Modality")) == ["Study Instance UID in (0008,1032)__0__(0008,010C)"]
    code.CodingSchemeUID = "1.2.840.99999.7"
    assert found(patient(ProcedureCodeSequence=[code])) == []


def test_what_an_option_keeps_passes():
    source = patient(StationName="CT-4", InstitutionalDepartmentName="Radiology")
    by = profile("retain-device-identity", "retain-institution-identity", "retain-modified-dates")
    cleaned = by.apply(EncodedDataset.scan(encode(source), 0, EXPLICIT_LE), Keys(), {})
    assert leaks(cleaned, by) == []
