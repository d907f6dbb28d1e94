"""What refers to images still finds them, and what was measured still has its numbers."""

from __future__ import annotations

from collections import Counter

import pytest
from pydicom.dataset import Dataset

from tests.deidset import linked
from tests.deidset.encoding import part10
from tests.deidset.objects import PATIENTS
from tests.deidset.values import Values
from tests.fitness.support import cleaned, read, routes


# The Basic Profile leaves out what an image was made from (X/Z/U* of Source Image Sequence); research keeps it.
@pytest.fixture(params=[pytest.param(("research",), id="research")])
def both(request, tmp_path):
    """Every linked object of all patients, before and after."""
    source = tmp_path / "in"
    source.mkdir()
    for file in linked.series(Values(7)):
        (source / f"{file.name}.dcm").write_bytes(part10(file.tree))
    return read(source), read(cleaned(request.param, source, tmp_path / "out"))


def objects(datasets: list[Dataset], modality: str) -> list[Dataset]:
    found = [dataset for dataset in datasets if dataset.Modality == modality]
    assert len(found) >= len(PATIENTS)
    return found


def references(dataset: Dataset) -> list[str]:
    return [str(e.value) for e in dataset.iterall() if e.keyword == "ReferencedSOPInstanceUID"]


@pytest.mark.parametrize("modality", ["RTSTRUCT", "SEG", "SR", "KO", "PR"])
def test_every_reference_leads_to_the_image_that_it_led_to(both, modality):
    before, after = both
    number = {str(dataset.SOPInstanceUID): n for n, dataset in enumerate(before)}
    renumbered = {str(dataset.SOPInstanceUID): n for n, dataset in enumerate(after)}
    assert not set(number) & set(renumbered)
    for one, other in zip(objects(before, modality), objects(after, modality), strict=True):
        led = [number.get(uid) for uid in references(one)]
        assert [renumbered.get(uid) for uid in references(other)] == led
        assert modality == "SR" or [n for n in led if n is not None]


def test_a_structure_set_keeps_its_series_frame_and_contours(both):
    before, after = both
    images = {str(d.SeriesInstanceUID): n for n, d in enumerate(before) if d.Modality == "CT"}
    moved = {str(d.SeriesInstanceUID): n for n, d in enumerate(after) if d.Modality == "CT"}
    for one, other in zip(objects(before, "RTSTRUCT"), objects(after, "RTSTRUCT"), strict=True):
        assert moved[series_of(other)] == images[series_of(one)]
        assert other.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID == other.FrameOfReferenceUID
        assert [roi.ROINumber for roi in other.StructureSetROISequence] == [1, 2]
        contours = [d.ROIContourSequence[0].ContourSequence[0].ContourData for d in (one, other)]
        assert contours[0] == contours[1]


def test_no_structure_is_without_a_name_and_none_has_that_of_another(both):
    for dataset in objects(both[1], "RTSTRUCT"):
        names = [str(roi.ROIName) for roi in dataset.StructureSetROISequence]
        assert all(names)
        assert len(set(names)) == len(names)


def series_of(dataset: Dataset) -> str:
    study = dataset.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    return str(study.RTReferencedSeriesSequence[0].SeriesInstanceUID)


def test_a_segmentation_keeps_its_segments_codes(both):
    for one, other in zip(*(objects(datasets, "SEG") for datasets in both), strict=True):
        codes = [d.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeValue for d in (one, other)]
        assert codes[0] == codes[1]
        assert other.SegmentSequence[0].SegmentNumber == 1
        assert one.PixelData == other.PixelData


def numbers(report: Dataset) -> Counter[tuple[str, str, str]]:
    """Concept, value and unit of every number in a report."""
    found: Counter[tuple[str, str, str]] = Counter()
    for content in walk(report):
        if content.get("ValueType") == "NUM":
            (value,) = content.MeasuredValueSequence
            unit = value.MeasurementUnitsCodeSequence[0].CodeValue
            found[content.ConceptNameCodeSequence[0].CodeValue, str(value.NumericValue), unit] += 1
    return found


def walk(content: Dataset):
    yield content
    for inner in content.get("ContentSequence") or ():
        yield from walk(inner)


@pytest.mark.parametrize("both", routes(), indirect=True)
def test_dose_totals_and_measurements_are_the_same(both):
    before, after = (sum((numbers(d) for d in objects(datasets, "SR")), Counter()) for datasets in both)
    assert before == after
    assert before["113813", "512.25", "mGy.cm"] == len(PATIENTS)
    assert before["121206", "12.5", "mm"] == len(PATIENTS)
