"""The requestor against acceptors that cut their answers anywhere, break them anywhere, and go at any byte."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from node.dicomnet import RequestedAssociation, StoreResult, Timeouts, associate
from node.errors import AssociationRejected, HandshakeFailed, NetworkError, PeerAborted, ProtocolError
from tests.dicomnet.peers import LOCALHOST, PATIENCE, listen

from .receiving import Peer, Plain, Segments
from .wire import (
    ABORT,
    C_ECHO,
    CT,
    DATA,
    EXPLICIT,
    IMPLICIT,
    RELEASE_RQ,
    VERIFICATION,
    command,
    command_set,
    data,
    element,
    item,
    number,
    p_data,
    pdu,
    request,
    store_rq,
    uid,
)

PATIENT = Timeouts(PATIENCE, PATIENCE, PATIENCE)
CONTEXTS = [(CT, (EXPLICIT,)), (CT, (IMPLICIT,)), (VERIFICATION, (IMPLICIT,))]
COMPLAINT = b"no room today "


def associate_ac(*contexts: tuple[int, int, str], max_pdu: int | None = 16384) -> bytes:
    """A-ASSOCIATE-AC (PS3.8 9.3.3): id, result and transfer syntax of each context."""
    answered = b"".join(item(0x21, bytes((n, 0, result, 0)) + item(0x40, s.encode())) for n, result, s in contexts)
    limit = b"" if max_pdu is None else item(0x51, struct.pack(">L", max_pdu))
    user = item(0x50, limit + item(0x52, b"1.2.3.4"))
    titles = b"DEST".ljust(16) + b"NODE".ljust(16)
    return pdu(2, b"\0\1\0\0" + titles + bytes(32) + item(0x10, b"1.2.840.10008.3.1.1.1") + answered + user)


ACCEPT = associate_ac((1, 0, EXPLICIT), (3, 3, IMPLICIT), (5, 0, IMPLICIT))


def response(*more: bytes, status: int = 0xA700, message_id: int = 1, field: int = 0x8001) -> bytes:
    """A C-STORE-RSP (PS3.7 9.3.1.2)."""
    return command_set(
        uid(0x0002, CT),
        number(0x0100, field),
        number(0x0120, message_id),
        number(0x0800, 0x0101),
        number(0x0900, status),
        element(0x0902, COMPLAINT),
        uid(0x1000, "1.2.3"),
        *more,
    )


RESPONSE = response()
HALVES = command(RESPONSE[:50], last=False), command(RESPONSE[50:])


@contextmanager
def acceptor(transport: Plain, script: Callable[[Peer], object]) -> Iterator[int]:
    """Accept connections one after another and do with each what `script` says; its failure is the test's."""
    failures: list[BaseException] = []

    def work(listener: socket.socket) -> None:
        while True:
            try:
                accepted = listener.accept()[0]
            except OSError:
                return
            try:
                with Peer(transport.accept(accepted)) as peer:
                    script(peer)
            except BaseException as error:  # noqa: BLE001 - raised in the test's thread below
                failures.append(error)

    with listen() as listener:
        thread = threading.Thread(target=work, args=(listener,))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE)
    assert not thread.is_alive()
    if failures:
        raise failures[0]


def connect(transport: Plain, port: int) -> RequestedAssociation:
    return associate(
        LOCALHOST,
        port,
        calling_ae_title="NODE",
        called_ae_title="DEST",
        contexts=CONTEXTS,
        timeouts=PATIENT,
        **transport.options(),
    )


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    path: Path = tmp_path_factory.mktemp("requestor") / "file"
    path.write_bytes(DATA)
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def sent(association: RequestedAssociation, file: int) -> StoreResult:
    return association.store(1, CT, "1.2.3", file, [(0, len(DATA))])


def take(peer: Peer) -> bytes:
    """Read a C-STORE to its end; return its data set."""
    content, last = b"", False
    while not last:
        kind, body = peer.receive()
        assert kind == 4
        if not body[5] & 1:
            content += body[6:]
            last = bool(body[5] & 2)
    return content


