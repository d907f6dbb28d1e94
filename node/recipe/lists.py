"""Lists of fields and of values (`%fields`, `%values`): their lines, and what they hold for one instance.

Guarantees that what is searched is text and never a pattern, without regard to case, in time linear in what is
searched; empty values and blanks alone are never searched for. Refuses (Problem) lines that cannot be meant, and
(HoldInstance) instances that give more values than can be searched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from node.errors import HoldInstance, HoldReason
from node.recipe.dictionary import nearest
from node.recipe.encoded import Buffer
from node.recipe.selectors import Field, Problem, Selector, parse_selector

MAX_VALUES = 4096
"""Different values of one list in one instance; each is looked for in every text."""
MAX_VALUE = 65536  # characters of a value that is looked for

_PIECE = 1 << 20

_OPTION = re.compile(r"""\s*([^=;]*?)\s*=\s*("[^"]*"|'[^']*'|[^;]*?)\s*(?:;|\Z)""")
_OPTIONS = ("by", "minlength", "splitval")
_BY_TAG = frozenset(("keyword", "digits", "tag"))  # forms that mean a tag at every level


@dataclass(frozen=True, slots=True)
class ListLine:
    """One line of a list: the fields that it means; SPLIT cuts their values at `by`, keeps parts of `minlength`.

    `written` is what stands behind the field.
    """

    selector: Selector
    where: str
    split: bool = False
    by: str = " "
    minlength: int = 1
    written: str = ""

    def parts(self, values: Sequence[str]) -> Iterator[str]:
        """Return what the line takes from an element's values."""
        if not self.split:
            yield from values
            return
        for part in "\\".join(values).split(self.by):
            if len(part) >= self.minlength:
                yield part


@dataclass(frozen=True, slots=True)
class ListSection:
    """A section `%fields NAME` or `%values NAME`, all recipes taken together."""

    kind: str
    name: str
    lines: tuple[ListLine, ...]


def parse_list_line(kind: str, word: str, name: str, rest: str, where: str, *, meta: bool) -> ListLine:
    """Return a line of `%fields` or `%values`. Raises Problem."""
    action = word.upper()
    words = ("FIELD",) if kind == "fields" else ("FIELD", "SPLIT")
    if action not in words:
        raise Problem(f"{word} is no line of %{kind}.", nearest(word, words))
    if not name:
        raise Problem(f"{action} names no field.", f"Write {action} PatientName, for example.")
    selector = parse_selector(name, meta=meta)
    if selector.form in ("fields", "values"):
        raise Problem("A list cannot refer to a list.", "Name the fields.")
    if kind == "values" and selector.named and selector.vr == "SQ":
        raise Problem("A sequence has no value.", "Name an element inside.")
    if action == "FIELD":
        if rest:
            raise Problem("FIELD takes one field.", "Write a comment behind a blank and #, another field in a line.")
        return ListLine(selector, where)
    return _split(selector, rest, where)


def _split(selector: Selector, text: str, where: str) -> ListLine:
    given = dict(_options(text))
    by = given.get("by", given.get("splitval", " "))
    minlength = given.get("minlength", "1")
    if not by:
        raise Problem("by= says nothing to split at.", 'Write by="^", for example.')
    if not re.fullmatch(r"[1-9][0-9]{0,4}", minlength):
        raise Problem("minlength is a whole number from 1.", "Write minlength=4, for example.")
    return ListLine(selector, where, True, by, int(minlength), text)


def _options(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(text):
        match = _OPTION.match(text, position)
        if match is None or match[1] not in _OPTIONS:
            word = match[1] if match else text[position:]
            raise Problem(f"{word} is no option of SPLIT.", nearest(word, _OPTIONS))
        value = match[2]
        quoted = len(value) > 1 and value[0] in "\"'" and value[0] == value[-1]
        yield match[1], value[1:-1] if quoted else value
        position = match.end()


def bound(selector: Selector, section: ListSection) -> Selector:
    """Return the selector `fields:NAME` or `values:NAME` as it is meant.

    As in the original language a list of fields means the tags of what its lines match, at every level. Where that
    depends on what the instance has, or on values, the selector is guarded.
    """
    if section.kind == "values":
        return _with(selector, lambda _: True, named=False, guarded=True)
    if all(line.selector.form in _BY_TAG for line in section.lines):
        chosen = [line.selector.matches for line in section.lines]
        return _with(selector, lambda field: any(match(field) for match in chosen), named=True, guarded=False)
    return _with(selector, lambda _: True, named=True, guarded=True)


def _with(selector: Selector, matches: Callable[[Field], bool], *, named: bool, guarded: bool) -> Selector:
    return replace(selector, matches=matches, named=named, guarded=guarded)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A line of a list that means an element: which list, and how."""

    section: ListSection
    line: ListLine


def wanted(sections: Iterable[ListSection], field: Field, *, only_named: bool) -> tuple[Wanted, ...]:
    """Return the lines that mean an element; `only_named` leaves out those that do not name it for `%fields`."""
    return tuple(
        Wanted(section, line)
        for section in sections
        for line in section.lines
        if line.selector.matches(field) and (section.kind == "values" or line.selector.named or not only_named)
    )


@dataclass(slots=True)
class Lists:
    """What the lists hold for one instance: tags of `%fields`, folded texts of `%values`."""

    tags: dict[str, set[int]] = field(default_factory=dict)
    values: dict[str, set[str]] = field(default_factory=dict)

    def add_tag(self, name: str, tag: int) -> None:
        """Add what a line of `%fields` means."""
        self.tags.setdefault(name, set()).add(tag)

    def add_values(self, name: str, values: Iterable[str], where: str) -> None:
        """Add what a line of `%values` gives. Raises HoldInstance where that is too much to be looked for."""
        found = self.values.setdefault(name, set())
        found.update(value.casefold() for value in values if value.strip("\0 "))
        if len(found) > MAX_VALUES or any(len(value) > MAX_VALUE for value in found):
            raise HoldInstance(HoldReason.ACTION_FAILED, f"{where}: %values {name} takes too many or too long values")

    def has_tag(self, name: str, tag: int) -> bool:
        """Tell whether `%fields` means a tag."""
        return tag in self.tags.get(name, ())

    def occur_in(self, name: str, text: str) -> bool:
        """Tell whether any of the values of `%values` stands in a text."""
        folded = text.casefold()
        return any(value in folded for value in self.values.get(name, ()))

    def occur_in_bytes(self, name: str, buffer: Buffer, start: int, end: int) -> bool:
        """Tell whether any of the values stands in bytes, read as Latin-1 piece by piece."""
        values = self.values.get(name, ())
        overlap = max(map(len, values), default=0)
        for position in range(start, end, _PIECE):
            piece = bytes(buffer[position : min(end, position + _PIECE + overlap)]).decode("latin-1").casefold()
            if any(value in piece for value in values):
                return True
        return False
