"""The text of a recipe, to rules.

Guarantees that every line of the text either became a rule, or has no meaning (blank, comment, FORMAT, section), or is
in the list of faults with its number, its text and the nearest right word. Refuses to guess: what the original
language drops without a word (misspelled actions, fields, values that a VR does not allow) is a fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from node.errors import Fault
from node.recipe.charset import codec
from node.recipe.dictionary import PROTECTED, nearest, show
from node.recipe.functions import BUILT_IN
from node.recipe.selectors import Problem, Selector, parse_selector
from node.recipe.values import encode


@dataclass(frozen=True, slots=True)
class RecipeText:
    """A recipe as it was read: `name` is what messages call it, a path for example."""

    name: str
    text: str


class Action(StrEnum):
    """What a line of `%header` does."""

    ADD = "ADD"
    BLANK = "BLANK"
    JITTER = "JITTER"
    KEEP = "KEEP"
    REMOVE = "REMOVE"
    REPLACE = "REPLACE"


class Source(StrEnum):
    """Where a value comes from."""

    LITERAL = "literal"
    VARIABLE = "var"
    FUNCTION = "func"


@dataclass(frozen=True, slots=True)
class Value:
    """What a line writes: a literal text, or the name of a variable or function."""

    source: Source
    text: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of `%header`; `where` is its file and line number."""

    action: Action
    selector: Selector
    value: Value | None
    where: str


SECTIONS = ("header", "filter", "fields", "values", "labels", "profile")
_VALUED = frozenset((Action.ADD, Action.REPLACE, Action.JITTER))
_COMMENT = re.compile(r"(?:^|\s)#.*", re.DOTALL)
_LINE = re.compile(r'(?P<action>\S+)(?:\s+(?P<field>(?:[^\s"#]|"[^"]*"|(?<=\S)#)+))?(?P<rest>(?:\s.*)?)\Z')
_FORMAT = re.compile(r"format\s*(\S*)(.*)\Z", re.IGNORECASE)
_SECTION = re.compile(r"%(\S*)\s*(.*)\Z")
_PREFIX = re.compile(r"(var|func|deid_func):(.*)\Z", re.IGNORECASE)
_UTF8 = codec(b"ISO_IR 192")


def parse(recipe: RecipeText) -> tuple[list[Rule], list[Fault]]:
    """Return the rules of one text in its order, and everything that is wrong with it."""
    reader = _Reader(recipe.name)
    for number, line in _lines(recipe.text):
        try:
            reader.read(number, line)
        except Problem as problem:
            reader.faults.append(Fault(recipe.name, number, problem.problem, problem.hint, line))
    if not reader.declared:
        reader.faults.append(Fault(recipe.name, None, "The line FORMAT dicom is missing.", "Write it as first line."))
    return reader.rules, reader.faults


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.removeprefix("﻿").splitlines(), start=1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield number, stripped


