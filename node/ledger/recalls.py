"""Recalls: what was to be taken back, where it had gone, and what is sent again in its place.

Guarantees
    What waits of a recall is held in the commit that begins it. What went out is written down as it was delivered, so
    that the lists for the destinations can be made again. An instance that is cleaned again goes to the destinations
    that it was recalled from, under the UIDs that it had, and to no other; one that still waits for its turn is marked
    in the ledger alone (`recalled.again`), so that nothing is forgotten over a restart.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import bindparam, case, delete, func, insert, or_, select, text, update

from node.audit import kinds
from node.errors import DrillError, HoldReason
from node.ledger.database import Database
from node.ledger.impact import DELIVERED, PERHAPS, Item
from node.ledger.schema import deliveries, derivations, events, instances, sent_series
from node.ledger.schema_upkeep import recalled, recalls
from node.ledger.times import iso
from node.ledger.transactions import Transaction
from node.spool import Spool

if TYPE_CHECKING:
    from node.ledger.audit import Trail

RECALLED = str(HoldReason.RECALLED)
_BATCH = 200
_TO_CLEAN, _SENT_AGAIN, _GONE = 1, 2, 3


class Recalled(NamedTuple):
    """As what an instance went out that is to be cleaned again: SOP Instance UID, recipe, version of the program.

    `at` is when it went, in seconds, UTC.
    """

    uid: str
    recipe: str
    engine: str | None
    at: float


def begin(
    database: Database, trail: Trail | None, filters: Mapping[str, Any], items: Sequence[Item], *, send_again: bool
) -> int:
    """Begin a recall: hold what waits of it, durably; return its number.

    What a lane is just sending keeps its lease until it is settled: `leased` tells.
    """
    now = time.time()
    waiting = [item for item in items if item.waits]
    went = sum(item.state in (DELIVERED, PERHAPS) for item in items)
    with database.write(durable=True) as connection:
        row = {"at": now, "filters": json.dumps(dict(filters), sort_keys=True), "send_again": int(send_again)}
        number = int(connection.execute(insert(recalls).values(**row).returning(recalls.c.seq)).scalar())
        if waiting:
            held = {"detail": f"recall {number}", "changed_at": now}
            connection.execute(_HOLD, [{"the_seq": item.delivery, **held} for item in waiting])
        if trail is not None:
            said = f"recall {number}: {went} delivered, {len(waiting)} waiting" + ", sent again" * send_again
            trail.append(connection, kinds.restricted(trail.source, trail.by, said))
    return number


def leased(database: Database, items: Iterable[Item]) -> int:
    """Return how many of these deliveries a lane has in hand."""
    now = time.time()
    with database.read() as connection:
        return sum(
            connection.execute(_LEASED, {"the_seq": item.delivery, "now": now}).first() is not None for item in items
        )


def note(database: Database, number: int, items: Sequence[Item]) -> None:
    """Write down, durably, what a recall is about, with an event for each delivery that had gone out."""
    now = time.time()
    for start in range(0, len(items), _BATCH * 10):
        batch = items[start : start + _BATCH * 10]
        with database.write(durable=True) as connection:
            connection.execute(_NOTE, [_row(number, item) for item in batch])
            went = [item for item in batch if item.state in (DELIVERED, PERHAPS)]
            if went:
                told = [(item.instance, f"{item.destination}: recall {number}") for item in went]
                rows = [{"instance": seq, "at": now, "event": RECALLED, "detail": said} for seq, said in told]
                connection.execute(_EVENT, rows)


def _row(number: int, item: Item) -> dict[str, object]:
    return {
        "recall": number,
        "instance": item.instance,
        "destination": item.destination,
        "state": item.state,
        "at": item.at,
        "uid": item.sop_instance_uid,
        "recipe_hash": item.recipe,
        "engine_version": item.engine,
        "series": item.series,
        "again": 0,
    }


def clean_again(database: Database, spool: Spool, number: int, named: Sequence[tuple[int, str]]) -> dict[str, int]:
    """Let instances of a recall, by number and id, be cleaned again and sent; return how many, by what became of them.

    `again`; `gone`, whose original is not on the node any more: an unchanged repetition of these is sent on from now
    on; `in_hand`, which a lane is just sending: ask again.

    Raises
    ------
    LedgerError, SpoolError
        The rest is as it was: ask again.
    """
    counts = {"again": 0, "gone": 0, "in_hand": 0}
    for start in range(0, len(named), _BATCH):
        batch, left = named[start : start + _BATCH], list[str]()
        with database.write(durable=True) as connection:
            for seq, name in batch:
                what = _clean_one_again(connection, spool, number, (seq, name))
                counts[what] += 1
                if what == "again":
                    left.append(name)
        for name in left:  # made anew; nothing is sent from it meanwhile
            spool.cleaned_file(name).unlink(missing_ok=True)
    return counts


def _clean_one_again(connection: Transaction, spool: Spool, number: int, one: tuple[int, str]) -> str:
    seq, name = one
    place = {"the_instance": seq}
    row = connection.execute(_STANDS, place | {"now": time.time()}).one()
    if row.leased:
        return "in_hand"
    mine = {"the_recall": number, **place}
    if row.state != "cleaned" or not _has_original(spool, name, is_open=row.open, is_derived=row.derived):
        connection.execute(_NOTE_AGAIN, mine | {"again": _GONE})
        connection.execute(_COMES_AGAIN, mine)
        return "gone"
    now = time.time()
    connection.execute(_NOT_DERIVED, place)
    back = {"state": "received", "outcome": "in_flight", "reason": None, "detail": f"recall {number}: cleaned again"}
    connection.execute(_BACK, {"the_seq": seq, **back, "strikes": 0, "due_at": now, "changed_at": now})
    connection.execute(_PUT_ASIDE, place | {"changed_at": now})
    connection.execute(_NOTE_AGAIN, mine | {"again": _TO_CLEAN})
    return "again"


def _has_original(spool: Spool, name: str, *, is_open: bool, is_derived: bool) -> bool:
    """Whether an original is on the node to stay, and in its place.

    One that no delivery needs any more is about to be removed by whoever settled the last one.
    """
    if spool.take_back(name):
        return True
    return is_open and (is_derived or spool.retains) and spool.original(name).exists()


def gone(database: Database, number: int) -> set[tuple[int, str]]:
    """Return, by instance and destination, what a recall cannot send again: its original is not here any more."""
    query = select(recalled.c.instance, recalled.c.destination)
    with database.read() as connection:
        return set(map(tuple, connection.execute(query.where(recalled.c.recall == number, recalled.c.again == _GONE))))


def recalled_among(connection: Transaction, first: int, last: int) -> dict[int, Recalled]:
    """Return, of the instances of these numbers, those that are to be cleaned again and sent."""
    rows = connection.execute(_AMONG, {"the_first": first, "the_last": last})
    return {row.instance: Recalled(row.uid, row.recipe_hash, row.engine_version, row.at) for row in rows}


def send_again(connection: Transaction, seq: int) -> None:
    """Make the deliveries due that an instance was recalled from, now that it is cleaned again."""
    now = time.time()
    connection.execute(_DUE_AGAIN, {"the_instance": seq, "due_at": now, "changed_at": now})
    connection.execute(_IS_SENT_AGAIN, {"the_instance": seq})


def done(database: Database, trail: Trail | None, number: int) -> None:
    """Note that the destinations have deleted what a recall told them to.

    Raises
    ------
    DrillError
        There is no such recall under way.
    """
    with database.write(durable=True) as connection:
        if not connection.execute(_DONE, {"the_recall": number, "done_at": time.time()}).rowcount:
            raise DrillError(f"there is no recall {number} under way: deid-node recall --list")
        if trail is not None:
            text_of_it = f"recall {number}: done at the destinations"
            trail.append(connection, kinds.restricted(trail.source, trail.by, text_of_it))


def under_way(connection: Transaction) -> list[dict[str, Any]]:
    """Return the recalls that nobody has ended yet, with what became of them."""
    rows = connection.execute(select(recalls).where(recalls.c.done_at.is_(None)).order_by(recalls.c.seq)).all()
    return [_told(connection, row) for row in rows]


def listed(database: Database) -> list[dict[str, Any]]:
    """Return every recall, as `recall --list --json` prints them."""
    with database.read() as connection:
        rows = connection.execute(select(recalls).order_by(recalls.c.seq)).all()
        return [_told(connection, row) for row in rows]


def _told(connection: Transaction, row: Any) -> dict[str, Any]:
    counted = connection.execute(_COUNTED, {"the_recall": row.seq}).all()

    def total(name: str) -> int:
        return sum(int(getattr(one, name) or 0) for one in counted)

    return {
        "recall": row.seq,
        "at": row.at,
        "since": iso(row.at),
        "done": iso(row.done_at),
        "filters": json.loads(row.filters),
        "send_again": bool(row.send_again),
        "destinations": [one.destination for one in counted],
        **{name: total(name) for name in ("delivered", "waited", "to_clean", "sent_again", "not_yet", "gone")},
    }


def written(database: Database, number: int) -> Iterator[dict[str, Any]]:
    """Give what a recall found delivered, as it was then; UIDs are the replaced ones.

    Raises
    ------
    DrillError
        There is no such recall.
    """
    with database.read() as connection:
        if connection.execute(select(recalls.c.seq).where(recalls.c.seq == number)).first() is None:
            raise DrillError(f"there is no recall {number}: deid-node recall --list")
        rows = connection.execute(_WRITTEN, {"the_recall": number}).all()
    for row in rows:
        yield {
            "destination": row.destination,
            "study_instance_uid": row.sent_study or row.study or "",
            "series_instance_uid": row.sent_series or "",
            "sop_instance_uid": row.uid,
            "sop_class_uid": row.clean_sop_class_uid or "",
            "state": row.state,
            "at": iso(row.at),
            "recipe": row.recipe_hash,
        }


_WAITS = or_(deliveries.c.state == "due", deliveries.c.state == "held")
_HOLD = update(deliveries).where(deliveries.c.seq == bindparam("the_seq"), _WAITS).values(state="held", reason=RECALLED)
_LEASED = select(deliveries.c.seq).where(
    deliveries.c.seq == bindparam("the_seq"),
    deliveries.c.lease_owner.is_not(None),
    deliveries.c.lease_until >= bindparam("now"),
)
_NOTE = insert(recalled).prefix_with("OR IGNORE")
_EVENT = insert(events)
_OF_IT = deliveries.c.instance == bindparam("the_instance")
_STANDS = select(
    instances.c.state,
    select(deliveries.c.seq)
    .where(_OF_IT, deliveries.c.lease_owner.is_not(None), deliveries.c.lease_until >= bindparam("now"))
    .exists()
    .label("leased"),
    select(deliveries.c.seq).where(_OF_IT, _WAITS).exists().label("open"),
    select(derivations.c.instance).where(derivations.c.instance == bindparam("the_instance")).exists().label("derived"),
).where(instances.c.seq == bindparam("the_instance"))
_NOT_DERIVED = delete(derivations).where(derivations.c.instance == bindparam("the_instance"))
_BACK = update(instances).where(instances.c.seq == bindparam("the_seq"), instances.c.state == "cleaned")
_PUT_ASIDE = update(deliveries).where(_OF_IT, _WAITS).values(state="discarded", reason=RECALLED, lease_owner=None)
_NOTE_AGAIN = update(recalled).where(
    recalled.c.recall == bindparam("the_recall"), recalled.c.instance == bindparam("the_instance")
)
# Whoever sends it unchanged is heard: it counts as one that its destinations never had (`Sent.had`).
_COMES_AGAIN = (
    update(deliveries)
    .where(_OF_IT, deliveries.c.state == "delivered")
    .where(
        deliveries.c.destination.in_(
            select(recalled.c.destination).where(
                recalled.c.recall == bindparam("the_recall"), recalled.c.instance == bindparam("the_instance")
            )
        )
    )
    .values(reason=RECALLED)
)
_AMONG = (
    select(recalled.c.instance, recalled.c.uid, recalled.c.recipe_hash, recalled.c.engine_version, recalled.c.at)
    .where(text("again = 1"), recalled.c.instance >= bindparam("the_first"))
    .where(recalled.c.instance <= bindparam("the_last"))
)
# What a person has discarded stays so.
_DUE_AGAIN = (
    update(deliveries)
    .where(_OF_IT, or_(deliveries.c.state == "delivered", deliveries.c.reason == RECALLED))
    .where(
        deliveries.c.destination.in_(
            select(recalled.c.destination).where(recalled.c.instance == bindparam("the_instance"), text("again = 1"))
        )
    )
    .values(
        state="due",
        tries=0,
        refused=0,
        offered=0,
        status=None,
        last_error=None,
        reason=None,
        detail=None,
        lease_owner=None,
    )
)
_IS_SENT_AGAIN = (
    update(recalled)
    .where(recalled.c.instance == bindparam("the_instance"), text("again = 1"))
    .values(again=_SENT_AGAIN)
)
_DONE = update(recalls).where(recalls.c.seq == bindparam("the_recall"), recalls.c.done_at.is_(None))
_WENT = or_(recalled.c.state == DELIVERED, recalled.c.state == PERHAPS)
_IS_DELIVERED = deliveries.c.state == "delivered"
_COUNTED = (
    select(
        recalled.c.destination,
        func.sum(case((_WENT, 1), else_=0)).label("delivered"),
        func.sum(case((_WENT, 0), else_=1)).label("waited"),
        func.sum(case((recalled.c.again == _TO_CLEAN, 1), else_=0)).label("to_clean"),
        func.sum(case(((recalled.c.again == _SENT_AGAIN) & _IS_DELIVERED, 1), else_=0)).label("sent_again"),
        func.sum(case(((recalled.c.again == _SENT_AGAIN) & ~_IS_DELIVERED, 1), else_=0)).label("not_yet"),
        func.sum(case((recalled.c.again == _GONE, 1), else_=0)).label("gone"),
    )
    .join(
        deliveries,
        (deliveries.c.instance == recalled.c.instance) & (deliveries.c.destination == recalled.c.destination),
    )
    .where(recalled.c.recall == bindparam("the_recall"))
    .group_by(recalled.c.destination)
)
_WRITTEN = (
    select(
        recalled,
        sent_series.c.study.label("sent_study"),
        sent_series.c.series.label("sent_series"),
        instances.c.study,
        instances.c.clean_sop_class_uid,
    )
    .join(instances, instances.c.seq == recalled.c.instance)
    .join(sent_series, sent_series.c.seq == recalled.c.series, isouter=True)
    .where(recalled.c.recall == bindparam("the_recall"), _WENT)
    .order_by(recalled.c.destination, sent_series.c.study, sent_series.c.series, recalled.c.instance)
)
