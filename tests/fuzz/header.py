"""Data sets and their damages, and what recipes may make of any of them: a result that parses, or an error with a name.

An example is a byte for the transfer syntax and the encoded data set.
"""

from __future__ import annotations

import contextlib
import struct
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from node.errors import DatasetError, HoldInstance
from node.gate import through
from node.instances import required_uids
from node.objects import Policy
from node.recipe import EncodedDataset, Recipe, RecipeText, compile_conditions, load_recipe, shipped_recipe
from node.syntaxes import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, Syntax
from tests.gate.support import patient
from tests.recipe.support import Keys, dataset, encode, recipe

CORPUS = Path(__file__).parent / "corpus/header"
SYNTAXES = (EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE)
Draw = Any

EMPTY = recipe()
SHORT = recipe(
    "REPLACE select:VR:UI func:generate_uid",
    "REPLACE PatientID func:pseudonym",
    "REPLACE select:VR:PN A^B",
    "BLANK select:VR:SQ",
    "REMOVE contains:Date",
    "REMOVE select:private",
    "ADD PatientIdentityRemoved YES",
)
CONDITIONS = compile_conditions(["contains Modality CT", "missing Rows", "equals Columns 7", "empty StudyDate"], "fuzz")
POLICY = Policy(unknown_sop_class="pass", documents="stub", pixel_risk="pass")
GROWTH, CONSTANT = 64, 65536  # an element of 8 bytes may get a value of its own; what a recipe adds is not much


def corpus() -> list[Path]:
    return sorted(CORPUS.iterdir())


@cache
def _shipped() -> Recipe:
    """The strictest road through the engine: the profile, and the options that clean texts, reports and graphics."""
    names = ("ps3.15-basic", "clean-descriptors", "clean-structured-content", "clean-graphics")
    texts = [shipped_recipe(name) for name in names]
    return load_recipe([text for text in texts if isinstance(text, RecipeText)])


def check(example: bytes) -> None:
    """Fail where anything else comes out than a result that parses, or DatasetError, or HoldInstance."""
    if len(example) < 2:
        return  # a file without an element is held before the engine sees it (`node.instances.source`)
    syntax, data = SYNTAXES[example[0] % len(SYNTAXES)], example[1:]
    try:
        dataset = EncodedDataset.scan(data, 0, syntax)
    except DatasetError:
        return
    with contextlib.suppress(DatasetError, HoldInstance):
        unchanged = EMPTY.apply(dataset, Keys(), {})
        assert unchanged.tobytes() == data
        assert not unchanged.changed
    with contextlib.suppress(DatasetError):
        CONDITIONS.matches(dataset)
    for one in (SHORT, _shipped()):
        with contextlib.suppress(DatasetError, HoldInstance):
            _clean(one, dataset, syntax)


def _clean(one: Recipe, dataset: EncodedDataset, syntax: Syntax) -> None:
    verdict = POLICY.judge(one, dataset)
    if verdict.excluded:
        return
    cleaned = verdict.finished(one.apply(dataset, Keys(), {}, masks=verdict.judgement))
    result = through(cleaned, one, "scrub").cleaned.tobytes()
    assert len(result) <= GROWTH * len(dataset.buffer) + CONSTANT
    EncodedDataset.scan(result, 0, syntax)
    required_uids(cleaned)


LENGTHS = st.sampled_from([0, 1, 2, 7, 8, 0xFF, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF])
VRS = st.sampled_from([b"SQ", b"UN", b"OB", b"OW", b"UI", b"PN", b"DA", b"US", b"UT", b"AT", b"??", b"\0\0", b"ZZ"])
TAGS = st.sampled_from([
    0x00000002, 0x00020010, 0x00080005, 0x00080016, 0x00080018, 0x00100010, 0x00100020, 0x00280103, 0x00331001,
    0x0040A730, 0x00700001, 0x54000100, 0x60003000, 0x7FE00010, 0x7FE00010, 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD,
    0xFFFFFFFF,
])  # fmt: skip
CHARSETS = st.sampled_from(
    [b"ISO_IR 100", b"ISO_IR 192", b"ISO 2022 IR 87", b"\\ISO 2022 IR 149", b"GB18030 ", b"NONE"]
)


