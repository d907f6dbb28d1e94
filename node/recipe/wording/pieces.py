"""The words and numbers of a line, and which of them may stay.

A word is cut where it changes from small to capital letters and between letters and digits (`mprageSag`, `T1MPRAGE`),
but the longest pieces that the vocabulary has stay whole (`ep2d`). What is glued to something that goes stays only
where it is a word of three letters or more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from node.recipe.wording.dates import is_year, wholes
from node.vocabulary import Vocabulary, folded, words_of

_UNITS = (
    "mm|cm|dm|m|um|nm|ml|mls|cc|l|ms|msec|us|sec|secs|s|min|mins|h|hr|hrs|d|y|yr|yrs|yo|j|w|wk|wks|mo|hz|khz|mhz|ghz|"
    "kv|kvp|kev|mev|ev|mv|ma|mas|mgy|mgycm|cgy|gy|msv|usv|sv|mbq|gbq|kbq|bq|mci|uci|ci|kg|g|mg|ug|mcg|mmol|mol|mt|t|"
    "deg|ppm|db|bpm|fps|rpm|x|p|pl|plane|planes|ch|chan|channel|channels|dir|dirs|directions|scan|scans|fx|fxs|fr|"
    "st|nd|rd|th|er|e|ff|fff|k|bit|hu|row|rows|slices|sl|shot|views|view|vol|vols|i|echo|pt|mm2|cm2|mm3|cm3|nex|nsa|"
    "phase|phases|wd|wl|ww|kvcm|sm|te|pd|f|c|r|z|lead|q|star|mip|n|a|b|v"
)
_DIGITS = r"\d{1,4}"
_SCALED = re.compile(rf"({_DIGITS})({_UNITS})?\Z")
_SIZE = re.compile(rf"{_DIGITS}(?:x{_DIGITS}){{1,3}}(?:{_UNITS})?\Z")
_PREFIXED = re.compile(rf"([a-z]{{1,12}}?)({_DIGITS})([a-z]{{0,4}})\Z")
_KERNEL = re.compile(r"[a-z]\d{1,2}[a-z]?\Z|(?:b|te|tr|ti|td|fa|t)\d{1,4}\Z|\d{1,3}[a-z]\d{1,3}[a-z]?\Z")
_YEARS = frozenset(("y", "yr", "yrs", "yo", "year", "years", "j", "jahre", "ans", "anos", "anni", "jaar"))
_BEHIND_THOUSANDS = frozenset(("ms", "msec", "us", "hz", "mm", "cgy", "hu", "mbq"))  # units of numbers like years
_LONGEST = 64  # characters; a longer word is none
_REMEMBERED = 256  # characters; a longer line hardly comes back
_OLDEST = 89  # years; who is older is one of a group (45 CFR 164.514(b)(2)(i)(C))
_GLUED = 3  # letters

# Times, values, sizes: numbers behind them are no years.
_PARAMETER_WORDS = "te tr ti td tes bval bvalue venc ww wl wc"
# Words that announce who somebody is: a number behind them goes.
_ANNOUNCING_WORDS = """
    patient patients pat patid pid id ids mrn case fall fallnr fallnummer patnr patientnr acc accession acct account ssn
    svnr dob born birth geb geboren gebdat ne nee nato nacido tel telephone telefon phone fon fax mobil mobile cell
    handy room zimmer ward insurance insured member versicherung kvnr nhs hospital encounter visitnr subject person
