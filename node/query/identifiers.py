"""Identifiers of C-FIND (PS3.4 C.4.1.1.3) that consist of UIDs: encoded for a request, read from an answer.

Guarantees that a UID which an answer has is one (PS3.5 9.1), and that no text of an answer goes further. Refuses
(DatasetError) what cannot be parsed.
"""

from __future__ import annotations

from collections.abc import Mapping

from node.instances import is_uid
from node.recipe import EncodedDataset
from node.recipe.coding import coding_of
from node.syntaxes import Syntax

SOP_INSTANCE_UID = 0x00080018
LEVEL = 0x00080052
STUDY_INSTANCE_UID = 0x0020000D
SERIES_INSTANCE_UID = 0x0020000E

_UID, _CODE = "UI", "CS"


def encode(level: str, uids: Mapping[int, str], syntax: Syntax) -> bytes:
    """Encode a request at `SERIES` or `IMAGE` level; an empty UID asks for any, and for its value."""
    values = {LEVEL: (_CODE, level)} | {tag: (_UID, uid) for tag, uid in uids.items()}
    coding = coding_of(syntax)
    encoded = bytearray()
    for tag, (vr, text) in sorted(values.items()):
        value = text.encode("ascii")
        value += (b" " if vr == _CODE else b"\0") * (len(value) % 2)
        encoded += coding.header(tag, vr, len(value)) + value
    return bytes(encoded)


def uid_of(match: EncodedDataset, tag: int) -> str:
    """Return a UID of an answer; empty where it has none, or something else. Raises DatasetError."""
    element = match.find(tag)
    text = "" if element is None else match.raw(element).decode("latin-1").strip("\0 ")
    return text if is_uid(text) else ""
