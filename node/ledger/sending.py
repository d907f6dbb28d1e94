"""Claims and settlements of deliveries, and the state of destinations.

Guarantees
    A delivery is settled only by the owner of its lease. `settle` tells which instances are done with; their files may
    go when that is durable: after a durable `settle` or `harden`, whichever comes first. Everything else about a
    destination (a pause, the next try) may be lost in a power cut, and only costs another try.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Float, Select, and_, bindparam, delete, func, or_, select, text, update
from sqlalchemy.dialects.sqlite import insert as upsert

from node.derived import Derived
from node.errors import HoldReason
from node.ledger.database import Database
from node.ledger.halt import STOPPED, stopped
from node.ledger.leases import LEASE_SECONDS, LONGEST_DELAY, is_free
from node.ledger.schema import deliveries, delivery_tallies, derivations, destinations, instances, meta
from node.ledger.transactions import Row, Transaction

_SAME_CONTENT = (
    "project",
    "sop_instance_uid",
    "digest",
    "size",
    "transfer_syntax_uid",
    "recipe_hash",
    "clean_sop_instance_uid",  # a copy may have gone out beside the first one, under a UID of its own
)
_BEHIND_SECONDS = 5.0  # between looks at all that waits


@dataclass(frozen=True, slots=True)
class Due:
    """One instance to be sent to one destination: its cleaned file from `offset`, or what is `derived`."""

    seq: int
    instance: int
    id: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    size: int
    offset: int
    tries: int
    refused: int
    offered_before: int
    derived: Derived | None = None


class Way(StrEnum):
    """Whether a claimed delivery may be sent now."""

    OPEN = "open"
    CLOSED = "closed"  # forwarding is stopped, for all destinations
    TAKEN = "taken"  # somebody has recalled or revoked it since it was claimed


class Verdict(StrEnum):
    """What became of one try."""

    DELIVERED = "delivered"
    AGAIN = "again"
    REFUSED = "refused"
    HELD = "held"
    UNTOUCHED = "untouched"


@dataclass(frozen=True, slots=True)
class Settlement:
    """The verdict on a claimed delivery; `delay` is in seconds, `status` a DIMSE status (PS3.7 annex C).

    `sent` says that its whole data set went out, so that the destination may have it though it gave no status.
    """

    due: Due
    verdict: Verdict
    delay: float = 0.0
    status: int | None = None
    error: str | None = None
    reason: HoldReason | None = None
    detail: str = ""
    sent: bool = False


@dataclass(frozen=True, slots=True)
class DestinationState:
    """What the ledger knows of a destination; times in seconds, UTC."""

    paused: bool = False
    failures: int = 0
    next_try: float | None = None
    last_error: str | None = None
    stopped: bool = False


@dataclass(slots=True)
class SendingLedger:
    """What a forwarder asks of the ledger for one destination.

    `longest_delay` is the longest that a delivery ever waits there, in seconds: one that is due later than that was
    written before the clock was set back, and is due now.
    """

    database: Database
    destination: str
    longest_delay: float = LONGEST_DELAY
    _behind_at: float = -math.inf

    def claim(self, owner: str, limit: int) -> list[Due]:
        """Take up to `limit` due deliveries, longest due first."""
        bound = {
            "now": time.time(),
            "longest": self.longest_delay,
            "the_owner": owner,
            "the_destination": self.destination,
            "the_limit": limit,
        }
        with self.database.read() as connection:
            query = self._query(connection, bound | {"the_limit": 1})
        if query is None:
            return []
        with self.database.write(durable=False) as connection:
            rows = connection.execute(query, bound).all()
            if rows:
                until = time.time() + LEASE_SECONDS
                connection.execute(
                    _CLAIM,
                    [{"the_seq": row.seq, "lease_owner": owner, "lease_until": until} for row in rows],
                )
        return [_due(row) for row in rows]

    def _query(self, connection: Transaction, bound: dict[str, object]) -> Select[Any] | None:
        """What finds something that is due; None where there is nothing.

        What only seems to be due later, since the clock was set back, is among all that waits for a destination, which
        may be a hundred thousand: it is looked for now and then.
        """
        if connection.execute(_DUE, bound).first() is not None:
            return _DUE
        now = time.monotonic()
        if now - self._behind_at < _BEHIND_SECONDS:
            return None
        self._behind_at = now
        return _BEHIND if connection.execute(_BEHIND, bound).first() is not None else None

    def way(self, owner: str, due: Due) -> Way:
        """Whether `owner` may send what it has claimed: asked in front of each instance, of the ledger as it is."""
        with self.database.read(once=True) as connection:
            row = connection.execute(_WAY, {"the_seq": due.seq, "the_owner": owner}).first()
        if row is None:
            return Way.TAKEN
        return Way.OPEN if row.stopped is None else Way.CLOSED

    def settle(self, owner: str, settlements: Sequence[Settlement], *, durable: bool = True) -> list[Due]:
        """Write the verdicts in one commit; return the instances that no delivery needs any more.

        What was recalled or revoked while it was being sent is delivered all the same, if the destination took it.
        """
        now = time.time()
        delivered = []
        with self.database.write(durable=durable) as connection:
            for settlement in settlements:
                values = _values(settlement, owner, now)
                if not connection.execute(_MINE, values).rowcount:
                    connection.execute(_LATE, _late(settlement, values))
                elif settlement.verdict is Verdict.DELIVERED:
                    delivered.append(settlement.due)
            done = finish(connection, [due.instance for due in delivered])
            if delivered:
                connection.execute(_SUCCESS, {"name": self.destination, "last_success_at": now})
        return [due for due in delivered if due.instance in done]

    def harden(self) -> None:
        """Make durable whatever was committed before, and note that the destination answers."""
        self._note(durable=True, last_success_at=time.time())

    def offered_content(self, due: Due) -> bool:
        """Whether the very bytes of this instance were offered to the destination as another instance.

        The same original under the same recipe gives the same bytes, so that these two tell.
        """
        mine, other = instances.alias("mine"), instances.alias("other")
        query = (
            select(deliveries.c.seq)
            .select_from(mine)
            .join(other, and_(*(mine.c[name] == other.c[name] for name in _SAME_CONTENT)))
            .join(deliveries, deliveries.c.instance == other.c.seq)
            .where(mine.c.seq == due.instance, other.c.seq != due.instance, text("other.repeat < 2"))
            .where(func.length(mine.c.digest) > 0)  # those of which nothing is known are not alike
            .where(deliveries.c.destination == self.destination, deliveries.c.offered == 1)
        )
        with self.database.read() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def state(self) -> DestinationState:
        """The destination's state."""
        with self.database.read() as connection:
            row = connection.execute(select(destinations).where(destinations.c.name == self.destination)).first()
            is_stopped = stopped(connection) is not None
        if row is None:
            return DestinationState(stopped=is_stopped)
        return DestinationState(bool(row.paused), row.failures, row.next_try, row.last_error, is_stopped)

    def unreachable(self, failures: int, next_try: float, error: str) -> None:
        """Note that the destination could not be reached, and when it is tried again (seconds, UTC)."""
        now = time.time()
        values: dict[str, object] = {"failing_since": now} if failures == 1 else {}
        values |= {"failures": failures, "next_try": next_try, "last_error": error, "last_error_at": now}
        self._note(durable=False, **values)

    def reached(self) -> None:
        """Note that the destination answers."""
        self._note(failures=0, next_try=None, last_error=None, failing_since=None, last_success_at=time.time())

    def _note(self, *, durable: bool = False, **values: object) -> None:
        with self.database.write(durable=durable) as connection:
            statement = upsert(destinations).values(name=self.destination, **values)
            connection.execute(statement.on_conflict_do_update(index_elements=[destinations.c.name], set_=values))


