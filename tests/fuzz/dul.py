"""The receiver against the model: every stream is answered as the standard says, and what is kept is what was said."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from pathlib import Path

from tests.dicomnet.peers import until
from tests.protocol.receiving import Receiving

from .model import Model, agreed, proposed, responses

CORPUS = Path(__file__).parent / "corpus/dul"


def corpus() -> list[Path]:
    return sorted(CORPUS.iterdir())


def _exchange(receiver: Receiving, stream: bytes) -> bytes:
    """Send the whole stream and no more; return all that comes back until the end."""
    came = b""
    with receiver.peer() as peer:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            peer.send(stream)
            peer.socket.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while piece := peer.socket.recv(65536):
                came += piece
    return came


def _request(stream: bytes) -> tuple[bytes | None, bytes]:
    """The body of the A-ASSOCIATE-RQ that a stream begins with, if it does, and what follows."""
    if len(stream) >= 6 and stream[0] == 1:
        (length,) = struct.unpack_from(">L", stream, 2)
        if length <= 1 << 20 and len(stream) >= 6 + length:
            return stream[6 : 6 + length], stream[6 + length :]
    return None, b""


def check(receiver: Receiving, stream: bytes) -> None:
    """Fail where the receiver does anything else than the model says."""
    # Looked at as a whole before anything is judged, so that a failure leaves nothing to the next example.
    before = set(receiver.incoming())
    came = _exchange(receiver, stream)
    over = until(lambda: receiver.places.taken.total() == 0)
    kept = [(one.sop_instance_uid, one.data, one.transfer_syntax_uid) for one in receiver.kept()]
    assert receiver.faults() == []
    assert over, "the association ends"
    assert set(receiver.incoming()) <= before, "nothing half-received is left"
    body, rest = _request(stream)
    if came[:1] == b"\2":
        assert body is not None
        (length,) = struct.unpack_from(">L", came, 2)
        expected = Model(rest, agreed(came[6 : 6 + length]), proposed(body)).run()
        answers, last = responses(came[6 + length :])
        assert (answers, kept, last) == (expected.answers, expected.kept, expected.last)
        return
    assert kept == []
    if came[:1] == b"\3":
        assert body is not None
        assert came[1:6] == b"\0\0\0\0\4"
        assert len(came) == 10, "nothing follows an A-ASSOCIATE-RJ"
    elif came:
        assert came[:9] == bytes.fromhex("070000000004000002"), "an A-ABORT of the provider"
        assert came[9] in (1, 2, 6)
        assert len(came) == 10
    else:
        assert body is None, "a whole request is answered"
        assert _unfinished(stream), "a broken PDU is aborted"


def _unfinished(stream: bytes) -> bool:
    """Whether a stream that was not answered ends before its first PDU does, or begins with A-ABORT."""
    if len(stream) < 6:
        return True
    (length,) = struct.unpack_from(">L", stream, 2)
    return (stream[0] == 7 and length == 4) or len(stream) < 6 + length


class Resources:
    """Threads and file descriptors of this process; `returned` tells whether there are no more than at the start."""

    def __init__(self) -> None:
        self._threads, self._files = self._count()

    @staticmethod
    def _count() -> tuple[int, int]:
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    def returned(self) -> bool:
        def fewer() -> bool:
            threads, files = self._count()
            return threads <= self._threads and files <= self._files

        return until(fewer)
