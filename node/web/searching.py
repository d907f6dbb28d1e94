"""Finding instances by what people know of them, and telling their story, by the node's own command `explain`.

By an original (UID, Patient ID, accession number) only somebody who may see identity finds something: whether a person
is known here is told by the answer. The command writes that to the audit trail before it answers.
"""

from __future__ import annotations

from typing import Any

from node.errors import CommandFailed
from node.web.commands import Commands


def explain(commands: Commands, term: str, on_behalf: str, *, identity: bool) -> list[dict[str, Any]]:
    """Return the story of each instance that a term names; nothing where it names none. Raises CommandFailed.

    With `identity` a term may be an original, and stories have the originals, as far as they are still known.
    """
    options = ["--identity"] if identity else []
    ended = commands.run(["explain", "--json", *options, "--", term], on_behalf=on_behalf)
    if ended.code == 0:
        found = ended.json()
        return list(found["instances"] if isinstance(found, dict) else found)
    if ended.code == 1:
        return []
    raise CommandFailed(ended.messages or "the search failed")
