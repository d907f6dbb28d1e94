"""Which instances an instance refers to (PS3.3 10.8, SOP Instance Reference Macro), and how many its source counts.

Guarantees that only the bytes in front of Pixel Data are searched, at the speed of a search for bytes, and nothing is
walked: an instance without references costs a few microseconds. What is found is an item's Referenced SOP Class UID of
a storage class, with the Referenced SOP Instance UID right behind it, at any depth. Refuses nothing: what is not
understood is no reference. Inside sequences of VR UN nothing is found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from node.errors import DatasetError
from node.instances.source import is_uid
from node.recipe import Cleaned, EncodedDataset
from node.recipe.dictionary import PIXEL_DATA

MOST_REFERENCES = 10_000
_MOST_BYTES = 16 << 20  # of a header, that are searched
_CLASS, _INSTANCE = 0x00081150, 0x00081155
_LONGEST_UID = 64
_STORAGE, _STANDARD = b"1.2.840.10008.5.1.4.1.1.", b"1.2.840.10008."
_STUDY_RELATED, _SERIES_RELATED = 0x00201208, 0x00201209


@dataclass(frozen=True, slots=True)
class Followed:
    """What is kept of an instance for the completeness of its study.

    Parameters
    ----------
    references
        SOP Instance UIDs that it refers to, as they go out.
    expected_study, expected_series
        How many instances the study and the series have at their source, as the original says; None where it does not.
    digest
        SHA-256 of the data set that goes out; None where no receipts are written.
    """

    references: tuple[str, ...] = ()
    expected_study: int | None = None
    expected_series: int | None = None
    digest: bytes | None = None


def followed(cleaned: Cleaned, uids: Mapping[str, str], digest: bytes | None) -> Followed:
    """Return what is kept of a cleaned instance; `uids` has the replacements that it was given, by the originals."""
    original = cleaned.dataset
    found: dict[str, None] = {}
    for uid, place in _references(original):
        sent = uids.get(uid) or (uid if _goes_out(cleaned, uid, place) else "")
        if sent:
            found[sent] = None
        if len(found) >= MOST_REFERENCES:
            break
    return Followed(tuple(found), _number(original, _STUDY_RELATED), _number(original, _SERIES_RELATED), digest)


def _references(dataset: EncodedDataset) -> Iterator[tuple[str, int]]:
    """Give the UIDs of the instances that an original refers to, and where each stands."""
    pixels = dataset.find(PIXEL_DATA)
    end = min(dataset.end if pixels is None else pixels[1], dataset.start + _MOST_BYTES)
    buffer = dataset.buffer
    if isinstance(buffer, memoryview):
        buffer = bytes(buffer[:end])
    head = _head(dataset, _CLASS)
    place = buffer.find(head, dataset.start, end)
    while place >= 0:
        after, sop_class = _uid(dataset, _CLASS, place, end)
        if sop_class.startswith(_STORAGE) or (sop_class and not sop_class.startswith(_STANDARD)):
            _, instance = _uid(dataset, _INSTANCE, after, end)
            text = instance.decode("latin-1")
            if is_uid(text):
                yield text, after
        place = buffer.find(head, after, end)


def _head(dataset: EncodedDataset, tag: int) -> bytes:
    """Return the bytes that a UID's element begins with."""
    return dataset.coding.header(tag, "UI", 0)[: 4 if dataset.coding.implicit else 6]


def _uid(dataset: EncodedDataset, tag: int, place: int, end: int) -> tuple[int, bytes]:
    """Return where the element of a UID at `place` ends, and its value; an empty one where it is no such element."""
    head = _head(dataset, tag)
    value = place + 8
    if bytes(dataset.buffer[place : place + len(head)]) != head or value > end:
        return place + 1, b""
    length = int.from_bytes(dataset.buffer[place + len(head) : value], dataset.coding.order)
    if not length <= _LONGEST_UID or value + length > end:
        return value, b""
    return value + length, bytes(dataset.buffer[value : value + length]).rstrip(b"\0 ")


def _goes_out(cleaned: Cleaned, uid: str, place: int) -> bool:
    """Say whether a reference that got no replacement is in what goes out: then UIDs are kept, else it was removed."""
    wanted = uid.encode("latin-1")
    return any(
        piece[0] <= place < piece[0] + piece[1] if isinstance(piece, tuple) else wanted in piece
        for piece in cleaned.segments
    )


def _number(dataset: EncodedDataset, tag: int) -> int | None:
    """Return an integer string of the original; None where it has none that is one."""
    try:
        text = dataset.text(tag)
    except DatasetError:
        return None
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 10 else None
