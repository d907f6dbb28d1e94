"""Bytes of PS3.8 and PS3.7, put together by hand: what the node's own encoder would refuse to write as well."""

from __future__ import annotations

import struct

from tests.dicomnet.peers import ABORT, CT, EXPLICIT, IMPLICIT, RELEASE_RQ, VERIFICATION, p_data, pdv

__all__ = ["ABORT", "CT", "EXPLICIT", "IMPLICIT", "RELEASE_RQ", "VERIFICATION", "p_data", "pdv"]

FIND = "1.2.840.10008.5.1.4.1.2.2.1"
CONTEXTS = ((1, CT, (EXPLICIT,)), (3, VERIFICATION, (IMPLICIT,)), (5, CT, (IMPLICIT,)), (7, FIND, (IMPLICIT,)))
"""What `associate_rq` proposes; the node refuses the last."""

DATA = b"\x08\x00\x60\x00CS\x02\x00CT" + b"\x10\x00\x20\x00LO\x04\x00P-01"
C_STORE, C_ECHO, C_CANCEL = 0x0001, 0x0030, 0x0FFF
NO_DATA_SET = 0x0101


def element(number: int, value: bytes, group: int = 0, length: int | None = None) -> bytes:
    """An element of a command set; `length` is what its header says, where that is to be a lie."""
    return struct.pack("<HHL", group, number, len(value) if length is None else length) + value


def number(where: int, value: int) -> bytes:
    return element(where, struct.pack("<H", value))


def uid(where: int, text: str, padding: bytes = b"\0") -> bytes:
    value = text.encode()
    return element(where, value + padding * (len(value) % 2))


def command_set(*elements: bytes, group_length: int | None = None) -> bytes:
    body = b"".join(elements)
    return element(0, struct.pack("<L", len(body) if group_length is None else group_length)) + body


def store_parts(instance: str = "1.2.3", message_id: int = 1) -> dict[str, bytes]:
    """The elements of a C-STORE-RQ (PS3.7 9.3.1.1) by name, to be changed."""
    return {
        "sop_class": uid(0x0002, CT),
        "field": number(0x0100, C_STORE),
        "message": number(0x0110, message_id),
        "priority": number(0x0700, 0),
        "data_set": number(0x0800, 1),
        "sop_instance": uid(0x1000, instance),
    }


def store_rq(instance: str = "1.2.3", message_id: int = 1, /, *more: bytes, **changes: bytes) -> bytes:
    """A C-STORE-RQ with elements more, or others in place of its own."""
    return command_set(*(store_parts(instance, message_id) | changes).values(), *more)


def request(field: int, message_id: int = 1, data_set: int = NO_DATA_SET) -> bytes:
    """Any request of the Verification class."""
    return command_set(
        uid(0x0002, VERIFICATION), number(0x0100, field), number(0x0110, message_id), number(0x0800, data_set)
    )


def command(data: bytes, *, last: bool = True, context: int = 1) -> bytes:
    return pdv(data, command=True, last=last, context=context)


def data(content: bytes = DATA, *, last: bool = True, context: int = 1) -> bytes:
    return pdv(content, command=False, last=last, context=context)


def store(instance: str = "1.2.3", content: bytes = DATA, message_id: int = 1) -> bytes:
    """A whole C-STORE in two PDUs."""
    return p_data(command(store_rq(instance, message_id))) + p_data(data(content))


def pdu(kind: int, body: bytes, length: int | None = None) -> bytes:
    return struct.pack(">BxL", kind, len(body) if length is None else length) + body


def item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(content)) + content


def associate_rq(
    contexts: tuple[tuple[int, str, tuple[str, ...]], ...] = CONTEXTS, max_pdu: int | None = 16384
) -> bytes:
    """A-ASSOCIATE-RQ (PS3.8 9.3.2); without a maximum length where `max_pdu` is None."""
    proposed = b"".join(
        item(
            0x20,
            bytes((n, 0, 0, 0)) + item(0x30, abstract.encode()) + b"".join(item(0x40, t.encode()) for t in syntaxes),
        )
        for n, abstract, syntaxes in contexts
    )
    limit = b"" if max_pdu is None else item(0x51, struct.pack(">L", max_pdu))
    user = item(0x50, limit + item(0x52, b"1.2.3.4"))
    titles = b"DEIDNODE".ljust(16) + b"RAW".ljust(16)
    return pdu(1, b"\0\1\0\0" + titles + bytes(32) + item(0x10, b"1.2.840.10008.3.1.1.1") + proposed + user)


def accepted(answer: bytes) -> dict[int, tuple[int, str]]:
    """Result and transfer syntax by context id, out of the body of an A-ASSOCIATE-AC."""
    found = {}
    place = 68
    while place < len(answer):
        kind, length = struct.unpack_from(">BxH", answer, place)
        content = answer[place + 4 : place + 4 + length]
        if kind == 0x21:
            found[content[0]] = content[2], content[8:].decode()
        place += 4 + length
    return found


def announced(answer: bytes) -> int:
    """The longest P-DATA-TF that the sender of an A-ASSOCIATE-AC takes."""
    place = answer.index(b"\x51\0\0\4")
    return int.from_bytes(answer[place + 4 : place + 8], "big")
