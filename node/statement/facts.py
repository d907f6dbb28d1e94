"""All that a statement tells, as data that `json` can write.

Guarantees that each fact is computed from the loaded recipe, the tables of the standard, or the project's settings;
a number that is told can be counted in the tables that stand behind it. Never refuses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import dictionary_description, dictionary_VR, tag_for_keyword

from node import __version__
from node.recipe import Recipe
from node.recipe.dictionary import PROTECTED, private_entry, show
from node.recipe.header import Action
from node.recipe.method import applied_codes
from node.standard import EDITION, attributes, method_codes
from node.statement.doings import INSIDE, TYPES, Doing, Doings, in_words
from node.statement.objects import Handling, content, handled, pixels

TEXTS = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")
DIRECT = (
    "PatientName",
    "PatientID",
    "OtherPatientIDs",
    "OtherPatientNames",
    "PatientBirthDate",
    "PatientAddress",
    "PatientTelephoneNumbers",
    "MedicalRecordLocator",
    "AccessionNumber",
    "StudyID",
    "AdmissionID",
    "ReferringPhysicianName",
    "PerformingPhysicianName",
    "OperatorsName",
    "NameOfPhysiciansReadingStudy",
    "InstitutionName",
    "InstitutionAddress",
    "InstitutionalDepartmentName",
    "StationName",
    "DeviceSerialNumber",
)
OF_THE_PATIENT = (
    "PatientSex",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "EthnicGroup",
    "PregnancyStatus",
    "SmokingStatus",
    "PatientComments",
)


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """What a project says of its replacements; days are moved into the past."""

    name: str
    epoch: int
    least_days: int
    most_days: int
    whole_weeks: bool
    invalid_dates: str
    uid_root: str
    pseudonym_length: int


def facts(
    recipe: Recipe, names: Sequence[str], project: ProjectSettings | None = None, handling: Handling | None = None
) -> dict[str, Any]:
    """Return what a recipe does, by the names that it was asked for; see docs/statement.md for the keys."""
    handling = handling or Handling()
    doings = Doings(recipe)
    rows, written = list(_rows(doings)), _written(recipe)
    return {
        "recipes": list(names),
        "hash": recipe.hash,
        "program": f"deid-node {__version__}",
        "edition": f"PS3.15 {EDITION}",
        "profile": _profile(recipe),
        "project": asdict(project) if project is not None else None,
        "written": written,
        "direct": [_named(doings, keyword) for keyword in DIRECT],
        "patient": [_named(doings, keyword) for keyword in OF_THE_PATIENT],
        "summary": _summary(rows),
        "rows": rows,
        "others": _others(doings, {row["tag"] for row in (*rows, *written)}),
        "private": _private(recipe, doings),
        "unlisted_private": str(doings.of(0x00091001, "UN")),
        "content": content(doings, recipe.profile),
        "pixels": pixels(recipe, handling),
        "handled": handled(handling),
    }


def _profile(recipe: Recipe) -> dict[str, Any] | None:
    if recipe.profile is None:
        return None
    always, masked = applied_codes(recipe.profile, masked=False), applied_codes(recipe.profile, masked=True)
    return {
        "names": list(recipe.profile.names),
        "own": list(recipe.profile.own),
        "codes": [{"code": code, "meaning": method_codes()[code], "masked": code not in always} for code in masked],
    }


def _rows(doings: Doings) -> Iterator[dict[str, Any]]:
    for row in attributes():
        digits = f"{row.tag[1:5]}{row.tag[6:10]}".replace("50xxxxxx", "50003000").replace("xx", "00")
        if not row.keyword or row.tag[1:5] in ("0000", "0002", "0004"):
            continue
        vr = row.vr if row.vr.isalpha() and len(row.vr) == 2 else "OW"
        found = doings.by_type(int(digits, 16), vr)
        told = {"tag": row.tag, "name": row.name, "vr": vr, "basic": row.basic, **_told(found)}
        inside = doings.of(int(digits, 16), vr, parents=INSIDE)
        yield told | ({} if str(inside) == told["does"] else {"inside": str(inside)})


def _told(found: dict[int, Doing]) -> dict[str, Any]:
    optional = found[3]
    told: dict[str, Any] = {"does": str(optional), "what": optional.what, "where": optional.where}
    if any(str(found[kind]) != str(optional) for kind in TYPES):
        told |= {"type_2": str(found[2]), "type_1": str(found[1])}
    return told


def _named(doings: Doings, keyword: str) -> dict[str, Any]:
    tag = tag_for_keyword(keyword) or 0
    return {"name": dictionary_description(tag), "tag": show(tag), **_told(doings.by_type(tag, dictionary_VR(tag)))}


def _summary(rows: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Return how many rows of the table have each fate, by kind of value."""
    kinds = {"dates": ("DA", "DT"), "times": ("TM",), "uids": ("UI",), "texts": TEXTS}
    return {
        kind: dict(Counter(row["does"] for row in rows if row["vr"] in vrs).most_common())
        for kind, vrs in kinds.items()
    }


def _others(doings: Doings, listed: set[str]) -> list[dict[str, Any]]:
    """Return what is done with the attributes of the dictionary that the table does not name, by VR."""
    counted: dict[str, Counter[str]] = {}
    for tag, known in DicomDictionary.items():
        if f"({tag >> 16:04X},{tag & 0xFFFF:04X})" in listed or tag >> 16 in (0, 2, 4, 0xFFFE) or tag in PROTECTED:
            continue
        vr = known[0].partition(" ")[0]
        if vr != "NONE":
            counted.setdefault(vr, Counter())[str(doings.of(tag, vr))] += 1
    return [{"vr": vr, "does": dict(counted[vr].most_common())} for vr in sorted(counted)]


def _private(recipe: Recipe, doings: Doings) -> list[dict[str, Any]]:
    """Return what is done with the private attributes that a line names, unless they go."""
    keys = list(recipe.profile.lines) if recipe.profile is not None else []
    found = []
    for key in keys:
        if len(key) != 4:
            continue
        _, group, creator, low = key
        tag = group << 16 | 0x1000 | low
        known = private_entry(tag, creator) or private_entry(tag, creator.upper())
        doing = doings.of(tag, known.vr.partition(" ")[0] if known else "UN", creator)
        if doing.what != "remove":
            found.append({"group": f"{group:04X}", "creator": creator, "element": f"{low:02X}", "does": str(doing)})
    return sorted(found, key=lambda one: (one["group"], one["creator"], one["element"]))


def _written(recipe: Recipe) -> list[dict[str, str]]:
    """Return what is written into every instance."""
    return [
        {
            "tag": show(rule.selector.tag),
            "name": rule.selector.text,
            "value": in_words(rule.value),
        }
        for rule in recipe.rules
        if rule.action is Action.ADD and rule.selector.tag is not None and rule.value is not None
    ]
