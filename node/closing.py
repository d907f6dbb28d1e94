"""The end of a project: the way back is destroyed, its name is never used again, and a record says so.

Guarantees
    Nothing of the project is in flight or held when it is closed, and from then on nothing is handed out in its name.
    What a crash interrupts, the same command ends. The record says what was destroyed and, as honestly, what was not:
    without a key of the project's own, whoever has the node's secret can still compute its replacements.

Refuses
    (ProjectError) a project that a route of the configuration belongs to; one that has instances in flight or held.
"""

from __future__ import annotations

import getpass
import json
import os
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from node.config import Config
from node.durable import sync_folder
from node.errors import ProjectError, StartError
from node.identity import create_secret, destroy_secret, fingerprint, load_secret
from node.ledger import closed
from node.ledger.database import Database
from node.ledger.erasing import BATCH
from node.ledger.schema import instances, patient_map, projects, uid_map
from node.ledger.times import iso
from node.opening import FINGERPRINT, make_spool
from node.spool import Spool

_REMAINS_WITH_KEY = (
    "Nobody can compute the replacements again: the key is gone from this node. Copies of it, on other nodes and in "
    "backups, are to be destroyed by whoever has them; so are backups of the ledger, which hold the maps. Pages of the "
    "file system or the disk that held what was overwritten are beyond the node."
)
_REMAINS_WITHOUT_KEY = (
    "Whoever has the node's secret can still compute the replacement of an original that he knows or guesses: the "
    "project had no key of its own (projects.NAME.key_file). Backups of the ledger hold the maps. Pages of the file "
    "system or the disk that held what was overwritten are beyond the node."
)


def close_project(config: Config, database: Database, name: str, key_file: Path | None = None) -> dict[str, Any]:
    """Close a project, or end its closing; return the record.

    `key_file` is the project's own key; None is the one that the configuration names, where it does.

    Raises
    ------
    ProjectError
        It cannot be closed; the text says why, and what to do. Nothing was changed.
    LedgerError, OSError
        The ledger or the disk refused; the same command goes on where it ended.
    """
    known = closed.records(database).get(name)
    if known is not None and known["closed"] is not None:
        raise ProjectError(f"project {name} is closed already, since {iso(known['closed'])}")
    record = dict(known["record"]) if known else _intent(config, database, name, key_file)
    still_open = closed.begin(database, name, record)
    if still_open:
        told = " and ".join(f"{count} {outcome.replace('_', ' ')}" for outcome, count in sorted(still_open.items()))
        raise ProjectError(f"project {name} has {told}: let them be delivered, or discard them; nothing was changed")
    _remove_originals(database, make_spool(config), name)
    closed.destroy(database, name)
    _destroy_key(record["key_file"])
    database.shrink()
    done = closed.end(database, name)
    _write_record(config, name, done)
    return _shown(name, done)


def _intent(config: Config, database: Database, name: str, key_file: Path | None) -> dict[str, Any]:
    """What the record says of a project before anything is destroyed. Raises ProjectError."""
    routes = [route.name for route in config.routes if route.project == name]
    if routes:
        raise ProjectError(f"route {routes[0]} belongs to project {name}: remove it, `deid-node reload`, then close")
    if name not in {one["project"] for one in list_projects(config, database)}:
        raise ProjectError(f"the ledger knows no project {name}")
    section = config.projects.get(name)
    path = key_file or (section.key_file if section else None)
    bound = _bound_key(database, name)
    if bound and path is None:
        raise ProjectError(
            f"project {name} has a key of its own: name its file with --key-file, so that it is destroyed"
        )
    own = None
    if path is not None:
        try:
            own = fingerprint(load_secret(path, f"key of project {name}"))
        except StartError as error:
            raise ProjectError(str(error)) from None
        if bound and own != bound:
            raise ProjectError(f"{path} is not the key that the replacements of project {name} were made with")
    return {
        "by": _user(),
        "key": "own" if own else "secret",
        "key_fingerprint": own or database.get(FINGERPRINT),
        "key_file": str(path) if own else None,
        "remains": _REMAINS_WITH_KEY if own else _REMAINS_WITHOUT_KEY,
    }


