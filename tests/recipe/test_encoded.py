"""Encoded data sets: spans, fidelity, lengths, and what cannot be parsed."""

from __future__ import annotations

import mmap
import struct
import zlib
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from node.errors import DatasetError, HoldInstance
from node.part10 import read_file_meta
from node.recipe import EncodedDataset
from node.syntaxes import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, lookup
from tests.recipe.support import CODINGS, Keys, clean, cleaned, dataset, decode, encode, recipe

FILES = sorted((Path(pydicom.__file__).parent / "data/test_files").glob("*.dcm"))
EMPTY = recipe()
BUSY = recipe(
    "REPLACE select:VR:UI func:generate_uid",
    "REPLACE PatientID func:pseudonym",
    "BLANK select:VR:PN",
    "REMOVE contains:Date",
    "REMOVE select:private",
    "REMOVE contains:Sequence",
    "KEEP IconImageSequence",
    "ADD PatientIdentityRemoved YES",
)


def scanned(path: Path) -> EncodedDataset:
    data = path.read_bytes()
    meta, offset = read_file_meta(data)
    syntax = lookup(meta.transfer_syntax_uid)
    if syntax is None:
        raise DatasetError("unknown")
    if syntax.deflated:
        data = data[:offset] + zlib.decompress(data[offset:], -15)
    return EncodedDataset.scan(data, offset, syntax)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_empty_recipe_gives_every_file_back_byte_for_byte_or_refuses_it(path):
    try:
        source = scanned(path)
    except DatasetError:
        pytest.skip("refused")
    result = EMPTY.apply(source, Keys(), {})
    assert result.changed is False
    assert result.tobytes() == source.buffer[source.start :]
    assert len(result.segments) <= 1


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@pytest.mark.filterwarnings("ignore")
def test_a_busy_recipe_gives_files_that_another_library_reads(path):
    try:
        source = scanned(path)
        result = BUSY.apply(source, Keys(), {})
    except (DatasetError, HoldInstance):
        pytest.skip("refused")
    again = decode(result.tobytes(), source.syntax)
    str(again)
    assert again.PatientIdentityRemoved == "YES"
    for name in ("PixelData", "Rows"):
        before = decode(source.buffer[source.start :], source.syntax)
        if name in before:
            assert again[name].value == before[name].value


def items(*contents: bytes, undefined: bool = False) -> bytes:
    if undefined:
        end = struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
        return b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF) + c + end for c in contents)
    return b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, len(c)) + c for c in contents)


END = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


