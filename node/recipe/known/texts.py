"""Where an original's identity stands in one text that may stay.

Guarantees that what the leak gate would find in a text is found here: the same needles, counted alike, a weak one only
beside a second identifier. Finds more: numbers that are a part of an id, years of the original's dates, numbers in a
row that are an id or a telephone number. Never refuses.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain

from node.recipe.known.attributes import Form
from node.recipe.known.decided import Decided
from node.recipe.known.gather import Gathered, Value
from node.recipe.known.needles import Needle, decoded, needles_of, places_of, stands_in, writings
from node.recipe.wording import Piece, Spans, cleaned_text
from node.vocabulary import Vocabulary, folded

_IDS = frozenset((0x00100020, 0x00101000, 0x00080050, 0x00101060, 0x00380010, 0x00380060, 0x00402016, 0x00402017))
_PART = 3  # digits, from which a part of an id counts
_WHOLE = 2
_ROW = 5  # digits, from which numbers in a row are searched for an id
_DIGITS = re.compile(r"[0-9]+")


_MAX_SETTLED = 4096  # texts
_LONGEST = 1024  # characters; a longer text hardly comes back
_recent: OrderedDict[tuple[object, ...], Known] = OrderedDict()
_MOST_RECENT = 64


def known_of(gathered: Gathered, decided: Decided | None = None) -> Known:
    """Return what is known of an original; the instances of a series know the same, and it is made once.

    `decided` is what was said of the texts of its project, whose values are in `gathered`.
    """
    read = (value.read.terms for value in gathered.values.values())
    key = (*gathered.values, *read, *gathered.dates, decided)
    found = _recent.get(key)
    if found is None:
        found = _recent[key] = Known(gathered, decided.words if decided is not None else frozenset())
        if len(_recent) > _MOST_RECENT:
            _recent.popitem(last=False)
    return found


class Known:
    """What is known of the patient and of all others in one instance.

    `words` are others that no text keeps. `settled` are texts that were cleaned already, by text and vocabulary.
    """

    def __init__(self, gathered: Gathered, words: frozenset[str] = frozenset()) -> None:
        self._settled: dict[tuple[str, str], str] = {}
        needles: dict[str, tuple[Needle, Form]] = {}
        self._numbers: set[str] = {date[:4] for date in gathered.dates}
        self._rows: set[str] = set()
        for value in gathered.values.values():
            for needle in needles_of(value.form, value.raw, value.read):
                needles.setdefault(needle.text, (needle, value.form))
            if value.form is Form.VALUE:
                self._digits(value)
        self._strong = [text for text, (needle, _) in needles.items() if needle.strong]
        self._weak = {t: form for t, (needle, form) in needles.items() if not needle.strong and len(t) > 1}
        self._words = words.union(map(folded, self._strong))
        self._dates = [(date[2:4], _written(date)) for date in gathered.dates]

    def _digits(self, value: Value) -> None:
        text = decoded(value.raw, value.read)
        groups = _DIGITS.findall(text)
        if value.tag in _IDS:
            shortest = _WHOLE if text.isdecimal() else _PART
            self._numbers.update(group.lstrip("0") for group in groups if len(group) >= shortest)
        joined = "".join(groups)
        if len(joined) >= _ROW and len(joined) * 2 > len(text):
            self._rows.add(joined)

    def cleaned(self, text: str, vocabulary: Vocabulary) -> str:
        """Return what of a text may stay; the same text where all of it does."""
        if len(text) > _LONGEST:
            return cleaned_text(text, vocabulary, self.within(text))
        key = (text, vocabulary.digest)
        found = self._settled.get(key)
        if found is None:
            if len(self._settled) > _MAX_SETTLED:
                self._settled.clear()
            found = self._settled[key] = cleaned_text(text, vocabulary, self.within(text))
        return found

    def names(self, text: str) -> bool:
        """Tell whether a text that is no prose holds what identifies somebody: a strong needle, a number of an id."""
        lowered = _lowered(text)
        if any(one in lowered and stands_in(one, lowered) for one in self._strong):
            return True
        if any(year in lowered and one in lowered for year, written in self._dates for one in written):
            return True
        digits = "".join(_DIGITS.findall(text))
        return len(digits) >= _ROW and any(digits in one or one in digits for one in self._rows)

    def within(self, text: str) -> Spans:
        """Return what finds identity in the lines of a text, and in what is left of them."""
        beside = self._beside_another(_lowered(text))

        def spans(line: str, pieces: Sequence[Piece]) -> Sequence[tuple[int, int]]:
            lowered = _lowered(line)
            dates = (one for year, written in self._dates if year in lowered for one in written)
            sought = [one for one in chain(self._strong, beside, dates) if one in lowered]
            found = [place for one in sought for place in places_of(one, lowered)]
            found += [(piece.start, piece.end) for piece in pieces if self._is_known(piece.word)]
            return [*found, *self._in_rows(pieces)]

        return spans

    def _beside_another(self, lowered: str) -> list[str]:
        """Return the weak needles of a text that count: where two identifiers stand in it, one of them of a name."""
        weak = [one for one in self._weak if one in lowered and stands_in(one, lowered)]
        if not any(self._weak[one] is Form.NAME for one in weak):
            return []
        strong = any(one in lowered and stands_in(one, lowered) for one in self._strong)
        return weak if strong or len(weak) > 1 else []

    def _is_known(self, word: str) -> bool:
        return word in self._words or (word.isdecimal() and len(word) >= _WHOLE and word.lstrip("0") in self._numbers)

    def _in_rows(self, pieces: Sequence[Piece]) -> list[tuple[int, int]]:
        """Return numbers in a row, with nothing but marks between them, that are an id or a telephone number."""
        found: list[tuple[int, int]] = []
        row: list[Piece] = []
        for piece in (*pieces, None):
            if piece is not None and piece.word.isdecimal():
                row.append(piece)
                continue
            digits = "".join(one.word for one in row)
            if len(row) > 1 and len(digits) >= _ROW and any(one in digits or digits in one for one in self._rows):
                found.append((row[0].start, row[-1].end))
            row = []
        return found


@lru_cache(maxsize=1024)
def _written(date: str) -> tuple[str, ...]:
    """Return how a date is written, with the year in two digits too."""
    year, month, day = date[2:4], date[4:6], date[6:]
    short = [(day, month, year), (month, day, year), (year, month, day)]
    plain = [tuple(part.lstrip("0") or part for part in parts) for parts in short[:2]]
    return (*writings(date), *(mark.join(parts) for parts in (*short, *plain) for mark in "-./_ "), year + month + day)


def _lowered(text: str) -> str:
    """Return a text in small letters, each in its place."""
    lowered = text.lower()
    return (
        lowered if len(lowered) == len(text) else "".join(low if len(low := one.lower()) == 1 else one for one in text)
    )
