"""Lines of `%header`, to rules.

Guarantees that a line became a rule, or is refused (Problem) with what is wrong and the nearest right word. Refuses to
guess: what the original language drops without a word (misspelled actions, fields, functions, values that a VR does
not allow) is a fault.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

from node.errors import Fault
from node.recipe.charset import codec
from node.recipe.deid_functions import make_function
from node.recipe.dictionary import PROTECTED, nearest, show
from node.recipe.functions import BUILT_IN, Function
from node.recipe.selectors import Problem, Selector, parse_selector
from node.recipe.site_functions import Functions, runner
from node.recipe.values import encode
from node.vocabulary import Vocabulary


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
    DEID_FUNCTION = "deid_func"


@dataclass(frozen=True, slots=True)
class Value:
    """What a line writes: a literal text, or the name of a variable or function.

    `written` is the text of the recipe. `run` is the function; None where it is looked for in the instance's lookup,
    and for what is no function.
    """

    source: Source
    text: str
    written: str
    run: Function | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of `%header`; `where` is its file and line number, `number` its place among all lines."""

    action: Action
    selector: Selector
    value: Value | None
    where: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class Scope:
    """For whom a recipe is read.

    Parameters
    ----------
    in_node
        On the network path: group 0002 is the node's own, functions are keyed, all functions are known now.
    functions
        The site's own functions.
    vocabulary
        The words that cleaned texts keep; None are those that come with the node.
    """

    in_node: bool = True
    functions: Functions | None = None
    vocabulary: Vocabulary | None = None

    def used(self) -> Functions:
        """Return the site's functions, which may be none."""
        return self.functions or Functions({}, "")


VALUED = frozenset((Action.ADD, Action.REPLACE, Action.JITTER))
COMMENT = re.compile(r"(?:^|\s)#.*", re.DOTALL)
_LINE = re.compile(r'(?P<action>\S+)(?:\s+(?P<field>(?:[^\s"#]|"[^"]*"|(?<=\S)#)+))?(?P<rest>(?:\s.*)?)\Z')
_PREFIX = re.compile(r"(var|func|deid_func):(.*)\Z", re.IGNORECASE)
_UTF8 = codec(b"ISO_IR 192")


def split_line(line: str) -> tuple[str, str, str]:
    """Return first word, field and the rest without its comment. Raises Problem for a quote that is not closed."""
    match = _LINE.match(line)
    if match is None:
        raise Problem("A quote is not closed.", 'Write (gggg,"CREATOR",ee).')
    name = match["field"] or ""
    rest = " ".join(COMMENT.sub("", match["rest"]).split())
    if not name and rest:
        raise Problem("A quote is not closed.", 'Write (gggg,"CREATOR",ee).')
    if name.startswith("(") and name.endswith(","):
        raise Problem("A tag holds a blank.", "Write (gggg,eeee) without blanks.")
    return match["action"], name, rest


def parse_action(word: str) -> Action:
    """Return the action that a line begins with, in any case of letters. Raises Problem."""
    try:
        return Action(word.upper())
    except ValueError:
        raise Problem(f"{word} is no action.", nearest(word, Action)) from None


def parse_rule(line: str, where: str, scope: Scope) -> Rule | None:
    """Return the rule of a line of `%header`, or None where it has no meaning there. Raises Problem."""
    word, name, rest = split_line(line)
    if word.upper() == "LABEL":
        return None
    action = parse_action(word)
    if not name:
        raise Problem(f"{action} names no field.", f"Write {action} PatientName, for example.")
    selector = parse_selector(name, meta=not scope.in_node)
    value = _value(action, rest, scope)
    check(action, selector, value)
    return Rule(action, selector, value, where)


def _value(action: Action, text: str, scope: Scope) -> Value | None:
    if not text:
        if action in VALUED:
            raise Problem(f"{action} needs a value.")
        return None
    if action in (Action.BLANK, Action.KEEP):
        raise Problem(f"{action} takes no value.", "Write a comment behind a blank and #.")
    value = _source(text, scope)
    if action is Action.REMOVE and value.source is Source.LITERAL:
        raise Problem(
            "REMOVE has no condition on values.",
            "Write REMOVE and the field alone, or with func: or var:, or REMOVE values:NAME.",
        )
    if action is Action.JITTER:
        _check_days(value)
    if action is Action.ADD and value.source is Source.DEID_FUNCTION and value.text == "jitter":
        raise Problem("jitter moves the date that is there.", "Write REPLACE.")
    return value


def _source(text: str, scope: Scope) -> Value:
    match = _PREFIX.match(text)
    if match is None:
        return Value(Source.LITERAL, text, text)
    prefix, name = match[1], match[2].strip()
    if prefix != prefix.lower():
        raise Problem(f"{prefix}: is written in lower case.", f"Write {prefix.lower()}:{name}.")
    if not name:
        raise Problem(f"{prefix}: names nothing.")
    source = Source(prefix)
    if source is Source.DEID_FUNCTION:
        word, _, options = name.partition(" ")
        return Value(source, word, text, make_function(word, options, in_node=scope.in_node))
    return Value(source, name, text, _function(name, text, scope) if source is Source.FUNCTION else None)


def _function(name: str, written: str, scope: Scope) -> Function | None:
    """Return the site's function of a name, else the built-in one; outside the node the instance may bring its own."""
    site = scope.used()
    own = site.by_name
    if name in own:
        return runner(name, own[name], written)
    if scope.in_node and name in BUILT_IN:
        return BUILT_IN[name]
    if not (scope.in_node and site.complete):
        return None
    raise Problem(f"{name} is no function.", nearest(name, {*BUILT_IN, *own}))


def _check_days(value: Value) -> None:
    if value.source is Source.DEID_FUNCTION or (value.source is Source.FUNCTION and value.run in BUILT_IN.values()):
        raise Problem(f"{value.text} gives no number of days.", f"Write REPLACE with {value.written}.")
    if value.source is Source.LITERAL and not re.fullmatch(r"[+-]?[0-9]{1,6}", value.text):
        raise Problem("JITTER takes whole days.", "Write JITTER StudyDate -31, for example.")


def check(action: Action, selector: Selector, value: Value | None) -> None:
    """Raise Problem for what the dictionary shows to be impossible."""
    if selector.named and selector.tag in PROTECTED and action is not Action.KEEP:
        raise Problem(f"{show(selector.tag)} is protected: no line can change it.", "Remove the line.")
    if action is Action.ADD:
        _check_add(selector)
    if action is Action.KEEP and selector.form == "values":
        raise Problem("KEEP has no condition on values.", "Name the fields.")
    if action is Action.JITTER:
        _check_vr(selector, "only DA and DT can be moved")
    if value is not None and action in (Action.ADD, Action.REPLACE):
        _check_value(action, selector, value)


def _check_value(action: Action, selector: Selector, value: Value) -> None:
    if selector.vr == "SQ":
        raise Problem("A sequence takes no value.", "Write BLANK or REMOVE, or name an element inside.")
    if value.source is Source.LITERAL and selector.vr is not None:
        _check_literal(action, selector, value.text)
    elif value.run is BUILT_IN["shift_date"] or (value.source, value.text) == _MOVING:
        _check_vr(selector, f"{value.text} moves DA and DT")


_MOVING = (Source.DEID_FUNCTION, "jitter")


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


def fault(name: str, number: int, problem: Problem, line: str) -> Fault:
    """Return what is wrong with a line, as a fault of its file."""
    return Fault(name, number, problem.problem, problem.hint, line)
