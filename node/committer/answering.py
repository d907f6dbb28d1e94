"""The report to a sender: N-EVENT-REPORT with the UIDs that it asked by, on an association of its own.

Guarantees that what was taken back since it was decided, or whose subject has withdrawn consent since, is reported as
failed, and that a report counts as given only when the sender has answered it 0000H.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.commitment import Information, Reference, exchange, report
from node.committer.deciding import PROCESSING_FAILURE, Deciding
from node.config import Config, peer_security
from node.dicomnet import Timeouts
from node.errors import CommitmentNotSupported
from node.ledger.commitments import Request
from node.ledger.database import Database
from node.ledger.names import SOP_INSTANCE_UID, TRANSACTION_UID
from node.tls import Security


@dataclass(slots=True)
class Answering:
    """Reports to the senders of a configuration."""

    config: Config
    database: Database
    security: dict[str, Security | None]

    @classmethod
    def of(cls, config: Config, database: Database) -> Answering:
        """Make one; the TLS of each sender is made once."""
        security = {title: peer_security(title, peer) for title, peer in config.peers.items()}
        return cls(config, database, security)

    def answer(self, request: Request) -> Information:
        """Report what became of a request that is decided; return what was reported.

        Raises
        ------
        NetworkError
            The sender has not taken it.
        LedgerError
            The ledger cannot be read.
        """
        title = request.calling_ae_title
        peer = self.config.peers.get(title)
        if peer is None:
            raise CommitmentNotSupported("the configuration has no address for its reports (peers)")
        outcome = self._outcome(request)
        host, port = peer.address
        report(exchange.Peer(host, port, title, request.called_ae_title, Timeouts(), self.security[title]), outcome)
        return outcome

    def _outcome(self, request: Request) -> Information:
        opened = self.database.columns.open
        referenced, failed = [], []
        for one, is_delivered in Deciding(self.config, self.database).still(request):
            uid = opened(SOP_INSTANCE_UID, request.project, one.key)
            if one.result == 0 and is_delivered:
                referenced.append(Reference(one.sop_class_uid, uid))
            else:
                failed.append(Reference(one.sop_class_uid, uid, one.result or PROCESSING_FAILURE))
        transaction = opened(TRANSACTION_UID, request.project, request.sealed)
        return Information(transaction, tuple(referenced), tuple(failed))
