"""What the ledger knows of the other copies of an instance: those of the same project and SOP Instance UID.

Guarantees
    Of all copies one at a time is decided: a later one waits until it is known what became of the earlier. So whoever
    decides about a copy sees all that was decided before. What a later copy replaces is never sent after it: where the
    earlier one is just being sent, the later one waits. Nothing here holds a value of a data set.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, exists, insert, or_, select, text, update

from node.errors import HoldReason
from node.ledger.leases import LEASE_SECONDS
from node.ledger.names import SOP_INSTANCE_UID
from node.ledger.schema import deliveries, instances, rejections
from node.ledger.times import iso
from node.ledger.transactions import Row, Transaction

AGAIN = "again"
"""The reason of an excluded instance that came before with the same content."""
SUPERSEDED = "superseded"
"""The reason of what a later copy has replaced before it was delivered."""
ONLY_AGAIN = 2
"""`repeat` of an instance that only came again; 1 is that of any other whose UID came before."""

_TOLD = 20  # deliveries that a detail names


@dataclass(frozen=True, slots=True)
class Sent:
    """A delivery of a copy; `uid` is the one that it goes out under, `at` in seconds since 1970, UTC."""

    destination: str
    state: str
    reason: str | None
    uid: str
    at: float
    recipe: str = ""

    def had(self, recipe: str = "") -> bool:
        """Whether the destination has the copy, will have it, or is not to have it any more.

        What was recalled, and could not be sent again from here, it has not, for another `recipe` than it was under.
        """
        if self.reason == HoldReason.RECALLED and self.recipe != recipe:
            return False
        if self.state == "held":
            return self.reason != HoldReason.FILE_MISSING
        return self.state != "discarded" or self.reason == SUPERSEDED


@dataclass(frozen=True, slots=True)
class Copy:
    """Another copy of an instance, of which it is known what became.

    Parameters
    ----------
    same
        Whether the content is the same: digest, size and transfer syntax of what came.
    whose, study
        Whose it is, keyed, and the keyed replacement of its study; None where that was not found out.
    sent
        Its deliveries.
    """

    seq: int
    id: str
    route: str
    state: str
    reason: str | None
    same: bool
    whose: str | None
    study: str | None
    clean_sop_instance_uid: str | None
    sent: tuple[Sent, ...] = ()

    @property
    def went(self) -> bool:
        """Whether it was cleaned, and a person has not thrown all of it away."""
        return self.state == "cleaned" and any(one.state != "discarded" for one in self.sent)


def has_copies() -> ColumnElement[bool]:
    """The condition that an instance is not the only one of its project and UID."""
    other = instances.alias("other")
    return (
        exists()
        .where(other.c.project == instances.c.project, other.c.sop_instance_uid == instances.c.sop_instance_uid)
        .where(other.c.seq != instances.c.seq, text("other.repeat < 2"))
    )


def look(connection: Transaction, seq: int, owner: str) -> tuple[tuple[Copy, ...], set[int]]:
    """Return the other copies of an instance, oldest first, and the numbers of those that it has to wait for.

    As long as it has to wait for one, nothing is said of the others.
    """
    now = time.time()
    rows = connection.execute(_OTHERS, {"the_seq": seq}).all()
    ahead = {row.seq for row in rows if _is_ahead(row, seq, owner, now)}
    if ahead:
        return (), ahead
    sent = _sent(connection, seq) if any(row.state in ("cleaned", "excluded") for row in rows) else {}
    found = tuple(
        Copy(
            row.seq,
            row.id,
            row.route,
            row.state,
            row.reason,
            bool(row.same),
            row.whose,
            row.study,
            row.clean_sop_instance_uid,
            tuple(sent.get(row.seq, ())),
        )
        for row in rows
        if row.state != "received"
    )
    return found, ahead


def _is_ahead(row: Row, seq: int, owner: str, now: float) -> bool:
    if row.state != "received":
        return False
    return bool(row.seq < seq) or (row.lease_owner != owner and _is_leased(row, now))


def _is_leased(row: Row, now: float) -> bool:
    return row.lease_owner is not None and now <= (row.lease_until or 0.0) <= now + 2 * LEASE_SECONDS


def _sent(connection: Transaction, seq: int) -> dict[int, list[Sent]]:
    found: dict[int, list[Sent]] = {}
    for row in connection.execute(_SENT, {"the_seq": seq}):
        one = Sent(
            row.destination,
            row.state,
            row.reason,
            row.clean_sop_instance_uid or "",
            row.changed_at,
            row.recipe_hash or "",
        )
        found.setdefault(row.instance, []).append(one)
    return found


@dataclass(frozen=True, slots=True)
class Replacement:
    """A copy that takes the place of the others where these were not delivered yet.

    `whose` it is, and the destinations that it goes to.
    """

    seq: int
    id: str
    whose: str | None
    destinations: tuple[str, ...]

    def is_taken(self, connection: Transaction) -> bool:
        """Whether another copy is just being sent to one of the destinations, so that this one has to wait."""
        now = time.time()
        return any(
            one.state == "due" and _is_leased(one, now)
            for row in self._others(connection)
            for one in self._waiting(connection, row)
        )

    def take(self, connection: Transaction) -> list[tuple[int, str]]:
        """Let nothing of the other copies be sent any more; return number and id of those that something became of."""
        now = time.time()
        return [
            (row.seq, row.id)
            for row in self._others(connection)
            if self._supersede(connection, row, self._waiting(connection, row), now)
        ]

    def _others(self, connection: Transaction) -> list[Row]:
        return [row for row in connection.execute(_OTHERS, {"the_seq": self.seq}).all() if not row.same]

    def _waiting(self, connection: Transaction, row: Row) -> list[Row]:
        found = connection.execute(_OPEN, {"the_instance": row.seq}).all()
        return [one for one in found if one.destination in self.destinations]

    def _supersede(self, connection: Transaction, row: Row, mine: Sequence[Row], now: float) -> bool:
        if row.state == "held":
            if row.whose is None or row.whose != self.whose or row.reason == HoldReason.REJECTION_NOTE:
                return False
        elif not mine:
            return False
        others = connection.execute(_ANY, {"the_instance": row.seq}).all()
        gone = {one.seq for one in mine}
        gone_now = {"state": "discarded", "reason": SUPERSEDED, "lease_owner": None, "changed_at": now}
        if mine:
            connection.execute(_DELIVERY, [{"the_seq": one.seq, **gone_now} for one in mine])
        if all(one.seq in gone or one.reason == SUPERSEDED for one in others):
            # Nothing else became of it.
            excluded = {"state": "excluded", "outcome": "excluded", "detail": f"by {self.id}"}
            connection.execute(_INSTANCE, {"the_seq": row.seq, **excluded, "reason": SUPERSEDED, "changed_at": now})
        return True


def spoken_of(connection: Transaction, project: str, uids: Iterable[str]) -> list[int]:
    """Return the numbers of a project's instances that have one of these SOP Instance UIDs."""
    found: dict[int, None] = {}
    for uid in uids:
        sealed = connection.columns.seal(SOP_INSTANCE_UID, project, uid)
        found |= dict.fromkeys(connection.execute(_BY_UID, {"the_project": project, "the_uid": sealed}).scalars())
    return list(found)


