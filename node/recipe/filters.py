"""Filters (`%filter`): which images are flagged, and which regions of them have to be masked or kept.

Guarantees that every image is judged by its own header alone, that the lines of a LABEL must all be met, and that a
region covers something: what masks nothing is refused when the recipe is loaded (Problem) or, where the rectangle is
taken from the image, when the image is judged (HoldInstance). A LABEL with regions only is always met.

On the network path (`to_mask`) a match with regions asks for a mask, and a match without any holds the image.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from node.errors import HoldInstance, HoldReason
from node.recipe.conditions import TESTS, Criterion, met, parse_criteria
from node.recipe.dictionary import nearest, target
from node.recipe.encoded import EncodedDataset
from node.recipe.selectors import Problem

Box: TypeAlias = tuple[int, int, int, int]
"""xmin, ymin, xmax, ymax in pixels; the maxima are outside."""

WHITELIST = "whitelist"
_REGION = re.compile(r"(?P<ctp>ctp)?(?P<keep>keep)?coordinates(?=\s|\Z)", re.IGNORECASE)
_LINE_OPERATOR = re.compile(r"(\+|\|\|)\s*")
_NOT_OR = "Lines are joined by AND, also one that begins with ||: put both criteria in one line."
_OPERATORS = {"+": "and", "||": "or", "": ""}
_WORDS = ("LABEL", *TESTS, "coordinates", "keepcoordinates", "ctpcoordinates", "ctpkeepcoordinates")
_CORNERS = ("RegionLocationMinX0", "RegionLocationMinY0", "RegionLocationMaxX1", "RegionLocationMaxY1")


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the image: `box`, or all of it where that is None; `keep` takes it out of what was masked before."""

    keep: bool
    box: Box | None


@dataclass(frozen=True, slots=True)
class RegionLine:
    """A line of coordinates: regions that are known, or a sequence of the image that holds them."""

    keep: bool
    box: Box | None
    source: str
    where: str


@dataclass(frozen=True, slots=True)
class FilterLine:
    """One line of criteria; `operator` is what it begins with, which changes nothing: lines are joined by AND."""

    operator: str
    criteria: tuple[Criterion, ...]

    @property
    def words(self) -> str:
        """The line as the reason of a match says it."""
        operators = [_OPERATORS[criterion.joined] for criterion in self.criteria[1:]]
        words = [criterion.words for criterion in self.criteria]
        return " ".join([*(f"{word} {operator}" for word, operator in zip(words, operators, strict=False)), words[-1]])


@dataclass(slots=True)
class Label:
    """What one LABEL asks for, and the regions of images that meet it; `faulty` where a line of it was refused."""

    name: str
    where: str
    lines: list[FilterLine] = field(default_factory=list)
    regions: list[RegionLine] = field(default_factory=list)
    faulty: bool = False

    @property
    def reason(self) -> str:
        """Why an image that meets the criteria is flagged."""
        if not self.lines:
            return f" {self.name}"
        return f"{self.lines[-1].operator} {' '.join(line.words for line in self.lines)}"


@dataclass(frozen=True, slots=True)
class FilterSection:
    """A section `%filter NAME`, all recipes taken together."""

    name: str
    labels: tuple[Label, ...]

    @property
    def is_whitelist(self) -> bool:
        """On the network path a whitelist neither masks nor holds."""
        return self.name.lower() == WHITELIST


@dataclass(frozen=True, slots=True)
class Finding:
    """One LABEL that an image meets: why, in which group, the regions to be masked or kept, in order, and its line."""

    reason: str
    group: str
    label: str
    regions: tuple[tuple[RegionLine, tuple[Region, ...]], ...]
    where: str = ""

    @property
    def coordinates(self) -> list[list[Any]]:
        """The regions as pydicom/deid gives them: `[[0 to mask or 1 to keep, text or list of texts], …]`."""
        return [
            [int(line.keep), [_text(r) for r in regions] if line.source else _text(regions[0])]
            for line, regions in self.regions
        ]


