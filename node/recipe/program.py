"""Runs the lines that concern one element, and says what becomes of its value.

Guarantees that every line is carried out in its order or the instance is held: a missing variable, a function that
fails, a date that is none never leaves the original in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final, Literal, TypeAlias

from node.errors import HoldInstance, HoldReason
from node.recipe.charset import CharsetError, Codec
from node.recipe.dictionary import show
from node.recipe.encoded import MAX_TEXT, UNDEFINED, Element, EncodedDataset
from node.recipe.functions import BUILT_IN, Call, Identities, shifted
from node.recipe.language import Action, Rule, Source, Value

SOP_INSTANCE_UID = 0x00080018


class Fate(Enum):
    """What becomes of an element other than a new value."""

    UNCHANGED = 0
    REMOVED = 1


Outcome: TypeAlias = str | Fate
UNCHANGED: Final[Literal[Fate.UNCHANGED]] = Fate.UNCHANGED
REMOVED: Final[Literal[Fate.REMOVED]] = Fate.REMOVED


class Program:
    """The lines' view of one instance: its data set, its identities, the route's variables."""

    __slots__ = ("_dataset", "_identities", "_variables")

    def __init__(self, dataset: EncodedDataset, identities: Identities, variables: Mapping[str, str]) -> None:
        self._dataset = dataset
        self._identities = identities
        self._variables = variables

    def run(self, rules: tuple[Rule, ...], vr: str, element: Element | None, read: Codec, where: str) -> Outcome:
        """Return the new value as text, or what else becomes of the element.

        Parameters
        ----------
        rules
            The element's lines, in order.
        vr
            Its effective VR.
        element
            Where it lies; None for one that ADD makes.
        read
            Its codec.
        where
            Its tag path, for the detail of a hold.
        """
        state: Outcome = UNCHANGED if element is not None else REMOVED
        for rule in rules:
            if state is REMOVED and rule.action is not Action.ADD:
                continue
            state = self._step(rule, state, vr, element, read, where)
        return state

    def _step(self, rule: Rule, state: Outcome, vr: str, element: Element | None, read: Codec, where: str) -> Outcome:
        if rule.action is Action.BLANK:
            return ""
        spot = f"{where}: {rule.where}"
        if rule.action is Action.REMOVE:
            return REMOVED if self._holds(rule, state, vr, element, read, spot) else state
        assert rule.value is not None
        if rule.action is Action.JITTER:
            current = self._current(state, element, read, spot)
            if not current.strip("\0 "):
                return state
            return shifted(current, vr, self._days(rule.value, spot), spot)
        return self._text(rule.value, state, vr, element, read, spot)

    def _holds(self, rule: Rule, state: Outcome, vr: str, element: Element | None, read: Codec, spot: str) -> bool:
        """Tell whether REMOVE's condition is met; it is when there is none."""
        return rule.value is None or bool(self._text(rule.value, state, vr, element, read, spot))

    def _text(self, value: Value, state: Outcome, vr: str, element: Element | None, read: Codec, spot: str) -> str:
        if value.source is Source.LITERAL:
            return value.text
        if value.source is Source.VARIABLE:
            return self._variable(value.text, spot)
        current = self._current(state, element, read, spot)
        seed = f"{self._dataset.text(SOP_INSTANCE_UID) or ''}/{spot[:11]}" if element is None else None
        result = BUILT_IN[value.text](Call(current, vr, seed, spot, self._identities))
        if not isinstance(result, str):
            raise HoldInstance(HoldReason.FUNCTION_FAILED, f"{spot}: {value.text} returned no text")
        return result

    def _variable(self, name: str, spot: str) -> str:
        if name not in self._variables:
            raise HoldInstance(HoldReason.VARIABLE_MISSING, f"{spot}: the route sets no variable {name}")
        return self._variables[name]

    def _days(self, value: Value, spot: str) -> int:
        text = value.text if value.source is Source.LITERAL else self._variable(value.text, spot)
        try:
            return int(text)
        except ValueError:
            raise HoldInstance(HoldReason.ACTION_FAILED, f"{spot}: {value.text} is no whole number") from None

    def _current(self, state: Outcome, element: Element | None, read: Codec, spot: str) -> str:
        """Return the value as the lines before have left it."""
        if isinstance(state, str):
            return state
        if element is None or state is REMOVED:
            return ""
        key, _, value, length, end = element
        if length == UNDEFINED or end - value > MAX_TEXT:
            raise HoldInstance(HoldReason.ACTION_FAILED, f"{spot}: {show(key >> 16)} has no text value")
        try:
            return read.decode(bytes(self._dataset.buffer[value:end])).rstrip("\0 ")
        except CharsetError as error:
            raise HoldInstance(HoldReason.ACTION_FAILED, f"{spot}: {error}") from None