def finish(connection: Transaction, seqs: Iterable[int]) -> set[int]:
    """Return the instances among these that no delivery needs any more; what was derived for them is forgotten."""
    done = [seq for seq in seqs if connection.execute(_OPEN, {"the_instance": seq}).first() is None]
    if done:
        connection.execute(_NO_LONGER_DERIVED, [{"the_instance": seq} for seq in done])
    return set(done)


def renew_leases(database: Database, owner: str) -> None:
    """Lengthen the leases of all lanes of `owner`, so that nobody else takes what is slowly being sent."""
    mine = deliveries.c.lease_owner.startswith(f"{owner}/", autoescape=True)
    with database.read() as connection:
        held = connection.execute(select(deliveries.c.seq).where(deliveries.c.lease_owner.is_not(None), mine).limit(1))
        if held.first() is None:
            return
    with database.write(durable=False) as connection:
        connection.execute(
            update(deliveries)
            .where(deliveries.c.lease_owner.is_not(None), mine, deliveries.c.state == "due")
            .values(lease_until=time.time() + LEASE_SECONDS)
        )


def hold_gone(database: Database, known: Collection[str]) -> dict[str, int]:
    """Hold what waits for destinations that the configuration no longer has; return how many, by destination."""
    query = select(delivery_tallies.c.destination).where(
        delivery_tallies.c.state == "due", delivery_tallies.c.n > 0, delivery_tallies.c.destination.not_in(list(known))
    )
    with database.read() as connection:
        gone = list(connection.execute(query).scalars())
    held: dict[str, int] = {}
    for name in gone:
        now = time.time()
        with database.write(durable=True) as connection:
            held[name] = connection.execute(
                update(deliveries)
                .where(deliveries.c.destination == name, deliveries.c.state == "due")
                .where(is_free(deliveries.c.lease_owner, deliveries.c.lease_until))
                .values(
                    state="held",
                    reason=str(HoldReason.DESTINATION_GONE),
                    detail=f"the configuration has no destination {name}",
                    changed_at=now,
                    lease_owner=None,
                ),
                {"now": now, "the_owner": ""},
            ).rowcount
    return held


