"""What people ask of the ledger, and the few things that they may change in it.

Guarantees
    `status` reads one consistent state, from tallies, so that it stays quick with millions of instances. Nothing here
    returns a value of a data set. `release` runs the step again that held an instance; it never makes anything sendable
    that was not cleaned, or that the leak gate holds: that takes `release_despite`, which is written down, and so is
    `release_as`, for what came before with another content or says that others are not to be used.
    `discard` deletes the files, durably, before the commit that says so.
"""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from node.audit import kinds
from node.audit.messages import Message
from node.errors import OUTCOMES, HoldReason
from node.ledger.alerts import of_instances
from node.ledger.audit import Trail
from node.ledger.canary import not_the_canarys
from node.ledger.commissioning import note_released
from node.ledger.copies import as_entries, concerned
from node.ledger.database import Database
from node.ledger.halt import stopped
from node.ledger.letting_go import clean_again
from node.ledger.recalls import under_way
from node.ledger.reception import CONTEXT
from node.ledger.releases import BOTH, CORRECTION, LEAK_RELEASED, PIXEL_RISK_RELEASED, REJECTION, REPLACE
from node.ledger.schema import (
    deliveries,
    delivery_tallies,
    destinations,
    events,
    instances,
    mixed_studies,
    refusals,
    study_map,
    tallies,
)
from node.ledger.sending import finish
from node.ledger.times import iso
from node.ledger.transactions import Transaction
from node.spool import Spool

_UNRELEASABLE = (
    HoldReason.FILE_MISSING,
    HoldReason.LEAK,
    HoldReason.PATIENT_CORRECTED,
    HoldReason.REJECTION_NOTE,
)
_HELD_INSTANCES, _HELD_DELIVERIES = (
    select(table.c.reason, func.count().label("n")).where(table.c.state == "held").group_by(table.c.reason)
    for table in (instances, deliveries)
)
_DESPITE = {HoldReason.LEAK: LEAK_RELEASED, HoldReason.PIXEL_RISK: PIXEL_RISK_RELEASED}
_DECISIONS = {
    CORRECTION: HoldReason.PATIENT_CORRECTED,
    REJECTION: HoldReason.REJECTION_NOTE,
    REPLACE: HoldReason.CHANGED,
    BOTH: HoldReason.CHANGED,
}


