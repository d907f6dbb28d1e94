"""What is no leak: what a recipe keeps on purpose, common words, numbers, other people's dates; and pixels."""

from __future__ import annotations

import os
from pathlib import Path

import pydicom
import pytest
from pydicom.encaps import encapsulate

from node.errors import DatasetError, HoldInstance
from node.gate import described, leaks
from node.gate.judge import Judge
from node.gate.search import suspicious
from node.instances import Scratch, opened
from node.part10 import read_file_meta
from node.recipe import EncodedDataset, load_recipe, shipped_recipe
from node.recipe.coding import EXPLICIT_CODING
from node.recipe.known.gather import gather
from node.syntaxes import lookup
from tests.gate.support import GROUP, UID, WEAK, found, more, patient, with_private, without
from tests.recipe.support import Keys, dataset, encode, recipe
from tests.support import make_ct

JPEG, JPEG_2000, RLE = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"
PUBLIC = Path(pydicom.__file__).parent / "data/test_files"


def test_what_a_line_keeps_in_its_own_element_is_on_purpose_and_nowhere_else():
    by = without("InstitutionName", "KEEP InstitutionName")
    assert found(patient(), by) == []
    assert found(patient(StudyDescription="at Sankt Irgendwo"), by) == ["Institution Name in (0008,1030)"]
    assert found(patient(), without("InstitutionName")) == ["Institution Name in (0008,0080)"]


def test_what_is_kept_is_not_searched_for_what_it_is_not():
    by = more("KEEP StudyDescription")
    assert found(patient(StudyDescription="Kowalska"), by) == ["Patient's Name in (0008,1030)"]


def test_a_sequence_that_is_kept_is_kept_on_purpose_with_all_it_holds():
    source = patient()
    source.ReferencedStudySequence = [dataset(ReferencedSOPInstanceUID=UID.format(9))]
    assert found(source, more("KEEP ReferencedStudySequence")) == []


def test_a_private_element_is_kept_by_its_creator():
    data = with_private(patient(), "UI", UID.format(7).encode())
    assert found(data) == [f"the value of ({GROUP:04X},1002) in ({GROUP:04X},1002)"]
    assert found(data, more(f'KEEP ({GROUP:04X},"ACME",02)')) == []
    assert found(data, more(f'KEEP ({GROUP:04X},"OTHER",02)')) != []


def test_what_a_line_writes_is_on_purpose():
    written = patient(InstitutionName="Site 4", StudyDescription="x")
    assert found(written, without("InstitutionName", "REPLACE InstitutionName var:site")) == []
    assert found(written, more("REPLACE StudyDescription var:site")) == []
    assert found(patient(PatientName="EVERYONE"), without("PatientName", "REPLACE PatientName EVERYONE")) == []
    assert found(patient(StudyDescription="Site 4", InstitutionName="Site 4")) == ["Institution Name in (0008,1030)"]


@pytest.mark.parametrize("name", ["HEAD^PETRA-LUISE", "WHITE^PETRA-LUISE", "LEE^PETRA-LUISE", "NG^PETRA-LUISE"])
def test_a_short_or_common_surname_counts_beside_a_second_identifier_only(name):
    surname = name.partition("^")[0]
    for harmless in (f"{surname} without contrast", f"CT {surname}", f"{surname}s", "sleeping", "scanning"):
        assert found(patient(PatientName=name, SeriesDescription=harmless)) == []
    for harmful in (f"{surname}, Petra", f"{surname} Luise", f"petra_{surname}"):
        assert found(patient(PatientName=name, SeriesDescription=harmful)), harmful
    short = patient(PatientName="LEE^ANN", SeriesDescription="Ann Lee")
    assert found(short) == ["Patient's Name in (0008,103E)"]


def test_a_short_surname_counts_in_a_field_for_names():
    source = patient(PatientName="LEE^ANN", OperatorsName="LEE")
    assert found(source) == ["Operators' Name in (0008,1070)"]
    assert found(source, more("BLANK OperatorsName")) == []


@pytest.mark.parametrize("text", [
    "SUSANNA ZOFIAN", "PID-773131", "188441199", "884411990", "7", "Mariah", "KOWAL", "1953",
    "19530312", "12.03.1953", UID.format(22), "120040119",
])  # fmt: skip
def test_what_only_looks_alike_is_no_leak(text):
    assert found(with_private(patient(), "LO", text.encode(), depth=1)) == []