def concerned(connection: Transaction, row: Row) -> list[Sent]:
    """Return the deliveries that a held copy or rejection note is about."""
    if row.reason == HoldReason.REJECTION_NOTE:
        noted = connection.execute(_NOTED, {"the_note": row.seq}).scalars()
        return sent_of(connection, list(noted))
    if row.reason in (HoldReason.CHANGED, HoldReason.PATIENT_CORRECTED):
        return [one for found in _sent(connection, row.seq).values() for one in found]
    return []


def sent_of(connection: Transaction, seqs: Sequence[int]) -> list[Sent]:
    """Return the deliveries of instances."""
    rows = [row for seq in seqs for row in connection.execute(_SENT_OF, {"the_instance": seq})]
    return [Sent(row.destination, row.state, row.reason, row.clean_sop_instance_uid, row.changed_at) for row in rows]


def note(connection: Transaction, seq: int, about: Sequence[int]) -> None:
    """Write down which instances a rejection note speaks of."""
    if about:
        connection.execute(_NOTE, [{"note": seq, "instance": one} for one in about])


def as_entries(sent: Iterable[Sent]) -> list[dict[str, Any]]:
    """Return deliveries as `held show --json` prints them: the UID is the replaced one."""
    return [
        {"destination": one.destination, "state": one.state, "sop_instance_uid": one.uid, "at": iso(one.at)}
        for one in sent
    ]


