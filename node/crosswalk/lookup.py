"""A lookup table of CTP's anonymizer, which is a file of Java properties.

Its lines are `ptid/ORIGINAL = PSEUDONYM` and `dateinc/ORIGINAL = DAYS`, for `@lookup(PatientID, ptid)` and
`@incrementdate(this, @lookup(PatientID, dateinc))` in scripts; days are added, so that a negative number moves into the
past, as here. Lines of other kinds are counted, and nothing is made of them. Comments begin with # or !; =, : or a
blank ends the key; a backslash keeps what follows, and `\\uXXXX` is a character, as in Java's properties.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from node.crosswalk.headings import Column
from node.crosswalk.reading import Row
from node.errors import Fault, PairsRefused

_ENTRY = re.compile(r"\s*((?:[^\\\s=:]|\\.)+)\s*[=:\s]\s*(.*)")
_ESCAPED = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))")
_KIND = re.compile(r"[A-Za-z][\w-]{0,63}/")
_COLUMNS = {"ptid": Column.PSEUDONYM, "dateinc": Column.SHIFT}


@dataclass(frozen=True, slots=True)
class LookupTable:
    """What a lookup table says of patients; `others` are the lines of each other kind."""

    rows: tuple[Row, ...]
    others: Mapping[str, int]


def is_lookup_table(text: str) -> bool:
    """Whether the first line that says something is an entry of a lookup table."""
    for line in text.splitlines():
        if line.strip() and line.lstrip()[0] not in "#!":
            return _KIND.match(line.lstrip()) is not None and _ENTRY.fullmatch(line) is not None
    return False


def read_lookup_table(text: str, file: str) -> LookupTable:
    """Return the patients of a lookup table, in the order of their first lines. Raises PairsRefused."""
    found: dict[str, tuple[int, dict[Column, str]]] = {}
    others: Counter[str] = Counter()
    faults = []
    for line, entry in enumerate(text.splitlines(), 1):
        if not entry.strip() or entry.lstrip()[0] in "#!":
            continue
        match = _ENTRY.fullmatch(entry)
        kind, slash, original = _plain(match[1]).partition("/") if match else ("", "", "")
        if match is None or not slash or entry.rstrip().endswith("\\"):
            faults.append(Fault(file, line, "not an entry of a lookup table.", "Write `ptid/ORIGINAL = PSEUDONYM`."))
            continue
        column = _COLUMNS.get(kind)
        if column is None:
            others[kind] += 1
            continue
        first, cells = found.setdefault(original.strip(), (line, {Column.PATIENT_ID: original.strip()}))
        if column in cells:
            faults.append(Fault(file, line, f"the same key as in line {first}, or behind it.", "Keep one of the two."))
            continue
        cells[column] = _plain(match[2]).strip()
    if faults:
        raise PairsRefused(faults)
    return LookupTable(tuple(Row(line, cells) for line, cells in found.values()), dict(others))


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)) if found[1] else found[2], text)
