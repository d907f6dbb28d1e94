"""A ledger of its own for each test, and rows as the roles write them."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import select

from node.ledger import Database
from node.ledger.cleaning import Claimed, Clean, CleaningLedger
from node.ledger.reception import GroupCommit, Received
from node.ledger.schema import instances
from node.spool import new_id

CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"


def new_database(folder: Path) -> Database:
    database = Database(f"sqlite:///{folder / 'ledger.db'}")
    database.migrate()
    return database


def received(route: str = "r", uid: str = "1.2.3", name: str | None = None) -> Received:
    digest = hashlib.sha256(uid.encode()).digest()
    return Received(
        name or new_id(), time.time(), "p", route, "SCU", "DEIDNODE", "127.0.0.1", CT, uid, EXPLICIT, 100, digest
    )


def receive(database: Database, route: str = "r", uid: str = "1.2.3") -> str:
    one = received(route, uid)
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
