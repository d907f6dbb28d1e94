"""Judges what became of files, whoever cleaned them: the original beside the result, value by value and byte by byte.

Whatever token or planted UID the bytes of an original hold, and no value that may stay has, must be gone from the bytes
of the result, wherever it stands. So a place that nobody thought of counts against the cleaner, not for it.
"""

from __future__ import annotations

import re
import warnings
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.sequence import Sequence as Items
from pydicom.tag import BaseTag, Tag
from pydicom.values import convert_SQ

from tests.deidset.encoding import NUMBERS
from tests.deidset.expected import Expectation, Fate, Mode, vr_of
from tests.deidset.objects import below
from tests.deidset.values import PLANTED_UID, TOKEN
from tests.profile.support import iods

COLUMNS = {
    "lost": "files neither out nor held with a reason",
    "held": "files held that need not be",
    "tokens": "tokens and other values left",
    "unmapped": "UIDs left",
    "inconsistent": "UIDs replaced in two ways, or two by one",
    "intervals": "dates lost, or not moved as the patient's others",
    "harmless": "harmless elements lost or changed",
    "required": "Type 1 and 2 attributes lost",
    "pixels": "files whose pixel data changed",
    "marks": "files that say the wrong thing of how they were de-identified",
}
_DEFLATED = "1.2.840.10008.1.2.1.99"
_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_SIGNED = 0x00280103
_DAY = len("YYYYMMDD")
_BLANK = b"\0 "
CLEAN_PIXEL_DATA = "113101"
_DUMMIES = (b"REMOVED", b"000000", b"19000101", b"19000101000000", b"ANONYMIZED", b"YES", b"urn:removed")
_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})")


class Leaf(NamedTuple):
    """A value of an original, what is to become of it, and what did: None where it is not there any more."""

    path: str
    tag: int
    vr: str
    was: bytes
    now: bytes | None
    fate: Fate


@dataclass
class Report:
    """Counts by column, and the first places of each."""

    counts: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    files: int = 0
    out: int = 0
    held: Counter[str] = field(default_factory=Counter)

    def add(self, column: str, place: str) -> None:
        self.counts[column] += 1
        self.places[column].append(place)


