"""What an acceptor owes to any stream of bytes that follows an accepted A-ASSOCIATE-RQ, read from the standard.

Written for plainness and apart from the node's own reader: it holds the whole stream in memory, so that it may look at
all of it at once. The two must agree on every stream.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_PDU, CONTROL_LIMIT, COMMAND_LIMIT = 131072, 1 << 20, 65536
NUMBERS = frozenset({0x0100, 0x0110, 0x0120, 0x0800, 0x0900})
VERIFICATION = "1.2.840.10008.1.1"
RELEASE_RP = bytes.fromhex("06000000000400000000")
INVALID, UNEXPECTED_PARAMETER, UNEXPECTED, UNRECOGNIZED = 6, 5, 2, 1


def abort(reason: int) -> bytes:
    return bytes.fromhex("070000000004000002") + bytes([reason])


@dataclass(frozen=True)
class Answer:
    """A response, as far as it matters."""

    context: int
    command_field: int
    message_id: int
    status: int


@dataclass
class Expected:
    """What is to come back, in order; what is to be kept (UID, data set, transfer syntax); the last PDU, if any."""

    answers: list[Answer] = field(default_factory=list)
    kept: list[tuple[str, bytes, str]] = field(default_factory=list)
    last: bytes | None = None


class End(Exception):
    """The association is over; `last` is the acceptor's last PDU."""

    def __init__(self, last: bytes | None) -> None:
        super().__init__()
        self.last = last


def elements(data: bytes) -> dict[int, bytes]:
    """The elements of group 0000 in a command set; the last of several counts, and no number that is too short."""
    found, place = {}, 0
    while place < len(data):
        if place + 8 > len(data):
            raise End(abort(INVALID))
        group, number, length = struct.unpack_from("<HHL", data, place)
        place += 8 + length
        if place > len(data):
            raise End(abort(INVALID))
        if group == 0 and (length >= 2 or number not in NUMBERS):
            found[number] = data[place - length : place]
    return found


def proposed(request: bytes) -> dict[int, str]:
    """Abstract syntax by context id, of the body of an A-ASSOCIATE-RQ that was accepted."""
    return {
        content[0]: inner.rstrip(b"\0 ").decode("latin-1")
        for kind, content in _items(request[68:])
        if kind == 0x20
        for inner_kind, inner in _items(content[4:])
        if inner_kind == 0x30
    }


def agreed(answer: bytes) -> dict[int, str]:
    """Transfer syntax by context id, of the accepted contexts in the body of an A-ASSOCIATE-AC."""
    return {
        content[0]: content[8:].decode("latin-1")
        for kind, content in _items(answer[68:])
        if kind == 0x21 and content[2] == 0
    }


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place < len(data):
        kind, length = struct.unpack_from(">BxH", data, place)
        yield kind, data[place + 4 : place + 4 + length]
        place += 4 + length


