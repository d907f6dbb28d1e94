"""The PDUs that open and close an association (PS3.8 9.3), encoded and decoded with pynetdicom's classes.

Guarantees that whatever PS3.8 tells a receiver to ignore (items of unknown types, reserved fields, padding of AE
titles) is ignored, and that an undecodable PDU is a ProtocolError. pynetdicom refuses some of it and logs values, so
only the items that the node acts on are shown to it; the user identity a requestor may send is not even decoded.

A sender with an association for each instance proposes the same each time: a few proposals and answers are remembered.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple

from pydicom.uid import UID
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ, A_RELEASE_RP, A_RELEASE_RQ
from pynetdicom.pdu_items import (
    AbstractSyntaxSubItem,
    ApplicationContextItem,
    AsynchronousOperationsWindowSubItem,
    ImplementationClassUIDSubItem,
    ImplementationVersionNameSubItem,
    MaximumLengthSubItem,
    PresentationContextItemAC,
    PresentationContextItemRQ,
    SCP_SCU_RoleSelectionSubItem,
    TransferSyntaxSubItem,
    UserInformationItem,
)

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

_FIXED = 74  # bytes of A-ASSOCIATE-RQ and -AC before their items
_AE_TITLES = slice(10, 42)
_APPLICATION_CONTEXT, _USER_INFORMATION = 0x10, 0x50
_SYNTAXES = frozenset({0x30, 0x40})
_USER_ITEMS = frozenset({0x51, 0x53, 0x54})
_PRESENTATION_CONTEXTS = frozenset({0x20, 0x21})
_REMEMBERED = 32 << 10  # bytes above which a proposal is not remembered; 128 usual contexts take 15 kB
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
    roles: tuple[Role, ...] = ()


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (type, content) of the items in `data`; raises ProtocolError where a length goes beyond the end."""
    offset = 0
    while offset < len(data):
        if offset + 4 > len(data):
            raise ProtocolError("an item of an association PDU is truncated", REASON_INVALID_PARAMETER)
        kind, length = struct.unpack_from(">BxH", data, offset)
        offset += 4
        if offset + length > len(data):
            raise ProtocolError("an item of an association PDU is longer than the PDU", REASON_INVALID_PARAMETER)
        yield kind, data[offset : offset + length]
        offset += length


def _item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(content)) + content


def _understood(data: bytes) -> bytes:
    """Return the items of `data` without those that the node does not act on (PS3.8 9.3.1: ignored and skipped)."""
    kept = []
    for kind, content in _items(data):
        if kind in _PRESENTATION_CONTEXTS:
            inner = b"".join(_item(k, c) for k, c in _items(content[4:]) if k in _SYNTAXES)
            kept.append(_item(kind, content[:4] + inner))
        elif kind == _USER_INFORMATION:
            kept.append(_item(kind, b"".join(_item(k, c) for k, c in _items(content) if k in _USER_ITEMS)))
        elif kind == _APPLICATION_CONTEXT:
            kept.append(_item(kind, content))
    return b"".join(kept)


def _plain(body: bytes, kind: int) -> bytes:
    """Return the whole PDU with what is reserved or unknown made harmless for pynetdicom's decoder."""
    if len(body) < _FIXED - 6:
        raise ProtocolError("an association PDU is truncated", REASON_INVALID_PARAMETER)
    items = _understood(body[_FIXED - 6 :])
    return struct.pack(">BxL", kind, _FIXED - 6 + len(items)) + body[:4] + b"-" * 32 + bytes(32) + items


def _title(raw: bytes) -> str:
    """Return an AE title without padding; what AE does not allow (PS3.5 6.2) is shown as `?` and so matches nothing."""
    text = raw.decode("ascii", "replace").strip(" \0")
    return "".join(c if " " <= c <= "~" and c != "\\" else "?" for c in text)


def decode_request(body: bytes) -> AssociateRequest:
    """Decode the body (without its six bytes of type and length) of A-ASSOCIATE-RQ; raises ProtocolError."""
    if len(body) < _FIXED - 6:
        raise ProtocolError("an association PDU is truncated", REASON_INVALID_PARAMETER)
    titles, rest = body[4:36], body[:4] + bytes(_FIXED - 10) + body[_FIXED - 6 :]
    request = _remembered_request(rest) if len(body) <= _REMEMBERED else _request(rest)
    return replace(request, called_ae_title=_title(titles[:16]), calling_ae_title=_title(titles[16:]), ae_titles=titles)


def _request(body: bytes) -> AssociateRequest:
    """Decode a proposal but for its AE titles."""
    pdu = A_ASSOCIATE_RQ()
    try:
        pdu.decode(_plain(body, ASSOCIATE_RQ))
        user = pdu.user_information or UserInformationItem()
        return AssociateRequest(
            called_ae_title="",
            calling_ae_title="",
            contexts=tuple(
                ProposedContext(
                    c.context_id or 0,
                    str(c.abstract_syntax or ""),
                    tuple(str(syntax) for syntax in c.transfer_syntax if syntax),
                )
                for c in pdu.presentation_context
            ),
            max_pdu=user.maximum_length or 0,
            roles=_roles(user),
            asynchronous=user.async_ops_window is not None,
            application_context=str(pdu.application_context_name or ""),
            protocol_version=pdu.protocol_version,
        )
    except ProtocolError:
        raise
    # Boundary: pynetdicom's decoder on foreign bytes raises whatever they provoke, with values in the text.
    except Exception:  # noqa: BLE001
        raise ProtocolError("an A-ASSOCIATE-RQ cannot be decoded", REASON_INVALID_PARAMETER) from None


_remembered_request = lru_cache(maxsize=_PROPOSALS)(_request)


