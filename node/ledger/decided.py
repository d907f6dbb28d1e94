"""What was said of the texts of projects, for whoever cleans: read anew where a number says that it has changed.

Guarantees that the number changes in the commit of each decision, so that from then on nothing becomes sendable that
was cleaned without knowing of it. Texts are opened here and nowhere written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects.sqlite import insert as upsert

from node.ledger.names import KEPT_TEXT
from node.ledger.schema import meta
from node.ledger.schema_upkeep import kept_texts
from node.recipe import Decided, decided_of

if TYPE_CHECKING:
    from node.ledger.database import Database
    from node.ledger.transactions import Transaction

HARMLESS, IDENTIFYING = "harmless", "identifying"
_KEY = "review_decisions"


def decisions(connection: Transaction) -> int:
    """Return how often something was decided: where it is another number than before, there is something new."""
    return int(connection.execute(_NUMBER).scalar() or 0)


def count_decision(connection: Transaction) -> None:
    """Note, in the caller's transaction, that something was decided, or that what was is gone."""
    connection.execute(_COUNT, {"key": _KEY, "value": str(decisions(connection) + 1)})


def read_decided(connection: Transaction) -> Mapping[str, Decided]:
    """Return what was said, by project; projects of which no text was said to identify are left out."""
    found: dict[str, tuple[list[tuple[str, str]], list[str]]] = {}
    last: dict[str, float] = {}
    for row in connection.execute(_DECIDED):
        identifying, harmless = found.setdefault(row.project, ([], []))
        text = connection.columns.open(KEPT_TEXT, row.project, row.text)
        if row.decision == IDENTIFYING:
            identifying.append((row.path, text))
            last[row.project] = max(row.decided_at or 0.0, last.get(row.project, 0.0))
        else:
            harmless.append(text)
    return {project: decided_of(*said, at=last[project]) for project, said in found.items() if said[0]}


def decided_since(database: Database, project: str, at: float) -> bool:
    """Whether somebody has said since `at` (seconds, UTC) of a text of the project that it identifies."""
    with database.read() as connection:
        last = connection.execute(_LAST, {"the_project": project}).scalar()
    return last is not None and last > at


_NUMBER = select(meta.c.value).where(meta.c.key == _KEY)
_NEW = upsert(meta)
_COUNT = _NEW.on_conflict_do_update(index_elements=[meta.c.key], set_={"value": _NEW.excluded.value})
_LAST = select(func.max(kept_texts.c.decided_at)).where(
    kept_texts.c.project == bindparam("the_project"), kept_texts.c.decision == IDENTIFYING
)
_DECIDED = select(kept_texts).where(kept_texts.c.decision.is_not(None))
