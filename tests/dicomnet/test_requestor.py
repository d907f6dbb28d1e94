"""The requestor against a raw acceptor that does what no proper one does."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from node.dicomnet import RequestedAssociation, Timeouts, associate, dimse, echo
from node.dicomnet.pdus import (
    AnsweredContext,
    decode_request,
    encode_accept,
    encode_reject,
    encode_release_response,
)
from node.errors import (
    AssociationRejected,
    ConnectionFailed,
    NetworkError,
    PeerAborted,
    PeerTimeout,
    ProtocolError,
    SpoolError,
)
from tests.support import free_port

from .peers import (
    ABORT,
    ABORT_TYPE,
    CT,
    EXPLICIT,
    IMPLICIT,
    LOCALHOST,
    PATIENCE,
    RELEASE_RQ,
    VERIFICATION,
    RawPeer,
    accepting,
    listen,
    p_data,
    pdv,
    until,
)

PATIENT = Timeouts(PATIENCE, PATIENCE, PATIENCE)
HASTY_TO_ASSOCIATE = Timeouts(PATIENCE, 0.3, PATIENCE)
HASTY_AFTERWARDS = Timeouts(PATIENCE, PATIENCE, 0.3)


class Scp(RawPeer):
    """One accepted connection of the raw acceptor."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.socket.settimeout(PATIENCE)

    def accept(self, max_pdu: int = 16384, syntax: str = "") -> None:
        kind, body = self.receive()
        assert kind == 1
        request = decode_request(body)
        answers = [AnsweredContext(c.context_id, 0, syntax or c.transfer_syntaxes[0]) for c in request.contexts]
        self.send(encode_accept(request, answers, max_pdu, []))

    def message(self) -> tuple[dimse.Command, bytes]:
        """Read a command and its data set."""
        parts = {True: bytearray(), False: bytearray()}
        while True:
            kind, body = self.receive()
            assert kind == 4, kind
            offset = 0
            while offset < len(body):
                length, _, control = struct.unpack_from(">LBB", body, offset)
                parts[bool(control & 1)] += body[offset + 6 : offset + 4 + length]
                offset += 4 + length
                if control & 2:
                    command = dimse.decode(parts[True])
                    if not control & 1 or not command.has_data_set:
                        return command, bytes(parts[False])

    def respond(self, command: dimse.Command, status: int = 0, context: int = 1) -> None:
        self.send(p_data(pdv(dimse.encode_response(command, status), command=True, last=True, context=context)))

    def serve(self, status: int = 0) -> bytes:
        command, data = self.message()
        self.respond(command, status)
        return data


@contextmanager
def scp(*scripts: Callable[[Scp], object]) -> Iterator[int]:
    """Accept one connection for each script and run it; its failure is the test's."""
    failures: list[BaseException] = []

    def work(listener: socket.socket) -> None:
        for script in scripts:
            try:
                with Scp(listener.accept()[0]) as accepted:
                    script(accepted)
            except BaseException as error:  # noqa: BLE001 - raised in the test's thread below
                failures.append(error)

    with listen() as listener:
        listener.settimeout(PATIENCE)
        thread = threading.Thread(target=work, args=(listener,))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(PATIENCE)
    if failures:
        raise failures[0]


def connect(port: int, timeouts: Timeouts = PATIENT) -> RequestedAssociation:
    contexts = [(CT, (EXPLICIT,)), (CT, (IMPLICIT,)), (VERIFICATION, (IMPLICIT,))]
    return associate(
        LOCALHOST, port, calling_ae_title="NODE", called_ae_title="SCP", contexts=contexts, timeouts=timeouts
    )


@pytest.fixture
def big(tmp_path: Path) -> Iterator[int]:
    """An open file of 20 MB, more than all socket buffers hold."""
    path = tmp_path / "big"
    path.write_bytes(os.urandom(1 << 20) * 20)
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


BIG = 20 << 20


