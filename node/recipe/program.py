"""Runs the lines that concern one element, and says what becomes of its value.

Guarantees that every line is carried out in its order or the instance is held: a missing variable, a function that
fails, a date that is none never leaves the original in place.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final, Literal, NamedTuple, TypeAlias

from node.errors import HoldInstance, HoldReason
from node.recipe.charset import CharsetError, Codec
from node.recipe.coding import Coding
from node.recipe.descriptors import CLEAN_TEXT
from node.recipe.dictionary import show
from node.recipe.encoded import MAX_TEXT, UNDEFINED, Element, EncodedDataset
from node.recipe.forms import IN_FORM
from node.recipe.functions import BUILT_IN, UNKEYED, Call, Function, shifted
from node.recipe.header import Action, Rule, Source, Value
from node.recipe.instance import Instance
from node.recipe.site_functions import as_text, runner
from node.recipe.texts import ARRAYS, BYTES, values_of


class Fate(Enum):
    """What becomes of an element other than a new value."""

    UNCHANGED = 0
    REMOVED = 1


Outcome: TypeAlias = str | Fate
UNCHANGED: Final[Literal[Fate.UNCHANGED]] = Fate.UNCHANGED
REMOVED: Final[Literal[Fate.REMOVED]] = Fate.REMOVED


class Subject(NamedTuple):
    """The element that lines are run for.

    Parameters
    ----------
    vr
        Its effective VR.
    element
        Where it lies; None for one that ADD makes.
    tag
        Its tag.
    read
        Its codec.
    little
        Byte order of its numbers.
    where
        Its tag path.
    holds
        For a sequence: tells whether a value of a list stands inside of it when a line is reached; else None.
    around
        Of an element in an item: where the item's elements begin, and how they are encoded.
    """

    vr: str
    element: Element | None
    tag: int
    read: Codec
    little: bool
    where: str
    holds: Callable[[Rule], bool] | None = None
    around: tuple[int, Coding] | None = None


_LEAVING = frozenset((CLEAN_TEXT, IN_FORM))  # functions that give back what may stay


class Program:
    """The lines' view of one data set of an instance: its own, or its file meta information."""

    __slots__ = ("_buffer", "_dataset", "_instance")

    def __init__(self, instance: Instance, dataset: EncodedDataset) -> None:
        self._instance = instance
        self._buffer = dataset.buffer
        self._dataset = dataset

    def run(self, rules: tuple[Rule, ...], subject: Subject) -> Outcome:
        """Return the new value as text, or what else becomes of the element."""
        state: Outcome = UNCHANGED if subject.element is not None else REMOVED
        for rule in rules:
            if state is REMOVED and rule.action is not Action.ADD:
                continue
            if rule.selector.guarded and not self.meant(rule, state, subject):
                continue
            state = self._step(rule, state, subject)
        return state

    def meant(self, rule: Rule, state: Outcome, subject: Subject) -> bool:
        """Tell whether the lists of the instance mean the element."""
        lists, name = self._instance.lists, rule.selector.group
        if rule.selector.form == "fields":
            return lists.has_tag(name, subject.tag)
        if isinstance(state, str):
            return lists.occur_in(name, state)
        if subject.holds is not None:
            # A sequence takes no value; its elements are met one by one.
            return rule.action in (Action.REMOVE, Action.BLANK) and subject.holds(rule)
        assert subject.element is not None
        _, _, start, length, end = subject.element
        if length == UNDEFINED or subject.vr in ARRAYS:
            return False
        if subject.vr in BYTES:
            return lists.occur_in_bytes(name, self._buffer, start, end)
        return lists.occur_in(name, "\\".join(self.original_values(subject)))

    def original_values(self, subject: Subject) -> tuple[str, ...]:
        """Return an element's original values. Raises HoldInstance where it has no text, or far too much."""
        assert subject.element is not None
        key, _, value, length, end = subject.element
        if length == UNDEFINED or subject.vr == "SQ" or end - value > MAX_TEXT:
            raise HoldInstance(HoldReason.ACTION_FAILED, f"{subject.where}: {show(key >> 16)} has no text value")
        try:
            raw = bytes(self._buffer[value:end])
            return values_of(subject.vr, raw, subject.read, little=subject.little)
        except CharsetError as error:
            raise HoldInstance(HoldReason.ACTION_FAILED, f"{subject.where}: {error}") from None
        except ValueError:
            raise HoldInstance(
                HoldReason.ACTION_FAILED, f"{subject.where}: VR {subject.vr} has other lengths"
            ) from None

    def _step(self, rule: Rule, state: Outcome, subject: Subject) -> Outcome:
        if rule.action is Action.BLANK:
            return ""
        spot = f"{subject.where}: {rule.where}"
        if rule.action is Action.REMOVE:
            met = rule.value is None or bool(self._text(rule.value, state, subject, spot))
            return REMOVED if met else state
        assert rule.value is not None
        if rule.action is Action.JITTER:
            current = self._current(state, subject)
            if not current.strip("\0 "):
                return state
            return shifted(current, subject.vr, self._days(rule.value, state, subject, spot), spot)
        text = self._text(rule.value, state, subject, spot)
        if rule.value.text in _LEAVING and text and text == self._current(state, subject):
            return state  # nothing goes: its bytes stay, whatever they are
        return text

    def _text(self, value: Value, state: Outcome, subject: Subject, spot: str) -> str:
        if value.source is Source.LITERAL:
            return value.text
        if value.source is Source.VARIABLE:
            return self._variable(value.text, subject.vr, spot)
        call = Call(
            read=lambda: self._current(state, subject),
            vr=subject.vr,
            path=subject.where,
            where=spot,
            exists=subject.element is not None or isinstance(state, str),
            changed=isinstance(state, str),
            instance=self._instance,
            sibling=lambda tag: self._sibling(tag, subject),
            writes=lambda text: _writes(subject.read, text),
            original=None if subject.element is None else lambda: "\\".join(self.original_values(subject)),
        )
        return (value.run or self._given(value, spot))(call)

    def _sibling(self, tag: int, subject: Subject) -> str:
        """Return the original value of an element in front of another one in its item."""
        if subject.around is None or subject.element is None:
            return ""
        from node.recipe.siblings import text_of

        position, coding = subject.around
        walker, own = self._dataset.walker, subject.element[1]
        while position < own:
            element = walker.element(position, own, coding, 1)
            if element[0] >> 16 == tag:
                return text_of(self._dataset, element, coding, subject.read) or ""
            position = element[4]
        return ""

    def _given(self, value: Value, spot: str) -> Function:
        """Return a function outside the node: one that came with the instance, else a built-in one, for which keys."""
        function = self._instance.lookup.get(value.text)
        if callable(function):
            return runner(value.text, function, value.written)
        if value.text not in BUILT_IN:
            raise HoldInstance(HoldReason.FUNCTION_FAILED, f"{spot}: there is no function {value.text}")
        if self._instance.identities is None and value.text not in UNKEYED:
            raise HoldInstance(HoldReason.FUNCTION_FAILED, f"{spot}: without keys there is no function {value.text}")
        return BUILT_IN[value.text]

    def _variable(self, name: str, vr: str, spot: str) -> str:
        found = self._instance.lookup.get(name)
        text = None if found is None or callable(found) else as_text(found, vr)
        if text is None:
            raise HoldInstance(HoldReason.VARIABLE_MISSING, f"{spot}: there is no variable {name}")
        return text

    def _days(self, value: Value, state: Outcome, subject: Subject, spot: str) -> int:
        text = self._text(value, state, subject, spot)
        try:
            return int(text)
        except ValueError:
            raise HoldInstance(HoldReason.ACTION_FAILED, f"{spot}: {value.text} is no whole number") from None

    def _current(self, state: Outcome, subject: Subject) -> str:
        """Return the value as the lines before have left it."""
        if isinstance(state, str):
            return state
        if subject.element is None or state is REMOVED:
            return ""
        return "\\".join(self.original_values(subject))


def _writes(codec: Codec, text: str) -> bool:
    try:
        codec.encode(text)
    except CharsetError:
        return False
    return True
