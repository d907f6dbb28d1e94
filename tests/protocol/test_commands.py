"""Command sets as peers write them: what the node does not need is skipped, what it needs is trimmed and looked at."""

from __future__ import annotations

import struct

import pytest

from .receiving import Receiving
from .wire import (
    C_CANCEL,
    C_ECHO,
    CT,
    DATA,
    command,
    command_set,
    data,
    element,
    number,
    p_data,
    request,
    store_parts,
    store_rq,
    uid,
)

UNKNOWN = struct.pack("<L", 7)
TAKEN = {
    "an element of group 0000 that is not known": store_rq("1.2.3", 1, element(0x7FFE, UNKNOWN)),
    "an element of an odd group": store_rq("1.2.3", 1, element(0x0010, b"PRIVATE ", group=9)),
    "an element of an even group": store_rq("1.2.3", 1, element(0x0010, b"A^B ", group=0x10)),
    "an element of group FFFF": store_rq("1.2.3", 1, element(0xFFFF, b"", group=0xFFFF)),
    "elements of a response": store_rq("1.2.3", 1, number(0x0120, 9), number(0x0900, 0xA700), element(0x0902, b"oh")),
    "Move Originator": store_rq("1.2.3", 1, element(0x1030, b"MOVER ".ljust(16)), number(0x1031, 4)),
    "Move Originator, empty": store_rq("1.2.3", 1, element(0x1030, b""), element(0x1031, b"")),
    "Move Originator, of wrong lengths": store_rq("1.2.3", 1, element(0x1030, b"M" * 99), element(0x1031, b"12345")),
    "Length to End (retired)": store_rq("1.2.3", 1, element(0x0001, UNKNOWN)),
    "no group length": store_rq()[12:],
    "a group length too small": command_set(*store_parts().values(), group_length=0),
    "a group length too large": command_set(*store_parts().values(), group_length=0xFFFFFFFF),
    "a group length of two bytes": element(0, b"\0\0") + store_rq()[12:],
    "no Priority": store_rq(priority=b""),
    "a Priority that is none": store_rq(priority=number(0x0700, 77)),
    "a Data Set Type of 0": store_rq(data_set=number(0x0800, 0)),
    "a Data Set Type of FFFF": store_rq(data_set=number(0x0800, 0xFFFF)),
    "a Message ID of four bytes": store_rq(message=element(0x0110, b"\1\0\0\0")),
    "elements in descending order": command_set(*reversed(store_parts().values())),
    "an instance padded by NUL": store_rq(sop_instance=element(0x1000, b"1.2.3\0\0\0")),
    "an instance padded by blanks": store_rq(sop_instance=element(0x1000, b"1.2.3   ")),
    "an instance padded by both": store_rq(sop_instance=element(0x1000, b"1.2.3 \0 \0")),
    "an instance of odd length": store_rq(sop_instance=element(0x1000, b"1.2.3")),
    "a class padded by NUL": store_rq(sop_class=element(0x0002, CT.encode() + b"\0\0\0")),
    "a class padded by blanks": store_rq(sop_class=element(0x0002, CT.encode() + b" ")),
}


def responded(body: bytes) -> dict[int, bytes]:
    """The elements of a response that came in one PDV."""
    found, place = {}, 6
    while place < len(body):
        group, where, length = struct.unpack_from("<HHL", body, place)
        assert group == 0
        found[where] = body[place + 8 : place + 8 + length]
        place += 8 + length
    assert int.from_bytes(found[0], "little") == len(body) - 6 - 12
    return found


