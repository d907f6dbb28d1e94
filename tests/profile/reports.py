"""Synthetic reports: content items, and documents of each family, with a word that must not be left."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset

from node.recipe import Recipe
from tests.profile.support import profile
from tests.recipe.support import dataset

CT = "1.2.840.10008.5.1.4.1.1.2"
SR = "1.2.840.10008.5.1.4.1.1.88."
SECRET = "Quimbleton"
SERIAL = "SN-4711-22"
ITEM_UID = "1.2.3.77.1"
DAY = "20200311"

CLEANED = ("clean-structured-content",)
RESEARCH = ("retain-modified-dates", "clean-structured-content")


def coded(value: str, scheme: str, meaning: str) -> Dataset:
    return dataset(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def content(kind: str, concept: tuple[str, str, str] | None, *below: Dataset, relation: str = "CONTAINS") -> Dataset:
    """A content item without its value; what is below a value is one of its properties."""
    for one in below if kind != "CONTAINER" else ():
        one.RelationshipType = "HAS PROPERTIES"
    made = dataset(RelationshipType=relation, ValueType=kind)
    if kind == "CONTAINER":
        made.ContinuityOfContent = "SEPARATE"
    if concept:
        made.ConceptNameCodeSequence = [coded(*concept)]
    if below:
        made.ContentSequence = list(below)
    return made


def text(concept: tuple[str, str, str], value: str = SECRET) -> Dataset:
    made = content("TEXT", concept)
    made.TextValue = value
    return made


def number(concept: tuple[str, str, str], value: str, unit: str = "mm", *below: Dataset) -> Dataset:
    made = content("NUM", concept, *below)
    made.MeasuredValueSequence = [dataset(NumericValue=value, MeasurementUnitsCodeSequence=[coded(unit, "UCUM", unit)])]
    return made


def reference(kind: str, concept: tuple[str, str, str] | None, uid: str = "1.2.3.9.1") -> Dataset:
    made = content(kind, concept)
    made.ReferencedSOPSequence = [dataset(ReferencedSOPClassUID=CT, ReferencedSOPInstanceUID=uid)]
    return made


def valued(kind: str, concept: tuple[str, str, str]) -> Dataset:
    """A content item of a Value Type, with a value of its own."""
    if kind == "TEXT":
        return text(concept)
    if kind == "NUM":
        return number(concept, "17.25")
    if kind in ("IMAGE", "WAVEFORM", "COMPOSITE"):
        return reference(kind, concept)
    made = content(kind, concept)
    if kind == "CONTAINER":
        made.ContentSequence = [text(("1", "99ME", "own"))]
    if kind == "CODE":
        made.ConceptCodeSequence = [coded("M", "DCM", "Male")]
    for name, attribute, value in (
        ("PNAME", "PersonName", f"{SECRET}^A"),
        ("DATE", "Date", DAY),
        ("TIME", "Time", "101112"),
        ("DATETIME", "DateTime", f"{DAY}101112"),
        ("UIDREF", "UID", ITEM_UID),
    ):
        if kind == name:
            setattr(made, attribute, value)
    return made


def report(*items: Dataset, sop_class: str = SR + "33") -> Dataset:
    """A document with a root container."""
    made = dataset(SOPClassUID=sop_class, SOPInstanceUID="1.2.3.1", PatientID="P1", PatientName=f"{SECRET}^A")
    made.Modality, made.StudyInstanceUID, made.SeriesInstanceUID = "SR", "1.2.3.2", "1.2.3.3"
    made.ContentDate, made.ContentTime, made.StudyDate = DAY, "101112", DAY
    made.ValueType, made.ContinuityOfContent = "CONTAINER", "SEPARATE"
    made.ConceptNameCodeSequence = [coded("126000", "DCM", "Imaging Measurement Report")]
    made.CompletionFlag, made.VerificationFlag = "COMPLETE", "UNVERIFIED"
    made.ContentSequence = list(items)
    return made


def options(*names: str) -> Recipe:
    return profile(*names)


def every_item(document: Dataset) -> Iterator[Dataset]:
    """All content items, in the order of the document."""
    for found in document.get("ContentSequence", ()):
        yield found
        yield from every_item(found)


def concept(found: Dataset) -> tuple[str, str]:
    name = found.ConceptNameCodeSequence[0]
    return name.CodeValue, name.CodingSchemeDesignator


def evidence(*uids: str) -> list[Dataset]:
    images = [dataset(ReferencedSOPClassUID=CT, ReferencedSOPInstanceUID=uid) for uid in uids]
    series = dataset(SeriesInstanceUID="1.2.3.8", ReferencedSOPSequence=images)
    return [dataset(StudyInstanceUID="1.2.3.2", ReferencedSeriesSequence=[series])]


def observers(*, with_age: bool = True) -> list[Dataset]:
    """Who made a report, as TID 1001 to 1004 have it."""
    person = content("PNAME", ("121008", "DCM", "Person Observer Name"), relation="HAS OBS CONTEXT")
    person.PersonName = f"{SECRET}^Who"
    device = content("UIDREF", ("121012", "DCM", "Device Observer UID"), relation="HAS OBS CONTEXT")
    device.UID = ITEM_UID
    born = content("DATE", ("121031", "DCM", "Subject Birth Date"), relation="HAS OBS CONTEXT")
    born.Date = "19310405"
    made = [
        person,
        text(("121009", "DCM", "Person Observer's Organization Name")),
        device,
        text(("121016", "DCM", "Device Observer Serial Number"), SERIAL),
        text(("121029", "DCM", "Subject Name")),
        text(("121030", "DCM", "Subject ID")),
        born,
    ]
    if with_age:
        made.append(number(("121033", "DCM", "Subject Age"), "93", "a"))
    for one in made:
        one.RelationshipType = "HAS OBS CONTEXT"
    return made


def dose_report() -> Dataset:
    """X-Ray Radiation Dose SR, as TID 10011 has it."""
    started = content("DATETIME", ("113809", "DCM", "Start of X-Ray Irradiation"))
    started.DateTime = f"{DAY}101112.5"
    event = content("UIDREF", ("113769", "DCM", "Irradiation Event UID"))
    event.UID = "1.2.3.55"
    acquisitions = [
        content(
            "CONTAINER",
            ("113819", "DCM", "CT Acquisition"),
            text(("125203", "DCM", "Acquisition Protocol"), f"Abdomen {SECRET}"),
            event,
            number(("113830", "DCM", "Mean CTDIvol"), f"{n}.125", "mGy"),
            number(("113838", "DCM", "DLP"), f"{n}5.25", "mGy.cm", text(("121106", "DCM", "Comment"))),
        )
        for n in (4, 7)
    ]
    total = content(
        "CONTAINER",
        ("113811", "DCM", "CT Accumulated Dose Data"),
        number(("113813", "DCM", "Total"), "120.5", "mGy.cm"),
    )
    return report(*observers(), started, total, *acquisitions, sop_class=SR + "67")


def measurements() -> Dataset:
    """Comprehensive 3D SR, as TID 1500 has it."""
    region = content("SCOORD3D", ("111030", "DCM", "Image Region"))
    region.GraphicType, region.GraphicData = "POINT", [1.5, 2.5, 3.5]
    region.ReferencedFrameOfReferenceUID = "1.2.3.60"
    tracking = content("UIDREF", ("112040", "DCM", "Tracking Unique Identifier"))
    tracking.UID = "1.2.3.61"
    group = content(
        "CONTAINER",
        ("125007", "DCM", "Measurement Group"),
        text(("112039", "DCM", "Tracking Identifier"), SECRET),
        tracking,
        region,
        number(("103339001", "SCT", "Long axis"), "12.75"),
        reference("IMAGE", ("121112", "DCM", "Source of Measurement")),
        reference("IMAGE", ("121191", "DCM", "Referenced Segment"), "1.2.3.9.2"),
    )
    made = report(
        *observers(), content("CONTAINER", ("126010", "DCM", "Imaging Measurements"), group), sop_class=SR + "34"
    )
    made.CurrentRequestedProcedureEvidenceSequence = evidence("1.2.3.9.1", "1.2.3.9.2")
    return made


def key_objects() -> Dataset:
    """Key Object Selection, as TID 2010 has it."""
    described = text(("113012", "DCM", "Key Object Description"))
    made = report(
        described, *observers(with_age=False), reference("IMAGE", None), reference("IMAGE", None, "1.2.3.9.2")
    )
    made.SOPClassUID, made.Modality = SR + "59", "KO"
    made.ConceptNameCodeSequence = [coded("113000", "DCM", "Of Interest")]
    made.CurrentRequestedProcedureEvidenceSequence = evidence("1.2.3.9.1", "1.2.3.9.2")
    return made


def mammography() -> Dataset:
    """Mammography CAD SR, with items that refer to others by their place."""
    centre = content("SCOORD", ("111010", "DCM", "Center"))
    centre.GraphicType, centre.GraphicData = "POINT", [10.0, 20.0]
    there = dataset(RelationshipType="SELECTED FROM", ReferencedContentItemIdentifier=[1, 8])
    centre.ContentSequence = [there]
    likely = number(("111047", "DCM", "Probability of cancer"), "12", "%")
    composite = content("CODE", ("111017", "DCM", "CAD Processing and Findings Summary"), centre, likely)
    composite.ConceptCodeSequence = [coded("111242", "DCM", "All algorithms succeeded; with findings")]
    return report(*observers(), reference("IMAGE", ("111028", "DCM", "Image Library")), composite, sop_class=SR + "50")


def prose() -> Dataset:
    """Basic Text SR."""
    section = content("CONTAINER", ("121070", "DCM", "Findings"), text(("121071", "DCM", "Finding")))
    section.ContentSequence.append(reference("IMAGE", ("121080", "DCM", "Best illustration of finding")))
    made = report(*observers(with_age=False), section, text(("121077", "DCM", "Conclusion")), sop_class=SR + "11")
    made.CurrentRequestedProcedureEvidenceSequence = evidence("1.2.3.9.1")
    return made


DOCUMENTS = {
    "dose": dose_report,
    "measurements": measurements,
    "key-objects": key_objects,
    "mammography": mammography,
    "prose": prose,
}
