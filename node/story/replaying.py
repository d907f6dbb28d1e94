"""A study sent once more: the deliveries become due again, with the bytes of then.

What went is made again from its original, where that is still in the spool, with the recipe of then: the same secret,
maps and recipe give the same bytes. Where the cleaned file is still there for another destination, that is sent.

Guarantees
    Nothing is sent that is not what was sent before: replaced UIDs and the size of the data set have to be those of
    then, and the leak gate is passed once more. Files are in place and durable before the commit that makes a delivery
    due. An instance that a person discarded, that is held, or that waits already, is left as it is. What cannot be made
    again is named, with the reason, and nothing of it is changed.

What becomes of the counts: a delivery that is due again counts as waiting, and its instance as in flight, until the
destination has answered once more; then both count as delivered, once. Events and audit trail have each transfer.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import BindParameter, Select, bindparam, exists, select, text, update

from node.audit import kinds
from node.cleaner.cleaning import Cleaning
from node.cleaner.plan import Plan
from node.config import Config
from node.errors import DatasetError, HoldInstance
from node.instances import name_beside
from node.ledger import Ledger
from node.ledger.cleaning import CleaningLedger, add_deliveries
from node.ledger.copies import SUPERSEDED
from node.ledger.maps import refuse_closed
from node.ledger.names import SOP_INSTANCE_UID
from node.ledger.results import Claimed, Clean, Held
from node.ledger.schema import deliveries, derivations, instances, series
from node.ledger.schema_upkeep import recalled
from node.ledger.transactions import Row, Transaction
from node.ledger.withdrawals import is_withdrawn
from node.opening import make_spool
from node.sealing import open_original
from node.story.past import Past

_BATCH = 100
GONE = "original-gone"
"""Why an instance cannot be sent again, of a closed list: its original is gone, and no cleaned file is there."""
NOT_CLEANED, DISCARDED, NO_ROUTE, HELD, DIFFERS = "not-cleaned", "discarded", "not-of-its-route", "held", "differs"
NO_RECIPE, BUSY = "recipe-of-then", "just-delivered"
TAKEN_BACK = "recalled", "consent-withdrawn"


@dataclass(slots=True)
class Replay:
    """What a replay comes to.

    Attributes
    ----------
    destination
        Where it goes.
    again
        Ids of those that are sent again (with `dry_run`: would be).
    first
        Ids of those that the destination never got, and gets now.
    waiting
        Ids of those that wait for the destination already.
    missing
        Those that cannot be sent: id, reason, detail.
    """

    destination: str
    again: list[str] = field(default_factory=list)
    first: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    missing: list[dict[str, str]] = field(default_factory=list)

    def miss(self, row: Row, reason: str, detail: str = "") -> None:
        """Note that an instance cannot be sent."""
        self.missing.append({"id": row.id, "reason": reason, "detail": detail})


@dataclass(frozen=True, slots=True)
class _Ready:
    """An instance that can be sent; `made` is what was cleaned anew, None where its file is there."""

    row: Row
    made: Clean | None = None


def ids_delivered(
    ledger: Ledger,
    destination: str,
    *,
    since: float | None = None,
    until: float | None = None,
    route: str | None = None,
) -> list[str]:
    """Return the ids of what was delivered to a destination in a time (seconds, UTC), by a route."""
    found: list[str] = []
    last = 0
    while True:
        with ledger.database.read() as connection:
            rows = connection.execute(_DELIVERED, {"the_destination": destination, "the_last": last}).all()
        if not rows:
            return found
        last = rows[-1].seq
        found += [
            row.id
            for row in rows
            if row.state == "delivered"
            and (since is None or row.changed_at >= since)
            and (until is None or row.changed_at <= until)
            and (route is None or row.route == route)
        ]


def replay(config: Config, ledger: Ledger, ids: Sequence[str], destination: str, *, dry_run: bool = False) -> Replay:
    """Send instances to a destination once more, in the order of their reception; return what comes of it.

    Raises
    ------
    NodeError, FaultsError
        The secret or the recipes cannot be used; nothing was changed.
    LedgerError, SpoolError
        The ledger or the disk refused; what was made due until then stays so.
    """
    work = _Work(config, ledger, destination)
    rows = sorted(work.rows(ids), key=lambda row: int(row.seq))
    for start in range(0, len(rows), _BATCH):
        work.take(rows[start : start + _BATCH], dry_run=dry_run)
    return work.result


class _Work:
    def __init__(self, config: Config, ledger: Ledger, destination: str) -> None:
        self.result = Replay(destination)
        self._config = config
        self._ledger = ledger
        self._past = Past(config, ledger.database)
        self._spool = make_spool(config)
        self._destination = destination
        cleaning = CleaningLedger(ledger.database, "replay")
        self._maps = cleaning.maps
        self._cleaning = Cleaning(self._spool, cleaning, {}, config.node.ae_title, derives=False)

    def rows(self, ids: Sequence[str]) -> Iterator[Row]:
        for start in range(0, len(ids), _BATCH):
            query = _rows(self._destination).where(instances.c.id.in_(list(ids[start : start + _BATCH])))
            with self._ledger.database.read() as connection:
                yield from connection.execute(query).all()

    def take(self, rows: Sequence[Row], *, dry_run: bool) -> None:
        """Make some instances ready, and their deliveries due."""
        try:
            free = [row for row in rows if not self._is_taken_back(row)]
            ready = [one for row in free if (one := self._ready(row)) is not None]
        except BaseException:
            self._cleaning.forget()
            raise
        if dry_run:
            self._cleaning.forget()
            for one in ready:
                self._note(one.row)
            return
        self._cleaning.publish()
        with self._ledger.database.write(durable=True) as connection:
            done = [one.row for one in ready if self._make_due(connection, one)]
            self._tell(connection, done)
        for row in done:
            self._note(row)

    def _note(self, row: Row) -> None:
        (self.result.again if row.delivery_state == "delivered" else self.result.first).append(row.id)

    def _is_taken_back(self, row: Row) -> bool:
        """Whether an instance was recalled as it is, or its subject has withdrawn consent; which is noted."""
        with self._ledger.database.read() as connection:
            withdrawn = is_withdrawn(connection, row.project, row.whose)
        if row.is_recalled:
            self.result.miss(row, TAKEN_BACK[0], "mend the recipe: deid-node recall --send-again")
        elif withdrawn:
            self.result.miss(row, TAKEN_BACK[1])
        return withdrawn or bool(row.is_recalled)

    def _ready(self, row: Row) -> _Ready | None:
        """Return an instance that can be sent; None where it cannot, which is noted."""
        route = self._past.route(row.route)
        if row.state == "excluded" or row.delivery_reason == SUPERSEDED:
            return None  # a rule does not want it, or another copy has taken its place: that one is sent
        if row.state != "cleaned":
            self.result.miss(row, DISCARDED if row.state == "discarded" else NOT_CLEANED, f"it is {row.state}")
        elif route is None or self._destination not in route.to:
            self.result.miss(row, NO_ROUTE, f"its route {row.route} does not go there")
        elif row.delivery_state == "due":
            self.result.waiting.append(row.id)
        elif row.delivery_state == "held":
            self.result.miss(row, HELD, "its delivery is held: deid-node held release")
        elif row.delivery_state == "discarded":
            self.result.miss(row, DISCARDED)
        elif self._is_there(row):
            return _Ready(row)
        else:
            return self._made(row)
        return None

    def _is_there(self, row: Row) -> bool:
        """Whether another delivery still needs what would be sent, so that it is there."""
        if not row.is_open:
            return False
        return bool(row.is_derived) or self._spool.cleaned_file(row.id).exists()

    def _made(self, row: Row) -> _Ready | None:
        """Clean an instance once more, as it was cleaned then."""
        path = self._past.original(row.id)
        if path is None:
            self.result.miss(row, GONE)
            return None
        if self._spool.cleaned_file(row.id).exists():
            # Whoever is about to remove it would remove the new one.
            self.result.miss(row, BUSY, "its file of the last delivery is about to be removed: again in a minute")
            return None
        if not row.recipe_hash:
            self.result.miss(row, NO_RECIPE, "which it was is not known")
            return None
        try:
            plan = self._past.plan_of_then(row.route, row.recipe_hash)
            assert plan is not None  # its route is there
            plan = replace(plan, alone=row.asked_recipe is not None)
            self._spool.check_room(row.size)
            with contextlib.closing(open_original(path, row.id, self._config.node.sealing)) as original:
                claimed, beside = _claimed(self._ledger, row), _beside(self._ledger, row, plan)
                result = self._cleaning.again(claimed, plan, original, beside)
        except HoldInstance as hold:
            self.result.miss(row, NO_RECIPE, hold.detail)
        except (DatasetError, OSError) as error:
            self.result.miss(row, GONE, type(error).__name__)
        else:
            return self._compared(row, result)
        return None

    def _compared(self, row: Row, result: object) -> _Ready | None:
        """Return what was made where it is what was sent then."""
        if isinstance(result, Held):
            self.result.miss(row, DIFFERS, f"with the configuration of now it would be held: {result.reason}")
        elif not isinstance(result, Clean):
            self.result.miss(row, DIFFERS, "with the configuration of now it would be excluded")
        elif (result.sop_instance_uid, result.size - result.offset) != (
            row.clean_sop_instance_uid,
            row.clean_size - row.clean_offset,
        ):
            self._cleaning.drop(row.id)
            self.result.miss(row, DIFFERS, "it would not be what was sent then: key epoch or program have changed")
        else:
            return _Ready(row, result)
        return None

    def _make_due(self, connection: Transaction, ready: _Ready) -> bool:
        """Make the delivery due where all is as it was; say whether it is."""
        row, now = ready.row, time.time()
        if is_withdrawn(connection, row.project, row.whose):
            self.result.miss(row, TAKEN_BACK[1])
            return False
        if ready.made is None and connection.execute(_OPEN, {"the_seq": row.seq}).first() is None:
            self.result.miss(row, BUSY, "it was delivered elsewhere just now: again in a minute")
            return False
        if row.delivery_state is None:
            add_deliveries(connection, row.seq, [self._destination], now)
        elif not connection.execute(_AGAIN, {"the_seq": row.delivery, "at": now}).rowcount:
            return False
        if ready.made is not None:
            place = {"clean_size": ready.made.size, "clean_offset": ready.made.offset}
            connection.execute(_MADE, {"the_seq": row.seq, **place})
            refuse_closed(connection, row.project)
            self._maps.write(connection, row.project, ready.made.handed)
        return True

    def _tell(self, connection: Transaction, rows: Sequence[Row]) -> None:
        trail = self._ledger.trail
        if trail is None:
            return
        studies: dict[tuple[str, str], int] = {}
        for row in rows:
            key = row.project, row.keyed_study or row.study or ""
            studies[key] = studies.get(key, 0) + 1
        for (project, study), count in studies.items():
            message = kinds.sent_again(trail.source, trail.by, self._destination, study, project, count)
            trail.append(connection, message)


def _claimed(ledger: Ledger, row: Row) -> Claimed:
    """The instance as a cleaner sees it: with what a person decided about it."""
    uid = ledger.database.columns.open(SOP_INSTANCE_UID, row.project, row.sop_instance_uid)
    values = {name: getattr(row, name) for name in _AS_CLAIMED}
    return Claimed(**values, sop_instance_uid=uid, strikes=0)


def _beside(ledger: Ledger, row: Row, plan: Plan) -> str:
    """What it was called where it went out beside another copy; else empty."""
    uid = ledger.database.columns.open(SOP_INSTANCE_UID, row.project, row.sop_instance_uid)
    name = name_beside(uid, row.digest)
    return name if plan.scope.keys.uid(name) == row.clean_sop_instance_uid else ""


def _rows(destination: str) -> Select[Any]:
    """Instances, each with its delivery to a destination, where there is one."""
    mine = (deliveries.c.instance == instances.c.seq) & (deliveries.c.destination == destination)
    return (
        select(
            *(instances.c[name] for name in (*_AS_CLAIMED, "sop_instance_uid", "state", "study", "size", "whose")),
            instances.c.clean_sop_instance_uid,
            instances.c.clean_size,
            instances.c.clean_offset,
            series.c.study.label("keyed_study"),
            deliveries.c.seq.label("delivery"),
            deliveries.c.state.label("delivery_state"),
            deliveries.c.reason.label("delivery_reason"),
            _IS_OPEN.label("is_open"),
            _IS_DERIVED.label("is_derived"),
            exists()
            .where(
                recalled.c.instance == instances.c.seq,
                recalled.c.destination == destination,
                recalled.c.recipe_hash == instances.c.recipe_hash,
            )
            .label("is_recalled"),
        )
        .select_from(instances)
        .join(series, series.c.seq == instances.c.series, isouter=True)
        .join(deliveries, mine, isouter=True)
    )


_AS_CLAIMED = (
    "seq",
    "id",
    "route",
    "project",
    "sop_class_uid",
    "transfer_syntax_uid",
    "received_at",
    "detail",
    "recipe_hash",
    "digest",
    "decision",
    "asked_recipe",
)
_SEQ: BindParameter[int] = bindparam("the_seq")
_ANY = deliveries.alias("any")
_IS_OPEN = exists().where(_ANY.c.instance == instances.c.seq, _ANY.c.state.in_(("due", "held")))
_IS_DERIVED = exists().where(derivations.c.instance == instances.c.seq)
_DELIVERED = (
    select(deliveries.c.seq, deliveries.c.state, deliveries.c.changed_at, instances.c.id, instances.c.route)
    .join(instances, instances.c.seq == deliveries.c.instance)
    .where(deliveries.c.destination == bindparam("the_destination"), deliveries.c.seq > bindparam("the_last"))
    .order_by(deliveries.c.seq)
    .limit(5000)
)
_OPEN = select(deliveries.c.seq).where(deliveries.c.instance == _SEQ, text("state IN ('due', 'held')")).limit(1)
_AGAIN = (
    update(deliveries)
    .where(deliveries.c.seq == _SEQ, deliveries.c.state == "delivered")
    .values(
        state="due",
        due_at=bindparam("at"),
        changed_at=bindparam("at"),
        tries=0,
        refused=0,
        status=None,
        reason=None,
        detail=None,
        last_error=None,
        lease_owner=None,
    )
)
_MADE = update(instances).where(instances.c.seq == _SEQ)
