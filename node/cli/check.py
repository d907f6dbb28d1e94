"""`check`: everything that would go wrong, before anything goes wrong; it changes nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from node.cli.common import WRONG, config_option, config_path, print_json
from node.errors import ConfigError, Fault, LedgerError, NotReachable, StartError

if TYPE_CHECKING:
    from node.config import Config

ECHOES_AT_ONCE = 8

# https://sqlite.org/wal.html#walresetbug
WAL_RESET_BUG_FROM = (3, 7, 0)
WAL_RESET_BUG_FIXED = (3, 51, 3)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that `check` says. A `fault` is exit code 1; a `warning` is with --strict, where `strict` says so."""

    kind: Literal["fault", "warning", "note"]
    about: str
    text: str
    strict: bool = True


@click.command()
@click.option("--strict", is_flag=True, help="Exit code 1 for warnings too, such as an unreachable destination.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def check(strict: bool, as_json: bool) -> int:
    """Check the configuration, the recipes, the folders and the destinations."""
    from node.log import setup_logging

    setup_logging("human", "error", "deid-node")
    _, faults, findings = look(config_path())
    failed = bool(faults) or any(
        one.kind == "fault" or (strict and one.strict and one.kind == "warning") for one in findings
    )
    if as_json:
        print_json({"ok": not failed, "faults": _plain(faults), "findings": [asdict(one) for one in findings]})
    else:
        _print(faults, findings)
    return WRONG if failed else 0


def look(path: Path) -> tuple[Config | None, list[Fault], list[Finding]]:
    """Return the configuration (None where it has faults), all faults, and what else there is to say."""
    from node.cli.faults import load_all

    config, faults = load_all(path)
    findings = [
        Finding("note", "SQLite", f"version {sqlite3.sqlite_version}"),
        *sqlite_findings(sqlite3.sqlite_version),
    ]
    if config is not None:
        findings += _of_node(config)
        if not faults:
            findings += _of_recipes(config)
    return config, faults, findings


def _plain(faults: list[Fault]) -> list[dict[str, Any]]:
    return [asdict(fault) for fault in faults]


def _print(faults: list[Fault], findings: list[Finding]) -> None:
    from node.log import clean_text

    for fault in faults:
        click.echo(f"fault: {clean_text(fault, 2000)}")
    for one in findings:
        click.echo(f"{one.kind}: {one.about}: {clean_text(one.text, 2000)}")
    count = len(faults) + sum(one.kind == "fault" for one in findings)
    warnings = sum(one.kind == "warning" for one in findings)
    click.echo(f"{count} fault{'s' * (count != 1)}, {warnings} warning{'s' * (warnings != 1)}")


def _of_node(config: Config) -> list[Finding]:
    return [
        *(Finding("warning", "configuration", text) for text in config.warnings),
        *_commitment(config),
        *_secret(config),
        *_projects(config),
        *_folders(config),
        *_room(config),
        *_certificates(config),
        *_destinations(config),
    ]


def _of_recipes(config: Config) -> list[Finding]:
    """What is no fault of a recipe but hardly meant."""
    from node.routing import compile_routes

    found = {str(fault): fault for recipe in compile_routes(config).values() for fault in recipe.warnings}
    return [Finding("warning", "recipe", text) for text in found]


def sqlite_findings(version: str) -> list[Finding]:
    """Warn of a SQLite library with a known corruption bug; --strict lets it pass, as a user can rarely change it."""
    numbers = tuple(int(part) for part in version.split("."))
    if not WAL_RESET_BUG_FROM <= numbers < WAL_RESET_BUG_FIXED:
        return []
    text = (
        f"version {version} can, very rarely, corrupt a database in WAL mode (the WAL-reset bug, fixed in "
        "3.51.3). Update SQLite where you can."
    )
    return [Finding("warning", "SQLite", text, strict=False)]


def _commitment(config: Config) -> Iterator[Finding]:
    """Say what storage commitment means; --strict lets it pass, since a configuration that has it means it."""
    from node.config.commitment import warnings

    for text in warnings(config):
        yield Finding("warning", "storage commitment", text, strict=False)


def _secret(config: Config) -> Iterator[Finding]:
    from node.identity import load_secret

    path = config.node.secret_file
    if path.exists():
        try:
            load_secret(path)
        except (StartError, OSError) as error:
            yield Finding("fault", "secret", f"{path}: {error.strerror if isinstance(error, OSError) else error}")
        return
    ledger = Path(config.node.ledger.removeprefix("sqlite:///"))
    if ledger.exists():
        text = f"{path} is missing, but there is a ledger that was made with it. Bring the secret back from its backup."
        yield Finding("fault", "secret", text)
    else:
        yield Finding("note", "secret", f"{path} will be made at the first start.")


def _projects(config: Config) -> Iterator[Finding]:
    """Compare the projects with what the ledger says was handed out, where there is one that can be read."""
    from node.config import columns_of
    from node.ledger.database import Database
    from node.ledger.projects import refuse_changed
    from node.routing import compile_routes, date_modes

    database = Database(config.node.ledger, columns_of(config))
    try:
        database.require()
        refuse_changed(database, config, date_modes(config, compile_routes(config)))
    except ConfigError as error:
        for fault in error.faults:
            yield Finding("fault", fault.key, f"{fault.problem} {fault.hint}")
    except NotReachable:
        return  # the node has not been started yet, or makes a newer one of it at the next start
    except LedgerError as error:
        yield Finding("fault", "ledger", str(error))
    finally:
        database.close()


def _folders(config: Config) -> Iterator[Finding]:
    """Look at every folder that the node writes to, or where it does not exist yet, at the one it would be made in."""
    trial = config.trial_destination
    places = {
        "data": config.node.data,
        "spool": config.node.spool,
        "ledger": Path(config.node.ledger.removeprefix("sqlite:///")).parent,
        "secret": config.node.secret_file.parent,
        **({} if trial is None else {"trial destination": trial.folder}),
    }
    for about, place in places.items():
        folder = next(parent for parent in (place, *place.parents) if parent.exists())
        if not folder.is_dir():
            yield Finding("fault", about, f"{folder} is no folder.")
        elif not os.access(folder, os.W_OK | os.X_OK):
            yield Finding("fault", about, f"{folder} cannot be written by this user.")
    yield from _open_to_others(config)


def _open_to_others(config: Config) -> Iterator[Finding]:
    """Say what the start would refuse: what others can read, and a key that cannot be used."""
    from node.privacy import open_to_others

    for path in open_to_others(config):
        mode = "700" if path.is_dir() else "600"
        yield Finding("fault", "modes", f"{path} can be read by others, and names persons; run: chmod {mode} {path}")
    sealing = config.node.sealing
    if sealing is not None:
        try:
            sealing.key  # noqa: B018 -- read, to see whether it can be
        except StartError as error:
            yield Finding("fault", "encryption", str(error))


def _room(config: Config) -> Iterator[Finding]:
    from node.disk import marks

    spool = config.node.spool
    disk = shutil.disk_usage(next(parent for parent in (spool, *spool.parents) if parent.exists()))
    if disk.free < config.node.min_free_disk.bytes_of(disk.total):
        yield Finding("warning", "spool", "less than min_free_disk is free: C-STORE would be answered A700H.")
    elif disk.free < marks(config, disk.total)[1]:
        yield Finding("warning", "spool", "less than warn_free_disk is free.")


def _certificates(config: Config) -> Iterator[Finding]:
    """Say for how long certificates are valid; what cannot be used at all is a fault of the configuration."""
    from node.config import expiries
    from node.tls import WARN_DAYS

    for one in expiries(config):
        about = f"certificate of {one.used_by}"
        if one.days is not None:
            kind: Literal["warning", "note"] = "warning" if one.days < WARN_DAYS else "note"
            text = "has expired" if one.days < 0 else f"expires in {one.days} day{'s' * (one.days != 1)}"
            yield Finding(kind, about, f"{one.file} {text}.")


def _destinations(config: Config) -> list[Finding]:
    names = [name for name in config.destinations if not config.is_trial(name)]
    with ThreadPoolExecutor(ECHOES_AT_ONCE) as pool:
        return list(pool.map(lambda name: _echo(config, name), names))


def _echo(config: Config, name: str) -> Finding:
    from node.reaching import unanswered

    destination = config.destinations[name]
    about = f"destination '{name}'"
    problem = unanswered(name, destination)
    if problem:
        return Finding("warning", about, f"{destination.address} does not answer C-ECHO: {problem}")
    return Finding("note", about, f"{destination.address} answers.")
