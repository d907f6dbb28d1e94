"""What a request for storage commitment and its report hold (PS3.4 J.3.2.1, J.3.3.1), encoded and decoded.

Refuses (DatasetError) what cannot be parsed, UIDs that are none, and more than `MOST_REFERENCES` references. Texts of
errors hold no value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from node.errors import DatasetError
from node.instances import is_uid
from node.recipe import EncodedDataset
from node.recipe.coding import Coding, coding_of
from node.recipe.encoded import ITEM, SEQUENCE_END, UNDEFINED, inner_coding
from node.syntaxes import IMPLICIT_LE, Syntax, lookup

WELL_KNOWN_INSTANCE = "1.2.840.10008.1.20.1.1"
"""Storage Commitment Push Model SOP Instance (PS3.4 J.3.5)."""
REQUEST = 1
"""The action type of a request (PS3.4 Table J.3.2-1)."""
ALL_COMMITTED, SOME_FAILED = 1, 2
"""The event types of a report (PS3.4 Table J.3.3-1)."""
MOST_REFERENCES = 10_000

_TRANSACTION_UID, _FAILED, _REFERENCED = 0x00081195, 0x00081198, 0x00081199
_CLASS, _INSTANCE, _REASON = 0x00081150, 0x00081155, 0x00081197


class Reference(NamedTuple):
    """An instance, by the UIDs of its class and its own; why it failed (0008,1197), 0 where it did not."""

    sop_class_uid: str
    sop_instance_uid: str
    reason: int = 0


@dataclass(frozen=True, slots=True)
class Information:
    """What a request asks for, or what a report says."""

    transaction_uid: str
    referenced: tuple[Reference, ...]
    failed: tuple[Reference, ...] = ()


def decode(data: bytes, syntax_uid: str) -> Information:
    """Decode a data set in a transfer syntax. Raises DatasetError."""
    dataset = EncodedDataset.scan(data, 0, lookup(syntax_uid) or IMPLICIT_LE)
    element = dataset.find(_TRANSACTION_UID)
    transaction = _uid(b"" if element is None else dataset.raw(element))
    referenced, failed = (tuple(_references(dataset, tag)) for tag in (_REFERENCED, _FAILED))
    if not referenced and not failed:
        raise DatasetError("no instance is referenced")
    return Information(transaction, referenced, failed)


def _references(dataset: EncodedDataset, tag: int) -> Iterator[Reference]:
    element = dataset.find(tag)
    if element is None:
        return
    coding = inner_coding(dataset.walker, element, dataset.coding)
    for count, (start, end) in enumerate(_items(dataset, element[2], element[4], coding)):
        if count >= MOST_REFERENCES:
            raise DatasetError(f"more than {MOST_REFERENCES} instances are referenced")
        values = dict(_values(dataset, start, end, coding))
        reason = int.from_bytes(values.get(_REASON, b"")[:2], "little")
        yield Reference(_uid(values.get(_CLASS, b"")), _uid(values.get(_INSTANCE, b"")), reason)


def _items(dataset: EncodedDataset, position: int, end: int, coding: Coding) -> Iterator[tuple[int, int]]:
    """Yield where the elements of each item of a sequence begin and end."""
    walker = dataset.walker
    while position < end:
        tag, length = walker.item_header(position, end, coding)
        position += 8
        if tag == SEQUENCE_END:
            return
        if tag != ITEM:
            raise DatasetError("no item where an item must stand")
        behind = walker.item_end(position, end, length, coding)
        if behind > end:
            raise DatasetError("an item is longer than its sequence")
        yield position, behind - 8 if length == UNDEFINED else behind
        position = behind


def _values(dataset: EncodedDataset, position: int, end: int, coding: Coding) -> Iterator[tuple[int, bytes]]:
    while position < end:
        element = dataset.walker.element(position, end, coding, 1)
        if element[0] >> 16 in (_CLASS, _INSTANCE, _REASON):
            yield element[0] >> 16, dataset.raw(element)
        position = element[4]


def _uid(value: bytes) -> str:
    text = value.decode("latin-1").strip("\0 ")
    if not is_uid(text):
        raise DatasetError("a UID is missing, or is none")
    return text


def encode(information: Information, syntax: Syntax) -> bytes:
    """Encode a data set; sequences without an item are left out."""
    coding = coding_of(syntax)
    parts = [_element(coding, _TRANSACTION_UID, "UI", _padded(information.transaction_uid))]
    for tag, references in ((_FAILED, information.failed), (_REFERENCED, information.referenced)):
        if references:
            items = b"".join(_item(coding, reference) for reference in references)
            parts.append(_element(coding, tag, "SQ", items))
    return b"".join(parts)


def _item(coding: Coding, reference: Reference) -> bytes:
    uids: Mapping[int, str] = {_CLASS: reference.sop_class_uid, _INSTANCE: reference.sop_instance_uid}
    body = b"".join(_element(coding, tag, "UI", _padded(uid)) for tag, uid in uids.items())
    if reference.reason:
        body += _element(coding, _REASON, "US", reference.reason.to_bytes(2, coding.order))
    return coding.item(ITEM, len(body)) + body


def _element(coding: Coding, tag: int, vr: str, value: bytes) -> bytes:
    return coding.header(tag, vr, len(value)) + value


def _padded(uid: str) -> bytes:
    return uid.encode("ascii") + b"\0" * (len(uid) % 2)
