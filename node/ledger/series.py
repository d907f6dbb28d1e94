"""The series that instances belong to: by what they are found, keyed (`node.instances.Place`); one row for each."""

from __future__ import annotations

from sqlalchemy import bindparam, insert, select

from node.instances import Place
from node.ledger.schema import series
from node.ledger.transactions import Transaction


def number_of_series(connection: Transaction, project: str, place: Place) -> int:
    """Return the number of a project's series, which is written where the ledger does not have it."""
    values = {f"the_{name}": text for name, text in place._asdict().items()}
    found = connection.execute(_FIND, {"the_project": project, **values}).scalar()
    if found is None:
        found = connection.execute(_NEW, {"project": project, **place._asdict()}).scalar()
    return int(found)


_FIND = select(series.c.seq).where(
    *(series.c[name] == bindparam(f"the_{name}") for name in ("project", "study", "series", "accession", "patient"))
)
_NEW = insert(series).returning(series.c.seq)
