"""The PDUs that open and close an association (PS3.8 9.3), encoded and decoded.

Guarantees that whatever PS3.8 tells a receiver to ignore (items of unknown types, reserved fields, padding of AE
titles) is ignored, and that a PDU whose lengths lie, or whose items are too short or hold what cannot be a UID, is a
ProtocolError without a value. The user identity that a requestor may send is not even looked at.

A sender with an association for each instance proposes the same each time: a few decoded proposals are remembered.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from node.errors import ProtocolError
from node.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
"""PDU types (PS3.8 9.3.1)."""

REASON_NOT_SPECIFIED, REASON_UNRECOGNIZED_PDU, REASON_UNEXPECTED_PDU = 0, 1, 2
REASON_UNEXPECTED_PARAMETER, REASON_INVALID_PARAMETER = 5, 6
"""Provider reasons of A-ABORT (PS3.8 Table 9-26)."""

ACCEPTED, NO_REASON, ABSTRACT_SYNTAX_REFUSED, TRANSFER_SYNTAXES_REFUSED = 0, 2, 3, 4
"""Results of a presentation context (PS3.8 Table 9-18)."""

DICOM_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"

# Types of items (PS3.8 9.3.2, 9.3.3 and D.1; PS3.7 D.3.3).
_APPLICATION_CONTEXT, _CONTEXT_RQ, _CONTEXT_AC, _ABSTRACT, _TRANSFER, _USER = 0x10, 0x20, 0x21, 0x30, 0x40, 0x50
_MAXIMUM_LENGTH, _CLASS_UID, _WINDOW, _ROLE, _VERSION_NAME = 0x51, 0x52, 0x53, 0x54, 0x55

_HEADER = struct.Struct(">BxL")
_ITEM = struct.Struct(">BxH")
_FIXED = 68  # bytes of the body of A-ASSOCIATE-RQ and -AC before their items
_TITLE = 16  # bytes
_UID_LENGTH = 64
_REMEMBERED = 32 << 10  # bytes of items above which a proposal is not remembered; 128 usual contexts take 15 kB
_PROPOSALS = 32  # how many are


class ProposedContext(NamedTuple):
    """A presentation context as a requestor proposes it."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


class AnsweredContext(NamedTuple):
    """A presentation context as an acceptor answers it; `transfer_syntax` means nothing unless `result` is 0."""

    context_id: int
    result: int
    transfer_syntax: str


@dataclass(frozen=True, slots=True)
class Role:
    """SCP/SCU role selection for one SOP class (PS3.7 D.3.3.4)."""

    sop_class_uid: str
    scu: bool
    scp: bool


@dataclass(frozen=True, slots=True)
class AssociateRequest:
    """A-ASSOCIATE-RQ. `max_pdu` is in bytes, 0 for no limit; `ae_titles` are the 32 bytes that an answer repeats."""

    called_ae_title: str
    calling_ae_title: str
    contexts: tuple[ProposedContext, ...]
    max_pdu: int = 0
    roles: tuple[Role, ...] = ()
    asynchronous: bool = False
    application_context: str = DICOM_APPLICATION_CONTEXT
    protocol_version: int = 1
    ae_titles: bytes = field(default=b" " * 32, repr=False)


@dataclass(frozen=True, slots=True)
class AssociateAccept:
    """A-ASSOCIATE-AC; `max_pdu` is in bytes, 0 for no limit."""

    contexts: tuple[AnsweredContext, ...]
    max_pdu: int = 0


def _malformed(what: str) -> ProtocolError:
    return ProtocolError(f"an association PDU with {what}", REASON_INVALID_PARAMETER)


