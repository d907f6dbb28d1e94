"""What goes as a whole although its parts might stay: dates, UIDs, telephone numbers, addresses of mail and web.

Guarantees that a run of numbers which can be read as a date in any usual order goes. Takes more than dates: `1-2-24`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

FIRST_YEAR, LAST_YEAR = 1850, 2099
_MONTH = (
    "jan(?:uary|uar|vier|uari)?|jän(?:ner)?|enero|gennaio|janeiro|feb(?:ruary|ruar|ruari|rero|braio)?|f[ée]v(?:rier|r)?|"
    "fevereiro|mar(?:ch|zo|ço|s)?|märz|maerz|mrz|maart|apr(?:il|ile)?|avr(?:il)?|abril|may|mai|mayo|maggio|maio|mei|"
    "june?|juni|juin|junio|giugno|junho|july?|juli|juil(?:let)?|julio|luglio|julho|aug(?:ust|ustus)?|ao[ûu]t|agosto|"
    "sept?(?:ember|embre|tembre|tiembre)?|setembro|settembre|o[ck]t(?:ober|obre|ubre)?|ottobre|outubro|"
    "nov(?:ember|embre|iembre|embro)?|de[cz](?:ember|embre|embro)?|déc(?:embre)?|dicembre|diciembre"
)
_DAY = r"\d{1,2}(?:st|nd|rd|th|\.|er)?"
_GAP = r"[\s.,_/-]*"
_NAMED = re.compile(
    rf"(?<![^\W_])(?:(?:{_DAY}{_GAP})(?:de\s+)?(?:{_MONTH})(?![^\W\d_])(?:{_GAP}(?:de\s+)?(?:\d{{4}}|'?\d{{2}})(?!\d))?"
    rf"|(?:{_MONTH})(?![^\W\d_])\.?{_GAP}(?:{_DAY}[\s,_-]+(?=\d))?(?:de\s+)?(?:\d{{4}}|'?\d{{1,2}})(?!\d))",
    re.IGNORECASE,
)
_NUMERIC = re.compile(r"(?<!\d)(\d{1,4})(\s*[-./_]\s*|\s)(\d{1,2})(\s*[-./_]\s*|\s)(\d{1,4})(?!\d)")
_MONTH_YEAR = re.compile(
    r"(?<!\d)(?:(?:0?[1-9]|1[0-2])\s*[-./_]\s*(?:19|20)\d\d|(?:19|20)\d\d\s*[-./_]\s*(?:0[1-9]|1[0-2]))(?!\d)"
)
_GROUPS = re.compile(r"\d+(?:[-/.]\d+)+")
_PHONE = re.compile(r"(?:\+\s?|\(?(?<!\d)0)\d[\d\s()/.-]{4,}\d")
_ADDRESS = re.compile(r"[^\s@]{1,64}@[^\s@]{1,255}|\b\w{1,16}://\S+|\bwww\.\S+", re.IGNORECASE)
_MOST_DIGITS = 7  # from here on, numbers with marks between them read as an id or a telephone number
_UID_PARTS = 4


def wholes(line: str) -> Iterator[tuple[int, int]]:
    """Give where something begins and ends that goes as a whole. They may overlap."""
    if not any(map(str.isdigit, line)):
        yield from (match.span() for match in _ADDRESS.finditer(line))
        return
    for pattern in (_NAMED, _MONTH_YEAR, _PHONE, _ADDRESS):
        for match in pattern.finditer(line):
            if pattern is not _PHONE or sum(map(str.isdigit, match[0])) >= _MOST_DIGITS:
                yield match.span()
    yield from _numeric(line)
    for match in _GROUPS.finditer(line):
        parts = re.split(r"[-/.]", match[0])
        if len(parts) >= _UID_PARTS or sum(map(len, parts)) >= _MOST_DIGITS:
            yield match.span()


def _numeric(line: str) -> Iterator[tuple[int, int]]:
    at = 0
    while match := _NUMERIC.search(line, at):
        if _is_date(match):
            yield match.span()
        at = match.start() + len(match[1])


def _is_date(match: re.Match[str]) -> bool:
    one, mark, two, other, three = match.groups()
    mark = mark.strip()
    if mark != other.strip():
        return False
    if len(one) == 4 or len(three) == 4:
        year, first, second = (one, two, three) if len(one) == 4 else (three, one, two)
        return FIRST_YEAR <= int(year) <= LAST_YEAR and len(first + second) <= 4 and _day_and_month(first, second)
    if mark in ("", "_") and not len(one) == len(two) == len(three) == 2:
        return False  # numbers in a row
    return (len(three) == 2 and _day_and_month(one, two)) or (len(one) == 2 and _day_and_month(two, three))


def _day_and_month(one: str, other: str) -> bool:
    low, high = sorted((int(one), int(other)))
    return 1 <= low <= 12 and high <= 31


def is_year(number: str) -> bool:
    """Whether four digits read as the year of a date; round hundreds are as often a time or a b value."""
    return len(number) == 4 and 1900 <= int(number) <= 2049 and not number.endswith("00")
