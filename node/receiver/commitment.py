"""Storage commitment at the node's door: who may ask and who may report, and what either is answered.

Guarantees
    A request is in the ledger, durably, before it is answered 0000H; whatever keeps the node from that is answered with
    a failure, and leaves nothing. Only senders of routes with `commitment` may ask, and only those whose reports have
    an address; only destinations that the node has asked may report, and only under the Transaction UID that it gave
    them. What comes on an association that was let in for a report can be nothing else.
"""

from __future__ import annotations

import logging

from node.commitment import REQUEST, WELL_KNOWN_INSTANCE, Information, decode
from node.config import Config, Route
from node.config.commitment import is_wanted, reporters
from node.dicomnet import STORAGE_COMMITMENT, CommitmentRequest, Peer, StoreAnswer, dimse
from node.dicomnet.pdus import Role
from node.errors import DatasetError, LedgerError
from node.ledger.commitments import Asked, Taking, take
from node.ledger.database import Database
from node.ledger.questions import reported
from node.log import event
from node.routing import Router

LOGGER = logging.getLogger("node.receiver")

_TAKEN = StoreAnswer(dimse.SUCCESS)
_REFUSED = {
    Taking.ANOTHER: StoreAnswer(dimse.INVALID_ARGUMENT, "Transaction UID of a request for other instances"),
    Taking.TOO_MANY: StoreAnswer(dimse.RESOURCE_LIMITATION, "too many requests of this peer are under way"),
}


class Commitments:
    """Decides for one process; made by `commitments_of`."""

    def __init__(self, config: Config, router: Router, database: Database) -> None:
        self._config = config
        self._router = router
        self._database = database
        self._reporters = reporters(config)

    def expects(self, peer: Peer) -> bool:
        """Say whether a destination calls that may bring a report."""
        return (peer.calling_ae_title, peer.called_ae_title) in self._reporters

    def roles(self, peer: Peer) -> Role:
        """What a requestor may be of Storage Commitment: who sends by such a route asks, a destination reports."""
        route = self._route(peer)
        return Role(STORAGE_COMMITMENT, route is not None and route.commitment is not None, self.expects(peer))

    def serve(self, peer: Peer, request: CommitmentRequest) -> StoreAnswer:
        """Answer N-ACTION or N-EVENT-REPORT."""
        answer = self._malformed(request) or (self._ask if request.is_action else self._report)(peer, request)
        level = logging.INFO if answer.status == dimse.SUCCESS else logging.WARNING
        event(
            LOGGER,
            "commitment-asked" if request.is_action else "commitment-reported",
            level=level,
            association=peer.association,
            calling_ae_title=peer.calling_ae_title,
            status=f"{answer.status:04X}H",
            **({"why": answer.comment} if answer.comment else {}),
        )
        return answer

    @staticmethod
    def _malformed(request: CommitmentRequest) -> StoreAnswer | None:
        """Return the answer to what is no request or report of this service (PS3.7 Annex C)."""
        if request.sop_class_uid != STORAGE_COMMITMENT:
            return StoreAnswer(dimse.NO_SUCH_CLASS, "not the SOP class of storage commitment")
        if request.sop_instance_uid != WELL_KNOWN_INSTANCE:
            return StoreAnswer(dimse.NO_SUCH_INSTANCE, "not the SOP instance of storage commitment")
        if request.is_action and request.type_id != REQUEST:
            return StoreAnswer(dimse.NO_SUCH_ACTION, "no such action type")
        if not request.is_action and request.type_id not in (1, 2):
            return StoreAnswer(dimse.NO_SUCH_EVENT, "no such event type")
        if request.too_long:
            return StoreAnswer(dimse.RESOURCE_LIMITATION, "the data set is too long")
        return None

    def _ask(self, peer: Peer, request: CommitmentRequest) -> StoreAnswer:
        route = self._route(peer)
        if route is None or route.commitment is None:
            return StoreAnswer(dimse.NOT_AUTHORIZED, "no storage commitment for this sender")
        if peer.calling_ae_title not in self._config.peers:
            return StoreAnswer(dimse.PROCESSING_FAILURE, "no address for the report (peers)")
        information = _read(request)
        if isinstance(information, StoreAnswer):
            return information
        asked = Asked(
            route.project,
            route.name,
            peer.calling_ae_title,
            peer.called_ae_title,
            peer.address,
            information.transaction_uid,
            tuple((one.sop_class_uid, one.sop_instance_uid) for one in information.referenced),
            route.commitment.within,
        )
        try:
            taking = take(self._database, asked)
        except LedgerError as error:
            event(LOGGER, "ledger-trouble", level=logging.ERROR, error=str(error))
            return StoreAnswer(dimse.PROCESSING_FAILURE, "the request cannot be kept, ask again later")
        return _REFUSED.get(taking, _TAKEN)

    def _report(self, peer: Peer, request: CommitmentRequest) -> StoreAnswer:
        if not self.expects(peer):
            return StoreAnswer(dimse.NOT_AUTHORIZED, "no report is expected from this peer")
        information = _read(request)
        if isinstance(information, StoreAnswer):
            return information
        confirmed = {one.sop_instance_uid for one in information.referenced}
        confirmed -= {one.sop_instance_uid for one in information.failed}
        try:
            known = reported(self._database, peer.calling_ae_title, information.transaction_uid, confirmed)
        except LedgerError as error:
            event(LOGGER, "ledger-trouble", level=logging.ERROR, error=str(error))
            return StoreAnswer(dimse.PROCESSING_FAILURE, "the report cannot be kept, send it again later")
        return _TAKEN if known else StoreAnswer(dimse.INVALID_ARGUMENT, "no request with this Transaction UID")

    def _route(self, peer: Peer) -> Route | None:
        return self._router.route(peer.called_ae_title, peer.calling_ae_title, peer.address, peer.certificate_names)


def commitments_of(config: Config, router: Router, database: Database) -> Commitments | None:
    """Return what decides; None where no route has storage commitment."""
    return Commitments(config, router, database) if is_wanted(config) else None


def _read(request: CommitmentRequest) -> Information | StoreAnswer:
    if request.data is None:
        return StoreAnswer(dimse.INVALID_ARGUMENT, "no data set")
    try:
        information = decode(request.data, request.transfer_syntax_uid)
    except DatasetError as error:
        return StoreAnswer(dimse.INVALID_ARGUMENT, str(error))
    if request.is_action and not information.referenced:
        return StoreAnswer(dimse.INVALID_ARGUMENT, "no instance is referenced")
    return information
