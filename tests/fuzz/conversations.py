"""Associations from a grammar, and what may happen to them on their way."""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import strategies as st

from tests.protocol.wire import (
    ABORT,
    C_CANCEL,
    C_ECHO,
    DATA,
    RELEASE_RQ,
    associate_rq,
    command,
    data,
    element,
    number,
    p_data,
    pdu,
    request,
    store_rq,
    uid,
)

Draw = Any
ODD_ELEMENTS = [
    element(0x7FFE, b"12"),
    element(0x0010, b"PRIVATE ", group=9),
    element(0x1030, b"MOVER "),
    number(0x1031, 1),
    uid(0x1000, "1.2.8"),
    element(0x1000, b"../x"),
    number(0x0800, 0x0101),
    number(0x0100, C_ECHO),
    element(0x0110, b""),
    element(0x1031, b"12", length=0xFFFFFFF0),
]
ODD_PDUS = [
    RELEASE_RQ,
    ABORT,
    associate_rq(),
    pdu(2, bytes(68)),
    pdu(3, bytes(4)),
    pdu(6, bytes(4)),
    pdu(8, b""),
    pdu(0, b""),
    p_data(),
    p_data(data(b"", last=False)),
    p_data(command(b"", last=False)),
    p_data(data()),
    p_data(command(request(C_ECHO), context=3)),
    p_data(data(context=7)),
    pdu(4, b"", 131073),
    pdu(4, bytes(4)),
]
REQUESTS = st.sampled_from(
    [associate_rq()] * 6
    + [associate_rq(max_pdu=size) for size in (None, 0, 8, 128, 0xFFFFFFFF)]
    + [associate_rq(((1, "1.2.840.10008.5.1.4.1.1.2", ("1.2.840.10008.1.2",)),))]
)


@st.composite
def messages(draw: Draw) -> list[bytes]:
    """The PDVs of one message."""
    kind = draw(st.sampled_from(["store"] * 4 + ["echo", "cancel", "other"]))
    if kind == "store":
        odd = draw(st.lists(st.sampled_from(ODD_ELEMENTS), max_size=1)) if draw(st.booleans()) else []
        instance, message_id = f"1.2.{draw(st.integers(0, 9))}", draw(st.integers(0, 0xFFFF))
        content = draw(st.sampled_from([DATA, b"", b"\0", DATA * 3]) | st.binary(max_size=24))
        context = draw(st.sampled_from([1, 1, 1, 5, 3]))
        return _cut(draw, store_rq(instance, message_id, *odd), True, context) + _cut(draw, content, False, context)
    field = {"echo": C_ECHO, "cancel": C_CANCEL, "other": 0x0020}[kind]
    return _cut(draw, request(field, draw(st.integers(0, 9))), True, draw(st.sampled_from([3, 3, 1])))


def _cut(draw: Draw, content: bytes, is_command: bool, context: int) -> list[bytes]:
    places = sorted(draw(st.lists(st.integers(0, len(content)), max_size=3)))
    ends = [*places, len(content)]
    make = command if is_command else data
    return [
        make(content[start:end], last=n == len(places), context=context)
        for n, (start, end) in enumerate(zip([0, *places], ends, strict=True))
    ]


@st.composite
def conversations(draw: Draw) -> list[bytes]:
    """The PDUs of an association that breaks no rule of framing."""
    pdvs = [one for message in draw(st.lists(messages(), min_size=1, max_size=4)) for one in message]
    together: list[list[bytes]] = [[]]
    for one in pdvs:
        if together[-1] and not draw(st.booleans()):
            together.append([])
        together[-1].append(one)
    last = draw(st.sampled_from([[RELEASE_RQ], [RELEASE_RQ], [ABORT], []]))
    return [draw(REQUESTS), *(p_data(*some) for some in together), *last]


def _drop(draw: Draw, found: list[bytes]) -> None:
    if found:
        del found[draw(st.integers(0, len(found) - 1))]


def _repeat(draw: Draw, found: list[bytes]) -> None:
    if found:
        place = draw(st.integers(0, len(found) - 1))
        found.insert(place, found[place])


def _swap(draw: Draw, found: list[bytes]) -> None:
    if len(found) > 1:
        place = draw(st.integers(0, len(found) - 2))
        found[place], found[place + 1] = found[place + 1], found[place]


def _insert(draw: Draw, found: list[bytes]) -> None:
    found.insert(draw(st.integers(0, len(found))), draw(st.sampled_from(ODD_PDUS) | st.binary(max_size=12)))


def _lie(draw: Draw, found: list[bytes]) -> None:
    """Change the length of a PDU, of its first PDV, or of the first element of its command set."""
    if found:
        place = draw(st.integers(0, len(found) - 1))
        offset, form = draw(st.sampled_from([(2, ">L"), (6, ">L"), (16, "<L"), (2, ">H")]))
        if offset + struct.calcsize(form) <= len(found[place]):
            changed = bytearray(found[place])
            (length,) = struct.unpack_from(form, changed, offset)
            length += draw(st.sampled_from([-6, -2, -1, 1, 2, 6, 1 << 15, -length]))
            struct.pack_into(form, changed, offset, length % (1 << 8 * struct.calcsize(form)))
            found[place] = bytes(changed)


def _damage(draw: Draw, found: list[bytes]) -> None:
    """Change, take or add bytes anywhere."""
    stream = bytearray(b"".join(found))
    if stream:
        place = draw(st.integers(0, len(stream) - 1))
        how = draw(st.sampled_from(["bit", "byte", "take", "add", "end"]))
        if how == "bit":
            stream[place] ^= 1 << draw(st.integers(0, 7))
        elif how == "byte":
            stream[place] = draw(st.sampled_from([0, 1, 2, 3, 0x7F, 0xFF]))
        elif how == "take":
            del stream[place : place + draw(st.integers(1, 8))]
        elif how == "add":
            stream[place:place] = draw(st.binary(min_size=1, max_size=8))
        else:
            del stream[place:]
    found[:] = [bytes(stream)]


DAMAGES = [_drop, _repeat, _swap, _insert, _lie, _damage]


@st.composite
def streams(draw: Draw, kept: list[bytes]) -> bytes:
    """A conversation, or one of those kept, with no to four damages."""
    found = [draw(st.sampled_from(kept))] if kept and draw(st.integers(0, 4)) == 0 else draw(conversations())
    damages = draw(st.lists(st.sampled_from(DAMAGES), max_size=4))
    for change in sorted(damages, key=lambda one: one is _damage):
        change(draw, found)
    return b"".join(found)