def test_short_numbers_count_in_their_own_element_only():
    source = patient(PatientID="1024", StudyID="512")
    assert found(with_private(source, "DS", b"1024\\512")) == []
    assert found(with_private(source, "LO", b"1024 x 512")) == []
    assert found(source, without("PatientID")) == ["Patient ID in (0010,0020)"]
    source.RequestAttributesSequence = [dataset(RequestedProcedureID="1")]
    assert found(source) == ["Requested Procedure ID in (0040,0275)__0__(0040,1001)"]


def test_a_shifted_date_that_equals_another_date_is_no_leak():
    # The shift is ten days: the series' date becomes the study's.
    source = patient(StudyDate="20040119", SeriesDate="20040129")
    assert found(source) == []
    assert found(source, without("DA", "REPLACE StudyDate func:shift_date")) == ["Series Date in (0008,0021)"]


@pytest.mark.parametrize("date", ["19000101", "00010101", "", "2004"])
def test_a_date_that_is_nobodys_is_no_leak(date):
    by = without("DA", "REMOVE StudyDate", "REMOVE SeriesDate", "REMOVE PatientBirthDate")
    assert found(patient(PatientBirthDate=date, StudyDescription=f"since {date}"), by) == []
    assert found(patient(PatientBirthDate="19530311", StudyDescription="since 19530311"), by) != []


def test_dates_of_code_tables_are_no_dates_of_the_patient():
    code = dataset(CodeValue="T-1", CodingSchemeDesignator="SRT", ContextGroupVersion="20040119101112")
    source = patient(AnatomicRegionSequence=[code])
    assert found(source) == []


def test_well_known_and_structural_uids_are_no_leak():
    source = patient(SOPClassUID="1.2.840.113619.4.26", InstanceCreatorUID="1.2.840.10008.5.1.4.1.1.2")
    assert found(source, more("KEEP InstanceCreatorUID")) == []
    assert found(source, without("standard:UI", *(
        f"REPLACE {word} func:generate_uid" for word in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    ))) == []  # fmt: skip


def test_many_findings_are_told_shortly_and_without_values():
    source = patient(
        **{f"{word}Description": "Kowalska" for word in ("Study", "Series", "RequestedProcedure", "Derivation")}
    )
    source.ImageComments = source.PatientComments = source.StudyComments = "PID-77313 born 11.03.1953"
    encoded = EncodedDataset.scan(encode(source), 0, lookup("1.2.840.10008.1.2.1"))
    told = described(leaks(WEAK.apply(encoded, Keys(), {}), WEAK))
    assert told.endswith("; and 5 more")
    assert told.count(" in (") == 5
    assert not any(value in told.lower() for value in ("kowalska", "77313", "1953"))


def segment(marker: int, text: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(text) + 2).to_bytes(2, "big") + text


SCAN = segment(0xDA, bytes(10)) + b"\x12\x34\xff\x00"
NOISE = b"KOWALSKA"
SOC, SOT, SOD, EOC = b"\xff\x4f\xff\x51", b"\xff\x90\0\12", b"\xff\x93", b"\xff\xd9"
COMMENT = segment(0x64, b"\0\1KOWALSKA")
JP2 = b"\0\0\0\x0cjP  \r\n\x87\n"
FRAMES = {
    "comment": (JPEG, b"\xff\xd8" + segment(0xFE, b"KOWALSKA") + SCAN + b"\xff\xd9", True),
    "Exif": (JPEG, b"\xff\xd8" + segment(0xE1, b"Exif\0KOWALSKA") + SCAN + b"\xff\xd9", True),
    "between scans": (JPEG, b"\xff\xd8" + SCAN + segment(0xFE, b"KOWALSKA") + SCAN + b"\xff\xd9", True),
    "behind the image": (JPEG, b"\xff\xd8" + SCAN + b"\xff\xd9 KOWALSKA", True),
    "entropy-coded": (JPEG, b"\xff\xd8" + segment(0xFE, b"ok") + SCAN + NOISE + b"\xff\xd9", False),
    "J2K comment": (JPEG_2000, SOC + COMMENT + SOT + SOD + EOC, True),
    "J2K tile": (JPEG_2000, SOC + b"\0\4" + SOT + COMMENT + SOD + EOC, True),
    "J2K packets": (JPEG_2000, SOC + b"\0\4" + SOT + SOD + NOISE + EOC, False),
    "JP2 box": (JPEG_2000, JP2 + b"\0\0\0\x14uuid KOWALSKA   \0\0\0\0jp2c" + SOC, True),
    "JP2 codestream": (JPEG_2000, JP2 + b"\0\0\0\0jp2c" + SOC + SOT + SOD + NOISE + EOC, False),
    "RLE": (RLE, bytes(64) + NOISE, False),
}  # fmt: skip


