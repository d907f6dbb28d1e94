"""What a profile does with an attribute of one IOD: the action codes, resolved by the attribute's type there.

Guarantees one rule for each attribute, wherever it stands: what an IOD requires is never removed (X of Type 2 and Z of
Type 1 become an empty value and a dummy), a sequence that must have a value keeps its items with dummies in them, and
UIDs that say what an object is stay unless a line names them (PS3.15 E.1.1, E.3.9). Never refuses.

| code | Type 3, or not of the IOD | Type 2 | Type 1 |
|---|---|---|---|
| X, X/Z, X/D, X/Z/D | removed | emptied | dummy |
| Z, Z/D | emptied | emptied | dummy |
| X/Z/U* | removed | emptied | walked, its UIDs replaced |
| D, K, U | the same for every type; a K of VR AS caps ages over 89 years, of DA, DT and TM it keeps what is one | | |
| C | by VR, see below | | |

C moves DA and DT by the patient's days, keeps what is a time (TM) or the time zone, cleans texts word by word, content
and graphics item by item (`node.recipe.content`), walks sequences of codes and requests; all else becomes what the code
says that C overrides.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from node.recipe.content import DATED, DATES, GRAPHIC_TEXTS, Content, treatment
from node.recipe.descriptors import TEXTS
from node.recipe.dictionary import (
    SPECIFIC_CHARACTER_SET,
    STRUCTURAL_UIDS,
    entry,
    is_creator,
    is_private,
)
from node.recipe.dummies import (
    AGE,
    DATE,
    DATED_FORM,
    DATED_SHIFT,
    DESCRIPTOR,
    FORM,
    REQUIRED_DESCRIPTOR,
    REQUIRED_FORM,
    TERM,
    UID,
    literal,
)
from node.recipe.forms import FORMS
from node.recipe.header import Action, Rule, Value
from node.recipe.profile import WHOLE, Key, Profile, ProfileLine
from node.recipe.selectors import Field, Selector
from node.recipe.values import NUMBER_VRS
from node.standard import required

TIMEZONE_OFFSET = 0x00080201
METHOD_CODES = 0x00120064  # of earlier steps: only a line that names them takes them away
_KEPT_OF_META = frozenset({0x00020000, 0x00020001, 0x00020002, 0x00020003, 0x00020010, 0x00020012})
_BEFORE_ALL_LINES = -1
_UNLISTED = Selector("%profile", lambda _: False, False, None, None, "unlisted")


class Effect(Enum):
    """What is done with an attribute."""

    KEEP = "keep"
    DUMMY = "dummy"
    EMPTY = "empty"
    REMOVE = "remove"
    UID = "uid"
    SHIFT = "shift"
    CAP = "cap"  # an age that is kept
    CLEAN = "clean"
    CLEAN_REQUIRED = "clean, not empty"
    FORM = "keep, where it has the form of its VR"
    FORM_REQUIRED = "the same, not empty"


def _by_type(otherwise: Effect, type_2: Effect, type_1: Effect) -> Mapping[int | None, Effect]:
    return {None: otherwise, 2: type_2, 1: type_1}


_X = _by_type(Effect.REMOVE, Effect.EMPTY, Effect.DUMMY)
_Z = _by_type(Effect.EMPTY, Effect.EMPTY, Effect.DUMMY)
_BY_TYPE = {
    "D": _by_type(Effect.DUMMY, Effect.DUMMY, Effect.DUMMY),
    "K": _by_type(Effect.KEEP, Effect.KEEP, Effect.KEEP),
    "U": _by_type(Effect.UID, Effect.UID, Effect.UID),
    "X": _X,
    "X/D": _X,
    "X/Z": _X,
    "X/Z/D": _X,
    "X/Z/U*": _by_type(Effect.REMOVE, Effect.EMPTY, Effect.UID),
    "Z": _Z,
    "Z/D": _Z,
}
_BY_ACTION = {Action.KEEP: Effect.KEEP, Action.REMOVE: Effect.REMOVE, Action.REPLACE: Effect.DUMMY}
_ACTIONS = {Effect.EMPTY: Action.BLANK, Effect.REMOVE: Action.REMOVE}
_VALUES = {
    Effect.UID: UID,
    Effect.SHIFT: DATE,
    Effect.DUMMY: UID,
    Effect.CAP: AGE,
    Effect.CLEAN: DESCRIPTOR,
    Effect.CLEAN_REQUIRED: REQUIRED_DESCRIPTOR,
    Effect.FORM: FORM,
    Effect.FORM_REQUIRED: REQUIRED_FORM,
}
_UNLESS_BIRTH_DATE = {DATE: DATED_SHIFT, FORM: DATED_FORM, REQUIRED_FORM: DATED_FORM}
_CLEANED = (Effect.CLEAN, Effect.CLEAN_REQUIRED, Effect.FORM, Effect.FORM_REQUIRED)
_WALKED = (Effect.KEEP, Effect.DUMMY, Effect.UID, Effect.SHIFT)  # what leaves a sequence's items in place


class Resolved:
    """A profile for the instances of one IOD; None stands for SOP classes that the standard does not have.

    Attributes
    ----------
    basic
        Whether the Basic Profile is part of it.
    content
        What it does with content items.

    `types` takes the place of what the IOD requires, for a view of what is done with an attribute of a given type.
    """

    def __init__(self, profile: Profile, iod: str | None, types: Mapping[tuple[int, int], int] | None = None) -> None:
        self.basic = profile.basic
        self.content = Content(profile)
        self._lines = profile.lines
        self._where = profile.where
        self._types = required(iod) if types is None else types
        self._creators = {key[1:3] for key, line in profile.lines.items() if key[0] == "private" and line.code != "X"}

    def decide(self, field: Field, owner: str | None, inside_dummy: bool, content: int = 0) -> tuple[Rule | None, bool]:
        """Return the rule for an attribute, and whether the items below it hold dummies.

        Parameters
        ----------
        field
            The attribute; its VR may be one of the dictionary's ambiguous ones.
        owner
            The private creator of its block; of a private creator itself, its own value.
        inside_dummy
            It stands in a sequence that must have a value, and whose own values may not stay.
        content
            The class of the content item that it stands in (`node.recipe.content`).
        """
        line = self._line(field, owner)
        effect = self._effect(line, field) if line else Effect.KEEP
        if field.tag >> 16 == 2:
            effect = Effect.REMOVE if self.basic and field.tag not in _KEPT_OF_META else Effect.KEEP
        elif is_creator(field.tag) and self._is_needed(field.tag, owner):
            effect = Effect.KEEP
        value = _value(effect, field)
        if content and not self.content.expects(field, content, named=line is not None and effect is not Effect.KEEP):
            inside_dummy = True
        if content and not inside_dummy and (asked := treatment(content, field)) is not None:
            effect, value = _BY_ACTION[asked[0]], asked[1]
        if content == DATED and field.tag in DATES and value in _UNLESS_BIRTH_DATE:
            value = _UNLESS_BIRTH_DATE[value]
        if inside_dummy:
            effect, value = _inside_dummy(effect, value, field, kept=line is not None)
        below = field.vr == "SQ" and (effect is Effect.DUMMY or (inside_dummy and effect in _WALKED))
        if effect is Effect.KEEP or (field.vr == "SQ" and effect in _WALKED):
            return None, below
        where, selector = (line.where, line.selector) if line else (self._where, _UNLISTED)
        return Rule(_ACTIONS.get(effect, Action.REPLACE), selector, value, where, _BEFORE_ALL_LINES), below

    def items(self, field: Field, owner: str | None, content: int) -> int:
        """Return how the items of a sequence are looked at before they are walked (`node.recipe.content`)."""
        line = self._line(field, owner)
        return self.content.items(field, line.code if line else "", content)

    def group_length(self, tag: int) -> Rule | None:
        """Return the rule for the length of a group that goes, or of whose private elements most go; else None."""
        group = tag >> 16
        line = (self._select("private") if is_private(tag) else self._of_group(group << 16 | 1)) or self._select("all")
        if line is None or not line.code.startswith("X"):
            return None
        return Rule(Action.REMOVE, line.selector, None, line.where, _BEFORE_ALL_LINES)

    def _is_needed(self, tag: int, owner: str | None) -> bool:
        return owner is not None and (tag >> 16, owner.casefold()) in self._creators

    def _line(self, field: Field, owner: str | None) -> ProfileLine | None:
        tag = field.tag
        group = tag >> 16
        if is_private(tag):
            named: Key = ("private", group, owner.casefold(), tag & 0xFF) if owner else ("select", "")
            found = self._lines.get(named) or self._lines.get(("tag", tag)) or self._select("private")
            return found or self._select("all")
        if tag in (METHOD_CODES, SPECIFIC_CHARACTER_SET) or tag in STRUCTURAL_UIDS:
            return self._lines.get(("tag", tag))
        found = self._lines.get(("tag", tag)) or self._of_group(tag) or self._of_vr(field)
        return found or self._select("all")

    def _of_vr(self, field: Field) -> ProfileLine | None:
        """Return the line of an attribute's VR: the dictionary's, else the one in its header, which may be wrong.

        What the dictionary does not know is UN, whatever its header says.
        """
        known = entry(field.tag)
        if known is None:
            return self._select("vr:un")
        return self._select(f"vr:{known.vr[:2].lower()}") or self._select(f"vr:{field.vr[:2].lower()}")

    def _of_group(self, tag: int) -> ProfileLine | None:
        group = tag >> 16
        if group >> 8 in (0x50, 0x60):
            prefix = group >> 8 << 32
            found = self._lines.get(("repeating", prefix | tag & 0xFFFF)) or self._lines.get(
                ("repeating", prefix | WHOLE)
            )
            if found is not None:
                return found
        return self._select(f"group:{group:04x}")

    def _select(self, text: str) -> ProfileLine | None:
        return self._lines.get(("select", text))

    def _effect(self, line: ProfileLine, field: Field) -> Effect:
        code = line.code
        if code == "K" and field.vr == "AS":
            return Effect.CAP
        parent = field.parents[-1].tag if field.parents else 0
        kind = self._types.get((parent, field.tag))
        if code == "C":
            cleaned = _cleaning(field, kind)
            if cleaned is not None:
                return cleaned
            code = line.under or "X/Z/D"
        effect = _BY_TYPE[code][kind]
        if code == "K" and (field.vr in FORMS or field.tag == TIMEZONE_OFFSET):
            return _in_form(kind)
        if field.tag in STRUCTURAL_UIDS and effect is Effect.UID:
            return Effect.KEEP
        return effect


def _in_form(kind: int | None) -> Effect:
    return Effect.FORM_REQUIRED if kind == 1 else Effect.FORM


def _cleaning(field: Field, kind: int | None) -> Effect | None:
    """Return what C means for an attribute of a type; None where nothing cleans it."""
    if field.vr in ("DA", "DT"):
        return Effect.SHIFT
    if field.vr == "TM" or field.tag == TIMEZONE_OFFSET:
        return _in_form(kind)
    if field.vr in TEXTS:
        return Effect.CLEAN_REQUIRED if kind == 1 or field.tag in GRAPHIC_TEXTS else Effect.CLEAN
    return Effect.KEEP if field.vr == "SQ" else None


def _value(effect: Effect, field: Field) -> Value | None:
    """Return what an attribute is replaced by, or None where it is not replaced."""
    if effect is Effect.DUMMY and field.vr != "UI":
        return literal(field.tag, field.vr)
    return _VALUES.get(effect)


def _inside_dummy(effect: Effect, value: Value | None, field: Field, *, kept: bool) -> tuple[Effect, Value | None]:
    """Return what is done with an attribute of a sequence whose own values may not stay.

    UIDs keep references together: they are replaced, or `kept` where a line keeps them. Binary numbers and defined
    terms stay: they are how such a sequence is to be read.
    """
    tag, vr = field.tag, field.vr.partition(" ")[0]
    if is_private(tag):
        return Effect.REMOVE, None
    if effect is not Effect.KEEP and effect not in _CLEANED:
        return effect, value
    if tag in STRUCTURAL_UIDS or tag == SPECIFIC_CHARACTER_SET or vr in NUMBER_VRS or vr == "AT":
        return Effect.KEEP, None
    if vr == "UI":
        return (Effect.KEEP, None) if kept else (Effect.UID, UID)
    return Effect.DUMMY, TERM if vr == "CS" else literal(tag, vr)
