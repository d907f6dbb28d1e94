"""A token that a weak recipe leaves is found, wherever it stands and however it is written."""

from __future__ import annotations

import re
import zlib

import pytest

from node.gate import leaks
from node.instances import Scratch, opened
from node.part10 import FileMeta, encode_file_meta
from node.recipe.charset import codec
from node.recipe.coding import EXPLICIT_CODING
from node.syntaxes import DEFLATED_LE
from tests.gate.support import GROUP, UID, WEAK, Keys, element, found, more, path, patient, with_private, without
from tests.recipe.support import CODINGS, dataset, encode

TEXT = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")
NUMBERS = ("DS", "IS", "TM", "AS")
BINARY = ("OB", "OD", "OF", "OL", "OV", "OW", "UN", "AT", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV")


def test_what_the_weak_recipe_cleans_is_clean():
    for syntax in CODINGS:
        assert found(patient(), syntax=syntax) == []
        assert found(with_private(patient(), "LO", b"harmless", depth=3, syntax=syntax), syntax=syntax) == []


@pytest.mark.parametrize("depth", range(4))
@pytest.mark.parametrize("vr", TEXT + BINARY)
def test_a_name_is_found_in_each_vr_at_each_depth(vr, depth):
    for syntax in CODINGS:
        data = with_private(patient(), vr, b"KOWALSKA", depth=depth, syntax=syntax)
        (told,) = found(data, syntax=syntax)
        # What its header calls a name is one of its own.
        whose = "the value of (6FFF,1002)" if vr == "PN" and not syntax.implicit_vr else "Patient's Name"
        assert told == f"{whose} in {path(depth)}"


@pytest.mark.parametrize("depth", [0, 3])
@pytest.mark.parametrize("vr", NUMBERS)
def test_a_number_is_found_where_numbers_are_text(vr, depth):
    data = with_private(patient(), vr, b"1\\88441199", depth=depth)
    assert found(data) == [f"Accession Number in {path(depth)}"]
    assert found(with_private(patient(), vr, b"188441199", depth=depth)) == [], "another number"


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_a_uid_is_found_in_a_ui_and_in_text(depth):
    for vr, value in (("UI", UID.format(2)), ("LO", f"see {UID.format(3)}.1"), ("OB", UID.format(1))):
        (told,) = found(with_private(patient(), vr, value.encode(), depth=depth))
        assert told.endswith(f"UID in {path(depth)}") or "value of" in told
    assert found(with_private(patient(), "LO", UID.format(25).encode(), depth=depth)) == [], "another UID"


@pytest.mark.parametrize("vr", ["DA", "DT"])
def test_a_date_that_its_own_element_still_has_is_found(vr):
    for depth in (0, 3):
        value = b"20040119" if vr == "DA" else b"20040119101112.5"
        (told,) = found(with_private(patient(), vr, value, depth=depth))
        assert told == f"the value of {path(depth)[-11:]} in {path(depth)}"


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_sequence_that_un_hides_is_searched(depth):
    data = with_private(patient(), "LO", b"ZOFIA", depth=depth, un=True)
    assert found(data) == [f"Patient's Name in {path(depth)}"]
    assert found(with_private(patient(), "LO", b"ZOLA", depth=depth, un=True)) == []


def test_identity_that_only_items_have_is_searched_too():
    source = patient()
    source.ReferencedStudySequence = [dataset(ReferencedSOPInstanceUID=UID.format(9), PersonName="OBERHUBER^JOSEF")]
    by = more("REMOVE PersonName")
    assert found(source, by) == []
    assert found(with_private(source, "UT", b"as Oberhuber says", depth=2), by) == [f"Person Name in {path(2)}"]
    uids = (f"REPLACE {word}InstanceUID func:generate_uid" for word in ("SOP", "Study", "Series"))
    top_only = without("standard:UI", *uids, "REMOVE PersonName")
    assert found(source, top_only) == ["Referenced SOP Instance UID in (0008,1110)__0__(0008,1155)"]


@pytest.mark.parametrize("keyword", [
    "PatientID", "PatientAddress", "AccessionNumber", "InstitutionName", "ReferringPhysicianName", "DeviceSerialNumber",
    "StudyID", "PatientTelephoneNumbers",
])  # fmt: skip
def test_an_identifying_element_that_no_line_means_is_found(keyword):
    source = patient()
    (told,) = found(source, without(keyword))
    tag = source[keyword].tag
    assert told == f"{source[keyword].name} in ({tag.group:04X},{tag.element:04X})"


@pytest.mark.parametrize("text", [
    "KOWALSKA", "Kowalska, Zofia", "zofia kowalska", "ZOFIA_CT", "CT_kowalska_1", "ZofiaKowalska", "kowalskazofia",
    "zkowalska",
    "Kowalska2", "knee of Maria", "PID-77313", "pid-77313/2", "Acc 88441199", "+49 30 7654 321", "tel 49307654321",
    "born 11.03.1953", "3/11/1953", "1953-03-11", "11-Mar-1953", "on 20040119 at", "Dr. Brachvogel", "SN55120",
    "lindenweg 14, Hof", "from SANKT IRGENDWO", "scan of 2004-01-29",
])  # fmt: skip
def test_a_value_is_found_split_reordered_and_in_other_writing(text):
    assert found(with_private(patient(), "LO", text.encode())), text
    assert found(with_private(patient(), "OB", text.encode(), depth=2)), text
    told = found(patient(StudyDescription=text))
    assert told, text
    assert len(told) == len(set(told)), "each once"


NAMES = {
    "ISO_IR 100": ("Müller^Jürgen", ["Müller", "MÜLLER", "jürgen"]),
    "ISO_IR 144": ("Люксембург^Роза", ["Люксембург", "роза", "ЛЮКСЕМБУРГ"]),
    "ISO_IR 192": ("Wałęsa^Żaneta", ["Wałęsa", "ŻANETA"]),
    "GB18030": ("王小东^晓明", ["王小东", "晓明"]),
    "ISO 2022 IR 6\\ISO 2022 IR 87": ("Yamada^Tarou=山田^太郎=やまだ^たろう", ["山田", "太郎", "やまだ", "Tarou"]),
    "\\ISO 2022 IR 149": ("Hong^Gildong=洪^吉洞=홍^길동", ["吉洞", "길동", "GILDONG"]),
}


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("charset", NAMES)
def test_a_name_is_found_in_its_character_set(charset, depth):
    name, parts = NAMES[charset]
    source = patient(SpecificCharacterSet=charset.split("\\"))
    written = codec(charset.encode())
    data = encode(source)
    old = b"PN\x14\x00KOWALSKA^ZOFIA^MARIA"
    value = b"".join(written.encode(part) for part in re.split("([=^])", name))
    value += b" " * (len(value) % 2)
    assert old in data
    data = data.replace(old, b"PN" + len(value).to_bytes(2, "little") + value)
    extra = len(encode(source))
    for part in parts:
        for vr in ("LO", "UT", "UN", "OB"):
            more_bytes = with_private(source, vr, written.encode(part), depth=depth)[extra:]
            assert found(data + more_bytes) == [f"Patient's Name in {path(depth)}"], (part, vr)
    assert found(data) == []


@pytest.mark.parametrize("charset", ["ISO_IR 192", "GB18030"])
def test_a_name_is_found_where_the_result_has_another_character_set(charset):
    source = patient(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jürgen", StudyDescription="bei Jürgen")
    by = more(f"REPLACE SpecificCharacterSet {charset}")
    assert found(source, by) == ["Patient's Name in (0008,1030)"]


def test_a_deflated_data_set_is_searched_before_it_is_deflated(tmp_path):
    for text, expected in ((b"Zofia", [f"Patient's Name in {path(1)}"]), (b"Zoo", [])):
        raw = zlib.compressobj(wbits=-15)
        data = raw.compress(with_private(patient(), "LO", text, depth=1)) + raw.flush()
        file = tmp_path / f"{text.decode()}.dcm"
        file.write_bytes(encode_file_meta(FileMeta("1.2", "1.3", DEFLATED_LE.uid)) + data + b"\0" * (len(data) % 2))
        scratch = Scratch(tmp_path)
        with file.open("rb") as original, opened(original.fileno(), scratch.create, scratch.check_room) as source:
            assert [str(one) for one in leaks(WEAK.apply(source.dataset, Keys(), {}), WEAK)] == expected


def test_a_long_value_that_is_copied_by_range_is_searched_to_its_end():
    filler = bytes(range(1, 48)) * 50_000
    data = with_private(patient(), "OB", filler + b" KOWALSKA " + filler)
    assert found(data) == [f"Patient's Name in {path(0)}"]
    border = (1 << 20) - 4 - data.index(filler)
    split = b"\x01" * border + b" KOWALSKA " + filler
    assert found(with_private(patient(), "OB", split)) == [f"Patient's Name in {path(0)}"]


def test_a_creator_that_is_a_name_is_found():
    data = encode(patient()) + element(GROUP << 16 | 0x10, "LO", b"KOWALSKA", EXPLICIT_CODING)
    assert found(data) == [f"Patient's Name in ({GROUP:04X},0010)"]
