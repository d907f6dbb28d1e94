"""Texts of which a person has said that they identify somebody, for all instances of a project.

Guarantees that what was said of a text counts for it as a whole, wherever it stands, and for the words in it that
identify: those that no vocabulary knows, all of them where it has no others; never a word of a text that was said to be
harmless. Never refuses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from node.recipe.charset import codec
from node.recipe.known.attributes import DECIDED, Form
from node.recipe.known.gather import Value
from node.recipe.known.needles import needles_of
from node.vocabulary import folded, shipped_vocabulary, words_of

LONGEST = 256  # characters of a text that are kept to be decided about
_UTF_8 = codec(b"ISO_IR 192")


@dataclass(frozen=True, slots=True)
class Decided:
    """What was said of the texts of one project.

    Attributes
    ----------
    texts
        Tag path, without the numbers of items, and text, at most `LONGEST` characters: what must not leave as it is.
    words
        Folded words that no text keeps that is cleaned word by word.
    values
        What is searched as the names and ids of an instance are.
    digest
        Changes with all of that.
    at
        When somebody last said of a text that it identifies, in seconds, UTC; 0 where that is not known.
    """

    texts: frozenset[tuple[str, str]]
    words: frozenset[str]
    values: dict[bytes, Value]
    digest: str = ""
    at: float = 0.0

    def __hash__(self) -> int:
        return hash(self.digest)

    def forbids(self, path: str, text: str) -> bool:
        """Tell whether a text that is to leave in an element was said to identify somebody."""
        return (path, text[:LONGEST]) in self.texts


def decided_of(identifying: Iterable[tuple[str, str]], harmless: Iterable[str], at: float = 0.0) -> Decided:
    """Return what follows from what was said: paths and texts that identify, and texts that do not."""
    texts, fine = frozenset(identifying), frozenset(harmless)
    spared = {word for text in fine for word in _words(text)}
    words = {word for _, text in texts for word in _identifying(text)} - spared
    whole = {part.strip() for _, text in texts if text not in fine for part in text.split("\\")}
    values = dict(filter(None, map(_value, sorted({*whole, *words} - fine))))
    said = "\n".join(["\0".join(one) for one in sorted(texts)] + sorted(words) + sorted(fine))
    digest = hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()
    return Decided(texts, frozenset(words), values, digest, at)


def _words(text: str) -> list[str]:
    return [folded(text[start:end]) for start, end in words_of(text)]


def _identifying(text: str) -> list[str]:
    """Return the words by which a text identifies; numbers and single letters only where there is nothing else."""
    words = _words(text)
    named = [word for word in words if not word.isdecimal() and len(word) > 1]
    vocabulary = shipped_vocabulary()
    return [word for word in named if word not in vocabulary] or named or words


def _value(text: str) -> tuple[bytes, Value] | None:
    """Return what is searched for a text wherever it stands; None for one that stands in too many by chance."""
    raw = text.encode("utf-8", "replace")
    if not any(needle.strong for needle in needles_of(Form.VALUE, raw, _UTF_8)):
        return None
    return b"decided\0" + raw, Value(Form.VALUE, raw, _UTF_8, DECIDED)
