"""The factor from activity to SUV by body weight is the same before and after."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from pydicom.dataset import Dataset

from tests.fitness.support import cleaned, instance, item, read, routes, written

PET = "1.2.840.10008.5.1.4.1.1.128"

# Injection and scan, as TM or as DT; a scan behind midnight has another Series Date than the injection.
CASES = {
    "times on one day": ({"RadiopharmaceuticalStartTime": "101500"}, "20240229", "111530.25"),
    "times over midnight": ({"RadiopharmaceuticalStartTime": "233015"}, "20240301", "003045"),
    "date and time on one day": ({"RadiopharmaceuticalStartDateTime": "20240229101500.500"}, "20240229", "111530"),
    "date and time over midnight": ({"RadiopharmaceuticalStartDateTime": "20240229233015"}, "20240301", "003045"),
    "both, over a year's end": (
        {"RadiopharmaceuticalStartDateTime": "20231231234500", "RadiopharmaceuticalStartTime": "234500"},
        "20240101",
        "004500",
    ),
}


def scan(injection: dict[str, str], day: str, time: str) -> Dataset:
    dose = item(RadionuclideTotalDose="356000000", RadionuclideHalfLife="6586.2", **injection)
    return instance(
        PET,
        1,
        Modality="PT",
        SeriesDate=day,
        SeriesTime=time,
        AcquisitionDate=day,
        AcquisitionTime=time,
        StudyDate="20231231" if day == "20240101" else "20240229",
        Units="BQML",
        DecayCorrection="START",
        CorrectedImage=["ATTN", "DECY"],
        RescaleSlope="1.25",
        RescaleIntercept="0",
        RadiopharmaceuticalInformationSequence=[dose],
    )


def moment(day: str, time: str) -> datetime:
    return datetime.strptime(day + time.partition(".")[0] + "+0000", "%Y%m%d%H%M%S%z") + timedelta(
        seconds=float("0." + (time.partition(".")[2] or "0"))
    )


def factor(dataset: Dataset) -> float:
    """SUVbw for a stored activity of 1 Bq/ml (QIBA's vendor-neutral way for Units BQML, decay-corrected to START)."""
    assert (dataset.Units, dataset.DecayCorrection) == ("BQML", "START")
    (dose,) = dataset.RadiopharmaceuticalInformationSequence
    start = moment(str(dataset.SeriesDate), str(dataset.SeriesTime))
    if "RadiopharmaceuticalStartDateTime" in dose and dose.RadiopharmaceuticalStartDateTime:
        text = str(dose.RadiopharmaceuticalStartDateTime)
        injected = moment(text[:8], text[8:])
    else:
        injected = moment(str(dataset.SeriesDate), str(dose.RadiopharmaceuticalStartTime))
        if injected > start:
            injected -= timedelta(days=1)
    seconds = (start - injected).total_seconds()
    assert 0 < seconds < 12 * 3600
    left = float(dose.RadionuclideTotalDose) * 2 ** (-seconds / float(dose.RadionuclideHalfLife))
    return float(dataset.PatientWeight) * 1000 / left * float(dataset.RescaleSlope)


@pytest.mark.parametrize("names", routes())
@pytest.mark.parametrize("case", CASES, ids=[case.replace(" ", "-") for case in CASES])
def test_the_factor_is_the_same(tmp_path, names, case):
    source = written(tmp_path / "in", [scan(*CASES[case])])
    (before,), (after,) = read(source), read(cleaned(names, source, tmp_path / "out"))
    assert factor(after) == factor(before)
    assert after.SeriesDate != before.SeriesDate
    assert after.SeriesTime == before.SeriesTime
