"""Command sets of DIMSE messages (PS3.7 6.3 and Annex E): as much of them as C-STORE, C-FIND, C-ECHO and
storage commitment need.

Guarantees that elements which the node does not use are skipped, whatever they hold, and that a command set whose
lengths lie is a ProtocolError. Command sets are always Implicit VR Little Endian (PS3.7 6.3.1).
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from node.dicomnet.pdus import REASON_INVALID_PARAMETER
from node.errors import ProtocolError

C_STORE_RQ, C_STORE_RSP, C_ECHO_RQ, C_ECHO_RSP, C_CANCEL_RQ = 0x0001, 0x8001, 0x0030, 0x8030, 0x0FFF
C_FIND_RQ, C_FIND_RSP = 0x0020, 0x8020
N_EVENT_REPORT_RQ, N_EVENT_REPORT_RSP, N_ACTION_RQ, N_ACTION_RSP = 0x0100, 0x8100, 0x0130, 0x8130
RESPONSE = 0x8000  # the bit that makes a request's Command Field its response's
NO_DATA_SET, DATA_SET = 0x0101, 0x0001
MEDIUM = 0x0000

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
NO_SUCH_INSTANCE = 0x0112
INVALID_ARGUMENT = 0x0115
NO_SUCH_CLASS = 0x0118
CLASS_INSTANCE_CONFLICT = 0x0119
SOP_CLASS_NOT_SUPPORTED = 0x0122
NO_SUCH_EVENT = 0x0113
NO_SUCH_ACTION = 0x0123
NOT_AUTHORIZED = 0x0124
UNRECOGNIZED_OPERATION = 0x0211
RESOURCE_LIMITATION = 0x0213
OUT_OF_RESOURCES = 0xA700
CANNOT_UNDERSTAND = 0xC000
PENDING = frozenset({0xFF00, 0xFF01})
"""Statuses (PS3.7 Annex C, PS3.4 B.2.3 and C.4.1.1.4)."""

_ELEMENT = struct.Struct("<HHL")
_RESPONSE = struct.Struct("<" + "HHLH" * 4)  # four elements with a number each
_TEXTS = {
    0x0002: "affected_sop_class_uid",
    0x0003: "requested_sop_class_uid",
    0x0902: "error_comment",
    0x1000: "affected_sop_instance_uid",
    0x1001: "requested_sop_instance_uid",
}
_NUMBERS = {
    0x0100: "command_field",
    0x0110: "message_id",
    0x0120: "message_id_responded_to",
    0x0800: "data_set_type",
    0x0900: "status",
    0x1002: "event_type",
    0x1008: "action_type",
}
_ERROR_COMMENT = 0x0902
_COMMENT_LENGTH = 64  # LO


class Command(NamedTuple):
    """What the node reads of a command set; None where an element is absent or empty."""

    command_field: int | None = None
    message_id: int | None = None
    message_id_responded_to: int | None = None
    data_set_type: int | None = None
    status: int | None = None
    affected_sop_class_uid: str = ""
    requested_sop_class_uid: str = ""
    affected_sop_instance_uid: str = ""
    requested_sop_instance_uid: str = ""
    event_type: int | None = None
    action_type: int | None = None
    error_comment: str = ""

    @property
    def has_data_set(self) -> bool:
        """Whether a data set follows (PS3.7 E.1-1: any value but 0101H)."""
        return self.data_set_type != NO_DATA_SET


def decode(data: bytes | bytearray | memoryview) -> Command:
    """Decode a command set; raises ProtocolError where its elements do not fill it exactly."""
    found: dict[str, Any] = {}
    start, end = 0, len(data)
    while start < end:
        value = start + _ELEMENT.size
        if value > end:
            raise ProtocolError("a command set is truncated", REASON_INVALID_PARAMETER)
        group, element, length = _ELEMENT.unpack_from(data, start)
        start = value + length
        if start > end:
            raise ProtocolError("a length in a command set goes beyond its end", REASON_INVALID_PARAMETER)
        if group != 0:
            continue
        if element in _NUMBERS:
            if length >= 2:
                found[_NUMBERS[element]] = data[value] | data[value + 1] << 8
        elif element in _TEXTS:
            found[_TEXTS[element]] = str(data[value:start], "latin-1").rstrip("\0 ")
    return Command(**found)


def _number(element: int, value: int) -> bytes:
    return struct.pack("<HHLH", 0, element, 2, value)


def _uid(element: int, uid: str) -> bytes:
    if not uid:
        return b""
    value = uid.encode("latin-1", "replace")
    if len(value) % 2:
        value += b"\0"
    return _ELEMENT.pack(0, element, len(value)) + value


def _command_set(*elements: bytes) -> bytes:
    body = b"".join(elements)
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def encode_store_request(message_id: int, sop_class_uid: str, sop_instance_uid: str) -> bytes:
    """Encode C-STORE-RQ (PS3.7 9.3.1.1) with medium priority."""
    return _command_set(
        _uid(0x0002, sop_class_uid),
        _number(0x0100, C_STORE_RQ),
        _number(0x0110, message_id),
        _number(0x0700, MEDIUM),
        _number(0x0800, DATA_SET),
        _uid(0x1000, sop_instance_uid),
    )


def encode_find_request(message_id: int, sop_class_uid: str) -> bytes:
    """Encode C-FIND-RQ (PS3.7 9.3.2.1) with medium priority."""
    return _command_set(
        _uid(0x0002, sop_class_uid),
        _number(0x0100, C_FIND_RQ),
        _number(0x0110, message_id),
        _number(0x0700, MEDIUM),
        _number(0x0800, DATA_SET),
    )


def encode_echo_request(message_id: int, sop_class_uid: str) -> bytes:
    """Encode C-ECHO-RQ (PS3.7 9.3.5.1)."""
    return _command_set(
        _uid(0x0002, sop_class_uid),
        _number(0x0100, C_ECHO_RQ),
        _number(0x0110, message_id),
        _number(0x0800, NO_DATA_SET),
    )


def encode_action_request(message_id: int, sop_class_uid: str, sop_instance_uid: str, action_type: int) -> bytes:
    """Encode N-ACTION-RQ with a data set (PS3.7 10.3.4.1)."""
    return _command_set(
        _uid(0x0003, sop_class_uid),
        _number(0x0100, N_ACTION_RQ),
        _number(0x0110, message_id),
        _number(0x0800, DATA_SET),
        _uid(0x1001, sop_instance_uid),
        _number(0x1008, action_type),
    )


def encode_event_request(message_id: int, sop_class_uid: str, sop_instance_uid: str, event_type: int) -> bytes:
    """Encode N-EVENT-REPORT-RQ with a data set (PS3.7 10.3.1.1)."""
    return _command_set(
        _uid(0x0002, sop_class_uid),
        _number(0x0100, N_EVENT_REPORT_RQ),
        _number(0x0110, message_id),
        _number(0x0800, DATA_SET),
        _uid(0x1000, sop_instance_uid),
        _number(0x1002, event_type),
    )


def encode_response(request: Command, status: int, comment: str = "") -> bytes:
    """Encode the response to `request`, with its SOP class and instance repeated.

    `comment` becomes Error Comment (0000,0902): cut at 64 characters, ASCII.
    """
    text = comment.encode("ascii", "replace")[:_COMMENT_LENGTH]
    text += b" " * (len(text) % 2)
    field = (request.command_field or 0) | RESPONSE
    return _command_set(
        _uid(0x0002, request.affected_sop_class_uid or request.requested_sop_class_uid),
        _RESPONSE.pack(
            *(0, 0x0100, 2, field),
            *(0, 0x0120, 2, request.message_id or 0),
            *(0, 0x0800, 2, NO_DATA_SET),
            *(0, 0x0900, 2, status),
        ),
        _ELEMENT.pack(0, _ERROR_COMMENT, len(text)) + text if text else b"",
        _uid(0x1000, request.affected_sop_instance_uid or request.requested_sop_instance_uid),
    )
