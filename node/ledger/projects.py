"""Whether the projects of a configuration still have the forms in which their replacements went out.

Guarantees that a project which has handed something out goes on only with the same pseudonyms, UIDs and date shifts, or
in a new key epoch: else one patient would have two pseudonyms, and intervals would break, under one name.
"""

from __future__ import annotations

from node.config import Config
from node.errors import ConfigError, Fault
from node.ledger.database import Database
from node.ledger.maps import bound_forms, changed_forms


def refuse_changed(database: Database, config: Config) -> None:
    """Compare every project of the routes with what the ledger is bound to.

    Raises
    ------
    ConfigError
        With a fault for each form that was changed, and what to do.
    """
    faults = [
        fault
        for name in dict.fromkeys(route.project for route in config.routes)
        for fault in _of(database, config, name)
    ]
    if faults:
        raise ConfigError(faults)


def refuse_changed_project(database: Database, config: Config, name: str) -> None:
    """Compare one project, as `refuse_changed` does. Raises ConfigError."""
    faults = _of(database, config, name)
    if faults:
        raise ConfigError(faults)


def _of(database: Database, config: Config, name: str) -> list[Fault]:
    project = config.project(name)
    with database.read() as connection:
        bound = bound_forms(connection, name, project.epoch)
    return [
        Fault(
            str(config.file),
            None,
            f"was {_shown(key, before)} when the project's first instance was cleaned, and is {_shown(key, now)} now.",
            f"Put it back; or set projects.{name}.epoch to {project.epoch + 1}: then every patient of the project gets "
            f"a new pseudonym, new UIDs and other dates.",
            f"projects.{name}.{key}",
        )
        for key, (before, now) in changed_forms(bound, project.forms().fixed).items()
    ]


def _shown(key: str, value: str | int | bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if key.startswith("dates."):
        return f"{value}d"
    return f"'{value}'" if isinstance(value, str) else str(value)
