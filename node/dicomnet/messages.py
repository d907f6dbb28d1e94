"""DIMSE messages on an established association: PDVs in, command sets assembled, P-DATA-TF out (PS3.8 9.3.5, Annex E).

Guarantees that PDVs may be cut anywhere: several in a PDU, command and data in one, fragments of one byte or none; that
none is used of a PDU in which a length lies; and that no peer prolongs its time by bytes that lead nowhere.
Refuses (ProtocolError) a length that lies, a context that was not accepted, a command in the middle of a data set or
the reverse, and a command set above 64 KiB.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Iterator, Sequence
from typing import TypeAlias

from node.dicomnet import dimse
from node.dicomnet.dul import AbortReceived, Connection
from node.dicomnet.pdus import (
    ABORT,
    P_DATA,
    REASON_INVALID_PARAMETER,
    REASON_UNEXPECTED_PARAMETER,
    REASON_UNEXPECTED_PDU,
    RELEASE_RQ,
)
from node.errors import PeerTimeout, ProtocolError

COMMAND_LIMIT = 64 << 10  # bytes
LARGEST_FRAGMENT = 1 << 20  # bytes of our own PDVs, where the peer has no limit
PROGRESS = 16 << 10  # bytes of a message for which a peer gets the time of `transfer` anew
MOST_EMPTY = 10_000  # PDUs and PDVs without content in this time: who sends them without a pause is waited for never

Piece: TypeAlias = bytes | tuple[int, int]
"""Of a data set on its way out: literal bytes, or (offset, length) of a file."""

_PDV = struct.Struct(">LBB")
_PDV_PDU = struct.Struct(">BxLLBB")
_CONTROL = 2  # bytes of a PDV's length that are no content: context id and message control header
_PDV_OVERHEAD = _PDV.size  # what a PDV's item takes of the peer's maximum PDU length, beside the fragment
_COMMAND, _LAST = 1, 2  # message control header (PS3.8 E.2)
_WHOLE_COMMAND = _COMMAND | _LAST


class ReleaseRequested(Exception):
    """The peer asks for the release of the association, between two messages."""


class MessageReader:
    """Reads messages from `connection`; `contexts` are the ids of the accepted presentation contexts.

    The caller reads one command, then its data set to the end (`fragments`), then the next command. `idle` and
    `transfer` are seconds that the peer may keep this side waiting: until a message begins, and inside of one for each
    16 KiB of it and for the rest. PDUs and PDVs without content give no time. What this side takes for itself does not
    count.
    """

    def __init__(self, connection: Connection, contexts: Container[int], idle: float, transfer: float) -> None:
        self._connection = connection
        self._contexts = contexts
        self._idle = idle
        self._transfer = transfer
        self._rest = memoryview(b"")
        self._until: float  # how long the connection may have waited for the peer by then
        self._came: int  # bytes since the peer got this time
        self._empty: int  # PDUs and PDVs without any
        self._give(transfer)

    def command(self, idle: float | None = None) -> tuple[int, dimse.Command]:
        """Read the next command; return the id of its presentation context and the command.

        `idle` stands for the reader's own seconds until it begins.

        Raises ReleaseRequested, PeerAborted, PeerTimeout, ProtocolError, Stopped.
        """
        self._give(self._idle if idle is None else idle)
        context_id, control, data = self._next()
        self._give(self._transfer)
        if control & _WHOLE_COMMAND == _WHOLE_COMMAND and len(data) <= COMMAND_LIMIT:
            return context_id, dimse.decode(data)
        collected = bytearray()
        of = context_id
        while True:
            if not control & _COMMAND or of != context_id:
                raise ProtocolError("a data set fragment where a command belongs", REASON_UNEXPECTED_PARAMETER)
            collected += data
            if len(collected) > COMMAND_LIMIT:
                raise ProtocolError("a command set is too long", REASON_INVALID_PARAMETER)
            if control & _LAST:
                return context_id, dimse.decode(collected)
            of, control, data = self._in_message()

    def fragments(self, context_id: int) -> Iterator[memoryview]:
        """Yield the fragments of the data set that follows, to its last; each is valid until the next."""
        control = 0
        while not control & _LAST:
            of, control, data = self._in_message()
            if control & _COMMAND or of != context_id:
                raise ProtocolError("a command fragment where a data set belongs", REASON_UNEXPECTED_PARAMETER)
            if data:
                yield data

    def _in_message(self) -> tuple[int, int, memoryview]:
        try:
            return self._next()
        except ReleaseRequested:
            raise ProtocolError("an A-RELEASE-RQ in the middle of a message", REASON_UNEXPECTED_PDU) from None

    def _give(self, seconds: float) -> None:
        """Give the peer time that it may keep this side waiting."""
        self._until = self._connection.waited + seconds
        self._came = self._empty = 0

    def _nothing(self) -> None:
        self._empty += 1
        if self._empty > MOST_EMPTY:
            raise PeerTimeout("the peer sends PDUs without content")

    def _next(self) -> tuple[int, int, memoryview]:
        """Return context id, message control header and data of the next PDV, valid until the one after it."""
        if not self._rest:
            self._rest = self._p_data()
            while not self._rest:
                self._nothing()
                self._rest = self._p_data()
        rest = self._rest
        length, context_id, control = _PDV.unpack_from(rest)
        end = length + 4
        if context_id not in self._contexts:
            raise ProtocolError("a presentation context that was not accepted", REASON_INVALID_PARAMETER)
        self._rest = rest[end:]
        self._came += length - _CONTROL
        if length == _CONTROL:
            self._nothing()
        return context_id, control, rest[_PDV_OVERHEAD:end]

    def _p_data(self) -> memoryview:
        if self._came >= PROGRESS:
            self._give(self._transfer)
        left = self._until - self._connection.waited
        if left <= 0:
            raise PeerTimeout("the peer sends a message too slowly")
        kind, body = self._connection.read_pdu(left, self._transfer)
        if kind == P_DATA:
            _check_lengths(body)
            return body
        if kind == ABORT:
            raise AbortReceived
        if kind == RELEASE_RQ:
            raise ReleaseRequested
        raise ProtocolError("a PDU that has no place in an established association", REASON_UNEXPECTED_PDU)


def _check_lengths(body: memoryview) -> None:
    """Refuse a P-DATA-TF that its PDVs do not fill exactly: which of its lengths lies is not known, so none is used."""
    place, end = 0, len(body)
    while place < end:
        if place + _PDV.size > end:
            raise ProtocolError("a presentation data value is truncated", REASON_INVALID_PARAMETER)
        length = _PDV.unpack_from(body, place)[0]
        place += 4 + length
        if length < 2 or place > end:
            raise ProtocolError("the length of a presentation data value is wrong", REASON_INVALID_PARAMETER)


def largest_fragment(peer_max_pdu: int) -> int:
    """Return the bytes of data in a PDV that fits the peer's maximum PDU length (0: no limit), an even number.

    Raises ProtocolError where none fits.
    """
    if peer_max_pdu == 0:
        return LARGEST_FRAGMENT
    size = min(peer_max_pdu - _PDV_OVERHEAD, LARGEST_FRAGMENT) & ~1
    if size <= 0:
        raise ProtocolError("the peer's maximum PDU length leaves no room for data", REASON_INVALID_PARAMETER)
    return size


def fragment_header(context_id: int, length: int, *, command: bool, last: bool) -> bytes:
    """Encode what stands before `length` bytes of a message that go out as the one PDV of a P-DATA-TF PDU."""
    control = (_COMMAND if command else 0) | (_LAST if last else 0)
    return _PDV_PDU.pack(P_DATA, length + _PDV_OVERHEAD, length + 2, context_id, control)


def encode_command(context_id: int, command_set: bytes, fragment: int) -> bytes:
    """Encode a command set as P-DATA-TF PDUs of at most `fragment` bytes of it each."""
    if len(command_set) <= fragment:
        return fragment_header(context_id, len(command_set), command=True, last=True) + command_set
    pdus = []
    for offset in range(0, len(command_set), fragment):
        piece = command_set[offset : offset + fragment]
        last = offset + fragment >= len(command_set)
        pdus += [fragment_header(context_id, len(piece), command=True, last=last), piece]
    return b"".join(pdus)


def in_fragments(segments: Sequence[Piece], size: int) -> Iterator[tuple[int, bool, list[Piece]]]:
    """Cut a data set into fragments of `size` bytes: bytes of each, whether it is the last, and its pieces.

    One without any byte is one fragment. A piece is literal bytes, or (offset, length) of a file.
    """
    left = sum(len(piece) if isinstance(piece, bytes) else piece[1] for piece in segments)
    rest = list(reversed(segments))
    while True:
        count = room = min(size, left)
        pieces: list[Piece] = []
        while room:
            piece = rest.pop()
            length = len(piece) if isinstance(piece, bytes) else piece[1]
            if length > room:
                rest.append(piece[room:] if isinstance(piece, bytes) else (piece[0] + room, length - room))
                piece, length = (piece[:room] if isinstance(piece, bytes) else (piece[0], room)), room
            pieces.append(piece)
            room -= length
        left -= count
        yield count, left == 0, pieces
        if left == 0:
            return
