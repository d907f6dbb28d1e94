"""Conditions on the header: the tests of `%filter` lines, for a route's `exclude`.

Guarantees that a condition is judged by the original top level alone, that numbers are compared as text, and that the
value of a data set is never used as a pattern. Refuses (RecipeError) unknown tests and keywords, missing values, and
patterns that are no regular expression.

`contains` and `notcontains` search for a regular expression, `equals` and `notequals` compare the whole value and may
name several, `CT|MR`; case never matters. An absent element is not equal and does not contain: `notequals` and
`notcontains` are true for it. An empty number counts as missing, an empty text as present and empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from node.errors import Fault, RecipeError
from node.recipe.compiled import effective_vr
from node.recipe.dictionary import nearest, show, target
from node.recipe.encoded import UNDEFINED, EncodedDataset, decoded
from node.recipe.selectors import Problem, allowed
from node.recipe.values import NUMBER_VRS, numbers

TESTS = ("contains", "empty", "equals", "missing", "notcontains", "notequals", "present")
_VALUED = frozenset(("contains", "equals", "notcontains", "notequals"))
_SPLIT = re.compile(rf"\s*(\|\||\+)\s*(?=(?:{'|'.join(TESTS)})(?:\s|\Z))", re.IGNORECASE)
_TAG = re.compile(r"(?:0x([0-9A-Fa-f]{8})|\(([0-9A-Fa-f]{4}),([0-9A-Fa-f]{4})\)|([0-9A-Fa-f]{8}))\Z")
_COMMENT = re.compile(r"(?:^|\s)#.*", re.DOTALL)
_BYTE_VRS = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN", "AT"))
_NULL_WHEN_EMPTY = NUMBER_VRS | _BYTE_VRS | {"DS", "IS"}

Test = Callable[["Found"], bool]


@dataclass(frozen=True, slots=True)
class Found:
    """A top-level element as a test sees it; `values` is None where it is absent, or empty and no text."""

    present: bool
    values: tuple[str, ...] | None
    number: bool = False

    @property
    def whole(self) -> str:
        """The value as one text, values separated by backslashes."""
        return "\\".join(self.values or ())

    @property
    def listed(self) -> str:
        """The value as pydicom prints it, which is what the original language looks at: several ones as a list."""
        if self.values is None or len(self.values) < 2:
            return self.whole
        return f"[{', '.join(self.values if self.number else map(repr, self.values))}]"


@dataclass(frozen=True, slots=True)
class Criterion:
    """One test of one element; `joined` says how it meets the result of those before it, `words` are what it says."""

    joined: str
    tag: int
    test: Test
    words: str


class Conditions:
    """Conditions in their order; each is a chain of criteria, judged from left to right."""

    def __init__(self, conditions: Sequence[tuple[str, tuple[Criterion, ...]]]) -> None:
        self._conditions = tuple(conditions)

    def matches(self, dataset: EncodedDataset) -> str | None:
        """Return the text of the first condition that is met, or None. Raises DatasetError for undecodable text."""
        for text, criteria in self._conditions:
            if met(criteria, dataset):
                return text
        return None


def compile_conditions(conditions: Sequence[str], name: str) -> Conditions:
    """Return conditions as they are written, one text each.

    Parameters
    ----------
    conditions
        `equals Modality SR|KO`, `contains SeriesDescription dose + missing PatientWeight`, …
    name
        What a fault calls them: a key of the configuration.

    Raises
    ------
    RecipeError
        With every fault; its line is the number of the condition.
    """
    compiled: list[tuple[str, tuple[Criterion, ...]]] = []
    faults: list[Fault] = []
    for number, text in enumerate(conditions, start=1):
        try:
            compiled.append((text, parse_criteria(_COMMENT.sub("", text).strip())))
        except Problem as problem:
            faults.append(Fault(name, number, problem.problem, problem.hint, text))
    if faults:
        raise RecipeError(faults)
    return Conditions(compiled)


def parse_criteria(text: str) -> tuple[Criterion, ...]:
    """Return the criteria of one line, which are judged from left to right. Raises Problem."""
    # Before the first criterion an operator has nothing to join; it means AND everywhere else at a line's start.
    text = re.sub(r"^(?:\|\||\+)\s*", "", text)
    parts = _SPLIT.split(text)
    operators = ["+", *parts[1::2]]
    return tuple(_criterion(joined, part) for joined, part in zip(operators, parts[0::2], strict=True))


def _criterion(joined: str, text: str) -> Criterion:
    word, _, rest = text.partition(" ")
    name = word.lower()
    if name not in TESTS:
        raise Problem(f"{word or 'An empty text'} is no test.", nearest(name, TESTS))
    key, _, value = rest.strip().partition(" ")
    value = " ".join(value.split())
    if not key:
        raise Problem(f"{name} names no element.", f"Write {name} Modality, for example.")
    tag, vr = _tag_of(key)
    if name in _VALUED and not value:
        raise Problem(f"{name} needs a value.", f"Write {name} {key} and what to look for.")
    if name not in _VALUED and value:
        raise Problem(f"{name} takes no value.")
    if name in _VALUED and vr == "SQ":
        raise Problem(f"{key} is a sequence, which has no text.", "Use present, missing or empty.")
    return Criterion(joined, tag, _test(name, value), f"{key} {name} {value}")


def _tag_of(key: str) -> tuple[int, str]:
    match = _TAG.match(key)
    if match:
        tag = int(match[1] or match[4] or match[2] + match[3], 16)
        allowed(tag)
        return tag, ""
    found = target(key)
    if found is None:
        raise Problem(f"{key} is no keyword of the data dictionary.", nearest(key))
    if found.repeats:
        raise Problem(f"{key} stands for many groups.", f"Write a tag, {show(found.tag)} for example.")
    allowed(found.tag)
    return found.tag, found.vr


def _test(name: str, value: str) -> Test:
    if name == "missing":
        return lambda found: found.values is None
    if name == "present":
        return lambda found: found.values is not None
    if name == "empty":
        return _is_empty
    base = _equal(value) if name.endswith("equals") else _containing(value)
    return (lambda found: not base(found)) if name.startswith("not") else base


def _is_empty(found: Found) -> bool:
    """Tell whether an element is there and empty; as in the original language, a number 0 is empty too."""
    if not found.present:
        return False
    return found.values in (None, ("",)) or (found.number and _is_zero(found.whole))


def _is_zero(text: str) -> bool:
    try:
        return float(text) == 0
    except ValueError:
        return False


def _equal(value: str) -> Test:
    wanted = {part.strip().lower() for part in value.split("|")} | {value.lower()}

    def test(found: Found) -> bool:
        if found.values is None:
            return False
        return found.whole.strip().lower() in wanted or found.listed.lower() in wanted

    return test


def _containing(value: str) -> Test:
    try:
        pattern = re.compile(value, re.IGNORECASE)
    except re.error as error:
        raise Problem(f"{value} is no regular expression: {error.msg}.") from None
    return lambda found: (
        found.values is not None and any(map(pattern.search, (found.whole, found.listed, *found.values)))
    )


def met(criteria: tuple[Criterion, ...], dataset: EncodedDataset, known: dict[int, Found] | None = None) -> bool:
    """Tell whether the criteria of one line are met. Raises DatasetError for undecodable text.

    `known` keeps what was found of a data set for further lines.
    """
    known = {} if known is None else known
    result = True
    for criterion in criteria:
        if (criterion.joined == "+") is not result:
            continue  # false and anything, true or anything
        found = known.get(criterion.tag)
        if found is None:
            found = known[criterion.tag] = _find(criterion.tag, dataset)
        result = criterion.test(found)
    return result


def _find(tag: int, dataset: EncodedDataset) -> Found:
    element = dataset.find(tag)
    if element is None:
        return Found(False, None)
    vr, _ = effective_vr(element[0], None, dataset.signed)
    if vr == "SQ":
        return Found(True, ("",) if _no_items(element[2], element[4], element[3]) else ("sequence",))
    if element[2] == element[4]:
        return Found(True, None if vr in _NULL_WHEN_EMPTY else ("",))
    if vr in _BYTE_VRS:
        return Found(True, ("bytes",))
    raw = dataset.raw(element)
    if vr in NUMBER_VRS:
        return Found(True, _numbers(vr, raw, dataset), number=True)
    values = tuple(part.strip("\0 ") for part in decoded(raw, dataset.codec, tag).split("\\"))
    number = vr in _NULL_WHEN_EMPTY
    return Found(True, None if values == ("",) and number else values, number)


def _numbers(vr: str, raw: bytes, dataset: EncodedDataset) -> tuple[str, ...]:
    try:
        return tuple(numbers(vr, raw, little=dataset.coding.little))
    except ValueError:
        return ()


def _no_items(value: int, end: int, length: int) -> bool:
    return value == end or (length == UNDEFINED and end - value == 8)
