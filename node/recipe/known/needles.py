"""What is searched for an identifying value: parts of names, writings of dates, the bytes of a text in character sets.

Guarantees that ASCII letters are compared without their case (both sides are lowered as bytes), other letters in small,
capital, title and original writing. A needle is strong where it counts wherever it stands, weak (short, or a common
word) where it counts only in a field for names or beside a second identifier. Never refuses: bytes that are no text in
their character set are searched as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from node.recipe.charset import CharsetError, Codec, codec
from node.recipe.known.attributes import Form
from node.recipe.known.words import COMMON

SHORT = 4  # characters, below which a text is weak; an ideograph or Hangul syllable stands for two
SHORT_NUMBER = 6  # digits, below which a number is weak: such numbers stand in every data set
_UNBOUND = 8  # letters, from which a needle also counts inside a longer word
_COMPOSITE = 5  # letters, from which a family name joined to a given one (or its initial) is searched
_WIDE = 0x2E80  # from here on letters stand for syllables or words, and no blanks stand between words
_WORD = re.compile(r"[^\W_]+")
_ESCAPE = re.compile(rb"\x1b[\x20-\x2f]+[\x30-\x7e]")
_UTF_8 = codec(b"ISO_IR 192")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DATE_BEFORE, DATE_AFTER = 8, 12  # bytes around a year in which every writing of its date lies


class Needle(NamedTuple):
    """A text to be searched, lowered; `cased` is how it came."""

    text: str
    strong: bool
    cased: str


def decoded(raw: bytes, read: Codec) -> str:
    """Return the text of a value; bytes that are none are taken one by one."""
    try:
        return read.decode(raw).strip("\0 ")
    except CharsetError:
        return raw.decode("latin-1").strip("\0 ")


@lru_cache(maxsize=4096)
def needles_of(form: Form, raw: bytes, read: Codec) -> tuple[Needle, ...]:
    """Return what is searched for a name or another value (`Form.NAME`, `Form.VALUE`)."""
    found: dict[str, Needle] = {}
    for value in decoded(raw, read).split("\\"):
        for text in _of_name(value) if form is Form.NAME else _of_value(value.strip("\0 \r\n\t")):
            lowered = text.lower()
            if lowered and lowered not in found:
                found[lowered] = Needle(lowered, _is_strong(lowered), text)
    return tuple(found.values())


def _of_name(value: str) -> Iterable[str]:
    for group in value.split("="):
        # Family, given, middle (PS3.5 6.2.1.1); prefix and suffix are nobody's own.
        components = [component.strip("\0 ") for component in group.split("^")][:3]
        parts = [_WORD.findall(component) for component in components]
        for component, words in zip(components, parts, strict=True):
            yield from words
            if len(words) > 1:
                yield component
        whole = ["".join(words) for words in parts if words]
        if len(whole) > 1:
            yield from _joined(whole[0], whole[1])


def _joined(family: str, given: str) -> Iterable[str]:
    for one, other in ((family, given), (given, family), (family, given[0]), (given[0], family)):
        if len(one) + len(other) >= _COMPOSITE:
            yield one + other


def _of_value(value: str) -> Iterable[str]:
    yield value
    digits = "".join(filter(str.isdecimal, value))
    if len(digits) > SHORT_NUMBER and digits != value and not any(map(str.isalpha, value)):
        yield digits  # a telephone number


def _is_strong(text: str) -> bool:
    if text in COMMON or len(set(text)) == 1:
        return False
    if text.isdecimal():
        return len(text) >= SHORT_NUMBER
    return sum(2 if ord(letter) >= _WIDE else 1 for letter in text) >= SHORT


@lru_cache(maxsize=4096)
def probes_of(form: Form, raw: bytes, read: Codec, others: tuple[Codec, ...]) -> tuple[tuple[bytes, ...], bool]:
    """Return lowered bytes without one of which no needle of the value can be found; and whether any is a weak one.

    What is weak and not a part of a name is not probed: too many data sets hold a number such as 12.
    """
    probes: list[bytes] = []
    weak = False
    for needle in needles_of(form, raw, read):
        weak = weak or not needle.strong
        if needle.strong or (form is Form.NAME and len(needle.text.encode()) > 1):
            probes += _pieces(needle, read, others)
    return _shortest(probes), weak


def _pieces(needle: Needle, read: Codec, others: tuple[Codec, ...]) -> Iterable[bytes]:
    if needle.text.isascii():
        yield needle.text.encode()
        return
    for encoded in encodings(needle.cased, read, others):
        longest = max(_ESCAPE.split(encoded), key=len)
        if len(longest) > 1:
            yield longest.lower()


def _shortest(probes: list[bytes]) -> tuple[bytes, ...]:
    """Leave out what holds another probe."""
    kept: list[bytes] = []
    for probe in sorted(set(probes), key=len):
        if not any(other in probe for other in kept):
            kept.append(probe)
    return tuple(kept)


@lru_cache(maxsize=4096)
def encodings(text: str, read: Codec, others: tuple[Codec, ...]) -> frozenset[bytes]:
    """Return a text's bytes in the given character sets and in UTF-8, in all its writings; not lowered."""
    found = set()
    for form in (text, text.lower(), text.upper(), text.title()):
        for one in (read, *others, _UTF_8):
            try:
                found.add(one.encode(form))
            except CharsetError:
                continue
    return frozenset(found)


