"""Documents, voices, and classes that the standard does not have: held, passed, excluded, or replaced by a stub."""

from __future__ import annotations

import re
import struct
from xml.etree import ElementTree as ET

import pytest

from node.errors import HoldInstance, HoldReason
from node.syntaxes import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE
from tests.objects.support import CT, HEADER_ONLY, MR, ROOT, cleaned, held, image, judge
from tests.recipe.support import dataset

CODINGS = pytest.mark.parametrize(
    "syntax", [EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE], ids=["explicit", "implicit", "big endian"]
)
KINDS = {
    "104.1": "application/pdf",
    "104.2": "text/XML",
    "104.3": "model/stl",
    "104.4": "model/obj",
    "104.5": "model/mtl",
}
PLANTED = b"%PDF PLANTED^NAME "


def document(last: str, **values: object):
    return dataset(**{
        "SOPClassUID": ROOT + last,
        "SOPInstanceUID": "1.2.3",
        "PatientID": "P1",
        "DocumentTitle": "of PLANTED",
        "MIMETypeOfEncapsulatedDocument": KINDS[last],
        "ListOfMIMETypes": "image/jpeg",
        "EncapsulatedDocument": PLANTED,
        "EncapsulatedDocumentLength": len(PLANTED),
        **values,
    })  # fmt: skip


def voice(interpretation: str, data: bytes, bits: int):
    item = dataset(
        NumberOfWaveformChannels=1, NumberOfWaveformSamples=len(data) * 8 // bits, SamplingFrequency="8000",
        WaveformBitsAllocated=bits, WaveformSampleInterpretation=interpretation,
    )  # fmt: skip
    item.add_new(0x54001010, "OW" if bits == 16 else "OB", data)
    return dataset(SOPClassUID=ROOT + "9.4.1", SOPInstanceUID="1.2.3", PatientID="P1", WaveformSequence=[item])


@pytest.mark.parametrize("last", KINDS)
def test_a_document_is_held_by_default_and_excluded_where_the_route_says_so(last):
    assert held(document(last)) == (HoldReason.DOCUMENT, "an encapsulated document")
    assert judge(document(last), documents="exclude").excluded == "documents: an encapsulated document"


def test_a_document_in_an_object_of_another_class_is_one_and_has_no_stub():
    source = image(EncapsulatedDocument=PLANTED)
    assert held(source)[0] is HoldReason.DOCUMENT
    with pytest.raises(HoldInstance) as hold:
        cleaned(source, documents="stub")
    assert hold.value.reason is HoldReason.DOCUMENT


@CODINGS
@pytest.mark.parametrize("last", KINDS)
def test_a_stub_takes_the_place_of_a_document(last, syntax):
    result = cleaned(document(last), documents="stub", syntax=syntax)
    found = result.EncapsulatedDocument[: result.EncapsulatedDocumentLength]
    assert len(result.EncapsulatedDocument) == result.EncapsulatedDocumentLength + result.EncapsulatedDocumentLength % 2
    assert b"PLANTED" not in result.EncapsulatedDocument
    assert b"removed" in found
    assert (result.MIMETypeOfEncapsulatedDocument, result.DocumentTitle) == (KINDS[last], "")
    assert "ListOfMIMETypes" not in result
    VALID[last](found)


def pdf(found: bytes) -> None:
    start = int(found.rsplit(b"startxref\n", 1)[1].split()[0])
    assert found[start:].startswith(b"xref\n0 7\n")
    for number, place in enumerate(re.findall(rb"(\d{10}) 00000 n ", found), start=1):
        assert found[int(place) :].startswith(b"%d 0 obj" % number)
    length, stream = re.search(rb"/Length (\d+) >>\nstream\n(.*)\nendstream", found).groups()
    assert len(stream) == int(length)


def stl(found: bytes) -> None:
    (count,) = struct.unpack_from("<L", found, 80)
    assert len(found) == 84 + 50 * count


VALID = {
    "104.1": pdf,
    "104.2": ET.fromstring,
    "104.3": stl,
    "104.4": lambda found: [
        float(word) for line in found.splitlines() if line[:2] == b"v " for word in line.split()[1:]
    ],
    "104.5": lambda found: found.index(b"newmtl "),
}


def test_a_document_that_passes_is_cleaned_by_the_recipe_alone():
    assert cleaned(document("104.1"), documents="pass").EncapsulatedDocument != PLANTED
    assert cleaned(document("104.1"), HEADER_ONLY, documents="pass").EncapsulatedDocument == PLANTED


@CODINGS
@pytest.mark.parametrize(
    ("interpretation", "bits", "silence"),
    [("SB", 8, 0), ("UB", 8, 0x80), ("MB", 8, 0xFF), ("AB", 8, 0xD5), ("SS", 16, 0), ("US", 16, 0x8000)],
)
def test_a_voice_becomes_silence_of_the_same_length(interpretation, bits, silence, syntax):
    data = bytes(range(1, 201))
    source = voice(interpretation, data, bits)
    assert held(source) == (HoldReason.DOCUMENT, "a voice")
    result = cleaned(source, documents="stub", syntax=syntax).WaveformSequence[0]
    order = "little" if syntax.little_endian else "big"
    assert result.WaveformData == silence.to_bytes(bits // 8, order) * (200 * 8 // bits)
    assert result.NumberOfWaveformSamples == 1600 // bits


def test_a_voice_whose_silence_is_not_known_stays_held():
    with pytest.raises(HoldInstance) as hold:
        cleaned(voice("XX", b"ab", 8), documents="stub")
    assert hold.value.reason is HoldReason.DOCUMENT


@pytest.mark.parametrize("uid", ["1.3.12.2.1107.5.9.1", "1.2.840.10008.5.1.4.1.1.501.1", "1.2.840.10008.1.1", ""])
def test_a_class_that_the_standard_does_not_have_is_held_passed_or_excluded(uid):
    source = image(uid)
    assert held(source) == (HoldReason.UNKNOWN_SOP_CLASS, "a SOP class that the standard does not have")
    assert judge(source, unknown_sop_class="exclude").excluded.startswith("unknown_sop_class: ")
    assert judge(source, unknown_sop_class="pass").excluded == ""


@pytest.mark.parametrize("uid", [CT, MR, ROOT + "9.100.1", ROOT + "5", ROOT + "88.33", "1.2.840.10008.5.1.4.34.7"])
def test_storage_classes_of_the_standard_are_known_retired_and_new_ones_too(uid):
    assert judge(image(uid)).excluded == ""