def told(sent: Sequence[Sent]) -> str:
    """Return in words what was delivered where, under which replaced UID, and when; and what else is on its way."""
    done = [one for one in sent if one.state == "delivered"]
    parts = [f"{one.destination} as {one.uid} at {iso(one.at)}" for one in done[:_TOLD]]
    if len(done) > _TOLD:
        parts.append(f"and {len(done) - _TOLD} more (held show)")
    on_its_way = _counted(one.destination for one in sent if one.state in ("due", "held"))
    waiting = [f"not yet delivered: {n} to {destination}" for destination, n in on_its_way.items()]
    return "; ".join(["delivered: " + (", ".join(parts) or "nothing"), *waiting])


def _counted(names: Iterable[str]) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for name in names:
        found[name] = found.get(name, 0) + 1
    return found


_MINE, _OTHER = instances.alias("mine"), instances.alias("other")
_COPIES = (
    (_MINE.c.project == _OTHER.c.project)
    & (_MINE.c.sop_instance_uid == _OTHER.c.sop_instance_uid)
    & (_MINE.c.seq != _OTHER.c.seq)
    & text("other.repeat < 2")
)
_SAME = and_(*(_MINE.c[name] == _OTHER.c[name] for name in ("digest", "size", "transfer_syntax_uid")))
_OTHERS = (
    select(
        _OTHER.c.seq,
        _OTHER.c.id,
        _OTHER.c.route,
        _OTHER.c.state,
        _OTHER.c.reason,
        _OTHER.c.whose,
        _OTHER.c.study,
        _OTHER.c.clean_sop_instance_uid,
        _OTHER.c.lease_owner,
        _OTHER.c.lease_until,
        _SAME.label("same"),
    )
    .select_from(_MINE)
    .join(_OTHER, _COPIES)
    .where(_MINE.c.seq == bindparam("the_seq"))
    .order_by(_OTHER.c.seq)
)
_SENT = (
    select(
        deliveries.c.instance,
        deliveries.c.destination,
        deliveries.c.state,
        deliveries.c.reason,
        deliveries.c.changed_at,
        _OTHER.c.clean_sop_instance_uid,
        _OTHER.c.recipe_hash,
    )
    .select_from(_MINE)
    .join(_OTHER, _COPIES)
    .join(deliveries, deliveries.c.instance == _OTHER.c.seq)
    .where(_MINE.c.seq == bindparam("the_seq"))
    .order_by(deliveries.c.seq)
)
_SENT_OF = (
    select(
        deliveries.c.destination,
        deliveries.c.state,
        deliveries.c.reason,
        deliveries.c.changed_at,
        instances.c.clean_sop_instance_uid,
    )
    .join(instances, instances.c.seq == deliveries.c.instance)
    .where(deliveries.c.instance == bindparam("the_instance"))
    .order_by(deliveries.c.seq)
)
_ANY = select(deliveries.c.seq, deliveries.c.reason).where(deliveries.c.instance == bindparam("the_instance"))
_OPEN = select(
    deliveries.c.seq,
    deliveries.c.destination,
    deliveries.c.state,
    deliveries.c.lease_owner,
    deliveries.c.lease_until,
).where(
    deliveries.c.instance == bindparam("the_instance"), or_(deliveries.c.state == "due", deliveries.c.state == "held")
)
_DELIVERY = update(deliveries).where(deliveries.c.seq == bindparam("the_seq"))
_INSTANCE = update(instances).where(instances.c.seq == bindparam("the_seq"))
_BY_UID = select(instances.c.seq).where(
    instances.c.project == bindparam("the_project"),
    instances.c.sop_instance_uid == bindparam("the_uid"),
    text("repeat < 2"),
)
_NOTED = select(rejections.c.instance).where(rejections.c.note == bindparam("the_note"))
_NOTE = insert(rejections).prefix_with("OR IGNORE")
