"""All that a developer needs to know of a node in trouble, in one file that may leave the house.

Guarantees
    No value of a data set, no secret, no key; names of the site (AE titles, hosts, routes, projects, paths) are words
    that stand for them. Of what is held or failed there are reasons and tag paths. The file is its owner's alone, and
    is there whole or not at all. Nothing else is changed.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from sqlalchemy import select, text

from node import __version__
from node.config import Config, columns_of
from node.errors import FileError, NodeError
from node.ledger.alerts import alerts, disk_of
from node.ledger.audit import backlog
from node.ledger.database import Database
from node.ledger.erasing import erased
from node.ledger.operation import Ledger
from node.ledger.schema import VERSION, deliveries, instances
from node.ledger.targets import destinations_of
from node.ledger.times import iso
from node.opening import running_node
from node.support.log import place_of, tail
from node.support.settings import plain
from node.support.tokens import Tokens, statuses_in, tags_in

_PACKAGES = ("pydicom", "pynetdicom", "SQLAlchemy", "alembic", "pydantic", "cryptography", "numpy", "click")
_TABLES = ("instances", "deliveries", "events", "audit", "erasures", "series")
_HELD = 200_000  # of which the newest are told
_README = """\
Support bundle of a deid-node. It holds no value of a data set, no secret, and no name of the site: whatever is
written like <destination 2> stands for a name, the same one everywhere in this bundle.

