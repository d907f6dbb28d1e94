"""What a backup of the ledger, or a damaged ledger, still has and nothing else.

That are imported pairs, merged ids, forms, closed projects, and who has withdrawn consent.

Guarantees that a pair is taken as it stands or not at all, that nothing of a closed project comes back, and that what
could not be read is said. What a backup has in plain is sealed where the ledger is. Refuses (StartError) a file that is
no ledger, or one of another secret or key.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from node.errors import StartError
from node.ledger.database import Database
from node.ledger.names import (
    ALIAS_ISSUER,
    ALIAS_PATIENT_ID,
    ISSUER,
    ORIGINAL,
    PATIENT_ID,
    SAME_ISSUER,
    SAME_PATIENT_ID,
    SHIFT,
    shift_scope,
)
from node.ledger.sealed import KEY_FINGERPRINT
from node.sealing import Columns

_TABLES = {
    "uid_map": ("project", "epoch", "original", "replacement", "origin", "used_day"),
    "patient_map": ("project", "epoch", "issuer", "patient_id", "pseudonym", "shift_days", "origin", "used_day"),
    "patient_aliases": ("project", "epoch", "at", "issuer", "patient_id", "same_issuer", "same_patient_id"),
    "projects": ("project", "epoch", "forms"),
    "closed_projects": ("project", "begun_at", "closed_at", "record"),
    "withdrawals": ("project", "subject", "at", "undone_at", "changes"),
}
_IMPORTED = ("uid_map", "patient_map")
_OF_CLOSED = ("closed_projects", "withdrawals")  # what stays of a closed project
# What names a person, and is sealed by itself; a shift is bound to its pseudonym too.
_SEALED = {
    "uid_map": {"original": ORIGINAL},
    "patient_map": {"issuer": ISSUER, "patient_id": PATIENT_ID},
    "patient_aliases": {
        "issuer": ALIAS_ISSUER,
        "patient_id": ALIAS_PATIENT_ID,
        "same_issuer": SAME_ISSUER,
        "same_patient_id": SAME_PATIENT_ID,
    },
}

Row = tuple[object, ...]


@dataclass(slots=True)
class Backup:
    """Rows by table, the key of each first; `complete` says that all of the file could be read."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    complete: bool = True
    sealed: bool = False


def read(path: Path, fingerprint: str, key: str = "") -> Backup:
    """Read a ledger that is not in use; `fingerprint` is the secret's of now, `key` that of the key of encryption.

    Raises
    ------
    StartError
        It is no ledger, or another secret's, or sealed with another key.
    """
    found = Backup()
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            row = connection.execute("SELECT value FROM meta WHERE key = 'secret_fingerprint'").fetchone()
            if row is None or row[0] != fingerprint:
                raise StartError(f"the ledger {path} was made with another secret: its pairs do not belong here")
            row = connection.execute("SELECT value FROM meta WHERE key = ?", (KEY_FINGERPRINT,)).fetchone()
            if row is not None and row[0] != key:
                raise StartError(f"the ledger {path} was sealed with another key than that of node.encryption")
            found.sealed = row is not None
            for table in _TABLES:
                found.rows[table] = list(_rows(connection, table, found))
    except sqlite3.Error as error:
        kind = getattr(error, "sqlite_errorname", None) or type(error).__name__
        raise StartError(f"the ledger {path} cannot be read ({kind}): name another backup, or none") from None
    return found


def _rows(connection: sqlite3.Connection, table: str, found: Backup) -> Iterator[Row]:
    """Every row that can be read: from the first one on, and from the last one back where a page is damaged."""
    known = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
    if not known:
        return  # an older program's
    columns = ", ".join(name if name in known else f"NULL AS {name}" for name in _TABLES[table])
    which = "WHERE origin = 'imported'" if table in _IMPORTED else ""
    key = "project, epoch" if "epoch" in known else "project"
    seen: set[Row] = set()
    for direction in ("ASC", "DESC"):
        try:
            for row in connection.execute(f"SELECT {columns} FROM {table} {which} ORDER BY {key} {direction}"):  # noqa: S608
                if row not in seen:
                    seen.add(row)
                    yield row
        except sqlite3.DatabaseError:
            found.complete = False
            continue
        return


def restore(database: Database, backup: Backup, closed: Collection[str]) -> dict[str, int]:
    """Write what a backup has, durably, where the ledger has nothing; return how many rows of each table.

    `closed` are projects of which nothing comes back. Raises LedgerError.
    """
    counts = {}
    gone = {*closed, *(str(row[0]) for row in backup.rows.get("closed_projects", ()))}
    with database.write(durable=True) as connection:
        for table, rows in backup.rows.items():
            mine = [row for row in rows if table in _OF_CLOSED or row[0] not in gone]
            if not backup.sealed:
                mine = [_sealed(table, row, database.columns) for row in mine]
            names, places = ", ".join(_TABLES[table]), ", ".join("?" * len(_TABLES[table]))
            counts[table] = connection.driver.executemany(
                f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({places})",  # noqa: S608 -- our names
                mine,
            ).rowcount
    return {table: max(0, count) for table, count in counts.items()}


def _sealed(table: str, row: Row, columns: Columns) -> Row:
    """A row that came in plain, as the ledger has it."""
    if not columns.active or table not in _SEALED:
        return row
    value = dict(zip(_TABLES[table], row, strict=True))
    project = str(value["project"])
    for name, column in _SEALED[table].items():
        value[name] = columns.seal(column, project, str(value[name]))
    if table == "patient_map":
        scope = shift_scope(project, str(value["pseudonym"]))
        value["shift_days"] = columns.seal(SHIFT, scope, str(value["shift_days"]))
    return tuple(value.values())
