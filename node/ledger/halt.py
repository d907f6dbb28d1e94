"""Forwarding as a whole: stopped, and let go again.

Guarantees
    A stop is in the ledger, with its audit entry, when `stop` returns, and holds over restarts and for destinations
    that are added later. No lane begins with an instance after that: each asks before each instance. Reception,
    cleaning and holding do not ask. The reason is for people at the node: it is neither in the audit trail nor logged.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, update

from node.audit import kinds
from node.ledger.database import Database
from node.ledger.schema import deliveries, meta
from node.ledger.times import iso
from node.ledger.transactions import Transaction

if TYPE_CHECKING:
    from node.ledger.audit import Trail

STOPPED = "forwarding_stopped"
"""The key of `meta` that is there as long as nothing is to be sent."""

_STOPPED = select(meta.c.value).where(meta.c.key == STOPPED)
_LONGEST_REASON = 500


def stopped(connection: Transaction) -> dict[str, Any] | None:
    """Return since when nothing is sent (`since`, ISO) and why (`reason`); None where forwarding goes on."""
    text = connection.execute(_STOPPED).scalar()
    if text is None:
        return None
    found = json.loads(text)
    return {"since": iso(found["at"]), "at": found["at"], "reason": found["reason"]}


def stop(database: Database, trail: Trail | None, reason: str = "") -> bool:
    """Let nothing be sent any more, to no destination; False where that was so already, and nothing is changed.

    Raises
    ------
    LedgerError
        The ledger refused; forwarding goes on.
    """
    value = json.dumps({"at": time.time(), "reason": reason[:_LONGEST_REASON]})
    with database.write(durable=True) as connection:
        if connection.execute(_STOPPED).first() is not None:
            return False
        connection.execute(insert(meta).values(key=STOPPED, value=value))
        _tell(connection, trail, is_stopped=True)
    return True


def go(database: Database, trail: Trail | None) -> bool:
    """Let everything be sent again, at once; False where nothing was stopped. Destinations that are paused stay so.

    Raises
    ------
    LedgerError
        The ledger refused; nothing is sent.
    """
    now = time.time()
    with database.write(durable=True) as connection:
        if not connection.execute(delete(meta).where(meta.c.key == STOPPED)).rowcount:
            return False
        late = update(deliveries).where(deliveries.c.state == "due", deliveries.c.due_at > now)
        connection.execute(late.values(due_at=now))
        _tell(connection, trail, is_stopped=False)
    return True


def _tell(connection: Transaction, trail: Trail | None, *, is_stopped: bool) -> None:
    if trail is not None:
        trail.append(connection, kinds.stopped_all(trail.source, trail.by, is_stopped=is_stopped))
