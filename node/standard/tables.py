"""Loaders of the tables.

Guarantees that a table is read at the first call and kept. What a type is follows PS3.5 7.4; conditional attributes
(1C, 2C) count as if their condition held.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from pydicom.datadict import tag_for_keyword

EDITION = "2026d"
_TYPES = {"D": 1, "U": 1, "Z": 2}  # what a resolved action says of the attribute's type


@dataclass(frozen=True, slots=True)
class Attribute:
    """A row of Table E.1-1.

    Parameters
    ----------
    tag
        As the table prints it: `(gggg,eeee)`, `(60xx,3000)`, or a text about private attributes.
    keyword, name, vr
        Of the data dictionary; a VR in words where there are several.
    basic
        The action code of the Basic Profile.
    options
        By the option's column, the action code where there is one.
    """

    tag: str
    keyword: str
    name: str
    vr: str
    basic: str
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SafePrivate:
    """A row of Table E.3.10-1: a private attribute that is known to hold no identity; the VR may be empty."""

    group: int
    low: int
    creator: str
    vr: str
    meaning: str


@dataclass(frozen=True, slots=True)
class BurnedIn:
    """Where a device burns text into its images.

    Parameters
    ----------
    titles
        What CTP's script calls the device; may be empty.
    signature
        By which attributes CTP knows it: `Keyword.test("text")`, joined by `*` (and) and `+` (or).
    regions
        Rectangles, each x, y, width, height in pixels.
    """

    titles: tuple[str, ...]
    signature: str
    regions: tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class TciaPrivate:
    """What The Cancer Imaging Archive does with a private attribute.

    Parameters
    ----------
    group, creator, low
        Where it stands.
    vrs
        Those that it was seen with.
    dispositions
        k keep, d delete, h hash UID, o offset date, oi offset a date written as a number, na not judged; several where
        it was judged one way here and another way there.
    name
        May be empty.
    """

    group: int
    creator: str
    low: int
    vrs: frozenset[str]
    dispositions: frozenset[str]
    name: str


@cache
def attributes() -> tuple[Attribute, ...]:
    """Return Table E.1-1, Application Level Confidentiality Profile Attributes."""
    found = []
    for row in rows("e1-1.csv"):
        head = {key: row.pop(key) for key in ("tag", "keyword", "name", "vr", "retired", "in_std_iod", "basic")}
        options = {key: code for key, code in row.items() if code}
        found.append(Attribute(head["tag"], head["keyword"], head["name"], head["vr"], head["basic"], options))
    return tuple(found)


@cache
def safe_private() -> tuple[SafePrivate, ...]:
    """Return Table E.3.10-1, Safe Private Attributes."""
    return tuple(
        SafePrivate(
            int(row["group"], 16), int(row["element_low"], 16), row["private_creator"], row["vr"], row["meaning"]
        )
        for row in rows("e3.10-1.csv")
    )


@cache
def tcia_private() -> tuple[TciaPrivate, ...]:
    """Return the private tag dispositions of The Cancer Imaging Archive, as its tool Posda publishes them."""
    return tuple(
        TciaPrivate(
            int(row["group"], 16),
            row["private_creator"],
            int(row["element_low"], 16),
            frozenset(row["vrs"].split()),
            frozenset(row["dispositions"].split()),
            row["name"],
        )
        for row in rows("tcia-private.csv")
    )


@cache
def method_codes() -> Mapping[str, str]:
    """Return CID 7050, De-identification Method: code value (scheme DCM) to code meaning (PS3.16)."""
    return {row["code_value"]: row["code_meaning"] for row in rows("cid7050.csv")}


@cache
def burned_in_regions() -> tuple[BurnedIn, ...]:
    """Return the regions with burned-in text that the Clinical Trial Processor of the RSNA knows."""
    found = json.loads(_bytes("burned-in-regions.json"))
    return tuple(
        BurnedIn(tuple(one["title"]), one["signature"], tuple((x, y, w, h) for x, y, w, h in one["regions_xywh"]))
        for one in found
    )


def iod_of(sop_class_uid: str) -> str | None:
    """Return the name by which `required` knows the IOD of a SOP class, or None where the class is not of a table."""
    return _iods().get(sop_class_uid)


@cache
def required(iod: str | None) -> Mapping[tuple[int, int], int]:
    """Return which attributes an IOD requires: (tag of the sequence around it or 0, tag) to type 1 or 2.

    None means any IOD: the strictest type of all. A place that several paths lead to has the strictest of theirs.
    """
    if iod is not None:
        return _required_of(iod)
    found: dict[tuple[int, int], int] = {}
    for one in {*_resolved(), *_modules()}:
        for place, kind in _required_of(one).items():
            found[place] = min(kind, found.get(place, kind))
    return found


def read_required() -> None:
    """Read what `required` answers from, which takes a while: before processes are forked that share it."""
    _iods()
    _resolved()
    _modules()


@cache
def _required_of(iod: str) -> Mapping[tuple[int, int], int]:
    found: dict[tuple[int, int], int] = {}
    for path, kind in _modules().get(iod, {}).items():
        parent, _, keyword = path.rpartition("/")
        place = _tag(parent.rpartition("/")[2]), _tag(keyword)
        found[place] = min(int(kind), found.get(place, 2))
    for text, action in _resolved().get(iod, {}).items():
        above, _, digits = text.partition(">")
        place = int(above or "0", 16), int(digits, 16)
        found[place] = min(_TYPES[action], found.get(place, 2))
    return found


@cache
def _tag(keyword: str) -> int:
    return (tag_for_keyword(keyword) or 0) if keyword else 0


@cache
def _iods() -> Mapping[str, str]:
    return {row["sop_class_uid"]: row["iod"] for row in rows("sop-class-to-iod.csv")}


@cache
def _resolved() -> Mapping[str, Mapping[str, str]]:
    """Return the conditional codes of Table E.1-1 as each IOD resolves them, where that is not by Type 3."""
    found: Mapping[str, Mapping[str, str]] = json.loads(_bytes("e1-1-resolved.json"))
    return found


@cache
def _modules() -> Mapping[str, Mapping[str, str]]:
    """Return what the mandatory modules of each IOD require without a condition: path of keywords to type."""
    found: Mapping[str, Mapping[str, str]] = json.loads(gzip.decompress(_bytes("iod-required.json.gz")))["iod"]
    return found


def rows(name: str) -> Iterator[dict[str, str]]:
    """Give the rows of a table by its columns."""
    return csv.DictReader(_bytes(name).decode("utf-8").splitlines())


def _bytes(name: str) -> bytes:
    return (files(__package__) / "data" / name).read_bytes()
