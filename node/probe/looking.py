"""Looks at what arrived of a synthetic study, beside what was sent.

Guarantees that a reference has to lead to the instance that took the place of the one it led to, that pixels have to be
those that were sent, and dates to be moved by one number of days or to be gone. What is wrong is told by instance and
tag path, never by value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from node.ledger.probing import Came
from node.probe.keeping import Keeping
from node.probe.leaking import tokens
from node.probe.report import ON_PURPOSE, Check, Kept, RouteReport
from node.probe.study import DATES, Instance, Study
from node.recipe import Recipe
from node.recipe.dictionary import show
from node.recipe.method import date_mode

_MASKED = "113101"  # Clean Pixel Data Option, CID 7050


@dataclass(frozen=True, slots=True)
class Arrived:
    """A file that arrived, as bytes and as a data set; which instance it was made of."""

    instance: Instance
    destination: str
    raw: bytes
    dataset: Dataset


def examine(
    report: RouteReport, study: Study, recipe: Recipe, rows: Sequence[Came], folders: Mapping[str, Path]
) -> None:
    """Add to a report what became of a study.

    Parameters
    ----------
    rows
        What the ledger says of the route, the study alone.
    folders
        By destination, where its files are.
    """
    clean = {row.sop_instance_uid: row.clean_sop_instance_uid for row in rows if row.clean_sop_instance_uid}
    report.kept = _kept(rows)
    arrived = _arrived(study, clean, folders)
    report.checks += _counted(report, study, rows, arrived, folders)
    if not arrived:
        return
    keeping = Keeping(recipe)
    report.checks += [
        Check("again", *_again(rows, folders, arrived)),
        Check("uids", *_uids(arrived, clean, keeping)),
        Check("references", *_references(arrived, clean)),
        _tokens(study, arrived, keeping, report),
        Check("pixels", *_pixels(arrived)),
        Check("dates", *_dates(arrived, date_mode(recipe.profile), keeping)),
    ]


def _kept(rows: Sequence[Came]) -> list[Kept]:
    """Return what did not go on, each reason once: of instances that came twice the first."""
    found: dict[tuple[str, str, str, bool], set[str]] = {}
    for row in {one.sop_instance_uid: one for one in reversed(rows)}.values():
        if row.state == "excluded" and row.reason != "again":
            found.setdefault(("excluded", row.reason or "", row.detail, True), set()).add(row.sop_instance_uid)
        elif row.state == "held":
            meant = row.reason in ON_PURPOSE
            found.setdefault(("held", row.reason or "", row.detail, meant), set()).add(row.sop_instance_uid)
        for destination, state, why in row.deliveries:
            if state == "held":
                key = ("held", f"at {destination}", why, why.partition(":")[0] in ON_PURPOSE)
                found.setdefault(key, set()).add(row.sop_instance_uid)
    return [Kept(*key[:3], len(uids), key[3]) for key, uids in found.items()]


def _arrived(study: Study, clean: Mapping[str, str | None], folders: Mapping[str, Path]) -> list[Arrived]:
    """Return what arrived of the study, by the UIDs that the ledger says it was given."""
    made = {clean[one.sop_instance_uid]: one for one in study.instances if one.sop_instance_uid in clean}
    found = []
    for destination, folder in folders.items():
        for path in sorted(folder.glob("*/*/*.dcm")):
            instance = made.get(path.stem)
            if instance is not None:
                raw = path.read_bytes()
                found.append(Arrived(instance, destination, raw, pydicom.dcmread(path)))
    return found


def _counted(
    report: RouteReport,
    study: Study,
    rows: Sequence[Came],
    arrived: Sequence[Arrived],
    folders: Mapping[str, Path],
) -> Iterator[Check]:
    """Compare what was sent, acknowledged, kept back and arrived."""
    total = len(study.instances)
    known = {row.sop_instance_uid for row in rows}
    yield Check("sent", report.sent == total, f"{report.sent} of {total}")
    yield Check(
        "acknowledged", report.acknowledged == total and len(known) == total, f"{report.acknowledged} of {total}"
    )
    meant = {row.sop_instance_uid for row in rows if _is_meant(row)}
    expected = {one.sop_instance_uid for one in study.instances} - meant
    confirmed = {
        (row.sop_instance_uid, name) for row in rows for name, state, _ in row.deliveries if state == "delivered"
    }
    found = {(one.instance.sop_instance_uid, one.destination) for one in arrived} & confirmed
    there = {name: {uid for uid, where in found if where == name} for name in folders}
    missing = {name: len(expected - uids) for name, uids in there.items()}
    report.arrived = len(expected.intersection(*there.values()))
    waiting = sorted({why for row in rows for _, state, why in row.deliveries if state == "due" and why})
    texts = [f"{count} of {len(expected)} not confirmed by {name}" for name, count in missing.items() if count]
    yield Check(
        "arrived", not texts, "; ".join([*texts, *(waiting if texts else ())]) or f"{report.arrived} of {len(expected)}"
    )


def _is_meant(row: Came) -> bool:
    if row.state == "held":
        return row.reason in ON_PURPOSE
    held = [why.partition(":")[0] for _, state, why in row.deliveries if state == "held"]
    return (row.state == "excluded" and row.reason != "again") or bool(held and set(held) <= ON_PURPOSE)


def _again(rows: Sequence[Came], folders: Mapping[str, Path], arrived: Sequence[Arrived]) -> tuple[bool | None, str]:
    """Compare the UIDs and bytes of a second sending with those of the first."""
    times: dict[str, list[str | None]] = {}
    for row in rows:
        if row.state == "cleaned":
            times.setdefault(row.sop_instance_uid, []).append(row.clean_sop_instance_uid)
    twice = [given for given in times.values() if len(given) > 1]
    if not twice:
        return None, "sent once"
    if any(len(set(given)) > 1 for given in twice):
        return False, "another SOP Instance UID (0008,0018) at the second time"
    uids = {str(one.dataset.SOPInstanceUID) for one in arrived}
    files = (path for folder in folders.values() for path in folder.glob("*/*/*.dcm"))
    others = sum(path.stem.rpartition(".")[0] in uids for path in files)  # the sink's second name of a UID
    return not others, f"{others} came with other bytes at the second time" if others else "same UIDs and bytes"


def _uids(arrived: Sequence[Arrived], clean: Mapping[str, str | None], keeping: Keeping) -> tuple[bool, str]:
    """Look whether one study stayed one study, and each series one series."""
    problems = []
    studies = {_text(one.dataset, "StudyInstanceUID") for one in arrived}
    if len(studies) != 1 or "" in studies:
        problems.append(f"the study became {len(studies)} (0020,000D)")
    pairs = {(one.instance.series_uid, _text(one.dataset, "SeriesInstanceUID")) for one in arrived}
    if len(pairs) != len({a for a, _ in pairs}) or len(pairs) != len({b for _, b in pairs}):
        problems.append("series were divided or joined (0020,000E)")
    frames = {_text(one.dataset, "FrameOfReferenceUID") for one in arrived} - {""}
    if len(frames) > 1:
        problems.append(f"the frame of reference became {len(frames)} (0020,0052)")
    given = [clean[uid] for uid in {one.instance.sop_instance_uid for one in arrived}]
    if len(set(given)) != len(given):
        problems.append("two instances became one (0008,0018)")
    told = "one study; UIDs kept, as the recipe says" if keeping.uids else "one study"
    return not problems, "; ".join(problems) or told


def _references(arrived: Sequence[Arrived], clean: Mapping[str, str | None]) -> tuple[bool | None, str]:
    """Look whether references lead to what took the place of the instances they led to."""
    good, gone, lost = 0, 0, set[str]()
    for one in arrived:
        for sequence, targets in one.instance.references.items():
            wanted = {clean[uid] for uid in targets if uid in clean}
            found = set(_referenced(one.dataset, sequence))
            if not found:
                gone += 1
            elif found == wanted:
                good += 1
            else:
                lost.add(f"{one.instance.label}: {show(sequence)}")
    if lost:
        return False, "lead to nothing that arrived: " + "; ".join(sorted(lost))
    text = f"{good} lead where they did" + (f", {gone} removed" if gone else "")
    return (True if good else None), text


def _referenced(dataset: Dataset, sequence: int) -> Iterator[str]:
    if sequence in dataset:
        for item in dataset[sequence].value or ():
            for element in item.iterall():
                if element.keyword == "ReferencedSOPInstanceUID":
                    yield str(element.value)


def _tokens(study: Study, arrived: Sequence[Arrived], keeping: Keeping, report: RouteReport) -> Check:
    """Look for everything that was planted, in every file that arrived."""
    leaks, kept = tokens(study.garden, [(one.raw, one.dataset) for one in arrived], keeping)
    if kept:
        report.notes.append(f"kept, as the recipe says: {kept}")
    return Check("tokens", not leaks, leaks or f"0 of {len(study.garden.planted)}")


def _pixels(arrived: Sequence[Arrived]) -> tuple[bool | None, str]:
    """Compare pixel data, where nothing says that it was masked."""
    images, masked, others = 0, 0, set[str]()
    for one in arrived:
        if "PixelData" not in one.instance.dataset:
            continue
        images += 1
        if one.dataset.get("PixelData") == one.instance.dataset.PixelData:
            continue
        codes = one.dataset.get("DeidentificationMethodCodeSequence") or ()
        if any(code.get("CodeValue") == _MASKED for code in codes):
            masked += 1
        else:
            others.add(one.instance.label)
    if others:
        return False, "other pixels (7FE0,0010): " + ", ".join(sorted(others))
    if not images:
        return None, "no image arrived"
    return True, f"{images - masked} identical" + (f", {masked} masked" if masked else "")


def _dates(arrived: Sequence[Arrived], mode: str, keeping: Keeping) -> tuple[bool | None, str]:
    """Look whether all dates of the study were moved by one number of days, or are gone."""
    moved: dict[int, str] = {}
    values = set[str]()
    for one in arrived:
        for keyword, tag in DATES.items():
            text = _text(one.dataset, keyword)
            if len(text) == 8 and text.isdecimal():
                values.add(text)
                moved.setdefault((_day(one.instance.dataset, keyword) - _as_date(text)).days, show(tag))
    if not values:
        return None, "no date arrived"
    if 0 in moved:
        meant = mode == "kept" or all(keeping.means((tag,)) for tag in DATES.values())
        return meant and len(moved) == 1, "kept, as the recipe says" if meant else f"as they were: {moved[0]}"
    if len(moved) == 1:
        return True, "moved by one number of days"
    if len(values) == 1 and mode != "moved":
        return True, "replaced by one day"
    return False, "moved apart: " + ", ".join(sorted(set(moved.values())))


def _day(dataset: Dataset, keyword: str) -> date:
    return _as_date(_text(dataset, keyword))


def _as_date(text: str) -> date:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return date.min


def _text(dataset: Dataset, keyword: str) -> str:
    return str(dataset.get(keyword) or "")
