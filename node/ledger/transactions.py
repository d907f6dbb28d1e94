"""Runs SQLAlchemy's Core statements on the driver's own connection.

A statement is compiled once and its SQL kept as long as the statement lives: on the way of an instance, SQLAlchemy's
own execution cost more than SQLite's work (`docs/performance.md`). Statements that are made for one call are compiled
for this call; the hot ones are constants of their module.

Guarantees
    Values that vary are always bound, never written into SQL. Rows are named tuples.
"""

from __future__ import annotations

import re
import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Executable
from sqlalchemy.dialects import sqlite

from node.sealing import PLAIN, Columns

_DIALECT = sqlite.dialect(paramstyle="named")
_WORD = re.compile(r"[a-z_-]*")  # constants of the program itself, such as states
_PLACE = re.compile(r":(\w+)")

Row = Any
Values = Mapping[str, object]


class _Compiled:
    """A statement as SQL, with the constants that it holds and a maker of its rows."""

    __slots__ = ("bound", "make", "sql")

    def __init__(self, statement: Executable, names: Sequence[str] | None) -> None:
        compiled = statement.compile(  # type: ignore[attr-defined]
            dialect=_DIALECT, column_keys=names, compile_kwargs={"render_postcompile": True}
        )
        open_ones = {name for name, bind in compiled.binds.items() if bind.required}
        held = {name: value for name, value in compiled.params.items() if name not in open_ones}
        # States are written out: for a bound one SQLite would plan anew at each call, to see whether an index of some
        # rows only may be used.
        words = {name for name, value in held.items() if isinstance(value, str) and _WORD.fullmatch(value)}
        self.sql = _PLACE.sub(lambda found: f"'{held[found[1]]}'" if found[1] in words else found[0], str(compiled))
        self.bound = {name: value for name, value in held.items() if name not in words}
        columns = [column.name for column in getattr(compiled.statement, "exported_columns", None) or ()]
        self.make: Callable[[Sequence[Any]], Row] = tuple
        if columns:
            self.make = namedtuple("Row", columns, rename=True)._make  # type: ignore[attr-defined]


_COMPILED: WeakKeyDictionary[Executable, dict[tuple[str, ...] | None, _Compiled]] = WeakKeyDictionary()


def _compiled(statement: Executable, names: tuple[str, ...] | None) -> _Compiled:
    by_names = _COMPILED.get(statement)
    if by_names is None:
        by_names = _COMPILED[statement] = {}
    found = by_names.get(names)
    if found is None:
        found = by_names[names] = _Compiled(statement, names)
    return found


class Result:
    """What a statement gave: its rows, each a named tuple, to be taken once."""

    __slots__ = ("_cursor", "_make", "rowcount")

    def __init__(self, cursor: sqlite3.Cursor, make: Callable[[Sequence[Any]], Row]) -> None:
        self._cursor = cursor
        self._make = make
        self.rowcount = cursor.rowcount

    def __iter__(self) -> Iterator[Row]:
        return map(self._make, self._cursor)

    def all(self) -> list[Row]:
        """Every row."""
        return [self._make(row) for row in self._cursor]

    def first(self) -> Row | None:
        """The first row, or None; the others are let go."""
        row = self._cursor.fetchone()
        self._cursor.close()
        return None if row is None else self._make(row)

    def one(self) -> Row:
        """The first row, where there must be one."""
        row = self.first()
        if row is None:
            raise LookupError("the ledger has no such row")
        return row

    def scalar(self) -> Any:
        """The first value of the first row, or None where there is no row."""
        row = self.first()
        return None if row is None else row[0]

    def scalars(self) -> Iterator[Any]:
        """The first value of every row."""
        return (row[0] for row in self._cursor)


class Transaction:
    """What sees one state of the ledger, and may change it where `Database.write` gave it.

    Values of columns that name a person go through `columns`, in both directions.
    """

    __slots__ = ("columns", "driver")

    def __init__(self, driver: sqlite3.Connection, columns: Columns = PLAIN) -> None:
        self.driver = driver
        self.columns = columns

    def execute(self, statement: Executable, values: Values | Sequence[Values] | None = None) -> Result:
        """Run a statement once, or once for each of several mappings of values.

        Raises
        ------
        sqlite3.Error
            Which `Database` turns into an error of the ledger, without a value.
        """
        if not values:
            compiled = _compiled(statement, None)
            return Result(self.driver.execute(compiled.sql, compiled.bound), compiled.make)
        if isinstance(values, Mapping):
            compiled = _compiled(statement, tuple(values))
            return Result(self.driver.execute(compiled.sql, {**compiled.bound, **values}), compiled.make)
        compiled = _compiled(statement, tuple(values[0]))
        rows = [{**compiled.bound, **row} for row in values] if compiled.bound else values
        return Result(self.driver.executemany(compiled.sql, rows), compiled.make)
