"""A file of pairs as Excel and others write it, as rows of named cells.

Guarantees
    UTF-8 (with a byte order mark or without) and Windows-1252; comma, semicolon or tab, found by the heading; quotes;
    any ends of lines; empty lines. Line numbers are those that an editor shows. What is not read with certainty is
    refused (PairsRefused), with every line that stands against it and never with its content.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from node.crosswalk.headings import WANTED, Column, column_of, is_offset_per_study
from node.crosswalk.writing import FORMULA
from node.errors import Fault, PairsRefused

MOST = 256 << 20  # bytes of a file
_BOM = b"\xef\xbb\xbf"
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_SEPARATORS = (",", ";", "\t")
_AS_CSV = "In Excel: Save as, CSV UTF-8."

_NEEDED = ({Column.PATIENT_ID, Column.PSEUDONYM}, {Column.ORIGINAL_UID, Column.REPLACEMENT_UID})


@dataclass(frozen=True, slots=True)
class Row:
    """One line: what stands in each column that is there, without blanks at its ends."""

    line: int
    cells: Mapping[Column, str]

    def __getitem__(self, column: Column) -> str:
        return self.cells.get(column, "")


@dataclass(frozen=True, slots=True)
class Table:
    """A file that was read.

    Parameters
    ----------
    rows
        Those that are not empty.
    columns
        What its columns hold.
    zero_is_none
        Whether a shift of 0 says that there is none.
    untouched
        Whether this program has written it, and no spreadsheet since: that would have taken away the quotes.
    """

    rows: Sequence[Row]
    columns: frozenset[Column]
    zero_is_none: bool = False
    untouched: bool = False

    @property
    def is_of_studies(self) -> bool:
        """Whether a patient may have several lines: one for each of their studies."""
        return {Column.PATIENT_ID, Column.ORIGINAL_UID} <= self.columns and Column.ORIGIN not in self.columns

    @property
    def is_list_of_waiting(self) -> bool:
        """Whether it is a list to be filled in, in which lines may be left open."""
        return Column.SINCE in self.columns


def decode(data: bytes, file: str) -> str:
    """Return the text of a file. Raises PairsRefused."""
    if len(data) > MOST:
        raise PairsRefused([Fault(file, None, f"larger than {MOST >> 20} MiB.", "Divide it.")])
    if data.startswith(_WORKBOOKS):
        raise PairsRefused([Fault(file, None, "a workbook, not a CSV file.", _AS_CSV)])
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data:
        raise PairsRefused([Fault(file, None, "not UTF-8 or Windows-1252; UTF-16, it seems.", _AS_CSV)])
    text = data.removeprefix(_BOM)
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        pass
    lines = text.split(b"\n")
    broken = [number for number, line in enumerate(lines, 1) if not _is_text(line, "utf-8")]
    if data.startswith(_BOM) or any(not line.isascii() and _is_text(line, "utf-8") for line in lines):
        raise PairsRefused([Fault(file, number, "not UTF-8, which other lines are.", _AS_CSV) for number in broken])
    neither = [number for number in broken if not _is_text(lines[number - 1], "cp1252")]
    if neither:
        problem = "neither UTF-8 nor Windows-1252."
        raise PairsRefused([Fault(file, number, problem, _AS_CSV) for number in neither])
    return text.decode("cp1252")


def _is_text(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def read_table(text: str, file: str) -> Table:
    """Return the rows of a CSV file. Raises PairsRefused."""
    start, heading, separator = _heading(text, file)
    headings = _cells(heading, separator)
    columns = _columns(headings, start, file)
    is_own = Column.ORIGIN in columns or Column.SINCE in columns
    faults: list[Fault] = []
    rows = []
    try:
        for line, cells, last in _lines(text, separator):
            if line <= start or not any(cells):
                continue
            problem = _wrong(cells, columns, broken=line != last)
            if problem:
                faults.append(Fault(file, line, *problem))
                continue
            pairs = zip(columns, cells, strict=False)
            rows.append(Row(line, {column: _plain(cell) if is_own else cell for column, cell in pairs if cell}))
    except _Unreadable as error:
        faults.append(Fault(file, error.line, "not CSV: a quote that does not close, or text behind one.", _AS_CSV))
    if faults:
        raise PairsRefused(faults)
    zero_is_none = any(map(is_offset_per_study, headings))
    return Table(rows, frozenset(columns), zero_is_none, is_own and heading.startswith('"'))


class _Unreadable(Exception):
    def __init__(self, line: int) -> None:
        self.line = line
        super().__init__()


def _lines(text: str, separator: str) -> Iterator[tuple[int, list[str], int]]:
    """Give each row: its first line, its cells without blanks at their ends, its last line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error:
            raise _Unreadable(line) from None
        if cells is None:
            return
        yield line, [cell.strip(" ") for cell in cells], reader.line_num
        line = reader.line_num + 1


