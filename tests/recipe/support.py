"""Data sets and identities for the tests of the recipe engine."""

from __future__ import annotations

import hashlib
from io import BytesIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from node.recipe import Cleaned, EncodedDataset, Recipe, RecipeText, load_recipe
from node.syntaxes import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, Syntax

CODINGS = (IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE)
LINES = {
    "ADD": "ADD StudyDate 20000101",
    "BLANK": "BLANK StudyDate",
    "JITTER": "JITTER StudyDate 1",
    "KEEP": "KEEP StudyDate",
    "REPLACE": "REPLACE StudyDate 20100101",
    "REMOVE": "REMOVE StudyDate",
}
STUDY_DATE = "20230115"
_TABLE = {
    "ADD": ("20000101", "", "20000102", "20000101", "20100101", None),
    "BLANK": ("20000101", "", "", STUDY_DATE, "20100101", None),
    "JITTER": ("20000101", "", "20230117", STUDY_DATE, "20100101", "20230116"),
    "KEEP": ("20000101", STUDY_DATE, STUDY_DATE, STUDY_DATE, STUDY_DATE, STUDY_DATE),
    "REPLACE": ("20000101", "", "20100102", STUDY_DATE, "20100101", "20100101"),
    "REMOVE": ("20000101", None, "20230116", STUDY_DATE, "20100101", None),
}
CELLS = [(first, second, _TABLE[first][n]) for first in LINES for n, second in enumerate(LINES)]
"""Two lines on one element, and what becomes of STUDY_DATE; None where the element goes."""


class Keys:
    """Identities that anyone can compute."""

    def uid(self, original: str) -> str:
        return f"2.25.{int(hashlib.sha256(original.encode()).hexdigest()[:28], 16)}" if original else ""

    def project(self) -> str:
        return "demo"

    def text(self, original: str) -> str:
        return f"T{hashlib.sha256(original.strip().encode()).hexdigest()[:12].upper()}" if original else ""

    def pseudonym(self) -> str:
        return "PSEUDONYM1"

    def pseudonym_of(self, patient_id: str, issuer: str | None = None) -> str:
        return f"OTHER{len(patient_id)}{issuer or ''}"

    def shift_days(self) -> int:
        return -10

    def empties_invalid_dates(self) -> bool:
        return False

    def decided(self) -> None:
        return None


def recipe(*lines: str) -> Recipe:
    return load_recipe([RecipeText("r.dicom", "\n".join(["FORMAT dicom", "%header", *lines]))])


def text(*lines: str, name: str = "r.dicom") -> RecipeText:
    """A recipe of whole lines, sections included."""
    return RecipeText(name, "\n".join(["FORMAT dicom", *lines]))


def apply(recipe: Recipe, source: Dataset, syntax: Syntax = EXPLICIT_LE, **variables: object) -> Dataset:
    """What a recipe makes of a data set."""
    encoded = EncodedDataset.scan(encode(source, syntax), 0, syntax)
    return decode(recipe.apply(encoded, Keys(), variables).tobytes(), syntax)


def encode(dataset: Dataset, syntax: Syntax = EXPLICIT_LE) -> bytes:
    stream = DicomBytesIO()
    stream.is_implicit_VR = syntax.implicit_vr
    stream.is_little_endian = syntax.little_endian
    write_dataset(stream, dataset)
    return stream.getvalue()


def decode(data: bytes, syntax: Syntax = EXPLICIT_LE) -> Dataset:
    return pydicom.filereader.read_dataset(
        BytesIO(data), is_implicit_VR=syntax.implicit_vr, is_little_endian=syntax.little_endian
    )


def clean(
    data: bytes | Dataset, *lines: str, syntax: Syntax = EXPLICIT_LE, variables: dict[str, str] | None = None
) -> Cleaned:
    encoded = data if isinstance(data, bytes) else encode(data, syntax)
    return recipe(*lines).apply(EncodedDataset.scan(encoded, 0, syntax), Keys(), variables or {})


def cleaned(data: bytes | Dataset, *lines: str, syntax: Syntax = EXPLICIT_LE, **variables: str) -> Dataset:
    return decode(clean(data, *lines, syntax=syntax, variables=variables).tobytes(), syntax)


def dataset(**values: object) -> Dataset:
    result = Dataset()
    for keyword, value in values.items():
        setattr(result, keyword, value)
    return result
