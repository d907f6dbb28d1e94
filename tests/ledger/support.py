"""A ledger of its own for each test, and rows as the roles write them."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import select

from node.ledger import Database
from node.ledger.cleaning import CleaningLedger
from node.ledger.reception import GroupCommit, Received
from node.ledger.results import Claimed, Clean
from node.ledger.schema import instances
from node.spool import new_id

CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"


def new_database(folder: Path) -> Database:
    database = Database(f"sqlite:///{folder / 'ledger.db'}")
    database.migrate()
    return database


def received(route: str = "r", uid: str = "1.2.3", name: str | None = None, content: str = "") -> Received:
    digest = hashlib.sha256(uid.encode() + content.encode()).digest()
    return Received(
        name or new_id(), time.time(), "p", route, "SCU", "DEIDNODE", "127.0.0.1", CT, uid, EXPLICIT, 100, digest
    )


def receive(database: Database, route: str = "r", uid: str = "1.2.3", content: str = "") -> str:
    one = received(route, uid, content=content)
    GroupCommit(database).add(one)
    return one.id


def clean(claimed: Claimed, destinations: tuple[str, ...]) -> Clean:
    return Clean(claimed, destinations, "hash", CT, f"2.25.{claimed.seq}", EXPLICIT, 400, 300)


def receive_cleaned(database: Database, destinations: tuple[str, ...] = ("d",), uid: str = "1.2.3") -> str:
    name = receive(database, uid=uid)
    cleaning = CleaningLedger(database, "cleaner")
    results = [clean(one, destinations) for one in cleaning.claim(100)]
    assert cleaning.settle(results)
    return name


def seq_of(database: Database, name: str) -> int:
    with database.read() as connection:
        return int(connection.execute(select(instances.c.seq).where(instances.c.id == name)).scalar_one())


def sql(database: Database, statement: str, *values: object) -> list[tuple[object, ...]]:
    """One statement past all of the node's code."""
    with sqlite3.connect(database.path, timeout=30) as connection:
        found = connection.execute(statement, values).fetchall()
    connection.close()
    return found


def when_opened(database: Database, note: Callable[[sqlite3.Connection], object]) -> None:
    """Call `note` with every connection that the database opens from now on."""
    database.close()
    connect = database._connect

    def noting(*, read_only: bool) -> sqlite3.Connection:
        connection = connect(read_only=read_only)
        note(connection)
        return connection

    database._connect = noting  # type: ignore[method-assign]


def trace(database: Database, note: Callable[[str], object]) -> None:
    """Call `note` with every statement that SQLite runs for the database from now on, its values written out."""
    when_opened(database, lambda connection: connection.set_trace_callback(note))


def fill(path: Path, count: int, *, waiting: int = 100, unsettled: int = 1000, names: str = "p r d") -> None:
    """Write instances straight into a ledger's tables, as the node would have left them; tallies and events too.

    1 of `waiting` is due in 500 s, 1 of `unsettled` is received and 1 held (0: none), the others are delivered. `names`
    are those of project, route and destination.
    """
    now, (project, route, destination) = time.time(), names.split()

    def state_of(seq: int) -> tuple[str, str, str | None]:
        place = seq % unsettled if unsettled else 2
        if place == 0:
            return "received", "in_flight", None
        return ("held", "held", "unparsable") if place == 1 else ("cleaned", outcome_of(seq), None)

    def outcome_of(seq: int) -> str:
        return "in_flight" if seq % waiting == 3 else "delivered"

    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous=OFF")
    triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    connection.executemany(
        "INSERT INTO instances (seq, id, received_at, changed_at, sop_instance_uid, state, outcome, reason, due_at,"
        " clean_sop_instance_uid, project, route, calling_ae_title, called_ae_title, address, sop_class_uid,"
        " transfer_syntax_uid, size, digest, clean_sop_class_uid, clean_transfer_syntax_uid, clean_size, clean_offset)"
        " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,'A','B','127.0.0.1','1.2','1.2',10,x'00','1.2','1.2',10,2)",
        (
            (seq, f"{seq:032x}", now, now, f"1.2.{seq}", *state_of(seq), now, f"2.25.{seq}", project, route)
            for seq in range(1, count + 1)
        ),
    )
    connection.execute(
        "INSERT INTO deliveries (instance, destination, created_at, changed_at, due_at, state, tries)"
        " SELECT seq, ?, ?, ?, CASE outcome WHEN 'delivered' THEN ? ELSE ? END,"
        " CASE outcome WHEN 'delivered' THEN 'delivered' ELSE 'due' END, 1 FROM instances WHERE state = 'cleaned'",
        (destination, now, now, now, now + 500),
    )
    connection.execute(
        "INSERT INTO uid_map (project, epoch, original, replacement, origin)"
        " SELECT project, 1, sop_instance_uid, clean_sop_instance_uid, 'computed' FROM instances"
    )
    connection.execute(
        "INSERT INTO tallies SELECT route, state, outcome, repeat, count(*) FROM instances GROUP BY 1, 2, 3, 4"
    )
    connection.execute("INSERT INTO delivery_tallies SELECT destination, state, count(*) FROM deliveries GROUP BY 1, 2")
    connection.execute("INSERT INTO events (instance, at, event) SELECT seq, changed_at, state FROM instances")
    for _, statement in triggers:
        connection.execute(statement)
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