def _sound() -> list[bytes]:
    """Data sets with nothing wrong, of everything that the engine treats in a way of its own, in each encoding."""
    code = dataset(CodeValue="1", CodingSchemeDesignator="99X", CodeMeaning="Finding")
    text = dataset(RelationshipType="CONTAINS", ValueType="TEXT", TextValue="seen by BRACHVOGEL")
    text.ConceptNameCodeSequence = [code]
    inner = dataset(ReferencedSOPClassUID="1.2.3", ReferencedSOPInstanceUID="1.2.4", PatientID="PID-77313")
    nested = patient(ReferencedImageSequence=[inner, inner], RequestAttributesSequence=[dataset(StudyID="7")])
    nested.RequestAttributesSequence[0].ReferencedStudySequence = [inner]
    undefined = patient(ReferencedImageSequence=[inner])
    undefined["ReferencedImageSequence"].is_undefined_length = inner.is_undefined_length_sequence_item = True
    private = patient(PatientComments="KOWALSKA, 1953")
    private.add_new(0x00330010, "LO", "SYNTHETIC")
    private.add_new(0x00331001, "LO", "PID-77313")
    private.add_new(0x00331002, "UN", b"88441199")
    image = patient(Rows=2, Columns=2, BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0)
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.add_new(0x7FE00010, "OW", bytes(4))
    report = patient(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", Modality="SR", ContentSequence=[text, text])
    named = patient(SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName="YAMADA^TARO")
    alone = dataset(SOPClassUID="1.2.840.10008.5.1.4.1.1.2", SOPInstanceUID="1.2.3")
    found = [alone, nested, undefined, private, image, report, named]
    return [bytes([n]) + encode(one, syntax) for one in found for n, syntax in enumerate(SYNTAXES)]


SOUND = _sound()


@st.composite
def examples(draw: Draw, kept: list[bytes]) -> bytes:
    """A sound data set, or one of those kept, with no to five damages."""
    example = draw(st.sampled_from([*SOUND, *kept]))
    number, data = example[0] % len(SYNTAXES), bytearray(example[1:])
    for change in draw(st.lists(st.sampled_from(DAMAGES), max_size=5)):
        change(draw, data, SYNTAXES[number])
    return bytes([number]) + bytes(data)


def _place(draw: Draw, data: bytearray, syntax: Syntax) -> int:
    """Where an element begins, as far as that can be told; else anywhere."""
    with contextlib.suppress(DatasetError):
        elements = EncodedDataset.scan(bytes(data), 0, syntax).elements
        if elements:
            return int(draw(st.sampled_from(elements))[1])
    return draw(st.integers(0, len(data)))


def _header(tag: int, vr: bytes, length: int, syntax: Syntax) -> bytes:
    order = "<" if syntax.little_endian else ">"
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if syntax.implicit_vr or tag >> 16 == 0xFFFE:
        return head + struct.pack(order + "L", length)
    if vr in (b"SQ", b"UN", b"OB", b"OW", b"UT", b"ZZ"):
        return head + vr + struct.pack(order + "HL", 0, length)
    return head + vr + struct.pack(order + "H", length & 0xFFFF)


def _flip(draw: Draw, data: bytearray, syntax: Syntax) -> None:
    if data:
        data[draw(st.integers(0, len(data) - 1))] ^= 1 << draw(st.integers(0, 7))


def _cut(draw: Draw, data: bytearray, syntax: Syntax) -> None:
    place = draw(st.integers(0, len(data)))
    del data[place : draw(st.sampled_from([place + 1, place + 8, len(data)]))]


def _insert(draw: Draw, data: bytearray, syntax: Syntax) -> None:
    """An element with any tag, VR and length, that may be true."""
    value = draw(st.binary(max_size=16) | CHARSETS)
    length = len(value) if draw(st.booleans()) else draw(LENGTHS)
    place = _place(draw, data, syntax)
    data[place:place] = _header(draw(TAGS), draw(VRS), length, syntax) + value


def _relabel(draw: Draw, data: bytearray, syntax: Syntax) -> None:
    """Another VR or length for an element that is there."""
    place = _place(draw, data, syntax)
    changed = draw(VRS) if draw(st.booleans()) else struct.pack("<L", draw(LENGTHS))
    data[place + 4 : place + 4 + len(changed)] = changed


def _repeat(draw: Draw, data: bytearray, syntax: Syntax) -> None:
    start, end = sorted((_place(draw, data, syntax), _place(draw, data, syntax)))
    data[end:end] = data[start:end]


def _nest(draw: Draw, data: bytearray, syntax: Syntax) -> None:
    """Put all of it into items, several deep, of defined or undefined length."""
    undefined, vr = draw(st.booleans()), draw(st.sampled_from([b"SQ", b"UN"]))
    for _ in range(draw(st.sampled_from([1, 2, 5, 70]))):
        length = 0xFFFFFFFF if undefined else len(data)
        inside = _header(0xFFFEE000, b"", length, syntax) + data
        if undefined:
            inside += _header(0xFFFEE00D, b"", 0, syntax)
        head = _header(0x00081140, vr, length if undefined else len(inside), syntax)
        data[:] = head + inside + (_header(0xFFFEE0DD, b"", 0, syntax) if undefined else b"")


DAMAGES = [_flip, _cut, _insert, _insert, _relabel, _relabel, _repeat, _nest]