versions.json       the program, what it is built on, the machine
configuration.json  the configuration, every default included
counters.json       what was received and what became of it; refusals; alerts; the audit trail's backlog
destinations.json   how each destination is
holds.json          what is held, newest first: reasons, tag paths
failures.json       what waits after failed tries, newest first
spool.json          how many files in each folder, how many bytes, how old (seconds)
disk.json           the spool's disk
ledger.json         its version, its files, how many rows
check.json          what `deid-node check` says
log.json            where the log is, and its last lines where it is a file
problems.json       what could not be told, and why
"""


@dataclass(slots=True)
class _Bundle:
    """A bundle under way; what fails is told and the rest goes on."""

    tokens: Tokens = field(default_factory=Tokens)
    files: dict[str, Any] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, make: Callable[[], Any]) -> None:
        """Add one file of the bundle, from what `make` gives."""
        try:
            self.files[name] = make()
        except (NodeError, OSError, sqlite3.Error) as error:
            text = self.tokens.sentence(str(error)) if isinstance(error, NodeError) else type(error).__name__
            self.problems[name] = text or ""


def write_bundle(
    config: Config | None, target: Path, check: Iterable[Mapping[str, Any]], *, last: int = 50, log: Path | None = None
) -> list[str]:
    """Write the bundle of a node, which may run; return the names of the files in it.

    Parameters
    ----------
    config
        The node's configuration; None where it cannot be loaded: then there is little to tell.
    target
        The file, which must not exist.
    check
        What `check` found: `kind`, `about`, `text`; its names are replaced here.
    last
        How many holds and failures at most.
    log
        The log, where the node does not show which file it is.

    Raises
    ------
    FileError
        The file exists, or cannot be written.
    """
    if target.exists():
        raise FileError("a support bundle overwrites nothing; name another file", str(target))
    bundle = _Bundle()
    bundle.add("versions.json", _versions)
    if config is None:
        bundle.problems["configuration.json"] = "the configuration cannot be loaded"
    else:
        _add_node(bundle, config, last, log)
    bundle.add("check.json", lambda: [_finding(one, bundle.tokens) for one in check])
    bundle.files["problems.json"] = bundle.problems
    _write(target, bundle.files)
    return sorted([*bundle.files, "README.txt"])


def _add_node(bundle: _Bundle, config: Config, last: int, log: Path | None) -> None:
    # First of all: it gives the names their words.
    bundle.add("configuration.json", lambda: plain(config, bundle.tokens))
    _add_ledger(bundle, config, last)
    bundle.add("spool.json", lambda: spool_of(config))
    bundle.add("disk.json", lambda: _disk(config))
    bundle.add("log.json", lambda: _log(config, log, bundle.tokens))


def _versions() -> dict[str, Any]:
    return {
        "deid-node": __version__,
        "ledger": VERSION,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "packages": {name: _installed(name) for name in _PACKAGES},
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": os.cpu_count(),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _installed(name: str) -> str | None:
    try:
        return installed(name)
    except PackageNotFoundError:
        return None


def _add_ledger(bundle: _Bundle, config: Config, last: int) -> None:
    database, tokens = Database(config.node.ledger, columns_of(config)), bundle.tokens
    try:
        bundle.add("ledger.json", lambda: _ledger(database))
        bundle.add("counters.json", lambda: _counters(database, config, tokens))
        bundle.add("destinations.json", lambda: _destinations(database, config, tokens))
        bundle.add("holds.json", lambda: _holds(database, last, tokens))
        bundle.add("failures.json", lambda: _failures(database, last, tokens))
    finally:
        database.close()


def _ledger(database: Database) -> dict[str, Any]:
    path = database.path
    files = {suffix or "ledger": _size(Path(f"{path}{suffix}")) for suffix in ("", "-wal", "-shm")}
    told: dict[str, Any] = {"files": files, "migrated_to": database.version(), "program_wants": VERSION}
    database.require()
    with database.read() as connection:
        rows = {}
        for name in _TABLES:  # numbers grow by one for each row
            query = f"SELECT max(seq) FROM {name}"  # noqa: S608 -- the program's own names
            rows[name] = connection.driver.execute(query).fetchone()[0] or 0
    return told | {"newest_row": rows}


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.exists() else None


def _counters(database: Database, config: Config, tokens: Tokens) -> dict[str, Any]:
    database.require()
    found = Ledger(database).status()
    found["routes"] = {tokens.of("route", name): counts for name, counts in found["routes"].items()}
    del found["destinations"]
    found["refused"] = [_refused(one, tokens) for one in found["refused"]]
    found["alerts"] = [{key: one[key] for key in one if key != "text"} for one in alerts(database, config)]
    found["erased"] = erased(database)
    audit = backlog(database)
    return found | {
        "audit": {"entries": audit.entries, "waiting": audit.waiting, "trouble": tokens.sentence(audit.error)}
    }


def _refused(one: Mapping[str, Any], tokens: Tokens) -> dict[str, Any]:
    uid = one["uid"]
    return {
        "kind": one["kind"],
        "calling_ae_title": tokens.of("ae", one["calling_ae_title"]),
        "called_ae_title": tokens.of("ae", one["called_ae_title"]),
        "address": tokens.of("host", one["address"]),
        "uid": uid if uid.startswith("1.2.840.10008.") else tokens.of("uid", uid),
        "has_certificate": bool(one["certificate"]),
        "times": one["times"],
        "last": one["last"],
    }


def _destinations(database: Database, config: Config, tokens: Tokens) -> dict[str, Any]:
    database.require()
    found = destinations_of(database, config.destinations)
    return {
        str(tokens.of("destination", name)): one | {"last_error": tokens.sentence(one["last_error"])}
        for name, one in found.items()
    }


def _holds(database: Database, last: int, tokens: Tokens) -> dict[str, Any]:
    database.require()
    held = Ledger(database).held(_HELD)
    reasons: dict[str, int] = {}
    for one in held:
        reasons[one["reason"]] = reasons.get(one["reason"], 0) + 1
    newest = [
        {
            "id": one["id"],
            "since": one["since"],
            "route": tokens.of("route", one["route"]),
            "destination": tokens.of("destination", one["destination"]),
            "reason": one["reason"],
            "tags": tags_in(one["detail"]),
            "statuses": statuses_in(one["detail"]),
        }
        for one in reversed(held[-last:] if last else [])
    ]
    return {"by_reason": reasons, "newest": newest}


def _failures(database: Database, last: int, tokens: Tokens) -> list[dict[str, Any]]:
    database.require()
    query = (
        select(deliveries, instances.c.id, instances.c.route, instances.c.sop_class_uid)
        .join(instances, instances.c.seq == deliveries.c.instance)
        .where(text("deliveries.state = 'due'"), deliveries.c.tries > 0)
        .order_by(deliveries.c.changed_at.desc())
        .limit(last)
    )
    with database.read() as connection:
        return [
            {
                "id": row.id,
                "route": tokens.of("route", row.route),
                "destination": tokens.of("destination", row.destination),
                "tries": row.tries,
                "refused": row.refused,
                "status": None if row.status is None else f"{row.status:04X}H",
                "error": tokens.sentence(row.last_error),
                "next_try": iso(row.due_at),
            }
            for row in connection.execute(query)
        ]


def spool_of(config: Config) -> dict[str, dict[str, Any]]:
    """Return of each folder of the spool how many files it has, how many bytes, and how old they are (seconds)."""
    now = time.time()
    return {name: _folder(config.node.spool / name, now) for name in ("incoming", "originals", "cleaned", "retained")}


def _folder(folder: Path, now: float) -> dict[str, Any]:
    count, size, oldest, newest = 0, 0, None, None
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                found = os.stat(f"{parent}/{name}", follow_symlinks=False)
            except FileNotFoundError:
                continue
            age = round(now - found.st_mtime)
            count, size = count + 1, size + found.st_size
            oldest = age if oldest is None else max(oldest, age)
            newest = age if newest is None else min(newest, age)
    return {"exists": folder.is_dir(), "files": count, "bytes": size, "oldest": oldest, "newest": newest}


def _disk(config: Config) -> dict[str, Any] | None:
    disk = disk_of(config)
    keys = ("free", "floor", "warn", "state", "seconds_to_full")
    return None if disk is None else {key: getattr(disk, key) for key in keys}


def _finding(one: Mapping[str, Any], tokens: Tokens) -> dict[str, Any]:
    return {
        key: tokens.sentence(value) if isinstance(value, str) and key != "kind" else value for key, value in one.items()
    }


def _log(config: Config, named: Path | None, tokens: Tokens) -> dict[str, Any]:
    words, path = place_of(running_node(config))
    told: dict[str, Any] = {"where": "a file that was named" if named else words, "level": config.node.log.level}
    file = named or path
    return told if file is None else told | {"lines": tail(file, 2000, tokens)}


def _write(target: Path, files: Mapping[str, Any]) -> None:
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w+b") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("README.txt", _README)
                for name, value in sorted(files.items()):
                    archive.writestr(name, json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.rename(target)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise FileError(f"the support bundle cannot be written ({error.strerror})", str(target)) from None
