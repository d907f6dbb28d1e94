"""Dates under the profile with modified dates: what moves, what stays, and what would tell the shift and goes."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from node.identity import PatientKey, ProjectKeys
from node.instances import InstanceIdentities, NoMaps, Scope
from node.recipe import EncodedDataset, load_recipe, shipped_recipe
from node.syntaxes import EXPLICIT_LE
from tests.recipe.support import dataset, decode, encode

KEYS = ProjectKeys(bytes(range(32)), "demo")
DAYS = timedelta(days=KEYS.shift_days(PatientKey("", "MRN-1")))
BY = load_recipe([text for text in map(shipped_recipe, ("ps3.15-basic", "retain-modified-dates")) if text is not None])
DAY = "20200229"
# Of devices, codes, documents and committees: known to others than the patient.
NOT_THE_PATIENTS = (
    "DateOfLastCalibration", "DateTimeOfLastCalibration", "CalibrationDate", "CalibrationDateTime", "DateOfManufacture",
    "DateOfInstallation", "DateOfLastDetectorCalibration", "ContextGroupVersion", "ContextGroupLocalVersion",
    "TemplateVersion", "TemplateLocalVersion", "EthicsCommitteeApprovalEffectivenessStartDate",
    "EthicsCommitteeApprovalEffectivenessEndDate", "ProductExpirationDateTime", "HangingProtocolCreationDateTime",
    "EffectiveDateTime", "InformationIssueDateTime",
)  # fmt: skip


def cleaned(source: Dataset) -> Dataset:
    source.SOPClassUID, source.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.128", "1.2.3.4"
    source.PatientID = "MRN-1"
    encoded = EncodedDataset.scan(encode(source), 0, EXPLICIT_LE)
    scope = Scope("demo", KEYS)
    return decode(BY.apply(encoded, InstanceIdentities(scope, NoMaps(), encoded), {}).tobytes())


def moved(day: str) -> str:
    return (date(int(day[:4]), int(day[4:6]), int(day[6:8])) + DAYS).strftime("%Y%m%d")


def with_value(keyword: str, text: str) -> Dataset:
    source = Dataset()
    source.add_new(keyword, dictionary_VR(keyword), text)
    return source


@pytest.mark.parametrize("keyword", NOT_THE_PATIENTS)
def test_a_date_that_others_know_is_never_moved_and_never_stays(keyword):
    tag, full = tag_for_keyword(keyword), DAY + ("120000" if dictionary_VR(keyword) == "DT" else "")
    for depth in range(3):
        source = with_value(keyword, full)
        for _ in range(depth):
            source = dataset(AcquisitionContextSequence=Sequence([source]), StudyDate=DAY)
        result = cleaned(source)
        values = [str(one.value) for one in result.iterall() if one.tag == tag]
        assert not any(value.startswith((DAY, moved(DAY))) for value in values), values


@pytest.mark.filterwarnings("ignore")
def test_dates_move_at_every_depth_and_times_zones_and_fractions_stay():
    source = dataset(
        StudyDate=DAY, StudyTime="235959.123456", TimezoneOffsetFromUTC="-0330",
        AcquisitionDateTime=f"{DAY}235959.123456-0330", PatientBirthDate="19500612", SeriesDate="",
    )  # fmt: skip
    radio = dataset(RadiopharmaceuticalStartDateTime=f"{DAY}2359", RadiopharmaceuticalStartTime="2359")
    inner = dataset(ScheduledProcedureStepStartDate=DAY)
    source.RadiopharmaceuticalInformationSequence = Sequence([radio])
    source.AcquisitionContextSequence = Sequence([dataset(ReferencedStudySequence=Sequence([inner]))])
    result = cleaned(source)
    assert (result.StudyDate, result.StudyTime) == (moved(DAY), "235959.123456")
    assert result.AcquisitionDateTime == f"{moved(DAY)}235959.123456-0330"
    assert result.TimezoneOffsetFromUTC == "-0330"
    assert not result.get("PatientBirthDate")
    assert result.SeriesDate == ""
    (radio,) = result.RadiopharmaceuticalInformationSequence
    assert (radio.RadiopharmaceuticalStartDateTime, radio.RadiopharmaceuticalStartTime) == (f"{moved(DAY)}2359", "2359")
    dates = [one.value for one in result.iterall() if one.keyword == "ScheduledProcedureStepStartDate"]
    assert dates in ([], [moved(DAY)]), "a sequence that stays has its dates moved"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("days", [0, 1, 2, 365, 366, 3653])
def test_an_interval_is_exact_over_midnight_months_and_years(days):
    later = (date(2019, 12, 31) + timedelta(days=days)).strftime("%Y%m%d")
    one, other = cleaned(dataset(StudyDate="20191231")), cleaned(dataset(AcquisitionDateTime=f"{later}000001"))
    first, second = (
        date(int(text[:4]), int(text[4:6]), int(text[6:8])) for text in (one.StudyDate, other.AcquisitionDateTime)
    )
    assert second - first == timedelta(days=days)
    assert first < date(2019, 12, 31)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("placeholder", ["19000101", "99991231", "19700101", "00010101"])
def test_a_placeholder_is_emptied(placeholder):
    result = cleaned(dataset(StudyDate=placeholder, AcquisitionDateTime=placeholder + "120000"))
    assert (result.StudyDate, result.AcquisitionDateTime) == ("", "")


@pytest.mark.filterwarnings("ignore")
def test_a_partial_date_stays_partial():
    assert len(cleaned(dataset(AcquisitionDateTime="202002")).AcquisitionDateTime) == 6
    assert len(cleaned(dataset(AcquisitionDateTime="2020")).AcquisitionDateTime) == 4
