"""Rows for received instances: one commit serves all that wait for it.

Guarantees
    When `add` returns, the row is on stable storage. When it raises LedgerError, there is no row; when it raises
    LedgerUncertain, that is not known, and the file must stay.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import insert, select
from sqlalchemy.dialects.sqlite import insert as upsert

from node.errors import LedgerError, LedgerUncertain
from node.ledger.database import Database
from node.ledger.schema import instances, refusals

_NEW = insert(instances)


@dataclass(frozen=True, slots=True)
class Received:
    """One instance as it came: who sent it, what the command said, how many bytes, and their SHA-256."""

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

    def row(self) -> dict[str, object]:
        """The row's values; a new instance is received and at once due."""
        return {
            "id": self.id,
            "received_at": self.received_at,
            "changed_at": self.received_at,
            "project": self.project,
            "route": self.route,
            "calling_ae_title": self.calling_ae_title,
            "called_ae_title": self.called_ae_title,
            "address": self.address,
            "sop_class_uid": self.sop_class_uid,
            "sop_instance_uid": self.sop_instance_uid,
            "transfer_syntax_uid": self.transfer_syntax_uid,
            "size": self.size,
            "digest": self.digest,
            "state": "received",
            "outcome": "in_flight",
            "due_at": self.received_at,
        }


@dataclass(slots=True)
class _Waiting:
    received: Received
    done: bool = False
    error: LedgerError | None = None


@dataclass(slots=True)
class GroupCommit:
    """Shares commits among the threads of a process: who gets the turn commits for all that wait."""

    database: Database
    _waiting: list[_Waiting] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def add(self, received: Received) -> None:
        """Write the row of an instance and return when it is durable.

        Raises
        ------
        LedgerError
            The ledger refused; there is no row.
        LedgerUncertain
            The commit failed; there may be a row.
        """
        mine = _Waiting(received)
        with self._guard:
            self._waiting.append(mine)
        with self._turn:
            if not mine.done:
                with self._guard:
                    batch, self._waiting = self._waiting, []
                self._commit(batch)
        if mine.error is not None:
            raise type(mine.error)(*mine.error.args)

    def _commit(self, batch: list[_Waiting]) -> None:
        error: LedgerError | None = LedgerUncertain("the ledger's commit was interrupted")
        try:
            with self.database.write(durable=True) as connection:
                connection.execute(_NEW, [waiting.received.row() for waiting in batch])
            error = None
        except LedgerError as caught:
            error = caught
        finally:
            for waiting in batch:
                waiting.done, waiting.error = True, error


def known_ids(database: Database, ids: Iterable[str]) -> set[str]:
    """Those of `ids` that the ledger has a row for."""
    with database.read() as connection:
        return set(connection.execute(select(instances.c.id).where(instances.c.id.in_(list(ids)))).scalars())


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that a peer asked for and did not get."""

    kind: str
    calling_ae_title: str
    called_ae_title: str
    address: str
    uid: str = ""


def count_refusals(database: Database, counts: dict[Refusal, int]) -> None:
    """Add to the counts of what was refused; a lost commit loses counts only."""
    now = time.time()
    with database.write(durable=False) as connection:
        for refusal, n in counts.items():
            statement = upsert(refusals).values(
                kind=refusal.kind,
                calling_ae_title=refusal.calling_ae_title,
                called_ae_title=refusal.called_ae_title,
                address=refusal.address,
                uid=refusal.uid,
                n=n,
                last_at=now,
            )
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=list(refusals.primary_key),
                    set_={"n": refusals.c.n + n, "last_at": now},
                )
            )
