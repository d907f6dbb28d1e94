"""Vocabularies from files.

A file holds words or phrases, one a line or several with commas between them; what follows a # is a comment. The words
of a phrase stay only together, whatever stands between them. An entry that begins with a dash takes a word or phrase
out of the vocabulary, in whatever file it stands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from node.errors import Fault, RecipeError
from node.vocabulary.splitting import folded, words_of

_FOLDER = Path(__file__).resolve().parent / "words"
_OUT = "-"
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Words that stay.

    Attributes
    ----------
    words
        Single words, folded.
    phrases
        Words that stay together, by the first of them, the longest phrase first.
    digest
        SHA-256 (hexadecimal) over all of it.
    """

    words: frozenset[str]
    phrases: dict[str, tuple[tuple[str, ...], ...]]
    digest: str

    def __contains__(self, word: str) -> bool:
        return word in self.words

    def __hash__(self) -> int:
        return hash(self.digest)


@lru_cache(maxsize=1)
def shipped_vocabulary() -> Vocabulary:
    """Return the words that come with the node."""
    return _made(_entries(sorted(_FOLDER.glob("*.txt"))))


def load_vocabulary(paths: Sequence[Path]) -> Vocabulary:
    """Return the words that come with the node and those of the site's files.

    Raises
    ------
    RecipeError
        With every fault of every file.
    """
    return _made([*_entries(sorted(_FOLDER.glob("*.txt"))), *_entries(paths)]) if paths else shipped_vocabulary()


def _entries(paths: Iterable[Path]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    faults: list[Fault] = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8-sig")
        except OSError as error:
            faults.append(Fault(str(path), None, f"The vocabulary cannot be read: {error.strerror}."))
        except UnicodeDecodeError:
            faults.append(Fault(str(path), None, "The vocabulary is not UTF-8.", "Save it as UTF-8."))
        else:
            _read(str(path), text, found, faults)
    if faults:
        raise RecipeError(faults)
    return found


def _read(name: str, text: str, found: list[tuple[str, ...]], faults: list[Fault]) -> None:
    for number, line in enumerate(text.splitlines(), 1):
        plain = line.partition("#")[0].strip()
        for entry in plain.split(",") if plain else ():
            for written in {entry, entry.translate(_UMLAUTS)}:
                words = tuple(folded(written[start:end]) for start, end in words_of(written))
                if not words:
                    hint = "Write one word or phrase a line, or several with commas."
                    faults.append(Fault(name, number, "There is no word here.", hint, plain))
                    break
                found.append((_OUT, *words) if entry.lstrip().startswith(_OUT) else words)


def _made(entries: Iterable[tuple[str, ...]]) -> Vocabulary:
    unique = sorted(set(entries))
    digest = hashlib.sha256("\n".join(map(" ".join, unique)).encode()).hexdigest()
    out = {entry[1:] for entry in unique if entry[0] == _OUT}
    unique = [entry for entry in unique if entry[0] != _OUT and entry not in out]
    phrases: dict[str, list[tuple[str, ...]]] = {}
    for entry in unique:
        if len(entry) > 1:
            phrases.setdefault(entry[0], []).append(entry)
    return Vocabulary(
        frozenset(entry[0] for entry in unique if len(entry) == 1),
        {first: tuple(sorted(found, key=lambda one: (-len(one), one))) for first, found in phrases.items()},
        digest,
    )
