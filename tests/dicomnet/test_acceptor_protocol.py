"""The acceptor against raw sockets: PDVs cut anywhere, and every way to break the protocol."""

import os
import struct
import threading
from collections.abc import Iterator

import pytest

from node.dicomnet import AcceptorLimits, Rejection, StoreAnswer
from node.dicomnet.dimse import encode_echo_request, encode_store_request
from node.dicomnet.pdus import AssociateRequest, ProposedContext, encode_request

from .peers import (
    ABORT,
    ABORT_TYPE,
    ACCEPT_TYPE,
    CT,
    EXPLICIT,
    IMPLICIT,
    REJECT_TYPE,
    RELEASE_RP_TYPE,
    RELEASE_RQ,
    VERIFICATION,
    Acceptor,
    RawPeer,
    accepting,
    p_data,
    pdv,
    until,
)

STORE = encode_store_request(1, CT, "1.2.3")
ECHO = encode_echo_request(1, VERIFICATION)
DATA = bytes(range(256)) * 8


@pytest.fixture
def acceptor() -> Iterator[Acceptor]:
    with accepting() as running:
        yield running


@pytest.fixture
def peer(acceptor: Acceptor) -> Iterator[RawPeer]:
    with RawPeer(acceptor.port) as raw:
        assert raw.associate()[0] == ACCEPT_TYPE
        yield raw


def command(data: bytes = STORE, **options: int) -> bytes:
    return pdv(data, command=True, last=True, **options)


def whole(data: bytes = DATA) -> bytes:
    return pdv(data, command=False, last=True)


def cut(data: bytes, size: int, *, is_command: bool) -> list[bytes]:
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    return [pdv(piece, command=is_command, last=i == len(pieces) - 1) for i, piece in enumerate(pieces)]


def split_up(size: int) -> bytes:
    return b"".join(map(p_data, cut(STORE, size, is_command=True) + cut(DATA, size, is_command=False)))


MESSAGES = {
    "one PDV each": p_data(command()) + p_data(whole()),
    "command and data in one PDU": p_data(command(), whole()),
    "one-byte fragments": split_up(1),
    "odd fragments": split_up(37),
    "all in one PDU, cut to pieces": p_data(*cut(STORE, 11, is_command=True), *cut(DATA, 13, is_command=False)),
    "empty last fragment": p_data(command()) + p_data(pdv(DATA, command=False, last=False)) + p_data(whole(b"")),
    "empty fragments between": p_data(
        pdv(b"", command=True, last=False),
        command(),
        pdv(b"", command=False, last=False),
        pdv(DATA, command=False, last=False),
        pdv(b"", command=False, last=False),
        whole(b""),
    ),
    "empty PDUs between": p_data() + p_data(command()) + p_data() + p_data(whole()),
    "unknown bits in control headers": p_data(command()[:5] + b"\xff" + STORE) + p_data(whole()[:5] + b"\xfe" + DATA),
    "unknown command elements": p_data(command(STORE + struct.pack("<HHL", 0, 0x5180, 4) + b"abcd")) + p_data(whole()),
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES.keys())
def test_an_instance_arrives_however_it_is_cut(acceptor: Acceptor, peer: RawPeer, message: bytes) -> None:
    peer.send(message)
    assert peer.status() == 0
    (stored,) = acceptor.policy.stored
    assert bytes(stored.data) == DATA
    assert stored.state == "finished"
    assert (stored.request.sop_class_uid, stored.request.sop_instance_uid) == (CT, "1.2.3")
    assert (stored.request.transfer_syntax_uid, stored.request.message_id) == (EXPLICIT, 1)
    peer.send(RELEASE_RQ)
    assert peer.receive()[0] == RELEASE_RP_TYPE
    assert peer.at_end()
    assert acceptor.ended() == ["released"]


@pytest.mark.parametrize("size", [1, 5, 6, 7, 100, 1000])
def test_an_instance_arrives_however_tcp_delivers_it(acceptor: Acceptor, peer: RawPeer, size: int) -> None:
    message = p_data(command()) + p_data(whole(DATA[:200])) + p_data(command(), whole())
    for start in range(0, len(message), size):
        peer.send(message[start : start + size])
    assert [peer.status(), peer.status()] == [0, 0]
    assert [bytes(stored.data) for stored in acceptor.policy.stored] == [DATA[:200], DATA]


