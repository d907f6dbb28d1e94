"""What became of an original: whether all the destinations of a route have taken it, by the ledger.

Guarantees that nothing counts as delivered whose subject has withdrawn consent, that was recalled, or whose latest copy
went another way: of several copies the latest decides, one of the route's own where there is one. A destination that
took the same content by another route of the project has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import bindparam, select, text

from node.ledger.schema import deliveries, instances, sent_series
from node.ledger.schema_upkeep import recalled, recalls
from node.ledger.transactions import Row, Transaction
from node.ledger.withdrawals import is_withdrawn

UNKNOWN, ANOTHER_CLASS, PENDING, FAILED, DELIVERED = "unknown", "another-class", "pending", "failed", "delivered"


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What became of an original: `kind` is one of the words above.

    Where it is delivered: under which UIDs, which are empty where the ledger does not know them, and when each
    destination took it (seconds, UTC); `assumed` are those of which a person has said so (`rebuild`).
    """

    kind: str
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_uid: str = ""
    series_uid: str = ""
    taken: dict[str, float] = field(default_factory=dict)
    assumed: frozenset[str] = frozenset()


def whereabouts(
    connection: Transaction, project: str, route: str, destinations: Sequence[str], sop_class_uid: str, key: str
) -> Whereabouts:
    """Return what became of an original of a project, as far as the destinations of a route are concerned.

    `key` is its SOP Instance UID as it stands in the ledger's columns.
    """
    copies = connection.execute(_COPIES, {"the_project": project, "the_key": key}).all()
    if not copies:
        return Whereabouts(UNKNOWN)
    latest = ([one for one in copies if one.route == route] or copies)[-1]
    if latest.sop_class_uid != sop_class_uid:
        return Whereabouts(ANOTHER_CLASS)
    if latest.state != "cleaned":
        return Whereabouts(PENDING if latest.state == "received" else FAILED)
    if is_withdrawn(connection, project, latest.whose):
        return Whereabouts(FAILED)
    return _delivered(connection, [one for one in copies if _is_same(one, latest)], latest, destinations)


def _is_same(one: Row, other: Row) -> bool:
    """Whether the same bytes came, and went out under the same UID."""
    return one.state == "cleaned" and all(getattr(one, name) == getattr(other, name) for name in _SAME)


def _delivered(connection: Transaction, copies: Sequence[Row], latest: Row, destinations: Sequence[str]) -> Whereabouts:
    found: dict[str, list[Row]] = {}
    for copy in copies:
        for row in connection.execute(_DELIVERIES, {"the_instance": copy.seq}):
            found.setdefault(row.destination, []).append(row)
    taken, assumed, waits = {}, set[str](), False
    for name in destinations:
        rows = found.get(name, [])
        had = [row for row in rows if row.state == "delivered" and not _is_recalled(connection, row)]
        if had:
            taken[name] = max(row.changed_at for row in had)
            if all(row.status is None for row in had):
                assumed.add(name)
        elif any(row.state == "due" for row in rows):
            waits = True
        else:
            return Whereabouts(FAILED)
    if waits:
        return Whereabouts(PENDING)
    return Whereabouts(
        DELIVERED,
        latest.clean_sop_class_uid,
        latest.clean_sop_instance_uid,
        latest.study_uid or "",
        latest.series_uid or "",
        taken,
        frozenset(assumed),
    )


def _is_recalled(connection: Transaction, delivery: Row) -> bool:
    place = {"the_instance": delivery.instance, "the_destination": delivery.destination}
    return connection.execute(_RECALLED, place).first() is not None


_SAME = ("digest", "size", "transfer_syntax_uid", "clean_sop_instance_uid")
_COPIES = (
    select(
        instances.c.seq,
        instances.c.route,
        instances.c.state,
        instances.c.whose,
        instances.c.digest,
        instances.c.size,
        instances.c.transfer_syntax_uid,
        instances.c.sop_class_uid,
        instances.c.clean_sop_class_uid,
        instances.c.clean_sop_instance_uid,
        sent_series.c.study.label("study_uid"),
        sent_series.c.series.label("series_uid"),
    )
    .join(sent_series, sent_series.c.seq == instances.c.sent_series, isouter=True)
    .where(instances.c.project == bindparam("the_project"), instances.c.sop_instance_uid == bindparam("the_key"))
    .where(text("instances.repeat < 2"))
    .order_by(instances.c.seq)
)
_DELIVERIES = select(
    deliveries.c.instance, deliveries.c.destination, deliveries.c.state, deliveries.c.status, deliveries.c.changed_at
).where(deliveries.c.instance == bindparam("the_instance"))
# Taken back, and not sent again from here; by the numbers of the recalls, which are few, so that an index is used.
_RECALLED = (
    select(recalled.c.recall)
    .where(recalled.c.recall.in_(select(recalls.c.seq)))
    .where(
        recalled.c.instance == bindparam("the_instance"),
        recalled.c.destination == bindparam("the_destination"),
        recalled.c.again != 2,
    )
    .limit(1)
)
