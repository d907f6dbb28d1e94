"""The whole story of one instance: from whom, by which route and recipe, what changed by which rule, where it went.

Guarantees
    No value of a data set, neither original nor replaced, is in the story, but replaced UIDs and the pseudonym;
    originals only where identity is asked for, by whoever may. What cannot be told any more is said to be so, with the
    reason. What a person decided is told with who it was, as the audit trail has it.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree as ET

from sqlalchemy import BindParameter, bindparam, select, text

from node.config import Config
from node.errors import FaultsError, HoldInstance, NodeError
from node.ledger.copies import as_entries, concerned
from node.ledger.database import Database
from node.ledger.names import ISSUER, ORIGINAL, PATIENT_ID, SOP_INSTANCE_UID
from node.ledger.schema import audit, deliveries, events, instances, patient_map, series, study_map, uid_map
from node.ledger.times import iso
from node.ledger.transactions import Row, Transaction
from node.story.changes import what_changed
from node.story.past import Past

_DECIDED = frozenset({"received", "discarded", "due"})  # events that a person's decision may have caused
_WRITTEN_WITHIN = 120.0  # seconds between an event's time and that of its entry in the audit trail: one transaction


def explain(
    config: Config, database: Database, instance_id: str, *, identity: bool = False, past: Past | None = None
) -> dict[str, Any] | None:
    """Return the story of an instance as plain data; None where there is no such id.

    `identity` adds the original UIDs and the patient, as far as the maps have them. `past` serves several stories.

    Raises
    ------
    LedgerError
        The ledger cannot be read.
    """
    past = past or Past(config, database)
    with database.read() as connection:
        row = connection.execute(_INSTANCE, {"the_id": instance_id}).first()
        if row is None:
            return None
        story = {
            "id": row.id,
            "state": row.state,
            "outcome": row.outcome,
            "project": row.project,
            "route": row.route,
            "received": _received(row),
            "admitted_by": _admitted(past, row),
            "recipe": {},
            "cleaned": _cleaned(connection, row),
            "gate": _gate(row),
            "held": {"reason": row.reason, "detail": row.detail} if row.state == "held" else None,
            "deliveries": [_delivery(one) for one in connection.execute(_DELIVERIES, {"the_seq": row.seq})],
            "concerns": as_entries(concerned(connection, row)),
            "copies": _copies(connection, row),
            "timeline": list(_timeline(connection, row)),
        }
        if identity:
            story["identity"] = _identity(connection, row)
    changes = what_changed(database, past, row)
    return story | {"recipe": _recipe(past, row), **changes}


def pseudonyms_of(story: Mapping[str, Any]) -> list[str]:
    """Return what a story with identity links to originals, for the audit trail."""
    cleaned = story["cleaned"]
    return [one for one in (cleaned["pseudonym"], cleaned["study"], cleaned["sop_instance_uid"]) if one]


def _received(row: Row) -> dict[str, Any]:
    return {
        "at": iso(row.received_at),
        "calling_ae_title": row.calling_ae_title,
        "called_ae_title": row.called_ae_title,
        "address": row.address,
        "certificate": row.certificate,
        "sop_class_uid": row.sop_class_uid,
        "transfer_syntax_uid": row.transfer_syntax_uid,
        "bytes": row.size,
        "came_before": bool(row.repeat),
    }


def _admitted(past: Past, row: Row) -> dict[str, Any] | None:
    """By which conditions the route takes senders, as the configuration has it now; None where it is gone."""
    route = past.route(row.route)
    if route is None:
        return None
    place = past.config.routes.index(route)
    given = route.from_.model_dump(mode="json", exclude_none=True)
    return {"route": f"routes.{place}", "from": {key: value for key, value in given.items() if value}}


def _cleaned(connection: Transaction, row: Row) -> dict[str, Any]:
    study = row.keyed_study or row.study
    place = {"the_project": row.project, "the_study": study}
    return {
        "sop_instance_uid": row.clean_sop_instance_uid,
        "study": study or None,
        "series": row.keyed_series or None,
        "pseudonym": connection.execute(_PSEUDONYM, place).scalar() if study else None,
        "bytes": row.clean_size,
        "transfer_syntax_uid": row.clean_transfer_syntax_uid,
    }


def _gate(row: Row) -> str | None:
    """What the leak gate found in what went out; nothing where it found nothing."""
    return row.detail if row.state == "cleaned" and row.detail else None


def _delivery(one: Row) -> dict[str, Any]:
    return {
        "destination": one.destination,
        "state": one.state,
        "tries": one.tries,
        "refused": one.refused,
        "answer": None if one.status is None else f"{one.status:04X}H",
        "since": iso(one.changed_at),
        "next_try": iso(one.due_at) if one.state == "due" else None,
        "reason": one.reason,
        "detail": one.detail,
        "last_error": one.last_error,
    }


def _copies(connection: Transaction, row: Row) -> list[dict[str, Any]]:
    if not row.sop_instance_uid:
        return []
    place = {"the_project": row.project, "the_uid": row.sop_instance_uid, "the_seq": row.seq}
    return [
        {"id": one.id, "received": iso(one.received_at), "state": one.state, "outcome": one.outcome}
        for one in connection.execute(_COPIES, place)
    ]


def _timeline(connection: Transaction, row: Row) -> Iterator[dict[str, Any]]:
    """What happened, in order; the first event tells of the reception."""
    rows = connection.execute(_EVENTS, {"the_seq": row.seq}).all()
    if not rows or rows[0].event != "received":
        yield {"at": iso(row.received_at), "event": "received", "detail": None, "by": None}
    for number, one in enumerate(rows):
        decided = one.event in _DECIDED and number > 0
        event = "released" if one.event == "received" and number > 0 else one.event
        by = _decided_by(connection, _names(row, one.event), one.at) if decided else None
        yield {"at": iso(one.at), "event": event, "detail": one.detail, "by": by}


def _names(row: Row, event: str) -> list[str]:
    """How an entry of the audit trail may call it: a study that is sent once more has one for all of it."""
    study = row.keyed_study or row.study
    return [row.id, study] if event == "due" and study else [row.id]


def _decided_by(connection: Transaction, names: Sequence[str], at: float) -> str | None:
    """Who the audit trail says decided something about an instance, or its study, at a time."""
    window = {"the_first": at - 1.0, "the_last": at + _WRITTEN_WITHIN}
    # As the id of what a message is about, or among its details, which are in base64.
    needles = [*names, *(b64encode(name.encode()).decode("ascii") for name in names)]
    for message in connection.execute(_AUDITED, window).scalars():
        if any(needle in message for needle in needles):
            found = _requestor(message)
            if found is not None:
                return found
    return None


def _requestor(message: str) -> str | None:
    """Return who asked for what a message tells; None for a mere look, and for a transfer."""
    root = ET.fromstring(message)  # noqa: S314 -- the node's own, from its ledger
    event = root.find("EventIdentification")
    if event is None or event.get("EventActionCode") in ("R", "C"):
        return None
    who = [one.get("UserID") for one in root.iter("ActiveParticipant") if one.get("UserIsRequestor") == "true"]
    return next((name for name in who if name), None)


def _identity(connection: Transaction, row: Row) -> dict[str, Any]:
    """The originals, as far as the ledger still has them."""
    opened, project = connection.columns.open, row.project

    def original(uid: str | None) -> str | None:
        found = connection.execute(_ORIGINAL, {"the_project": project, "the_uid": uid}).scalar() if uid else None
        return opened(ORIGINAL, project, found) if found else None

    study = row.keyed_study or row.study
    pseudonym = connection.execute(_PSEUDONYM, {"the_project": project, "the_study": study}).scalar() if study else None
    patient = connection.execute(_PATIENT, {"the_project": project, "the_pseudonym": pseudonym}).first()
    return {
        "sop_instance_uid": opened(SOP_INSTANCE_UID, project, row.sop_instance_uid) or None,
        "series_instance_uid": original(row.keyed_series),
        "study_instance_uid": original(study),
        "patient_id": None if patient is None else opened(PATIENT_ID, project, patient.patient_id),
        "issuer_of_patient_id": None if patient is None else opened(ISSUER, project, patient.issuer) or None,
    }


def _recipe(past: Past, row: Row) -> dict[str, Any]:
    """Which recipe it was cleaned with: its hash, its texts where it is still kept, and the program's version."""
    told: dict[str, Any] = {
        "hash": row.recipe_hash or None,
        "chosen_for_it": row.asked_recipe is not None,
        "program": row.engine_version,
        "texts": None,
        "is_of_now": None,
    }
    try:
        plan = past.plan(row.route)
        if plan is not None and row.recipe_hash:
            told["is_of_now"] = plan.recipe.hash == row.recipe_hash
            then = past.plan_of_then(row.route, row.recipe_hash)
            told["texts"] = None if then is None else [one.name for one in then.recipe.texts]
    except (HoldInstance, FaultsError, NodeError):
        pass  # what is not known is told as that
    return told


