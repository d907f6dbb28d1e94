"""A file of pairs for spreadsheets: no cell of it is taken for a formula, and `reading` gives back what was written.

A cell that begins with =, +, -, @, a tab or a carriage return gets an apostrophe in front, and so does one that begins
with an apostrophe. All cells are in quotes, which spreadsheets take away: so `reading` sees whether one had the file in
between, and may have changed ids. The file is its user's alone, and appears under its name whole or not at all.
"""

from __future__ import annotations

import csv
import io
import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from node.errors import FileError

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t"}
FORMULA = "=+-@\t\r'"
"""What a cell does not begin with."""


def csv_lines(rows: Iterable[Sequence[str | int]], separator: str = ",") -> Iterable[str]:
    """Give rows as lines of CSV; numbers have no apostrophe."""
    for row in rows:
        line = io.StringIO()
        csv.writer(line, delimiter=separator, lineterminator="\r\n", quoting=csv.QUOTE_ALL).writerow(
            [_cell(cell) for cell in row]
        )
        yield line.getvalue()


def _cell(cell: str | int) -> str:
    text = str(cell)
    return "'" + text if isinstance(cell, str) and text[:1] in FORMULA and text else text


def write_new(path: Path, lines: Iterable[str], before: Callable[[], None]) -> None:
    """Write lines to a new file of mode 0600, in UTF-8 with a byte order mark; `before` it appears, call `before`.

    Raises FileError where it exists already or cannot be written; then there is none.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        if path.exists():
            raise FileExistsError(17, "it exists already")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(b"\xef\xbb\xbf")
            file.writelines(line.encode("utf-8", "surrogatepass") for line in lines)
            file.flush()
            os.fsync(file.fileno())
        before()
        # Never over another file: a link fails where there is one.
        os.link(draft, path)
    except OSError as error:
        raise FileError(f"cannot be written ({error.strerror})", str(path)) from None
    finally:
        draft.unlink(missing_ok=True)
