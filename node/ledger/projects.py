"""Whether the projects of a configuration still have the forms in which their replacements went out.

Guarantees that a project which has handed something out goes on only with the same pseudonyms, UIDs and date shifts, or
in a new key epoch: else one patient would have two pseudonyms, and intervals would break, under one name.
"""

from __future__ import annotations

from collections.abc import Mapping

from node.config import Config
from node.errors import ConfigError, Fault, StartError
from node.identity import fingerprint, load_secret
from node.ledger.closed import is_closed
from node.ledger.database import Database
from node.ledger.maps import DATE_MODE, KEY, bound_forms, changed_forms


def refuse_changed(database: Database, config: Config, modes: Mapping[str, str] | None = None) -> None:
    """Compare every project of the routes with what the ledger is bound to.

    Parameters
    ----------
    database, config
        The ledger, and the configuration that is to be taken.
    modes
        By project, whether its recipes move or keep dates (`node.routing.date_modes`), where they are known.

    Raises
    ------
    ConfigError
        With a fault for each form that was changed, and what to do.
    """
    faults = [
        fault
        for name in dict.fromkeys(route.project for route in config.routes)
        for fault in _of(database, config, name, (modes or {}).get(name, ""))
    ]
    if faults:
        raise ConfigError(faults)


def refuse_changed_project(database: Database, config: Config, name: str, mode: str = "") -> None:
    """Compare one project, as `refuse_changed` does. Raises ConfigError."""
    faults = _of(database, config, name, mode)
    if faults:
        raise ConfigError(faults)


def _of(database: Database, config: Config, name: str, mode: str) -> list[Fault]:
    project = config.project(name)
    if is_closed(database, name):
        return [_closed(config, name)]
    forms = {**project.forms().fixed, **({DATE_MODE: mode} if mode else {})}
    if project.key_file is not None:
        try:
            forms[KEY] = fingerprint(load_secret(project.key_file, "key"))
        except StartError as error:
            return [_without_key(config, name, str(error))]
    with database.read() as connection:
        bound = bound_forms(connection, name, project.epoch)
    return [_fault(config, name, key, before, now) for key, (before, now) in changed_forms(bound, forms).items()]


def _closed(config: Config, name: str) -> Fault:
    hint = "Give the route a project of another name; what it hands out will have nothing to do with the closed one."
    return Fault(str(config.file), None, f"the project '{name}' is closed, for good.", hint, f"projects.{name}")


def _without_key(config: Config, name: str, problem: str) -> Fault:
    hint = f"Put the file back (from the backup); for a new project, `deid-node project key {name}` makes it."
    return Fault(str(config.file), None, problem, hint, f"projects.{name}.key_file")


def _fault(config: Config, name: str, key: str, before: str | int | bool, now: str | int | bool) -> Fault:
    epoch = config.project(name).epoch + 1
    said = f"was {_shown(key, before)} when the project's first instance was cleaned, and is {_shown(key, now)} now."
    if key == KEY:
        said = "the key of the project is not the one that its first instance was cleaned with, or that one had none."
    if key == DATE_MODE:
        said = f"dates were {before} by the recipe when the project began, and would be {now}: both tell the shift."
    return Fault(
        str(config.file),
        None,
        said,
        f"Put it back; or set projects.{name}.epoch to {epoch}: then every patient of the project gets a new "
        f"pseudonym, new UIDs and other dates.",
        f"projects.{name}" if key == DATE_MODE else f"projects.{name}.{key}",
    )


def _shown(key: str, value: str | int | bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if key.startswith("dates."):
        return f"{value}d"
    return f"'{value}'" if isinstance(value, str) else str(value)
