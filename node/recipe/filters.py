"""Filters (`%filter`): which images are flagged, and which regions of them have to be masked or kept.

Guarantees that every image is judged by its own header alone, that the lines of a LABEL must all be met, and that a
region covers something: what masks nothing is refused when the recipe is loaded (Problem) or, where the rectangle is
taken from the image, when the image is judged (HoldInstance). A LABEL with regions only is always met.

On the network path (`judged`) a match with regions asks for a mask, a match without any holds the image, and a match in
the group `exclude` says that it is not wanted at all. Regions that the image names itself are kept only where they are
plausible: inside of the image, and not all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeAlias

from node.errors import HoldInstance, HoldReason
from node.recipe.conditions import TESTS, Criterion, Found, met, parse_criteria
from node.recipe.dictionary import nearest, target
from node.recipe.encoded import EncodedDataset
from node.recipe.selectors import Problem

Box: TypeAlias = tuple[int, int, int, int]
"""xmin, ymin, xmax, ymax in pixels; the maxima are outside."""

WHITELIST = "whitelist"
EXCLUDE = "exclude"
_REGION = re.compile(r"(?P<ctp>ctp)?(?P<keep>keep)?coordinates(?=\s|\Z)", re.IGNORECASE)
_LINE_OPERATOR = re.compile(r"(\+|\|\|)\s*")
_NOT_OR = "Lines are joined by AND, also one that begins with ||: put both criteria in one line."
_OPERATORS = {"+": "and", "||": "or", "": ""}
_WORDS = ("LABEL", *TESTS, "coordinates", "keepcoordinates", "ctpcoordinates", "ctpkeepcoordinates")
_ROWS, _COLUMNS = 0x00280010, 0x00280011
_MOST_KEPT = 0.95  # of an image; regions that are more of it leave no room for what stands beside them
_MOST_REGIONS = 64  # that one image names
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

    @property
    def is_exclusion(self) -> bool:
        """On the network path a match says that the instance is not wanted."""
        return self.name.lower() == EXCLUDE


@dataclass(frozen=True, slots=True)
class Finding:
    """One LABEL that an image meets: why, in which group, the regions to be masked or kept, in order, and its line."""

    reason: str
    group: str
    label: str
    regions: tuple[tuple[RegionLine, tuple[Region, ...]], ...]
    where: str = ""
    sized: bool = False  # it asks for the size of the image, or its regions follow from it

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


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the filters of a recipe ask for on the network path.

    Attributes
    ----------
    excluded
        The LABEL by which the instance is not wanted; empty where there is none.
    risks
        The LABELs that say the image shows somebody, where nothing in it can be masked for them.
    regions
        What has to be masked or kept, in order.
    sized
        Whether every filter that masks was written for the image's size.
    """

    excluded: str = ""
    risks: tuple[str, ...] = ()
    regions: tuple[Region, ...] = ()
    sized: bool = False


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


def masking(name: str, labels: Iterable[Label]) -> Iterator[Label]:
    """Give the labels of the group `exclude` that ask for regions: nobody would mask them."""
    return (label for label in labels if name.lower() == EXCLUDE and label.regions)


class Filters:
    """Sections that are judged together, and the elements that their criteria look at."""

    __slots__ = ("sections", "tags")

    def __init__(self, sections: Iterable[FilterSection]) -> None:
        self.sections = tuple(sections)
        self.tags = frozenset(
            criterion.tag
            for section in self.sections
            for label in section.labels
            for line in label.lines
            for criterion in line.criteria
        )

    def met(self, dataset: EncodedDataset) -> tuple[tuple[FilterSection, Label], ...]:
        """Return the labels whose criteria an image meets. Raises DatasetError for undecodable text."""
        known: dict[int, Found] = {}
        return tuple(
            (section, label)
            for section in self.sections
            for label in section.labels
            if all(met(line.criteria, dataset, known) for line in label.lines)
        )


