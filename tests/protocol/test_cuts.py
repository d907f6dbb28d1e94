"""Proper associations, however their PDVs, PDUs and TCP segments are cut: every instance is kept byte for byte."""

from __future__ import annotations

import pytest

from tests.dicomnet.peers import ACCEPT_TYPE

from .receiving import Peer, Receiving, Segments, pairs
from .wire import (
    C_CANCEL,
    C_ECHO,
    CT,
    DATA,
    EXPLICIT,
    IMPLICIT,
    RELEASE_RQ,
    announced,
    associate_rq,
    command,
    data,
    p_data,
    request,
    store,
    store_rq,
)

STORE = store_rq()
LONG = DATA + b"\x20\x00\x00\x40UT\x00\x00\x00\x04\x00\x00" + bytes(range(256)) * 4
ONE = [("1.2.3", DATA)]


def pieces(content: bytes, size: int) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


def commands(size: int, content: bytes = STORE) -> list[bytes]:
    found = pieces(content, size)
    return [command(piece, last=n == len(found) - 1) for n, piece in enumerate(found)]


def datas(size: int, content: bytes = DATA) -> list[bytes]:
    found = pieces(content, size)
    return [data(piece, last=n == len(found) - 1) for n, piece in enumerate(found)]


def each(*pdvs: bytes) -> bytes:
    """Each PDV in a PDU of its own."""
    return b"".join(map(p_data, pdvs))


CUTS = {
    "a PDU for each": each(command(STORE), data()),
    "command and data in one PDU": p_data(command(STORE), data()),
    "a part of the data with the command": p_data(command(STORE), data(DATA[:7], last=False)) + p_data(data(DATA[7:])),
    "the end of the command with the data": p_data(command(STORE[:7], last=False)) + p_data(command(STORE[7:]), data()),
    "fragments of one byte, a PDU for each": each(*commands(1), *datas(1)),
    "fragments of one byte, in one PDU": p_data(*commands(1), *datas(1)),
    "fragments of odd lengths": each(*commands(7), *datas(13)),
    "several PDVs in a PDU": p_data(*commands(31), *datas(5)[:2]) + p_data(*datas(5)[2:]),
    "an empty last fragment of the data": each(command(STORE), data(last=False), data(b"")),
    "an empty first fragment of the data": each(command(STORE), data(b"", last=False), data()),
    "an empty fragment amid the data": each(
        command(STORE), data(DATA[:9], last=False), data(b"", last=False), data(DATA[9:])
    ),
    "an empty last fragment of the command": each(command(STORE, last=False), command(b""), data()),
    "an empty first fragment of the command": each(command(b"", last=False), command(STORE), data()),
    "empty fragments everywhere, in one PDU": p_data(
        command(b"", last=False),
        command(STORE[:30], last=False),
        command(b"", last=False),
        command(STORE[30:], last=False),
        command(b""),
        data(b"", last=False),
        data(last=False),
        data(b"", last=False),
        data(b""),
    ),
    "PDUs without a PDV between": p_data() + each(command(STORE)) + p_data() + each(data()) + p_data(),
    "unknown bits in the message control headers": p_data(command(STORE)[:5] + b"\xff" + STORE)
    + p_data(data()[:5] + b"\xfe" + DATA),
}


@pytest.mark.parametrize("message", CUTS.values(), ids=CUTS.keys())
def test_an_instance_is_kept_however_it_is_cut(receiver: Receiving, message: bytes) -> None:
    with receiver.peer() as peer:
        peer.open()
        peer.send(message)
        assert peer.status() == 0
        assert pairs(receiver.kept()) == ONE
        peer.send(message)
        assert peer.status() == 0
        peer.release()
    assert pairs(receiver.kept()) == ONE


def test_a_data_set_without_a_byte_is_kept_and_acknowledged(receiver: Receiving) -> None:
    """Whether an instance without an element is good for anything is decided when it is cleaned."""
    with receiver.peer() as peer:
        peer.open()
        peer.send(store(content=b""))
        assert peer.status() == 0
        peer.release()
    assert pairs(receiver.kept()) == [("1.2.3", b"")]


def test_each_context_has_its_transfer_syntax(receiver: Receiving) -> None:
    """Messages of other contexts stand between; none of them ever stands inside another."""
    with receiver.peer() as peer:
        peer.open()
        for context, syntax in ((1, EXPLICIT), (5, IMPLICIT), (1, EXPLICIT)):
            peer.send(p_data(command(store_rq(), context=context), data(context=context)))
            assert peer.status() == 0
            (kept,) = receiver.kept()
            assert (kept.transfer_syntax_uid, kept.sop_class_uid, kept.data) == (syntax, CT, DATA)
            peer.send(p_data(command(request(C_ECHO), context=3)))
            assert peer.status() == 0
        peer.release()