@pytest.mark.parametrize("name", FRAMES)
def test_of_compressed_pixels_marker_segments_and_boxes_are_searched(name):
    uid, frame, leaking = FRAMES[name]
    source = patient(PixelData=encapsulate([frame + b"\0" * (len(frame) % 2)]))
    source["PixelData"].VR = "OB"
    source["PixelData"].is_undefined_length = True
    syntax = lookup(uid)
    assert found(source, syntax=syntax) == (["Patient's Name in (7FE0,0010)"] if leaking else [])
    assert found(source, syntax=syntax, pixels=False) == [], "masked pixels go out as others"


@pytest.mark.parametrize("size", [8, 5000])
def test_native_pixels_are_not_searched(size):
    source = patient(Rows=1, PixelData=b"KOWALSKA" * size, StudyDescription="fine")
    source["PixelData"].VR = "OW"
    assert found(source) == []
    source.StudyDescription = "Kowalska"
    assert found(source) == ["Patient's Name in (0008,1030)"]


def test_a_short_word_in_a_long_binary_value_is_chance():
    filler = bytes(range(1, 48)) * 3000
    source = patient(PatientName="KNUT^ZOFIA")
    assert found(with_private(source, "OB", filler + b" knut " + filler)) == []
    assert found(with_private(source, "OB", filler + b" knut zofia" + filler)) != []
    assert found(with_private(source, "OB", b" knut ")) != []


def test_what_the_quick_look_lets_pass_the_slow_one_passes_too():
    nothing, checked = recipe("REMOVE PatientName", "BLANK InstitutionName"), 0
    for path in sorted(PUBLIC.glob("*.dcm")):
        data = path.read_bytes()
        if path.stat().st_size > 100_000 or data[128:132] != b"DICM":
            continue
        try:
            meta, start = read_file_meta(data)
            syntax = lookup(meta.transfer_syntax_uid)
            if syntax is None or syntax.deflated:
                continue
            cleaned = nothing.apply(EncodedDataset.scan(data, start, syntax), Keys(), {})
        except (DatasetError, HoldInstance):
            continue
        for by in (nothing, WEAK):
            gathered = gather(cleaned.dataset)
            slow = next(Judge(gathered, cleaned, by, pixels=True).findings(), None)
            assert slow is None or suspicious(gathered, cleaned, pixels=True), path.name
            checked += slow is not None
    assert checked > 20


def test_items_that_cannot_be_parsed_and_are_removed_do_not_matter():
    broken = EXPLICIT_CODING.header(0x00081140, "SQ", 14) + b"\xfe\xff\x00\xe0\xff\x00\x00\x00KOWALS"
    data = encode(dataset(SOPInstanceUID="1.2.3")) + broken + encode(dataset(PatientName="KOWALSKA"))
    assert found(data, more("REMOVE ReferencedImageSequence")) == []
    assert found(data, without("PatientName", "REMOVE ReferencedImageSequence")) == ["Patient's Name in (0010,0010)"]


def test_the_shipped_recipe_passes_the_gate(tmp_path):
    text = shipped_recipe("research")
    assert text is not None
    research = load_recipe([text])
    scratch = Scratch(tmp_path)
    files = [path for path in sorted(PUBLIC.rglob("*.dcm")) if path.stat().st_size < 200_000]
    passed = 0
    for path in [*files, *make_ct(tmp_path / "ct", 2)]:
        file = os.open(path, os.O_RDONLY)
        try:
            if os.pread(file, 4, 128) == b"DICM":
                with opened(file, scratch.create, scratch.check_room) as source:
                    cleaned = research.apply(source.dataset, Keys(), {}, masks=True)
                    assert leaks(cleaned, research) == [], path.name
                    passed += 1
        except (HoldInstance, DatasetError):
            continue
        finally:
            os.close(file)
    assert passed > 40