def exact(text: str, read: Codec, others: tuple[Codec, ...]) -> frozenset[bytes]:
    """Return the lowered bytes that are surely this text, for values that nobody can decode.

    What a code extension of 7 bits leaves behind its escape sequence could be any ASCII text, and is not among them.
    """
    found = set()
    for encoded in encodings(text, read, others):
        found.add(encoded.lower())
        found |= {part.lower() for part in _ESCAPE.split(encoded) if len(part) > 2 and not part.isascii()}
    return frozenset(found)


@lru_cache(maxsize=1024)
def dates_in(raw: bytes) -> tuple[str, ...]:
    """Return the dates (YYYYMMDD) of a DA or DT value; a partial one, a placeholder, and what is none give nothing."""
    found = []
    for part in raw.decode("latin-1").split("\\"):
        date = part.strip("\0 ")[:8].replace(".", "")
        if len(date) == 8 and date.isdecimal() and "1850" < date[:4] < "2200" and date != "19000101":
            found.append(date)
    return tuple(found)


@lru_cache(maxsize=1024)
def writings(date: str) -> tuple[str, ...]:
    """Return how a date (YYYYMMDD) is written in text, lowered."""
    year, month, day = date[:4], date[4:6], date[6:]
    short_month, short_day = month.lstrip("0"), day.lstrip("0")
    found = {date}
    for mark in "-./: _":
        found |= {
            f"{year}{mark}{month}{mark}{day}",
            f"{day}{mark}{month}{mark}{year}",
            f"{month}{mark}{day}{mark}{year}",
        }
        found.add(f"{short_day}{mark}{short_month}{mark}{year}")
        found.add(f"{short_month}{mark}{short_day}{mark}{year}")
    if "01" <= month <= "12":
        name = _MONTHS[int(month) - 1]
        for written in (day, short_day):
            found |= {f"{written}{mark}{name}{mark}{year}" for mark in (" ", "-", "", ".")}
            found.add(f"{name} {written}, {year}")
    return tuple(sorted(found))


@lru_cache(maxsize=1024)
def encoded_writings(date: str) -> tuple[bytes, ...]:
    """Return the bytes of `writings`."""
    return tuple(written.encode() for written in writings(date))


def stands_in(needle: str, text: str, *, whole_values: bool = False) -> bool:
    """Tell whether a needle stands in a lowered text as a word of its own.

    A letter beside a letter or a digit beside a digit makes it a part of something else; long words count everywhere.
    `whole_values` is for numbers as text: then only a value of its own counts.
    """
    return next(places_of(needle, text, whole_values=whole_values), None) is not None


def places_of(needle: str, text: str, *, whole_values: bool = False) -> Iterator[tuple[int, int]]:
    """Give where a needle stands in a lowered text, as `stands_in` counts it: first character, and the one behind."""
    at = text.find(needle)
    while at >= 0:
        before, after = text[at - 1 : at], text[at + len(needle) : at + len(needle) + 1]
        if whole_values:
            if before in ("", "\\", " ") and after in ("", "\\", " ", "\0"):
                yield at, at + len(needle)
        elif not (_grown(before, needle[0], needle) or _grown(needle[-1], after, needle)):
            yield at, at + len(needle)
        at = text.find(needle, at + 1)


def _grown(one: str, other: str, needle: str) -> bool:
    """Tell whether two neighbors belong to one word or number."""
    if not (one and other) or ord(one) >= _WIDE or ord(other) >= _WIDE:
        return False
    if one.isdecimal() and other.isdecimal():
        return True
    return len(needle) < _UNBOUND and one.isalpha() and other.isalpha()
