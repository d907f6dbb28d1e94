"""What becomes of one attribute that has a value: the lines of a compiled recipe, followed without a data set.

Guarantees that what is told is what the engine does with the attribute in an object that gives it the type asked for;
what depends on lists or conditions is told as such. Never refuses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from node.recipe import Recipe
from node.recipe.compiled import Rules
from node.recipe.dictionary import PROTECTED
from node.recipe.header import Action, Rule, Source, Value
from node.recipe.outcomes import Resolved
from node.recipe.selectors import NO_INDEX, Field, Step

TYPES = (3, 2, 1)
INSIDE = (Step(0x00081199, NO_INDEX),)  # an item of some sequence
_FUNCTIONS = {
    "age": ("clean", "ages over 89 years become 090Y; an absent age is computed from birth and study date"),
    "cap_age": ("clean", "ages over 89 years become 090Y"),
    "clean_text": ("clean", "words of a vocabulary and short numbers stay"),
    "csa_allowed": ("clean", "written anew with known numbers and terms alone"),
    "defined_term": ("dummy", "terms of the standard stay"),
    "in_form": ("keep", "where it is a date, a time or a time zone"),
    "generate_uid": ("replace", "by a keyed UID"),
    "keyed_text": ("replace", "by a keyed text"),
    "other_patient_id": ("replace", "by a pseudonym"),
    "pseudonym": ("replace", "by the patient's pseudonym"),
    "shift_date": ("clean", "moved by the patient's number of days"),
    "xnat_session": ("replace", "by project, pseudonym and session"),
}
_OF_NOTHING = frozenset(("age", "pseudonym", "xnat_session"))  # give something where there is no value


class Doing(NamedTuple):
    """What is done: `keep`, `clean`, `replace`, `dummy`, `empty` or `remove`; how; and by which line."""

    what: str
    how: str = ""
    where: str = ""

    def __str__(self) -> str:
        return f"{self.what} ({self.how})" if self.how else self.what


class _Always(Mapping[tuple[int, int], int]):
    """Every attribute is of one type."""

    def __init__(self, kind: int) -> None:
        self._kind = kind

    def __getitem__(self, _place: tuple[int, int]) -> int:
        return self._kind

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(())

    def __len__(self) -> int:
        return 0


class Doings:
    """The decisions of a recipe."""

    def __init__(self, recipe: Recipe) -> None:
        self._profiles: dict[int, Resolved | None] = {
            kind: Resolved(recipe.profile, None, _Always(kind) if kind < 3 else {}) if recipe.profile else None
            for kind in TYPES
        }
        self._rules = {kind: Rules(recipe.rules, recipe.lists, profile=found) for kind, found in self._profiles.items()}

    def of(
        self, tag: int, vr: str, creator: str | None = None, kind: int = 3, *, parents: tuple[Step, ...] = ()
    ) -> Doing:
        """Return what is done with an attribute.

        Parameters
        ----------
        tag
            Of a private one the group and the low byte of the element, in a block 10.
        vr
            Of the dictionary.
        creator
            Of a private one.
        kind
            The type that the object gives it: 1 and 2 are required, 3 is not.
        parents
            The sequences around it.
        """
        if tag in PROTECTED:
            return Doing("keep", "protected")
        field, profile = Field(parents, tag, creator, vr), self._profiles[kind]
        first, dummies = profile.decide(field, creator, False) if profile is not None else (None, False)
        program, held = self._rules[kind].program(field, first)
        doing, conditions = Doing("keep", "items walked" if vr == "SQ" and not held else ""), False
        if not held and profile is not None and profile.items(field, creator, 0):
            doing = Doing("clean", "item by item")
        if dummies:
            doing = Doing("dummy", "items stay, with dummies in them")
        for rule in program:
            if rule.selector.guarded or (rule.action is Action.REMOVE and rule.value is not None):
                conditions = True
            elif doing.what != "remove" or rule.action is Action.ADD:
                doing = _after(doing, rule, own=rule is first)
        return doing._replace(how="; ".join(filter(None, (doing.how, "or as its value says")))) if conditions else doing

    def by_type(self, tag: int, vr: str, creator: str | None = None) -> dict[int, Doing]:
        """Return what is done with an attribute of each type."""
        return {kind: self.of(tag, vr, creator, kind) for kind in TYPES}


def in_words(value: Value) -> str:
    """Return what a line writes: its text, or what stands for one in each instance."""
    if value.source is Source.LITERAL:
        return value.text
    _, how = _FUNCTIONS.get(value.text, ("", "")) if value.source is Source.FUNCTION else ("", "")
    return how.removeprefix("by ") or value.written


def _after(doing: Doing, rule: Rule, *, own: bool) -> Doing:
    """Return what one line makes of what the lines before it left; `own` is the profile's line."""
    if rule.action is Action.BLANK:
        return Doing("empty", "", rule.where)
    if rule.action is Action.REMOVE:
        return Doing("remove", "", rule.where)
    if rule.action is Action.JITTER:
        return doing if doing.what == "empty" else Doing("clean", "moved by days", rule.where)
    assert rule.value is not None
    return _written(doing, rule.value, rule.where, own=own)


def _written(doing: Doing, value: Value, where: str, *, own: bool) -> Doing:
    if value.source is Source.LITERAL:
        return Doing("dummy" if own else "replace", f"by {value.text or 'nothing'}", where)
    if value.source is Source.VARIABLE:
        return Doing("replace", f"by the value of {value.text}", where)
    if doing.what == "empty" and value.text not in _OF_NOTHING and value.source is Source.FUNCTION:
        return doing
    what, how = _FUNCTIONS.get(value.text, ("replace", f"by {value.written}"))
    return Doing(what, how, where)