def test_an_instance_without_a_byte_of_data_goes_to_the_policy(acceptor: Acceptor, peer: RawPeer) -> None:
    peer.send(p_data(command()) + p_data(whole(b"")))
    assert peer.status() == 0
    assert acceptor.policy.stored[0].state == "finished"


def test_nothing_is_answered_before_the_policy_has_concluded(acceptor: Acceptor, peer: RawPeer) -> None:
    may_answer = threading.Event()
    acceptor.policy.before_answer = lambda: may_answer.wait(10)
    peer.send(p_data(command()) + p_data(whole()))
    assert until(lambda: bool(acceptor.policy.stored) and acceptor.policy.stored[0].state == "finished")
    peer.socket.settimeout(0.2)
    with pytest.raises(TimeoutError):
        peer.socket.recv(1)
    may_answer.set()
    peer.socket.settimeout(10)
    assert peer.status() == 0


OVERSIZED = struct.pack(">BxL", 4, 131073)
BROKEN = {
    "PDU too long": (OVERSIZED, 6),
    "other PDU too long": (struct.pack(">BxL", 5, (1 << 20) + 1), 6),
    "unknown PDU type": (b"\x08\0\0\0\0\0", 1),
    "PDU type zero": (b"\0\0\0\0\0\0", 1),
    "HTTP": (b"GET / HTTP/1.1\r\n\r\n", 1),
    "A-ASSOCIATE-RQ again": (struct.pack(">BxL", 1, 68) + bytes(68), 2),
    "A-RELEASE-RP": (struct.pack(">BxL", 6, 4) + bytes(4), 2),
    "context not accepted": (p_data(command(context=3)), 6),
    "context zero": (p_data(command(context=0)), 6),
    "data before command": (p_data(whole()), 5),
    "command in data": (p_data(command(), pdv(DATA, command=False, last=False), command()), 5),
    "data in command": (p_data(pdv(STORE[:9], command=True, last=False), whole()), 5),
    "other context in command": (p_data(pdv(STORE[:9], command=True, last=False), command(STORE[9:], context=3)), 6),
    "PDV longer than its PDU": (struct.pack(">BxLLBB", 4, 10, 20, 1, 3) + bytes(4), 6),
    "PDV length too small": (struct.pack(">BxLLBB", 4, 6, 1, 1, 3), 6),
    "PDV length zero": (struct.pack(">BxLL", 4, 4, 0), 6),
    "PDV truncated": (struct.pack(">BxLL", 4, 5, 2) + b"\1", 6),
    "command set that lies": (p_data(command(STORE[:-3])), 6),
    "command set without end": (b"".join(p_data(pdv(bytes(16000), command=True, last=False)) for _ in range(5)), 6),
    "empty command set": (p_data(command(b"")), 6),
    "no message id": (p_data(command(STORE.replace(b"\0\0\x10\1", b"\0\0\x11\1"))), 6),
    "a response": (p_data(command(ECHO.replace(b"\x30\0\0\0\x10\1", b"\x30\x80\0\0\x10\1"))), 2),
    "release in mid-message": (p_data(command()) + RELEASE_RQ, 2),
    "release in mid-command": (p_data(pdv(STORE[:9], command=True, last=False)) + RELEASE_RQ, 2),
}


