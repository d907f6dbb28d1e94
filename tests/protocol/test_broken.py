"""Streams that break PS3.7 or PS3.8: the right A-ABORT, no trace of what was under way, nobody else disturbed."""

from __future__ import annotations

import struct

import pytest

from .receiving import DELIVERED, Receiving, pairs
from .wire import (
    C_ECHO,
    CONTEXTS,
    DATA,
    NO_DATA_SET,
    RELEASE_RQ,
    associate_rq,
    command,
    command_set,
    data,
    element,
    item,
    number,
    p_data,
    pdu,
    request,
    store_parts,
    store_rq,
    uid,
)

STORE = store_rq("1.2.66")
BEGUN = p_data(command(STORE), data(DATA[:9], last=False))
STATES = {
    "between messages": b"",
    "amid a command": p_data(command(STORE[:20], last=False)),
    "between command and data": p_data(command(STORE)),
    "amid the data": BEGUN,
}
NOT_SPECIFIED, UNRECOGNIZED, UNEXPECTED, UNEXPECTED_PARAMETER, INVALID = 0, 1, 2, 5, 6
"""Provider reasons of A-ABORT (PS3.8 Table 9-26)."""


def pdv_header(length: int, context: int, control: int) -> bytes:
    return struct.pack(">LBB", length, context, control)


# Wrong wherever they come.
ANYWHERE = {
    "a PDU of an unknown type": (pdu(8, bytes(4)), UNRECOGNIZED),
    "a PDU of type 0": (pdu(0, bytes(4)), UNRECOGNIZED),
    "a PDU of type 255, endless": (pdu(255, b"", 0xFFFFFFFF), UNRECOGNIZED),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: node\r\n\r\n", UNRECOGNIZED),
    "A-ASSOCIATE-RQ again": (associate_rq(), UNEXPECTED),
    "A-ASSOCIATE-AC": (pdu(2, associate_rq()[6:]), UNEXPECTED),
    "A-ASSOCIATE-RJ": (pdu(3, b"\0\1\1\1"), UNEXPECTED),
    "A-RELEASE-RP": (pdu(6, bytes(4)), UNEXPECTED),
    "a P-DATA-TF longer than announced": (pdu(4, data(bytes(131067), last=False)), INVALID),
    "a P-DATA-TF of 4 GiB": (pdu(4, b"", 0xFFFFFFFF), INVALID),
    "an A-RELEASE-RQ of 4 GiB": (pdu(5, b"", 0xFFFFFFFF), INVALID),
    "an A-RELEASE-RQ of three bytes": (pdu(5, bytes(3)), INVALID),
    "an A-ABORT of five bytes": (pdu(7, bytes(5)), INVALID),
    "a P-DATA-TF shorter than its PDV": (pdu(4, data(), len(data()) - 1), INVALID),
    "a P-DATA-TF longer than its PDV, by the next PDU": (pdu(4, data(), len(data()) + 6) + p_data(), INVALID),
    "a P-DATA-TF longer than its PDV, by a byte": (pdu(4, data() + b"\0"), INVALID),
    "a P-DATA-TF of one byte": (pdu(4, b"\0"), INVALID),
    "a P-DATA-TF that ends in a PDV's header": (pdu(4, data()[:5]), INVALID),
    "a PDV of length 0": (pdu(4, struct.pack(">L", 0)), INVALID),
    "a PDV of length 0, and more": (pdu(4, bytes(20)), INVALID),
    "a PDV of length 1": (pdu(4, struct.pack(">LB", 1, 1) + bytes(9)), INVALID),
    "a PDV of 4 GiB": (pdu(4, pdv_header(0xFFFFFFFF, 1, 3) + DATA), INVALID),
    "a PDV longer than its PDU, by a byte": (pdu(4, pdv_header(len(DATA) + 3, 1, 3) + DATA), INVALID),
    "data of a context never proposed": (p_data(data(context=9)), INVALID),
    "data of a context that was refused": (p_data(data(context=7)), INVALID),
    "data of an even context": (p_data(data(context=2)), INVALID),
    "a command of a context never proposed": (p_data(command(STORE, context=9)), INVALID),
    "a command of a context that was refused": (p_data(command(STORE, context=7)), INVALID),
    "a command of context 0": (p_data(command(STORE, context=0)), INVALID),
}


def wrong_elements(*changed: bytes, **changes: bytes) -> bytes:
    return p_data(command(store_rq("1.2.66", 1, *changed, **changes)), data())