class _Reader:
    """Reads the lines of one text; keeps the section that it is in."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rules: list[Rule] = []
        self.faults: list[Fault] = []
        self.declared = False
        self.section = ""

    def read(self, number: int, line: str) -> None:
        if line.startswith("%"):
            self._open(_COMMENT.sub("", line))
        elif line[:6].upper() == "FORMAT":
            self._declare(_COMMENT.sub("", line))
        elif not self.section:
            raise Problem("An action stands before any section.", "Write %header before it.")
        elif self.section == "header":
            rule = _rule(line, f"{self.name}:{number}")
            if rule is not None:
                self.rules.append(rule)
        # A section that is not supported was reported once; its lines are not.

    def _declare(self, line: str) -> None:
        match = _FORMAT.match(line)
        assert match is not None
        if match[1].lower() != "dicom" or match[2].strip():
            raise Problem("The format is not dicom.", "Write FORMAT dicom.")
        self.declared = True

    def _open(self, line: str) -> None:
        match = _SECTION.match(line)
        assert match is not None
        name = match[1].lower()
        self.section = name or "?"
        if name not in SECTIONS:
            raise Problem(f"%{match[1]} is no section.", nearest(name, [f"%{section}" for section in SECTIONS]))
        if name != "header":
            raise Problem(f"%{name} is not supported by this version.")
        if match[2].strip():
            raise Problem("%header takes no name.", "Write %header alone.")


def _rule(line: str, where: str) -> Rule | None:
    match = _LINE.match(line)
    if match is None:
        raise Problem("A quote is not closed.", 'Write (gggg,"CREATOR",ee).')
    word, field = match["action"], match["field"]
    rest = " ".join(_COMMENT.sub("", match["rest"]).split())
    if word.upper() == "LABEL":
        return None
    try:
        action = Action(word.upper())
    except ValueError:
        raise Problem(f"{word} is no action.", nearest(word, Action)) from None
    if not field and rest:
        raise Problem("A quote is not closed.", 'Write (gggg,"CREATOR",ee).')
    if not field:
        raise Problem(f"{action} names no field.", f"Write {action} PatientName, for example.")
    if field.startswith("(") and field.endswith(","):
        raise Problem("A tag holds a blank.", "Write (gggg,eeee) without blanks.")
    selector = parse_selector(field)
    value = _value(action, rest)
    _check(action, selector, value)
    return Rule(action, selector, value, where)


def _value(action: Action, text: str) -> Value | None:
    if not text:
        if action in _VALUED:
            raise Problem(f"{action} needs a value.")
        return None
    if action in (Action.BLANK, Action.KEEP):
        raise Problem(f"{action} takes no value.", "Write a comment behind a blank and #.")
    value = _source(text)
    if action is Action.REMOVE and value.source is Source.LITERAL:
        raise Problem("REMOVE has no condition on values.", "Write REMOVE and the field alone, or func: or var:.")
    if action is Action.JITTER:
        _check_days(value)
    return value


def _source(text: str) -> Value:
    match = _PREFIX.match(text)
    if match is None:
        return Value(Source.LITERAL, text)
    prefix, name = match[1], match[2].strip()
    if prefix != prefix.lower():
        raise Problem(f"{prefix}: is written in lower case.", f"Write {prefix.lower()}:{name}.")
    if prefix == "deid_func":
        raise Problem("deid_func: is not supported by this version.", f"Functions: {', '.join(sorted(BUILT_IN))}.")
    if not name:
        raise Problem(f"{prefix}: names nothing.")
    if prefix == "func" and name not in BUILT_IN:
        raise Problem(f"{name} is no function.", nearest(name, BUILT_IN))
    return Value(Source(prefix), name)


def _check_days(value: Value) -> None:
    if value.source is Source.FUNCTION:
        raise Problem("JITTER takes no function in this version.", "Write REPLACE with func:shift_date.")
    if value.source is Source.LITERAL and not re.fullmatch(r"[+-]?[0-9]{1,6}", value.text):
        raise Problem("JITTER takes whole days.", "Write JITTER StudyDate -31, for example.")


def _check(action: Action, selector: Selector, value: Value | None) -> None:
    """Raise Problem for what the dictionary shows to be impossible."""
    if selector.named and selector.tag in PROTECTED and action is not Action.KEEP:
        raise Problem(f"{show(selector.tag)} is protected: no line can change it.", "Remove the line.")
    if action is Action.ADD:
        _check_add(selector)
    if action is Action.JITTER:
        _check_vr(selector, "only DA and DT can be moved")
    if value is None or action is Action.JITTER or action is Action.REMOVE:
        return
    if selector.vr == "SQ":
        raise Problem("A sequence takes no value.", "Write BLANK or REMOVE, or name an element inside.")
    if value.source is Source.LITERAL and selector.vr is not None:
        _check_literal(action, selector, value.text)
    elif value.text == "shift_date" and value.source is Source.FUNCTION:
        _check_vr(selector, "shift_date moves DA and DT")


def _check_add(selector: Selector) -> None:
    if selector.form not in ("keyword", "digits"):
        raise Problem("ADD names one element of the top level.", "Write its keyword, or ggggeeee.")
    if selector.tag is None:
        raise Problem(f"{selector.text} stands for many groups.", "Write the tag's digits, 60003000 for example.")


def _check_vr(selector: Selector, problem: str) -> None:
    if selector.vr not in (None, "DA", "DT"):
        raise Problem(f"{selector.text} has VR {selector.vr}: {problem}.")


def _check_literal(action: Action, selector: Selector, text: str) -> None:
    vr = "ST" if action is Action.ADD and selector.form == "digits" else selector.vr
    try:
        encode(vr or "UN", text, _UTF8, little=True)
    except ValueError as error:
        raise Problem(f"VR {vr} does not take this value: {error}.") from None