def _heading(text: str, file: str) -> tuple[int, str, str]:
    """Return the heading's number, its line, and the separator, which the line before may name for Excel."""
    named = ""
    for number, line in enumerate(io.StringIO(text, newline=""), 1):
        line = line.rstrip("\r\n")  # noqa: PLW2901
        if line.lower().startswith("sep=") and len(line) == len("sep=;") and not named:
            named = line[-1]
            continue
        if not line.strip(" ,;\t"):
            continue
        separator = named or _separator(line)
        if _known(_cells(line, separator)):
            return number, line, separator
        raise PairsRefused([Fault(file, number, "no heading that is known.", f"Headings are: {WANTED}.")])
    raise PairsRefused([Fault(file, None, "empty.", f"Headings are: {WANTED}.")])


def _separator(heading: str) -> str:
    return max(_SEPARATORS, key=lambda one: _known(_cells(heading, one)))


def _cells(line: str, separator: str) -> list[str]:
    try:
        return [cell.strip(" ") for cell in next(csv.reader([line], delimiter=separator), [])]
    except csv.Error:
        return []


def _known(headings: Sequence[str]) -> int:
    return sum(bool(heading) and column_of(heading) is not None for heading in headings)


def _columns(headings: Sequence[str], line: int, file: str) -> list[Column]:
    """Return what each column holds. Raises PairsRefused."""
    found = [column_of(heading) for heading in headings]
    faults = []
    for number, column in enumerate(found, 1):
        if column is None:
            problem = f"the heading of column {number} is not known."
            faults.append(Fault(file, line, problem, f"Headings are: {WANTED}. Remove the column, or name it Comment."))
        elif column and column in found[: number - 1]:
            problem = f"column {number} holds what column {found.index(column) + 1} does."
            faults.append(Fault(file, line, problem, "Keep one of the two."))
    columns = [column for column in found if column is not None]
    if not faults and not any(needed <= set(columns) for needed in _NEEDED):
        faults = [Fault(file, line, "a heading is missing.", f"Headings are: {WANTED}.")]
    if faults:
        raise PairsRefused(faults)
    return columns


def _wrong(cells: Sequence[str], columns: Sequence[Column], *, broken: bool) -> tuple[str, str] | None:
    """Return why a row cannot be read, and what to do."""
    if broken:
        return "a line break in a cell, or a quote that does not close.", "Write it on one line."
    if any(cells[len(columns) :]):
        return "more cells than headings.", "Put quotes around a cell that holds the separator."
    for number, cell in enumerate(cells, 1):
        if not cell.isascii() or not cell.isprintable():
            odd = next((one for one in cell if one != " " and unicodedata.category(one)[0] in "CZ"), None)
            if odd is not None and columns[number - 1]:
                return f"a character that nobody sees, U+{ord(odd):04X}, in column {number}.", "Type the cell anew."
    return None


def _plain(cell: str) -> str:
    """A cell without the apostrophe that keeps spreadsheets from taking it for a formula."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] and cell[1] in FORMULA else cell
