"""What the ledger keeps of the canary: the last result of each route, whether somebody asks for a round; its tidying.

Guarantees that only what came by routes with the canary's prefix is ever removed, only what nobody works on any more
and the audit trail has read, files first, and that tallies go with it in the same commit. The newest instance and the
newest event stay until others have come: their numbers must not be given twice. What is not removed now is removed the
next time.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, func, insert, not_, select, update

from node.config import Config
from node.config.canary import PREFIX
from node.ledger.database import Database
from node.ledger.schema import (
    deliveries,
    delivery_tallies,
    derivations,
    events,
    instances,
    meta,
    mixed_studies,
    patient_map,
    projects,
    study_map,
    tallies,
    uid_map,
)
from node.ledger.times import iso
from node.ledger.transactions import Transaction
from node.spool import Spool

_RESULTS, _ASKED, _AUDITED = "canary", "canary_asked", "audit_events"
_MAPS = (uid_map, patient_map, study_map, mixed_studies, projects)
_OVERDUE_SECONDS = 300.0

Results = dict[str, Any]


def not_the_canarys(column: ColumnElement[str]) -> tuple[ColumnElement[bool], ...]:
    """Return the condition that a name is none of the canary's."""
    return (not_(column.startswith(PREFIX, autoescape=True)),)


def results(database: Database) -> Results:
    """Return the results of the last rounds: `at` (seconds, UTC), and by route what `RouteReport.told` tells."""
    text = database.get(_RESULTS)
    return dict(json.loads(text)) if text else {}


def summary(database: Database) -> Results:
    """Return what `status --json` says of the last round: when it began, and by route the verdict and the seconds."""
    found = results(database)
    keys = ("verdict", "seconds")
    return {
        "at": iso(found.get("at")),
        "routes": {name: {key: one[key] for key in keys} for name, one in found.get("routes", {}).items()},
    }


def write_results(database: Database, began: float, told: dict[str, dict[str, Any]]) -> None:
    """Write the results of a round that began at a time (seconds, UTC); those of routes that are gone are forgotten."""
    before = results(database).get("routes", {})
    for name, one in told.items():
        failed_before = before.get(name, {}).get("failed_since")
        one["failed_since"] = (failed_before or began) if one["verdict"] == "failed" else None
    _put(database, _RESULTS, json.dumps({"at": began, "routes": told}))


def ask(database: Database) -> float:
    """Ask the canary for a round; return when, to be compared with `at` of the results (seconds, UTC)."""
    now = time.time()
    _put(database, _ASKED, repr(now))
    return now


def asked_since(database: Database, began: float) -> bool:
    """Whether somebody has asked for a round since one began."""
    text = database.get(_ASKED)
    return text is not None and float(text) > began


def wrong(database: Database, config: Config, now: float) -> Iterator[tuple[float, str]]:
    """Give what is wrong with the canary: since when (seconds, UTC), and a sentence."""
    if config.canary is None:
        return
    found = results(database)
    if not found:
        return
    for name, one in found["routes"].items():
        if one["failed_since"]:
            checks = ", ".join(dict.fromkeys(check["name"] for check in one["checks"] if check["ok"] is False))
            yield one["failed_since"], f"the canary of route {name} did not come out clean ({checks}): deid-node status"
    count = len(config.canary.routes or config.routes)
    if now - found["at"] > config.canary.every + count * config.canary.within + _OVERDUE_SECONDS:
        yield found["at"], "the canary has not been sent since: is the node running?"


def _put(database: Database, key: str, value: str) -> None:
    with database.write(durable=False) as connection:
        connection.execute(delete(meta).where(meta.c.key == key))
        connection.execute(insert(meta), [{"key": key, "value": value}])


def tidy(database: Database, spool: Spool) -> int:
    """Remove what came by routes of the canary, and what was handed out for it; return how many instances stay.

    Raises
    ------
    LedgerError, OSError
        The ledger or the disk refused; what is left is removed the next time.
    """
    with database.read() as connection:
        counted = select(tallies.c.route).where(tallies.c.route.startswith(PREFIX, autoescape=True), tallies.c.n > 0)
        routes = sorted(set(connection.execute(counted).scalars()))
        if not routes:
            return 0
        mine = instances.c.route.in_(routes)
        rows = connection.execute(select(instances.c.seq, instances.c.id, instances.c.outcome).where(mine)).all()
    if not rows or any(row.outcome == "in_flight" for row in rows):
        return len(rows)
    for row in rows:  # the files first: what the ledger does not know would be adopted
        for file in (spool.original(row.id), spool.cleaned_file(row.id), spool.retained_file(row.id)):
            file.unlink(missing_ok=True)
    with database.write(durable=True) as connection:
        removed = _remove(connection, [row.seq for row in rows])
        for table in _MAPS:
            connection.execute(delete(table).where(table.c.project.in_(routes)))
    return len(rows) - removed


def _remove(connection: Transaction, seqs: list[int]) -> int:
    """Delete the rows of instances whose events were read, but for the newest of all; return of how many."""
    audited = int(connection.execute(select(meta.c.value).where(meta.c.key == _AUDITED)).scalar() or 0)
    newest = connection.execute(select(func.max(events.c.seq))).scalar() or 0
    last = connection.execute(select(func.max(instances.c.seq))).scalar() or 0
    gone = []
    for seq in seqs:
        latest = connection.execute(select(func.max(events.c.seq)).where(events.c.instance == seq)).scalar() or 0
        if latest <= audited and latest < newest and seq < last:
            gone.append(seq)
    _count_off(connection, gone)
    for table in (derivations, events, deliveries):
        connection.execute(delete(table).where(table.c.instance.in_(gone)))
    connection.execute(delete(instances).where(instances.c.seq.in_(gone)))
    return len(gone)


def _count_off(connection: Transaction, seqs: list[int]) -> None:
    keys = (instances.c.route, instances.c.state, instances.c.outcome, instances.c.repeat)
    found = connection.execute(select(*keys).where(instances.c.seq.in_(seqs))).all()
    for (route, state, outcome, repeat), n in Counter(map(tuple, found)).items():
        bound = {"the_route": route, "the_state": state, "the_outcome": outcome, "the_repeat": repeat, "the_n": n}
        connection.execute(_FEWER, bound)
    sent = connection.execute(
        select(deliveries.c.destination, deliveries.c.state).where(deliveries.c.instance.in_(seqs))
    ).all()
    for (destination, state), n in Counter(map(tuple, sent)).items():
        connection.execute(_FEWER_SENT, {"the_destination": destination, "the_state": state, "the_n": n})


_FEWER = (
    update(tallies)
    .where(tallies.c.route == bindparam("the_route"), tallies.c.state == bindparam("the_state"))
    .where(tallies.c.outcome == bindparam("the_outcome"), tallies.c.repeat == bindparam("the_repeat"))
    .values(n=tallies.c.n - bindparam("the_n"))
)
_FEWER_SENT = (
    update(delivery_tallies)
    .where(delivery_tallies.c.destination == bindparam("the_destination"))
    .where(delivery_tallies.c.state == bindparam("the_state"))
    .values(n=delivery_tallies.c.n - bindparam("the_n"))
)
