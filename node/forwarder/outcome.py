"""What the answer to a C-STORE means for its delivery (PS3.4 B.2.3, PS3.7 annex C). Pure."""

from __future__ import annotations

from node.ledger.sending import Verdict

_DELIVERED = frozenset({0x0000, 0x0001, 0x0107, 0x0116})
_AGAIN = frozenset({0x0110, 0x0210, 0x0213})
DUPLICATE_SOP_INSTANCE = 0x0111


def judge(status: int, *, offered_before: bool) -> Verdict:
    """Return the verdict on a DIMSE status.

    Success and warnings are delivered; a want of resources, or a failure that may pass, is tried again; anything else,
    known or not, is refused. "Duplicate SOP Instance" is our own copy where this content was offered before, else the
    destination has another object under this UID.
    """
    if status in _DELIVERED or status & 0xF000 == 0xB000:
        return Verdict.DELIVERED
    if status in _AGAIN or status & 0xFF00 == 0xA700:
        return Verdict.AGAIN
    if status == DUPLICATE_SOP_INSTANCE:
        return Verdict.DELIVERED if offered_before else Verdict.HELD
    return Verdict.REFUSED
