"""What the node has done: counters, and how long it took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlalchemy import func, select

from node.config import Config
from node.errors import LedgerError
from node.ledger import meters
from node.ledger.database import Database
from node.ledger.meters import Key, Meter
from node.ledger.schema import mixed_studies, tallies
from node.metrics.families import Family, Samples, counter, gauge, histogram, value

_STAGES = {
    meters.RECEPTION: "From the command to the answer: the transfer, and what makes it durable.",
    meters.CLEANING: "From reception to cleaned, without what a person held up.",
    meters.SENDING: "From cleaned to delivered, by destination, waiting included.",
    meters.WHOLE: "From reception to delivered, by destination, without what a person held up.",
}


def families(config: Config, database: Database) -> Iterator[Family]:
    """Return the metrics; none where the ledger cannot be asked."""
    try:
        with database.read() as connection:
            found = meters.read(connection)
            received = connection.execute(_RECEIVED).all()
            repeats = connection.execute(_REPEATS).all()
            mixed = int(connection.execute(_MIXED).scalar() or 0)
    except LedgerError:
        return
    routes, destinations = [route.name for route in config.routes], list(config.destinations)
    yield counter(
        "received",
        "Instances that were answered 0000H.",
        ["route"],
        _with(routes, {row.route: float(row.n) for row in received}),
    )
    yield counter(
        "received_bytes", "Bytes of their data sets.", ["route"], _with(routes, _totals(found, meters.RECEIVED))
    )
    for name, its, text in (
        ("cleaned", meters.CLEANED, "Instances from which identity was removed; again, where they were released."),
        ("holds", meters.HELD, "How often something was set aside for a person."),
        ("excluded", meters.EXCLUDED, "Instances that a rule did not want, or that came before."),
    ):
        yield counter(name, text, ["route"], _with(routes, _numbers(found, its)))
    yield gauge(
        "repeated_instances",
        "Instances whose SOP Instance UID came before in the same project.",
        ["route"],
        _with(routes, {row.route: float(row.n) for row in repeats}),
    )
    yield counter(
        "delivered",
        "Deliveries that a destination has answered for.",
        ["destination"],
        _with(destinations, _numbers(found, meters.DELIVERED)),
    )
    yield counter(
        "delivered_bytes",
        "Bytes of their data sets.",
        ["destination"],
        _with(destinations, _totals(found, meters.DELIVERED)),
    )
    yield from _last(found)
    for stage, label in meters.STAGES.items():
        names = [label] if label else []
        yield histogram(f"{stage}_seconds", _STAGES[stage], names, _seconds(found, stage, bool(label)))
    yield value("studies_with_two_recipes", "Studies that went out under more than one recipe.", mixed)
    for name, text in (
        (meters.NOTIFIED, "Messages to people that were taken."),
        (meters.NOT_NOTIFIED, "Messages to people that were not taken, and are tried again."),
    ):
        yield counter(name.replace("-", "_"), text, ["channel"], _with((), _numbers(found, name)))


def _with(known: list[str] | tuple[str, ...], found: Mapping[str, float]) -> Samples:
    """Return a sample for each that is known, be it 0, and each that was."""
    return [((name,), number) for name, number in (dict.fromkeys(known, 0.0) | dict(found)).items()]


def _numbers(found: Mapping[Key, Meter], name: str) -> dict[str, float]:
    return {label: float(one.n) for (its, label, _), one in found.items() if its == name}


def _totals(found: Mapping[Key, Meter], name: str) -> dict[str, float]:
    return {label: one.total for (its, label, _), one in found.items() if its == name}


def _last(found: Mapping[Key, Meter]) -> Iterator[Family]:
    for name, text, label in (
        (meters.RECEIVED, "When something was received last, in seconds since 1970.", "route"),
        (meters.DELIVERED, "When something was delivered last, in seconds since 1970.", "destination"),
    ):
        times = [((place,), one.last_at) for (its, place, _), one in found.items() if its == name]
        yield gauge(f"last_{name}_timestamp_seconds", text, [label], times)


def _seconds(found: Mapping[Key, Meter], stage: str, labelled: bool) -> dict[tuple[str, ...], dict[int, Meter]]:
    places: dict[tuple[str, ...], dict[int, Meter]] = {}
    for (name, label, bucket), one in found.items():
        if name == stage:
            places.setdefault((label,) if labelled else (), {})[bucket] = one
    return places


# Nothing ever leaves the tallies, so that their sums only grow.
_RECEIVED = select(tallies.c.route, func.sum(tallies.c.n).label("n")).group_by(tallies.c.route)
_REPEATS = _RECEIVED.where(tallies.c.repeat > 0)
_MIXED = select(func.count()).select_from(mixed_studies)