@pytest.mark.parametrize("max_pdu", [4096, 16384, 131072, 0, 99, 0xFFFFFFFF])
@pytest.mark.parametrize("length", [0, 1, 92, 4090, 4091, 300_001])
def test_the_range_of_the_file_and_what_is_around_it_arrive_in_pdus_that_the_peer_can_take(
    big: int, max_pdu: int, length: int
) -> None:
    before, after = b"b" * (length % 200), b"a" * (length % 7)
    received: list[bytes] = []
    longest = 0

    def script(peer: Scp) -> None:
        def receive() -> tuple[int, bytes]:
            nonlocal longest
            kind, body = RawPeer.receive(peer)
            longest = max(longest, len(body))
            return kind, body

        peer.accept(max_pdu)
        peer.receive = receive  # type: ignore[method-assign]
        received.append(peer.serve())
        peer.receive()
        peer.send(encode_release_response())

    with scp(script) as port:
        association = connect(port)
        result = association.store(1, CT, "1.2.3", big, [before, (77, length), after])
        assert (result.status, association.sent_completely) == (0, True)
        association.release()
        assert not association.usable
    assert received == [before + os.pread(big, length, 77) + after]
    assert longest <= (max_pdu or longest)


def test_contexts_are_what_was_agreed() -> None:
    find = "1.2.840.10008.5.1.4.1.2.2.1"
    with accepting() as acceptor:
        association = associate(
            LOCALHOST,
            acceptor.port,
            calling_ae_title="NODE",
            called_ae_title="SCP",
            contexts=[(CT, [IMPLICIT]), (find, [IMPLICIT, EXPLICIT]), (CT, [EXPLICIT])],
            timeouts=PATIENT,
        )
        assert association.accepted == {1: (CT, IMPLICIT), 5: (CT, EXPLICIT)}
        assert association.refused == {3: (find, (IMPLICIT, EXPLICIT), 3)}
        assert association.find(CT, EXPLICIT) == 5
        assert association.find(CT, "1.2.3") is None
        association.release()
        assert acceptor.ended() == ["released"]


def test_an_acceptor_that_answers_no_context_has_refused_all() -> None:
    def script(peer: Scp) -> None:
        request = decode_request(peer.receive()[1])
        peer.send(encode_accept(request, [], 0, []))
        assert peer.receive()[0] == ABORT_TYPE

    with scp(script) as port:
        association = connect(port)
        assert association.accepted == {}
        assert {result for _, _, result in association.refused.values()} == {2}
        association.abort()


@pytest.mark.parametrize("count", [0, 129])
def test_more_contexts_than_there_are_ids_are_a_mistake(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 128"):
        associate(
            LOCALHOST,
            1,
            calling_ae_title="A",
            called_ae_title="B",
            contexts=[(CT, [IMPLICIT])] * count,
            timeouts=PATIENT,
        )


def test_no_connection_is_connection_failed() -> None:
    with pytest.raises(ConnectionFailed):
        connect(free_port())
    with pytest.raises(ConnectionFailed):
        echo("host.invalid", 104, "A", "B", 2)


def test_a_rejection_has_its_reasons() -> None:
    with (
        scp(lambda peer: (peer.receive(), peer.send(encode_reject(2, 3, 2)))) as port,
        pytest.raises(AssociationRejected) as caught,
    ):
        connect(port)
    assert (caught.value.result, caught.value.source, caught.value.reason) == (2, 3, 2)


def aborted_by_us(peer: Scp) -> None:
    kind, _ = peer.receive()
    assert kind == ABORT_TYPE


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (lambda peer: (peer.receive(), peer.send(ABORT)), PeerAborted),
        (lambda peer: peer.receive(), PeerAborted),
        (lambda peer: (peer.receive(), aborted_by_us(peer)), PeerTimeout),
        (lambda peer: (peer.receive(), peer.send(b"HTTP/1.1 400"), aborted_by_us(peer)), ProtocolError),
        (lambda peer: (peer.receive(), peer.send(RELEASE_RQ), aborted_by_us(peer)), ProtocolError),
        (lambda peer: (peer.accept(syntax="1.2.3"), aborted_by_us(peer)), ProtocolError),
        (lambda peer: (peer.accept(max_pdu=4), aborted_by_us(peer)), ProtocolError),
    ],
    ids=["abort", "close", "silence", "rubbish", "release", "syntax not proposed", "no room in PDUs"],
)
def test_a_failed_negotiation_has_its_error(script: Callable[[Scp], object], error: type[NetworkError]) -> None:
    with scp(script) as port, pytest.raises(error):
        connect(port, HASTY_TO_ASSOCIATE if error is PeerTimeout else PATIENT)


