"""One case of one row of the language: what a recipe does to a small file, in pydicom/deid and in ours."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from node.errors import HoldInstance, HoldReason, RecipeError
from node.recipe.dictionary import entry
from tests.differential.peer import (
    DeidFailed,
    Found,
    by_deid,
    by_ours,
    filtered_by_deid,
    filtered_by_ours,
    ours,
    without_classes,
)
from tests.recipe.support import dataset


class Rule(Enum):
    """Why ours differs."""

    COMMENT = "a # behind a blank begins a comment, everywhere"
    CASE = "words of the language may be written in any case of letters"
    UNKNOWN = "what is unknown, misspelled or can mean nothing is an error at load where it can be known, else held"
    CRASH = "what ends or confuses the other side is an error with file and line, or works"
    CONDITION = "REMOVE has no condition on values"
    TEXTS = "the texts of %values are no patterns; empty ones are not looked for"
    EXPRESSION = "a regular expression is used as written, matched without regard to case"
    EQUALS = "equals takes alternatives, and several values as one text"
    DOCUMENTED = "what the documentation of the language promises works"
    KEEP = "KEEP of a path or of a list keeps what it names"
    JITTER = "JITTER moves full dates of DA and DT, as precise as they were; anything else is refused or held"
    LITERAL = "a literal that the VR refuses is an error at load where the VR is known, else held"
    REPEATING = "the keyword of a repeating group means all its groups"
    CLASSES = "class and syntax UIDs and Specific Character Set are changed only by a line that names them"
    PROTECTED = "a line that names what is protected is an error"
    RECURSION = "the same tag inside itself works"
    FUNCTION = "one kind of field for every function"
    STATELESS = "nothing depends on the clock, on chance or on the file before"
    EXTRA = "words that nobody reads are an error"
    CLOSED = "what fails holds the instance, and nothing half done leaves"


@dataclass(frozen=True)
class Changed:
    """The data set is what it was but for these: a new value (or a pattern of it, or VR and value), or None: gone."""

    elements: Mapping[str, object]


@dataclass(frozen=True)
class Left:
    """These elements are left as they were, and no other."""

    elements: frozenset[str]


@dataclass(frozen=True)
class Fails:
    """pydicom/deid raises this exception, or makes something that cannot be written."""

    exception: str


@dataclass(frozen=True)
class Refused:
    """Ours refuses the recipe with these words."""

    words: str


@dataclass(frozen=True)
class Held:
    """Ours holds the instance with these words."""

    words: str
    reason: HoldReason = HoldReason.ACTION_FAILED


Outcome: TypeAlias = Changed | Left | Fails | Refused | Held | bool | list[object]
"""For filters: flagged or not, or flagged with these coordinates."""


def to(elements: Mapping[str, object] | None = None, **values: object) -> Changed:
    return Changed({**(elements or {}), **values})


def failed(words: str) -> Held:
    """A function of the site failed."""
    return Held(words, HoldReason.FUNCTION_FAILED)


def gone(*names: str) -> Changed:
    return Changed(dict.fromkeys(names))


def left(*names: str) -> Left:
    return Left(frozenset(names))


NOTHING = Changed({})
META = ("meta.FileMetaInformationVersion", "meta.TransferSyntaxUID", "meta.ImplementationClassUID")
"""What is protected, and so left by any line."""
NO_VARIABLE = Held("there is no variable", HoldReason.VARIABLE_MISSING)
NO_FUNCTION = Held("there is no function", HoldReason.FUNCTION_FAILED)
NESTED = "RequestAttributesSequence__0__PatientID"
DEEP = "(0033,1020)__0__PatientID"
ID_GONE = gone("PatientID", NESTED, DEEP)


def sample(**values: object) -> Dataset:
    """A small image: a sequence, a private block with a sequence of its own."""
    private = {0x00330010: ("LO", "ACME 1.0"), 0x0033101E: ("LO", "one"), 0x00331020: ("SQ", None)}
    result = dataset(
        **{
            "ImageType": ["ORIGINAL", "PRIMARY"],
            "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
            "SOPInstanceUID": "1.2.3",
            "StudyDate": "20230115",
            "StudyTime": "101112",
            "Modality": "CT",
            "Manufacturer": "ACME",
            "StudyDescription": "knee",
            "PatientName": "Simpson^Homer",
            "PatientID": "E123",
            "Rows": 4,
            "RequestAttributesSequence": [dataset(PatientID="N123")],
        }
        | values
    )
    for tag, (vr, value) in private.items():
        result.add_new(tag, vr, Sequence([dataset(PatientID="P123")]) if vr == "SQ" else value)
    return result


def plain(**values: object) -> Dataset:
    """A data set without any sequence."""
    return dataset(**{"Modality": "CT", "PatientName": "Simpson^Homer", "PatientID": "E123", "Rows": 4} | values)


def encoded(source: Dataset) -> bytes:
    """The data set as a file."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.SourceApplicationEntityTitle = ExplicitVRLittleEndian, "SCANNER"
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3"
    stream = io.BytesIO()
    FileDataset(stream, source, file_meta=meta, preamble=b"\0" * 128).save_as(stream, enforce_file_format=True)
    return stream.getvalue()