def decode_accept(body: bytes) -> AssociateAccept:
    """Decode the body of A-ASSOCIATE-AC; raises ProtocolError."""
    pdu = A_ASSOCIATE_AC()
    try:
        pdu.decode(_plain(body, ASSOCIATE_AC))
        user = pdu.user_information or UserInformationItem()
        contexts = tuple(
            AnsweredContext(
                c.context_id or 0, NO_REASON if c.result is None else c.result, str(c.transfer_syntax or "")
            )
            for c in pdu.presentation_context
        )
        return AssociateAccept(contexts, user.maximum_length or 0, _roles(user))
    except ProtocolError:
        raise
    # Boundary: as above.
    except Exception:  # noqa: BLE001
        raise ProtocolError("an A-ASSOCIATE-AC cannot be decoded", REASON_INVALID_PARAMETER) from None


def _roles(user: UserInformationItem) -> tuple[Role, ...]:
    return tuple(Role(str(uid), bool(one.scu_role), bool(one.scp_role)) for uid, one in user.role_selection.items())


def _user_information(max_pdu: int, answer_window: bool, roles: Sequence[Role]) -> UserInformationItem:
    length = MaximumLengthSubItem()
    length.maximum_length_received = max_pdu
    implementation = ImplementationClassUIDSubItem()
    implementation.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    version = ImplementationVersionNameSubItem()
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    information = UserInformationItem()
    information.user_data = [length, implementation, version]
    if answer_window:
        window = AsynchronousOperationsWindowSubItem()
        window.maximum_number_operations_invoked = window.maximum_number_operations_performed = 1
        information.user_data.append(window)
    for role in roles:
        item = SCP_SCU_RoleSelectionSubItem()
        item.sop_class_uid = UID(role.sop_class_uid)
        item.scu_role, item.scp_role = int(role.scu), int(role.scp)
        information.user_data.append(item)
    return information


def _transfer_syntax(uid: str) -> TransferSyntaxSubItem:
    item = TransferSyntaxSubItem()
    item.transfer_syntax_name = UID(uid)
    return item


def encode_request(request: AssociateRequest) -> bytes:
    """Encode A-ASSOCIATE-RQ; raises ValueError, without the value, for an AE title or UID that has no encoding."""
    try:
        return _encode_request(request)
    except ValueError:
        raise ValueError("an AE title or a UID of an association cannot be encoded") from None


def _encode_request(request: AssociateRequest) -> bytes:
    pdu = A_ASSOCIATE_RQ()
    pdu.called_ae_title, pdu.calling_ae_title = request.called_ae_title, request.calling_ae_title
    pdu.variable_items.append(ApplicationContextItem())
    for context in request.contexts:
        abstract = AbstractSyntaxSubItem()
        abstract.abstract_syntax_name = UID(context.abstract_syntax)
        item = PresentationContextItemRQ()
        item.presentation_context_id = context.context_id
        item.abstract_transfer_syntax_sub_items = [abstract, *map(_transfer_syntax, context.transfer_syntaxes)]
        pdu.variable_items.append(item)
    pdu.variable_items.append(_user_information(request.max_pdu, False, request.roles))
    return bytes(pdu.encode())


def encode_accept(
    request: AssociateRequest, contexts: Sequence[AnsweredContext], max_pdu: int, roles: Sequence[Role]
) -> bytes:
    """Encode A-ASSOCIATE-AC as the answer to `request`; an asynchronous window is answered with 1/1 (PS3.7 D.3.3.3)."""
    encoded = bytearray(_accept(tuple(contexts), max_pdu, request.asynchronous, tuple(roles)))
    encoded[_AE_TITLES] = request.ae_titles
    return bytes(encoded)


@lru_cache(maxsize=_PROPOSALS)
def _accept(contexts: tuple[AnsweredContext, ...], max_pdu: int, asynchronous: bool, roles: tuple[Role, ...]) -> bytes:
    """Encode an answer, without its AE titles."""
    pdu = A_ASSOCIATE_AC()
    pdu.reserved_aet = pdu.reserved_aec = "-"
    pdu.variable_items.append(ApplicationContextItem())
    for context in contexts:
        item = PresentationContextItemAC()
        item.presentation_context_id, item.result_reason = context.context_id, context.result
        item.transfer_syntax_sub_item = [_transfer_syntax(context.transfer_syntax)]
        pdu.variable_items.append(item)
    pdu.variable_items.append(_user_information(max_pdu, asynchronous, roles))
    return bytes(pdu.encode())


def encode_reject(result: int, source: int, reason: int) -> bytes:
    """Encode A-ASSOCIATE-RJ (PS3.8 Table 9-21)."""
    pdu = A_ASSOCIATE_RJ()
    pdu.result, pdu.source, pdu.reason_diagnostic = result, source, reason
    return bytes(pdu.encode())


def decode_reject(body: bytes) -> tuple[int, int, int]:
    """Return result, source and reason of A-ASSOCIATE-RJ; raises ProtocolError."""
    if len(body) < 4:
        raise ProtocolError("an A-ASSOCIATE-RJ is truncated", REASON_INVALID_PARAMETER)
    return body[1], body[2], body[3]


def encode_abort(source: int, reason: int) -> bytes:
    """Encode A-ABORT (PS3.8 Table 9-26); source 0 is the service user, 2 the service provider."""
    pdu = A_ABORT_RQ()
    pdu.source, pdu.reason_diagnostic = source, reason
    return bytes(pdu.encode())


def encode_release_request() -> bytes:
    """Encode A-RELEASE-RQ."""
    return bytes(A_RELEASE_RQ().encode())


def encode_release_response() -> bytes:
    """Encode A-RELEASE-RP."""
    return bytes(A_RELEASE_RP().encode())