class Check:
    """One cleaner's results, file after file; `report` is complete after `finish`."""

    def __init__(self, expectation: Expectation) -> None:
        self.report = Report()
        self._expectation = expectation
        self._new: dict[str, set[str]] = defaultdict(set)  # UIDs by the original
        self._old: dict[str, set[str]] = defaultdict(set)  # and the other way
        self._moved: dict[str, list[tuple[int, str]]] = defaultdict(list)  # days by patient, and where

    def file(
        self, name: str, original: Path, result: Path, reason: str, *, may_be_held: bool, says: bool = True
    ) -> None:
        """Judge one file; `reason` is why it was held, where it was."""
        report = self.report
        report.files += 1
        if not result.exists():
            report.held[reason or "no reason"] += 1
            if not reason:
                report.add("lost", name)
            elif not may_be_held:
                report.add("held", f"{name}: {reason}")
            return
        before, after = _read(original), _read(result)
        if after is None and before is not None:
            report.add("lost", f"{name}: cannot be read")
            return
        report.out += 1
        if before is None or after is None:
            return
        self._judge(name, before, after, _content(original), _content(result))
        if says:
            self._marks(name, before, after)

    def finish(self) -> Report:
        """Judge what shows only in all files together."""
        for found in (self._new, self._old):
            for one, others in found.items():
                if len(others) > 1:
                    self.report.add("inconsistent", f"{one}: {len(others)}")
        for patient, moves in self._moved.items():
            usual, _ = Counter(days for days, _ in moves).most_common(1)[0]
            for days, where in moves:
                if days != usual or not days:
                    self.report.add("intervals", f"{where}: {days} instead of {usual} days, {patient}")
        return self.report

    def _judge(self, name: str, before: Dataset, after: Dataset, raw: bytes, bytes_now: bytes) -> None:
        leaves = list(self._leaves(before, after, "", Mode.NORMAL))
        patient = f"{before.get('IssuerOfPatientID', '')}/{before.get('PatientID', '')}"
        stays = b" ".join(leaf.was for leaf in leaves if leaf.fate in (Fate.KEPT, Fate.FREE))
        stays += b"".join(_raw(before, tag) for tag in _PIXELS)  # where chance writes words
        goes = b" ".join(leaf.was for leaf in leaves if leaf.fate not in (Fate.KEPT, Fate.FREE))
        for pattern, column in ((TOKEN, "tokens"), (PLANTED_UID, "unmapped")):
            gone = (set(pattern.findall(raw)) - set(pattern.findall(stays))) | set(pattern.findall(goes))
            for left in sorted(gone & set(pattern.findall(bytes_now))):
                at = next((leaf.path for leaf in leaves if leaf.now and left in leaf.now), "elsewhere")
                self.report.add(column, f"{name}: {at}")
        identity = set(TOKEN.findall(goes)) | set(PLANTED_UID.findall(goes))
        born = str(before.get("PatientBirthDate", ""))
        if len(born) == _DAY:
            written = f"{born[:4]}-{born[4:6]}-{born[6:]}".encode()
            identity.add(written)
            if written in bytes_now:
                self.report.add("tokens", f"{name}: the birth date in text")
        for leaf in leaves:
            self._leaf(name, patient, leaf, identity)
        self._required(name, iods().get(str(before.get("SOPClassUID", "")), ""), before, after)
        if any(_kept_pixels(before, tag, after) != _kept_pixels(after, tag, after) for tag in _PIXELS):
            self.report.add("pixels", name)

    def _leaf(self, name: str, patient: str, leaf: Leaf, identity: set[bytes]) -> None:
        where = f"{name}: {leaf.path}"
        if leaf.fate in (Fate.UID, Fate.UID_OR_GONE):
            self._uid(where, leaf)
        elif leaf.fate in (Fate.SHIFTED, Fate.DATE_OR_GONE):
            self._date(where, patient, leaf)
        elif leaf.fate is Fate.KEPT and leaf.now != leaf.was and leaf.was:
            if not any(token in leaf.was for token in identity):
                self.report.add("harmless", where)
        elif leaf.fate is Fate.GONE and leaf.now == leaf.was and _tells(leaf) and not TOKEN.search(leaf.was):
            self.report.add("tokens", where)

    def _uid(self, where: str, leaf: Leaf) -> None:
        was = [part.strip("\0 ") for part in leaf.was.decode("latin-1").split("\\")]
        now = [part.strip("\0 ") for part in (leaf.now or b"").decode("latin-1").split("\\")]
        if leaf.vr != "UI" or not leaf.was:
            return
        if not leaf.now:
            if leaf.fate is Fate.UID:
                self.report.add("harmless", where)
            return
        for one, other in zip(was, now, strict=False):
            if one == other and one:
                if not PLANTED_UID.fullmatch(one.encode()):  # those are found by their bytes
                    self.report.add("unmapped", where)
            elif one and other:
                self._new[one].add(other)
                self._old[other].add(one)

    def _date(self, where: str, patient: str, leaf: Leaf) -> None:
        was, now = leaf.was.decode("latin-1"), (leaf.now or b"").decode("latin-1")
        old, new = _day(was), _day(now)
        if old is None:
            return
        if not now:
            if leaf.fate is Fate.SHIFTED:
                self.report.add("intervals", f"{where}: lost")
        elif new is None or now[8:] != was[8:]:
            self.report.add("intervals", f"{where}: its form")
        elif leaf.fate is Fate.SHIFTED or now not in ("19000101", "19000101000000"):
            self._moved[patient].append(((new - old).days, where))

    def _leaves(self, before: Dataset, after: Dataset | None, path: str, mode: Mode) -> Iterator[Leaf]:
        creators: dict[int, str] = {}
        for tag in sorted(before.keys()):
            vr, value = _value(before, tag)
            if tag in _PIXELS:
                continue
            if tag.is_private_creator and isinstance(value, bytes):
                creators[tag.group << 8 | tag.element] = value.decode("latin-1")
            own = tag.element if tag.is_private_creator else tag.element >> 8
            creator = creators.get(tag.group << 8 | own, "") if tag.is_private else ""
            here = f"{path}({tag.group:04X},{tag.element:04X})"
            now = None if after is None or tag not in after else _value(after, tag)[1]
            if isinstance(value, bytes):
                fate = self._expectation.fate(int(tag), vr, value, mode, creator)
                yield Leaf(here, int(tag), vr, value, now if isinstance(now, bytes) else None, fate)
                continue
            inner = self._expectation.inside(int(tag), mode, creator)
            others = list(now) if isinstance(now, Items) else []
            for number, item in enumerate(value):
                other = others[number] if number < len(others) else None
                yield from self._leaves(item, other, f"{here}[{number}]", inner)

    def _required(self, name: str, iod: str, before: Dataset, after: Dataset, path: str = "") -> None:
        """Judge what the IOD requires at a path, and in the items of every sequence there that both have."""
        for keyword, kind in below(iod).get(path, ()):
            if not _lost(before, after, _tag(keyword), kind):
                continue
            self.report.add("required", f"{name}: {path}/{keyword}".replace(" /", " "))
        for inner, tag in _sequences(iod).get(path, ()):
            if tag in before and tag in after:
                for one, other in zip(_value(before, tag)[1], _value(after, tag)[1], strict=False):
                    if isinstance(one, Dataset) and isinstance(other, Dataset):
                        self._required(name, iod, one, other, inner)

    def _marks(self, name: str, before: Dataset, after: Dataset) -> None:
        earlier, said = (
            {str(item.get("CodeValue", "")) for item in dataset.get("DeidentificationMethodCodeSequence") or ()}
            for dataset in (before, after)
        )
        right = (
            after.get("PatientIdentityRemoved") == "YES",
            said == self._expectation.codes | earlier | ({CLEAN_PIXEL_DATA} if _is_masked(before, after) else set()),
            after.get("LongitudinalTemporalInformationModified") == self._expectation.dates,
        )
        if not all(right):
            self.report.add("marks", f"{name}: {sorted(said)}")


