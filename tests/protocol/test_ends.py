"""Peers that go at any byte: nothing half-received stays, and what was complete is kept whole."""

from __future__ import annotations

import contextlib
import socket
import struct

import pytest

from .receiving import Peer, Receiving, pairs
from .wire import ABORT, CT, DATA, IMPLICIT, associate_rq, command, data, p_data, store_rq

OPENING = associate_rq(((1, CT, (IMPLICIT,)),))
STORE = store_rq()
MESSAGE = p_data(command(STORE[:40], last=False)) + p_data(command(STORE[40:]), data(DATA[:9], last=False))
MESSAGE += p_data(data(DATA[9:]))


def aborts(peer: Peer) -> None:
    peer.send(ABORT)


def closes(peer: Peer) -> None:
    peer.socket.close()


def says_no_more(peer: Peer) -> None:
    peer.socket.shutdown(socket.SHUT_WR)


def resets(peer: Peer) -> None:
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.socket.close()


WAYS = [aborts, closes, says_no_more, resets]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_peer_that_goes_at_any_byte_of_a_message_leaves_nothing(receiver: Receiving, way) -> None:
    # An A-ABORT inside the last PDU would be taken for what that lacks: nobody can tell the one from the other.
    for count in range(len(MESSAGE) - (len(ABORT) if way is aborts else 0)):
        with receiver.peer() as peer:
            peer.send(OPENING)
            assert peer.receive()[0] == 2
            peer.send(MESSAGE[:count])
            way(peer)
        receiver.over()
    assert receiver.kept() == []
    receiver.serves()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_peer_that_goes_at_any_byte_of_its_request_gets_no_place(receiver: Receiving, way) -> None:
    for count in range(0, len(OPENING), 3):
        with receiver.peer() as peer:
            peer.send(OPENING[:count])
            way(peer)
    receiver.over()
    assert receiver.kept() == []
    receiver.serves()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_what_came_whole_is_kept_whole_though_nobody_waits_for_the_answer(receiver: Receiving, way) -> None:
    """After a reset the node may have read it or not: then it is there whole, or not at all."""
    for _ in range(10):
        with receiver.peer() as peer:
            peer.send(OPENING)
            assert peer.receive()[0] == 2
            peer.send(MESSAGE)
            way(peer)
        receiver.over()
    kept = pairs(receiver.kept())
    assert kept == [("1.2.3", DATA)] * len(kept)
    assert len(kept) == 10 or way is resets
    receiver.serves()


def test_what_was_answered_stays_when_the_next_instance_is_aborted(receiver: Receiving) -> None:
    with receiver.peer() as peer:
        peer.open()
        peer.send(p_data(command(STORE), data()))
        assert peer.status() == 0
        peer.send(p_data(command(store_rq("1.2.4")), data(last=False)) + ABORT)
        assert peer.at_end()
    receiver.over()
    assert pairs(receiver.kept()) == [("1.2.3", DATA)]


def test_silence_anywhere_ends_in_an_abort(tmp_path, transport) -> None:
    """No time is measured: whoever is silent hears an A-ABORT of the provider, for no reason of the standard's list."""
    for number, (timeouts, opens, silent) in enumerate(
        (
            ({"acse": "1s"}, False, (b"", OPENING[:1], OPENING[:30])),
            (
                {"idle": "1s", "transfer": "1s"},
                True,
                [MESSAGE[:count] for count in (0, 3, 6, 9, 40, 60, len(MESSAGE) - 30, len(MESSAGE) - 1)],
            ),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        with contextlib.closing(Receiving(folder, transport, timeouts=timeouts)) as receiving:
            with contextlib.ExitStack() as all_:
                peers = [all_.enter_context(receiving.peer()) for _ in silent]
                for peer, begun in zip(peers, silent, strict=True):
                    if opens:
                        peer.open()
                    peer.send(begun)
                for peer in peers:
                    assert peer.receive() == (7, b"\0\0\2\0")
                    assert peer.at_end()
            receiving.over()
            assert receiving.kept() == []
            receiving.serves()
            receiving.settled()
