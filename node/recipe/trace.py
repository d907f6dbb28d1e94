"""Which line of a recipe did what to which element, for people who look at a recipe's work.

Guarantees that the data set goes through the engine itself, which is only watched: what is shown is what is done. What
follows from other changes (group lengths, the length of a sequence, text in another character set) is no line's doing
and is not told. Where the instance is held, the line that it was held at is told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from node.errors import HoldInstance, HoldReason
from node.recipe.charset import CharsetError
from node.recipe.compiled import GROUP_LENGTH, Decision, Level, effective_vr
from node.recipe.dictionary import entry, is_creator, is_private, show
from node.recipe.elements import Elements, Inside, Place
from node.recipe.encoded import UNDEFINED, Element, EncodedDataset
from node.recipe.engine import as_dataset_error
from node.recipe.filters import Judgement
from node.recipe.functions import Identities
from node.recipe.header import Action, Rule
from node.recipe.instance import Instance
from node.recipe.load import Recipe
from node.recipe.method import CODE_SEQUENCE, METHOD, applied_codes
from node.recipe.originals import Originals, Seen
from node.recipe.output import Cleaned, Output
from node.recipe.program import REMOVED, Outcome, Program, Subject
from node.recipe.selectors import Field
from node.recipe.texts import ARRAYS, BYTES, values_of

_LONG = 64 * 1024  # bytes; a longer value is told by its length


class What(StrEnum):
    """What became of an element."""

    KEPT = "kept"
    CHANGED = "changed"
    REMOVED = "removed"
    ADDED = "added"


@dataclass(frozen=True, slots=True)
class Traced:
    """What became of one element.

    Parameters
    ----------
    path
        Its tag path, `(0040,0275)__0__(0010,0020)`.
    name
        Its keyword; of a private element the way a recipe names it, `(0009,"CREATOR",01)`; may be empty.
    vr
        Its effective VR.
    what
        What became of it.
    before, after
        Its value as text, None where it is absent. A sequence is told by its number of items, bytes by their number.
    rules
        The lines that had an effect, in order; for an element that stays, those that KEEP it.
    """

    path: str
    name: str
    vr: str
    what: What
    before: str | None
    after: str | None
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """What became of an instance: `elements` in the order of the data set, or why it is held and at which line.

    `where` is the line's file and number, empty where no line is to blame.
    """

    elements: tuple[Traced, ...]
    cleaned: Cleaned | None
    held: HoldInstance | None = None
    where: str = ""


def trace(
    recipe: Recipe,
    dataset: EncodedDataset,
    identities: Identities,
    variables: Mapping[str, Any],
    masks: Judgement | bool = True,
    only: Collection[str] | None = None,
) -> Trace:
    """Clean a data set and tell what became of every element; `masks` as for `Recipe.apply`. Raises DatasetError.

    With `only`, of elements that stay those of these tag paths alone are told, and of those that are removed no values
    but theirs: what nobody asks for is not even read.
    """
    seen = _Watch()
    try:
        cleaned = recipe.apply(dataset, identities, variables, watch=seen, masks=masks)
    except HoldInstance as hold:
        return Trace((), None, hold, seen.at.where if seen.at else held_by_filter(recipe, dataset, hold))
    instance = Instance(dataset, identities, variables)
    root, path = recipe.root(dataset), show(CODE_SEQUENCE)
    codes = applied_codes(recipe.profile, masked=bool(cleaned.regions)) if root.rules.codes else ()
    if codes and path not in seen.effects:
        said = next(rule for rule in recipe.rules if rule.selector.tag == METHOD)
        seen.did(path, "SQ", said, _items(len(codes)))
    walk = _Walk(recipe, seen, Originals(dataset, instance, Program(instance, dataset)), dataset, only)
    with as_dataset_error():
        return Trace(tuple(walk.all()), cleaned)


def held_by_filter(recipe: Recipe, dataset: EncodedDataset, hold: HoldInstance) -> str:
    """Return the line of the filter that holds an instance, file and number; empty where none does."""
    if hold.reason is not HoldReason.PIXEL_RISK:
        return ""
    named = {section.name for section in recipe.filters if not section.is_whitelist}
    return next((found.where for found in recipe.detect(dataset).results if found.group in named), "")


@dataclass(slots=True)
class _Effect:
    outcome: Outcome
    vr: str
    rules: list[Rule] = field(default_factory=list)


class _Watch:
    """Remembers what each line did, by tag path, and the line that is being carried out."""

    def __init__(self) -> None:
        self.effects: dict[str, _Effect] = {}
        self.at: Rule | None = None

    def program(self, instance: Instance, dataset: EncodedDataset) -> Program:
        return _Program(instance, dataset, self)

    def elements(self, dataset: EncodedDataset, output: Output, program: Program, inside: Inside) -> Elements:
        return _Elements(dataset, output, program, inside, self)

    def did(self, path: str, vr: str, rule: Rule, outcome: Outcome) -> None:
        effect = self.effects.setdefault(path, _Effect(outcome, vr))
        effect.outcome = outcome
        if rule not in effect.rules:
            effect.rules.append(rule)


class _Program(Program):
    __slots__ = ("_watch",)

    def __init__(self, instance: Instance, dataset: EncodedDataset, watch: _Watch) -> None:
        super().__init__(instance, dataset)
        self._watch = watch

    def _step(self, rule: Rule, state: Outcome, subject: Subject) -> Outcome:
        self._watch.at = rule
        after = super()._step(rule, state, subject)
        if after is not state:
            self._watch.did(subject.where, subject.vr, rule, after)
        return after


class _Elements(Elements):
    __slots__ = ("_watch",)

    def __init__(
        self, dataset: EncodedDataset, output: Output, program: Program, inside: Inside, watch: _Watch
    ) -> None:
        super().__init__(dataset, output, program, inside)
        self._watch = watch

    def act(self, element: Element, decision: Decision, level: Level, place: Place, end: int) -> tuple[int, int]:
        if decision.program and decision.fixed is not None:
            # The engine knows the outcome without running the line.
            self._watch.at = decision.program[0]
            self._watch.did(self._where(element[0] >> 16), decision.vr, decision.program[0], decision.fixed)
        result = super().act(element, decision, level, place, end)
        self._watch.at = None
        return result

    def _dropped(self, path: str, tag: int, level: Level) -> None:
        rule = level.rules.profile.content.rule(tag) if level.rules.profile is not None else None
        if rule is not None:
            self._watch.did(path, "SQ", rule, REMOVED)


class _Walk:
    """Goes over the original and puts what happened beside it."""

    def __init__(
        self,
        recipe: Recipe,
        watch: _Watch,
        originals: Originals,
        dataset: EncodedDataset,
        only: Collection[str] | None = None,
    ) -> None:
        self._rules = recipe.rules
        self._root = recipe.root(dataset)
        self._effects = watch.effects
        self._originals = originals
        self._dataset = dataset
        self._creators: dict[tuple[str, int], str] = {}
        self._only = only
        self._inner = frozenset(_around((*self._effects, *(only or ()))))

    def all(self) -> Iterator[Traced]:
        added = sorted(path for path in self._effects if "__" not in path)
        for seen in self._originals.top(self._root):
            while added and added[0] < seen.path:
                yield from self._added(added.pop(0))
            if added and added[0] == seen.path:
                added.pop(0)
            yield from self._element(seen, ())
        for path in added:
            yield from self._added(path)

    def _added(self, path: str) -> Iterator[Traced]:
        tag = int(path[1:5] + path[6:10], 16)
        effect = self._effects[path]
        if self._dataset.find(tag) is None and isinstance(effect.outcome, str):
            rules = tuple(effect.rules)
            yield Traced(path, _keyword(tag), effect.vr, What.ADDED, None, effect.outcome, rules)

    def _element(self, seen: Seen, keeping: tuple[Rule, ...]) -> Iterator[Traced]:
        name, creator = self._name(seen)
        effect = self._effects.get(seen.path) or self._effects.get(seen.path.rpartition("(")[0])  # it, or its item
        codes = seen.decision.codes and effect is not None and isinstance(effect.outcome, str)
        vr = _vr(seen, creator)
        if effect is None and not self._is_told(seen.path):
            if seen.path in self._inner:
                yield from self._inside(seen, self._keeping(seen, creator) or keeping)
            return
        is_read = effect is None or effect.outcome is not REMOVED or self._is_told(seen.path)
        before = self._text(seen, vr) if is_read else ""
        if effect is None or codes:
            keeping = self._keeping(seen, creator) or keeping
            if codes:
                yield self._with_codes(seen, name, before)
            elif seen.decision.kind != GROUP_LENGTH:
                yield Traced(seen.path, name, vr, What.KEPT, before, before, keeping)
            yield from self._inside(seen, keeping)
            return
        rules, after = tuple(effect.rules), effect.outcome
        if after is REMOVED:
            yield Traced(seen.path, name, vr, What.REMOVED, before, None, rules)
        elif isinstance(after, str):
            what = What.KEPT if after == before else What.CHANGED
            yield Traced(seen.path, name, vr, what, before, after, rules)

    def _is_told(self, path: str) -> bool:
        """Tell whether an element is told of though it stays."""
        return self._only is None or path in self._only

    def _inside(self, seen: Seen, keeping: tuple[Rule, ...]) -> Iterator[Traced]:
        for child in self._originals.children(seen):
            yield from self._element(child, keeping)

    def _with_codes(self, seen: Seen, name: str, before: str) -> Traced:
        """Tell of the method's codes, which come behind the items that are there."""
        effect = self._effects[seen.path]
        added, there = (int(text.partition(" ")[0]) for text in (str(effect.outcome), before))
        after = _items(added + there)
        return Traced(seen.path, name, "SQ", What.CHANGED, before, after, tuple(effect.rules))

    def _keeping(self, seen: Seen, creator: str | None) -> tuple[Rule, ...]:
        place = Field(seen.level.parents, seen.tag, creator, seen.decision.vr)
        return tuple(rule for rule in self._rules if rule.action is Action.KEEP and rule.selector.matches(place))

    def _name(self, seen: Seen) -> tuple[str, str | None]:
        """Return how a recipe calls an element, and its private creator."""
        tag = seen.tag
        if not is_private(tag):
            return _keyword(tag), None
        inside = seen.path.rpartition("__")[0]
        if is_creator(tag):
            self._creators[inside, (tag >> 16) << 8 | tag & 0xFF] = self._text(seen, "LO")
            return "", None
        creator = self._creators.get((inside, tag >> 8))
        return (f'({tag >> 16:04X},"{creator}",{tag & 0xFF:02X})' if creator else ""), creator

    def _text(self, seen: Seen, vr: str) -> str:
        _, _, start, length, end = seen.element
        items = {child.path[len(seen.path) :].split("__")[1] for child in self._originals.children(seen)}
        if items or vr == "SQ":
            return _items(len(items))
        size = end - start
        if length == UNDEFINED or vr in ARRAYS or size > _LONG:
            return f"{size} bytes" if size else ""
        raw = bytes(self._dataset.buffer[start:end])
        try:
            text = "\\".join(values_of(vr, raw, seen.place.read, little=self._originals.subject(seen).little))
        except (CharsetError, ValueError):
            return f"{size} bytes that are no {vr}"
        if vr in BYTES:
            text = text.rstrip("\0 ")
            return text if text.isprintable() else f"{size} bytes"
        return text


def _around(paths: Iterable[str]) -> Iterator[str]:
    """Give the paths of the sequences that elements stand in."""
    for path in paths:
        parts = path.split("__")
        yield from ("__".join(parts[:end]) for end in range(1, len(parts) - 1, 2))


def _items(number: int) -> str:
    return f"{number} item{'s' * (number != 1)}"


def _vr(seen: Seen, creator: str | None) -> str:
    """Return the VR of an element; the one decision of all that stay has none."""
    return seen.decision.vr or effective_vr(seen.element[0], creator, seen.level.signed)[0]


def _keyword(tag: int) -> str:
    found = entry(tag)
    return found.keyword if found else ""
