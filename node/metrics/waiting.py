"""What waits, what is held, what was refused, and how the destinations are."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

from sqlalchemy import bindparam, func, select

from node.config import Config
from node.errors import OUTCOMES, LedgerError
from node.ledger import meters
from node.ledger.alerts import alerts
from node.ledger.audit import backlog
from node.ledger.commitments import counts
from node.ledger.completeness import STATES, count_states
from node.ledger.database import Database
from node.ledger.receipts import count_receipts
from node.ledger.reception import CONTEXT
from node.ledger.schema import deliveries, delivery_tallies, destinations, instances, refusals, tallies
from node.ledger.transactions import Row, Transaction
from node.metrics.families import Family, Samples, counter, gauge, value
from node.refused import named_sender

_STATES = ("due", "delivered", "held", "discarded")


def families(config: Config, database: Database) -> Iterator[Family]:
    """Return the metrics; none where the ledger cannot be asked."""
    try:
        with database.read() as connection:
            found = [*_instances(config, connection), *_destinations(config, connection), *_held(connection)]
            found += [*_refused(config, connection), *_studies(connection)]
        found += [*_alerts(config, database), *_commitments(database)]
    except LedgerError:
        return
    yield from found


def _instances(config: Config, connection: Transaction) -> Iterator[Family]:
    outcomes, queued = Counter[tuple[str, str]](), Counter[str]()
    for row in connection.execute(_TALLIES):
        outcomes[row.route, row.outcome] += row.n
        queued[row.route] += row.n if row.state == "received" else 0
    routes = dict.fromkeys([*(route.name for route in config.routes), *(route for route, _ in outcomes)])
    yield gauge(
        "instances",
        "Instances by what became of them; each counts once.",
        ["route", "outcome"],
        [((route, outcome), outcomes[route, outcome]) for route in routes for outcome in OUTCOMES],
    )
    yield gauge(
        "cleaning_queue", "Instances that wait to be cleaned.", ["route"], [((one,), queued[one]) for one in routes]
    )
    oldest = connection.execute(_OLDEST_RECEIVED).scalar()
    yield value("cleaning_lag_seconds", "Age of the oldest instance that waits to be cleaned.", _age(oldest))


def _destinations(config: Config, connection: Transaction) -> Iterator[Family]:
    states: dict[tuple[str, str], int] = {(row[0], row[1]): row[2] for row in connection.execute(_DELIVERIES)}
    names = list(dict.fromkeys([*config.destinations, *(name for name, _ in states)]))
    rows: dict[str, Row] = {row.name: row for row in connection.execute(select(destinations)) if row.name in names}
    yield gauge(
        "deliveries",
        "Deliveries by destination and state.",
        ["destination", "state"],
        [((name, state), states.get((name, state), 0)) for name in names for state in _STATES],
    )
    ages = {
        name: _age(connection.execute(_OLDEST_DUE, {"the_destination": name}).scalar())
        for name in names
        if states.get((name, "due"))
    }
    yield gauge(
        "destination_lag_seconds",
        "Age, since reception, of the oldest instance that waits for a destination.",
        ["destination"],
        [((name,), ages.get(name, 0.0)) for name in names],
    )
    yield gauge(
        "destination_paused",
        "1 where a person has paused the destination.",
        ["destination"],
        [((name,), rows[name].paused if name in rows else 0) for name in names],
    )
    yield gauge(
        "destination_failures",
        "How often in a row the destination could not be reached; 0 where it answers.",
        ["destination"],
        [((name,), rows[name].failures if name in rows else 0) for name in names],
    )
    yield gauge(
        "destination_failing_seconds",
        "For how long it has not been reached.",
        ["destination"],
        [((name,), _failing(rows.get(name))) for name in names],
    )


def _failing(row: Row | None) -> float:
    return _age(row.failing_since) if row is not None and row.failures and row.failing_since is not None else 0.0


def _held(connection: Transaction) -> Iterator[Family]:
    cleaning, sending = connection.execute(_HELD).all(), connection.execute(_HELD_DELIVERIES).all()
    yield gauge(
        "held",
        "Instances that are held since they could not be cleaned, by reason.",
        ["route", "reason"],
        [((row.route, row.reason), row.n) for row in cleaning],
    )
    yield gauge(
        "held_deliveries",
        "Deliveries that are held, by reason.",
        ["destination", "reason"],
        [((row.destination, row.reason), row.n) for row in sending],
    )
    first = min((row.since for row in (*cleaning, *sending)), default=None)
    yield value("held_oldest_seconds", "For how long something has been held.", _age(first))


def _refused(config: Config, connection: Transaction) -> Iterator[Family]:
    kinds = connection.execute(_KINDS).all()
    yield counter(
        "refused",
        "What senders asked for and did not get, by kind; instances that were answered A700H as out-of-resources.",
        ["kind"],
        [((row.label,), row.n) for row in kinds],
    )
    yield gauge(
        "refused_contexts",
        "Presentation contexts that were refused, by the sender where the configuration has its AE title.",
        ["calling_ae_title"],
        _by_sender(config, connection),
    )


def _studies(connection: Transaction) -> Iterator[Family]:
    states = count_states(connection)
    yield gauge(
        "studies",
        "Studies that are followed, by what the last look at them said.",
        ["state"],
        [((state,), states.get(state, (0, 0.0))[0]) for state in STATES],
    )
    yield counter("receipts", "Receipts of studies at their destinations.", [], [((), count_receipts(connection))])


def _by_sender(config: Config, connection: Transaction) -> Samples:
    times = Counter[str]()
    for row in connection.execute(_CONTEXTS):
        times[named_sender(config, row.calling_ae_title) or "other"] += row.n
    return [((sender,), n) for sender, n in times.items()]


def _alerts(config: Config, database: Database) -> Iterator[Family]:
    kinds = Counter[str](alert["kind"] for alert in alerts(database, config))
    yield gauge("alerts", "What somebody has to look at, by kind.", ["kind"], [((k,), n) for k, n in kinds.items()])
    trail = backlog(database)
    waiting = trail.waiting if config.audit.syslog is not None else 0
    yield value("audit_entries", "Entries of the audit trail.", trail.entries)
    yield value("audit_waiting", "Those that the syslog receiver has yet to get.", waiting)


def _commitments(database: Database) -> Iterator[Family]:
    states = counts(database)
    yield gauge(
        "commitments",
        "Requests for storage commitment of the last thirty days, by state.",
        ["state"],
        [((state,), n) for state, n in states.items()],
    )


def _age(since: float | None) -> float:
    return 0.0 if since is None else max(0.0, time.time() - since)


_TALLIES = select(tallies).where(tallies.c.n > 0)
_DELIVERIES = select(delivery_tallies).where(delivery_tallies.c.n > 0)
_OLDEST_RECEIVED = (
    select(instances.c.received_at).where(instances.c.state == "received").order_by(instances.c.seq).limit(1)
)
# The first that was made for it: found in the index of what is due alone, in as many steps as there are due.
_FIRST_DUE = select(func.min(deliveries.c.seq)).where(
    deliveries.c.destination == bindparam("the_destination"), deliveries.c.state == "due"
)
_OLDEST_DUE = (
    select(instances.c.received_at)
    .join(deliveries, deliveries.c.instance == instances.c.seq)
    .where(deliveries.c.seq == _FIRST_DUE.scalar_subquery())
)
_HELD = (
    select(
        instances.c.route, instances.c.reason, func.count().label("n"), func.min(instances.c.changed_at).label("since")
    )
    .where(instances.c.state == "held")
    .group_by(instances.c.route, instances.c.reason)
)
_HELD_DELIVERIES = (
    select(
        deliveries.c.destination,
        deliveries.c.reason,
        func.count().label("n"),
        func.min(deliveries.c.changed_at).label("since"),
    )
    .where(deliveries.c.state == "held")
    .group_by(deliveries.c.destination, deliveries.c.reason)
)
_KINDS = meters.of(meters.REFUSED)
_CONTEXTS = (
    select(refusals.c.calling_ae_title, func.sum(refusals.c.n).label("n"))
    .where(refusals.c.kind == CONTEXT)
    .group_by(refusals.c.calling_ae_title)
)
