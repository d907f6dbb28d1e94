"""Asking a destination whether it has instances: by its own storage commitment, by C-FIND, or not at all.

Guarantees that the next way of `commitment.confirm` is taken only where a destination does not offer the one before:
one that cannot be reached, or says no, is never passed over. A question for storage commitment is in the ledger before
it is asked, so that its report is known whenever it comes, after a restart too.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from node.commitment import Information, Reference, ask, exchange
from node.config import Config
from node.config.commitment import FIND, STATUS
from node.errors import CommitmentNotSupported, CommitmentRefused, NetworkError, QueryNotSupported
from node.ledger.commitments import Request
from node.ledger.database import Database
from node.ledger.questions import Question, content_of, last_question, new_question, reported, withdraw
from node.ledger.whereabouts import Whereabouts
from node.log import event
from node.query import QueryPeer, has_instances, peer_of

LOGGER = logging.getLogger("node.committer")

_REPORT_SECONDS = 3.0  # for the report on the association of the request; most come later, on one of their own
_ASK_AGAIN_SECONDS = 3600.0  # without a report


class NotYet(NetworkError):
    """A destination has not said yet what it has."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Asks destinations for the instances of a request; `confirm` are the ways, in the order in which they are tried.

    What a destination says later is in the ledger.
    """

    config: Config
    database: Database
    request: Request
    confirm: Sequence[str]

    def has(self, name: str, wanted: Sequence[Whereabouts], early: Collection[str]) -> set[str]:
        """Return which of some instances a destination has, by their replaced UIDs.

        `early` are those of which it is too early to believe that the destination does not have them.

        Raises
        ------
        NetworkError
            It does not say so now; NotYet where it has been asked, and is to say so later.
        """
        peer = peer_of(self.config, name)
        problem = "the configuration has no `query` for it"
        for way in self.confirm:
            if way == STATUS:
                return {one.sop_instance_uid for one in wanted if name not in one.assumed}
            if peer is None:
                continue
            try:
                return _found(peer, wanted) if way == FIND else self._committed(peer, wanted, early)
            except (QueryNotSupported, CommitmentNotSupported) as error:
                problem = str(error)
                event(LOGGER, "not-offered", destination=name, way=way, error=problem)
        raise NetworkError(problem)

    def _committed(self, peer: QueryPeer, wanted: Sequence[Whereabouts], early: Collection[str]) -> set[str]:
        """Return what the destination has committed, or ask it to."""
        uids = {one.sop_instance_uid for one in wanted}
        last = last_question(self.database, self.request.seq, peer.name)
        if last is not None and last.content == content_of(uids):
            if last.confirmed is not None and not any(uid in early for uid in uids - last.confirmed):
                return uids & last.confirmed
            if last.confirmed is None and time.time() - last.asked_at < _ASK_AGAIN_SECONDS:
                raise NotYet("it has yet to report what it commits")
        self._ask(peer, wanted)
        last = last_question(self.database, self.request.seq, peer.name)
        if last is None or last.confirmed is None:
            raise NotYet("it has yet to report what it commits")
        return uids & last.confirmed

    def _ask(self, peer: QueryPeer, wanted: Sequence[Whereabouts]) -> None:
        uids = [one.sop_instance_uid for one in wanted]
        question = new_question(self.database, self.request.seq, peer.name, peer.called_ae_title, uids)
        references = tuple(Reference(one.sop_class_uid, one.sop_instance_uid) for one in wanted)
        to = exchange.Peer(peer.host, peer.port, peer.called_ae_title, peer.calling_ae_title, peer.timeouts, peer.tls)
        try:
            ask(
                to,
                Information(question.transaction_uid, references),
                lambda information: self._taken(peer, information),
                _REPORT_SECONDS,
                lambda: self._came(peer, question),
            )
        except (CommitmentNotSupported, CommitmentRefused):
            withdraw(self.database, question)
            raise

    def _taken(self, peer: QueryPeer, information: Information) -> bool:
        confirmed = {one.sop_instance_uid for one in information.referenced}
        confirmed -= {one.sop_instance_uid for one in information.failed}
        return reported(self.database, peer.called_ae_title, information.transaction_uid, confirmed)

    def _came(self, peer: QueryPeer, question: Question) -> bool:
        last = last_question(self.database, self.request.seq, peer.name)
        return last is None or last.seq != question.seq or last.confirmed is not None


def _found(peer: QueryPeer, wanted: Sequence[Whereabouts]) -> set[str]:
    """Ask by C-FIND; what an earlier version of the program sent is not known by study and series, and not found."""
    known = [
        (one.study_uid, one.series_uid, one.sop_instance_uid) for one in wanted if one.study_uid and one.series_uid
    ]
    return has_instances(peer, known) if known else set()
