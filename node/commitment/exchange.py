"""Asking a peer to commit (N-ACTION), and reporting to a peer that has asked (N-EVENT-REPORT), as a requestor.

Each is an association of its own. A request's report may come on the same association, for as long as is waited, or
later on one that the peer opens. Who reports is SCP on an association that it has asked for, so the role is negotiated
(PS3.4 J.3.1, PS3.7 D.3.3.4); of a peer that answers no role the one that it was asked for is taken as given.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from node.commitment.datasets import (
    ALL_COMMITTED,
    REQUEST,
    SOME_FAILED,
    WELL_KNOWN_INSTANCE,
    Information,
    decode,
    encode,
)
from node.dicomnet import STORAGE_COMMITMENT, RequestedAssociation, Timeouts, associate, dimse
from node.dicomnet.negotiation import PLAIN_SYNTAXES
from node.dicomnet.pdus import Role
from node.dicomnet.policy import LONGEST_COMMITMENT
from node.errors import CommitmentNotSupported, CommitmentRefused, DatasetError
from node.syntaxes import IMPLICIT_LE, lookup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from node.tls import Security

_LOOK_SECONDS = 0.5
_NOT_OFFERED = frozenset({0x0118, 0x0122, 0x0123, 0x0124, 0x0211})
"""Answers to N-ACTION of a peer that does not do it, for us or at all (PS3.7 10.1.4.1.10)."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The other side, and what the two call one another."""

    host: str
    port: int
    called_ae_title: str
    calling_ae_title: str
    timeouts: Timeouts
    tls: Security | None = None


Taken = Callable[[Information], bool]
"""Writes a report down; says whether it was one that is waited for."""


def ask(peer: Peer, request: Information, taken: Taken, wait: float, came: Callable[[], bool]) -> None:
    """Ask a peer to commit; return once it has said that it will report, and at most `wait` seconds after that.

    Parameters
    ----------
    taken
        Is given the report where it comes on this association.
    came
        Whether the report has come, on whatever way: then nothing is waited for any more.

    Raises
    ------
    CommitmentNotSupported
        The peer does not offer storage commitment.
    CommitmentRefused
        It does not take this request, now.
    NetworkError
        It cannot be reached, refused the association or broke it.
    """
    with _association(peer, ()) as association:
        number, syntax_uid = _context(association)
        encoded = encode(request, lookup(syntax_uid) or IMPLICIT_LE)
        command = partial(
            dimse.encode_action_request,
            sop_class_uid=STORAGE_COMMITMENT,
            sop_instance_uid=WELL_KNOWN_INSTANCE,
            action_type=REQUEST,
        )
        result = association.request(number, command, encoded, dimse.N_ACTION_RSP, WELL_KNOWN_INSTANCE)
        if result.status in _NOT_OFFERED:
            raise CommitmentNotSupported(f"it answered N-ACTION with {result.status:04X}H")
        if result.status != dimse.SUCCESS:
            raise CommitmentRefused(f"it answered N-ACTION with {result.status:04X}H")
        _await_report(association, syntax_uid, taken, wait, came)


def _await_report(
    association: RequestedAssociation, syntax_uid: str, taken: Taken, wait: float, came: Callable[[], bool]
) -> None:
    deadline = monotonic() + wait
    while not came() and (left := deadline - monotonic()) > 0 and not association.over:
        found = association.incoming(min(left, _LOOK_SECONDS), LONGEST_COMMITMENT)
        if found is not None:
            number, command, data = found
            association.respond(number, command, _take(command, data, syntax_uid, taken))


def _take(command: dimse.Command, data: bytes, syntax_uid: str, taken: Taken) -> int:
    if command.command_field != dimse.N_EVENT_REPORT_RQ:
        return dimse.UNRECOGNIZED_OPERATION
    try:
        information = decode(data, syntax_uid)
    except DatasetError:
        return dimse.INVALID_ARGUMENT
    return dimse.SUCCESS if taken(information) else dimse.INVALID_ARGUMENT


def report(peer: Peer, outcome: Information) -> None:
    """Report to a peer what became of its request; return once it has taken that.

    Raises
    ------
    CommitmentNotSupported
        The peer does not take reports.
    CommitmentRefused
        It does not take this one.
    NetworkError
        It cannot be reached, refused the association or broke it.
    """
    with _association(peer, (Role(STORAGE_COMMITMENT, False, True),)) as association:
        number, syntax_uid = _context(association)
        role = association.roles.get(STORAGE_COMMITMENT)
        if role is not None and not role.scp:
            raise CommitmentNotSupported("it takes no reports on an association that it has not asked for")
        encoded = encode(outcome, lookup(syntax_uid) or IMPLICIT_LE)
        command = partial(
            dimse.encode_event_request,
            sop_class_uid=STORAGE_COMMITMENT,
            sop_instance_uid=WELL_KNOWN_INSTANCE,
            event_type=SOME_FAILED if outcome.failed else ALL_COMMITTED,
        )
        result = association.request(number, command, encoded, dimse.N_EVENT_REPORT_RSP, WELL_KNOWN_INSTANCE)
        if result.status != dimse.SUCCESS:
            raise CommitmentRefused(f"it answered N-EVENT-REPORT with {result.status:04X}H")


@contextmanager
def _association(peer: Peer, roles: tuple[Role, ...]) -> Iterator[RequestedAssociation]:
    """Give an association; released in the end, also where the peer has only said no, and aborted on any failure."""
    association = associate(
        peer.host,
        peer.port,
        calling_ae_title=peer.calling_ae_title,
        called_ae_title=peer.called_ae_title,
        contexts=[(STORAGE_COMMITMENT, PLAIN_SYNTAXES)],
        timeouts=peer.timeouts,
        tls=peer.tls,
        roles=roles,
    )
    try:
        yield association
    except (CommitmentNotSupported, CommitmentRefused):
        association.release()
        raise
    except BaseException:
        association.abort()
        raise
    association.release()


def _context(association: RequestedAssociation) -> tuple[int, str]:
    for number, (_, syntax_uid) in association.accepted.items():
        return number, syntax_uid
    raise CommitmentNotSupported("it accepts no presentation context for storage commitment")
