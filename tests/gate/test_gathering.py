"""What identifies is found in every sequence, however its headers are stepped over."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from node.recipe import EncodedDataset
from node.recipe.coding import IMPLICIT_CODING
from node.recipe.dictionary import STRUCTURAL_UIDS
from node.recipe.known.gather import gather
from node.syntaxes import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE
from tests.gate.support import UID, element, patient
from tests.recipe.support import dataset, encode

PUBLIC = Path(pydicom.__file__).parent / "data/test_files"
FILES = ("rtplan.dcm", "rtdose_1frame.dcm", "reportsi.dcm", "test-SR.dcm", "nested_priv_SQ.dcm", "liver_1frame.dcm")
SYNTAXES = (EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE)


def uids_in(source: Dataset) -> set[str]:
    found: set[str] = set()

    def look(_: Dataset, one: pydicom.DataElement) -> None:
        if one.VR == "UI" and one.tag not in STRUCTURAL_UIDS and one.value:
            values = [one.value] if isinstance(one.value, str) else one.value
            found.update(str(value) for value in values if not str(value).startswith("1.2.840.10008"))

    source.walk(look)
    return found


@pytest.mark.parametrize("name", FILES)
def test_every_uid_of_a_public_file_is_found(name):
    source = pydicom.dcmread(PUBLIC / name)
    source.pop("PixelData", None)
    for syntax in SYNTAXES:
        found = gather(EncodedDataset.scan(encode(source, syntax), 0, syntax)).uids
        assert {uid.decode() for uid in found} >= {uid for uid in uids_in(source) if len(uid) > 3}


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_names_are_read_in_the_character_set_of_their_item(syntax, undefined):
    names = {"ISO_IR 100": "MÜLLER", "ISO_IR 144": "ПЕТРОВ", "ISO_IR 192": "山田"}
    items = []
    for charset, name in names.items():
        inner = dataset(SpecificCharacterSet=charset, PersonName=name)
        items.append(dataset(PersonIdentificationCodeSequence=Sequence([inner, dataset(PersonName="NOBODY")])))
    source = patient(ReferencedStudySequence=Sequence(items))
    for item in source.ReferencedStudySequence:
        item.is_undefined_length_sequence_item = undefined
    source["ReferencedStudySequence"].is_undefined_length = undefined
    values = gather(EncodedDataset.scan(encode(source, syntax), 0, syntax)).values.values()
    found = {value.read.decode(value.raw).strip() for value in values if value.tag == 0x0040A123}
    assert found == {*names.values(), "NOBODY"}


def test_a_private_value_is_no_sequence_because_another_of_its_tag_was_one():
    creator = element(0x00290010, "LO", b"ACME", IMPLICIT_CODING)
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + element(0x00080018, "UI", UID.format(5).encode(), IMPLICIT_CODING)
    ends = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    sequence = IMPLICIT_CODING.item(0x00291001, 0xFFFFFFFF) + item + ends
    value = element(0x00291001, "OB", b"\x08\0\x18\0\xff\xff\xff\x7f", IMPLICIT_CODING)
    uid = element(0x00291002, "UI", b"", IMPLICIT_CODING)

    def nested(content: bytes) -> set[bytes]:
        content += uid + element(0x00400275, "SQ", b"", IMPLICIT_CODING)
        content += element(0x0040A124, "UI", UID.format(6).encode(), IMPLICIT_CODING)
        outer = IMPLICIT_CODING.item(0xFFFEE000, len(creator + content)) + creator + content
        data = encode(patient(), IMPLICIT_LE) + element(0x30060010, "SQ", outer, IMPLICIT_CODING)
        return set(gather(EncodedDataset.scan(data, 0, IMPLICIT_LE)).uids)

    assert {UID.format(5).encode(), UID.format(6).encode()} <= nested(sequence)
    assert UID.format(6).encode() in nested(value)