@pytest.mark.parametrize("commands", TAKEN.values(), ids=TAKEN.keys())
def test_an_instance_is_kept_whatever_else_its_command_says(receiver: Receiving, commands: bytes) -> None:
    with receiver.peer() as peer:
        peer.open()
        peer.send(p_data(command(commands)) + p_data(data()))
        kind, body = peer.receive()
        response = responded(body)
        assert kind == 4
        assert (response[0x0100], response[0x0120], response[0x0800], response[0x0900]) == (
            b"\1\x80",
            b"\1\0",
            b"\1\1",
            b"\0\0",
        )
        assert (response[0x0002], response[0x1000]) == (uid(2, CT)[8:], b"1.2.3\0")
        assert sorted(response) == [0x0000, 0x0002, 0x0100, 0x0120, 0x0800, 0x0900, 0x1000]
        peer.release()
    (kept,) = receiver.kept()
    assert (kept.sop_class_uid, kept.sop_instance_uid, kept.data) == (CT, "1.2.3", DATA)


NOT_TAKEN = {
    "no SOP Instance UID": store_rq(sop_instance=b""),
    "an empty SOP Instance UID": store_rq(sop_instance=element(0x1000, b"")),
    "a SOP Instance UID of padding": store_rq(sop_instance=element(0x1000, b" \0")),
    "a SOP Instance UID with NUL in front": store_rq(sop_instance=element(0x1000, b"\0" + b"1.2.3")),
    "a SOP Instance UID with NUL inside": store_rq(sop_instance=element(0x1000, b"1.2\0.3")),
    "a SOP Instance UID that is a path": store_rq(sop_instance=element(0x1000, b"../../etc/passwd")),
    "a SOP Instance UID of two values": store_rq(sop_instance=element(0x1000, b"1.2\\1.3 ")),
    "a SOP Instance UID of letters": store_rq(sop_instance=element(0x1000, "1.2.é".encode())),
    "a SOP Instance UID of 65 characters": store_rq(sop_instance=element(0x1000, b"1." + b"2" * 63)),
    "a SOP Class UID of letters": store_rq(sop_class=element(0x0002, b"CT image")),
    "a SOP Class UID of 65 characters": store_rq(sop_class=element(0x0002, b"1." + b"2" * 63)),
}


@pytest.mark.parametrize("commands", NOT_TAKEN.values(), ids=NOT_TAKEN.keys())
def test_an_instance_without_a_name_is_refused_and_the_next_is_kept(receiver: Receiving, commands: bytes) -> None:
    with receiver.peer() as peer:
        peer.open()
        peer.send(p_data(command(commands), data()))
        assert peer.status() == 0xC000
        assert receiver.incoming() == []
        peer.send(p_data(command(store_rq()), data()))
        assert peer.status() == 0
        peer.release()
    (kept,) = receiver.kept()
    assert kept.sop_instance_uid == "1.2.3"


def test_an_instance_without_a_sop_class_is_kept_to_be_judged_later(receiver: Receiving) -> None:
    with receiver.peer() as peer:
        peer.open()
        peer.send(p_data(command(store_rq(sop_class=b"")), data()))
        assert peer.status() == 0
        peer.release()
    (kept,) = receiver.kept()
    assert (kept.sop_class_uid, kept.sop_instance_uid) == ("", "1.2.3")


def test_an_instance_in_the_context_of_verification_is_refused(receiver: Receiving) -> None:
    with receiver.peer() as peer:
        peer.open()
        peer.send(p_data(command(store_rq(), context=3), data(context=3)))
        assert peer.status() == 0x0122
        peer.release()
    assert receiver.kept() == []


def test_echoes_and_cancels_between_instances_change_nothing(receiver: Receiving) -> None:
    with receiver.peer() as peer:
        peer.open()
        for n in range(3):
            peer.send(p_data(command(request(C_ECHO), context=3)))
            assert peer.status() == 0
            peer.send(p_data(command(request(C_CANCEL))))
            peer.send(p_data(command(store_rq(f"1.2.{n}")), data()))
            assert peer.status() == 0
        peer.send(p_data(command(request(C_ECHO, data_set=1), context=3), data(context=3)))
        assert peer.status() == 0
        peer.send(p_data(command(request(0x0020)), command(request(C_ECHO), context=3)))
        assert [peer.status(), peer.status()] == [0x0211, 0]
        peer.release()
    assert [one.sop_instance_uid for one in receiver.kept()] == ["1.2.0", "1.2.1", "1.2.2"]