def _due(row: Row) -> Due:
    values: list[Any] = list(row)
    derived = values[-4:]
    return Due(*values[:-4], *([] if derived[0] is None else [Derived(*derived)]))


def _values(settlement: Settlement, owner: str, now: float) -> dict[str, object]:
    due = settlement.due
    values: dict[str, object] = {"the_seq": due.seq, "the_owner": owner, "lease_owner": None, "changed_at": now}
    match settlement.verdict:
        case Verdict.DELIVERED:
            values |= {"state": "delivered", "status": settlement.status, "tries": due.tries + 1}
        case Verdict.HELD:
            values |= {
                "state": "held",
                "status": settlement.status,
                "reason": str(settlement.reason),
                "detail": settlement.detail,
                "tries": due.tries + 1,
            }
        case Verdict.AGAIN | Verdict.REFUSED:
            values |= {
                "due_at": now + settlement.delay,
                "status": settlement.status,
                "tries": due.tries + 1,
                "refused": due.refused + (settlement.verdict is Verdict.REFUSED),
            }
    if settlement.sent or settlement.status is not None:
        # Only then may a later 0111H be taken for an answer to us. After a death nobody knows what went out.
        values["offered"] = 1
    if settlement.error is not None:
        values["last_error"] = settlement.error
    return values


def _late(settlement: Settlement, values: dict[str, object]) -> dict[str, object]:
    """What is written of a delivery that is no longer due: that it was delivered, or that nobody sends it any more."""
    late = {key: values[key] for key in ("the_seq", "the_owner", "lease_owner", "changed_at")}
    if settlement.verdict is Verdict.DELIVERED:
        gone = {"reason": None, "detail": None}
        late |= {"state": "delivered", "status": settlement.status, "tries": settlement.due.tries + 1, **gone}
    if "offered" in values:
        late["offered"] = 1
    return late


_ANSWERED = upsert(destinations)
_SUCCESS = _ANSWERED.on_conflict_do_update(
    index_elements=[destinations.c.name], set_={"last_success_at": _ANSWERED.excluded.last_success_at}
)
_NOW: ColumnElement[Any] = bindparam("now", type_=Float)
# What was never tried waits for nothing, whatever its time says, and nothing waits longer than it ever would: both
# only look later than now because the clock was set back.
_SEEMS_LATER = or_(
    deliveries.c.tries == 0,
    deliveries.c.due_at > _NOW + bindparam("longest", type_=Float),
)
_WAITING = (
    select(
        deliveries.c.seq,
        deliveries.c.instance,
        instances.c.id,
        instances.c.clean_sop_class_uid,
        instances.c.clean_sop_instance_uid,
        instances.c.clean_transfer_syntax_uid,
        instances.c.clean_size,
        instances.c.clean_offset,
        deliveries.c.tries,
        deliveries.c.refused,
        deliveries.c.offered,
        derivations.c.before,
        derivations.c.start,
        derivations.c.length,
        derivations.c.after,
    )
    .join(instances, instances.c.seq == deliveries.c.instance)
    .join(derivations, derivations.c.instance == deliveries.c.instance, isouter=True)
    .where(deliveries.c.destination == bindparam("the_destination"), deliveries.c.state == "due")
    .where(is_free(deliveries.c.lease_owner, deliveries.c.lease_until))
    .order_by(deliveries.c.due_at, deliveries.c.seq)
    .limit(bindparam("the_limit"))
)
_DUE, _BEHIND = _WAITING.where(deliveries.c.due_at <= _NOW), _WAITING.where(_SEEMS_LATER)
_CLAIM = update(deliveries).where(deliveries.c.seq == bindparam("the_seq"))
_OPEN = (
    select(deliveries.c.seq)
    .where(deliveries.c.instance == bindparam("the_instance"))
    .where(or_(deliveries.c.state == "due", deliveries.c.state == "held"))
    .limit(1)
)
_NO_LONGER_DERIVED = delete(derivations).where(derivations.c.instance == bindparam("the_instance"))
_MINE = update(deliveries).where(
    deliveries.c.seq == bindparam("the_seq"),
    deliveries.c.lease_owner == bindparam("the_owner"),
    deliveries.c.state == "due",
)
_LATE = update(deliveries).where(
    deliveries.c.seq == bindparam("the_seq"),
    deliveries.c.lease_owner == bindparam("the_owner"),
    deliveries.c.state != "due",
)
_WAY = select(select(meta.c.value).where(meta.c.key == STOPPED).scalar_subquery().label("stopped")).where(
    deliveries.c.seq == bindparam("the_seq"),
    deliveries.c.lease_owner == bindparam("the_owner"),
    deliveries.c.state == "due",
)
