"""Ids that a spreadsheet has changed on their way: found by how they look, and by ids that are known.

A number in scientific notation is one whatever else there is. Of leading zeros nobody can be certain, so an id of
digits only is refused where one of these is so, for ids of the same issuer:

- the same digits with zeros in front are an id of the file, of the ledger, or of a patient who waits;
- the ids with a leading zero, of file and ledger, all have one length, and this one is shorter.

Both can be overruled by who knows better (`--ids-as-written`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

_SCIENTIFIC = re.compile(r"[+-]?\d+([.,]\d+)?[eE][+-]\d+|[+-]?\d+[.,]\d+[eE]\d+")
_DECIMAL = re.compile(r"\d+[.,]0+")
_DIGITS = re.compile(r"\d+", re.ASCII)
_PRECISION = 15  # digits that a spreadsheet keeps
_LONGEST = 12  # digits of an id whose zeros are looked for among those who wait

HINT = "Format the column as text before anything is typed or opened, export anew; or say --ids-as-written."


@dataclass(frozen=True, slots=True)
class Written:
    """An id as it stands in a line; `issuer` as it counts."""

    line: int
    issuer: str
    text: str


def is_number(text: str) -> str:
    """Return how a text is a number that a spreadsheet has made of an id; empty where it is none."""
    if not (text[:1].isdecimal() or text[:1] in ("+", "-")):
        return ""
    if _SCIENTIFIC.fullmatch(text):
        return "in scientific notation"
    if _DECIMAL.fullmatch(text):
        return "a number with decimals"
    if _DIGITS.fullmatch(text) and len(text) > _PRECISION and not text[_PRECISION:].strip("0"):
        return f"a number that was cut off after {_PRECISION} digits"
    return ""


def without_zeros(
    written: Sequence[Written], known: Iterable[tuple[str, str]], waits: Callable[[str, str], bool] | None = None
) -> Iterator[tuple[int, str]]:
    """Give line and problem of each id that evidently lost leading zeros.

    Parameters
    ----------
    known
        Issuer and id of patients that the ledger has.
    waits
        Whether a patient of this issuer and id waits; None where nobody does.
    """
    digits = [one for one in written if _DIGITS.fullmatch(one.text)]
    zeros = {(one.issuer, one.text) for one in digits if one.text.startswith("0")}
    zeros |= {one for one in known if one[1].startswith("0") and _DIGITS.fullmatch(one[1])}
    bare = {(issuer, text.lstrip("0")) for issuer, text in zeros}
    lengths: dict[str, set[int]] = {}
    for issuer, text in zeros:
        lengths.setdefault(issuer, set()).add(len(text))
    for one in digits:
        if one.text.startswith("0"):
            continue
        length = lengths.get(one.issuer, set())
        if (one.issuer, one.text) in bare:
            yield one.line, "the same digits with zeros in front are another id: leading zeros were lost."
        elif len(length) == 1 and len(one.text) < max(length):
            problem = f"shorter than the ids with leading zeros, which all have {max(length)} digits: zeros were lost."
            yield one.line, problem
        elif waits is not None and _waits_with_zeros(one, waits):
            yield one.line, "a patient waits whose id has the same digits with zeros in front: leading zeros were lost."


def _waits_with_zeros(one: Written, waits: Callable[[str, str], bool]) -> bool:
    if len(one.text) >= _LONGEST or waits(one.issuer, one.text):
        return False
    return any(waits(one.issuer, one.text.zfill(length)) for length in range(len(one.text) + 1, _LONGEST + 1))