def without(name: str) -> bytes:
    return p_data(command(command_set(*(v for k, v in store_parts("1.2.66").items() if k != name))), data())


SOMEWHERE = {
    "data before a command": (p_data(data()), UNEXPECTED_PARAMETER),
    "an empty fragment of data before a command": (p_data(data(b"", last=False)), UNEXPECTED_PARAMETER),
    "data again after the last fragment": (
        p_data(command(request(C_ECHO), context=3), data(context=3)),
        UNEXPECTED_PARAMETER,
    ),
    "data amid a command": (STATES["amid a command"] + p_data(data()), UNEXPECTED_PARAMETER),
    "a command before the end of the data": (BEGUN + p_data(command(STORE)), UNEXPECTED_PARAMETER),
    "a command in place of the data": (p_data(command(STORE), command(STORE)), UNEXPECTED_PARAMETER),
    "an empty fragment of a command amid the data": (BEGUN + p_data(command(b"")), UNEXPECTED_PARAMETER),
    "C-ECHO amid the data": (BEGUN + p_data(command(request(C_ECHO), context=3)), UNEXPECTED_PARAMETER),
    "C-CANCEL amid the data": (BEGUN + p_data(command(request(0x0FFF))), UNEXPECTED_PARAMETER),
    "another context's fragment amid the data": (BEGUN + p_data(data(context=5)), UNEXPECTED_PARAMETER),
    "another context's empty fragment amid the data": (
        BEGUN + p_data(data(b"", last=False, context=3)),
        UNEXPECTED_PARAMETER,
    ),
    "another context's fragment amid the command": (
        STATES["amid a command"] + p_data(command(STORE[20:], context=5)),
        UNEXPECTED_PARAMETER,
    ),
    "the data in another context than the command": (p_data(command(STORE), data(context=5)), UNEXPECTED_PARAMETER),
    "A-RELEASE-RQ amid a command": (STATES["amid a command"] + RELEASE_RQ, UNEXPECTED),
    "A-RELEASE-RQ between command and data": (p_data(command(STORE)) + RELEASE_RQ, UNEXPECTED),
    "A-RELEASE-RQ amid the data": (BEGUN + RELEASE_RQ, UNEXPECTED),
    "a command set without an element": (p_data(command(b"")), INVALID),
    "a command set that is cut off": (p_data(command(STORE[:-1]), data()), INVALID),
    "a command set that ends in an element's header": (p_data(command(STORE + b"\0\0\0"), data()), INVALID),
    "a command set with an element of 4 GiB": (wrong_elements(element(0x1031, b"12", length=0xFFFFFFFF)), INVALID),
    "a command set with an element longer than it": (wrong_elements(element(0x1031, b"12", length=3)), INVALID),
    "a command set of rubbish": (p_data(command(bytes(range(255, 100, -1))), data()), INVALID),
    "a command set in Explicit VR": (
        p_data(command(b"\0\0\0\x01US\2\0\1\0" + b"\0\0\x10\x01US\2\0\1\0"), data()),
        INVALID,
    ),
    "a command set beyond 64 KiB, in one fragment": (wrong_elements(element(0x5110, bytes(70000))), INVALID),
    "a command set beyond 64 KiB, in fragments": (p_data(command(bytes(16000), last=False)) * 5, INVALID),
    "no Command Field": (without("field"), INVALID),
    "no Message ID": (without("message"), INVALID),
    "no Command Data Set Type": (without("data_set"), INVALID),
    "a Command Field of one byte": (wrong_elements(field=element(0x0100, b"\1")), INVALID),
    "an empty Message ID": (wrong_elements(message=element(0x0110, b"")), INVALID),
    "C-STORE without a data set, and its data set": (
        p_data(command(store_rq("1.2.66", data_set=number(0x0800, NO_DATA_SET))), data()),
        UNEXPECTED_PARAMETER,
    ),
    "a C-STORE response": (
        p_data(command(command_set(number(0x0100, 0x8001), number(0x0120, 1), number(0x0800, 257), number(0x0900, 0)))),
        UNEXPECTED,
    ),
    "a C-ECHO response": (p_data(command(request(0x8030), context=3)), UNEXPECTED),
}  # fmt: skip
BROKEN = {
    **SOMEWHERE,
    **{
        f"{what}, {where}": (before + stream, reason)
        for where, before in STATES.items()
        for what, (stream, reason) in ANYWHERE.items()
    },
}
ANSWERED_FIRST = {"data again after the last fragment", "C-STORE without a data set, and its data set"}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_stream_is_aborted_and_nothing_of_it_is_kept(receiver: Receiving, what: str) -> None:
    stream, reason = BROKEN[what]
    with receiver.peer() as bystander, receiver.peer() as peer:
        bystander.open()
        bystander.send(p_data(command(store_rq("1.2.5"))) + p_data(data(DATA[:5], last=False)))
        peer.open()
        peer.send(p_data(command(store_rq("1.2.4")), data()))
        assert peer.status() == 0
        peer.send(stream)
        if what in ANSWERED_FIRST:
            assert peer.receive()[0] == 4
        assert peer.receive() == (7, bytes((0, 0, 2, reason))), "A-ABORT of the service provider"
        assert peer.at_end()
        bystander.send(p_data(data(DATA[5:])))
        assert bystander.status() == 0
        bystander.release()
    receiver.over()
    receiver.serves()
    assert pairs(receiver.kept()) == [("1.2.4", DATA), ("1.2.5", DATA), DELIVERED]


