"""The synthetic study: CT, MR and a report of one patient, in several series that refer to one another.

Guarantees that every instance is a legal object of its class, of a size that costs nothing, and says that nothing is
burned into its pixels. It goes out in several transfer syntaxes and character sets. Every identifying element that
Table E.1-1 knows is planted, at the top, inside of sequences, and in private elements.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from node.probe.planting import ALPHABETS, Garden, Kind
from node.syntaxes import EXPLICIT_LE, IMPLICIT_LE

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
SR = "1.2.840.10008.5.1.4.1.1.88.11"
_PATIENT_NAME, _PATIENT_ID, _BIRTH_DATE, _ISSUER = 0x00100010, 0x00100020, 0x00100030, 0x00100021
_STUDY, _SERIES, _SOP, _FRAME = 0x0020000D, 0x0020000E, 0x00080018, 0x00200052
DATES = {"StudyDate": 0x00080020, "SeriesDate": 0x00080021, "AcquisitionDate": 0x00080022, "ContentDate": 0x00080023}
"""Dates that each instance has."""
REFERENCED_IMAGES, EVIDENCE, CONTENT = 0x00081140, 0x0040A375, 0x0040A730
_DEEP = (0x00081115, 0x00189346, 0x00400260)  # sequences that no row of the table names
_PRIVATE = 0x00330000
_SIDE = 16


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance: what it is called in reports, its UIDs, its data set as it is sent, and as pydicom reads it.

    `references` has for a sequence the SOP Instance UIDs that it refers to.
    """

    label: str
    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    transfer_syntax_uid: str
    encoded: bytes
    dataset: Dataset
    references: dict[int, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Study:
    """A synthetic study, and all that was planted in it; whose it is, by issuer and Patient ID."""

    uid: str
    instances: tuple[Instance, ...]
    garden: Garden
    patient: tuple[str, str]

    @property
    def classes(self) -> list[tuple[str, tuple[str, ...]]]:
        """The presentation contexts that it needs."""
        return [
            (one, (syntax,))
            for one, syntax in sorted({(i.sop_class_uid, i.transfer_syntax_uid) for i in self.instances})
        ]


def make_study() -> Study:
    """Return a new study: eight instances, a few hundred kilobytes less than nothing to store."""
    garden = Garden()
    made = _Making(garden)
    return Study(made.study, tuple(made.instances()), garden, made.patient)


class _Making:
    """What the instances of one study share."""

    def __init__(self, garden: Garden) -> None:
        self._garden = garden
        self.study = garden.uid(_STUDY)
        self._frame = garden.uid(_FRAME)
        self._patient_id, self._issuer = garden.word(_PATIENT_ID), garden.word(_ISSUER)
        self.patient = (self._issuer, self._patient_id)
        family, given = garden.word(_PATIENT_NAME), garden.word(_PATIENT_NAME)
        self._name = f"{family}^{given}"
        year = 1950 + secrets.randbelow(25)
        self._birth = garden.put(
            Kind.DATE, f"{year}{1 + secrets.randbelow(12):02d}{10 + secrets.randbelow(18)}", _BIRTH_DATE
        )
        self._day = garden.day(DATES["StudyDate"])

    def instances(self) -> Iterator[Instance]:
        """Give the instances of the study."""
        series = self._garden.uid(_SERIES)
        slices = [self._ct(series, number) for number in range(3)]
        yield from slices
        private = self._garden.uid(_SERIES)
        yield self._private(private)
        targets = frozenset(one.sop_instance_uid for one in slices)
        planes = self._garden.uid(_SERIES)
        for number, charset in enumerate(list(ALPHABETS)[:3]):
            yield self._mr(planes, number, charset, slices[number].sop_instance_uid)
        yield self._report(series, targets)

    def _ct(self, series: str, number: int) -> Instance:
        dataset = self._image(CT, "CT", series, number)
        dataset.KVP, dataset.RescaleIntercept, dataset.RescaleSlope = "120", "-1024", "1"
        if number == 0:
            self._garden.fill(dataset)
        elif number == 1:
            self._garden.fill(_below(dataset), *_DEEP)
        return _finished(f"CT slice {number + 1}", dataset, EXPLICIT_LE.uid)

    def _private(self, series: str) -> Instance:
        dataset, garden = self._image(CT, "CT", series, 0), self._garden
        creator = garden.word(_PRIVATE | 0x10)
        dataset.add_new(_PRIVATE | 0x10, "LO", f"{creator} 1.0")
        inside = Dataset()
        inside.PersonName = garden.word(_PRIVATE | 0x1003, 0x0040A123)
        inside.add_new(_PRIVATE | 0x10, "LO", f"{creator} 1.0")
        inside.add_new(_PRIVATE | 0x1001, "LT", garden.word(_PRIVATE | 0x1003, _PRIVATE | 0x1001))
        for low, vr in ((0x1001, "LO"), (0x1002, "UN"), (0x1004, "UT"), (0x1005, "PN"), (0x1006, "OB")):
            word = garden.word(_PRIVATE | low)
            dataset.add_new(_PRIVATE | low, vr, word.encode() if vr in ("UN", "OB") else word)
        dataset.add_new(_PRIVATE | 0x1003, "SQ", [inside])
        dataset.add_new(_PRIVATE | 0x1007, "UI", garden.uid(_PRIVATE | 0x1007))
        dataset.add_new(0x00351101, "LO", garden.word(0x00351101))  # nobody reserved its block
        dataset.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
        dataset.add_new(0x001910F7, "LO", garden.word(0x001910F7))
        return _finished("CT with private elements", dataset, EXPLICIT_LE.uid)

    def _mr(self, series: str, number: int, charset: str, target: str) -> Instance:
        dataset = self._image(MR, "MR", series, number)
        dataset.SpecificCharacterSet = charset
        dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "SE", "NONE", ""
        dataset.MRAcquisitionType, dataset.EchoTime, dataset.EchoTrainLength = "2D", "20", "1"
        for tag, vr in (
            (0x00080080, "LO"),
            (0x00081070, "PN"),
            (0x00081030, "LO"),
            (0x00104000, "LT"),
            (0x00102160, "SH"),
        ):
            dataset.add_new(tag, vr, self._garden.foreign(charset, tag))
        nested, code = Dataset(), Dataset()
        nested.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
        nested.PersonName = self._garden.foreign("\\ISO 2022 IR 87", 0x00081049, 0x0040A123)
        nested.InstitutionName = self._garden.foreign("\\ISO 2022 IR 87", 0x00081049, 0x00080080)
        code.CodeValue, code.CodingSchemeDesignator = "R1", "99PROBE"
        code.CodeMeaning = self._garden.word(0x00081049, 0x00401101, 0x00080104)
        nested.PersonIdentificationCodeSequence = [code]
        dataset.PhysiciansOfRecordIdentificationSequence = [nested]
        image = Dataset()
        image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = CT, target
        dataset.ReferencedImageSequence = [image]
        found = _finished(f"MR plane {number + 1}", dataset, IMPLICIT_LE.uid if number else EXPLICIT_LE.uid)
        found.references[REFERENCED_IMAGES] = frozenset((target,))
        return found

    def _report(self, series_of_images: str, targets: frozenset[str]) -> Instance:
        garden = self._garden
        dataset = self._common(SR, "SR", garden.uid(_SERIES), 0)
        dataset.ContentTime = "101530"
        dataset.CompletionFlag, dataset.VerificationFlag = "COMPLETE", "UNVERIFIED"
        dataset.ReferencedPerformedProcedureStepSequence, dataset.PerformedProcedureCodeSequence = [], []
        dataset.ValueType, dataset.ContinuityOfContent = "CONTAINER", "SEPARATE"
        dataset.ConceptNameCodeSequence = [_code("11528-7", "LN", "Radiology Report")]
        text, person = Dataset(), Dataset()
        text.RelationshipType, text.ValueType = "CONTAINS", "TEXT"
        text.ConceptNameCodeSequence = [_code("121071", "DCM", "Finding")]
        text.TextValue = f"Seen by {garden.word(CONTENT, 0x0040A160)}."
        person.RelationshipType, person.ValueType = "HAS OBS CONTEXT", "PNAME"
        person.ConceptNameCodeSequence = [_code("121008", "DCM", "Person Observer Name")]
        person.PersonName = garden.word(CONTENT, 0x0040A123)
        dataset.ContentSequence = [person, text, *map(_image_item, sorted(targets))]
        dataset.CurrentRequestedProcedureEvidenceSequence = [_evidence(self.study, series_of_images, targets)]
        found = _finished("SR", dataset, EXPLICIT_LE.uid)
        found.references.update({CONTENT: targets, EVIDENCE: targets})
        return found

    def _image(self, sop_class: str, modality: str, series: str, number: int) -> Dataset:
        dataset = self._common(sop_class, modality, series, number)
        dataset.ImageType, dataset.BurnedInAnnotation = ["ORIGINAL", "PRIMARY", "AXIAL"], "NO"
        dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = self._frame, ""
        dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, 5 * number], [1, 0, 0, 0, 1, 0]
        dataset.PixelSpacing, dataset.SliceThickness = [1, 1], "5"
        dataset.Rows = dataset.Columns = _SIDE
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
        dataset.add_new(0x7FE00010, "OW", b"".join(_pixel() for _ in range(_SIDE * _SIDE)))
        return dataset

    def _common(self, sop_class: str, modality: str, series: str, number: int) -> Dataset:
        dataset, garden = Dataset(), self._garden
        dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, garden.uid(_SOP)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = self.study, series
        dataset.Modality, dataset.Manufacturer, dataset.InstanceNumber = modality, "", str(number + 1)
        dataset.SeriesNumber, dataset.StudyTime, dataset.SeriesTime = "1", "101500", "101500"
        dataset.PatientName, dataset.PatientID, dataset.IssuerOfPatientID = self._name, self._patient_id, self._issuer
        dataset.PatientBirthDate, dataset.PatientSex = self._birth, "F"
        dataset.AccessionNumber, dataset.StudyID = garden.word(0x00080050), garden.word(0x00200010)
        dataset.ReferringPhysicianName = f"{garden.word(0x00080090)}^{garden.word(0x00080090)}"
        for keyword, tag in DATES.items():
            setattr(dataset, keyword, garden.put(Kind.DATE, self._day, tag))
        return dataset


