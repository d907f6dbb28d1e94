"""What the ledger holds that somebody should look at soon, for `status`.

Guarantees that it costs no more than there is to tell, and that it holds no value of a data set.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select, text

from node.ledger.schema import instances
from node.ledger.times import iso
from node.ledger.transactions import Transaction

_MEANING = {
    "patient-corrected": "of another patient or study than what came before under the same UID",
    "rejection-note": "a source says that images are not to be used",
}


def alerts(connection: Transaction) -> list[dict[str, Any]]:
    """Return for each kind how many instances are held for it, since when, and what it means."""
    return [
        {"kind": row.reason, "instances": row.n, "since": iso(row.since), "meaning": _MEANING[row.reason]}
        for row in connection.execute(_ALERTING)
    ]


_ALERTING = (
    select(instances.c.reason, func.count().label("n"), func.min(instances.c.changed_at).label("since"))
    .where(text("state = 'held' AND reason IN ('patient-corrected', 'rejection-note')"))
    .group_by(instances.c.reason)
    .order_by(instances.c.reason)
)
