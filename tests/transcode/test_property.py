"""Conversions of data sets that nobody has thought of: nested sequences, private blocks, every VR."""

from __future__ import annotations

import contextlib
import struct

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataelem import DataElement

from node.errors import DatasetError
from tests.thorough import share
from tests.transcode.support import BIG, EXPLICIT, IMPLICIT, convert, decode, encode, raw, values

SLOW_TO_MAKE = [HealthCheck.too_slow, HealthCheck.data_too_large]
PAIRS = [(IMPLICIT, EXPLICIT), (EXPLICIT, IMPLICIT), (BIG, EXPLICIT), (BIG, IMPLICIT)]
CREATOR = "SYNTHETIC 1.0"


def several(numbers: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(numbers, min_size=1, max_size=4).map(lambda found: found if len(found) > 1 else found[0])


def words(size: int) -> st.SearchStrategy:
    return st.binary(max_size=64).map(lambda data: data[: len(data) - len(data) % size])


texts = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\\^="), max_size=12)
floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
# One element of each VR, of the standard's dictionary, so that an implicit encoding does not lose its VR.
STANDARD = {
    "PatientName": texts,
    "PatientComments": texts,
    "Modality": st.sampled_from(["CT", "MR"]),
    "PatientWeight": st.sampled_from(["70", "71.5"]),
    "SeriesNumber": st.sampled_from(["1", "22"]),
    "StudyDate": st.sampled_from(["20260101"]),
    "Rows": st.integers(0, 0xFFFF),
    "TagAngleSecondAxis": st.integers(-0x8000, 0x7FFF),
    "RegionFlags": st.integers(0, 0xFFFFFFFF),
    "ReferencePixelX0": st.integers(-(2**31), 2**31 - 1),
    "RecommendedDisplayFrameRateInFloat": floats,
    "SelectorFDValue": several(st.floats(allow_nan=False, allow_infinity=False)),
    "SelectorFLValue": several(floats),
    "SelectorATValue": several(st.integers(0, 0xFFFFFFFF)),
    "SelectorSVValue": several(st.integers(-(2**63), 2**63 - 1)),
    "SelectorUVValue": several(st.integers(0, 2**64 - 1)),
    "SelectorULValue": several(st.integers(0, 0xFFFFFFFF)),
    "SelectorUSValue": several(st.integers(0, 0xFFFF)),
    "SelectorSSValue": several(st.integers(-0x8000, 0x7FFF)),
    "SelectorOWValue": words(2),
    "SelectorOBValue": words(2),
    "SelectorOFValue": words(4),
    "SelectorOLValue": words(4),
    "SelectorODValue": words(8),
    "SelectorOVValue": words(8),
    "SelectorUTValue": texts,
    "SelectorUNValue": words(2),
    "EventTimeOffset": st.floats(allow_nan=False, allow_infinity=False),
}
SEQUENCES = ["ReferencedSeriesSequence", "ReferencedImageSequence", "ContentSequence", "RequestAttributesSequence"]


@st.composite
def data_sets(draw: st.DrawFn, depth: int = 0) -> pydicom.Dataset:
    ds = pydicom.Dataset()
    for keyword in draw(st.lists(st.sampled_from(sorted(STANDARD)), unique=True, max_size=6)):
        setattr(ds, keyword, draw(STANDARD[keyword]))
    if draw(st.booleans()):
        block = ds.private_block(0x0029 + 2 * draw(st.integers(0, 1)), CREATOR, create=True)
        block.add_new(1, "LO", draw(texts))
        block.add_new(2, "UN", draw(words(2)))
    if depth < 3:
        for keyword in draw(st.lists(st.sampled_from(SEQUENCES), unique=True, max_size=2)):
            items = draw(st.lists(data_sets(depth + 1), max_size=3))
            for item in items:
                item.is_undefined_length_sequence_item = draw(st.booleans())
            element = DataElement(keyword, "SQ", items)
            element.is_undefined_length = draw(st.booleans())
            ds[keyword] = element
    return ds


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=lambda uid: uid[-4:])
@settings(
    max_examples=share(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(ds=data_sets())
def test_every_value_stays_at_every_depth(source: str, target: str, ds: pydicom.Dataset) -> None:
    if not len(ds):
        return
    data = encode(ds, source)
    original, found = decode(data, source), decode(convert(data, source, target), target)
    assert list(values(found, target)) == list(values(original, source))
    if source != BIG:
        assert dict(raw(decode(convert(data, source, target), target))) == dict(raw(decode(data, source)))


@settings(
    max_examples=share(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(ds=data_sets())
def test_a_second_conversion_changes_nothing_more(ds: pydicom.Dataset) -> None:
    if not len(ds):
        return
    there = convert(encode(ds, EXPLICIT), EXPLICIT, IMPLICIT)
    back = convert(there, IMPLICIT, EXPLICIT)
    assert convert(back, EXPLICIT, IMPLICIT) == there


@settings(
    max_examples=share(40), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(ds=data_sets(), cut=st.floats(0, 1), source=st.sampled_from([IMPLICIT, EXPLICIT, BIG]))
def test_a_cut_data_set_is_refused_or_whole(ds: pydicom.Dataset, cut: float, source: str) -> None:
    data = encode(ds, source)
    data = data[: int(cut * len(data))]
    if not data:
        return
    target = IMPLICIT if source == EXPLICIT else EXPLICIT
    try:
        converted = convert(data, source, target)
    except DatasetError:
        return
    assert len(decode(converted, target)) == len(decode(data, source))


@settings(max_examples=share(150), deadline=None)
@given(data=st.binary(min_size=1, max_size=200), source=st.sampled_from([IMPLICIT, EXPLICIT, BIG]))
def test_bytes_that_are_no_data_set_are_refused_and_nothing_else_happens(data: bytes, source: str) -> None:
    with contextlib.suppress(DatasetError):
        convert(data, source, IMPLICIT if source == EXPLICIT else EXPLICIT)


@settings(
    max_examples=share(150), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(
    ds=data_sets(),
    place=st.integers(0, 10**6),
    byte=st.integers(0, 255),
    source=st.sampled_from([IMPLICIT, EXPLICIT, BIG]),
)
def test_a_damaged_byte_raises_nothing_but_a_dataset_error(
    ds: pydicom.Dataset, place: int, byte: int, source: str
) -> None:
    data = bytearray(encode(ds, source))
    if not data:
        return
    data[place % len(data)] = byte
    with contextlib.suppress(DatasetError):
        convert(bytes(data), source, IMPLICIT if source == EXPLICIT else EXPLICIT)


def test_a_value_too_long_for_its_vr_becomes_un() -> None:
    """PS3.5 6.2.2: what a 16-bit length cannot say goes as UN."""
    ds = pydicom.Dataset()
    ds.SelectorUSValue = [n & 0xFFFF for n in range(40_000)]
    found = decode(convert(encode(ds, IMPLICIT), IMPLICIT, EXPLICIT), EXPLICIT)
    item = found.get_item("SelectorUSValue")
    assert item.VR == "UN"
    assert item.value == struct.pack("<40000H", *ds.SelectorUSValue)


@pytest.mark.parametrize("bits", [1, 32, 64])
def test_big_endian_pixel_data_whose_word_order_is_uncertain_is_refused(bits: int) -> None:
    ds = pydicom.Dataset()
    ds.BitsAllocated = bits
    ds.add_new(0x7FE00010, "OW", bytes(range(64)))
    for target in (EXPLICIT, IMPLICIT):
        with pytest.raises(DatasetError, match="big endian Pixel Data"):
            convert(encode(ds, BIG), BIG, target)


def test_an_icon_has_bits_of_its_own() -> None:
    icon = pydicom.Dataset()
    icon.BitsAllocated = 32
    icon.add_new(0x7FE00010, "OW", bytes(range(16)))
    ds = pydicom.Dataset()
    ds.BitsAllocated = 16
    ds.IconImageSequence = [icon]
    ds.add_new(0x7FE00010, "OW", bytes(range(16)))
    with pytest.raises(DatasetError):
        convert(encode(ds, BIG), BIG, EXPLICIT)
    icon.BitsAllocated = 16
    found = decode(convert(encode(ds, BIG), BIG, EXPLICIT), EXPLICIT)
    swapped = struct.pack("<8H", *struct.unpack(">8H", bytes(range(16))))
    assert found.PixelData == found.IconImageSequence[0].PixelData == swapped


def test_a_private_creator_names_elements_of_its_own_group_alone() -> None:
    """(0019,1008) of SIEMENS CSA HEADER is no element of that creator: its block is in group 0029."""
    ds = pydicom.Dataset()
    ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x08, "CS", "IMAGE")
    data = encode(ds, IMPLICIT) + struct.pack("<HHL4s", 0x0031, 0x1008, 4, b"ABCD")
    found = decode(convert(data, IMPLICIT, EXPLICIT), EXPLICIT)
    assert found.get_item(0x00291008).VR == "CS"
    assert found.get_item(0x00311008).VR == "UN"
    assert found.get_item(0x00311008).value == b"ABCD"


def test_a_un_sequence_stays_readable() -> None:
    """A sequence of undefined length with VR UN holds implicit items, whatever stands around it (PS3.5 6.2.2)."""
    item = pydicom.Dataset()
    item.PatientID = "X1"
    inner = encode(item, IMPLICIT)
    items = struct.pack("<HHL", 0xFFFE, 0xE000, len(inner)) + inner + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    data = struct.pack("<HH2sHL", 0x0040, 0x0275, b"UN", 0, 0xFFFFFFFF) + items
    for target in (EXPLICIT, IMPLICIT):
        if target == EXPLICIT:
            continue
        found = decode(convert(data, EXPLICIT, target), target)
        assert found.RequestAttributesSequence[0].PatientID == "X1"
    big = struct.pack(">HH2sHL", 0x0040, 0x0275, b"UN", 0, 0xFFFFFFFF) + items
    for target in (EXPLICIT, IMPLICIT):
        found = decode(convert(big, BIG, target), target)
        assert found.RequestAttributesSequence[0].PatientID == "X1"


@pytest.mark.parametrize("target", [BIG, "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.70"])
def test_other_targets_are_refused(target: str) -> None:
    ds = pydicom.Dataset()
    ds.Rows = 1
    with pytest.raises(DatasetError, match="not converted"):
        convert(encode(ds, EXPLICIT), EXPLICIT, target)


def test_encapsulated_pixel_data_in_an_uncompressed_syntax_is_refused() -> None:
    ds = pydicom.Dataset()
    ds.BitsAllocated = 8
    data = encode(ds, EXPLICIT) + struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
    data += struct.pack("<HHL", 0xFFFE, 0xE000, 0) + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    with pytest.raises(DatasetError, match="encapsulated"):
        convert(data, EXPLICIT, IMPLICIT)


def nested(depth: int) -> bytes:
    """Implicit sequences of defined length, one in the other."""
    data = b""
    for _ in range(depth):
        item = struct.pack("<HHL", 0xFFFE, 0xE000, len(data)) + data
        data = struct.pack("<HHL", 0x0040, 0xA730, len(item)) + item
    return data


def test_sequences_nested_too_deep_are_refused() -> None:
    assert convert(nested(60), IMPLICIT, EXPLICIT)
    for depth in (65, 5000):
        with pytest.raises(DatasetError, match="nested deeper"):
            convert(nested(depth), IMPLICIT, EXPLICIT)


def test_an_item_that_is_longer_than_its_sequence_is_refused() -> None:
    data = bytearray(nested(2))
    data[12:16] = struct.pack("<L", len(data))
    with pytest.raises(DatasetError, match="does not fit"):
        convert(bytes(data), IMPLICIT, EXPLICIT)