def _is_masked(before: Dataset, after: Dataset) -> bool:
    """Whether pixels changed that may: those of the one signature of CTP that a file of the set meets."""
    return _signed(before) and _raw(before, 0x7FE00010) != _raw(after, 0x7FE00010)


def _signed(before: Dataset) -> bool:
    return b"Siemens MedCom Object Graphics" in _raw(before, 0x60000022)


def _kept_pixels(dataset: Dataset, tag: int, after: Dataset) -> bytes:
    """The pixels that may not change: where the result says that it is masked, those below its first 90 rows."""
    said = {str(item.get("CodeValue", "")) for item in after.get("DeidentificationMethodCodeSequence") or ()}
    masked = CLEAN_PIXEL_DATA in said and tag == 0x7FE00010
    return _raw(dataset, tag)[90 * dataset.Columns * dataset.BitsAllocated // 8 :] if masked else _raw(dataset, tag)


def _tells(leaf: Leaf) -> bool:
    """Whether a value that stayed says anything: not a flag, a number of one digit, a dummy that it was before."""
    return len(leaf.was) >= 3 and leaf.was not in _DUMMIES and leaf.vr not in ("CS", "IS", "DS")


def _day(text: str) -> date | None:
    found = _DATE.match(text)
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


def _read(path: Path) -> Dataset | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pydicom.dcmread(path)
    except (InvalidDicomError, OSError, ValueError, KeyError, AttributeError, NotImplementedError, zlib.error):
        return None


def _content(path: Path) -> bytes:
    """The bytes of a file; of a deflated one its head, and its data set as it was before."""
    data = path.read_bytes()
    if _DEFLATED.encode() not in data[:2048]:
        return data
    start = 144 + int.from_bytes(data[140:144], "little")
    return data[:start] + zlib.decompressobj(wbits=-15).decompress(data[start:])


def _value(dataset: Dataset, tag: BaseTag) -> tuple[str, bytes | Items]:
    """The VR of an element, and its encoded value without padding; of a sequence its items."""
    raw = dataset.get_item(tag)
    vr = (vr_of(int(tag)) if not tag.is_private else "") or str(raw.VR or "UN")
    if "SQ" in (vr, raw.VR):
        items = _items(dataset, tag, raw.value)
        if items is not None:
            return "SQ", items
    # pydicom decodes this one on its own, for elements whose VR depends on it.
    value = str(dataset[tag].value).encode() if tag == _SIGNED else raw.value
    if isinstance(value, Items):
        return "SQ", value
    data = value if isinstance(value, bytes) else str(value or "").encode()
    return vr, data if vr in NUMBERS and vr != "OW" else data.rstrip(_BLANK)


def _items(dataset: Dataset, tag: BaseTag, value: object) -> Items | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = dataset[tag].value
            if isinstance(found, bytes):  # an element that pydicom's dictionary does not know, in Implicit VR
                found = convert_SQ(found, True, True)
    except Exception:  # noqa: BLE001 -- bytes that are no sequence are judged as bytes
        return None
    return found if isinstance(found, Items) else None


def _raw(dataset: Dataset, tag: int) -> bytes:
    raw = dataset.get_item(tag) if tag in dataset else None
    return b"" if raw is None or not isinstance(raw.value, bytes) else raw.value


def _lost(before: Dataset, after: Dataset, tag: BaseTag, kind: str) -> bool:
    if tag not in before:
        return False
    if kind == "2":
        return tag not in after
    return bool(len(_value(before, tag)[1])) and not (tag in after and len(_value(after, tag)[1]))


@cache
def _tag(keyword: str) -> BaseTag:
    return Tag(tag_for_keyword(keyword) or 0)


@cache
def _sequences(iod: str) -> dict[str, list[tuple[str, BaseTag]]]:
    """By path: the sequences there in whose items something is required, and their paths."""
    found: dict[str, dict[str, BaseTag]] = defaultdict(dict)
    for path in below(iod):
        parts = path.split("/") if path else []
        for depth in range(len(parts)):
            found["/".join(parts[:depth])]["/".join(parts[: depth + 1])] = _tag(parts[depth])
    return {path: list(some.items()) for path, some in found.items()}