"""
_PARAMETERS = frozenset(_PARAMETER_WORDS.split())
_ANNOUNCERS = frozenset(_ANNOUNCING_WORDS.split())
_TITLES = frozenset(("dr", "dra", "prof", "med", "sr", "sra", "st"))
_BETWEEN = frozenset(("no", "nr", "num", "number", "nummer", "id", "n", "date"))


class Piece(NamedTuple):
    """A word, a part of one, or a number; `word` is folded, `stays` what the vocabulary says of it."""

    start: int
    end: int
    word: str
    stays: bool


def pieces_of(line: str, vocabulary: Vocabulary) -> tuple[Piece, ...]:
    """Return the pieces of a line in their order, judged by the vocabulary alone."""
    return _remembered(line, vocabulary) if len(line) <= _REMEMBERED else _pieces(line, vocabulary)


@lru_cache(maxsize=8192)
def _remembered(line: str, vocabulary: Vocabulary) -> tuple[Piece, ...]:
    return _pieces(line, vocabulary)


def _pieces(line: str, vocabulary: Vocabulary) -> tuple[Piece, ...]:
    chunks = words_of(line)
    gone = marked(line, wholes(line))
    together = _phrases(line, chunks, vocabulary)
    found: list[Piece] = []
    for number, (start, end) in enumerate(chunks):
        if end - start > _LONGEST or 1 in gone[start:end]:
            found.append(Piece(start, end, folded(line[start:end]), stays=False))
        elif number in together:
            found.append(Piece(start, end, together[number], stays=True))
        else:
            found += _chunk(line, start, end, vocabulary)
    return tuple(_beside(line, found))


def marked(line: str, spans: Iterable[tuple[int, int]]) -> bytearray:
    """Return for each character of a line whether it lies in one of the spans."""
    found = bytearray(len(line))
    for start, end in spans:
        found[start:end] = b"\1" * (min(end, len(line)) - start)
    return found


def _phrases(line: str, chunks: list[tuple[int, int]], vocabulary: Vocabulary) -> dict[int, str]:
    """Return which chunks belong to a phrase, and to which."""
    words = [folded(line[start:end]) for start, end in chunks]
    found: dict[int, str] = {}
    for place, word in enumerate(words):
        for phrase in vocabulary.phrases.get(word, ()):
            if tuple(words[place : place + len(phrase)]) == phrase:
                found.update(dict.fromkeys(range(place, place + len(phrase)), " ".join(phrase)))
                break
    return found


def _chunk(line: str, start: int, end: int, vocabulary: Vocabulary) -> list[Piece]:
    whole = folded(line[start:end])
    if _stays(whole, vocabulary):
        return [Piece(start, end, whole, stays=True)]
    edges = _edges(line, start, end)
    found: list[Piece] = []
    at = 0
    while at < len(edges) - 1:
        for until in range(len(edges) - 1, at, -1):
            word = folded(line[edges[at] : edges[until]])
            if _stays(word, vocabulary) or until == at + 1:
                found.append(Piece(edges[at], edges[until], word, _stays(word, vocabulary)))
                at = until
                break
    if all(piece.stays for piece in found):
        return found
    return [piece._replace(stays=piece.stays and _stands_alone(piece.word)) for piece in found]


def _stands_alone(word: str) -> bool:
    return len(word) >= _GLUED and word.isalpha()


def _edges(line: str, start: int, end: int) -> list[int]:
    """Return where a chunk can be cut: between letter and digit, and around capitals (`mpr|Sag`, `PTV|node`)."""
    edges = [start]
    for place in range(start + 1, end):
        before, here, after = line[place - 1], line[place], line[place + 1 : min(place + 2, end)]
        ends_capitals = here.islower() and before.isupper() and place - 2 >= start and line[place - 2].isupper()
        camel = here.isupper() and (before.islower() or (before.isupper() and after.islower()))
        if camel or ends_capitals or before.isdigit() != here.isdigit():
            edges.append(place)
    return [*edges, end]


@lru_cache(maxsize=8192)
def _stays(word: str, vocabulary: Vocabulary) -> bool:
    """Whether a folded word or number may stay by itself."""
    if word in vocabulary:
        return True
    if not word.isascii() or word.isalpha():
        return False
    scaled = _SCALED.match(word)
    if scaled is not None:
        return not (scaled[2] in _YEARS and int(scaled[1]) > _OLDEST)
    if _SIZE.match(word) or _KERNEL.match(word):
        return True
    prefixed = _PREFIXED.match(word)
    return prefixed is not None and _is_prefixed(prefixed[1], prefixed[2], prefixed[3], vocabulary)


def _is_prefixed(word: str, number: str, rest: str, vocabulary: Vocabulary) -> bool:
    if len(word) < 2 or word not in vocabulary or word in _ANNOUNCERS or (is_year(number) and word not in _PARAMETERS):
        return False
    return len(rest) <= 1 or rest in vocabulary


def _beside(line: str, found: list[Piece]) -> list[Piece]:
    """Judge numbers and single letters by what stands beside them."""
    result: list[Piece] = []
    for place, piece in enumerate(found):
        stays = piece.stays
        if stays and piece.word.isdigit():
            stays = not any(judge(line, found, place) for judge in (_is_bare_year, _is_announced, _is_cut, _is_old))
        elif stays and len(piece.word) == 1:
            stays = not any(_is_unknown_word(found, beside) for beside in (place - 1, place + 1))
        elif stays and piece.word in _TITLES:
            stays = not _is_unknown_word(found, place + 1)
        result.append(piece._replace(stays=stays))
    return result


def _is_unknown_word(found: list[Piece], place: int) -> bool:
    return 0 <= place < len(found) and not found[place].stays and found[place].word.isalpha()


def _is_bare_year(line: str, found: list[Piece], place: int) -> bool:
    piece = found[place]
    if not is_year(piece.word):
        return False
    before = found[place - 1] if place else None
    if before is not None and before.word in _PARAMETERS:
        return False
    after = found[place + 1] if place + 1 < len(found) else None
    return after is None or after.word not in _BEHIND_THOUSANDS or line[piece.end : after.start].strip() != ""


def _is_announced(_line: str, found: list[Piece], place: int) -> bool:
    """Whether a word says that the number is somebody's, or a long number stands behind a word that nobody knows."""
    before = place - 1
    if len(found[place].word) > 2 and _is_unknown_word(found, before):
        return True
    for _ in range(2):
        if before >= 0 and found[before].word in _BETWEEN and found[before].word not in _ANNOUNCERS:
            before -= 1
    return before >= 0 and found[before].word in _ANNOUNCERS


def _is_old(_line: str, found: list[Piece], place: int) -> bool:
    """Whether the number is an age of those who are one of a group only."""
    after = found[place + 1].word if place + 1 < len(found) else ""
    return after in _YEARS and int(found[place].word) > _OLDEST


def _is_cut(line: str, found: list[Piece], place: int) -> bool:
    """Whether the number is a part of a decimal number whose other part is too long to stay."""
    for one, other in ((place, place + 1), (place - 1, place)):
        if one < 0 or other >= len(found) or line[found[one].end : found[other].start] not in (".", ","):
            continue
        beside = found[other] if one == place else found[one]
        if not beside.stays and beside.word.isdigit():
            return True
    return False
