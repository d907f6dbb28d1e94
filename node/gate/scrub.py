"""Takes an original's identity out of texts that a recipe kept (`gate: scrub`).

Guarantees that only texts change in which the gate found something, that what is taken out is whole words with what
separated them, and that lengths are right at every depth: the engine that carries out recipes writes them. What was
scrubbed has to be searched again by the caller: what is still found holds. Never touched: elements that identify
themselves, numbers, dates, UIDs, codes (CS), names (PN), binary values, pixels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from node.gate.judge import Finding, Judge, gathered_of, header_of, leaks
from node.gate.kept import Text, kept_texts
from node.recipe import Cleaned, EncodedDataset, Recipe
from node.recipe.compiled import Level, Rules
from node.recipe.dummies import literal
from node.recipe.elements import Elements, Inside
from node.recipe.engine import Engine
from node.recipe.header import Action, Rule, Source, Value
from node.recipe.instance import Instance
from node.recipe.known.attributes import IDENTIFYING, SAID, form_of
from node.recipe.output import Output
from node.recipe.program import UNCHANGED, Outcome, Program, Subject
from node.recipe.selectors import parse_selector
from node.recipe.values import SINGLE
from node.standard import iod_of, required

_VRS = frozenset(("LO", "LT", "SH", "ST", "UC", "UT"))
_SOP_CLASS_UID = 0x00080016
_TYPE_1 = 1
_CLEANS_TEXTS = "clean-descriptors"
_MARK = "\0"  # stands for what was taken out, until the separators around it are looked at
_BETWEEN = re.compile(r"(?P<left>[ \t,;:/_.^=&+-]*)\0(?:[ \t,;:/_.^=&+-]*\0)*(?P<right>[ \t,;:/_.^=&+-]*)")
_ENDS = frozenset(("", "\r", "\n", "\f"))
_EVERYWHERE = Rule(Action.REPLACE, parse_selector("ALL"), Value(Source.FUNCTION, "scrub", "scrub"), "gate: scrub")


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """A result without the words that the gate found in texts.

    `taken` is what was found there, `texts` has the new values by tag path.
    """

    cleaned: Cleaned
    taken: list[Finding]
    texts: dict[str, str]


def scrub(cleaned: Cleaned, recipe: Recipe) -> Scrubbed:
    """Take what the gate finds out of the texts of a result.

    Raises
    ------
    HoldInstance, DatasetError
        A text that is left cannot be written, or the result cannot be parsed.
    """
    judge = Judge(gathered_of(cleaned), cleaned, recipe, pixels=False)
    found = list(judge.findings())
    dataset, places = header_of(cleaned)
    watch = _Watch(judge, {finding.path for finding in found})
    level, instance = Level(Rules([_EVERYWHERE]), (), dataset.signed), Instance(dataset, None, {})
    edits = Engine(level, dataset, instance, watch=watch).run().edits
    edited = cleaned.edited([(places(start), places(end), new) for start, end, new in edits])
    taken = [finding for finding in found if finding.path in watch.texts]
    return Scrubbed(edited, taken, watch.texts)


@dataclass(frozen=True, slots=True)
class Passed:
    """What the gate makes of a result.

    Attributes
    ----------
    cleaned
        What goes out, where nothing is `left`.
    taken, texts
        As in `Scrubbed`.
    reported
        What still stands in it and is only reported.
    left
        What still stands in it and holds the instance.
    kept
        The texts that it has of its original (`kept_texts`); empty where nobody asked.
    """

    cleaned: Cleaned
    taken: list[Finding] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    reported: list[Finding] = field(default_factory=list)
    left: list[Finding] = field(default_factory=list)
    kept: list[Text] = field(default_factory=list)


def through(cleaned: Cleaned, recipe: Recipe, gate: str, *, review: bool = False) -> Passed:
    """Let a result through the gate: `hold`, `scrub` or `report`; with `review` tell which texts it keeps.

    A recipe that cleans texts has what is known of the patient taken out of those that it keeps, whatever the gate is.
    Pixels that are masked go out as others, so their marker segments are not looked at. A text of which a person has
    said that it identifies holds, whatever the gate is.

    Raises
    ------
    HoldInstance, DatasetError
        As `scrub`, and where the result cannot be parsed.
    """
    passed = _searched(cleaned, recipe, gate)
    decided = passed.cleaned.decided
    if decided is None and not review:
        return passed
    kept = kept_texts(passed.cleaned, recipe)
    if decided is not None:
        passed.left.extend(Finding(SAID, path) for path, text in kept if decided.forbids(path, text))
    return replace(passed, left=list(dict.fromkeys(passed.left)), kept=kept)


def _searched(cleaned: Cleaned, recipe: Recipe, gate: str) -> Passed:
    findings = leaks(cleaned, recipe, pixels=not cleaned.regions)
    if not findings:
        return Passed(cleaned)
    found = Scrubbed(cleaned, [], {})
    if gate == "scrub" or (recipe.profile is not None and _CLEANS_TEXTS in recipe.profile.names):
        found = scrub(cleaned, recipe)
        findings = leaks(found.cleaned, recipe, pixels=not cleaned.regions)
    left = [finding for finding in findings if gate != "report" or finding.kind == SAID]
    reported = [finding for finding in findings if finding not in left]
    return Passed(found.cleaned, found.taken, found.texts, reported, left)


class _Watch:
    """Gives the engine a program that scrubs the texts of some tag paths and leaves all else."""

    def __init__(self, judge: Judge, paths: set[str]) -> None:
        self.texts: dict[str, str] = {}
        self._judge = judge
        self._paths = paths

    def program(self, instance: Instance, dataset: EncodedDataset) -> Program:
        """Return what scrubs."""
        return _Scrubbing(instance, dataset, self._judge, self._paths, self.texts)

    def elements(self, dataset: EncodedDataset, output: Output, program: Program, inside: Inside) -> Elements:
        """Return what walks."""
        return Elements(dataset, output, program, inside)


class _Scrubbing(Program):
    """One pass over a result."""

    __slots__ = ("_judge", "_paths", "_texts", "_types")

    def __init__(
        self, instance: Instance, dataset: EncodedDataset, judge: Judge, paths: set[str], texts: dict[str, str]
    ) -> None:
        super().__init__(instance, dataset)
        self._judge = judge
        self._paths = paths
        self._texts = texts
        self._types = required(iod_of(dataset.text(_SOP_CLASS_UID) or ""))

    def run(self, rules: tuple[Rule, ...], subject: Subject) -> Outcome:  # noqa: ARG002 -- one rule for all
        """Return the text without identity, where it is one and something was found in it."""
        element = subject.element
        if subject.where not in self._paths or subject.vr not in _VRS or element is None:
            return UNCHANGED
        if form_of(element[0]) in IDENTIFYING:
            return UNCHANGED
        text = "\\".join(self.original_values(subject))
        values = [text] if subject.vr in SINGLE else text.split("\\")
        new = "\\".join(without(value, self._judge) for value in values)
        if new == text:
            return UNCHANGED
        if not new.strip("\\ ") and self._types.get((_parent(subject.where), subject.tag)) == _TYPE_1:
            new = literal(subject.tag, subject.vr).text
        self._texts[subject.where] = new
        return new


def without(text: str, judge: Judge) -> str:
    """Return a text without the words that a judge finds in it, and without what separated them from the others."""
    marked = list(text)
    lowered = text.lower()
    if len(lowered) != len(text):  # a few capital letters have more than one small one
        return ""
    spans = sorted(_grown(text, start, end) for start, end in judge.spans(lowered))
    for start, end in spans:
        marked[start:end] = [_MARK] * (end - start)
    return _BETWEEN.sub(_joint, "".join(marked)) if spans else text


def _grown(text: str, start: int, end: int) -> tuple[int, int]:
    """Return a span with the rest of the words that it begins and ends in."""
    while start and text[start].isalnum() and text[start - 1].isalnum():
        start -= 1
    while end < len(text) and text[end - 1].isalnum() and text[end].isalnum():
        end += 1
    return start, end


def _joint(found: re.Match[str]) -> str:
    """Return what stands between two words when what was between them is gone: one separator, none at a line's ends."""
    before, after = found.string[: found.start()][-1:], found.string[found.end() :][:1]
    if before in _ENDS or after in _ENDS:
        return ""
    left, right = found["left"], found["right"]
    if not left.strip():
        return right if len(right.strip()) == 1 else " "
    return left if len(left.strip()) == 1 else " "


def _parent(path: str) -> int:
    """Return the tag of the sequence that an element stands in; 0 at the top level."""
    steps = path.split("__")
    return int(steps[-3][1:5] + steps[-3][6:10], 16) if len(steps) > 1 else 0
