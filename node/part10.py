"""The head of a DICOM file: preamble, prefix and file meta information (PS3.10 chapter 7).

Guarantees that what `encode_file_meta` writes is complete (zero preamble, DICM, group length, the Type 1 elements that
have a value) and that `read_file_meta` gives it back. Refuses with DatasetError whatever is malformed, truncated, or
names no transfer syntax; a value of the file is in no message.

The file meta information is the envelope of an instance in the spool: who sent it, to whom, from which address.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from node import __version__
from node.errors import DatasetError

IMPLEMENTATION_CLASS_UID = "2.25.114058515634666179617324991292227330271"
IMPLEMENTATION_VERSION_NAME = ("DEIDNODE_" + __version__.replace(".", ""))[:16]

_PREFIX = b"\0" * 128 + b"DICM"
_LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_GROUP_LENGTH = struct.Struct("<HH2sHL")
_ELEMENT, _LENGTH = struct.Struct("<HH2sH"), struct.Struct("<L")
_VERSION_ELEMENT = struct.pack("<HH2sxxL", 2, 1, b"OB", 2) + b"\x00\x01"


@dataclass(frozen=True, slots=True)
class FileMeta:
    """The elements of group 0002 that the node reads and writes.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid, transfer_syntax_uid
        (0002,0002), (0002,0003), (0002,0010).
    source_ae_title, sending_ae_title, receiving_ae_title
        (0002,0016), (0002,0017), (0002,0018).
    source_address, sending_address, receiving_address
        (0002,0026), (0002,0027), (0002,0028): URLs.
    private_information
        (0002,0102), the node's own; of another creator it reads as empty. An odd length is padded with a NUL.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    source_ae_title: str = ""
    sending_ae_title: str = ""
    receiving_ae_title: str = ""
    source_address: str = ""
    sending_address: str = ""
    receiving_address: str = ""
    private_information: bytes = b""


def _short(element: int, vr: bytes, text: str, pad: bytes) -> bytes:
    if not text:
        return b""
    value = _ascii(element, text)
    if len(value) & 1:
        value += pad
    if len(value) > 0xFFFF:
        raise DatasetError("a value is too long for its VR", f"(0002,{element:04X})")
    return struct.pack("<HH2sH", 2, element, vr, len(value)) + value


def _long(element: int, vr: bytes, value: bytes, pad: bytes) -> bytes:
    if not value:
        return b""
    if len(value) & 1:
        value += pad
    return struct.pack("<HH2sxxL", 2, element, vr, len(value)) + value


def _ascii(element: int, text: str) -> bytes:
    try:
        return text.encode("ascii")
    except UnicodeEncodeError:
        raise DatasetError("a value is not ASCII", f"(0002,{element:04X})") from None


# The same for every file this program writes.
_IMPLEMENTATION = _short(0x12, b"UI", IMPLEMENTATION_CLASS_UID, b"\0") + _short(
    0x13, b"SH", IMPLEMENTATION_VERSION_NAME, b" "
)
_PRIVATE_CREATOR = _short(0x100, b"UI", IMPLEMENTATION_CLASS_UID, b"\0")


class MetaTemplate:
    """The head of files that differ in SOP Instance UID and private information alone: the rest is encoded once.

    Parameters
    ----------
    meta
        What the files have in common; its `sop_instance_uid` and `private_information` are not looked at.

    Raises
    ------
    DatasetError
        A value is not ASCII.
    """

    def __init__(self, meta: FileMeta) -> None:
        self._before = _VERSION_ELEMENT + _short(0x02, b"UI", meta.sop_class_uid, b"\0")
        self._after = b"".join(
            (
                _short(0x10, b"UI", meta.transfer_syntax_uid, b"\0"),
                _IMPLEMENTATION,
                _short(0x16, b"AE", meta.source_ae_title, b" "),
                _short(0x17, b"AE", meta.sending_ae_title, b" "),
                _short(0x18, b"AE", meta.receiving_ae_title, b" "),
                _long(0x26, b"UR", _ascii(0x26, meta.source_address), b" "),
                _long(0x27, b"UR", _ascii(0x27, meta.sending_address), b" "),
                _long(0x28, b"UR", _ascii(0x28, meta.receiving_address), b" "),
            )
        )

    def encode(self, sop_instance_uid: str, private_information: bytes) -> bytes:
        """Return the head of one file, as `encode_file_meta` does."""
        body = self._before + _short(0x03, b"UI", sop_instance_uid, b"\0") + self._after
        if private_information:
            body += _PRIVATE_CREATOR + _long(0x102, b"OB", private_information, b"\0")
        return _PREFIX + _GROUP_LENGTH.pack(2, 0, b"UL", 4, len(body)) + body


