"""The private headers of Siemens MR images keep known numbers, and nothing else."""

from __future__ import annotations

import random
import struct

import pytest
from pydicom.dataset import Dataset

from node.recipe.csa import KEYS, allowed
from node.syntaxes import EXPLICIT_LE, IMPLICIT_LE
from tests.recipe.support import apply, recipe
from tests.shipped.csa import IMAGE, ITEM, PHOENIX, SERIES, TAG, header, read

DROPPED = (
    "PatientID",
    "ImageComments",
    "ReferencedImageSequence",
    "ImaCoilString",
    "ProtocolSliceNumber",  # allowed, but what stands there is no number
    "PhaseEncodingDirection",
)


@pytest.mark.parametrize("second", [True, False], ids=["CSA2", "CSA1"])
def test_known_keys_keep_their_values_and_everything_else_goes(second):
    result = allowed(header(IMAGE, second=second))
    assert read(result) == {name: list(items) for name, (_, _, items) in IMAGE.items() if name not in DROPPED}
    assert b"SECRET" not in result
    assert result.startswith(b"SV10") is second


def test_a_second_pass_changes_nothing():
    once = allowed(header(IMAGE))
    assert allowed(once) == once


def test_the_protocol_keeps_the_numbers_of_known_keys():
    result = read(allowed(header(SERIES)))
    (text,) = result["MrPhoenixProtocol"]
    assert dict(line.split("\t = \t") for line in text.splitlines()[1:-1]) == {
        "ulVersion": "0x14b44b6",
        "sProtConsistencyInfo.flNominalB0": "2.89362001",
        "sSliceArray.lSize": "3",
        "sSliceArray.asSlice[0].sPosition.dTra": "-31.5",
        "lTotalScanTimeSec": "305",
        "alTE[0]": "89000",
        "adFlipAngleDegree[0]": "90.0",
        "sPat.lAccelFactPE": "2",
    }
    assert (text.startswith("### ASCCONV BEGIN"), text.endswith("### ASCCONV END ###\n")) == (True, True)
    assert set(result) == {"MrProtocolVersion", "MrPhoenixProtocol"}


def test_a_protocol_that_stands_alone_is_treated_alike():
    result = allowed(PHOENIX.encode() + b"\0SECRET").decode()
    assert "SECRET" not in result
    assert "alTE[0]\t = \t89000" in result
    assert "81.7" not in result


def test_no_number_passes_under_a_key_that_is_not_on_the_list():
    names = {f"Secret{n}": ("IS", 1, ["12345"]) for n in range(30)}
    assert allowed(header(names)) == b""
    assert "UsedPatientWeight" not in KEYS


def _patched(place: int, number: int, *, second: bool = True) -> bytes:
    data = bytearray(header(IMAGE, second=second))
    struct.pack_into("<i", data, place, number)
    return bytes(data)


HEAD = 16
FIRST_ITEM = HEAD + struct.calcsize(TAG)
LIES = {
    "no header": b"SECRET" * 50,
    "nothing": b"",
    "a beginning alone": b"SV10\4\3\2\1",
    "no tags": _patched(8, 0),
    "a million tags": _patched(8, 1_000_000),
    "one tag more than there are": _patched(8, len(IMAGE) + 1),
    "another mark": _patched(12, 78),
    "a million items": _patched(HEAD + 76, 1_000_000),
    "items below zero": _patched(HEAD + 76, -1),
    "a VM below zero": _patched(HEAD + 64, -1),
    "another mark of a tag": _patched(HEAD + 80, 1),
    "an item of two gigabytes": _patched(FIRST_ITEM + 4, 2**31 - 1),
    "an item below zero": _patched(FIRST_ITEM + 4, -4),
    "an item to the last byte and on": _patched(FIRST_ITEM + 4, len(header(IMAGE)) - FIRST_ITEM - 16 + 1),
    "an item over the next ones": _patched(FIRST_ITEM + 4, 400),
    "CSA1 with a long item": _patched(FIRST_ITEM - 8, 2**30, second=False),
}


@pytest.mark.parametrize("data", LIES.values(), ids=LIES.keys())
def test_what_does_not_parse_goes(data):
    assert allowed(data) == b""


@pytest.mark.parametrize("second", [True, False], ids=["CSA2", "CSA1"])
def test_a_header_that_is_cut_anywhere_gives_all_of_its_numbers_or_none(second):
    data, whole = header(IMAGE, second=second, junk=b""), allowed(header(IMAGE, second=second, junk=b""))
    for end in range(0, len(data), 7):
        assert allowed(data[:end]) in (b"", whole)


def test_whatever_a_header_was_changed_to_no_text_comes_through():
    """Random bytes in the lengths and marks may move the borders of items; letters still do not pass."""
    chance = random.Random(4)
    original = header(IMAGE | SERIES)
    for _ in range(2000):
        data = bytearray(original)
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        result = allowed(bytes(data))
        assert b"SECRET" not in result
        if result:
            assert set(read(result)) <= KEYS


def test_names_and_values_of_the_same_length_are_read_by_their_own_sizes():
    assert struct.calcsize(TAG) == 84
    assert struct.calcsize(ITEM) == 16


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE], ids=["explicit", "implicit"])
def test_a_recipe_writes_the_header_as_bytes(syntax):
    line = 'REPLACE (0029,"SIEMENS CSA HEADER",10) func:csa_allowed'
    source = Dataset()
    source.PatientID = "1"
    block = source.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x10, "OB", header(IMAGE))
    block.add_new(0x20, "OB", b"SECRET")
    inner = Dataset()
    inner.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", b"no header, SECRET")
    source.ReferencedImageSequence = [inner]
    result = apply(recipe(line, 'REPLACE (0029,"SIEMENS CSA HEADER",20) func:csa_allowed'), source, syntax)
    expected = allowed(header(IMAGE))
    assert result[0x00291010].value == expected + b"\0" * (len(expected) & 1)
    assert not result[0x00291020].value
    assert not result.ReferencedImageSequence[0][0x00291010].value


def test_a_header_of_megabytes_goes_and_holds_nothing():
    source = Dataset()
    source.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", header(IMAGE) + b"\0" * 2**20)
    result = apply(recipe('REPLACE (0029,"SIEMENS CSA HEADER",10) func:csa_allowed'), source)
    assert not result[0x00291010].value


def test_every_octet_of_a_value_survives_a_function_that_gives_bytes():
    from node.recipe.charset import codec
    from node.recipe.texts import values_of
    from node.recipe.values import encode

    raw = bytes(range(256))
    (text,) = values_of("OB", raw, codec(b""), little=True)
    assert encode("OB", text, codec(b""), little=True) == raw
    with pytest.raises(ValueError, match="no byte"):
        encode("OB", "€", codec(b""), little=True)
