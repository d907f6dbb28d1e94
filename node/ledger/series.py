"""The series that instances belong to: by what they are found, keyed (`node.instances.Place`).

Guarantees that a process remembers only what was committed: a number always means the series that it was read or
written for. One row is written for each series, so that an instance costs a look into memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import bindparam, insert, select

from node.instances import Place
from node.ledger.schema import series
from node.ledger.transactions import Transaction

_REMEMBERED = 20_000


@dataclass(slots=True)
class SeriesNumbers:
    """The numbers of series, as one process knows them."""

    _known: dict[tuple[str, Place], int] = field(default_factory=dict)
    _fresh: dict[tuple[str, Place], int] = field(default_factory=dict)

    def number(self, connection: Transaction, project: str, place: Place) -> int:
        """Return the number of a project's series, which is new where the ledger has none."""
        key = project, place
        found = self._known.get(key) or self._fresh.get(key)
        if found is None:
            values = {f"the_{name}": text for name, text in place._asdict().items()}
            found = connection.execute(_FIND, {"the_project": project, **values}).scalar()
            if found is None:
                found = connection.execute(_NEW, {"project": project, **place._asdict()}).scalar()
            self._fresh[key] = found
        return found

    @contextlib.contextmanager
    def committed(self) -> Iterator[None]:
        """Around a transaction: what was new in it is remembered where it was committed."""
        self._fresh.clear()
        yield
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        self._known |= self._fresh


_FIND = select(series.c.seq).where(
    *(series.c[name] == bindparam(f"the_{name}") for name in ("project", "study", "series", "accession", "patient"))
)
_NEW = insert(series).returning(series.c.seq)