BODY = associate_rq()[6:]
NEGOTIATIONS = {
    "an unknown PDU type": (pdu(9, b""), UNRECOGNIZED),
    "a message": (p_data(command(STORE)), UNEXPECTED),
    "A-RELEASE-RQ": (RELEASE_RQ, UNEXPECTED),
    "A-ASSOCIATE-AC": (pdu(2, BODY), UNEXPECTED),
    "HTTP": (b"GET / HTTP/1.1\r\n\r\n", UNRECOGNIZED),
    "TLS where none is spoken": (bytes.fromhex("160301020001000001fc0303") + bytes(500), UNRECOGNIZED),
    "an endless A-ASSOCIATE-RQ": (pdu(1, BODY, 0xFFFFFFFF), INVALID),
    "a length too short by one": (pdu(1, BODY, len(BODY) - 1), INVALID),
    "a length too long by one": (pdu(1, BODY + b"\0"), INVALID),
    "an empty A-ASSOCIATE-RQ": (pdu(1, b""), INVALID),
    "an item longer than the PDU": (pdu(1, BODY + item(0x50, b"1")[:-1]), INVALID),
    "no presentation context": (associate_rq(()), INVALID),
    "one context id twice": (associate_rq(CONTEXTS + CONTEXTS[:1]), INVALID),
}


@pytest.mark.parametrize("stream", NEGOTIATIONS.values(), ids=NEGOTIATIONS.keys())
def test_a_broken_request_for_an_association_is_aborted(receiver: Receiving, stream: tuple[bytes, int]) -> None:
    with receiver.peer() as peer:
        peer.send(stream[0])
        assert peer.receive() == (7, bytes((0, 0, 2, stream[1])))
        assert peer.at_end()
    receiver.serves()


def test_a_request_without_an_item_names_no_application_context(receiver: Receiving) -> None:
    with receiver.peer() as peer:
        peer.send(pdu(1, BODY[:68]))
        assert peer.receive() == (3, b"\0\1\1\2"), "rejected for good: application context name not supported"
        assert peer.at_end()


def test_what_follows_a_broken_pdu_is_not_looked_at(receiver: Receiving) -> None:
    """After the first mistake nobody knows where the next PDU begins: a whole instance behind it is not taken."""
    with receiver.peer() as peer:
        peer.open()
        peer.send(pdu(8, b"") + p_data(command(store_rq()), data()) + RELEASE_RQ)
        assert peer.receive() == (7, bytes((0, 0, 2, UNRECOGNIZED)))
        assert peer.at_end()
    receiver.over()
    assert receiver.kept() == []


def test_what_was_answered_before_the_mistake_in_the_same_pdu_is_kept(receiver: Receiving) -> None:
    with receiver.peer() as peer:
        peer.open()
        peer.send(p_data(command(store_rq()), data(), data()))
        assert peer.status() == 0
        assert peer.receive() == (7, bytes((0, 0, 2, UNEXPECTED_PARAMETER)))
    receiver.over()
    assert pairs(receiver.kept()) == [("1.2.3", DATA)]


def test_a_sop_instance_uid_beyond_a_fragment_is_answered_not_kept(receiver: Receiving) -> None:
    with receiver.peer() as peer:
        peer.open(max_pdu=128)
        peer.send(p_data(command(store_rq(sop_instance=uid(0x1000, "1." * 20000)))) + p_data(data()))
        for _ in range(1000):
            kind, body = peer.receive()
            assert kind == 4
            if body[5] & 2:
                break
        peer.release()
    assert receiver.kept() == []
