"""What stays where dates and times stay: a date, a time, an offset, and nothing else that was typed into the field."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from tests.profile.support import CT, cleaned, element, of_all, profile, shifted, sop_class
from tests.recipe.support import apply, dataset

FULL, MODIFIED = "retain-full-dates", "retain-modified-dates"
SR = "1.2.840.10008.5.1.4.1.1.88.33"
BORN = "19530311"


def after(option: str, tag: int, vr: str, value: bytes, uid: str = CT) -> bytes | None:
    """What stands in an element after cleaning, without padding."""
    values = {0x00080016: sop_class(uid), tag: element(tag, vr, value + b" " * (len(value) & 1))}
    result = cleaned(profile(option), of_all(values)).after
    return str(result[tag].value or "").encode() if tag in result else None


@pytest.mark.parametrize("option", [FULL, MODIFIED])
@pytest.mark.parametrize("value", ["10", "1011", "101112", "101112.5", "101112.123456", "10:11:12", "235960"])
def test_a_time_stays_as_it_came(option, value):
    assert after(option, 0x00080030, "TM", value.encode()) == value.encode()


@pytest.mark.parametrize("option", [FULL, MODIFIED])
@pytest.mark.parametrize("value", ["KOWALSKA", "77313", "251112", "101112 KOWALSKA", "1953-03-11", "101112\\ZOFIA"])
def test_what_is_no_time_goes(option, value):
    assert after(option, 0x00080030, "TM", value.encode()) == b""


def test_what_is_no_time_becomes_one_where_the_object_asks_for_it():
    """Content Time of a structured report (PS3.3 C.17.2) is of Type 1."""
    assert after(MODIFIED, 0x00080033, "TM", b"KOWALSKA", SR) == b"000000"
    assert after(FULL, 0x00080033, "TM", b"KOWALSKA", SR) == b"000000"


@pytest.mark.parametrize("option", [FULL, MODIFIED])
def test_the_time_zone_stays_where_it_is_one(option):
    for zone in (b"+0100", b"-0930"):
        assert after(option, 0x00080201, "SH", zone) == zone
    for other in (b"KOWALSKA", b"0100", b"+01", b"+9999", b"+0100 Kowalska"):
        assert after(option, 0x00080201, "SH", other) == b""


def test_what_is_no_date_goes_where_dates_stay():
    for value in (b"20040119", b"2004.01.19", b"2004"):
        assert after(FULL, 0x00080020, "DA", value) == value
    for value in (b"KOWALSKA", b"2004-01-19", b"20041340", b"20040119\\Zofia"):
        assert after(FULL, 0x00080020, "DA", value) == b""
    for value in (b"20040119101112.5+0100", b"200401", b"20040119"):
        assert after(FULL, 0x0008002A, "DT", value) == value
    assert after(FULL, 0x0008002A, "DT", b"20040119 Kowalska") == b""


# The birth date.


def named(value: str, scheme: str) -> Dataset:
    return dataset(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning="of something")


def report() -> Dataset:
    """A date and a point in time under a concept of somebody's own, each on the day of birth and on another."""
    days = [BORN, "20040119"]
    concept = [named("77", "99ACME")]
    dates = [dataset(ValueType="DATE", ConceptNameCodeSequence=concept, Date=day) for day in days]
    times = [dataset(ValueType="DATETIME", ConceptNameCodeSequence=concept, DateTime=f"{day}101112") for day in days]
    started = [dataset(ValueType="DATETIME", ConceptNameCodeSequence=[named("111526", "DCM")], DateTime=f"{BORN}10")]
    items = [*dates, *times, *started]
    for item in items:
        item.RelationshipType = "CONTAINS"
    return dataset(SOPClassUID=SR, PatientBirthDate=BORN, StudyDate=BORN, ContentSequence=items)


def test_a_birth_date_under_a_concept_of_ones_own_never_moves():
    found = apply(profile("clean-structured-content", MODIFIED), report())
    items = found.ContentSequence
    assert [item.Date for item in items[:2]] == ["19000101", shifted("20040119")]
    assert [item.DateTime for item in items[2:4]] == ["19000101000000", shifted("20040119") + "101112"]


def test_nor_does_it_stay_where_dates_do():
    items = apply(profile("clean-structured-content", FULL), report()).ContentSequence
    assert [item.Date for item in items[:2]] == ["19000101", "20040119"]
    assert [item.DateTime for item in items[2:4]] == ["19000101000000", "20040119101112"]


def test_what_was_done_on_the_day_of_birth_moves_with_all_else():
    found = apply(profile("clean-structured-content", MODIFIED), report())
    assert found.StudyDate == shifted(BORN)
    assert found.ContentSequence[4].DateTime == shifted(BORN) + "10"
    assert found.PatientBirthDate == ""
