"""Where an original's identity stands in a result, and whether that counts.

Guarantees a tag path and a kind for every finding, in the order of the result. On purpose, and no finding, is only what
a line of the recipe KEEPs in the very element whose own value it is, and a text that a line itself writes. An
identifying element that no line means is a finding.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

from node.gate.search import RUN, bulk, pixel_texts, suspicious, uids_of
from node.recipe import Cleaned, EncodedDataset, Recipe
from node.recipe.compiled import GROUP_LENGTH, Decision, effective_vr
from node.recipe.content import keeps_value
from node.recipe.descriptors import CLEAN_TEXT
from node.recipe.dictionary import STRUCTURAL_UIDS, entry, is_creator, is_private, show
from node.recipe.encoded import UNDEFINED
from node.recipe.header import Action, Source
from node.recipe.instance import Instance
from node.recipe.known.attributes import DECIDED, IDENTIFYING, SAID, Form, form_of, kind_of
from node.recipe.known.gather import Gathered, gather
from node.recipe.known.needles import Needle, dates_in, decoded, exact, needles_of, places_of, stands_in, writings
from node.recipe.originals import Originals, Seen
from node.recipe.profile import Key
from node.recipe.program import Program
from node.recipe.selectors import Field, Selector

MOST = 20  # findings; more say nothing new
_TOLD = 5
_NUMBERS = frozenset(("DS", "IS", "TM", "AS"))
_NUMBER = re.compile(r"[0-9.+\-e: \0\\]*[dwmy]?[ \0]*")  # what a value of these, lowered, is made of
_TIME_BEHIND = r"[0-2][0-9][0-5][0-9](?:[0-5][0-9])?(?![0-9])"  # a date, without anything between
_DATES = frozenset(("DA", "DT"))
_PATIENTS = frozenset((0x00100020, 0x00101000, 0x00101060, 0x00080050, 0x00102154, 0x00101040))
"""What is the patient's alone, wherever it stands: ids, accession number, telephone, address."""
_TEXTS = frozenset(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT", *_NUMBERS, *_DATES, "UI"))
_LONGEST = 1 << 16  # bytes; in a longer value a weak needle means nothing


@dataclass(frozen=True, slots=True)
class Finding:
    """An identifying value of the original in the result: whose value it is, and the tag path where it stands."""

    kind: str
    path: str

    def __str__(self) -> str:
        return f"{self.kind} in {self.path}"


def leaks(cleaned: Cleaned, recipe: Recipe, *, pixels: bool = True) -> list[Finding]:
    """Return what of an original's identity stands in what a recipe made of it, at most `MOST` findings.

    Parameters
    ----------
    cleaned
        The result, which knows its original.
    recipe
        What made it.
    pixels
        Whether Pixel Data goes out as it is; compressed pixels that are masked go out as others.

    Raises
    ------
    DatasetError
        The result cannot be parsed.
    """
    gathered = gathered_of(cleaned)
    if not suspicious(gathered, cleaned, pixels=pixels):
        return []
    return list(islice(Judge(gathered, cleaned, recipe, pixels=pixels).findings(), MOST))


def gathered_of(cleaned: Cleaned) -> Gathered:
    """Return the identifying values of the original, which cleaning may have found out already."""
    return cleaned.gathered or gather(cleaned.dataset)


def described(findings: list[Finding]) -> str:
    """Return findings as a text for people, without any value."""
    told = "; ".join(map(str, findings[:_TOLD]))
    more = len(findings) - _TOLD
    return f"{told}; and {'at least ' * (len(findings) == MOST)}{more} more" if more > 0 else told


_CHANCE = 6  # bytes; in a long binary value a shorter needle stands by chance sooner or later


@dataclass(frozen=True, slots=True)
class _Sought:
    """A needle, what a finding calls it, and its lowered bytes where it is not ASCII."""

    needle: Needle
    form: Form
    kind: str
    encoded: frozenset[bytes]


class Judge:
    """One result beside its original."""

    def __init__(self, gathered: Gathered, cleaned: Cleaned, recipe: Recipe, *, pixels: bool) -> None:
        self._gathered = gathered
        self._cleaned = cleaned
        self._recipe = recipe
        self._pixels = pixels
        self._keeps = _keeping(recipe)
        self._sought = self._needles()
        self._strong = [sought for sought in self._sought if sought.needle.strong]
        self._weak = [sought for sought in self._sought if not sought.needle.strong and len(sought.needle.text) > 1]
        self._persons = self._of_persons()
        self._said = [sought.needle.text for sought in self._strong if sought.kind == SAID]
        # Each writing of a date has its year: a text without it needs no more than one look.
        self._years: dict[str, list[tuple[str, str]]] = {}
        for date, tag in gathered.dates.items():
            self._years.setdefault(date[:4], []).extend((text, kind_of(tag)) for text in writings(date))
        self._nested: dict[str, str] | None = None

    def _needles(self) -> list[_Sought]:
        found: dict[str, _Sought] = {}
        others = (self._cleaned.codec, *self._gathered.codecs)
        for value in self._gathered.values.values():
            for needle in needles_of(value.form, value.raw, value.read):
                plain = needle.text.isascii()
                encoded = frozenset[bytes]() if plain else exact(needle.cased, value.read, others)
                if needle.text not in found or value.tag == DECIDED:
                    found[needle.text] = _Sought(needle, value.form, kind_of(value.tag), encoded)
        return list(found.values())

    def _of_persons(self) -> dict[tuple[str, Form], str]:
        """Return the strong needles of names and of the patient's ids."""
        return {
            (needle.text, value.form): kind_of(value.tag)
            for value in self._gathered.values.values()
            if value.form is Form.NAME or value.tag in _PATIENTS
            for needle in needles_of(value.form, value.raw, value.read)
            if needle.strong
        }

    def findings(self) -> Iterator[Finding]:
        """Give the findings in the order of the result."""
        dataset, _ = header_of(self._cleaned)
        for seen, kept in _leaves(self._recipe, dataset, self._keeps):
            yield from dict.fromkeys(self._leaf(seen, dataset, kept=kept))
        if self._pixels:
            path = show(bulk(self._cleaned)[-1][0] >> 16) if bulk(self._cleaned) else ""
            for text in pixel_texts(self._cleaned):
                for kind in self._in_bytes(text):
                    yield Finding(kind, path)

    def _leaf(self, seen: Seen, dataset: EncodedDataset, *, kept: bool) -> Iterator[Finding]:
        raw = bytes(dataset.buffer[seen.element[2] : seen.element[4]])
        if not raw.strip(b"\0 ") or self._writes(seen):
            return
        form = form_of(seen.element[0])
        if form in IDENTIFYING:
            text = decoded(raw, seen.place.read)
            own = self._original(seen) == text
            if own and (kept or is_cleaned(seen.decision)) and _is_its_kind(seen):
                yield from (Finding(kind, seen.path) for kind in self._foreign(seen, form, raw))
                return
            if own and self._identifies(form, text):
                yield Finding(kind_of(seen.tag), seen.path)
                return
        for kind in self._kinds(seen, form, raw):
            yield Finding(kind, seen.path)

    def _identifies(self, form: Form, text: str) -> bool:
        """Tell whether a value that stayed in its own element is anybody's: the standard's own UIDs are not."""
        raw = text.encode("utf-8")
        if form is Form.DATE:
            return any(date in self._gathered.dates for date in dates_in(raw))
        if form is Form.UID:
            return any(part.strip(b"\0 ") in self._gathered.uids for part in raw.split(b"\\"))
        return True

    def _foreign(self, seen: Seen, form: Form, raw: bytes) -> Iterator[str]:
        """Look for others in a value that is kept: persons, ids and UIDs. What is on purpose speaks of itself."""
        text, read = decoded(raw, seen.place.read).lower(), seen.place.read
        own = (
            {needle.text for needle in needles_of(form, raw, read)}
            if seen.tag in _PATIENTS or form is Form.NAME
            else ()
        )
        if any(said in text and stands_in(said, text) for said in self._said):
            yield SAID
        for (needle, other), kind in self._persons.items():
            if not (other is form and needle in own) and needle in text and stands_in(needle, text):
                yield kind
        if form is not Form.UID:
            yield from self._uids(text.encode("latin-1", "replace"))
        if form is Form.NAME or form is Form.VALUE:
            yield from self._written_dates(text)

    def _kinds(self, seen: Seen, form: Form, raw: bytes) -> Iterator[str]:
        vr = _vr(seen)
        if vr not in _TEXTS:
            yield from self._in_bytes(raw)
            return
        text = decoded(raw, seen.place.read).lower()
        numbers = vr in _NUMBERS and _NUMBER.fullmatch(text) is not None
        for sought in self._strong:
            if sought.needle.text in text and stands_in(sought.needle.text, text, whole_values=numbers):
                yield sought.kind
        yield from self._uids(text.encode("latin-1", "replace"), structural=seen.tag in STRUCTURAL_UIDS)
        if vr not in _DATES or not dates_in(raw):
            yield from self._written_dates(text, whole_values=numbers)
        if len(raw) <= _LONGEST and not numbers:
            yield from self._weakly(text, personal=form is Form.NAME)

    def _in_bytes(self, raw: bytes) -> Iterator[str]:
        """Look into a value that is no text, or of which nobody knows."""
        lowered = raw.lower()
        text = lowered.decode("latin-1")
        found = [sought for sought in self._strong if _is_in_bytes(sought, text, lowered)]
        if len(raw) > _LONGEST and len(found) == 1 and len(found[0].needle.text.encode()) < _CHANCE:
            found = []
        yield from (sought.kind for sought in found)
        yield from self._uids(lowered)
        yield from self._written_dates(text)
        if len(raw) <= _LONGEST:
            yield from self._weakly(text, personal=False)

    def _uids(self, lowered: bytes, *, structural: bool = False) -> Iterator[str]:
        """Look for UIDs; where they say what an object is (`structural`), not those of private attributes."""
        if not self._gathered.uids:
            return
        for run in RUN.findall(lowered):
            found = uids_of(run, self._gathered.uids)
            if found is not None and not (structural and is_private(self._gathered.uids[found])):
                yield kind_of(self._gathered.uids[found])

    def _written_dates(self, text: str, *, whole_values: bool = False) -> Iterator[str]:
        for year, dates in self._years.items():
            if year in text:
                for written, kind in dates:
                    if written in text and _is_date_in(written, text, whole_values=whole_values):
                        yield kind

    def _weakly(self, text: str, *, personal: bool) -> Iterator[str]:
        """Look for short and common words: in a field for names one is enough, elsewhere two are, one of a name."""
        found = [sought for sought in self._weak if sought.needle.text in text and stands_in(sought.needle.text, text)]
        names = [sought for sought in found if sought.form is Form.NAME]
        if names and (personal or len(found) > 1):
            yield names[0].kind

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Give where anything of the original stands in a lowered text, weak words too, whether it counts or not."""
        words = [sought.needle.text for sought in (*self._strong, *self._weak)]
        dates = (written for known in self._years.values() for written, _ in known)
        for word in (*words, *dates):
            yield from places_of(word, text)
        for run in RUN.finditer(text.encode("latin-1", "replace")):
            if uids_of(run.group(), self._gathered.uids) is not None:
                yield run.span()

    def _writes(self, seen: Seen) -> bool:
        """Tell whether the element's value is a text of the recipe, or of the route's variables."""
        rule = seen.decision.program[-1] if seen.decision.program else None
        if rule is None or rule.value is None or rule.selector.guarded:
            return False
        return rule.action in (Action.ADD, Action.REPLACE) and rule.value.source in (Source.LITERAL, Source.VARIABLE)

    def _original(self, seen: Seen) -> str | None:
        """Return the original value of an element as text, None where there was none."""
        dataset = self._cleaned.dataset
        if "__" not in seen.path:
            element = dataset.find(seen.tag)
            return None if element is None else decoded(bytes(dataset.buffer[element[2] : element[4]]), dataset.codec)
        if self._nested is None:
            self._nested = {
                one.path: decoded(bytes(dataset.buffer[one.element[2] : one.element[4]]), one.place.read)
                for one, _ in _leaves(self._recipe, dataset, _Keeping((), frozenset()), as_cleaned=True)
                if "__" in one.path and one.element[4] - one.element[2] <= _LONGEST
            }
        return self._nested.get(seen.path)


def _is_in_bytes(sought: _Sought, text: str, lowered: bytes) -> bool:
    needle = sought.needle.text
    if needle.isascii():
        return needle in text and stands_in(needle, text)
    return any(encoded in lowered for encoded in sought.encoded)


def _is_date_in(written: str, text: str, *, whole_values: bool) -> bool:
    """Tell whether a date stands in a text, or a date with a time behind it."""
    if stands_in(written, text, whole_values=whole_values):
        return True
    if not written.isdecimal():
        return False
    found = re.search(f"(?<![0-9.]){written}{_TIME_BEHIND}", text)
    return found is not None and (not whole_values or found.group() == text.strip("\0 "))


def is_cleaned(decision: Decision) -> bool:
    """Tell whether a line takes out of a text what no vocabulary knows: what stays are words and short numbers."""
    value = decision.program[-1].value if decision.program else None
    return value is not None and value.text == CLEAN_TEXT


def _is_its_kind(seen: Seen) -> bool:
    """Tell whether an attribute of the dictionary has its VR there: else nobody meant to keep what stands in it."""
    known = None if is_private(seen.tag) else entry(seen.tag)
    return known is None or _vr(seen) in known.vr


def _vr(seen: Seen) -> str:
    return seen.decision.vr or effective_vr(seen.element[0], None, seen.level.signed)[0]


def header_of(cleaned: Cleaned) -> tuple[EncodedDataset, Callable[[int], int]]:
    """Return the result without its pixels, as a data set of its own, and where its offsets lie in the result.

    Raises DatasetError where it cannot be parsed.
    """
    holes = sorted(cleaned.span(element[1], element[4])[:2] for element in bulk(cleaned))
    buffer, position = cleaned.dataset.buffer, 0
    parts: list[bytes] = []
    for segment in cleaned.segments:
        length = len(segment) if isinstance(segment, bytes) else segment[1]
        at = position
        for start, end in [*holes, (position + length,) * 2]:
            until = min(start, position + length)
            if until > at:
                parts.append(_cut(segment, at - position, until - position, buffer))
            at = max(at, min(end, position + length))
        position += length

    def place(offset: int) -> int:
        for start, end in holes:
            offset += end - start if offset > start else 0
        return offset

    return EncodedDataset.scan(b"".join(parts), 0, cleaned.dataset.syntax), place


def _cut(segment: Any, start: int, end: int, buffer: Any) -> bytes:
    if isinstance(segment, bytes):
        return segment[start:end]
    return bytes(buffer[segment[0] + start : segment[0] + end])


class _Keeping(NamedTuple):
    """What a recipe keeps on purpose: by KEEP lines, and the attributes that a profile keeps by name (code K)."""

    selectors: tuple[Selector, ...]
    keys: frozenset[Key]

    def with_items(self, place: Field) -> bool:
        """Tell whether a KEEP line holds an element, and all that it holds."""
        return any(one.matches(place) for one in self.selectors)

    def by_name(self, place: Field) -> bool:
        """Tell whether a profile keeps an attribute by its name."""
        tag, creator = place.tag, (place.creator or "").casefold()
        named: Key = ("private", tag >> 16, creator, tag & 0xFF) if creator else ("tag", tag)
        return named in self.keys or ("tag", tag) in self.keys


@lru_cache(maxsize=64)
def _keeping(recipe: Recipe) -> _Keeping:
    lines = recipe.profile.lines.items() if recipe.profile is not None else ()
    return _Keeping(
        tuple(rule.selector for rule in recipe.rules if rule.action is Action.KEEP),
        frozenset(key for key, line in lines if line.code == "K"),
    )


def _leaves(
    recipe: Recipe, dataset: EncodedDataset, keeps: _Keeping, *, as_cleaned: bool = False
) -> Iterator[tuple[Seen, bool]]:
    """Give every element that holds no items, and whether a line KEEPs it or a sequence around it, or a profile it.

    K of a profile on a sequence keeps the element and says nothing of what stands in its items: these are walked.

    With `as_cleaned` items that the recipe takes out of an original are left out.
    """
    instance = Instance(dataset, None, {})
    originals = Originals(dataset, instance, Program(instance, dataset), as_cleaned=as_cleaned)
    creators: dict[tuple[str, int], str] = {}

    def within(seen: Seen, outer: bool) -> Iterator[tuple[Seen, bool]]:
        place = _place(seen, dataset, creators)
        sheltered = outer or keeps.with_items(place)
        empty = True
        for child in originals.children(seen):
            empty = False
            yield from within(child, sheltered)
        if empty and seen.element[3] != UNDEFINED and seen.decision.kind != GROUP_LENGTH:
            yield seen, sheltered or keeps_value(seen.level.content, seen.tag) or keeps.by_name(place)

    for seen in originals.top(recipe.root(dataset)):
        yield from within(seen, False)


def _place(seen: Seen, dataset: EncodedDataset, creators: dict[tuple[str, int], str]) -> Field:
    """Return an element as lines see it; `creators` are those met so far."""
    tag, creator = seen.tag, None
    if is_private(tag):
        inside = seen.path.rpartition("__")[0]
        if is_creator(tag):
            raw = bytes(dataset.buffer[seen.element[2] : seen.element[4]])
            creators[inside, (tag >> 16) << 8 | tag & 0xFF] = decoded(raw, seen.place.read)
        else:
            creator = creators.get((inside, tag >> 8))
    return Field(seen.level.parents, tag, creator, _vr(seen))