def released(peer: Peer) -> None:
    assert peer.receive()[0] == 5
    peer.send(pdu(6, bytes(4)))


def bytewise(*pdvs: bytes) -> bytes:
    return b"".join(map(p_data, pdvs))


RESPONSES = {
    "in one PDV": p_data(command(RESPONSE)),
    "in two PDVs of one PDU": p_data(*HALVES),
    "in two PDUs": bytewise(*HALVES),
    "in fragments of one byte": bytewise(
        *(command(RESPONSE[n : n + 1], last=n == len(RESPONSE) - 1) for n in range(len(RESPONSE)))
    ),
    "with an empty first fragment": bytewise(command(b"", last=False), command(RESPONSE)),
    "with an empty last fragment": bytewise(command(RESPONSE, last=False), command(b"")),
    "with PDUs without a PDV": p_data() + p_data(HALVES[0]) + p_data() + p_data(HALVES[1]),
    "with unknown elements": p_data(
        command(response(element(0x7FFE, b"1234"), element(0x0010, b"PRIVATE ", group=9), element(0x1030, b"M")))
    ),
    "with a wrong group length": p_data(command(element(0, b"\1\0\0\0") + RESPONSE[12:])),
    "without a group length": p_data(command(RESPONSE[12:])),
    "without UIDs": p_data(
        command(
            command_set(
                number(0x0100, 0x8001),
                number(0x0120, 1),
                number(0x0800, 0x0101),
                number(0x0900, 0xA700),
                element(0x0902, COMPLAINT),
            )
        )
    ),
}


@pytest.mark.parametrize("answer", RESPONSES.values(), ids=RESPONSES.keys())
def test_a_response_is_understood_however_it_is_cut(transport: Plain, file: int, answer: bytes) -> None:
    def script(peer: Peer) -> None:
        peer.receive()
        peer.send(ACCEPT)
        assert take(peer) == DATA
        peer.send(answer)
        released(peer)

    with acceptor(transport, script) as port:
        association = connect(transport, port)
        assert sent(association, file) == StoreResult(0xA700, COMPLAINT.decode().strip())
        assert association.usable
        association.release()


def test_answers_may_be_parted_at_any_byte(transport: Plain, file: int) -> None:
    whole = p_data(command(RESPONSE))

    def script(peer: Peer) -> None:
        peer.receive()
        segments = Segments(peer)
        segments.send(*(ACCEPT[n : n + 1] for n in range(len(ACCEPT))))
        for place in range(1, len(whole)):
            assert take(peer) == DATA
            answer = p_data(command(response(message_id=place)))
            segments.send(answer[:place], answer[place:])
        released(peer)

    with acceptor(transport, script) as port:
        association = connect(transport, port)
        for _ in range(1, len(whole)):
            assert sent(association, file).status == 0xA700
        association.release()


@pytest.mark.parametrize("max_pdu", [8, 12, 128, 4096, 0, None, 0x80000000, 0xFFFFFFFF])
def test_requests_keep_to_what_the_peer_takes(transport: Plain, file: int, max_pdu: int | None) -> None:
    sizes: list[int] = []

    def script(peer: Peer) -> None:
        peer.receive()
        peer.send(associate_ac((1, 0, EXPLICIT), max_pdu=max_pdu))
        receive = peer.receive

        def measured() -> tuple[int, bytes]:
            kind, body = receive()
            sizes.append(len(body))
            return kind, body

        peer.receive = measured  # type: ignore[method-assign]
        assert take(peer) == DATA
        peer.send(p_data(command(RESPONSE)))
        released(peer)

    with acceptor(transport, script) as port:
        association = connect(transport, port)
        sent(association, file)
        association.release()
    assert max(sizes) <= (max_pdu or max(sizes))
    assert all(size % 2 == 0 for size in sizes), "fragments have even lengths (PS3.8 Annex F.1)"