@dataclass(frozen=True, slots=True)
class Detection:
    """What the filters say of an image."""

    flagged: bool
    results: tuple[Finding, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return what `has_burned_pixels` of pydicom/deid returns."""
        found = [{"reason": f.reason, "group": f.group, "coordinates": f.coordinates} for f in self.results]
        return {"flagged": self.flagged, "results": found}


def _text(region: Region) -> str:
    return "all" if region.box is None else ",".join(map(str, region.box))


def add_filter_line(labels: list[Label], line: str, where: str) -> str:
    """Read one line of a `%filter` section into its labels; return a warning, or nothing. Raises Problem."""
    word, _, rest = line.partition(" ")
    if word.upper() == "LABEL":
        labels.append(Label(rest.strip(), where))
        return ""
    if not labels:
        raise Problem("A criterion stands before any LABEL.", "Write LABEL and a name before it.")
    try:
        return _read_line(labels[-1], line, where)
    except Problem:
        labels[-1].faulty = True
        raise


def _read_line(label: Label, line: str, where: str) -> str:
    region = _REGION.match(line)
    if region:
        label.regions.append(_region(region, line[region.end() :].strip(), where))
        return ""
    operator = _LINE_OPERATOR.match(line)
    text = line[operator.end() :] if operator else line
    if text.split(" ", 1)[0].lower() not in TESTS:
        raise Problem(f"{text.split(' ', 1)[0] or line} is no line of %filter.", nearest(text.split(" ", 1)[0], _WORDS))
    mark = operator[1] if operator else ""
    label.lines.append(FilterLine(_OPERATORS[mark], parse_criteria(text)))
    return _NOT_OR if mark == "||" else ""


def _region(match: re.Match[str], text: str, where: str) -> RegionLine:
    keep, ctp = bool(match["keep"]), bool(match["ctp"])
    if text.lower() == "all":
        return RegionLine(keep, None, "", where)
    if text.startswith("from:"):
        return RegionLine(keep, None, _sequence(text.removeprefix("from:").strip(), ctp), where)
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 4 or not all(part.isascii() and part.isdecimal() for part in parts):
        form = "x,y,width,height" if ctp else "xmin,ymin,xmax,ymax"
        raise Problem("These are no coordinates.", f"Write {form} in whole pixels, or all.")
    x, y, right, bottom = map(int, parts)
    box = (x, y, x + right, y + bottom) if ctp else (x, y, right, bottom)
    if _is_empty(box):
        raise Problem("This rectangle holds nothing.", "The first corner is the upper left one; the second is outside.")
    return RegionLine(keep, box, "", where)


def _is_empty(box: Box) -> bool:
    return box[0] >= box[2] or box[1] >= box[3]


def _sequence(keyword: str, ctp: bool) -> str:
    if ctp:
        raise Problem("from: gives corners, not a width and a height.", "Write coordinates from:, or keepcoordinates.")
    found = target(keyword)
    if found is None:
        raise Problem(f"{keyword or 'Nothing'} is no keyword of the data dictionary.", nearest(keyword))
    if found.vr != "SQ":
        raise Problem(f"{found.keyword} is no sequence.", "Write from:SequenceOfUltrasoundRegions.")
    return found.keyword


def unfinished(labels: Iterable[Label]) -> Iterator[Label]:
    """Give the labels that ask for nothing and mask nothing."""
    return (label for label in labels if not (label.lines or label.regions or label.faulty))


def detect(sections: Sequence[FilterSection], dataset: EncodedDataset) -> Detection:
    """Judge an image by its original header.

    Raises
    ------
    DatasetError
        Text that cannot be decoded.
    HoldInstance
        Regions of the image that hold nothing.
    """
    found = tuple(
        Finding(
            label.reason,
            section.name,
            label.name,
            tuple((line, _regions(line, dataset)) for line in label.regions),
            label.where,
        )
        for section in sections
        for label in section.labels
        if all(met(line.criteria, dataset) for line in label.lines)
    )
    return Detection(bool(found), found)


def to_mask(detection: Detection, *, masks: bool) -> tuple[Region, ...]:
    """Return what has to be masked or kept, in order; nothing where no filter is met.

    Raises
    ------
    HoldInstance
        A LABEL is met that says the image shows somebody, but names nothing in it that could be masked, or nobody
        `masks`.
    """
    for finding in detection.results:
        asked = [found for line, found in finding.regions if not line.keep]
        if not masks or not finding.regions or (asked and not any(asked)):
            raise _shows_somebody(finding)
    regions = tuple(region for finding in detection.results for _, found in finding.regions for region in found)
    if detection.results and all(region.keep for region in regions):
        raise _shows_somebody(detection.results[0])
    return regions


def _shows_somebody(finding: Finding) -> HoldInstance:
    return HoldInstance(HoldReason.PIXEL_RISK, f"%filter {finding.group}: LABEL {finding.label}")


def _regions(line: RegionLine, dataset: EncodedDataset) -> tuple[Region, ...]:
    if not line.source:
        return (Region(line.keep, line.box),)
    from node.recipe.original import Original

    items = Original(dataset).get(line.source) or ()
    boxes = [_box(item, line.where) for item in items if all(corner in item for corner in _CORNERS)]
    return tuple(Region(line.keep, box) for box in boxes)


def _box(item: Any, where: str) -> Box:
    x, y, right, bottom = (item[corner].value for corner in _CORNERS)
    if not all(isinstance(value, int) for value in (x, y, right, bottom)) or _is_empty((x, y, right, bottom)):
        raise HoldInstance(HoldReason.ACTION_FAILED, f"{where}: a region of the image holds nothing")
    return x, y, right, bottom
