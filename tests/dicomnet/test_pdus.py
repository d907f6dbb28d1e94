"""Association PDUs: what others send is understood, what PS3.8 says to ignore is ignored."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ

from node.dicomnet.negotiation import _remembered, choose, negotiate
from node.dicomnet.pdus import (
    ACCEPTED,
    TRANSFER_SYNTAXES_REFUSED,
    AnsweredContext,
    AssociateRequest,
    ProposedContext,
    Role,
    _remembered_request,
    decode_accept,
    decode_request,
    encode_abort,
    encode_accept,
    encode_reject,
    encode_request,
)
from node.errors import ProtocolError
from node.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

from .peers import CT, EXPLICIT, IMPLICIT

REQUEST = AssociateRequest(
    "CALLED", "CALLING", (ProposedContext(1, CT, (EXPLICIT, IMPLICIT)), ProposedContext(3, "1.2.3", ("1.2.4",))), 16382
)


def item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(content)) + content


def body_with(items: bytes, titles: bytes = b"CALLED".ljust(16) + b"CALLING".ljust(16)) -> bytes:
    return b"\0\1\0\0" + titles + bytes(32) + items


CONTEXT = item(0x20, b"\1\0\0\0" + item(0x30, CT.encode()) + item(0x40, IMPLICIT.encode()))
APPLICATION = item(0x10, b"1.2.840.10008.3.1.1.1")
LENGTH = item(0x51, struct.pack(">L", 4096))


def test_what_we_encode_we_decode() -> None:
    decoded = decode_request(encode_request(REQUEST)[6:])
    assert decoded.contexts == REQUEST.contexts
    assert (decoded.called_ae_title, decoded.calling_ae_title, decoded.max_pdu) == ("CALLED", "CALLING", 16382)


def test_pynetdicom_reads_our_request() -> None:
    pdu = A_ASSOCIATE_RQ()
    pdu.decode(encode_request(REQUEST))
    assert [str(context.abstract_syntax) for context in pdu.presentation_context] == [CT, "1.2.3"]
    assert pdu.user_information is not None
    assert pdu.user_information.maximum_length == 16382


def test_an_accept_repeats_the_titles_byte_for_byte_and_answers_window_and_roles() -> None:
    roles = item(0x54, struct.pack(">H", len(CT)) + CT.encode() + b"\1\1")
    user = item(0x50, LENGTH + item(0x53, b"\0\5\0\5") + roles)
    titles = b"\0CALLED \x80".ljust(16, b"\0") + b" CALLING".ljust(16)
    request = decode_request(body_with(APPLICATION + CONTEXT + user, titles))
    assert request.roles == (Role(CT, True, True),)
    assert (request.called_ae_title, request.calling_ae_title) == ("CALLED ?", "CALLING")
    answers = [AnsweredContext(1, ACCEPTED, IMPLICIT), AnsweredContext(3, 3, EXPLICIT)]
    encoded = encode_accept(request, answers, 1000, [Role(CT, True, False)])
    assert encoded[10:42] == titles
    assert decode_accept(encoded[6:]).contexts == tuple(answers)
    pdu = A_ASSOCIATE_AC()
    pdu.decode(encoded[:10] + b"-" * 32 + encoded[42:])
    assert pdu.user_information is not None
    window = pdu.user_information.async_ops_window
    assert window is not None
    assert (window.max_operations_invoked, window.max_operations_performed) == (1, 1)
    role = pdu.user_information.role_selection[UID(CT)]
    assert (role.scu_role, role.scp_role) == (1, 0)


@pytest.mark.parametrize("uid", ["7" * 65, "7.é"])
def test_what_cannot_be_encoded_is_not_in_the_error(uid: str) -> None:
    with pytest.raises(ValueError, match="cannot be encoded") as caught:
        encode_request(AssociateRequest("A", "B", (ProposedContext(1, uid, (IMPLICIT,)),)))
    assert "7" not in str(caught.value)


def test_an_accept_of_128_contexts_is_read_by_pynetdicom_as_it_was_meant() -> None:
    proposed = tuple(ProposedContext(2 * i + 1, f"1.2.840.10008.5.1.4.1.1.{i}", (IMPLICIT,)) for i in range(128))
    request = decode_request(encode_request(AssociateRequest("CALLED", "CALLING", proposed, 16382))[6:])
    assert request.contexts == proposed
    answers = [AnsweredContext(c.context_id, c.context_id % 4, EXPLICIT) for c in proposed]
    encoded = encode_accept(request, answers, 131072, ())
    pdu = A_ASSOCIATE_AC()
    pdu.decode(encoded)
    read = [(c.context_id, c.result, c.transfer_syntax) for c in pdu.presentation_context]
    assert read == [(a.context_id, a.result, a.transfer_syntax) for a in answers]
    assert pdu.application_context_name == "1.2.840.10008.3.1.1.1"
    assert pdu.user_information is not None
    assert pdu.user_information.maximum_length == 131072
    assert pdu.user_information.implementation_class_uid == IMPLEMENTATION_CLASS_UID
    assert pdu.user_information.implementation_version_name == IMPLEMENTATION_VERSION_NAME
    assert pdu.encode() == encoded


def test_what_is_remembered_of_a_proposal_is_the_same_for_another_peer() -> None:
    items = APPLICATION + CONTEXT + item(0x50, LENGTH)
    first = decode_request(body_with(items))
    second = decode_request(body_with(items, b"OTHER".ljust(16) + b"PEER".ljust(16)))
    assert (second.called_ae_title, second.calling_ae_title) == ("OTHER", "PEER")
    assert (second.contexts, second.max_pdu) == (first.contexts, first.max_pdu)
    assert second.ae_titles != first.ae_titles
    changed = decode_request(body_with(APPLICATION + CONTEXT + item(0x50, item(0x51, struct.pack(">L", 4098)))))
    assert changed.max_pdu == 4098


def test_a_long_proposal_is_decoded_like_a_short_one_and_not_remembered() -> None:
    many = b"".join(item(0x40, b"1.2.%d" % n) for n in range(5000))
    body = body_with(APPLICATION + item(0x20, b"\1\0\0\0" + item(0x30, CT.encode()) + many))
    held = _remembered_request.cache_info().currsize
    assert decode_request(body).contexts == (ProposedContext(1, CT, tuple(f"1.2.{n}" for n in range(5000))),)
    assert _remembered_request.cache_info().currsize == held
    kept = _remembered.cache_info().currsize
    assert negotiate(decode_request(body).contexts).accepted == {1: (CT, "1.2.0")}
    assert _remembered.cache_info().currsize == kept


def test_an_empty_transfer_syntax_is_none() -> None:
    empty = item(0x20, b"\1\0\0\0" + item(0x30, CT.encode()) + item(0x40, b""))
    (context,) = decode_request(body_with(APPLICATION + empty)).contexts
    assert choose(context.abstract_syntax, context.transfer_syntaxes).result == TRANSFER_SYNTAXES_REFUSED


def test_unknown_items_and_sub_items_are_skipped() -> None:
    strange = item(0x77, b"???")
    context = item(0x20, b"\1\0\0\0" + strange + item(0x30, CT.encode()) + item(0x40, IMPLICIT.encode() + b"\0"))
    identity = item(0x58, b"\2\0\0\4user\0\4pass")
    user = item(0x50, strange + LENGTH + identity + item(0x57, b"broken") + item(0x52, b""))
    request = decode_request(body_with(strange + APPLICATION + context + strange + user))
    assert request.contexts == (ProposedContext(1, CT, (IMPLICIT,)),)
    assert request.max_pdu == 4096


def test_a_request_without_user_information_has_no_limit() -> None:
    assert decode_request(body_with(APPLICATION + CONTEXT)).max_pdu == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        bytes(67),
        body_with(b"\x20"),
        body_with(b"\x20\0\xff\xff12"),
        body_with(item(0x20, b"\1\0\0\0" + b"\x30\0\0\x40" + CT.encode())),
        body_with(item(0x20, b"\1\0\0\0" + item(0x30, b"1" * 65))),
        body_with(item(0x20, b"\1\0\0\0" + item(0x30, b"\xff\xfe"))),
        body_with(item(0x50, item(0x51, b"\1"))),
        body_with(item(0x50, item(0x54, b"\0\xff1"))),
        body_with(item(0x50, item(0x54, b"\0\x031.2\2\0"))),
        body_with(item(0x50, item(0x53, b"\0\1"))),
        body_with(item(0x20, b"")),
        body_with(item(0x10, b"1" * 65)),
    ],
)
def test_a_malformed_request_is_a_protocol_error_without_its_values(body: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_request(body)
    assert caught.value.reason == 6
    assert "111" not in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_rubbish_raises_nothing_but_a_protocol_error(items: bytes) -> None:
    for decode in (decode_request, decode_accept):
        with suppress(ProtocolError):
            decode(body_with(items))


def test_reject_and_abort_have_the_bytes_of_the_standard() -> None:
    assert encode_reject(1, 1, 7) == bytes.fromhex("03000000000400010107")
    assert encode_abort(2, 6) == bytes.fromhex("07000000000400000206")