@pytest.mark.parametrize(("message", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_protocol_is_answered_by_the_right_abort_and_nothing_stays(
    acceptor: Acceptor, peer: RawPeer, message: bytes, reason: int
) -> None:
    peer.send(message)
    kind, body = peer.receive()
    assert (kind, body[2], body[3]) == (ABORT_TYPE, 2, reason)
    assert peer.at_end()
    assert acceptor.ended() == ["protocol"]
    assert all(stored.state == "abandoned" for stored in acceptor.policy.stored)
    with RawPeer(acceptor.port) as another:
        assert another.associate()[0] == ACCEPT_TYPE


FLOW = p_data(pdv(STORE[:20], command=True, last=False), command(STORE[20:])) + p_data(
    pdv(DATA, command=False, last=False)
)


@pytest.mark.parametrize("abort", [True, False], ids=["A-ABORT", "closed"])
@pytest.mark.parametrize(
    "count", [0, 1, 5, 6, 9, 10, 11, 12, 30, 40, len(FLOW) - len(DATA) - 1, len(FLOW) - 1, len(FLOW)]
)
def test_an_end_at_any_byte_leaves_no_instance(acceptor: Acceptor, count: int, abort: bool) -> None:
    with RawPeer(acceptor.port) as peer:
        peer.associate()
        peer.send(FLOW[:count])
        if abort:
            peer.send(ABORT)
    acceptor.ended()
    assert all(stored.state == "abandoned" for stored in acceptor.policy.stored)
    if count in (0, len(FLOW)):
        assert acceptor.policy.ends == ["aborted" if abort else "lost"]


@pytest.mark.parametrize("fault", ["begin", "write", "finish"])
def test_a_fault_of_the_policy_is_answered_a700_and_the_association_goes_on(
    acceptor: Acceptor, peer: RawPeer, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    setattr(acceptor.policy, f"fault_in_{fault}", True)
    peer.send(p_data(command()) + p_data(pdv(DATA, command=False, last=False)) + p_data(whole()))
    assert peer.status() == 0xA700
    assert "RuntimeError" in str([record.__dict__ for record in caplog.records])
    assert "a bug" not in str([record.__dict__ for record in caplog.records])
    setattr(acceptor.policy, f"fault_in_{fault}", False)
    peer.send(p_data(command()) + p_data(whole()))
    assert peer.status() == 0
    states = [stored.state for stored in acceptor.policy.stored]
    assert states == {"begin": ["finished"], "write": ["abandoned", "finished"], "finish": ["finished"] * 2}[fault]


def test_an_answer_at_the_begin_is_given_after_the_data(acceptor: Acceptor, peer: RawPeer) -> None:
    acceptor.policy.at_begin = StoreAnswer(0xC000, "no such UID")
    peer.send(p_data(command()) + p_data(pdv(DATA, command=False, last=False)))
    peer.socket.settimeout(0.2)
    with pytest.raises(TimeoutError):
        peer.socket.recv(1)
    peer.socket.settimeout(10)
    peer.send(p_data(whole()))
    kind, body = peer.receive()
    assert kind == 4
    assert b"no such UID " in body


def test_a_c_store_that_announces_no_data_set_is_not_understood(acceptor: Acceptor, peer: RawPeer) -> None:
    lonely = STORE.replace(struct.pack("<HHLH", 0, 0x0800, 2, 1), struct.pack("<HHLH", 0, 0x0800, 2, 0x0101))
    peer.send(p_data(command(lonely)))
    assert peer.status() == 0xC000
    assert [stored.state for stored in acceptor.policy.stored] == ["abandoned"]


@pytest.mark.parametrize("field", [0x0020, 0x0010, 0x0021, 0x0100, 0x0130, 0x7777])
@pytest.mark.parametrize("with_data", [True, False])
def test_an_unknown_operation_is_answered_0211(peer: RawPeer, field: int, with_data: bool) -> None:
    request = ECHO.replace(struct.pack("<HHLH", 0, 0x0100, 2, 0x30), struct.pack("<HHLH", 0, 0x0100, 2, field))
    if with_data:
        request = request[:-2] + b"\1\0"
    peer.send(p_data(command(request), *([whole()] if with_data else [])))
    assert peer.status() == 0x0211
    peer.send(p_data(command(ECHO)))
    assert peer.status() == 0


def test_a_cancel_has_no_response(peer: RawPeer) -> None:
    cancel = ECHO.replace(struct.pack("<HHLH", 0, 0x0100, 2, 0x30), struct.pack("<HHLH", 0, 0x0100, 2, 0x0FFF))
    peer.send(p_data(command(cancel)) + p_data(command(ECHO)))
    assert peer.status() == 0


def test_who_came_for_verification_cannot_store(acceptor: Acceptor) -> None:
    with RawPeer(acceptor.port) as peer:
        peer.associate((VERIFICATION, (IMPLICIT,)))
        peer.send(p_data(command()) + p_data(whole()))
        assert peer.status() == 0x0122
    assert acceptor.policy.stored == []
    assert acceptor.policy.admitted[0][1] is True


@pytest.mark.parametrize("max_pdu", [16, 7, 8, 100, 0, 0xFFFFFFFF])
def test_a_response_keeps_to_the_peers_largest_pdu(acceptor: Acceptor, max_pdu: int) -> None:
    with RawPeer(acceptor.port) as peer:
        answer = peer.associate(max_pdu=max_pdu)[0]
        if max_pdu == 7:
            assert answer == ABORT_TYPE
            return
        peer.send(p_data(command()) + p_data(whole()))
        collected, last = b"", False
        while not last:
            kind, body = peer.receive()
            assert kind == 4
            assert len(body) <= (max_pdu or len(body))
            collected += body[6:]
            last = bool(body[5] & 2)
        assert collected.endswith(b"1.2.3\0")


def test_refused_contexts_are_answered_and_reported(acceptor: Acceptor) -> None:
    find = "1.2.840.10008.5.1.4.1.2.2.1"
    with RawPeer(acceptor.port) as peer:
        kind, body = peer.associate((find, (IMPLICIT,)), (CT, ()), (CT, (IMPLICIT,)))
    assert kind == ACCEPT_TYPE
    results = [body[i + 6] for i in range(68, len(body)) if body[i : i + 2] == b"\x21\0" and body[i + 2] == 0]
    assert results == [3, 4, 0]
    assert acceptor.policy.refused == [(find, [IMPLICIT]), (CT, [])]


def test_a_rejection_is_sent_as_it_was_decided(acceptor: Acceptor) -> None:
    acceptor.policy.rejection = Rejection(1, 1, 3)
    with RawPeer(acceptor.port) as peer:
        assert peer.associate() == (REJECT_TYPE, b"\0\1\1\3")
        assert peer.at_end()
    assert acceptor.policy.ends == []
    (admission,) = acceptor.policy.admitted
    assert (admission[0].calling_ae_title, admission[0].called_ae_title, admission[1]) == ("RAW", "NODE", False)
    assert (admission[0].address, admission[0].port > 0) == ("127.0.0.1", True)


@pytest.mark.parametrize(
    ("old", "new", "answer"),
    [
        (b"\0\1\0\0NODE", b"\0\2\0\0NODE", b"\0\1\2\2"),
        (b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.3.1.1.9", b"\0\1\1\2"),
    ],
    ids=["protocol version", "application context"],
)
def test_another_version_or_application_context_is_rejected(
    acceptor: Acceptor, old: bytes, new: bytes, answer: bytes
) -> None:
    request = encode_request(AssociateRequest("NODE", "RAW", (ProposedContext(1, CT, (IMPLICIT,)),), 0))
    assert old in request
    with RawPeer(acceptor.port) as peer:
        peer.send(request.replace(old, new))
        assert peer.receive() == (REJECT_TYPE, answer)
    assert acceptor.policy.admitted == []


def test_time_is_bounded_before_between_and_within_messages() -> None:
    with accepting(limits=AcceptorLimits(associate=0.3)) as acceptor:
        with RawPeer(acceptor.port) as silent:
            assert silent.receive()[0] == ABORT_TYPE
        with RawPeer(acceptor.port) as slow:
            slow.send(b"\1\0\0")
            assert slow.receive()[0] == ABORT_TYPE
        assert acceptor.policy.ends == []
    with accepting(limits=AcceptorLimits(idle=0.3, transfer=0.3)) as acceptor:
        with RawPeer(acceptor.port) as idle:
            idle.associate()
            assert idle.receive()[0] == ABORT_TYPE
        with RawPeer(acceptor.port) as stuck:
            stuck.associate()
            stuck.send(p_data(command()) + p_data(pdv(DATA, command=False, last=False)))
            assert stuck.receive()[0] == ABORT_TYPE
        assert acceptor.ended(2) == ["timeout", "timeout"]
        assert [stored.state for stored in acceptor.policy.stored] == ["abandoned"]


def test_random_bytes_never_stop_the_node(acceptor: Acceptor) -> None:
    for size in (1, 7, 80, 3000):
        with RawPeer(acceptor.port) as before, RawPeer(acceptor.port) as after:
            before.send(os.urandom(size))
            after.associate()
            after.send(os.urandom(size))
    with RawPeer(acceptor.port) as peer:
        assert peer.associate()[0] == ACCEPT_TYPE