class Whole(str):
    """A recipe with its FORMAT, or without one."""

    __slots__ = ()


def recipe_of(lines: str) -> str:
    if isinstance(lines, Whole):
        return lines
    section = "" if lines.startswith("%") else "%header\n"
    return f"FORMAT dicom\n{section}{lines}\n"


def _broken(item: Any, value: str, field: Any, dicom: Any) -> str:
    raise RuntimeError("a function that fails")


LOOKUP = {
    "id": "P-0001",
    "days": 40,
    "empty": "",
    "none": None,
    "two words": "both",
    "says": lambda item, value, field, dicom: f"{item['id']} {value} {dicom.Modality}",
    "sender": lambda item, value, field, dicom: dicom.file_meta.SourceApplicationEntityTitle,
    "twenty": lambda item, value, field, dicom: 20,
    "true": lambda item, value, field, dicom: field.element.VR == "LO",
    "false": lambda item, value, field, dicom: False,
    "nothing": lambda item, value, field, dicom: None,
    "other": lambda one: "x",
    "broken": _broken,
}
"""Variables and functions that every case may ask for."""


@dataclass(frozen=True)
class Case:
    """A recipe, a file, and what both sides make of them; `rule` says why ours is another."""

    id: str
    says: str
    lines: str
    deid: Outcome
    ours: Outcome
    rule: Rule | None = None
    source: Callable[[], Dataset] = field(default=sample, repr=False)
    classes: bool = False

    def check(self, folder: Path) -> None:
        data, text = encoded(self.source()), recipe_of(self.lines)
        theirs, mine = self._by_deid(data, text, folder), self._by_ours(data, text)
        if not _random(self.deid):
            assert (mine == theirs) is (self.rule is None), (theirs, mine)
        before = self._before(data, folder)
        _assert_outcome(self.deid, theirs, before)
        _assert_outcome(self.ours, mine, before)

    def _by_deid(self, data: bytes, text: str, folder: Path) -> Any:
        try:
            return self._named(by_deid(data, text, folder, LOOKUP))
        except DeidFailed as failed:
            return failed

    def _by_ours(self, data: bytes, text: str) -> Any:
        try:
            return self._named(by_ours(data, ours(text), LOOKUP))
        except (RecipeError, HoldInstance) as refused:
            return refused

    def _before(self, data: bytes, folder: Path) -> Any:
        return self._named(by_ours(data, _EMPTY, {}))

    def _named(self, sides: tuple[Found, Found]) -> Found:
        """Return data set and file meta information with keywords instead of tags."""
        one, meta = sides if self.classes else map(without_classes, sides)
        named = {_name(path): value for path, value in one.items()}
        return named | {f"meta.{_name(path)}": value for path, value in meta.items()}