def _below(dataset: Dataset) -> Dataset:
    """Return an item three sequences deep."""
    for tag in _DEEP:
        item = Dataset()
        dataset.add_new(tag, "SQ", [item])
        dataset = item
    return dataset


def _pixel() -> bytes:
    """Return a value of twelve bits whose bytes make no letters of what is planted."""
    return bytes((1 + secrets.randbelow(31), secrets.randbelow(16)))


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _image_item(target: str) -> Dataset:
    item, image = Dataset(), Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = CT, target
    item.RelationshipType, item.ValueType, item.ReferencedSOPSequence = "CONTAINS", "IMAGE", [image]
    return item


def _evidence(study: str, series_uid: str, targets: frozenset[str]) -> Dataset:
    evidence, series = Dataset(), Dataset()
    images = []
    for target in sorted(targets):
        image = Dataset()
        image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = CT, target
        images.append(image)
    series.SeriesInstanceUID, series.ReferencedSOPSequence = series_uid, images
    evidence.StudyInstanceUID, evidence.ReferencedSeriesSequence = study, [series]
    return evidence


def _finished(label: str, dataset: Dataset, syntax: str) -> Instance:
    if "SpecificCharacterSet" not in dataset:
        dataset.SpecificCharacterSet = "ISO_IR 100"
    file = DicomBytesIO(BytesIO().getvalue())
    file.is_little_endian, file.is_implicit_VR = True, syntax == IMPLICIT_LE.uid
    write_dataset(file, dataset)
    uids = str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), str(dataset.SeriesInstanceUID)
    return Instance(label, *uids, syntax, file.getvalue(), dataset)
