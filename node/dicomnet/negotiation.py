"""Which presentation contexts the node takes as an acceptor: a pure function of what is proposed.

Takes Verification, each storage SOP class of the standard (retired ones too), private and unknown UIDs. Refuses the
standard's other SOP classes: query/retrieve, worklist, print, commitment, procedure steps, media. Within a context
Explicit VR Little Endian comes first, then Implicit VR Little Endian, then lossless syntaxes as proposed, then those
that nothing is known of, lossy ones last. A requestor may be SCU and nothing else.

Of the others Storage Commitment alone is taken, where the caller says so, in an uncompressed little endian syntax.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from pydicom.uid import UID

from node.dicomnet.pdus import (
    ABSTRACT_SYNTAX_REFUSED,
    ACCEPTED,
    TRANSFER_SYNTAXES_REFUSED,
    AnsweredContext,
    ProposedContext,
    Role,
)
from node.syntaxes import EXPLICIT_LE, IMPLICIT_LE, lookup

VERIFICATION = "1.2.840.10008.1.1"
STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"
"""Storage Commitment Push Model SOP Class (PS3.4 J.3)."""
PLAIN_SYNTAXES = (EXPLICIT_LE.uid, IMPLICIT_LE.uid)

_STANDARD = "1.2.840.10008."
_STORAGE = "1.2.840.10008.5.1.4.1.1."
_NOT_STORAGE_BUT_NAMED_SO = frozenset({"1.2.840.10008.1.3.10", "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.2"})
_MOST_REMEMBERED = 4096  # transfer syntaxes in a proposal above which its answer is not remembered


@dataclass(frozen=True, slots=True)
class Choice:
    """The answer to a proposed context: `result` as in PS3.8 Table 9-18 (0, 3 or 4), the syntax where it is 0."""

    result: int
    transfer_syntax: str = ""


@lru_cache(maxsize=4096)
def is_taken(abstract_syntax: str) -> bool:
    """Whether the node takes instances, or C-ECHO, of this abstract syntax."""
    if not abstract_syntax:
        return False
    if abstract_syntax == VERIFICATION or not abstract_syntax.startswith(_STANDARD):
        return True
    if abstract_syntax in _NOT_STORAGE_BUT_NAMED_SO:
        return False
    uid = UID(abstract_syntax)
    # A UID that the dictionary lacks is its own name; two retired ones have an empty one.
    if uid.name in ("", abstract_syntax):
        return abstract_syntax.startswith(_STORAGE)
    return uid.type == "SOP Class" and "Storage" in uid.name


def preference(transfer_syntax: str) -> int:
    """Return how late a transfer syntax is chosen among those of one context; of equals the first that was proposed."""
    if transfer_syntax == EXPLICIT_LE.uid:
        return 0
    if transfer_syntax == IMPLICIT_LE.uid:
        return 1
    known = lookup(transfer_syntax)
    if known is None:
        return 3
    return 4 if known.lossy else 2


def choose(abstract_syntax: str, proposed: Sequence[str], *, commits: bool = False) -> Choice:
    """Answer one proposed presentation context; `commits` where Storage Commitment is taken."""
    if commits and abstract_syntax == STORAGE_COMMITMENT:
        plain = next((syntax for syntax in PLAIN_SYNTAXES if syntax in proposed), "")
        return Choice(ACCEPTED, plain) if plain else Choice(TRANSFER_SYNTAXES_REFUSED)
    if not is_taken(abstract_syntax):
        return Choice(ABSTRACT_SYNTAX_REFUSED)
    offered = [syntax for syntax in proposed if syntax]
    if not offered:
        return Choice(TRANSFER_SYNTAXES_REFUSED)
    return Choice(ACCEPTED, min(offered, key=preference))


class Negotiated(NamedTuple):
    """What came of the proposed presentation contexts; shared by all associations that propose the same.

    `accepted` gives abstract and transfer syntax by the context's id, `refused` what was proposed in vain.
    """

    answers: tuple[AnsweredContext, ...]
    accepted: Mapping[int, tuple[str, str]]
    refused: tuple[ProposedContext, ...]


def negotiate(contexts: tuple[ProposedContext, ...], commits: bool = False) -> Negotiated:
    """Answer all proposed presentation contexts, in their order; their ids must be distinct.

    `commits` where Storage Commitment is taken.

    A sender with an association for each instance proposes the same each time: a few results are remembered.
    """
    few = sum(len(context.transfer_syntaxes) for context in contexts) <= _MOST_REMEMBERED
    return _remembered(contexts, commits) if few else _negotiate(contexts, commits)


def _negotiate(contexts: tuple[ProposedContext, ...], commits: bool) -> Negotiated:
    answers = answer(contexts, commits=commits)
    pairs = list(zip(contexts, answers, strict=True))
    return Negotiated(
        tuple(answers),
        {a.context_id: (c.abstract_syntax, a.transfer_syntax) for c, a in pairs if a.result == ACCEPTED},
        tuple(c for c, a in pairs if a.result != ACCEPTED),
    )


_remembered = lru_cache(maxsize=32)(_negotiate)


def answer(contexts: Sequence[ProposedContext], *, commits: bool = False) -> list[AnsweredContext]:
    """Answer all proposed presentation contexts, in their order."""
    answers = []
    for context in contexts:
        choice = choose(context.abstract_syntax, context.transfer_syntaxes, commits=commits)
        # The syntax of a refused context is not significant, but the item needs one (PS3.8 Table 9-18).
        syntax = choice.transfer_syntax or next(filter(None, context.transfer_syntaxes), IMPLICIT_LE.uid)
        answers.append(AnsweredContext(context.context_id, choice.result, syntax))
    return answers


def answer_roles(roles: Sequence[Role], accepted: frozenset[str], commitment: Role | None = None) -> list[Role]:
    """Answer role selection for the SOP classes in `accepted`: the SCU role as proposed, the SCP role never.

    `commitment` has the roles that the requestor may have of Storage Commitment (PS3.7 D.3.3.4).
    """
    return [_answer_role(role, commitment) for role in roles if role.sop_class_uid in accepted]


def _answer_role(role: Role, commitment: Role | None) -> Role:
    if commitment is not None and role.sop_class_uid == commitment.sop_class_uid:
        return Role(role.sop_class_uid, role.scu and commitment.scu, role.scp and commitment.scp)
    return Role(role.sop_class_uid, role.scu, False)
