"""What of the planted stands in what arrived.

Guarantees that every word and UID is searched for in the raw bytes of each file, in the usual encodings of every
character set, whatever its case, and in decoded values, which tell the tag path; a date in the very element that it was
planted in, the birth date everywhere. Refuses nothing: a file that cannot be parsed is searched as bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from node.probe.keeping import Keeping
from node.probe.planting import ROOT, WORD, Garden, Kind, Planted
from node.recipe.dictionary import show

_TOLD = 5
_WORD = re.compile(WORD.encode(), re.IGNORECASE)
_UID = re.compile(re.escape(ROOT).encode() + rb"\.[0-9]{18}(?![0-9])")
_ENCODINGS = ("latin-1", "iso8859-5", "utf-8", "utf-16-le", "utf-16-be", "gb18030", "shift_jis", "euc_jp")
_ESCAPES = re.compile(rb"\x1b\$B|\x1b\(B")
_BEHIND_A_DATE = rb"(?![0-9])|(?=[0-2][0-9][0-5][0-9])"  # nothing, or a time


@dataclass(frozen=True, slots=True)
class Found:
    """Something planted that was found: what it was, and where it stands now (no tags: nowhere that can be named)."""

    planted: Planted
    path: tuple[int, ...] = ()

    def __str__(self) -> str:
        where = " > ".join(map(show, self.path)) if self.path else "the bytes of the file"
        return f"{self.planted.name} in {where}"


def tokens(garden: Garden, files: Sequence[tuple[bytes, Dataset]], keeping: Keeping) -> tuple[str, str]:
    """Return what of the planted stands in files where it may not, and what a recipe means to keep; "" is nothing."""
    seeker = _Seeker(garden)
    leaks, kept = dict[str, None](), dict[str, None]()
    for raw, dataset in files:
        for found in seeker.in_file(raw, dataset):
            (kept if _is_on_purpose(found, keeping) else leaks)[str(found)] = None
    return _some(leaks), _some(kept)


def stray(garden: Garden, texts: Iterable[bytes]) -> str:
    """Return what of the planted stands in bytes that are no data sets, such as a log; "" is nothing."""
    seeker = _Seeker(garden)
    return _some(dict.fromkeys(garden.planted[key].name for text in texts for key in seeker.keys(text)))


def _some(found: dict[str, None]) -> str:
    texts, more = list(found), len(found) - _TOLD
    return "; ".join(texts[:_TOLD]) + (f"; and {more} more" if more > 0 else "")


def _is_on_purpose(found: Found, keeping: Keeping) -> bool:
    planted = found.planted
    if planted.kind is Kind.UID and keeping.uids:
        return True
    return not planted.of_the_patient and found.path == planted.path and keeping.means(planted.path)


class _Seeker:
    """Finds what was planted in one study."""

    def __init__(self, garden: Garden) -> None:
        self._garden = garden
        self._foreign: dict[bytes, str] = {}
        dates = []
        for key, planted in garden.planted.items():
            if planted.kind is Kind.WORD and not key.isascii():
                self._foreign |= dict.fromkeys(_encoded(key), key)
            elif planted.kind is Kind.DATE and planted.of_the_patient:
                dates += _written(key)
                self._foreign |= dict.fromkeys(_written(key), key)
        words = [one for one in self._foreign if one not in dates]
        self._others = re.compile(
            b"|".join(
                [
                    *map(re.escape, words),
                    *(b"(?<![0-9])" + re.escape(one) + b"(?:" + _BEHIND_A_DATE + b")" for one in dates),
                ]
            )
        )

    def in_file(self, raw: bytes, dataset: Dataset) -> Iterator[Found]:
        """Give what of the planted stands in a file, with its place."""
        left = set(self.keys(raw))
        try:
            for path, values in _leaves(dataset, ()):
                for found in self._in_values(path, values):
                    left.discard(found.planted.text)
                    yield found
        except Exception:  # noqa: BLE001 -- the boundary of one file: pydicom raises whatever its bytes provoke
            left |= set(self.keys(raw))
        yield from (Found(self._garden.planted[key]) for key in sorted(left))

    def _in_values(self, path: tuple[int, ...], values: list[bytes]) -> Iterator[Found]:
        for value in values:
            for key in self.keys(value):
                yield Found(self._garden.planted[key], path)
            dated = self._garden.planted.get(f"{value[:8].decode('latin-1')} {path}")
            if dated is not None:
                yield Found(dated, path)

    def keys(self, data: bytes) -> Iterator[str]:
        """Give the keys of what stands in some bytes, in any writing."""
        planted = self._garden.planted
        for text in (data, data.replace(b"\0", b"")) if b"\0" in data else (data,):
            words = (match.group().decode().upper() for match in _WORD.finditer(text))
            uids = (match.group().decode() for match in _UID.finditer(text))
            yield from (key for one in (words, uids) for key in one if key in planted)
        yield from (self._foreign[match.group()] for match in self._others.finditer(data))


def _leaves(dataset: Dataset, above: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], list[bytes]]]:
    """Give the path and the values of every element that holds no items, decoded and written as UTF-8."""
    for element in dataset:
        path = (*above, int(element.tag))
        if element.VR == "SQ":
            for item in element.value or ():
                yield from _leaves(item, path)
        elif isinstance(element.value, bytes):
            yield path, [element.value]
        elif element.value is not None:
            values = element.value if isinstance(element.value, MultiValue) else [element.value]
            yield path, [str(value).encode("utf-8", "replace") for value in values]


def _written(day: str) -> list[bytes]:
    """Return a day as it could be written."""
    year, month, number = day[:4], day[4:6], day[6:]
    return [text.encode() for text in (day, f"{year}-{month}-{number}", f"{number}.{month}.{year}")]


def _encoded(text: str) -> Iterator[bytes]:
    """Give a word in the encodings that have its letters."""
    for encoding in _ENCODINGS:
        try:
            yield text.encode(encoding)
        except UnicodeEncodeError:
            continue
    try:
        yield _ESCAPES.sub(b"", text.encode("iso2022_jp"))
    except UnicodeEncodeError:
        return
