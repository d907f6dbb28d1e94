"""Command sets against pynetdicom's, and against rubbish."""

import struct
from contextlib import suppress
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import UID
from pynetdicom.dimse_messages import C_ECHO_RQ, C_STORE_RQ
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.dsutils import decode as decode_data_set
from pynetdicom.dsutils import encode as encode_data_set

from node.dicomnet import dimse
from node.errors import ProtocolError

from .peers import CT, VERIFICATION


def encoded(message: C_STORE_RQ | C_ECHO_RQ) -> bytes:
    data = encode_data_set(message.command_set, is_implicit_vr=True, is_little_endian=True)
    assert data is not None
    return data


def test_a_c_store_rq_of_pynetdicom_is_understood() -> None:
    primitive = C_STORE()
    primitive.MessageID, primitive.Priority = 258, 2
    primitive.AffectedSOPClassUID, primitive.AffectedSOPInstanceUID = UID(CT), UID("1.2.3")
    primitive.MoveOriginatorApplicationEntityTitle, primitive.MoveOriginatorMessageID = "MOVER", 7
    primitive.DataSet = BytesIO(b"12")
    message = C_STORE_RQ()
    message.primitive_to_message(primitive)
    command = dimse.decode(encoded(message))
    assert (command.command_field, command.message_id, command.has_data_set) == (dimse.C_STORE_RQ, 258, True)
    assert (command.affected_sop_class_uid, command.affected_sop_instance_uid) == (CT, "1.2.3")


def test_our_echo_request_is_byte_for_byte_that_of_pynetdicom() -> None:
    primitive = C_ECHO()
    primitive.MessageID, primitive.AffectedSOPClassUID = 9, UID(VERIFICATION)
    message = C_ECHO_RQ()
    message.primitive_to_message(primitive)
    assert dimse.encode_echo_request(9, VERIFICATION) == encoded(message)


def test_a_response_repeats_its_request_and_carries_a_short_comment() -> None:
    request = dimse.decode(dimse.encode_store_request(5, CT, "1.2.3"))
    data_set = decode_data_set(BytesIO(dimse.encode_response(request, 0xA700, "é" + "x" * 80)), True, True)
    assert data_set.CommandField == 0x8001
    assert data_set.MessageIDBeingRespondedTo == 5
    assert data_set.CommandDataSetType == 0x0101
    assert data_set.Status == 0xA700
    assert (data_set.AffectedSOPClassUID, data_set.AffectedSOPInstanceUID) == (CT, "1.2.3")
    assert data_set.ErrorComment == "?" + "x" * 63
    assert data_set.CommandGroupLength == len(dimse.encode_response(request, 0xA700, "x" * 64)) - 12


def test_unknown_elements_and_padding_are_ignored() -> None:
    unknown = struct.pack("<HHL", 0, 0x5110, 6) + b"secret" + struct.pack("<HHL", 9, 0x10, 2) + b"xx"
    padded = struct.pack("<HHL", 0, 0x1000, 8) + b"1.2.3\0\0 "
    command = dimse.decode(unknown + padded + struct.pack("<HHLH", 0, 0x0100, 2, 1))
    assert (command.command_field, command.affected_sop_instance_uid) == (1, "1.2.3")
    assert command.message_id is None


@pytest.mark.parametrize("data", [b"\0", b"\0" * 7, struct.pack("<HHL", 0, 0x100, 3) + b"\1\0", b"\xff" * 8])
def test_lengths_that_lie_are_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        dimse.decode(data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_rubbish_raises_nothing_but_a_protocol_error(data: bytes) -> None:
    with suppress(ProtocolError):
        dimse.decode(data)
