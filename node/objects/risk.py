"""Whether an image may show who the patient is, judged by its original header alone.

Guarantees that the same header gives the same risks, in the order of `RISKS`, and that an instance without pixels has
none. Nothing here looks at pixels: a risk is what the kind of image, its maker or its description make likely. Text is
read as Latin-1, since all words that are looked for are ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from node.recipe import EncodedDataset
from node.recipe.dictionary import PIXEL_DATA

BURNED_IN_ANNOTATION = 0x00280301
_PIXELS = (PIXEL_DATA, 0x7FE00008, 0x7FE00009, 0x00287FE0)  # the last one is Pixel Data Provider URL
_SOP_CLASS_UID, _MODALITY, _IMAGE_TYPE, _SERIES_DESCRIPTION = 0x00080016, 0x00080060, 0x00080008, 0x0008103E
_CONVERSION_TYPE, _LABEL_IN_IMAGE = 0x00080064, 0x00480010
_READ = (
    _SOP_CLASS_UID,
    _MODALITY,
    _IMAGE_TYPE,
    _SERIES_DESCRIPTION,
    BURNED_IN_ANNOTATION,
    _CONVERSION_TYPE,
    _LABEL_IN_IMAGE,
)
_LONGEST = 1024  # bytes; no value that is asked for is longer
_ROOT = "1.2.840.10008.5.1.4.1.1."


def _classes(text: str) -> frozenset[str]:
    return frozenset(_ROOT + last for last in text.split())


SECONDARY_CAPTURE = _classes("7 7.1 7.2 7.3 7.4")
ULTRASOUND = _classes("6.1 3.1 6.2 6 3")
X_RAY = _classes("12.1 12.2 12.3 12.1.1 12.2.1")  # angiography and fluoroscopy
# Endoscopes print the patient beside the image; photographs, dermoscopic ones too, show faces, marks and name plates.
PHOTOGRAPHS = _classes("77.1.1 77.1.1.1 77.1.4 77.1.4.1 77.1.7 77.1 77.2")
# One class for the fundus, whose cameras print ids into the margin, and for the eye from outside, with lids and brows.
EYES = _classes("77.1.5.1 77.1.5.2")
SLIDES = _classes("77.1.6")
RT_DOSE = _classes("481.2")
_SCANNED = frozenset(("OT", "DOC", "XC", "ES"))
_LABELLED = frozenset(("LABEL", "OVERVIEW", "LOCALIZER"))
_SCREENS_IN_TYPE = re.compile("SAVE|SCREEN|DOSE|REPORT|PATIENT.?PROTOCOL|PROTOCOL")
# Low-dose and screening protocols are everyday images: the words count where they mean a page.
_SCREENS = re.compile(
    r"SCREEN[ _-]*(?:SAV|SHOT|CAP|DUMP|GRAB|PRINT)|\bSAVED?\b|\bDOSE[ _-]*(?:REPORT|INFO|SHEET|SUMMAR|PAGE|RECORD)"
    r"|^[ _]*DOSE[ _]*$|^[ _]*SCREENS?[ _]*$|(?:\b|_)REPORT|PATIENT[ _-]*(?:PROTOCOL|DATA|INFO)"
)


@dataclass(frozen=True, slots=True)
class Header:
    """What of a header tells; texts are trimmed and in capitals, empty where absent."""

    sop_class_uid: str
    modality: str
    image_type: tuple[str, ...]
    series_description: str
    burned_in: str
    conversion_type: str
    label_in_image: str

    @property
    def is_ultrasound(self) -> bool:
        """By class or modality."""
        return self.sop_class_uid in ULTRASOUND or self.modality == "US"

    @property
    def is_x_ray(self) -> bool:
        """Angiography or fluoroscopy, by class or modality."""
        return self.sop_class_uid in X_RAY or self.modality in ("XA", "RF")

    @property
    def is_secondary_capture(self) -> bool:
        """By class."""
        return self.sop_class_uid in SECONDARY_CAPTURE

    @property
    def is_trusted(self) -> bool:
        """Whether its own Burned In Annotation NO counts: those of SC, US and XA say it without having looked."""
        return not (self.is_ultrasound or self.is_x_ray or self.is_secondary_capture)


def read_header(dataset: EncodedDataset) -> Header | None:
    """Return what of the header tells; None where the instance has no pixels."""
    return dataset.once(read_header, _READ, lambda: _read(dataset))


def _read(dataset: EncodedDataset) -> Header | None:
    if not any(dataset.find(tag) for tag in _PIXELS):
        return None
    return Header(
        sop_class_uid=text(dataset, _SOP_CLASS_UID),
        modality=text(dataset, _MODALITY),
        image_type=tuple(part.strip() for part in text(dataset, _IMAGE_TYPE).split("\\")),
        series_description=text(dataset, _SERIES_DESCRIPTION),
        burned_in=text(dataset, BURNED_IN_ANNOTATION),
        conversion_type=text(dataset, _CONVERSION_TYPE),
        label_in_image=text(dataset, _LABEL_IN_IMAGE),
    )


def text(dataset: EncodedDataset, tag: int) -> str:
    """Return the beginning of a top-level value in capitals; empty where it is absent."""
    element = dataset.find(tag)
    if element is None:
        return ""
    start, end = element[2], min(element[4], element[2] + _LONGEST)
    return bytes(dataset.buffer[start:end]).decode("latin-1").strip("\0 ").upper()


def _is_secondary_x_ray(header: Header) -> bool:
    captured = bool(header.conversion_type) or bool({"SECONDARY", "OTHER"} & set(header.image_type))
    return header.is_x_ray and captured


def _says_screen(header: Header) -> bool:
    if header.sop_class_uid in RT_DOSE:
        return False  # a dose is what it is about
    return any(map(_SCREENS_IN_TYPE.search, header.image_type)) or bool(_SCREENS.search(header.series_description))


DECLARED = "Burned In Annotation (0028,0301) is YES"

RISKS: Mapping[str, Callable[[Header], bool]] = {
    DECLARED: lambda header: header.burned_in == "YES",
    "Specimen Label in Image (0048,0010) is YES": lambda header: header.label_in_image == "YES",
    "Secondary Capture": lambda header: header.is_secondary_capture,
    "ultrasound": lambda header: header.is_ultrasound,
    "X-ray angiography or fluoroscopy that was captured": _is_secondary_x_ray,
    "Image Type (0008,0008) or Series Description (0008,103E) of a screen, report or dose page": _says_screen,
    "a modality of scanned documents and photographs": lambda header: header.modality in _SCANNED,
    "a photograph": lambda header: header.sop_class_uid in PHOTOGRAPHS,
    "a photograph of an eye": lambda header: header.sop_class_uid in EYES,
    "label or overview of a slide": lambda header: (
        (header.sop_class_uid in SLIDES or header.modality == "SM") and bool(_LABELLED & set(header.image_type))
    ),
}
"""Each risk in words, and how it is seen."""


def risks(dataset: EncodedDataset, *, declared_only: bool = False) -> tuple[str, ...]:
    """Return the risks of an image; `declared_only` asks for no more than what it says itself."""
    return dataset.once((risks, declared_only), _READ, lambda: _risks(read_header(dataset), declared_only))


def _risks(header: Header | None, declared_only: bool) -> tuple[str, ...]:
    if header is None:
        return ()
    names = (DECLARED,) if declared_only else RISKS
    return tuple(name for name in names if RISKS[name](header))
