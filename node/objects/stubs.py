"""Stubs: a small valid document that says it was removed, and silence in place of a voice.

Guarantees that a stub is of the type that its class demands (PS3.3 C.24.2) and holds nothing of the original. A voice
keeps its length, channels and sampling. Refuses (HoldInstance) what it cannot replace with certainty: a class that no
stub is of, and samples whose silence is not known.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from node.errors import HoldInstance, HoldReason
from node.objects.classes import CDA, MTL, OBJ, PDF, STL, VOICES
from node.recipe import EncodedDataset
from node.recipe.amend import Change
from node.recipe.coding import Coding
from node.recipe.encoded import UNDEFINED, Element, inner_coding

ENCAPSULATED_DOCUMENT = 0x00420011
_MIME_TYPE, _MIME_TYPES, _LENGTH = 0x00420012, 0x00420014, 0x00420015
WAVEFORM_SEQUENCE = 0x54000100
_INTERPRETATION, _WAVEFORM_DATA = 0x54001006, 0x54001010
_LONGEST_SILENCE = 1 << 26  # bytes; an hour of speech is a fraction of it

_TEXT = "Document removed by de-identification"
_CDA = f"""<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3">
  <typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/>
  <id nullFlavor="MSK"/>
  <code nullFlavor="MSK"/>
  <title>{_TEXT}</title>
  <effectiveTime nullFlavor="MSK"/>
  <confidentialityCode code="N" codeSystem="2.16.840.1.113883.5.25"/>
  <recordTarget><patientRole><id nullFlavor="MSK"/></patientRole></recordTarget>
  <author><time nullFlavor="MSK"/><assignedAuthor><id nullFlavor="MSK"/></assignedAuthor></author>
  <custodian><assignedCustodian><representedCustodianOrganization><id nullFlavor="MSK"/>
  </representedCustodianOrganization></assignedCustodian></custodian>
  <component><nonXMLBody><text>{_TEXT}</text></nonXMLBody></component>
</ClinicalDocument>
"""
_OBJ = f"# {_TEXT}\no removed\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
_MTL = f"# {_TEXT}\nnewmtl removed\nKd 0.5 0.5 0.5\n"
# Signed samples are silent at 0, unsigned ones in the middle, companded ones at the code of 0 (ITU-T G.711).
_SILENCE = {"SB": b"\0", "SS": b"\0\0", "UB": b"\x80", "MB": b"\xff", "AB": b"\xd5"}


def _pdf() -> bytes:
    """Return one page with one line; the table at its end tells where each object begins (ISO 32000-1, 7.5)."""
    content = f"BT /F1 18 Tf 72 720 Td ({_TEXT}) Tj ET"
    objects = (
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font 6 0 R >> >>",
        f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        "<< /F1 5 0 R >>",
    )
    text, places = "%PDF-1.4\n", []
    for number, one in enumerate(objects, start=1):
        places.append(len(text))
        text += f"{number} 0 obj\n{one}\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    count = len(objects) + 1
    text += f"xref\n0 {count}\n0000000000 65535 f \n{table}trailer\n<< /Size {count} /Root 1 0 R >>\n"
    return f"{text}startxref\n{text.index('xref')}\n%%EOF\n".encode("ascii")


def _stl() -> bytes:
    """Return a binary STL: a header of 80 bytes, the number of triangles, and one triangle."""
    corners = (0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0)
    return _TEXT.encode().ljust(80) + struct.pack("<L12fH", 1, *corners, 0)


DOCUMENTS = {
    PDF: ("application/pdf", _pdf()),
    CDA: ("text/XML", _CDA.encode()),
    STL: ("model/stl", _stl()),
    OBJ: ("model/obj", _OBJ.encode()),
    MTL: ("model/mtl", _MTL.encode()),
}
"""MIME type and document of each class of Encapsulated Documents."""


def stub(sop_class_uid: str, dataset: EncodedDataset) -> tuple[dict[int, Change], list[tuple[int, int, bytes]]]:
    """Return what takes the place of a document or a voice: attributes of the top level, and ranges of the source.

    Raises
    ------
    HoldInstance
        No stub is known that would be right.
    DatasetError
        Items that cannot be parsed.
    """
    if sop_class_uid in VOICES:
        return {}, list(_silence(dataset))
    if sop_class_uid not in DOCUMENTS:
        raise HoldInstance(HoldReason.DOCUMENT, "a document in an object of another class, for which there is no stub")
    mime_type, document = DOCUMENTS[sop_class_uid]
    return {
        ENCAPSULATED_DOCUMENT: ("OB", document),
        _MIME_TYPE: ("LO", mime_type.encode()),
        _MIME_TYPES: None,  # the stub holds no other documents
        _LENGTH: ("UL", len(document).to_bytes(4, dataset.coding.order)),
    }, []


def _silence(dataset: EncodedDataset) -> Iterator[tuple[int, int, bytes]]:
    for element, parts in items(dataset, WAVEFORM_SEQUENCE):
        data, kind = parts.get(_WAVEFORM_DATA), parts.get(_INTERPRETATION)
        if data is None:
            continue
        coding = inner_coding(dataset.walker, element, dataset.coding)
        interpretation = "" if kind is None else bytes(dataset.buffer[kind[2] : kind[4]]).decode("latin-1").strip("\0 ")
        sample = (0x8000).to_bytes(2, coding.order) if interpretation == "US" else _SILENCE.get(interpretation)
        size = data[4] - data[2]
        if sample is None or data[3] == UNDEFINED or size > _LONGEST_SILENCE:
            raise HoldInstance(HoldReason.DOCUMENT, "a voice whose samples cannot be replaced by silence")
        yield data[2], data[4], (sample * (size // len(sample) + 1))[:size]


def items(dataset: EncodedDataset, tag: int) -> Iterator[tuple[Element, dict[int, Element]]]:
    """Give the elements of each item of a top-level sequence by their tags, with the sequence. Raises DatasetError."""
    sequence = dataset.find(tag)
    if sequence is None:
        return
    coding: Coding = inner_coding(dataset.walker, sequence, dataset.coding)
    walker, position, last = dataset.walker, sequence[2], sequence[4]
    while position < last:
        kind, length = walker.item_header(position, last, coding)
        position += 8
        if kind != 0xFFFEE000:
            return
        end = last if length == UNDEFINED else position + length
        found: dict[int, Element] = {}
        while position < end:
            if length == UNDEFINED and walker.item_header(position, end, coding)[0] == 0xFFFEE00D:
                position += 8
                break
            element = walker.element(position, end, coding, 1)
            found[element[0] >> 16] = element
            position = element[4]
        yield sequence, found
