"""Brings a ledger's tables to the program's version, by Alembic.

Refuses a ledger that a newer program made. Nothing is half done: SQLite's tables change in a transaction.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from node.errors import StartError

MIGRATIONS = Path(__file__).parent / "migrations"


def refuse_newer(path: Path, version: str | None) -> None:
    """Raise StartError where the program does not know the version of the ledger at `path`."""
    known = {script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}
    if version is not None and version not in known:
        raise StartError(
            f"the ledger {path} was made by a newer deid-node (version {version}, this one knows up to {max(known)}): "
            f"install that one again; or put back the copy that was made before its upgrade, {path.name}.before-*"
        )


def upgrade(url: str, path: Path, version: str | None) -> None:
    """Migrate the ledger at `url`, whose file is `path`, from `version` (None for a new one) to the program's.

    Raises
    ------
    StartError
        A newer program made it, or it cannot be opened.
    """
    refuse_newer(path, version)
    alembic = Config()
    alembic.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    # The driver begins no transaction of its own, so that tables and all change in one.
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args={"isolation_level": None})
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA journal_mode=WAL"))
    # Tables that a migration makes anew named persons, too.
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA secure_delete=ON"))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    try:
        with engine.connect() as connection:
            alembic.attributes["connection"] = connection
            command.upgrade(alembic, "head")
            connection.commit()
    except DBAPIError as error:
        kind = getattr(error.orig, "sqlite_errorname", None) or type(error.orig).__name__
        raise StartError(f"the ledger {path} cannot be opened ({kind})") from None