def _bound_key(database: Database, name: str) -> str:
    """The fingerprint of the key that the project's last epoch is bound to; empty where it had none."""
    query = select(projects.c.forms).where(projects.c.project == name).order_by(projects.c.epoch.desc()).limit(1)
    with database.read() as connection:
        forms = connection.execute(query).scalar()
    return str(json.loads(forms).get("key_file", "")) if forms else ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def _remove_originals(database: Database, spool: Spool, name: str) -> None:
    """Remove what is left of the project's originals in the spool: they are delivered, and stayed for a time."""
    names = (one for one, _ in spool.list_retained())
    while batch := list(islice(names, BATCH)):
        query = select(instances.c.id).where(instances.c.id.in_(batch), instances.c.project == name)
        with database.read() as connection:
            mine = list(connection.execute(query).scalars())
        count = spool.remove_retained(mine)
        with database.write(durable=True) as connection:
            closed.count(connection, name, {"originals": count})


def _destroy_key(path: str | None) -> None:
    if path is not None and Path(path).exists():
        destroy_secret(Path(path))


def records_folder(config: Config) -> Path:
    """Where the records of closed projects lie, beside the ledger's own: a lost ledger is told by them."""
    return config.node.data / "closed"


def _write_record(config: Config, name: str, record: dict[str, Any]) -> None:
    folder = records_folder(config)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = folder / f"{name}.json.new"
    with draft.open("w", encoding="utf-8") as file:
        json.dump({"project": name, **record}, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(folder / f"{name}.json")
    sync_folder(folder)


def read_records(config: Config) -> dict[str, closed.Record]:
    """Return the records of closed projects that lie as files, by project. Raises OSError, ValueError."""
    found = {}
    for path in sorted(records_folder(config).glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        found[str(record.pop("project"))] = record
    return found


def _shown(name: str, record: closed.Record) -> dict[str, Any]:
    return {
        "project": name,
        "begun": iso(record["begun"]),
        "closed": iso(record["closed"]),
        **{key: value for key, value in record["record"].items() if key != "key_file"},
    }


def list_projects(config: Config, database: Database) -> list[dict[str, Any]]:
    """Return every project of the configuration and of the ledger, with what the ledger has of it.

    Raises LedgerError.
    """
    found: dict[str, dict[str, Any]] = {}

    def entry(name: str) -> dict[str, Any]:
        empty = {"routes": [], "in_flight": 0, "held": 0, "uids": 0, "patients": 0, "own_key": False, "closed": None}
        return found.setdefault(name, {"project": name, **empty})

    for route in config.routes:
        entry(route.project)["routes"].append(route.name)
    for name, project in config.projects.items():
        entry(name)["own_key"] = project.key_file is not None
    with database.read() as connection:
        counted = select(instances.c.project, instances.c.outcome, func.count())
        for name, outcome, count in connection.execute(counted.group_by(instances.c.project, instances.c.outcome)):
            entry(name)[outcome] = count
        for key, table in (("uids", uid_map), ("patients", patient_map)):
            for name, count in connection.execute(select(table.c.project, func.count()).group_by(table.c.project)):
                entry(name)[key] = count
    for name, record in closed.records(database).items():
        entry(name).update(_shown(name, record))
    return [found[name] for name in sorted(found)]


def make_key(config: Config, database: Database, name: str) -> Path:
    """Make the key of a project that has handed nothing out yet, in the file that the configuration names.

    Raises
    ------
    ProjectError
        The configuration names none, or the project has handed something out.
    StartError
        There is a file already, or it cannot be made.
    """
    section = config.projects.get(name)
    if section is None or section.key_file is None:
        raise ProjectError(f"set projects.{name}.key_file in the configuration first")
    if database.exists():
        database.require()
        with database.read() as connection:
            mine = (projects.c.project == name) & (projects.c.epoch == section.epoch)
            handed = connection.execute(select(projects.c.forms).where(mine)).first()
        if handed is not None or closed.is_closed(database, name):
            raise ProjectError(
                f"project {name} has handed out replacements: put its key back from the backup; one that had none gets "
                f"one with a new epoch only"
            )
    create_secret(section.key_file, f"key of project {name}")
    return section.key_file