def wrong_message_id(peer: Scp, command: dimse.Command) -> None:
    peer.respond(dimse.decode(dimse.encode_store_request(2, CT, "1.2.3")))


def wrong_command(peer: Scp, command: dimse.Command) -> None:
    peer.respond(dimse.decode(dimse.encode_echo_request(1, CT)))


def a_request(peer: Scp, command: dimse.Command) -> None:
    peer.send(p_data(pdv(dimse.encode_store_request(1, CT, "1.2.3"), command=True, last=True)))


@pytest.mark.parametrize(
    "answer",
    [
        wrong_message_id,
        wrong_command,
        a_request,
        lambda peer, command: peer.respond(command, context=3),
        lambda peer, command: peer.respond(command, context=77),
        lambda peer, _: peer.send(RELEASE_RQ),
        lambda peer, _: peer.send(p_data(pdv(b"12", command=False, last=True))),
    ],
    ids=["message id", "command", "request", "context", "unknown context", "release", "data"],
)
def test_a_wrong_response_aborts_and_the_association_is_not_used_again(
    big: int, answer: Callable[[Scp, dimse.Command], None]
) -> None:
    def script(peer: Scp) -> None:
        peer.accept()
        answer(peer, peer.message()[0])
        aborted_by_us(peer)

    with scp(script) as port:
        association = connect(port)
        with pytest.raises(ProtocolError):
            association.store(1, CT, "1.2.3", big, [(0, 1000)])
        assert association.sent_completely
        assert not association.usable
        with pytest.raises(PeerAborted):
            association.store(1, CT, "1.2.3", big, [(0, 1000)])


def test_a_late_response_on_the_old_association_does_not_reach_the_new_one(big: int) -> None:
    """The old acceptor answers 0000H, under the same message id, while the new one is about to refuse."""
    old_may_answer = threading.Event()
    old_has_answered = threading.Event()

    def late(peer: Scp) -> None:
        peer.accept()
        command, _ = peer.message()
        assert old_may_answer.wait(PATIENCE)
        with suppress(OSError):  # the connection may be closed already
            peer.respond(command, 0)
        old_has_answered.set()

    def prompt(peer: Scp) -> None:
        peer.accept()
        command, _ = peer.message()
        assert command.message_id == 1
        old_may_answer.set()
        assert old_has_answered.wait(PATIENCE)
        peer.respond(command, 0xA700)
        peer.receive()
        peer.send(encode_release_response())

    with scp(lambda peer: threading.Thread(target=late, args=(Scp(peer.socket.dup()),)).start(), prompt) as port:
        first = connect(port, Timeouts(5, 5, 0.3))
        with pytest.raises(PeerTimeout):
            first.store(1, CT, "1.2.3", big, [(0, 1000)])
        assert not first.usable
        second = connect(port)
        assert second.store(1, CT, "1.2.3", big, [(0, 1000)]).status == 0xA700
        second.release()


def test_an_early_failure_response_is_the_result_once_all_is_sent(big: int) -> None:
    def script(peer: Scp) -> None:
        peer.accept()
        command = dimse.decode(peer.receive()[1][6:])
        peer.respond(command, 0xA700)
        received, last = 0, False
        while not last:
            body = peer.receive()[1]
            received += len(body) - 6
            last = bool(body[5] & 2)
        assert received == BIG

    with scp(script) as port:
        association = connect(port)
        result = association.store(1, CT, "1.2.3", big, [(0, BIG)])
        assert result.status == 0xA700
        association.abort()


def test_an_abort_while_sending_ends_it_at_once(big: int) -> None:
    released = threading.Event()

    def script(peer: Scp) -> None:
        peer.accept()
        peer.receive()
        peer.send(ABORT)  # and reads nothing more, so that the sender's buffers are full
        assert released.wait(PATIENCE)

    with scp(script) as port:
        association = connect(port, Timeouts(5, 5, 600))
        with pytest.raises(PeerAborted):
            association.store(1, CT, "1.2.3", big, [(0, BIG)])
        released.set()
        assert not association.sent_completely
        assert not association.usable


