"""What one peer may take, and who has the right certificate: by the receiver itself, over sockets."""

from __future__ import annotations

import contextlib
import select
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select as query

from node.ledger.schema import refusals
from tests.dicomnet.peers import ACCEPT_TYPE, REJECT_TYPE, until

from .receiving import Peer, Plain, Receiving, Secure, pairs
from .wire import DATA, IMPLICIT, VERIFICATION, associate_rq, command, data, p_data, pdv, store, store_rq

HERE, THERE, ELSEWHERE = "127.0.0.1", "127.0.0.2", "127.0.0.3"
MOST = 64 << 10  # bytes of an instance
LIMITS = [
    {"address": [HERE], "calling_ae": ["RAW"], "associations": 2, "instance_size": "64 KiB"},
    {"address": [THERE], "bytes_per_second": "64 KiB"},
]


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiving]:
    receiving = Receiving(tmp_path_factory.mktemp("limited"), Plain(), {"limits": LIMITS})
    try:
        yield receiving
    finally:
        receiving.close()


def ask(peer: Peer, **options: Any) -> tuple[int, ...]:
    """Ask for an association: nothing where it is accepted, else the three numbers of the rejection."""
    peer.send(associate_rq(**options))
    kind, body = peer.receive()
    assert kind in (ACCEPT_TYPE, REJECT_TYPE)
    return () if kind == ACCEPT_TYPE else struct.unpack("BBB", body[1:4])


def counted(receiver: Receiving, kind: str) -> list[Any]:
    """What the ledger has of a kind of refusal, as soon as it has something."""
    found: list[Any] = []

    def look() -> bool:
        with receiver.database.read() as connection:
            found[:] = connection.execute(query(refusals).where(refusals.c.kind == kind)).all()
        return bool(found)

    assert until(look)
    return found


def long(size: int) -> bytes:
    return (
        DATA + b"\x20\x00\x00\x40UT\x00\x00" + struct.pack("<L", size - len(DATA) - 12) + b"x" * (size - len(DATA) - 12)
    )


def in_pieces(content: bytes, instance: str) -> Iterator[bytes]:
    yield p_data(command(store_rq(instance)))
    for start in range(0, len(content), 16000):
        piece = content[start : start + 16000]
        yield p_data(data(piece, last=start + len(piece) == len(content)))


def answer(peer: Peer) -> tuple[int, bytes]:
    """Status and Error Comment of the next response."""
    _, body = peer.receive()

    def value(element: int) -> bytes:
        place = body.find(struct.pack("<HH", 0, element))
        return b"" if place < 0 else body[place + 8 : place + 8 + struct.unpack_from("<L", body, place + 4)[0]]

    return struct.unpack("<H", value(0x0900))[0], value(0x0902)


def test_an_instance_over_the_limit_is_answered_c000_and_nothing_of_it_is_kept(limited: Receiving) -> None:
    with limited.peer() as peer:
        peer.open()
        peer.send(b"".join(in_pieces(long(MOST), "1.2.1")))
        assert answer(peer) == (0, b"")
        assert [len(one.data) for one in limited.kept()] == [MOST]
        peer.send(b"".join(in_pieces(long(MOST + 2), "1.2.2")))
        status, comment = answer(peer)
        assert (status, comment.strip()) == (0xC000, b"larger than 64 KiB (limits.instance_size)")
        assert limited.incoming() == []
        peer.send(store("1.2.3"))
        assert answer(peer) == (0, b"")
        peer.release()
    assert pairs(limited.kept()) == [("1.2.3", DATA)]
    assert [(one.calling_ae_title, one.n) for one in counted(limited, "instance-size")] == [("RAW", 1)]
    limited.settled()


def test_what_is_too_large_is_gone_before_its_end_has_come(limited: Receiving) -> None:
    with limited.peer() as peer:
        peer.open()
        *begun, last = in_pieces(long(2 * MOST), "1.2.4")
        peer.send(begun[0] + begun[1])
        assert until(lambda: limited.incoming() != [])
        peer.send(b"".join(begun[2:]))
        assert until(lambda: limited.incoming() == [])
        peer.send(last)
        assert answer(peer)[0] == 0xC000
        peer.release()
    limited.settled()


def test_a_peer_has_as_many_associations_as_it_may_and_others_have_theirs(limited: Receiving) -> None:
    with contextlib.ExitStack() as all_:
        peers = [all_.enter_context(limited.peer()) for _ in range(4)]
        assert [ask(peer) for peer in peers[:3]] == [(), (), (2, 3, 2)]
        echo = ((1, VERIFICATION, (IMPLICIT,)),)
        assert ask(peers[3], contexts=echo) == (2, 3, 2)
        assert ask(all_.enter_context(limited.peer(ELSEWHERE))) == ()
        peers[0].release()
        assert ask(all_.enter_context(limited.peer())) == (), "free as soon as the release is answered"
    assert [(one.address, one.n) for one in counted(limited, "peer-limit")] == [(HERE, 2)]
    limited.settled()


def test_who_sends_too_fast_is_read_slowly_and_keeps_nobody_waiting(limited: Receiving) -> None:
    with limited.peer(THERE) as fast, limited.peer(ELSEWHERE) as other:
        fast.open()
        fast.socket.settimeout(0.1)
        with contextlib.suppress(TimeoutError):
            for piece in in_pieces(long(8 << 20), "1.2.5"):  # two minutes' worth
                fast.send(piece)
        other.open()
        for number in range(20):
            other.send(b"".join(in_pieces(long(1 << 20), f"1.2.6.{number}")))
            assert other.status() == 0
        other.release()
        assert select.select([fast.socket], [], [], 0)[0] == [], "neither answered nor ended"
        assert len(limited.incoming()) == 1
    assert len(limited.kept()) == 20


def test_a_slow_but_whole_instance_of_a_limited_peer_is_kept(limited: Receiving) -> None:
    with limited.peer(THERE) as fast:
        fast.open()
        fast.send(
            store("1.2.7", long(1000))
            + p_data(command(store_rq("no uid")))
            + p_data(pdv(b"1234", command=False, last=True))
        )
        assert fast.status() == 0
        assert fast.status() == 0xC000
        fast.release()
    assert [one.sop_instance_uid for one in limited.kept()] == ["1.2.7"]


def test_a_route_for_a_certificate_takes_nobody_without_it(tmp_path: Path) -> None:
    transport = Secure()
    route = {"name": "r", "recipe": ["./r.dicom"], "to": ["dest"], "from": {"certificate": ["PEER", "*.ct.example"]}}
    receiver = Receiving(tmp_path, transport, {"routes": [route]})
    other = transport.issue("other", alternatives="DNS:other.example,IP:127.0.0.1,email:peer@ct")
    third = transport.issue("third", alternatives="DNS:7.ct.example")
    echo = ((1, VERIFICATION, (IMPLICIT,)),)
    try:
        receiver.serves()
        with Peer(transport.connect_as(third, receiver.port)) as peer:
            peer.open()
            peer.send(store("1.2.8"))
            assert peer.status() == 0
            peer.release()
        for contexts in ({}, {"contexts": echo}):
            with Peer(transport.connect_as(other, receiver.port)) as peer:
                assert ask(peer, **contexts) == (1, 1, 3)
        assert [one.sop_instance_uid for one in receiver.kept()] == ["1.2.9", "1.2.8"]
        for kind in ("association", "echo"):
            assert [one.uid for one in counted(receiver, kind)] == ["other, other.example, peer@ct"]
        receiver.settled()
    finally:
        receiver.close()