def un(tag: int, value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HH2sxxL", tag >> 16, tag & 0xFFFF, b"UN", len(value) if length is None else length) + value


@pytest.mark.parametrize("inner", [IMPLICIT_LE, EXPLICIT_LE], ids=["implicit", "explicit"])
@pytest.mark.parametrize("tag", [0x00081140, 0x00331001], ids=["public", "private"])
def test_a_un_value_that_holds_items_is_walked(tag, inner):
    content = encode(dataset(PatientID="SECRET", PatientName="SECRET^NAME"), inner)
    result = clean(un(tag, items(content)), "REPLACE PatientID X", "REMOVE PatientName").tobytes()
    assert b"SECRET" not in result
    assert struct.unpack_from("<L", result, 8)[0] == len(result) - 12
    assert result.endswith(b"X ")


def test_a_un_value_of_undefined_length_is_implicit_inside():
    content = encode(dataset(PatientID="SECRET"), IMPLICIT_LE)
    data = un(0x00331001, items(content, undefined=True) + END, 0xFFFFFFFF)
    result = clean(data, "REPLACE PatientID X").tobytes()
    assert b"SECRET" not in result
    assert result[8:12] == b"\xff\xff\xff\xff"
    assert result.endswith(END)


def test_a_private_un_value_that_is_no_sequence_is_opaque_and_a_public_one_is_refused():
    broken = items(b"abcdefgh")
    assert clean(un(0x00331001, broken), "REMOVE PatientID").changed is False
    with pytest.raises(DatasetError):
        clean(un(0x00081140, broken), "REMOVE PatientID")


def test_a_known_element_that_is_encoded_as_un_is_meant_by_its_vr_and_keeps_un():
    data = un(0x00100020, b"12")
    result = clean(data, "REPLACE select:VR:LO longer value").tobytes()
    assert result == un(0x00100020, b"longer value")


@pytest.mark.parametrize("syntax", CODINGS, ids=["implicit", "explicit", "big"])
def test_lengths_of_all_that_encloses_a_change_follow_it_and_undefined_ones_stay(syntax):
    for undefined in (False, True):
        inner = dataset(PatientID="1")
        middle = dataset(ReferencedImageSequence=[inner])
        middle["ReferencedImageSequence"].is_undefined_length = undefined
        top = dataset(RequestAttributesSequence=[middle], PatientID="1")
        inner.is_undefined_length_sequence_item = undefined
        encoded = encode(top, syntax)
        result = clean(encoded, "REPLACE PatientID longer", syntax=syntax).tobytes()
        expected = dataset(
            RequestAttributesSequence=[dataset(ReferencedImageSequence=[dataset(PatientID="longer")])],
            PatientID="longer",
        )
        assert decode(result, syntax) == expected
        assert result.count(b"\xff\xff\xff\xff") == encoded.count(b"\xff\xff\xff\xff") == 2 * undefined


def group_length(group: int, length: int) -> bytes:
    return struct.pack("<HH2sHL", group, 0, b"UL", 4, length)


def test_a_group_length_follows_its_group_and_another_one_is_left():
    eight = encode(dataset(StudyDate="20200101", StudyTime="10"))
    ten = encode(dataset(PatientName="A", PatientID="12"))
    data = group_length(8, len(eight)) + eight + group_length(16, len(ten)) + ten
    result = clean(data, "REPLACE PatientID 123456", "ADD PatientSex O").tobytes()
    new = encode(dataset(PatientName="A", PatientID="123456", PatientSex="O"))
    assert result == group_length(8, len(eight)) + eight + group_length(16, len(new)) + new
    inside = encode(dataset(RequestAttributesSequence=[Dataset()]))[:-8]
    item = group_length(16, len(ten)) + ten
    sequence = inside[:8] + struct.pack("<L", len(item) + 8) + items(item)
    result = clean(sequence, "REMOVE PatientName").tobytes()
    left = encode(dataset(PatientID="12"))
    assert result.endswith(group_length(16, len(left)) + left)


def test_group_lengths_are_not_reached_by_a_selector():
    ten = encode(dataset(PatientID="12"))
    assert clean(group_length(16, len(ten)) + ten, "REMOVE ALL").tobytes() == group_length(16, 0)


def pixels(*fragments: bytes) -> bytes:
    head = struct.pack("<HH2sxxL", 0x7FE0, 0x10, b"OB", 0xFFFFFFFF)
    return head + items(b"", *fragments) + END


def test_what_stands_behind_pixel_data_is_walked_and_pixel_data_stays():
    behind = encode(dataset(DataSetTrailingPadding=b"\0\0"))
    data = encode(dataset(PatientID="1")) + pixels(b"abcd", b"ef") + behind
    result = clean(data, "REMOVE ALL").tobytes()
    assert result == pixels(b"abcd", b"ef")


def test_an_icon_inside_a_sequence_keeps_its_pixel_data():
    icon = dataset(Rows=2, PatientID="1")
    icon.add_new(0x7FE00010, "OB", b"1234")
    again = cleaned(dataset(IconImageSequence=[icon]), "REMOVE PatientID", "REMOVE select:VR:OB")
    assert again.IconImageSequence[0].PixelData == b"1234"
    assert "PatientID" not in again.IconImageSequence[0]


def test_palettes_and_voi_luts_keep_their_values_and_lose_what_else_is_inside():
    lut = dataset(LUTDescriptor=[1, 0, 16], LUTExplanation="Dr. X", LUTData=b"12")
    source = dataset(VOILUTSequence=[lut], RedPaletteColorLookupTableData=b"12", PatientID="1")
    again = cleaned(source, "REMOVE ALL")
    assert [e.keyword for e in again] == ["RedPaletteColorLookupTableData", "VOILUTSequence"]
    assert [e.keyword for e in again.VOILUTSequence[0]] == ["LUTDescriptor", "LUTData"]


def test_pixel_data_is_not_read(tmp_path):
    data = encode(dataset(PatientID="1", PatientName="A"))
    huge = struct.pack("<HH2sxxL", 0x7FE0, 0x10, b"OW", 1 << 30)
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.write(data + huge)
        file.truncate(len(data) + len(huge) + (1 << 30))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
        resident = _file_pages()
        result = BUSY.apply(EncodedDataset.scan(buffer, 0, EXPLICIT_LE), Keys(), {})
        assert _file_pages() - resident < 1 << 20
        assert result.segments[-1] == (len(data), len(huge) + (1 << 30))


def _file_pages() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssFile"):
            return int(line.split()[1]) * 1024
    raise AssertionError


@pytest.mark.parametrize(
    ("charset", "raw"),
    [(b"ISO_IR 100", "Müller".encode("latin-1")), (b"ISO_IR 192", "Müller".encode()), (b"", b"Mueller")],
)
def test_text_is_decoded_by_its_character_set(charset, raw):
    element = struct.pack("<HH2sH", 0x10, 0x20, b"LO", len(raw) + len(raw) % 2) + raw + b"\0" * (len(raw) % 2)
    head = struct.pack("<HH2sH", 8, 5, b"CS", len(charset) + len(charset) % 2) + charset + b" " * (len(charset) % 2)
    data = head + element
    assert EncodedDataset.scan(data, 0, EXPLICIT_LE).text(0x00100020) == raw.decode(
        {b"ISO_IR 192": "utf-8"}.get(charset, "latin-1")
    )


def test_text_is_written_in_the_character_set_of_its_place():
    source = dataset(SpecificCharacterSet="ISO_IR 100", PatientID="1", PatientComments="ü")
    source.RequestAttributesSequence = [dataset(SpecificCharacterSet="ISO_IR 192", PatientID="2")]
    result = clean(source, "REPLACE PatientID Ä").tobytes()
    assert b"\xc4" in result
    assert b"\xc3\x84" in result
    with pytest.raises(HoldInstance):
        clean(dataset(SpecificCharacterSet="ISO_IR 144", PatientID="1"), "REPLACE PatientID Ä")


def test_a_changed_character_set_takes_all_text_with_it():
    source = dataset(SpecificCharacterSet="ISO_IR 100", PatientName="Müller", PatientID="1")
    source.RequestAttributesSequence = [dataset(ScheduledProcedureStepDescription="Schädel")]
    again = cleaned(source, "REPLACE SpecificCharacterSet ISO_IR 192")
    assert again.PatientName == "Müller"
    assert again.RequestAttributesSequence[0].ScheduledProcedureStepDescription == "Schädel"
    with pytest.raises(HoldInstance):
        clean(source, "REMOVE SpecificCharacterSet")
    assert "SpecificCharacterSet" in cleaned(source, "REMOVE ALL")


def test_a_value_that_becomes_too_long_for_its_header_holds():
    source = encode(dataset(PatientID="1"))
    clean(source, "REPLACE PatientID var:id", variables={"id": "x" * 64})
    with pytest.raises(HoldInstance):
        clean(source, "REPLACE PatientID var:id", variables={"id": "\\".join(["x" * 64] * 1020)})


def test_ambiguous_vrs_follow_pixel_representation():
    for representation, vr in ((0, "US"), (1, "SS")):
        source = dataset(PixelRepresentation=representation)
        source.add_new(0x00280106, vr, 1)
        again = cleaned(source, f"REMOVE select:VR:{vr}", "KEEP PixelRepresentation", syntax=IMPLICIT_LE)
        assert "SmallestImagePixelValue" not in again


def test_numbers_are_written_in_the_byte_order_of_the_data_set():
    for syntax in CODINGS:
        assert cleaned(dataset(Rows=1), "REPLACE Rows 258", syntax=syntax).Rows == 258
    data = struct.pack(">HH2sxxL", 0x28, 0x10, b"UN", 2) + b"\1\0"
    assert clean(data, "REPLACE Rows 258", syntax=EXPLICIT_BE).tobytes().endswith(b"\2\1")


@pytest.mark.parametrize(
    "data",
    [
        b"\x08",
        encode(dataset(PatientID="12"))[:-1],
        encode(dataset(PatientID="12")) * 2,
        struct.pack("<HH2sH", 2, 0x10, b"UI", 0),
        struct.pack("<HH2sH", 0, 0x10, b"UI", 0),
        struct.pack("<HHL", 0xFFFE, 0xE00D, 0),
        struct.pack("<HH4s", 0x10, 0x10, b"\0\0\0\0"),
        struct.pack("<HH2sxxL", 8, 0x1140, b"SQ", 8) + struct.pack("<HHL", 0xFFFE, 0xE000, 9),
        struct.pack("<HH2sxxL", 8, 0x1140, b"SQ", 0xFFFFFFFF) + items(b"", undefined=True),
        struct.pack("<HH2sxxL", 8, 0x1140, b"UT", 0xFFFFFFFF) + END,
        pixels(b"abcd")[:-8],
    ],
)
def test_what_cannot_be_parsed_is_a_dataset_error(data):
    with pytest.raises(DatasetError):
        clean(data, "REMOVE PatientID")


@pytest.mark.parametrize("undefined", [False, True])
def test_nesting_without_end_is_a_dataset_error(undefined):
    content = b""
    for _ in range(200):
        inside = items(content, undefined=undefined) + (END if undefined else b"")
        head = struct.pack("<HH2sxxL", 8, 0x1140, b"SQ", 0xFFFFFFFF if undefined else len(inside))
        content = head + inside
    with pytest.raises(DatasetError, match="nested"):
        clean(content, "REMOVE PatientID")


def test_elements_out_of_order_are_taken_as_they_are():
    data = encode(dataset(PatientID="1")) + encode(dataset(StudyDate="20200101"))
    assert clean(data).changed is False
    again = cleaned(data, "REMOVE PatientID", "ADD StudyTime 10")
    assert again.StudyTime == "10"
    assert "PatientID" not in again


def test_a_private_creator_behind_its_elements_is_refused():
    source = encode(dataset(PatientID="1"))
    element = struct.pack("<HH2sH", 0x33, 0x1001, b"LO", 2) + b"x "
    creator = struct.pack("<HH2sH", 0x33, 0x10, b"LO", 2) + b"C "
    assert clean(source + creator + element, 'REMOVE (0033,"C",01)').changed
    with pytest.raises(DatasetError):
        clean(source + element + creator, 'REMOVE (0033,"C",01)')


def test_a_sequence_at_the_place_of_a_private_creator_is_walked_like_any_other():
    source = dataset(PatientID="1")
    source.add_new(0x00070011, "SQ", [dataset(PatientID="2")])
    again = cleaned(source, "REMOVE PatientID")
    assert "PatientID" not in again[0x00070011].value[0]


def test_a_group_length_that_stands_behind_its_group_is_refused_when_it_would_have_to_change():
    name = b"\x10\x00\x10\x00PN\x0e\x00SIMPSON^HOMER "
    data = name + b"\x10\x00\x00\x00UL\x04\x00" + struct.pack("<L", len(name))
    with pytest.raises(DatasetError, match="group length"):
        recipe("REMOVE PatientName").apply(EncodedDataset.scan(data, 0, EXPLICIT_LE), Keys(), {})
