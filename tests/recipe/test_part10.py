"""File meta information and transfer syntaxes."""

from __future__ import annotations

import contextlib
import struct
from io import BytesIO

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import UID, AllTransferSyntaxes

from node.errors import DatasetError
from node.part10 import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    FileMeta,
    encode_file_meta,
    read_file_meta,
)
from node.syntaxes import KNOWN, UNCOMPRESSED, lookup

ASCII = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=16)
METAS = st.builds(
    FileMeta, *[st.just("1.2.840.10008.5.1.4.1.1.2"), st.just("1.2.3"), st.just("1.2.840.10008.1.2.1")], *[ASCII] * 6
)
FULL = FileMeta(
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.3.4",
    "1.2.840.10008.1.2.1",
    "SOURCE",
    "SENDING",
    "RECEIVE",
    "dicom://127.0.0.1:104",
    "dicom://127.0.0.1:1040",
    "dicom://[::1]:11112",
    b"\1\2\3\4",
)


def test_pydicom_reads_what_is_written():
    data = encode_file_meta(FULL)
    meta = pydicom.dcmread(BytesIO(data + b"\x10\0\x20\0LO\x02\x0012")).file_meta
    assert meta.FileMetaInformationGroupLength == len(data) - 144
    assert meta.FileMetaInformationVersion == b"\0\1"
    assert meta.MediaStorageSOPInstanceUID == "1.2.3.4"
    assert meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert meta.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
    assert meta.SendingApplicationEntityTitle == "SENDING"
    assert meta.ReceivingPresentationAddress == "dicom://[::1]:11112"
    assert meta.PrivateInformation == b"\1\2\3\4"
    assert meta[0x00020100].value == IMPLEMENTATION_CLASS_UID
    assert data[:132] == b"\0" * 128 + b"DICM"


def test_the_implementation_has_a_uid_and_a_name_of_legal_length():
    assert UID(IMPLEMENTATION_CLASS_UID).is_valid
    assert len(IMPLEMENTATION_VERSION_NAME) <= 16


def test_empty_values_are_left_out():
    meta = pydicom.dcmread(BytesIO(encode_file_meta(FileMeta("1.2", "1.3", "1.2.840.10008.1.2")))).file_meta
    assert "SourceApplicationEntityTitle" not in meta
    assert 0x00020100 not in meta


@settings(max_examples=100, deadline=None)
@given(METAS, st.binary(max_size=20))
def test_what_is_written_is_read_back(meta, behind):
    data = encode_file_meta(meta)
    assert read_file_meta(data) == (meta, len(data))
    assert read_file_meta(memoryview(data + behind)) == (meta, len(data))


def test_private_information_of_another_creator_is_not_ours():
    data = encode_file_meta(FULL).replace(IMPLEMENTATION_CLASS_UID.encode(), b"1" * len(IMPLEMENTATION_CLASS_UID))
    assert read_file_meta(data)[0].private_information == b""


def test_a_group_without_length_is_read():
    data = encode_file_meta(FULL)
    without = data[:132] + data[144:]
    assert read_file_meta(without + b"\x08\0\x05\0CS\0\0") == (FULL, len(without))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_files_are_refused_or_read_and_never_anything_else(data):
    damaged = bytearray(encode_file_meta(FULL))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(128, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DatasetError):
        read_file_meta(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 200,
        encode_file_meta(FULL)[:-1],
        b"\0" * 128 + b"DICM" + struct.pack("<HH2sHL", 2, 0, b"UL", 4, 0),
        b"\0" * 128 + b"DICM" + struct.pack("<HH2sHL", 2, 0, b"UL", 4, 1 << 31),
    ],
)
def test_what_is_no_file_meta_information_is_refused(data):
    with pytest.raises(DatasetError):
        read_file_meta(data)


def test_a_title_that_is_not_ascii_is_refused():
    with pytest.raises(DatasetError):
        encode_file_meta(FileMeta("1.2", "1.3", "1.2", "Ä"))


def test_every_syntax_that_pydicom_knows_is_in_the_table_with_the_same_encoding():
    left_out = {"1.2.840.10008.1.2.6.1", "1.2.840.10008.1.2.6.2"}
    for uid in AllTransferSyntaxes:
        if uid in left_out:
            assert lookup(uid) is None
            continue
        syntax = lookup(uid)
        assert syntax is not None, uid
        assert syntax.implicit_vr == uid.is_implicit_VR
        assert syntax.little_endian == uid.is_little_endian
        if uid.name.startswith(("JPIP", "SMPTE", "Papyrus")):
            continue  # pydicom takes them for encapsulated
        assert syntax.deflated == uid.is_deflated
        assert syntax.encapsulated == uid.is_encapsulated, uid.name
    assert all(lookup(uid).deflated for uid in ("1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"))
    assert lookup("1.2.840.10008.1.2.8.1").encapsulated
    assert lookup("1.2.840.113619.5.2").implicit_vr
    assert lookup("1.2.3") is None
    assert set(KNOWN) >= UNCOMPRESSED