@dataclass(frozen=True)
class FilterCase(Case):
    """A recipe with filters: what both sides detect."""

    def _by_deid(self, data: bytes, text: str, folder: Path) -> Any:
        try:
            return filtered_by_deid(data, text, folder)
        except DeidFailed as failed:
            return failed

    def _by_ours(self, data: bytes, text: str) -> Any:
        try:
            return filtered_by_ours(data, text)
        except (RecipeError, HoldInstance) as refused:
            return refused

    def _before(self, data: bytes, folder: Path) -> Any:
        return None


@dataclass(frozen=True)
class Special:
    """A row that is no recipe and file."""

    id: str
    says: str
    check: Callable[[Path], None]
    rule: Rule | None = None


_EMPTY = ours("FORMAT dicom\n")


def _name(path: str) -> str:
    return "__".join(_word(part) if part.startswith("(") else part for part in path.split("__"))


def _word(tag: str) -> str:
    found = entry(int(tag.strip("()").replace(",", ""), 16))
    return found.keyword if found and not tag.startswith("(60") else tag


def _random(outcome: Outcome) -> bool:
    return isinstance(outcome, Changed) and any(isinstance(value, re.Pattern) for value in outcome.elements.values())


def _assert_outcome(expected: Outcome, actual: Any, before: Any) -> None:
    if isinstance(expected, Changed):
        assert isinstance(actual, dict), actual
        _assert_changed(expected.elements, actual, before)
    elif isinstance(expected, Left):
        assert actual == {name: before[name] for name in expected.elements}, actual
    elif isinstance(expected, bool):
        assert isinstance(actual, dict), actual
        assert actual["flagged"] is expected, actual
    elif isinstance(expected, list):
        assert isinstance(actual, dict), actual
        assert [result["coordinates"] for result in actual["results"]] == expected, actual
    else:
        _assert_failed(expected, actual)


def _assert_failed(expected: Fails | Refused | Held, actual: Any) -> None:
    if isinstance(expected, Fails):
        assert isinstance(actual, DeidFailed), actual
        assert str(actual) == expected.exception, actual.__cause__
    elif isinstance(expected, Refused):
        assert isinstance(actual, RecipeError), actual
        assert expected.words in str(actual), actual
    else:
        assert isinstance(actual, HoldInstance), actual
        assert actual.reason is expected.reason, actual
        assert expected.words in actual.detail, actual


def _assert_changed(expected: Mapping[str, object], actual: Found, before: Found) -> None:
    changed = {name: actual.get(name) for name in {*actual, *before} if actual.get(name) != before.get(name)}
    assert changed.keys() == expected.keys(), changed
    for name, wanted in expected.items():
        found = changed[name]
        if wanted is None or isinstance(wanted, tuple):
            assert found == wanted, found
        elif isinstance(wanted, re.Pattern):
            assert found is not None
            assert wanted.fullmatch(str(found[1])), found
        else:
            assert found is not None
            assert found[1] == wanted, found


def same(name: str, says: str, lines: str, outcome: Outcome, source: Callable[[], Dataset] = sample) -> Case:
    """Both sides do the same, and that is this."""
    return Case(name, says, lines, outcome, outcome, None, source)


def differs(
    name: str, says: str, lines: str, deid: Outcome, ours: Outcome, rule: Rule, source: Callable[[], Dataset] = sample
) -> Case:
    """The sides differ, and this is what each does."""
    return Case(name, says, lines, deid, ours, rule, source)


def with_(**values: object) -> Callable[[], Dataset]:
    """The sample with other values."""
    return partial(sample, **values)


def plain_with(**values: object) -> Callable[[], Dataset]:
    """The data set without sequences, with other values."""
    return partial(plain, **values)


def row(name: str) -> str:
    """Return the row that a case belongs to: what stands before the edge that it covers."""
    first, _, rest = name.partition("-")
    return f"{first}-{rest.partition('-')[0]}" if first.isupper() and first.isalpha() else first
