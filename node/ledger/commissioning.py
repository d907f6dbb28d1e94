"""Studies that a person looks at before they go: the first ones of a route, and a share of those that come later.

Guarantees
    What waits is cleaned, and what is released is what waited, byte for byte. A study is counted once, and all its
    instances wait along, those too that come later, until it is released; after that they go by themselves. Whether a
    later study is of the share is a keyed choice: the same study gets the same answer, wherever and whenever. The
    decision is made in the commit in which the instance becomes sendable, so that no process sees it before.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, insert, select, update

from node.audit import kinds
from node.errors import HoldReason
from node.ledger.schema import deliveries, instances
from node.ledger.schema_upkeep import commissioned, commissioned_instances
from node.ledger.times import iso

if TYPE_CHECKING:
    from node.config import Config, Route
    from node.ledger.audit import Trail
    from node.ledger.database import Database
    from node.ledger.transactions import Transaction

FIRST, SHARE = "first", "share"
_REASON = str(HoldReason.COMMISSIONING)
_WHOLE = 1 << 64


@dataclass(frozen=True, slots=True)
class Rule:
    """Which studies of a route wait: the `first` so many, then a `share`; `anew` counts for each recipe."""

    first: int
    share: float
    anew: bool


@dataclass(frozen=True, slots=True)
class Viewing:
    """What decides whether an instance waits: the rule, the route, the key's replacement of its study, the choice."""

    rule: Rule
    route: str
    study: str
    is_chosen: bool


def rule_of(route: Route) -> Rule | None:
    """Return the rule of a route, None where nothing of it waits."""
    if not (route.commissioning or route.sample):
        return None
    return Rule(route.commissioning, route.sample, route.commissioning_after_change)


def viewing_of(rule: Rule, route: str, study: str) -> Viewing:
    """Return what decides about an instance; `study` is the key's replacement of its Study Instance UID."""
    number = int.from_bytes(hashlib.sha256(f"{route}\0{study}".encode()).digest()[:8], "big")
    return Viewing(rule, route, study, number < rule.share * _WHOLE)


def hold_for_release(connection: Transaction, seq: int, viewing: Viewing, recipe_hash: str) -> bool:
    """Hold the deliveries of a cleaned instance where its study is yet to be looked at; say whether it was held."""
    place = {"the_route": viewing.route, "the_hash": recipe_hash if viewing.rule.anew else ""}
    known = connection.execute(_KNOWN, {**place, "the_study": viewing.study}).first()
    if known is None:
        kind = _kind(connection, viewing, place)
        if kind is None:
            return False
        _begin(connection, viewing, place["the_hash"], kind)
        known = connection.execute(_KNOWN, {**place, "the_study": viewing.study}).one()
    if known.released_at is not None:
        return False
    connection.execute(_LINK, [{"instance": seq, "commissioned": known.seq}])
    held = {"state": "held", "reason": _REASON, "changed_at": time.time()}
    detail = f"study {viewing.study}: look at it, then deid-node held release --study"
    connection.execute(_HOLD, {"the_instance": seq, **held, "detail": detail})
    return True


def _kind(connection: Transaction, viewing: Viewing, place: dict[str, str]) -> str | None:
    """Return why a study that is not known yet waits; None where it does not."""
    if viewing.rule.first:
        last = connection.execute(_FIRST_ONES, {**place, "the_place": viewing.rule.first - 1}).first()
        if last is None:
            return FIRST
    return SHARE if viewing.is_chosen else None


def _begin(connection: Transaction, viewing: Viewing, recipe_hash: str, kind: str) -> None:
    row = {"route": viewing.route, "study": viewing.study, "recipe_hash": recipe_hash, "kind": kind}
    connection.execute(insert(commissioned), [{**row, "begun_at": time.time()}])


def release_study(database: Database, study: str, trail: Trail | None = None) -> int:
    """Let a study go that waits, on whatever route; return how many instances went, 0 where none of that UID waits.

    Parameters
    ----------
    study
        The key's replacement of its Study Instance UID, as `waiting` and the details of holds tell it.
    trail
        Where the release is written down, in the same commit.
    """
    with database.write(durable=True) as connection:
        rows = connection.execute(
            select(commissioned.c.seq).where(commissioned.c.study == study, commissioned.c.released_at.is_(None))
        ).all()
        count = sum(_let_go(connection, row.seq, trail) for row in rows)
        if rows and trail is not None:
            text = f"released after commissioning: study {study}, {count} instances"
            trail.append(connection, kinds.restricted(trail.source, trail.by, text))
    return count