UNRECOGNIZED, UNEXPECTED, UNEXPECTED_PARAMETER, INVALID = 1, 2, 5, 6
BROKEN = {
    "a PDU of an unknown type": (pdu(8, bytes(4)), UNRECOGNIZED),
    "A-ASSOCIATE-AC again": (ACCEPT, UNEXPECTED),
    "A-ASSOCIATE-RQ": (pdu(1, ACCEPT[6:]), UNEXPECTED),
    "A-ASSOCIATE-RJ": (pdu(3, b"\0\1\1\1"), UNEXPECTED),
    "A-RELEASE-RP": (pdu(6, bytes(4)), UNEXPECTED),
    "A-RELEASE-RQ": (RELEASE_RQ, UNEXPECTED),
    "an A-RELEASE-RQ of five bytes": (pdu(5, bytes(5)), INVALID),
    "A-RELEASE-RQ amid the response": (p_data(HALVES[0]) + RELEASE_RQ, UNEXPECTED),
    "a P-DATA-TF longer than announced": (pdu(4, b"", 131073), INVALID),
    "a P-DATA-TF longer than its PDV": (pdu(4, command(RESPONSE) + b"\0"), INVALID),
    "a P-DATA-TF shorter than its PDV": (pdu(4, command(RESPONSE), len(command(RESPONSE)) - 1), INVALID),
    "a PDV of length 0": (pdu(4, bytes(4)), INVALID),
    "a PDV of length 1": (pdu(4, b"\0\0\0\1\1" + bytes(9)), INVALID),
    "a context never proposed": (p_data(command(RESPONSE, context=9)), INVALID),
    "a context that was refused": (p_data(command(RESPONSE, context=3)), INVALID),
    "another context": (p_data(command(RESPONSE, context=5)), INVALID),
    "another context amid the response": (p_data(HALVES[0], command(RESPONSE[50:], context=5)), UNEXPECTED_PARAMETER),
    "data": (p_data(data()), UNEXPECTED_PARAMETER),
    "data amid the response": (p_data(HALVES[0], data()), UNEXPECTED_PARAMETER),
    "a command set that is cut off": (p_data(command(RESPONSE[:-1])), INVALID),
    "a command set beyond 64 KiB": (p_data(command(response(element(0x5110, bytes(70000))))), INVALID),
    "a request": (p_data(command(store_rq())), INVALID),
    "C-ECHO-RQ": (p_data(command(request(C_ECHO))), INVALID),
    "the response to another message": (p_data(command(response(message_id=2))), INVALID),
    "the response for another instance": (p_data(command(response(uid(0x1000, "1.2.4")))), INVALID),
    "the response to another operation": (p_data(command(response(field=0x8030))), INVALID),
    "a response without a status": (p_data(command(RESPONSE.replace(b"\0\0\0\x09\2\0\0\0\0\xa7", b""))), INVALID),
    "a response with a data set": (
        p_data(command(RESPONSE.replace(number(0x0800, 0x0101), number(0x0800, 1))), data()),
        INVALID,
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_answer_settles_nothing_and_is_aborted(transport: Plain, file: int, what: str) -> None:
    answer, reason = BROKEN[what]
    heard: list[tuple[int, bytes]] = []

    def script(peer: Peer) -> None:
        peer.receive()
        peer.send(ACCEPT)
        take(peer)
        peer.send(answer)
        heard.append(peer.receive())
        assert peer.at_end()

    with acceptor(transport, script) as port:
        association = connect(transport, port)
        with pytest.raises(ProtocolError):
            sent(association, file)
        assert association.sent_completely
        assert not association.usable
        with pytest.raises(PeerAborted):
            sent(association, file)
    assert heard == [(7, bytes((0, 0, 2, reason)))]


BODY = ACCEPT[6:]
NEGOTIATIONS = {
    "an unknown PDU type": (pdu(9, b""), UNRECOGNIZED),
    "HTTP": (b"HTTP/1.1 400 Bad Request\r\n\r\n", UNRECOGNIZED),
    "A-ASSOCIATE-RQ": (pdu(1, BODY), UNEXPECTED),
    "a message": (p_data(command(RESPONSE)), UNEXPECTED),
    "A-RELEASE-RQ": (RELEASE_RQ, UNEXPECTED),
    "an endless A-ASSOCIATE-AC": (pdu(2, BODY, 0xFFFFFFFF), INVALID),
    "a length too short by one": (pdu(2, BODY, len(BODY) - 1), INVALID),
    "a length too long by one": (pdu(2, BODY + b"\0"), INVALID),
    "an empty A-ASSOCIATE-AC": (pdu(2, b""), INVALID),
    "an A-ASSOCIATE-RJ without its reason": (pdu(3, b"\0"), INVALID),
    "a syntax that was not proposed": (associate_ac((1, 0, IMPLICIT)), INVALID),
    "room for no byte": (associate_ac((1, 0, EXPLICIT), max_pdu=7), INVALID),
}


@pytest.mark.parametrize(("answer", "reason"), NEGOTIATIONS.values(), ids=NEGOTIATIONS.keys())
def test_a_broken_answer_to_the_request_for_an_association_is_aborted(
    transport: Plain, answer: bytes, reason: int
) -> None:
    heard: list[tuple[int, bytes]] = []

    def script(peer: Peer) -> None:
        peer.receive()
        peer.send(answer)
        heard.append(peer.receive())
        assert peer.at_end()

    with acceptor(transport, script) as port, pytest.raises(ProtocolError):
        connect(transport, port)
    assert heard == [(7, bytes((0, 0, 2, reason)))]


def test_a_context_that_was_not_asked_for_is_not_taken(transport: Plain) -> None:
    def script(peer: Peer) -> None:
        peer.receive()
        peer.send(associate_ac((1, 0, EXPLICIT), (77, 0, IMPLICIT), (2, 0, IMPLICIT)))
        released(peer)

    with acceptor(transport, script) as port:
        association = connect(transport, port)
        assert association.accepted == {1: (CT, EXPLICIT)}
        association.release()


def aborts(peer: Peer) -> None:
    peer.send(ABORT)


def closes(peer: Peer) -> None:
    peer.socket.close()


def resets(peer: Peer) -> None:
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.socket.close()


@pytest.mark.parametrize("way", [aborts, closes, resets], ids=lambda way: way.__name__)
def test_a_peer_that_goes_at_any_byte_of_its_answer_has_answered_nothing(
    transport: Plain, file: int, way: Callable[[Peer], None]
) -> None:
    answer = p_data(*HALVES)
    counts = iter(range(0, len(answer) - (len(ABORT) if way is aborts else 0), 2))

    def script(peer: Peer) -> None:
        peer.receive()
        peer.send(ACCEPT)
        take(peer)
        peer.send(answer[: next(counts)])
        way(peer)

    with acceptor(transport, script) as port:
        for _ in range(0, len(answer) - (len(ABORT) if way is aborts else 0), 2):
            association = connect(transport, port)
            with pytest.raises(NetworkError) as caught:
                sent(association, file)
            assert isinstance(caught.value, PeerAborted | ProtocolError)
            assert association.sent_completely
            assert not association.usable


@pytest.mark.parametrize("way", [aborts, closes, resets], ids=lambda way: way.__name__)
def test_a_peer_that_goes_at_any_byte_of_its_accept_has_accepted_nothing(
    transport: Plain, way: Callable[[Peer], None]
) -> None:
    counts = iter(range(0, len(ACCEPT) - 10, 4))

    def script(peer: Peer) -> None:
        peer.receive()
        peer.send(ACCEPT[: next(counts)])
        way(peer)

    with acceptor(transport, script) as port:
        for _ in range(0, len(ACCEPT) - 10, 4):
            with pytest.raises(NetworkError) as caught:
                connect(transport, port)
            # Over TLS it may be the node's certificate that a peer which goes at once did not like.
            assert isinstance(caught.value, PeerAborted | ProtocolError | HandshakeFailed)


def test_a_rejection_keeps_its_three_numbers(transport: Plain) -> None:
    def script(peer: Peer) -> None:
        peer.receive()
        peer.send(pdu(3, b"\0\2\3\2"))

    with acceptor(transport, script) as port, pytest.raises(AssociationRejected) as caught:
        connect(transport, port)
    assert (caught.value.result, caught.value.source, caught.value.reason) == (2, 3, 2)