def _items(data: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield (type, content) of the items in `data`; raises ProtocolError where a length goes beyond the end."""
    end = len(data)
    while offset < end:
        if offset + 4 > end:
            raise _malformed("a truncated item")
        kind, length = _ITEM.unpack_from(data, offset)
        offset += 4
        if offset + length > end:
            raise _malformed("an item that is longer than the PDU")
        yield kind, data[offset : offset + length]
        offset += length


def _uid(raw: bytes) -> str:
    """Return the UID that an item holds; the padding that some add, against PS3.8 Annex F, is taken off."""
    try:
        text = raw.removesuffix(b"\0").decode("ascii").strip()
    except UnicodeDecodeError:
        raise _malformed("a UID that is not ASCII") from None
    if len(text) > _UID_LENGTH:
        raise _malformed("a UID that is too long")
    return text


class _UserInformation(NamedTuple):
    """The sub-items of User Information that the node acts on."""

    max_pdu: int = 0
    roles: tuple[Role, ...] = ()
    asynchronous: bool = False


def _proposed(content: bytes) -> ProposedContext:
    """Decode a presentation context of A-ASSOCIATE-RQ (PS3.8 Table 9-13)."""
    if not content:
        raise _malformed("an empty presentation context")
    abstract: list[str] = []
    transfer: list[str] = []
    for kind, inner in _items(content, 4):
        if kind == _ABSTRACT:
            abstract.append(_uid(inner))
        elif kind == _TRANSFER:
            transfer.append(_uid(inner))
    return ProposedContext(content[0], abstract[0] if abstract else "", tuple(transfer))


def _answered(content: bytes) -> AnsweredContext:
    """Decode a presentation context of A-ASSOCIATE-AC (PS3.8 Table 9-18)."""
    if len(content) < 3:
        raise _malformed("a presentation context that is too short")
    syntaxes = [inner for kind, inner in _items(content, 4) if kind == _TRANSFER]
    raw = syntaxes[0] if syntaxes else b""
    # The syntax of a refused context is not significant and not tested (PS3.8 Table 9-18).
    syntax = _uid(raw) if content[2] == ACCEPTED else raw.decode("ascii", "replace").strip()
    return AnsweredContext(content[0], content[2], syntax)


def _role(content: bytes) -> Role:
    """Decode SCP/SCU Role Selection (PS3.7 Table D.3-9)."""
    end = 2 + int.from_bytes(content[:2], "big")
    roles = content[end : end + 2]
    if len(roles) < 2 or max(roles) > 1:
        raise _malformed("a malformed role selection")
    return Role(_uid(content[2:end]), bool(roles[0]), bool(roles[1]))


def _user_information(content: bytes) -> _UserInformation:
    lengths: list[int] = []
    roles: dict[str, Role] = {}
    asynchronous = False
    for kind, inner in _items(content):
        if kind == _MAXIMUM_LENGTH:
            if len(inner) != 4:
                raise _malformed("a malformed maximum length")
            lengths.append(int.from_bytes(inner, "big"))
        elif kind == _WINDOW:
            if len(inner) < 4:
                raise _malformed("a malformed asynchronous window")
            asynchronous = True
        elif kind == _ROLE:
            role = _role(inner)
            roles[role.sop_class_uid] = role
    return _UserInformation(lengths[0] if lengths else 0, tuple(roles.values()), asynchronous)


class _Proposal(NamedTuple):
    """The variable items of A-ASSOCIATE-RQ."""

    contexts: tuple[ProposedContext, ...]
    application_context: str
    user: _UserInformation


def _decode_items(items: bytes) -> tuple[list[ProposedContext], list[AnsweredContext], str, _UserInformation]:
    """Decode the variable items of A-ASSOCIATE-RQ or -AC; of what may stand there once the first counts."""
    proposed: list[ProposedContext] = []
    answered: list[AnsweredContext] = []
    applications: list[str] = []
    users: list[_UserInformation] = []
    for kind, content in _items(items):
        if kind == _CONTEXT_RQ:
            proposed.append(_proposed(content))
        elif kind == _CONTEXT_AC:
            answered.append(_answered(content))
        elif kind == _APPLICATION_CONTEXT:
            applications.append(_uid(content))
        elif kind == _USER:
            users.append(_user_information(content))
    return proposed, answered, applications[0] if applications else "", users[0] if users else _UserInformation()


def _proposal(items: bytes) -> _Proposal:
    contexts, _, application, user = _decode_items(items)
    return _Proposal(tuple(contexts), application, user)


_remembered_proposal = lru_cache(maxsize=_PROPOSALS)(_proposal)


def _title(raw: bytes) -> str:
    """Return an AE title without padding; what AE does not allow (PS3.5 6.2) is shown as `?` and so matches nothing."""
    text = raw.decode("ascii", "replace").strip(" \0")
    return "".join(c if " " <= c <= "~" and c != "\\" else "?" for c in text)


def _check_fixed(body: bytes) -> None:
    if len(body) < _FIXED:
        raise ProtocolError("an association PDU is truncated", REASON_INVALID_PARAMETER)


def decode_request(body: bytes) -> AssociateRequest:
    """Decode the body (without its six bytes of type and length) of A-ASSOCIATE-RQ; raises ProtocolError."""
    _check_fixed(body)
    titles, items = body[4:36], body[_FIXED:]
    proposal = _remembered_proposal(items) if len(items) <= _REMEMBERED else _proposal(items)
    return AssociateRequest(
        called_ae_title=_title(titles[:_TITLE]),
        calling_ae_title=_title(titles[_TITLE:]),
        contexts=proposal.contexts,
        max_pdu=proposal.user.max_pdu,
        roles=proposal.user.roles,
        asynchronous=proposal.user.asynchronous,
        application_context=proposal.application_context,
        protocol_version=int.from_bytes(body[:2], "big"),
        ae_titles=titles,
    )


def decode_accept(body: bytes) -> AssociateAccept:
    """Decode the body of A-ASSOCIATE-AC; raises ProtocolError."""
    _check_fixed(body)
    _, contexts, _, user = _decode_items(body[_FIXED:])
    return AssociateAccept(tuple(contexts), user.max_pdu)


def _item(kind: int, content: bytes) -> bytes:
    return _ITEM.pack(kind, len(content)) + content


def _uid_item(kind: int, uid: str) -> bytes:
    if len(uid) > _UID_LENGTH:
        raise ValueError("a UID is too long")
    return _item(kind, uid.encode("ascii"))


_APPLICATION = _uid_item(_APPLICATION_CONTEXT, DICOM_APPLICATION_CONTEXT)
_CLASS = _uid_item(_CLASS_UID, IMPLEMENTATION_CLASS_UID)
_VERSION = _item(_VERSION_NAME, IMPLEMENTATION_VERSION_NAME.encode("ascii"))
_NO_ASYNCHRONY = _item(_WINDOW, b"\0\1\0\1")


def _encode_user_information(max_pdu: int, answer_window: bool, roles: Sequence[Role]) -> bytes:
    content = _item(_MAXIMUM_LENGTH, max_pdu.to_bytes(4, "big")) + _CLASS + _VERSION
    if answer_window:
        content += _NO_ASYNCHRONY
    for role in roles:
        uid = role.sop_class_uid.encode("ascii")
        content += _item(_ROLE, len(uid).to_bytes(2, "big") + uid + bytes((role.scu, role.scp)))
    return _item(_USER, content)


def _associate(kind: int, titles: bytes, *items: bytes) -> bytes:
    """Encode A-ASSOCIATE-RQ or -AC (PS3.8 Tables 9-11 and 9-17) of protocol version 1."""
    body = b"".join((b"\0\1\0\0", titles, bytes(32), *items))
    return _HEADER.pack(kind, len(body)) + body


def _encode_title(title: str) -> bytes:
    if not title.strip() or not title.isprintable() or "\\" in title or len(title) > _TITLE:
        raise ValueError("an AE title has no encoding")
    return title.encode("ascii").ljust(_TITLE)


def encode_request(request: AssociateRequest) -> bytes:
    """Encode A-ASSOCIATE-RQ; raises ValueError, without the value, for an AE title or UID that has no encoding."""
    try:
        titles = _encode_title(request.called_ae_title) + _encode_title(request.calling_ae_title)
        contexts = b"".join(map(_encode_proposed, request.contexts))
    except ValueError:
        raise ValueError("an AE title or a UID of an association cannot be encoded") from None
    user = _encode_user_information(request.max_pdu, False, ())
    return _associate(ASSOCIATE_RQ, titles, _APPLICATION, contexts, user)


def _encode_proposed(context: ProposedContext) -> bytes:
    syntaxes = b"".join(_uid_item(_TRANSFER, uid) for uid in context.transfer_syntaxes)
    abstract = _uid_item(_ABSTRACT, context.abstract_syntax)
    return _item(_CONTEXT_RQ, bytes((context.context_id, 0, 0, 0)) + abstract + syntaxes)


@lru_cache(maxsize=_PROPOSALS)
def _encode_answers(contexts: tuple[AnsweredContext, ...]) -> bytes:
    return b"".join(
        _item(_CONTEXT_AC, bytes((number, 0, result, 0)) + _uid_item(_TRANSFER, syntax))
        for number, result, syntax in contexts
    )


def encode_accept(
    request: AssociateRequest, contexts: Sequence[AnsweredContext], max_pdu: int, roles: Sequence[Role]
) -> bytes:
    """Encode A-ASSOCIATE-AC as the answer to `request`; an asynchronous window is answered with 1/1 (PS3.7 D.3.3.3)."""
    user = _encode_user_information(max_pdu, request.asynchronous, roles)
    return _associate(ASSOCIATE_AC, request.ae_titles, _APPLICATION, _encode_answers(tuple(contexts)), user)


def encode_reject(result: int, source: int, reason: int) -> bytes:
    """Encode A-ASSOCIATE-RJ (PS3.8 Table 9-21)."""
    return _HEADER.pack(ASSOCIATE_RJ, 4) + bytes((0, result, source, reason))


def decode_reject(body: bytes) -> tuple[int, int, int]:
    """Return result, source and reason of A-ASSOCIATE-RJ; raises ProtocolError."""
    if len(body) < 4:
        raise ProtocolError("an A-ASSOCIATE-RJ is truncated", REASON_INVALID_PARAMETER)
    return body[1], body[2], body[3]


def encode_abort(source: int, reason: int) -> bytes:
    """Encode A-ABORT (PS3.8 Table 9-26); source 0 is the service user, 2 the service provider."""
    return _HEADER.pack(ABORT, 4) + bytes((0, 0, source, reason))


def encode_release_request() -> bytes:
    """Encode A-RELEASE-RQ."""
    return _HEADER.pack(RELEASE_RQ, 4) + bytes(4)


def encode_release_response() -> bytes:
    """Encode A-RELEASE-RP."""
    return _HEADER.pack(RELEASE_RP, 4) + bytes(4)
