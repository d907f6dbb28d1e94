"""Letting what is held for cleaning be cleaned again: what its row becomes, whoever decided so."""

from __future__ import annotations

import time

from sqlalchemy import ColumnElement, update

from node.ledger.schema import instances
from node.ledger.transactions import Transaction


def clean_again(connection: Transaction, instance_id: str, which: ColumnElement[bool], **values: object) -> int:
    """Put an instance that is held for cleaning back among those to be cleaned, at once; return how many: one or none.

    `which` says for what reasons it may be held; `values` are written as well.
    """
    now = time.time()
    back = {"state": "received", "outcome": "in_flight", "reason": None, "strikes": 0, "lease_owner": None}
    query = update(instances).where(instances.c.id == instance_id, instances.c.state == "held").where(which)
    return connection.execute(query.values(**back, due_at=now, changed_at=now, **values)).rowcount