class Ledger:
    """The operator's view of the ledger; what is done or looked at by it is written to the audit `trail`."""

    def __init__(self, database: Database, trail: Trail | None = None) -> None:
        self.database = database
        self.trail = trail

    def close(self) -> None:
        """Close the connections."""
        self.database.close()

    def status(self) -> dict[str, Any]:
        """Counts of the whole, per route and per destination, as `deid-node status --json` prints them."""
        with self.database.read() as connection:
            routes = self._routes(connection)
            where = self.destinations_in(connection)
            repeats = connection.execute(select(func.sum(tallies.c.n)).where(tallies.c.repeat > 0)).scalar() or 0
            mixed = connection.execute(select(func.count()).select_from(mixed_studies)).scalar() or 0
            alerting = [one.told() for one in of_instances(connection)]
            halted, recalled = stopped(connection), under_way(connection)
            refused = connection.execute(
                select(refusals).where(refusals.c.n > 0).order_by(refusals.c.last_at.desc()).limit(50)
            ).all()
        total = {name: sum(route[name] for route in routes.values()) for name in OUTCOMES}
        return {
            "stopped": halted and {key: halted[key] for key in ("since", "reason")},
            "received": sum(total.values()),
            **total,
            "duplicates": int(repeats),
            "studies_with_two_recipes": int(mixed),
            "alerts": alerting,
            "recalls": [{key: value for key, value in one.items() if key != "at"} for one in recalled],
            "routes": routes,
            "destinations": where,
            "refused": [
                {
                    "kind": row.kind,
                    "calling_ae_title": row.calling_ae_title,
                    "called_ae_title": row.called_ae_title,
                    "address": row.address,
                    "uid": row.uid if row.kind == CONTEXT else "",
                    "certificate": "" if row.kind == CONTEXT else row.uid,
                    "times": row.n,
                    "last": iso(row.last_at),
                }
                for row in refused
            ],
        }

    def mixed(self) -> list[dict[str, Any]]:
        """The studies that went out under more than one recipe, with these, as `recipe studies --json` prints them."""
        here = (mixed_studies.c.project, mixed_studies.c.study)
        first = (
            select(*here, study_map.c.recipe_hash)
            .join(study_map, (study_map.c.project == here[0]) & (study_map.c.study == here[1]))
            .order_by(*here)
        )
        counted = (
            select(*here, instances.c.recipe_hash, func.count().label("n"))
            .join(instances, (instances.c.project == here[0]) & (instances.c.study == here[1]))
            .group_by(*here, instances.c.recipe_hash)
            .order_by(func.min(instances.c.seq))
        )
        with self.database.read() as connection:
            found: dict[tuple[str, str], tuple[str | None, list[dict[str, Any]]]] = {
                (row.project, row.study): (row.recipe_hash, []) for row in connection.execute(first)
            }
            for row in connection.execute(counted):
                found[row.project, row.study][1].append({"hash": row.recipe_hash, "instances": row.n})
        return [
            {"study": study, "project": project, "began": began, "recipes": recipes}
            for (project, study), (began, recipes) in found.items()
        ]

    def held(self, limit: int = 1000, reason: str | None = None) -> list[dict[str, Any]]:
        """What is held, oldest first: instances that could not be cleaned, and deliveries that were refused.

        `reason` leaves out what is held for another one.
        """
        cleaning = select(instances).where(instances.c.state == "held").order_by(instances.c.changed_at).limit(limit)
        sending = (
            select(deliveries, instances.c.id, instances.c.route)
            .join(instances, instances.c.seq == deliveries.c.instance)
            .where(deliveries.c.state == "held")
            .order_by(deliveries.c.changed_at)
            .limit(limit)
        )
        if reason is not None:
            cleaning = cleaning.where(instances.c.reason == reason)
            sending = sending.where(deliveries.c.reason == reason)
        with self.database.read() as connection:
            found = [(row.changed_at, _held(row, None)) for row in connection.execute(cleaning)]
            found += [(row.changed_at, _held(row, row.destination)) for row in connection.execute(sending)]
        return [entry for _, entry in sorted(found, key=lambda pair: pair[0])][:limit]

    def held_by_reason(self) -> dict[str, int]:
        """How much is held for which reason, the reasons in the order of the alphabet."""
        counts: dict[str, int] = {}
        with self.database.read() as connection:
            for query in (_HELD_INSTANCES, _HELD_DELIVERIES):
                for row in connection.execute(query):
                    counts[row.reason] = counts.get(row.reason, 0) + row.n
        return dict(sorted(counts.items()))

    def held_detail(self, instance_id: str) -> dict[str, Any] | None:
        """All that the ledger tells of one instance, with its events; None where there is no such id."""
        with self.database.read() as connection:
            row = connection.execute(select(instances).where(instances.c.id == instance_id)).first()
            if row is None:
                return None
            sent = connection.execute(
                select(deliveries).where(deliveries.c.instance == row.seq).order_by(deliveries.c.seq)
            ).all()
            about = as_entries(concerned(connection, row))
            history = connection.execute(
                select(events).where(events.c.instance == row.seq).order_by(events.c.seq)
            ).all()
        return {
            "id": row.id,
            "state": row.state,
            "outcome": row.outcome,
            "route": row.route,
            "project": row.project,
            "calling_ae_title": row.calling_ae_title,
            "called_ae_title": row.called_ae_title,
            "address": row.address,
            "received": iso(row.received_at),
            "size": row.size,
            "sop_class_uid": row.sop_class_uid,
            "transfer_syntax_uid": row.transfer_syntax_uid,
            "recipe_hash": row.recipe_hash,
            "engine_version": row.engine_version,
            "reason": row.reason,
            "detail": row.detail,
            "decision": row.decision,
            "strikes": row.strikes,
            "deliveries": [
                {
                    "destination": one.destination,
                    "state": one.state,
                    "tries": one.tries,
                    "status": None if one.status is None else f"{one.status:04X}H",
                    "reason": one.reason,
                    "detail": one.detail,
                    "last_error": one.last_error,
                }
                for one in sent
            ],
            "concerns": about,
            "events": [{"at": iso(one.at), "event": one.event, "detail": one.detail} for one in history],
        }

    def release_despite(self, reason: HoldReason, instance_id: str) -> bool:
        """Let an instance go that is held as `leak` or `pixel-risk`, as it was found; False where none of that id is.

        It is cleaned again, and passes with these findings under this recipe only. The row and its events say so from
        now on. What was cleaned before a text of it was said to identify goes as it is.
        """
        with self.database.write(durable=True) as connection:
            released = clean_again(
                connection, instance_id, instances.c.reason == str(reason), detail=_DESPITE[reason] + instances.c.detail
            )
            released += _make_due(connection, instance_id, deliveries.c.reason == str(reason))
            if released and self.trail is not None:
                self.trail.append(
                    connection,
                    kinds.restricted(self.trail.source, self.trail.by, f"released despite {reason}", instance_id),
                )
        return released > 0

    def release_as(self, decision: str, instance_id: str) -> bool:
        """Let an instance go as a person decided, which is written down; False where none of that id is held for it.

        `replace` or `both` for one that is held as `changed`, `correction` for one of another patient or study,
        `rejection` for a rejection note. It is cleaned as any other, and meets everything else that holds.
        """
        with self.database.write(durable=True) as connection:
            released = clean_again(
                connection,
                instance_id,
                instances.c.reason == str(_DECISIONS[decision]),
                detail=f"released: {decision}",
                decision=decision,
            )
            if released and self.trail is not None:
                self.trail.append(
                    connection, kinds.restricted(self.trail.source, self.trail.by, f"released: {decision}", instance_id)
                )
        return released > 0

    def release(self, instance_id: str) -> bool:
        """Run the step again that held the instance; False where nothing of that id is held.

        What the leak gate holds stays held, and so do corrected patients and rejection notes.
        """
        with self.database.write(durable=True) as connection:
            released = clean_again(
                connection,
                instance_id,
                instances.c.reason.not_in([str(reason) for reason in _UNRELEASABLE]),
                detail="released",
                asked_recipe=None,
            )
            which = deliveries.c.reason.not_in([str(reason) for reason in (*_UNRELEASABLE, HoldReason.RECALLED)])
            released += _make_due(connection, instance_id, which)
            if released:
                note_released(connection, instance_id, self.trail)
            if released and self.trail is not None:
                self.trail.append(connection, kinds.accessed(self.trail.by, instance_id, "U", "released"))
        return released > 0

    def discard(self, instance_id: str, spool: Spool) -> bool:
        """Delete what is held of an instance, for good, and keep its row; False where nothing of that id is held.

        Raises
        ------
        SpoolError
            The disk refused; the row still says that it is held.
        """
        now = time.time()
        with self.database.write(durable=True) as connection:
            row = connection.execute(
                select(instances.c.seq, instances.c.state).where(instances.c.id == instance_id)
            ).first()
            if row is None:
                return False
            if row.state == "held":
                self._note_discarded(connection, instance_id)
                spool.remove_now([instance_id])
                connection.execute(
                    update(instances)
                    .where(instances.c.seq == row.seq)
                    .values(state="discarded", outcome="discarded", changed_at=now, reason=None, detail="by command")
                )
                return True
            states = list(
                connection.execute(select(deliveries.c.state).where(deliveries.c.instance == row.seq)).scalars()
            )
            if row.state != "cleaned" or "held" not in states:
                return False
            self._note_discarded(connection, instance_id)
            connection.execute(
                update(deliveries)
                .where(deliveries.c.instance == row.seq, deliveries.c.state == "held")
                .values(state="discarded", changed_at=now)
            )
            if finish(connection, [row.seq]):  # else another destination still waits for it
                spool.remove_now([instance_id])
            return True

    def pause(self, destination: str) -> None:
        """Stop sending to a destination until it is resumed."""
        self._set_paused(destination, 1)

    def resume(self, destination: str) -> None:
        """Send to a destination again, at once."""
        now = time.time()
        later = update(deliveries).where(
            deliveries.c.destination == destination, deliveries.c.state == "due", deliveries.c.due_at > now
        )
        with self.database.write(durable=False) as connection:
            connection.execute(later.values(due_at=now))
        self._set_paused(destination, 0)

    def _set_paused(self, destination: str, paused: int) -> None:
        values = {"paused": paused, "next_try": None, "failures": 0}
        with self.database.write(durable=True) as connection:
            statement = upsert(destinations).values(name=destination, **values)
            connection.execute(statement.on_conflict_do_update(index_elements=[destinations.c.name], set_=values))
            if self.trail is not None:
                told = kinds.paused(self.trail.source, self.trail.by, destination, is_paused=bool(paused))
                self.trail.append(connection, told)

    def record(self, *messages: Message) -> None:
        """Write messages to the audit trail, where there is one, before the call returns."""
        if self.trail is not None:
            self.trail.record(self.database, *messages)

    def looked_at(self, instance_id: str) -> None:
        """Write to the audit trail that what is known of an instance is shown to somebody."""
        if self.trail is not None:
            self.record(kinds.accessed(self.trail.by, instance_id, "R"))

    def record_rebuild(self, counts: dict[str, int]) -> None:
        """Write to the audit trail that the ledger was made again, or what was decided after that."""
        if self.trail is not None:
            text = "ledger rebuilt: " + ", ".join(f"{count} {name}" for name, count in counts.items())
            self.record(kinds.restricted(self.trail.source, self.trail.by, text))

    def _note_discarded(self, connection: Transaction, instance_id: str) -> None:
        if self.trail is not None:
            self.trail.append(connection, kinds.accessed(self.trail.by, instance_id, "D", "discarded"))

    @staticmethod
    def _routes(connection: Transaction) -> dict[str, dict[str, int]]:
        routes: dict[str, dict[str, int]] = {}
        for row in connection.execute(select(tallies).where(tallies.c.n > 0, *not_the_canarys(tallies.c.route))):
            route = routes.setdefault(row.route, dict.fromkeys(("received", "cleaned", *OUTCOMES), 0))
            route["received"] += row.n
            route["cleaned"] += row.n if row.state == "cleaned" else 0
            route[row.outcome] += row.n
        return routes

    @staticmethod
    def no_deliveries() -> dict[str, Any]:
        """A destination for which nothing has come yet."""
        return {
            "delivered": 0,
            "waiting": 0,
            "held": 0,
            "discarded": 0,
            "next_try": None,
            "last_error": None,
            "paused": False,
            "last_success": None,
        }

    @classmethod
    def destinations_in(cls, connection: Transaction) -> dict[str, dict[str, Any]]:
        """The destinations that the ledger knows, as `status` has them."""
        found: dict[str, dict[str, Any]] = {}

        def entry(name: str) -> dict[str, Any]:
            return found.setdefault(name, cls.no_deliveries())

        counted = select(delivery_tallies).where(delivery_tallies.c.n > 0)
        for row in connection.execute(counted.where(*not_the_canarys(delivery_tallies.c.destination))):
            entry(row.destination)["waiting" if row.state == "due" else row.state] = row.n
        for row in connection.execute(select(destinations).where(*not_the_canarys(destinations.c.name))):
            entry(row.name).update(
                next_try=iso(row.next_try),
                last_error=row.last_error,
                paused=bool(row.paused),
                last_success=iso(row.last_success_at),
            )
        for name, one in found.items():
            if one["waiting"] and one["next_try"] is None:
                one.update(_waiting(connection, name, one["last_error"]))
        return found


