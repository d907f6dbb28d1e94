"""Which presentation contexts a batch of instances needs, and which of them an instance goes by. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from node.dicomnet import VERIFICATION
from node.dicomnet.requestor import MAX_CONTEXTS
from node.errors import HoldReason
from node.syntaxes import DEFLATED_LE, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE

# Encodings of the same data set: one is converted into another where the destination takes only that.
CONVERTIBLE = frozenset({IMPLICIT_LE.uid, EXPLICIT_LE.uid, EXPLICIT_BE.uid, DEFLATED_LE.uid})
# Proposed beside the others: some acceptors reject an association of which they take no context (DCMTK's dcmrecv), and
# the destination would seem out of reach for what is only an object that it does not take.
_ECHO = (VERIFICATION, (EXPLICIT_LE.uid, IMPLICIT_LE.uid))
_TARGETS = (EXPLICIT_LE.uid, IMPLICIT_LE.uid)
_TRANSFER_SYNTAXES_NOT_SUPPORTED = 4  # PS3.8 Table 9-18

Pair = tuple[str, str]


class Negotiated(Protocol):
    """What became of the proposed contexts."""

    accepted: dict[int, Pair]
    refused: dict[int, tuple[str, tuple[str, ...], int]]


def propose(pairs: Iterable[Pair]) -> list[tuple[str, tuple[str, ...]]]:
    """Return (abstract syntax, transfer syntaxes) of all contexts of a batch: the own syntax alone, then the others.

    Verification comes last.
    """
    contexts: dict[tuple[str, tuple[str, ...]], None] = {}
    for sop_class_uid, syntax in sorted(pairs):
        contexts[sop_class_uid, (syntax,)] = None
        if syntax in CONVERTIBLE:
            contexts[sop_class_uid, _others(syntax)] = None
    return [*contexts, _ECHO]


def fits(pairs: Iterable[Pair]) -> bool:
    """Whether one association has room for the contexts of all pairs."""
    return len(propose(pairs)) <= MAX_CONTEXTS


def choose(association: Negotiated, pair: Pair) -> tuple[int, str] | HoldReason:
    """Return context id and transfer syntax for an instance, or why the destination cannot take it."""
    sop_class_uid, syntax = pair
    open_ones = {
        offered: number for number, (abstract, offered) in association.accepted.items() if abstract == sop_class_uid
    }
    if syntax in open_ones:
        return open_ones[syntax], syntax
    if syntax in CONVERTIBLE:
        for target in _others(syntax):
            if target in open_ones:
                return open_ones[target], target
    results = {result for abstract, _, result in association.refused.values() if abstract == sop_class_uid}
    if open_ones or _TRANSFER_SYNTAXES_NOT_SUPPORTED in results:
        return HoldReason.SYNTAX_REFUSED
    return HoldReason.CLASS_REFUSED


def _others(syntax: str) -> tuple[str, ...]:
    """What a syntax is converted into, best first: a deflated data set is only inflated."""
    targets = _TARGETS[:1] if syntax == DEFLATED_LE.uid else _TARGETS
    return tuple(target for target in targets if target != syntax)
