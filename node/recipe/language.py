"""The text of a recipe, to rules, lists and filters.

Guarantees that every line of the text either became something, or has no meaning (blank, comment, FORMAT, section), or
is in the list of faults with its number, its text and the nearest right word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from node.errors import Fault
from node.recipe.dictionary import nearest
from node.recipe.filters import EXCLUDE, Label, add_filter_line, masking, unfinished
from node.recipe.header import COMMENT, VALUED, Action, Rule, Scope, fault, parse_action, parse_rule, split_line
from node.recipe.lists import ListLine, parse_list_line
from node.recipe.profile import ProfileSection, parse_profile_line, profile_name
from node.recipe.selectors import Problem


@dataclass(frozen=True, slots=True)
class RecipeText:
    """A recipe as it was read: `name` is what messages call it, a path for example."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class LabelLine:
    """A line of `%labels`: kept for whoever reads the recipe, never carried out."""

    action: Action
    field: str
    value: str
    where: str


@dataclass(slots=True)
class Parsed:
    """What one text says, in its order; `lists` and `filters` by kind and name of their sections."""

    rules: list[Rule] = field(default_factory=list)
    lists: dict[tuple[str, str], list[ListLine]] = field(default_factory=dict)
    filters: dict[str, list[Label]] = field(default_factory=dict)
    profiles: list[ProfileSection] = field(default_factory=list)
    labels: list[LabelLine] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)


SECTIONS = ("header", "filter", "fields", "values", "labels", "profile")
_NAMED = ("filter", "fields", "values", "profile")
_FORMAT = re.compile(r"format\s*(\S*)(.*)\Z", re.IGNORECASE)
_SECTION = re.compile(r"%(\S*)\s*(.*)\Z")


def parse(recipe: RecipeText, scope: Scope) -> Parsed:
    """Return what one text says, and everything that is wrong with it."""
    reader = _Reader(recipe.name, scope)
    for number, line in _lines(recipe.text):
        try:
            reader.read(number, line)
        except Problem as problem:
            reader.parsed.faults.append(fault(recipe.name, number, problem, line))
    parsed = reader.parsed
    if not reader.declared:
        parsed.faults.append(Fault(recipe.name, None, "The line FORMAT dicom is missing.", "Write it as first line."))
    for name, labels in parsed.filters.items():
        parsed.faults.extend(_not_wanted(recipe.name, label) for label in masking(name, labels))
        for label in unfinished(labels):
            number = int(label.where.rpartition(":")[2])
            hint = "Write what it asks for, or remove it."
            parsed.faults.append(
                Fault(recipe.name, number, "This LABEL has no criterion.", hint, f"LABEL {label.name}")
            )
    return parsed


def _not_wanted(name: str, label: Label) -> Fault:
    where, hint = label.regions[0].where, f"Remove them, or write the LABEL in another group than {EXCLUDE}."
    number = int(where.rpartition(":")[2])
    return Fault(name, number, "What is excluded is not masked: these coordinates mean nothing.", hint, label.name)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield number, stripped


class _Reader:
    """Reads the lines of one text; keeps the section that it is in, and its name."""

    def __init__(self, file: str, scope: Scope) -> None:
        self.file = file
        self.scope = scope
        self.parsed = Parsed()
        self.declared = False
        self.section = ""
        self.name = ""
        self._readers: dict[str, Callable[[str, int], None]] = {
            "header": self._header,
            "fields": self._list,
            "values": self._list,
            "filter": self._filter,
            "labels": self._label,
            "profile": self._profile,
        }

    def read(self, number: int, line: str) -> None:
        if line.startswith("%"):
            self._open(COMMENT.sub("", line), number)
        elif line[:6].upper() == "FORMAT":
            self._declare(COMMENT.sub("", line))
        elif not self.section:
            raise Problem("An action stands before any section.", "Write %header before it.")
        else:
            # The lines of a section that is refused are passed over: the fault is the section's.
            reader = self._readers.get(self.section)
            if reader is not None:
                reader(line, number)

    def _declare(self, line: str) -> None:
        match = _FORMAT.match(line)
        assert match is not None
        if match[1].lower() != "dicom" or match[2].strip():
            raise Problem("The format is not dicom.", "Write FORMAT dicom.")
        self.declared = True

    def _open(self, line: str, number: int) -> None:
        match = _SECTION.match(line)
        assert match is not None
        name, given = match[1].lower(), " ".join(match[2].split())
        self.section = "?"
        if name not in SECTIONS:
            raise Problem(f"%{match[1]} is no section.", nearest(name, [f"%{section}" for section in SECTIONS]))
        _check_name(name, given)
        if name == "profile":
            self.parsed.profiles.append(ProfileSection(profile_name(given), f"{self.file}:{number}"))
        self.section, self.name = name, given
        if name == "filter":
            self.parsed.filters.setdefault(given, [])
        elif name in ("fields", "values"):
            self.parsed.lists.setdefault((name, given), [])

    def _header(self, line: str, number: int) -> None:
        rule = parse_rule(line, f"{self.file}:{number}", self.scope)
        if rule is not None:
            self.parsed.rules.append(rule)

    def _list(self, line: str, number: int) -> None:
        word, name, rest = split_line(line)
        if word.upper() in {*Action, "LABEL"}:
            raise Problem(f"{word} is no line of %{self.section}.", "Write %header before it.")
        where = f"{self.file}:{number}"
        found = parse_list_line(self.section, word, name, rest, where, meta=not self.scope.in_node)
        self.parsed.lists[self.section, self.name].append(found)

    def _profile(self, line: str, number: int) -> None:
        word, name, rest = split_line(line)
        if word.upper() in {*Action, "LABEL"}:
            raise Problem(f"{word} is no line of %profile.", "Write %header before it.")
        section = self.parsed.profiles[-1]
        found = parse_profile_line(word, name, rest, f"{self.file}:{number}")
        self.parsed.profiles[-1] = replace(section, lines=(*section.lines, found))

    def _filter(self, line: str, number: int) -> None:
        text = COMMENT.sub("", line).strip()
        if text in ("+", "||") and text != line:
            return  # as in the original language, an operator does not make a comment a criterion
        word = text.split()[0].upper() if text else ""
        if word in set(Action):
            raise Problem(f"{word} is no line of %filter.", "Write %header before it.")
        warning = add_filter_line(self.parsed.filters[self.name], text, f"{self.file}:{number}")
        if warning:
            self.parsed.warnings.append(Fault(self.file, number, warning, "", line))

    def _label(self, line: str, number: int) -> None:
        word, name, rest = split_line(line)
        if word.upper() == "LABEL":
            return
        action = parse_action(word)
        if not name or (action in VALUED and not rest):
            raise Problem(f"{action} lacks a field or a value.")
        self.parsed.labels.append(LabelLine(action, name, rest, f"{self.file}:{number}"))


def _check_name(section: str, given: str) -> None:
    """Raise Problem where a section has no name and needs one, or has one and takes none."""
    if section in _NAMED and not given:
        raise Problem(f"%{section} has no name.", f"Write %{section} NAME.")
    if section not in _NAMED and given:
        raise Problem(f"%{section} takes no name.", f"Write %{section} alone.")
    if " " in given and section != "filter":
        raise Problem(f"The name of %{section} has a blank: no line could refer to it.", "Write an underscore.")
