"""Rows for received instances: one commit serves all that wait for it.

Guarantees
    When `add` returns, the row is on stable storage. When it raises LedgerError, there is no row; when it raises
    LedgerUncertain, that is not known, and the file must stay.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import delete, select
from sqlalchemy.dialects.sqlite import insert as upsert

from node.errors import LedgerUncertain
from node.grouping import Group
from node.ledger.database import Database
from node.ledger.meters import REFUSED, Meter, add
from node.ledger.names import SOP_INSTANCE_UID
from node.ledger.schema import instances, refusals
from node.sealing import Columns

CONTEXT = "presentation-context"  # the kind of refusal that is about a UID
_MOST_REFUSALS = 5000


class Received(NamedTuple):
    """One instance as it came: who sent it, what the command said, how many bytes, and their digest.

    `certificate` are the names in the sender's; None where it showed none.
    """

    id: str
    received_at: float
    project: str
    route: str
    calling_ae_title: str
    called_ae_title: str
    address: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    size: int
    digest: bytes
    certificate: str | None = None

    def row(self, columns: Columns) -> dict[str, object]:
        """The row's values, as they stand in its columns; a new instance is received and at once due."""
        at = self.received_at
        values = self.sealed(columns)._asdict()
        return {**values, "changed_at": at, "state": "received", "outcome": "in_flight", "due_at": at}

    def sealed(self, columns: Columns) -> Received:
        """The same, what names the object of the original as it stands in its column."""
        return self._replace(sop_instance_uid=columns.seal(SOP_INSTANCE_UID, self.project, self.sop_instance_uid))


# The same row, of the instance itself: on the way of each instance no mapping is made of it.
_NEW = (
    f"INSERT INTO {instances.name} ({', '.join(Received._fields)}, changed_at, state, outcome, due_at) "  # noqa: S608 — the program's own names
    f"VALUES ({', '.join(f'?{place + 1}' for place in range(len(Received._fields)))}, ?2, 'received', 'in_flight', ?2)"
)


class GroupCommit:
    """Shares commits among the threads of a process: who gets the turn commits for all that wait."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.group: Group[Received] = Group(
            self._commit, lambda: LedgerUncertain("the ledger's commit was interrupted")
        )

    def add(self, received: Received) -> None:
        """Write the row of an instance and return when it is durable.

        Raises
        ------
        LedgerError
            The ledger refused; there is no row.
        LedgerUncertain
            The commit failed; there may be a row.
        """
        self.group.join(received)

    def _commit(self, batch: Sequence[Received]) -> None:
        columns = self.database.columns
        rows = [received.sealed(columns) for received in batch] if columns.active else batch
        with self.database.write(durable=True) as connection:
            connection.driver.executemany(_NEW, rows)


def known_ids(database: Database, ids: Iterable[str]) -> set[str]:
    """Those of `ids` that the ledger has a row for."""
    with database.read() as connection:
        return set(connection.execute(select(instances.c.id).where(instances.c.id.in_(list(ids)))).scalars())


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that a peer asked for and did not get; `about` is the abstract syntax of a presentation context, else
    the names in the peer's certificate, where it has shown one; `syntaxes` are the context's transfer syntaxes.
    """

    kind: str
    calling_ae_title: str
    called_ae_title: str
    address: str
    about: str = ""
    syntaxes: str = ""


_REFUSED = upsert(refusals)
_COUNTED = _REFUSED.on_conflict_do_update(
    index_elements=list(refusals.primary_key),
    set_={
        "n": refusals.c.n + _REFUSED.excluded.n,
        "last_at": _REFUSED.excluded.last_at,
        "syntaxes": _REFUSED.excluded.syntaxes,
    },
)
_LAST_KEPT = select(refusals.c.last_at).order_by(refusals.c.last_at.desc()).offset(_MOST_REFUSALS).limit(1)
_TOO_MANY = delete(refusals).where(refusals.c.last_at < _LAST_KEPT.scalar_subquery())


def count_refusals(database: Database, counts: dict[Refusal, int]) -> None:
    """Add to the counts of what was refused; a lost commit loses counts only.

    Of kinds that were never refused again the oldest go: whoever calls itself something else each time must not fill
    the ledger.
    """
    if not counts:
        return
    now = time.time()
    rows = [
        {
            "kind": refusal.kind,
            "calling_ae_title": refusal.calling_ae_title,
            "called_ae_title": refusal.called_ae_title,
            "address": refusal.address,
            "uid": refusal.about,
            "n": n,
            "last_at": now,
            "first_at": now,
            "syntaxes": refusal.syntaxes or None,
        }
        for refusal, n in counts.items()
    ]
    # Their rows may go; these numbers only grow.
    kinds = Counter[str]()
    for refusal, n in counts.items():
        kinds[refusal.kind] += n
    with database.write(durable=False) as connection:
        add(connection, {(REFUSED, kind, 0): Meter(n, 0.0, now) for kind, n in kinds.items()})
        connection.execute(_COUNTED, rows)
        connection.execute(_TOO_MANY)