def detect(filters: Filters, dataset: EncodedDataset, *, plausible: bool = False) -> Detection:
    """Judge an image by its original header; `plausible` leaves out regions to be kept that cannot be right.

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
            tuple((line, _regions(line, dataset, plausible=plausible)) for line in label.regions),
            label.where,
            _is_sized(label),
        )
        for section, label in dataset.once(filters, filters.tags, lambda: filters.met(dataset))
    )
    return Detection(bool(found), found)


def _is_sized(label: Label) -> bool:
    tags = {criterion.tag for line in label.lines for criterion in line.criteria}
    return bool(tags & {_ROWS, _COLUMNS}) or any(line.box is None for line in label.regions)


def judged(detection: Detection) -> Judgement:
    """Return what a detection, without whitelists, asks for on the network path.

    A LABEL whose regions the image names, but not plausibly, counts only where no other one masks.
    """
    unwanted = [finding for finding in detection.results if finding.group.lower() == EXCLUDE]
    others = [finding for finding in detection.results if finding.group.lower() != EXCLUDE]
    masking = [finding for finding in others if not _names_nothing(finding)]
    usable = [finding for finding in masking if not _keeps_nothing(finding)]
    regions = tuple(region for finding in usable for _, found in finding.regions for region in found)
    masks = any(not region.keep for region in regions)
    risks = [_said(finding) for finding in others if _names_nothing(finding)]
    if masking and not masks:
        risks.append(_said(masking[0]))
    return Judgement(
        _said(unwanted[0]) if unwanted else "",
        tuple(risks),
        regions if masks else (),
        masks and all(finding.sized for finding in usable),
    )


def _names_nothing(finding: Finding) -> bool:
    asked = [found for line, found in finding.regions if not line.keep]
    return not finding.regions or (bool(asked) and not any(asked))


def _keeps_nothing(finding: Finding) -> bool:
    return any(line.keep and line.source and not found for line, found in finding.regions)


def _said(finding: Finding) -> str:
    return f"%filter {finding.group}: LABEL {finding.label}"


def _regions(line: RegionLine, dataset: EncodedDataset, *, plausible: bool) -> tuple[Region, ...]:
    if not line.source:
        return (Region(line.keep, line.box),)
    from node.recipe.original import Original

    items = Original(dataset).get(line.source) or ()
    corners = [[item[corner].value for corner in _CORNERS] for item in items if all(c in item for c in _CORNERS)]
    if plausible and line.keep and not _plausible(corners, dataset):
        return ()
    return tuple(Region(line.keep, _box(one, line.where)) for one in corners)


def _box(corners: list[Any], where: str) -> Box:
    x, y, right, bottom = corners
    if not all(isinstance(value, int) for value in corners) or _is_empty((x, y, right, bottom)):
        raise HoldInstance(HoldReason.ACTION_FAILED, f"{where}: a region of the image holds nothing")
    return x, y, right, bottom


def _plausible(boxes: list[list[Any]], dataset: EncodedDataset) -> bool:
    """Tell whether all regions lie inside of the image, and leave something of it."""
    rows, columns = (_size(tag, dataset) for tag in (_ROWS, _COLUMNS))
    if not 0 < len(boxes) <= _MOST_REGIONS or not all(isinstance(value, int) for box in boxes for value in box):
        return False
    if not all(0 <= x < right <= columns and 0 <= y < bottom <= rows for x, y, right, bottom in boxes):
        return False
    return _covered(boxes) <= _MOST_KEPT * rows * columns


def _covered(boxes: list[list[int]]) -> int:
    """Return how many pixels the boxes cover together."""
    ys = sorted({edge for box in boxes for edge in (box[1], box[3])})
    total = 0
    for top, bottom in pairwise(ys):
        spans = sorted((x, right) for x, y, right, end in boxes if y <= top and end >= bottom)
        reached = width = 0
        for left, right in spans:
            width += max(0, right - max(left, reached))
            reached = max(reached, right)
        total += width * (bottom - top)
    return total


def _size(tag: int, dataset: EncodedDataset) -> int:
    element = dataset.find(tag)
    return 0 if element is None else int.from_bytes(dataset.raw(element)[:2], dataset.coding.order)