def encode_file_meta(meta: FileMeta) -> bytes:
    """Return preamble, prefix and file meta information; the data set follows directly.

    Always Explicit VR Little Endian (PS3.10 7.1). Elements with an empty value are left out. Raises DatasetError for a
    value that is not ASCII.
    """
    return MetaTemplate(meta).encode(meta.sop_instance_uid, meta.private_information)


def read_file_meta(head: bytes | memoryview) -> tuple[FileMeta, int]:
    """Read the file meta information from the first bytes of a file.

    Parameters
    ----------
    head
        The file from its first byte on, at least as far as group 0002 goes.

    Returns
    -------
    tuple
        The elements, and the offset in bytes at which the data set starts.

    Raises
    ------
    DatasetError
        No DICM prefix, a malformed or truncated group 0002, or no transfer syntax.
    """
    values, syntax, offset = _group(head)
    own = _text(values.get(0x100, b"")) == IMPLEMENTATION_CLASS_UID
    meta = FileMeta(
        sop_class_uid=_text(values.get(0x02, b"")),
        sop_instance_uid=_text(values.get(0x03, b"")),
        transfer_syntax_uid=syntax,
        source_ae_title=_text(values.get(0x16, b"")),
        sending_ae_title=_text(values.get(0x17, b"")),
        receiving_ae_title=_text(values.get(0x18, b"")),
        source_address=_text(values.get(0x26, b"")),
        sending_address=_text(values.get(0x27, b"")),
        receiving_address=_text(values.get(0x28, b"")),
        private_information=values.get(0x102, b"") if own else b"",
    )
    return meta, offset


def outline(head: bytes | memoryview) -> tuple[str, str, int]:
    """Return Media Storage SOP Class UID and transfer syntax, and the offset in bytes at which the data set starts.

    Raises DatasetError, as `read_file_meta` does.
    """
    values, syntax, offset = _group(head)
    return _text(values.get(0x02, b"")), syntax, offset


def file_meta_end(head: bytes | memoryview) -> int:
    """Return the offset behind group 0002, which starts at offset 132 of a file's first bytes.

    Raises DatasetError for a malformed or truncated group; what it says is not looked at.
    """
    return _elements(head)[1]


def _text(value: bytes) -> str:
    return value.decode("latin-1").strip("\0 ")


def _group(head: bytes | memoryview) -> tuple[dict[int, bytes], str, int]:
    """Return the values of group 0002 by element number, the transfer syntax among them, and the offset behind it."""
    if bytes(head[128:132]) != b"DICM":
        raise DatasetError("no DICM prefix")
    values, offset = _elements(head)
    syntax = _text(values.get(0x10, b""))
    if not syntax:
        raise DatasetError("no transfer syntax", "(0002,0010)")
    return values, syntax, offset


def _elements(head: bytes | memoryview) -> tuple[dict[int, bytes], int]:
    """Return the values of group 0002 by element number, and the offset behind it."""
    values: dict[int, bytes] = {}
    position, end = 132, _group_end(head)
    head = bytes(head[:end] if end >= 0 else head)
    while position != end:
        if end < 0 and _group_is_over(head, position):
            break
        element, start, length = _header(head, position)
        position = start + length
        if position > (end if end >= 0 else len(head)):
            raise DatasetError("a length goes beyond the file meta information", f"(0002,{element:04X})")
        values[element] = head[start:position]
    return values, position


def _group_end(head: bytes | memoryview) -> int:
    """Return where (0002,0000) says that the group ends, or -1 where it is missing."""
    element, start, length = _header(head, 132)
    if element != 0 or length != 4:
        return -1
    end = start + 4 + int.from_bytes(head[start : start + 4], "little")
    if end > len(head):
        raise DatasetError("file meta information is truncated", "(0002,0000)")
    return end


def _group_is_over(head: bytes, position: int) -> bool:
    return position == len(head) or (position > 132 and head[position : position + 2] != b"\x02\0")


def _header(head: bytes | memoryview, position: int) -> tuple[int, int, int]:
    """Return element number, and offset and length of the value, of an element of group 0002."""
    if position + 8 > len(head):
        raise DatasetError("file meta information is truncated")
    group, element, vr, length = _ELEMENT.unpack_from(head, position)
    if group != 2 or not vr.isupper():
        raise DatasetError("file meta information is malformed")
    if vr not in _LONG_VRS:
        return element, position + 8, length
    if position + 12 > len(head):
        raise DatasetError("file meta information is truncated")
    return element, position + 12, _LENGTH.unpack_from(head, position + 8)[0]
