"""Projects that were closed: their names are never used again.

Guarantees
    From the commit of `begin` on nothing is handed out in the project's name, by no process, and nothing of it was in
    flight or held at that moment. What identifies is overwritten in the database's file, not only forgotten. Instances
    keep their rows, without their original UIDs and the digests of their contents.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Table, bindparam, delete, func, insert, select, update

from node.ledger.commitments import forget_project
from node.ledger.database import Database
from node.ledger.erasing import BLANK
from node.ledger.review import forget_texts
from node.ledger.schema import (
    closed_projects,
    devices,
    instances,
    mixed_studies,
    patient_aliases,
    patient_map,
    projects,
    sent_series,
    series,
    study_map,
    uid_map,
)
from node.ledger.transactions import Transaction

_OPEN = ("in_flight", "held")
_MAPS = {"uids": uid_map, "patients": patient_map, "studies": study_map}
_BATCH = 2000

Record = dict[str, Any]


def is_closed(database: Database, project: str) -> bool:
    """Whether the project was closed, or its closing has begun."""
    with database.read() as connection:
        return connection.execute(_CLOSED, {"the_project": project}).first() is not None


def records(database: Database) -> dict[str, Record]:
    """Return what the ledger keeps of each closed project."""
    with database.read() as connection:
        return {row.project: _told(row) for row in connection.execute(select(closed_projects))}


def open_instances(connection: Transaction, project: str) -> dict[str, int]:
    """Return how many instances of a project are in flight and held; only those that are not none."""
    rows = connection.execute(
        select(instances.c.outcome, func.count())
        .where(instances.c.project == project, instances.c.outcome.in_(_OPEN))
        .group_by(instances.c.outcome)
    )
    return {row[0]: row[1] for row in rows}


def begin(database: Database, project: str, record: Mapping[str, Any]) -> dict[str, int]:
    """Note, durably, that a project is closed; return what stands against it, and then nothing was noted."""
    with database.write(durable=True) as connection:
        still_open = open_instances(connection, project)
        if not still_open and connection.execute(_CLOSED, {"the_project": project}).first() is None:
            connection.execute(insert(closed_projects), [_row(project, record, time.time(), None)])
        return still_open


def destroy(database: Database, project: str) -> None:
    """Erase what the ledger holds of a project's originals, durably; the record counts it in the same commits."""
    with database.write(durable=True) as connection:
        counts = {name: _entries(connection, table, project) for name, table in _MAPS.items()}
        counts["imported"] = sum(
            _entries(connection, table, project, table.c.origin == "imported") for table in (uid_map, patient_map)
        )
        if merged := _entries(connection, patient_aliases, project):
            counts["merged"] = merged
        connection.execute(update(sent_series).where(sent_series.c.project == project).values(device=None))
        for table in (*_MAPS.values(), patient_aliases, mixed_studies, projects, devices):
            connection.execute(delete(table).where(table.c.project == project))
        connection.execute(update(series).where(series.c.project == project).values(accession="", patient=""))
        count(connection, project, counts)
        forget_texts(connection, project)
        forget_project(connection, project)
    _blank(database, project)


def _entries(connection: Transaction, table: Table, project: str, *conditions: ColumnElement[bool]) -> int:
    query = select(func.count()).select_from(table).where(table.c.project == project, *conditions)
    return int(connection.execute(query).scalar())


def _blank(database: Database, project: str) -> None:
    """Take the original UIDs and digests out of the rows of instances, some at a time."""
    batch = (
        select(instances.c.seq)
        .where(instances.c.project == project, instances.c.sop_instance_uid > "")
        .limit(_BATCH)
        .scalar_subquery()
    )
    rows = _BATCH
    while rows == _BATCH:
        with database.write(durable=True) as connection:
            rows = connection.execute(update(instances).where(instances.c.seq.in_(batch)).values(**BLANK)).rowcount
            count(connection, project, {"instances": rows})


def count(connection: Transaction, project: str, counts: Mapping[str, int]) -> None:
    """Add to what the record says was destroyed."""
    mine = closed_projects.c.project == project
    record = json.loads(connection.execute(select(closed_projects.c.record).where(mine)).scalar())
    before = record.get("destroyed", {})
    record["destroyed"] = before | {kind: before.get(kind, 0) + n for kind, n in counts.items()}
    connection.execute(update(closed_projects).where(mine).values(record=json.dumps(record, sort_keys=True)))


def end(database: Database, project: str) -> Record:
    """Note, durably, that everything is destroyed; return the record."""
    mine = closed_projects.c.project == project
    with database.write(durable=True) as connection:
        connection.execute(update(closed_projects).where(mine).values(closed_at=time.time()))
        return _told(connection.execute(select(closed_projects).where(mine)).one())


def restore(database: Database, found: Mapping[str, Record]) -> int:
    """Note projects that a lost ledger knew as closed; return how many were not known."""
    new = [
        _row(project, record.get("record", {}), float(record["begun"]), record.get("closed"))
        for project, record in found.items()
        if not is_closed(database, project)
    ]
    if new:
        with database.write(durable=True) as connection:
            connection.execute(insert(closed_projects), new)
    return len(new)


def _row(project: str, record: Mapping[str, Any], begun: float, closed: float | None) -> dict[str, object]:
    text = json.dumps(dict(record), sort_keys=True)
    return {"project": project, "begun_at": begun, "closed_at": closed, "record": text}


def _told(row: Any) -> Record:
    return {"begun": row.begun_at, "closed": row.closed_at, "record": json.loads(row.record)}


_CLOSED = select(closed_projects.c.project).where(closed_projects.c.project == bindparam("the_project"))