_INSTANCE = (
    select(instances, series.c.study.label("keyed_study"), series.c.series.label("keyed_series"))
    .join(series, series.c.seq == instances.c.series, isouter=True)
    .where(instances.c.id == bindparam("the_id"))
)
_SEQ: BindParameter[int] = bindparam("the_seq")
_PROJECT: BindParameter[str] = bindparam("the_project")
_DELIVERIES = select(deliveries).where(deliveries.c.instance == _SEQ).order_by(deliveries.c.seq)
_EVENTS = select(events).where(events.c.instance == _SEQ).order_by(events.c.seq)
_COPIES = (
    select(instances.c.id, instances.c.received_at, instances.c.state, instances.c.outcome)
    .where(instances.c.project == _PROJECT, instances.c.sop_instance_uid == bindparam("the_uid"))
    .where(text("repeat < 2"), instances.c.seq != _SEQ)
    .order_by(instances.c.seq)
)
_PSEUDONYM = select(study_map.c.pseudonym).where(
    study_map.c.project == _PROJECT, study_map.c.study == bindparam("the_study")
)
_ORIGINAL = select(uid_map.c.original).where(
    uid_map.c.project == _PROJECT, uid_map.c.replacement == bindparam("the_uid")
)
_PATIENT = select(patient_map.c.issuer, patient_map.c.patient_id).where(
    patient_map.c.project == _PROJECT, patient_map.c.pseudonym == bindparam("the_pseudonym")
)
_AUDITED = (
    select(audit.c.message)
    .where(audit.c.at >= bindparam("the_first"), audit.c.at <= bindparam("the_last"))
    .order_by(audit.c.seq)
)
