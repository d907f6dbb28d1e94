"""What is a word of a text, and by which letters words are compared.

Guarantees that a mark which belongs to a letter stays with its word, in every script. Never refuses.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_ASCII_WORD = re.compile(r"[A-Za-z0-9]+")
_LETTERS = "LNM"  # Unicode categories: letters, numbers, marks


def words_of(text: str) -> list[tuple[int, int]]:
    """Return where the words of a text begin and end: runs of letters, digits and their marks."""
    if text.isascii():
        return [match.span() for match in _ASCII_WORD.finditer(text)]
    found: list[tuple[int, int]] = []
    start = -1
    for place, letter in enumerate(text + " "):
        if unicodedata.category(letter)[0] in _LETTERS:
            start = place if start < 0 else start
        elif start >= 0:
            found.append((start, place))
            start = -1
    return found


@lru_cache(maxsize=8192)
def folded(word: str) -> str:
    """Return a word as it is compared: in small letters, without accents."""
    if word.isascii():
        return word.lower()
    plain = "".join(
        letter for letter in unicodedata.normalize("NFD", word.casefold()) if unicodedata.category(letter) != "Mn"
    )
    return unicodedata.normalize("NFC", plain)
