"""The ledger: the one database, which is the queue, the record and the maps.

database    opening, transactions, migrations
schema      the tables
leases      what a claim is
reception   rows for what was received
cleaning    claims and results of cleaning, the maps
copies      the other copies of an instance, and what a rejection note speaks of
sending     claims and settlements of deliveries, the state of destinations
operation   what people ask and change
alerts      what somebody should look at soon
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.ledger.database import Database
from node.ledger.operation import Ledger

if TYPE_CHECKING:
    from node.config import Config

__all__ = ["Database", "Ledger", "open_ledger"]


def open_ledger(config: Config, readonly: bool = True) -> Ledger:  # noqa: ARG001 -- reading and writing use one way
    """Open the ledger of a configuration for an operator.

    Raises
    ------
    NotReachable
        There is none, or it is of another version.
    """
    database = Database(config.node.ledger)
    database.require()
    return Ledger(database)
