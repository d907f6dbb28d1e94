"""Names of the site, each replaced by a word that stands for it in the whole bundle: `<destination 2>`.

Guarantees that a text which is not one of the program's own comes through as such a word, or not at all. Of sentences
(errors, findings of `check`) the node's own words stay; what is in quotes, looks like a path, a host, an address, a UID
or a number with more than six digits goes. What a sentence says of a data set is its tag paths, which have no values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_PATH = r"\([0-9A-Fa-f]{4},[0-9A-Fa-f]{4}\)"
_TAGS = re.compile(rf"{_PATH}(?:__\d+__{_PATH})*")
_STATUS = re.compile(r"\b[0-9A-F]{4}H\b")
_HIDDEN = re.compile(
    r"'[^']*'"  # what somebody wrote
    r"|\"[^\"]*\""
    r"|(?<![\w.])[~.]{0,2}/[^\s,;:)]+"  # paths
    r"|\b[\w-]+(?:\.[\w-]+){1,}\b(?::\d+)?"  # hosts, addresses, UIDs, files
    r"|\[[0-9A-Fa-f:]{3,}\](?::\d+)?"
    r"|\S*[^\x00-\x7f]\S*"
    r"|\S*[@^]\S*"
    r"|\b\d{7,}\b"
)
_SHORTEST = 3  # characters of a name that is looked for in sentences


@dataclass(slots=True)
class Tokens:
    """The words of one bundle."""

    _known: dict[tuple[str, str], str] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def of(self, kind: str, text: str | None) -> str | None:
        """Return the word that stands for a text; the same one wherever it stands as that kind."""
        if not text:
            return text
        found = self._known.get((kind, text))
        if found is None:
            number = self._counts[kind] = self._counts.get(kind, 0) + 1
            found = self._known[kind, text] = f"<{kind} {number}>"
        return found

    def sentence(self, text: str | None) -> str | None:
        """Return a sentence of the node's without names; known ones become their words."""
        if not text:
            return text
        names = sorted(self._known, key=lambda one: -len(one[1]))
        pieces = [text]
        for kind, name in names:
            if len(name) >= _SHORTEST:
                pieces = [part for piece in pieces for part in _split(piece, name, self._known[kind, name])]
        # Words that stand for a name are at the odd places now.
        return "".join(piece if _is_word(piece) else _HIDDEN.sub("…", piece) for piece in pieces)


def _split(piece: str, name: str, word: str) -> list[str]:
    """Cut a piece at a name, which stands there as a word of its own."""
    if _is_word(piece):
        return [piece]
    found = re.split(rf"(?<![\w]){re.escape(name)}(?![\w])", piece)
    parts = [found[0]]
    for rest in found[1:]:
        parts += [word, rest]
    return parts


def _is_word(piece: str) -> bool:
    return piece.startswith("<") and piece.endswith(">") and " " in piece


def tags_in(text: str | None) -> list[str]:
    """Return the tag paths that a detail names, each once."""
    return list(dict.fromkeys(_TAGS.findall(text or "")))


def statuses_in(text: str | None) -> list[str]:
    """Return the DIMSE statuses that a detail names, each once."""
    return list(dict.fromkeys(_STATUS.findall(text or "")))
