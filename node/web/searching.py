"""Finding instances by what people know of them, and telling their story, by the node's own command `explain`.

By an original (UID, Patient ID, accession number) only somebody who may see identity finds something: whether a person
is known here is told by the answer. The command writes that to the audit trail before it answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from node.errors import CommandFailed
from node.ledger import Database
from node.ledger.finding import find as find_in_ledger
from node.web.commands import Commands


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found, as `deid-node explain --json` prints it: by study, and the story where it is one instance."""

    studies: Sequence[dict[str, Any]] = ()
    stories: Sequence[dict[str, Any]] = ()


def search(commands: Commands, term: str, on_behalf: str) -> Answer:
    """Find by anything, and tell whose it is: for whoever may see identity. Raises CommandFailed."""
    return _explained(commands, ["--identity", "--", term], on_behalf)


def search_plain(commands: Commands, database: Database, term: str, on_behalf: str) -> Answer:
    """Find by what names nobody, and tell nothing of whose it is. Raises CommandFailed, LedgerError."""
    studies, ids = find(database, term)
    if len(ids) != 1:
        return Answer(studies)
    return _explained(commands, ["--", ids[0]], on_behalf)


def find(database: Database, term: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the studies that a term names which is no original, and the ids of their instances. No key is needed."""
    found = find_in_ledger(database, term, lambda _project: None, identity=False)
    return found.studies, found.ids


def _explained(commands: Commands, arguments: Sequence[str], on_behalf: str) -> Answer:
    ended = commands.run(["explain", "--json", *arguments], on_behalf=on_behalf)
    if ended.code not in (0, 1):
        raise CommandFailed(ended.messages or "the search failed")
    found = ended.json()
    return Answer(found["studies"], found["stories"])