def _let_go(connection: Transaction, number: int, trail: Trail | None) -> int:
    now = time.time()
    _mark(connection, number, trail)
    mine = select(commissioned_instances.c.instance).where(commissioned_instances.c.commissioned == number)
    held = deliveries.c.instance.in_(mine), deliveries.c.state == "held", deliveries.c.reason == _REASON
    found = connection.execute(select(func.count(deliveries.c.instance.distinct())).where(*held)).scalar()
    let_go = {"state": "due", "due_at": now, "changed_at": now, "reason": None, "detail": None, "lease_owner": None}
    connection.execute(update(deliveries).where(*held).values(**let_go))
    return int(found)


def _mark(connection: Transaction, number: int, trail: Trail | None) -> None:
    by = trail.by.participant().user if trail is not None else None
    values = {"released_at": time.time(), "released_by": by}
    connection.execute(update(commissioned).where(commissioned.c.seq == number).values(**values))


def note_released(connection: Transaction, instance_id: str, trail: Trail | None = None) -> None:
    """Count a study as released when the last of its instances has been: by its id, in the caller's transaction."""
    number = connection.execute(
        select(commissioned_instances.c.commissioned)
        .join(instances, instances.c.seq == commissioned_instances.c.instance)
        .where(instances.c.id == instance_id)
    ).scalar()
    if number is None:
        return
    mine = select(commissioned_instances.c.instance).where(commissioned_instances.c.commissioned == number)
    waits = select(deliveries.c.seq).where(
        deliveries.c.instance.in_(mine), deliveries.c.state == "held", deliveries.c.reason == _REASON
    )
    if connection.execute(waits.limit(1)).first() is None:
        _mark(connection, number, trail)


def note_seen(database: Database, study: str, trail: Trail | None) -> None:
    """Write to the audit trail that a study is shown to somebody before it goes."""
    if trail is not None:
        trail.record(database, kinds.restricted(trail.source, trail.by, f"exported for a look: study {study}"))


def waiting(database: Database) -> list[dict[str, Any]]:
    """Return the studies that wait, oldest first, as `commissioning list --json` prints them."""
    counted = (
        select(commissioned_instances.c.commissioned, func.count().label("n"))
        .group_by(commissioned_instances.c.commissioned)
        .subquery()
    )
    query = (
        select(commissioned, func.coalesce(counted.c.n, 0).label("n"))
        .join(counted, counted.c.commissioned == commissioned.c.seq, isouter=True)
        .where(commissioned.c.released_at.is_(None))
        .order_by(commissioned.c.begun_at)
    )
    with database.read() as connection:
        rows = connection.execute(query).all()
    return [
        {"study": row.study, "route": row.route, "kind": row.kind, "since": iso(row.begun_at), "instances": row.n}
        for row in rows
    ]


def progress(database: Database, config: Config) -> list[dict[str, Any]]:
    """Return for each route with commissioning or a sample how far it is."""
    query = select(commissioned.c.route, commissioned.c.kind, func.count(), func.count(commissioned.c.released_at))
    with database.read() as connection:
        rows = connection.execute(query.group_by(commissioned.c.route, commissioned.c.kind)).all()
    found = {(row[0], row[1]): (row[2], row[3]) for row in rows}
    return [
        {
            "route": route.name,
            "commissioning": route.commissioning,
            "sample": route.sample,
            "first": found.get((route.name, FIRST), (0, 0))[0],
            "first_released": found.get((route.name, FIRST), (0, 0))[1],
            "share": found.get((route.name, SHARE), (0, 0))[0],
            "share_released": found.get((route.name, SHARE), (0, 0))[1],
        }
        for route in config.routes
        if route.commissioning or route.sample
    ]


_KNOWN = select(commissioned.c.seq, commissioned.c.released_at).where(
    commissioned.c.route == bindparam("the_route"),
    commissioned.c.study == bindparam("the_study"),
    commissioned.c.recipe_hash == bindparam("the_hash"),
)
_FIRST_ONES = (
    select(commissioned.c.seq)
    .where(commissioned.c.route == bindparam("the_route"), commissioned.c.recipe_hash == bindparam("the_hash"))
    .where(commissioned.c.kind == FIRST)
    .offset(bindparam("the_place"))
    .limit(1)
)
_LINK = insert(commissioned_instances)
_HOLD = update(deliveries).where(deliveries.c.instance == bindparam("the_instance"), deliveries.c.state == "due")