def answered(peer: Peer) -> tuple[int, int, int]:
    """Context, Message ID Being Responded To and status of the next response."""
    kind, body = peer.receive()
    assert (kind, body[5]) == (4, 3)
    message = body.index(b"\0\0\x20\1\2\0\0\0") + 8
    status = body.index(b"\0\0\0\x09\2\0\0\0") + 8
    return (
        body[4],
        int.from_bytes(body[message : message + 2], "little"),
        int.from_bytes(body[status : status + 2], "little"),
    )


def test_requests_sent_before_their_turn_are_answered_in_their_order(receiver: Receiving) -> None:
    """Asynchronous operations are not negotiated; a sender that does not wait loses nothing all the same."""
    stream = b"".join(store(f"1.2.{n}", DATA[:10] + bytes([n]), n) for n in range(1, 6))
    stream += p_data(command(request(C_ECHO, 6), context=3))
    stream += p_data(command(request(C_CANCEL, 1)), command(store_rq("1.2.7", 7)), data())
    with receiver.peer() as peer:
        peer.open()
        peer.send(stream + RELEASE_RQ)
        got = [answered(peer) for _ in range(7)]
        assert peer.receive()[0] == 6
        assert peer.at_end()
    assert got == [(1, n, 0) for n in range(1, 6)] + [(3, 6, 0), (1, 7, 0)]
    expected = [(f"1.2.{n}", DATA[:10] + bytes([n])) for n in range(1, 6)] + [("1.2.7", DATA)]
    assert pairs(receiver.kept()) == expected


def test_a_whole_association_may_come_in_one_segment(receiver: Receiving) -> None:
    with receiver.peer() as peer:
        peer.send(associate_rq() + store() + RELEASE_RQ)
        assert peer.receive()[0] == ACCEPT_TYPE
        assert peer.status() == 0
        assert peer.receive()[0] == 6
        assert peer.at_end()
    assert pairs(receiver.kept()) == ONE


def test_a_whole_association_may_come_byte_by_byte(receiver: Receiving) -> None:
    with receiver.peer() as peer:
        segments = Segments(peer)
        segments.send(*pieces(associate_rq(), 1))
        assert peer.receive()[0] == ACCEPT_TYPE
        segments.send(*pieces(store(), 1))
        assert peer.status() == 0
        peer.send(RELEASE_RQ)
        assert peer.receive()[0] == 6
    assert pairs(receiver.kept()) == ONE


def test_a_message_may_be_parted_at_any_byte(receiver: Receiving) -> None:
    message = p_data(command(STORE[:40], last=False)) + p_data(command(STORE[40:]), data(DATA[:9], last=False))
    message += p_data(data(DATA[9:], last=False)) + p_data(data(b""))
    with receiver.peer() as peer:
        peer.open()
        segments = Segments(peer)
        for place in range(1, len(message)):
            segments.send(message[:place], message[place:])
            assert peer.status() == 0, place
        peer.release()
    assert pairs(receiver.kept()) == ONE * (len(message) - 1)


def test_a_request_for_an_association_may_be_parted_at_any_byte(receiver: Receiving) -> None:
    message = associate_rq(((1, CT, (IMPLICIT,)),)) + RELEASE_RQ
    for place in range(1, len(message)):
        with receiver.peer() as peer:
            Segments(peer).send(message[:place])
            peer.send(message[place:])
            assert (peer.receive()[0], peer.receive()[0]) == (ACCEPT_TYPE, 6), place


@pytest.mark.parametrize("size", [8, 12, 128, 4096, 16384, 131072])
def test_peers_that_send_small_or_large_pdus_are_served(receiver: Receiving, size: int) -> None:
    """`size` is the length of each PDU; no fragment is longer than six bytes less."""
    content = LONG if size < 4096 else LONG * 300
    with receiver.peer() as peer:
        assert announced(peer.open()) == 131072
        peer.send(each(*commands(size - 6), *datas(size - 6, content)))
        assert peer.status() == 0
        peer.release()
    assert pairs(receiver.kept()) == [("1.2.3", content)]


@pytest.mark.parametrize("size", [8, 9, 12, 128, 4096, 131072, 0, None, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_a_response_keeps_to_what_the_peer_takes(receiver: Receiving, size: int | None) -> None:
    with receiver.peer() as peer:
        peer.open(max_pdu=size)
        peer.send(store())
        collected, last = b"", False
        while not last:
            kind, body = peer.receive()
            length = int.from_bytes(body[:4], "big")
            assert (kind, length, body[4]) == (4, len(body) - 4, 1)
            assert len(body) <= (size or len(body))
            assert len(body) % 2 == 0, "fragments have even lengths (PS3.8 Annex F.1)"
            collected += body[6:]
            last = bool(body[5] & 2)
        assert collected.endswith(b"1.2.3\0")
        peer.release()
    assert pairs(receiver.kept()) == ONE


@pytest.mark.parametrize("size", [1, 5, 6, 7])
def test_a_peer_that_takes_no_byte_of_a_response_gets_no_association(receiver: Receiving, size: int) -> None:
    with receiver.peer() as peer:
        peer.send(associate_rq(max_pdu=size))
        assert peer.receive() == (7, b"\0\0\2\6")
        assert peer.at_end()
    receiver.serves()
