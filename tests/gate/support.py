"""Originals with known identity, encoded by hand where pydicom would refuse, and what the gate says of a result."""

from __future__ import annotations

from pydicom.dataset import Dataset

from node.gate import leaks
from node.recipe import EncodedDataset, Recipe
from node.recipe.coding import IMPLICIT_CODING, Coding, coding_of
from node.syntaxes import EXPLICIT_LE, Syntax
from tests.recipe.support import Keys, dataset, encode, recipe

UID = "1.2.826.0.1.3680043.9.7433.{}"
GROUP = 0x6FFF  # private, behind everything that `patient` has

# What removes the identity of `patient` from where it belongs, and looks at nothing else.
WEAK = recipe(
    "REPLACE PatientName NOBODY",
    "REPLACE select:standard:UI func:generate_uid",
    "REPLACE select:standard:DA func:shift_date",
    "REMOVE PatientBirthDate",
    *(f"REMOVE {keyword}" for keyword in (
        "PatientID", "AccessionNumber", "InstitutionName", "InstitutionAddress", "DeviceSerialNumber", "PatientAddress",
        "PatientTelephoneNumbers", "ReferringPhysicianName", "StudyID",
    )),
)  # fmt: skip


def patient(**changes: object) -> Dataset:
    """A data set with one value of each kind."""
    return dataset(**{
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
        "SOPInstanceUID": UID.format(1),
        "StudyInstanceUID": UID.format(2),
        "SeriesInstanceUID": UID.format(3),
        "StudyDate": "20040119",
        "SeriesDate": "20040129",
        "PatientName": "KOWALSKA^ZOFIA^MARIA",
        "PatientID": "PID-77313",
        "PatientBirthDate": "19530311",
        "PatientAddress": "Lindenweg 14",
        "PatientTelephoneNumbers": "+49 30 7654 321",
        "AccessionNumber": "88441199",
        "InstitutionName": "Sankt Irgendwo",
        "InstitutionAddress": "Am Anger 3, Irgendwo",
        "ReferringPhysicianName": "BRACHVOGEL^EMIL",
        "DeviceSerialNumber": "SN55120",
        "StudyID": "7",
        "Modality": "CT",
        "Manufacturer": "ACME",
        **changes,
    })  # fmt: skip


def element(tag: int, vr: str, value: bytes, coding: Coding) -> bytes:
    """An element, whatever its value; padded to what its VR takes."""
    unit = 8 if vr in ("FD", "SV", "UV", "OD", "OV") else 4 if vr in ("AT", "FL", "SL", "UL", "OF", "OL") else 2
    value += (b"\0" if vr in ("UI", "UN", "OB") else b" ") * (-len(value) % unit)
    return coding.header(tag, vr, len(value)) + value


def nested(content: bytes, depth: int, coding: Coding, vr: str = "SQ") -> bytes:
    """Elements inside of `depth` sequences, private ones as everything of `GROUP`."""
    creator = element(GROUP << 16 | 0x10, "LO", b"ACME", coding)
    for _ in range(depth):
        item = b"\xfe\xff\x00\xe0" if coding.little else b"\xff\xfe\xe0\x00"
        item += coding.pack_length(len(creator + content)) + creator + content
        content = coding.header(GROUP << 16 | 0x1001, vr, len(item)) + item
    return creator + content


def path(depth: int, last: int = 0x1002) -> str:
    """The tag path of an element that is nested so deep."""
    return f"({GROUP:04X},1001)__0__" * depth + f"({GROUP:04X},{last:04X})"


def with_private(
    source: Dataset, vr: str, value: bytes, *, depth: int = 0, syntax: Syntax = EXPLICIT_LE, un: bool = False
) -> bytes:
    """A data set with one more element; with `un` in sequences that are encoded as UN (PS3.5 6.2.2)."""
    coding = coding_of(syntax)
    inner = IMPLICIT_CODING if un else coding
    content = element(GROUP << 16 | 0x1002, vr, value, inner)
    if not un:
        return encode(source, syntax) + nested(content, depth, coding)
    hidden = nested(content, depth, inner)
    creator = element(GROUP << 16 | 0x10, "LO", b"ACME", inner)
    whole = hidden.removeprefix(creator)[8:]
    return (
        encode(source, syntax)
        + element(GROUP << 16 | 0x10, "LO", b"ACME", coding)
        + (coding.header(GROUP << 16 | 0x1001, "UN", len(whole)) + whole)
    )


def found(data: bytes | Dataset, by: Recipe = WEAK, syntax: Syntax = EXPLICIT_LE, *, pixels: bool = True) -> list[str]:
    """What the gate says of what a recipe makes of a data set."""
    encoded = data if isinstance(data, bytes) else encode(data, syntax)
    cleaned = by.apply(EncodedDataset.scan(encoded, 0, syntax), Keys(), {"site": "Site 4"})
    return [str(finding) for finding in leaks(cleaned, by, pixels=pixels)]


def more(*lines: str) -> Recipe:
    """The weak recipe with other lines behind it."""
    return recipe(*(WEAK.line(rule.where) for rule in WEAK.rules), *lines)


def without(word: str, *lines: str) -> Recipe:
    """The weak recipe without the lines that hold a word, and with others."""
    kept = [line for rule in WEAK.rules if word not in (line := WEAK.line(rule.where))]
    assert len(kept) < len(WEAK.rules)
    return recipe(*kept, *lines)