@pytest.mark.parametrize("early", [True, False])
def test_a_peer_that_takes_nothing_is_a_timeout(big: int, early: bool) -> None:
    released = threading.Event()

    def script(peer: Scp) -> None:
        peer.accept()
        command = dimse.decode(peer.receive()[1][6:])
        if early:
            peer.respond(command, 0xA700)
        assert released.wait(PATIENCE)

    with scp(script) as port:
        association = connect(port, Timeouts(5, 5, 0.3))
        with pytest.raises(PeerTimeout):
            association.store(1, CT, "1.2.3", big, [(0, BIG)])
        released.set()
        assert not association.sent_completely


@pytest.mark.parametrize("complete", [True, False])
def test_the_association_tells_whether_all_was_sent_before_the_peer_was_lost(big: int, complete: bool) -> None:
    def script(peer: Scp) -> None:
        peer.accept()
        if complete:
            peer.message()
        else:
            peer.receive()

    with scp(script) as port:
        association = connect(port)
        with pytest.raises(PeerAborted):
            association.store(1, CT, "1.2.3", big, [(0, 1000 if complete else BIG)])
        assert association.sent_completely is complete


@pytest.mark.parametrize("missing", [1, 10, 1000])
def test_a_file_that_is_too_short_never_becomes_a_complete_message(big: int, missing: int) -> None:
    """The ten bytes of an A-ABORT must not be taken for the ten that a data set lacks."""

    def script(peer: Scp) -> None:
        peer.accept(max_pdu=0)
        with pytest.raises(AssertionError, match="the connection ended"):
            peer.message()

    with scp(script) as port:
        association = connect(port)
        with pytest.raises(SpoolError):
            association.store(1, CT, "1.2.3", big, [(BIG - 5000 + missing, 5000)])
        assert not association.usable


@pytest.mark.parametrize("word", [ABORT, RELEASE_RQ, b"", b"rubbish", p_data()])
def test_what_an_idle_peer_says_ends_the_association(word: bytes) -> None:
    said = threading.Event()

    def script(peer: Scp) -> None:
        peer.accept()
        peer.send(word)
        if word == RELEASE_RQ:
            said.set()
            assert peer.receive()[0] == 6
        elif word:
            said.set()
            peer.at_end()

    with scp(script) as port:
        association = connect(port)
        assert until(lambda: not association.usable)
        with pytest.raises(PeerAborted):
            association.echo()
        association.release()
        association.abort()


def test_both_may_ask_for_release_at_once() -> None:
    def script(peer: Scp) -> None:
        peer.accept()
        assert peer.receive()[0] == 5
        peer.send(RELEASE_RQ)
        assert peer.receive()[0] == 6
        peer.send(encode_release_response())
        assert peer.at_end()

    with scp(script) as port:
        connect(port).release()


def test_a_release_that_is_not_confirmed_ends_in_time() -> None:
    def script(peer: Scp) -> None:
        peer.accept()
        assert peer.receive()[0] == 5
        aborted_by_us(peer)

    with scp(script) as port:
        connect(port, HASTY_AFTERWARDS).release()


def test_message_ids_start_again_at_one() -> None:
    with accepting() as acceptor:
        association = connect(acceptor.port)
        association._message_id = 0xFFFE
        assert [association.echo() for _ in range(3)] == [0, 0, 0]
        assert association._message_id == 2
        association.release()


def test_echo_raises_what_went_wrong() -> None:
    with accepting() as acceptor:
        echo(LOCALHOST, acceptor.port, "NODE", "SCP")
        assert acceptor.ended() == ["released"]

    def script(peer: Scp) -> None:
        peer.accept()
        peer.serve(0x0211)
        peer.receive()
        peer.send(encode_release_response())

    with scp(script) as port, pytest.raises(ProtocolError, match="0211"):
        echo(LOCALHOST, port, "NODE", "SCP")
