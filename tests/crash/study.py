"""A study that points into itself: a CT series, an RT structure set and a structured report on its images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from tests.support import make_ct

CT = "1.2.840.10008.5.1.4.1.1.2"
RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"


def item(**elements: object) -> Dataset:
    ds = Dataset()
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return ds


def make_study(folder: Path, images: int = 6) -> list[Path]:
    """Write the study; return its files, images first."""
    paths = make_ct(folder, images, rows=8)
    cts = [pydicom.dcmread(path) for path in paths]
    for name, dataset in (("rtstruct", _structures(cts)), ("sr", _report(cts))):
        path = folder / f"{name}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _like(ct: FileDataset, sop_class: str, modality: str) -> Dataset:
    ds = item(
        SOPClassUID=sop_class,
        SOPInstanceUID=generate_uid(),
        Modality=modality,
        StudyDate=ct.StudyDate,
        StudyTime=ct.StudyTime,
        AccessionNumber="ACC1",
        PatientName=ct.PatientName,
        PatientID=ct.PatientID,
        PatientBirthDate=ct.PatientBirthDate,
        PatientSex="O",
        StudyInstanceUID=ct.StudyInstanceUID,
        SeriesInstanceUID=generate_uid(),
        StudyID="1",
        SeriesNumber=9,
        InstanceNumber=1,
    )
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = sop_class, ds.SOPInstanceUID
    return ds


def _references(cts: list[FileDataset]) -> Sequence:
    return Sequence([item(ReferencedSOPClassUID=CT, ReferencedSOPInstanceUID=ct.SOPInstanceUID) for ct in cts])


def _structures(cts: list[FileDataset]) -> Dataset:
    first = cts[0]
    ds = _like(first, RTSTRUCT, "RTSTRUCT")
    ds.StructureSetLabel, ds.StructureSetDate, ds.StructureSetTime = "PLAN", first.StudyDate, "120000"
    series = item(SeriesInstanceUID=first.SeriesInstanceUID, ContourImageSequence=_references(cts))
    study = item(
        ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1",
        ReferencedSOPInstanceUID=first.StudyInstanceUID,
        RTReferencedSeriesSequence=Sequence([series]),
    )
    ds.ReferencedFrameOfReferenceSequence = Sequence(
        [item(FrameOfReferenceUID=first.FrameOfReferenceUID, RTReferencedStudySequence=Sequence([study]))]
    )
    ds.StructureSetROISequence = Sequence(
        [item(ROINumber=1, ReferencedFrameOfReferenceUID=first.FrameOfReferenceUID, ROIName="GTV")]
    )
    contours = [
        item(
            ContourImageSequence=_references([ct]),
            ContourGeometricType="POINT",
            NumberOfContourPoints=1,
            ContourData=["1", "2", "3"],
        )
        for ct in cts
    ]
    ds.ROIContourSequence = Sequence([item(ReferencedROINumber=1, ContourSequence=Sequence(contours))])
    return ds


def _report(cts: list[FileDataset]) -> Dataset:
    first = cts[0]
    ds = _like(first, COMPREHENSIVE_SR, "SR")
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.CompletionFlag, ds.VerificationFlag = "COMPLETE", "UNVERIFIED"
    ds.ContentDate, ds.ContentTime = first.StudyDate, "120000"
    ds.CurrentRequestedProcedureEvidenceSequence = Sequence(
        [
            item(
                StudyInstanceUID=first.StudyInstanceUID,
                ReferencedSeriesSequence=Sequence(
                    [item(SeriesInstanceUID=first.SeriesInstanceUID, ReferencedSOPSequence=_references(cts))]
                ),
            )
        ]
    )
    ds.ContentSequence = Sequence(
        [
            item(
                RelationshipType="CONTAINS",
                ValueType="CONTAINER",
                ContentSequence=Sequence(
                    [
                        item(RelationshipType="CONTAINS", ValueType="IMAGE", ReferencedSOPSequence=_references([ct]))
                        for ct in cts
                    ]
                ),
            )
        ]
    )
    return ds


def elements(ds: Dataset) -> Iterator[tuple[str, str]]:
    """Every UID of a data set, at any depth, with its keyword."""
    for element in ds.iterall():
        if element.VR == "UI" and element.value:
            yield element.keyword, str(element.value)


def dangling(datasets: Iterable[FileDataset]) -> set[str]:
    """The UIDs that something refers to and nothing is called; none, where a study is whole."""
    datasets = list(datasets)
    names = {
        str(getattr(ds, keyword))
        for ds in datasets
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
        if keyword in ds
    }
    keywords = {
        "ReferencedSOPInstanceUID",
        "SeriesInstanceUID",
        "StudyInstanceUID",
        "FrameOfReferenceUID",
        "ReferencedFrameOfReferenceUID",
    }
    return {uid for ds in datasets for keyword, uid in elements(ds) if keyword in keywords} - names
