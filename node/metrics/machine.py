"""The node's processes, its disk and ledger, certificates, and the clock."""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator

from node import __version__
from node.config import Config, expiries
from node.disk import look
from node.errors import LedgerError
from node.ledger.database import Database
from node.ledger.schema import VERSION
from node.metrics.families import Family, counter, gauge, value
from node.opening import running_node
from node.reloading import last
from node.roster import Present, present

_STATES = ("ok", "low", "full", "read-only", "failing")


def families(config: Config, database: Database) -> Iterator[Family]:
    """Return the metrics."""
    versions = (__version__, VERSION, sqlite3.sqlite_version, platform.python_version())
    yield gauge("info", "Versions.", ["version", "ledger", "sqlite", "python"], [(versions, 1)])
    yield value("time_seconds", "The machine's clock, in seconds since 1970.", time.time())
    yield from _processes(config)
    yield from _disk(config)
    yield from _ledger(database)
    yield gauge(
        "certificate_days_left",
        "For how many days a certificate is valid; no sample where that cannot be known.",
        ["used_by", "file"],
        [((one.used_by, one.file.name), one.days) for one in expiries(config) if one.days is not None],
    )


def _processes(config: Config) -> Iterator[Family]:
    try:
        process = running_node(config)
    except OSError:
        process = None
    told = (None if process is None else present(config.node.spool, process)) or Present()
    yield value("up", "1 while the node runs.", float(process is not None))
    yield value("start_time_seconds", "When it was started, in seconds since 1970.", told.started or None)
    living = Counter(label.rstrip("0123456789") for label, pid in told.roles.items() if pid)
    roles = dict.fromkeys(label.rstrip("0123456789") for label in told.roles)
    yield gauge("processes", "Its processes, by role.", ["role"], [((role,), living[role]) for role in roles])
    yield counter(
        "process_deaths",
        "How often a process ended by itself and was started again, since the node started.",
        ["role"],
        [((role,), told.deaths.get(role, 0)) for role in roles],
    )
    yield gauge(
        "recipe_info",
        "The recipe in use, by its hash.",
        ["route", "hash"],
        [(pair, 1) for pair in told.recipes.items()],
    )
    yield value("reload_faults", "What was wrong with the last reload.", len(last(config.node.spool).faults))


def _disk(config: Config) -> Iterator[Family]:
    try:
        disk = look(config)
    except OSError:
        return
    yield value("disk_free_bytes", "What is free on the spool's disk.", disk.free)
    yield value("disk_floor_bytes", "Below it C-STORE is answered A700H.", disk.floor)
    yield value("disk_warn_bytes", "Below it there is an alert.", disk.warn)
    yield value("disk_seconds_to_full", "When the floor is reached; no sample where it is not.", disk.seconds_to_full)
    yield gauge("disk_state", "1 for the state.", ["state"], [((one,), float(one == disk.state)) for one in _STATES])


def _ledger(database: Database) -> Iterator[Family]:
    try:
        known = database.version()
    except LedgerError:
        known = None
    yield value("ledger_up", "1 where the ledger answers and is of this version.", float(known == VERSION))
    sizes = [("database", database.path), ("log", database.path.with_name(f"{database.path.name}-wal"))]
    samples = []
    for kind, path in sizes:
        try:
            samples.append(((kind,), os.stat(path).st_size))
        except OSError:
            continue
    yield gauge("ledger_bytes", "The size of the ledger's files.", ["file"], samples)
