"""The ledger: the one database, which is the queue, the record and the maps.

database    opening, transactions, migrations
schema      the tables
names       which columns name a person
sealed      sealing an older ledger
leases      what a claim is
reception   rows for what was received
cleaning    claims and results of cleaning, the maps
copies      the other copies of an instance, and what a rejection note speaks of
crosswalk   pairs from outside
merging     ids that are one person
waiting     who waits for a pair
pairs       what the maps hold, to be taken elsewhere
delivered   what went out under a pseudonym
sending     claims and settlements of deliveries, the state of destinations
commitments requests for storage commitment; `questions` to destinations; `asked`: both, for people
whereabouts what became of an original at the destinations
operation   what people ask and change
audit       the audit trail
following   which studies something happened to, and when they are looked at
accounts    what became of a study, by series and destination
completeness  whether it is complete, and what a person says of it
receipts    what destinations have, signed
alerts      what somebody should look at soon
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.ledger.audit import open_trail
from node.ledger.database import Database
from node.ledger.operation import Ledger

if TYPE_CHECKING:
    from node.audit.actor import Actor
    from node.config import Config

__all__ = ["Database", "Ledger", "open_ledger"]


def open_ledger(config: Config, by: Actor | None = None) -> Ledger:
    """Open the ledger of a configuration for an operator; what `by` does there is written to the audit trail.

    Raises
    ------
    NotReachable
        There is none, or it is of another version.
    """
    from node.config import columns_of

    database = Database(config.node.ledger, columns_of(config))
    database.require()
    return Ledger(database, None if by is None else open_trail(config, by))