def _make_due(connection: Transaction, instance_id: str, which: ColumnElement[bool]) -> int:
    """Let the held deliveries of a cleaned instance go, at once; return how many. `which` says for what reasons."""
    now = time.time()
    seq = select(instances.c.seq).where(instances.c.id == instance_id, instances.c.state == "cleaned")
    due = {"state": "due", "due_at": now, "changed_at": now, "tries": 0, "refused": 0, "lease_owner": None}
    held = deliveries.c.instance == seq.scalar_subquery(), deliveries.c.state == "held"
    query = update(deliveries).where(*held).where(which)
    return connection.execute(query.values(**due, reason=None, detail=None)).rowcount


def _waiting(connection: Transaction, name: str, last_error: str | None) -> dict[str, str | None]:
    """When the next delivery is tried to a destination that answers, and what kept the last one back."""
    queue = select(deliveries).where(deliveries.c.destination == name, deliveries.c.state == "due")
    soonest = connection.execute(queue.order_by(deliveries.c.due_at, deliveries.c.seq).limit(1)).one()
    latest = connection.execute(queue.order_by(deliveries.c.due_at.desc(), deliveries.c.seq.desc()).limit(1)).one()
    return {"next_try": iso(soonest.due_at), "last_error": latest.last_error or last_error}


def _held(row: Any, destination: str | None) -> dict[str, Any]:
    return {
        "id": row.id,
        "since": iso(row.changed_at),
        "route": row.route,
        "destination": destination,
        "reason": row.reason,
        "detail": row.detail or "",
    }
