"""Peers that are slow, silent, half-open or gone: each ends by time-out, and none keeps another one waiting."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.dicomnet import AcceptorLimits, AssociationServer, InstanceWriter, Peer, StoreAnswer, StoreRequest
from node.dicomnet.dimse import encode_echo_request, encode_store_request
from node.dicomnet.messages import MOST_EMPTY, PROGRESS

from .peers import (
    ABORT_TYPE,
    ACCEPT_TYPE,
    CT,
    IMPLICIT,
    PATIENCE,
    VERIFICATION,
    Acceptor,
    RawPeer,
    RecordingPolicy,
    accepting,
    listen,
    make_file,
    p_data,
    pdv,
    run,
    until,
)

SHORT = 0.5
COMMAND = p_data(pdv(encode_store_request(1, CT, "1.2.3"), command=True, last=True))
ECHO = p_data(pdv(encode_echo_request(1, VERIFICATION), command=True, last=True))
BYTE = p_data(pdv(b"1", command=False, last=False))
LAST = p_data(pdv(b"1", command=False, last=True))
NOTHING = p_data(pdv(b"", command=False, last=False))
NO_COMMAND = p_data(pdv(b"", command=True, last=False))
TCP_REPAIR = 19


def on_and_on(peer: RawPeer, piece: bytes, pause: float) -> None:
    """Send the same piece again and again until the other side has had enough, for no longer than a test may take."""
    for _ in range(int(PATIENCE / pause)):
        readable, _, _ = select.select([peer.socket], [], [], pause)
        if readable:
            return
        with contextlib.suppress(ConnectionError):
            peer.send(piece)
    raise AssertionError("it goes on for ever")


@pytest.mark.parametrize(
    ("before", "piece"),
    [
        (b"", p_data()),
        (NO_COMMAND, NO_COMMAND),
        (COMMAND, p_data()),
        (COMMAND, NOTHING),
        (COMMAND, BYTE),
        (COMMAND + BYTE[:3], b""),
        (COMMAND, p_data(*[pdv(b"", command=False, last=False)] * 100)),
    ],
    ids=[
        "empty PDUs between messages",
        "empty PDVs of a command",
        "empty PDUs in a message",
        "empty PDVs in a message",
        "single bytes in PDUs of their own",
        "a PDU that stands still",
        "many empty PDVs",
    ],
)
def test_a_trickle_ends_by_time_out_and_leaves_nothing(before: bytes, piece: bytes) -> None:
    limits = AcceptorLimits(associate=PATIENCE, idle=SHORT, transfer=SHORT)
    with accepting(limits=limits) as acceptor, RawPeer(acceptor.port) as slow:
        slow.associate()
        slow.send(before)
        on_and_on(slow, piece, 0.02)
        assert slow.receive() == (ABORT_TYPE, b"\0\0\2\0")
        assert acceptor.ended() == ["timeout"]
        assert {stored.state for stored in acceptor.policy.stored} <= {"abandoned"}


@pytest.mark.parametrize("piece", [p_data(), NOTHING * 10], ids=["empty PDUs", "empty PDVs"])
def test_a_flood_of_nothing_ends_though_nobody_ever_waits_for_it(piece: bytes) -> None:
    limits = AcceptorLimits(idle=PATIENCE, transfer=PATIENCE)
    with accepting(limits=limits) as acceptor, RawPeer(acceptor.port) as peer:
        peer.associate()
        with contextlib.suppress(ConnectionError):
            peer.send(COMMAND + piece * (2 * MOST_EMPTY))
        assert acceptor.ended() == ["timeout"]


def test_the_bytes_of_one_pdu_may_not_come_one_by_one_for_ever() -> None:
    limits = AcceptorLimits(associate=PATIENCE, idle=PATIENCE, transfer=SHORT)
    with accepting(limits=limits) as acceptor, RawPeer(acceptor.port) as slow:
        slow.associate()
        slow.send(COMMAND + p_data(pdv(bytes(16000), command=False, last=True))[:100])
        on_and_on(slow, b"\0", 0.02)
        assert slow.receive()[0] == ABORT_TYPE
        assert acceptor.ended() == ["timeout"]
    with accepting(limits=AcceptorLimits(associate=SHORT)) as acceptor, RawPeer(acceptor.port) as slow:
        slow.send(b"\1\0\0\0\x10\0")
        on_and_on(slow, b"\0", 0.02)
        assert slow.receive()[0] == ABORT_TYPE
        assert acceptor.policy.ends == []


def test_who_sends_enough_in_each_span_has_as_many_of_them_as_it_needs() -> None:
    with accepting(limits=AcceptorLimits(transfer=3)) as acceptor, RawPeer(acceptor.port) as peer:
        peer.associate()
        peer.send(COMMAND)
        for _ in range(16):
            select.select([], [], [], 0.25)
            peer.send(p_data(pdv(bytes(PROGRESS), command=False, last=False)))
        peer.send(LAST)
        assert peer.status() == 0


def test_what_this_side_takes_for_itself_is_not_the_peers_time() -> None:
    class Slow(RecordingPolicy):
        def begin(self, peer: Peer, request: StoreRequest) -> InstanceWriter | StoreAnswer:
            time.sleep(2 * SHORT)
            return super().begin(peer, request)

    with accepting(Slow(), AcceptorLimits(transfer=SHORT)) as acceptor, RawPeer(acceptor.port) as peer:
        peer.associate()
        peer.send(COMMAND + BYTE + LAST)
        assert peer.status() == 0


@contextlib.contextmanager
def with_small_buffers(limits: AcceptorLimits) -> Iterator[Acceptor]:
    """An acceptor that soon has to wait for a peer that takes nothing."""
    policy = RecordingPolicy()
    with listen() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        server = AssociationServer(listener, policy, limits)
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            yield Acceptor(listener.getsockname()[1], policy, server)
        finally:
            server.stop()
            thread.join(PATIENCE)
            server.drain(0)


def test_a_peer_that_never_reads_its_answers_ends_by_time_out() -> None:
    with with_small_buffers(AcceptorLimits(idle=PATIENCE, transfer=SHORT)) as acceptor:
        with RawPeer(acceptor.port) as deaf:
            deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            deaf.associate((VERIFICATION, (IMPLICIT,)))
            deaf.socket.settimeout(SHORT / 2)
            with contextlib.suppress(OSError):
                for _ in range(10_000):
                    deaf.send(ECHO)
            assert acceptor.ended() == ["timeout"]
        assert until(lambda: acceptor.server.connections() == 0)


def test_a_peer_that_has_vanished_is_noticed_long_before_the_association_is_idle() -> None:
    with accepting(limits=AcceptorLimits(idle=600, transfer=1)) as acceptor:
        gone = RawPeer(acceptor.port)
        gone.associate()
        try:
            gone.socket.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        except PermissionError:
            gone.socket.close()
            pytest.skip("this user may not let a connection vanish without a word (CAP_NET_ADMIN)")
        gone.socket.close()
        assert acceptor.ended() == ["lost"]


def test_who_opens_many_connections_pushes_out_its_own_and_no_others() -> None:
    with accepting(limits=AcceptorLimits(unassociated=5)) as acceptor, RawPeer(acceptor.port) as first:
        many: list[RawPeer] = []
        for _ in range(12):
            many.append(RawPeer(acceptor.port, "127.0.0.2"))
            count = min(len(many), 4) + 1
            assert until(lambda n=count: acceptor.server.connections() >= n)
        assert all(peer.at_end() for peer in many[:8])
        assert first.associate()[0] == ACCEPT_TYPE
        for peer in many:
            peer.socket.close()


def silent(_peer: RawPeer) -> None:
    pass


def half_a_request(peer: RawPeer) -> None:
    peer.send(b"\1\0\0\0\1\0\0\1")


def half_a_message(peer: RawPeer) -> None:
    peer.associate()
    peer.send(COMMAND + BYTE)


def half_a_pdu(peer: RawPeer) -> None:
    peer.associate()
    peer.send(COMMAND + BYTE[:4])


def idle(peer: RawPeer) -> None:
    peer.associate()


def test_an_instance_gets_through_at_once_while_many_of_every_kind_stand(tmp_path: Path) -> None:
    kinds: list[Callable[[RawPeer], None]] = [silent, half_a_request, half_a_message, half_a_pdu, idle]
    make_file(tmp_path / "a.dcm")
    with accepting(limits=AcceptorLimits(idle=PATIENCE, transfer=PATIENCE)) as acceptor, contextlib.ExitStack() as all_:
        for kind in kinds:
            for _ in range(15):
                kind(all_.enter_context(RawPeer(acceptor.port)))
        assert until(lambda: acceptor.server.active() == 45)
        assert run("storescu", "127.0.0.1", str(acceptor.port), tmp_path / "a.dcm").returncode == 0
        assert acceptor.policy.stored[-1].state == "finished"
        assert acceptor.server.connections() >= 75
        assert acceptor.policy.ends == ["released"], "and all of them still stand"