def pdus(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """The PDUs of a stream; ends in End."""
    place = 0
    while len(stream) - place >= 6:
        kind, length = struct.unpack_from(">BxL", stream, place)
        if not 1 <= kind <= 7:
            raise End(abort(UNRECOGNIZED))
        limit = MAX_PDU if kind == 4 else CONTROL_LIMIT
        if length > limit or (kind in (3, 5, 6, 7) and length != 4):
            raise End(abort(INVALID))
        place += 6 + length
        if place > len(stream):
            break
        yield kind, stream[place - length : place]
    raise End(None)


def _pdvs(body: bytes) -> list[tuple[int, int, bytes]]:
    found, place = [], 0
    while place < len(body):
        if place + 6 > len(body):
            raise End(abort(INVALID))
        length, context, control = struct.unpack_from(">LBB", body, place)
        place += 4 + length
        if length < 2 or place > len(body):
            raise End(abort(INVALID))
        found.append((context, control, body[place - length + 2 : place]))
    return found


class Model:
    """Reads a stream in accepted contexts: transfer syntax and abstract syntax by id."""

    def __init__(self, stream: bytes, syntaxes: dict[int, str], classes: dict[int, str]) -> None:
        self._pdus = pdus(stream)
        self._waiting: list[tuple[int, int, bytes]] = []
        self._syntaxes = syntaxes
        self._classes = classes
        self.expected = Expected()

    def run(self) -> Expected:
        try:
            while True:
                self._message()
        except End as end:
            self.expected.last = end.last
        return self.expected

    def _fragment(self, *, inside: bool) -> tuple[int, int, bytes]:
        while not self._waiting:
            kind, body = next(self._pdus)
            if kind == 4:
                self._waiting = _pdvs(body)
            elif kind == 7:
                raise End(None)
            elif kind == 5 and not inside:
                raise End(RELEASE_RP)
            else:
                raise End(abort(UNEXPECTED))
        if self._waiting[0][0] not in self._syntaxes:
            raise End(abort(INVALID))
        return self._waiting.pop(0)

    def _part(self, *, is_command: bool, context: int | None) -> tuple[int, bytes]:
        collected, last = b"", False
        inside = not is_command
        while not last:
            came, control, content = self._fragment(inside=inside)
            if bool(control & 1) is not is_command or (context is not None and came != context):
                raise End(abort(UNEXPECTED_PARAMETER))
            context, inside = came, True
            collected += content
            if is_command and len(collected) > COMMAND_LIMIT:
                raise End(abort(INVALID))
            last = bool(control & 2)
        assert context is not None
        return context, collected

    def _message(self) -> None:
        context, command_set = self._part(is_command=True, context=None)
        found = elements(command_set)
        numbers = {number: int.from_bytes(found[number][:2], "little") for number in NUMBERS if number in found}
        if 0x0100 not in numbers or 0x0800 not in numbers:
            raise End(abort(INVALID))
        command_field, has_data = numbers[0x0100], numbers[0x0800] != 0x0101
        if command_field & 0x8000:
            raise End(abort(UNEXPECTED))
        if command_field == 1 and 0x0110 not in numbers:
            raise End(abort(INVALID))
        data = self._part(is_command=False, context=context)[1] if has_data else None
        if command_field == 0x0FFF:
            return
        if 0x0110 not in numbers:
            raise End(abort(INVALID))
        status = {0x0001: 0, 0x0030: 0}.get(command_field, 0x0211)
        if command_field == 1:
            status = self._store(context, found, data)
        self.expected.answers.append(Answer(context, command_field | 0x8000, numbers[0x0110], status))

    def _store(self, context: int, found: dict[int, bytes], data: bytes | None) -> int:
        if self._classes[context] == VERIFICATION:
            return 0x0122
        sop_class, instance = (found.get(number, b"").decode("latin-1").rstrip("\0 ") for number in (0x0002, 0x1000))
        if not re.fullmatch("[0-9.]{1,64}", instance) or not re.fullmatch("[0-9.]{0,64}", sop_class) or data is None:
            return 0xC000
        self.expected.kept.append((instance, data, self._syntaxes[context]))
        return 0


def responses(stream: bytes) -> tuple[list[Answer], bytes | None]:
    """What an acceptor has sent after its A-ASSOCIATE-AC: responses, and the last PDU unless that was one of them."""
    found: list[Answer] = []
    collected, place = b"", 0
    while place < len(stream):
        kind, length = struct.unpack_from(">BxL", stream, place)
        body = stream[place + 6 : place + 6 + length]
        assert len(body) == length, "a PDU of the acceptor is cut off"
        if kind != 4:
            assert place + 6 + length == len(stream), "something follows the last PDU"
            assert not collected, "a response is cut off"
            return found, stream[place:]
        ((context, control, content),) = _pdvs(body)
        assert control & 1, "an acceptor of C-STORE sends no data"
        collected += content
        if control & 2:
            values = elements(collected)
            numbers = {number: int.from_bytes(value, "little") for number, value in values.items() if len(value) == 2}
            assert int.from_bytes(values[0], "little") == len(collected) - 12
            found.append(Answer(context, numbers[0x0100], numbers[0x0120], numbers[0x0900]))
            collected = b""
        place += 6 + length
    assert not collected, "a response is cut off"
    return found, None
