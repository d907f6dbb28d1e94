"""What the node's functions make of dates, ages, ids and texts."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import dictionary_VR

from node.errors import HoldInstance, HoldReason
from node.identity import PatientKey, ProjectKeys
from node.instances import InstanceIdentities, NoMaps, Scope
from node.recipe import EncodedDataset, load_recipe, shipped_recipe
from node.syntaxes import EXPLICIT_LE
from tests.recipe.support import RecipeText, dataset, decode, encode

KEYS = ProjectKeys(bytes(range(32)), "demo")
DAYS = timedelta(days=KEYS.shift_days(PatientKey("", "MRN-1")))
LINES = """\
FORMAT dicom
%header
REPLACE StudyDate func:shift_date
REPLACE DateOfLastCalibration func:shift_date
REPLACE AcquisitionDateTime func:shift_date
REPLACE PatientAge func:cap_age
REPLACE PatientName func:pseudonym
REPLACE OtherPatientIDs func:other_patient_id
REPLACE AccessionNumber func:keyed_text
"""
RECIPE = load_recipe([RecipeText("r.dicom", LINES)])


def replaced(invalid: str = "hold", **values: object):
    source = dataset(PatientID="MRN-1")
    for keyword, value in values.items():
        source.add_new(keyword, _VRS[keyword], value)
    encoded = EncodedDataset.scan(encode(source), 0, EXPLICIT_LE)
    scope = Scope("demo", KEYS, invalid_dates=invalid)
    return decode(RECIPE.apply(encoded, InstanceIdentities(scope, NoMaps(), encoded), {}).tobytes())


_VRS = {
    "StudyDate": "DA", "DateOfLastCalibration": "DA", "AcquisitionDateTime": "DT", "PatientAge": "AS",
    "PatientName": "PN", "OtherPatientIDs": "LO", "AccessionNumber": "SH", "IssuerOfPatientID": "LO",
}  # fmt: skip


def moved(text: str) -> str:
    return (date(int(text[:4]), int(text[4:6]), int(text[6:8])) + DAYS).strftime("%Y%m%d")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("keyword", "before", "after"),
    [
        ("StudyDate", "20240229", moved("20240229")),
        ("StudyDate", "", ""),
        ("StudyDate", "1999.12.31", moved("19991231")),
        ("AcquisitionDateTime", "20240229235959.123456+0130", moved("20240229") + "235959.123456+0130"),
        ("AcquisitionDateTime", "2024022923", moved("20240229") + "23"),
        ("AcquisitionDateTime", "20240229-0500", moved("20240229") + "-0500"),
        ("AcquisitionDateTime", "202402", moved("20240215")[:6]),
        ("AcquisitionDateTime", "202402+0100", moved("20240215")[:6] + "+0100"),
        ("AcquisitionDateTime", "2024", moved("20240702")[:4]),
        ("AcquisitionDateTime", "19000101000000", ""),
        ("AcquisitionDateTime", "99991231235959.999999", ""),
        ("AcquisitionDateTime", "1900", ""),
        ("AcquisitionDateTime", "197001", moved("19700115")[:6]),
        *(("StudyDate", day, "") for day in ("19000101", "99991231", "00010101", "18581117", "19700101", "19010101")),
        ("StudyDate", "19700102", moved("19700102")),
    ],
)
def test_a_date_moves_in_its_precision_and_a_placeholder_goes(keyword, before, after):
    assert replaced(**{keyword: before})[keyword].value == after


@pytest.mark.filterwarnings("ignore")
def test_each_of_several_dates_moves_and_an_empty_one_keeps_its_place():
    again = replaced(DateOfLastCalibration="20240101\\\\19000101\\20240103")
    assert list(again.DateOfLastCalibration) == [moved("20240101"), "", "", moved("20240103")]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("invalid", ["20241301", "2024", "202402", "2024-02-01", "20240101x", "00000000", "ASTRONG"])
def test_what_is_no_date_holds_or_is_emptied_as_the_project_says(invalid):
    with pytest.raises(HoldInstance) as held:
        replaced(StudyDate=invalid)
    assert held.value.reason is HoldReason.ACTION_FAILED
    assert invalid not in str(held.value)
    assert replaced("empty", StudyDate=invalid).StudyDate == ""
    assert replaced("empty", DateOfLastCalibration=f"20240101\\{invalid}").DateOfLastCalibration[1] == ""


@given(st.dates(date(1902, 1, 1), date(9899, 12, 31)), st.dates(date(1902, 1, 1), date(9899, 12, 31)))
def test_intervals_stay_exact(one, other):
    first, second = (replaced(StudyDate=day.strftime("%Y%m%d")).StudyDate for day in (one, other))
    if first and second:
        as_dates = [date(int(text[:4]), int(text[4:6]), int(text[6:])) for text in (first, second)]
        assert as_dates[1] - as_dates[0] == other - one


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("089Y", "089Y"),
        ("090Y", "090Y"),
        ("091Y", "090Y"),
        ("130Y", "090Y"),
        ("999M", "999M"),
        ("003D", "003D"),
        ("", ""),
    ],
)
def test_an_age_above_89_years_becomes_90(before, after):
    assert replaced(PatientAge=before).PatientAge == after


AGE = load_recipe([RecipeText("r.dicom", """\
FORMAT dicom
%header
ADD PatientAge func:age
BLANK PatientBirthDate
REPLACE StudyDate 20000101
REMOVE AcquisitionDate
""")])  # fmt: skip


def aged(**values: object) -> str:
    """The age that is made of dates, which other lines change."""
    source = dataset(PatientID="MRN-1")
    for keyword, value in values.items():
        source.add_new(keyword, dictionary_VR(keyword), value)
    encoded = EncodedDataset.scan(encode(source), 0, EXPLICIT_LE)
    return str(decode(AGE.apply(encoded, None, {}).tobytes()).PatientAge or "")


@pytest.mark.parametrize(
    ("born", "day", "age"),
    [
        ("20200301", "20200301", "000D"),
        ("20200301", "20200328", "027D"),
        ("20200301", "20200329", "004W"),
        ("20200301", "20200531", "013W"),
        ("20200301", "20200601", "003M"),
        ("20200301", "20220228", "023M"),
        ("20200301", "20220301", "002Y"),
        ("20200229", "20240228", "003Y"),
        ("20200229", "20230301", "003Y"),
        ("20200229", "20240229", "004Y"),
        ("19500612", "20230611", "072Y"),
        ("19500612", "20230612", "073Y"),
        ("19330612", "20230611", "089Y"),
        ("19330612", "20230612", "090Y"),
        ("19050101", "20230612", "090Y"),
        ("1950.06.12", "20230612", "073Y"),
        ("20230612", "20230611", ""),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_an_age_is_made_of_the_original_dates(born, day, age):
    assert aged(PatientBirthDate=born, StudyDate=day) == age
    assert aged(PatientBirthDate=born, StudyDate=day, PatientAge="") == age
    assert aged(PatientBirthDate=born, AcquisitionDateTime=day + "1200", SeriesDate="") == age


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("none", ["", "2020", "202002", "20231301", "19000101", "99991231", "ASTRONG", "20200101x"])
def test_without_both_dates_the_age_is_empty_and_nothing_is_held(none):
    assert aged(PatientBirthDate=none, StudyDate="20230612") == ""
    assert aged(PatientBirthDate="19500612", StudyDate=none) == ""
    assert aged(PatientBirthDate="19500612", StudyDate=none, AcquisitionDate="20230612") == "073Y"
    assert aged(StudyDate="20230612") == aged(PatientBirthDate="19500612") == ""


@pytest.mark.filterwarnings("ignore")
def test_an_age_that_is_there_counts_more_than_the_dates():
    dates = {"PatientBirthDate": "19500612", "StudyDate": "20230612"}
    for age, after in (("045Y", "045Y"), ("095Y", "090Y"), ("004D", "004D"), ("old", "073Y"), ("73", "073Y")):
        assert aged(PatientAge=age, **dates) == after
    assert aged(PatientAge="old") == ""


def test_a_recipe_that_only_asks_for_ages_needs_no_secret():
    for function in ("age", "cap_age"):
        lines = f"FORMAT dicom\n%header\nREPLACE PatientAge func:{function}\n"
        assert load_recipe([RecipeText("r.dicom", lines)]).keyed is None
        outside = load_recipe([RecipeText("r.dicom", lines)], in_node=False)
        encoded = EncodedDataset.scan(encode(dataset(PatientAge="095Y")), 0, EXPLICIT_LE)
        assert decode(outside.apply(encoded, None, {}).tobytes()).PatientAge == "090Y"


def test_an_age_that_a_profile_keeps_is_capped():
    names = ("ps3.15-basic", "retain-patient-characteristics")
    by = load_recipe([text for text in map(shipped_recipe, names) if text is not None])
    for age, after in (("045Y", "045Y"), ("095Y", "090Y")):
        encoded = EncodedDataset.scan(encode(dataset(PatientID="MRN-1", PatientAge=age)), 0, EXPLICIT_LE)
        assert (
            decode(
                by.apply(encoded, InstanceIdentities(Scope("demo", KEYS), NoMaps(), encoded), {}).tobytes()
            ).PatientAge
            == after
        )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("age", ["95", "95Y", "095y", "old"])
def test_what_is_no_age_is_held(age):
    with pytest.raises(HoldInstance) as held:
        replaced(PatientAge=age)
    assert age not in str(held.value).replace("042Y", "")


def test_a_name_becomes_the_pseudonym_and_other_ids_those_of_their_patients():
    again = replaced(PatientName="PLANTED^NAME", OtherPatientIDs="MRN-1\\X7\\UNKNOWN\\", IssuerOfPatientID="H")
    assert again.PatientName == KEYS.pseudonym(PatientKey("H", "MRN-1"))
    others = [KEYS.pseudonym(PatientKey("H", one)) for one in ("MRN-1", "X7")]
    assert list(again.OtherPatientIDs) == [*others, "", ""]


def test_a_text_has_one_replacement_of_at_most_16_characters():
    again = replaced(AccessionNumber="ACC 4711 ")
    assert again.AccessionNumber == KEYS.text("ACC 4711") == "BMMMMCTW4HW9K"
    assert replaced(AccessionNumber="").AccessionNumber == ""


@pytest.mark.parametrize("function", ["shift_date", "cap_age", "age"])
def test_a_function_on_an_element_of_another_vr_holds(function):
    recipe = load_recipe([RecipeText("r.dicom", f"FORMAT dicom\n%header\nREPLACE startswith:0010 func:{function}\n")])
    encoded = EncodedDataset.scan(encode(dataset(PatientID="20240101")), 0, EXPLICIT_LE)
    with pytest.raises(HoldInstance, match=r"this is LO|to move"):
        recipe.apply(encoded, InstanceIdentities(Scope("demo", KEYS), NoMaps(), encoded), {})
