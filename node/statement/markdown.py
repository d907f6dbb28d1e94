"""The facts of a statement, as a page of Markdown.

Guarantees that each sentence stands for a fact; where there is none, the sentence is not written.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_KINDS = {"dates": "Dates", "times": "Times of day", "uids": "UIDs", "texts": "Texts and names"}


def page(found: dict[str, Any]) -> str:
    """Return the page of what `facts` found."""
    parts = (_head, _words, _pixels, _content, _handled, _codes, _project, _table, _others, _private)
    return "\n".join(line for part in parts for line in part(found)).rstrip("\n") + "\n"


def _head(found: dict[str, Any]) -> Iterator[str]:
    yield f"# De-identification by {', '.join(found['recipes'])}"
    yield ""
    yield f"Computed by {found['program']} from the recipe itself. Tables: DICOM {found['edition']}, © NEMA."
    yield ""
    yield f"Recipe, SHA-256: `{found['hash']}`"
    yield ""


def _words(found: dict[str, Any]) -> Iterator[str]:
    yield "## In plain words"
    yield ""
    yield "What identifies a person, a place or a device:"
    yield ""
    yield from (f"- {one['name']}: {_does(one)}" for one in found["direct"])
    yield ""
    yield "What describes the patient:"
    yield ""
    yield from (f"- {one['name']}: {_does(one)}" for one in found["patient"])
    yield ""
    yield "Of the attributes that the standard's table names, where the kind of object does not require them:"
    yield ""
    for kind, fates in found["summary"].items():
        yield f"- {_KINDS[kind]}: {_counted(fates)}"
    other = found["unlisted_private"]
    yield f"- Private attributes: {len(found['private'])} known ones stay in some form; any other: {other}"
    yield ""


def _pixels(found: dict[str, Any]) -> Iterator[str]:
    told = found["pixels"]
    filters = [one for one in told["filters"] if not one["passes"]]
    masks = sum(one["masks"] for one in filters if not one["excludes"])
    holds = sum(one["labels"] - one["masks"] for one in filters if not one["excludes"])
    unwanted = sum(one["labels"] for one in filters if one["excludes"])
    yield "### Pixels"
    yield ""
    if masks:
        yield f"- {masks} rules of the recipe mask a part of the images that they know by device, kind or size."
    else:
        yield "- The recipe has no rule that masks an image: it alters no pixels."
    if holds:
        yield f"- {holds} rules hold the images that they match."
    if unwanted:
        yield f"- {unwanted} rules say that an image is not wanted: it is not sent on."
    yield from _risks(told)
    if told["said"]:
        yield "- Burned In Annotation becomes NO where rules for this size masked the image, or a person let it go."
        yield "- A NO of the original stays, but not of Secondary Capture, ultrasound, angiography and fluoroscopy."
        yield "- Recognizable Visual Features is YES for heads in CT and MR. Faces are not removed."
    else:
        yield "- Nothing is said of faces, and they are not removed."
    yield "- Other text that is burned into an image is not found, and stays."
    yield ""


def _risks(told: dict[str, Any]) -> Iterator[str]:
    if told["risk"] == "pass":
        yield "- Images that may show who the patient is, and that no rule masks, are sent on."
        return
    yield "- An image that no rule masks is held for a person to look at where its header says:"
    yield from (f"    - {risk}" for risk in told["risks"])


_REPORTS = {
    "clean": "stay item by item: codes, numbers with their units, coordinates and references stay, names of persons go",
    "keep": "stay as the rules below say of each attribute in them",
    "dummy": "keep their form: no text, code, name or number with decimals stays",
    "empty": "are emptied",
    "remove": "go",
}
_DRAWINGS = {
    "clean": "keep points and shapes; their texts are cleaned as descriptions are",
    "keep": "stay as the rules below say of each attribute in them",
    "dummy": "keep their form and none of their texts",
    "empty": "are emptied",
    "remove": "go",
}


def _content(found: dict[str, Any]) -> Iterator[str]:
    told = found["content"]
    yield "### Reports and drawings"
    yield ""
    yield f"- Contents of reports {_REPORTS[told['reports']]}."
    if told["concepts"]:
        counted = _counted(told["concepts"])
        yield f"- Of the {sum(told['concepts'].values())} concepts that the standard lists for reports: {counted}."
    yield f"- Annotations that are drawn onto images {_DRAWINGS[told['drawings']]}."
    yield ""


_HANDLED = {
    "documents": (
        "Encapsulated documents (PDF, CDA, STL, …) and voices are",
        {
            "hold": "held for a person",
            "stub": "replaced by one that says that it was removed",
            "pass": "treated as any other object, by the rules below",
            "exclude": "not sent on",
        },
    ),
    "unknown_sop_class": (
        "Objects of a kind that the standard does not know are",
        {
            "hold": "held for a person",
            "pass": "treated as any other object, by the rules below",
            "exclude": "not sent on",
        },
    ),
    "gate": (
        "Before it is sent each result is searched for what identifies in the original. Where something is found it is",
        {"hold": "held for a person", "scrub": "taken out of texts, or the object is held", "report": "reported"},
    ),
}


def _handled(found: dict[str, Any]) -> Iterator[str]:
    yield "### What no rule for attributes reaches"
    yield ""
    for key, (subject, ways) in _HANDLED.items():
        yield f"- {subject} {ways[found['handled'][key]]}."
    yield ""


def _codes(found: dict[str, Any]) -> Iterator[str]:
    profile = found["profile"]
    yield "## What an instance says of it"
    yield ""
    if profile is None or not profile["codes"]:
        yield "The recipe does not apply the Basic Profile of PS3.15: no code of a method is written."
        yield ""
    else:
        yield "| code (CID 7050) | method |"
        yield "|---|---|"
        for one in profile["codes"]:
            yield f"| {one['code']} | {one['meaning']}{', only where pixels are masked' if one['masked'] else ''} |"
        yield ""
        if profile["own"]:
            yield f"Beside them, profiles that are not the standard's: {', '.join(profile['own'])}."
            yield ""
    if found["written"]:
        yield "| attribute | | is written as |"
        yield "|---|---|---|"
        yield from (f"| {one['tag']} | {one['name']} | {_cell(one['value'])} |" for one in found["written"])
        yield ""


def _project(found: dict[str, Any]) -> Iterator[str]:
    project = found["project"]
    if project is None:
        return
    weeks = ", in whole weeks" if project["whole_weeks"] else ""
    yield f"## The project {project['name']}"
    yield ""
    days = f"{project['least_days']} to {project['most_days']} days"
    none = "becomes empty" if project["invalid_dates"] == "empty" else "holds the instance"
    yield f"- Where dates are moved, they move by {days} into the past{weeks}, all of one patient by the same number."
    yield f"- A date that is none {none}."
    yield f"- Pseudonyms have {project['pseudonym_length']} characters; new UIDs begin with {project['uid_root']}."
    yield f"- Key epoch {project['epoch']}: others than the node's secret, project and epoch give other replacements."
    yield ""


def _table(found: dict[str, Any]) -> Iterator[str]:
    yield f"## Table E.1-1 of {found['edition']}"
    yield ""
    yield "What the recipe does with each attribute that has a value, by what the kind of object asks for; inside of"
    yield "sequences the same, where nothing else is said."
    yield ""
    yield "| attribute | name | Basic Profile | is done | required (Type 2) | required with a value (Type 1) | inside |"
    yield "|---|---|---|---|---|---|---|"
    for row in found["rows"]:
        cells = (row.get(key, "") for key in ("tag", "name", "basic", "does", "type_2", "type_1", "inside"))
        yield f"| {' | '.join(map(_cell, cells))} |"
    yield ""


def _others(found: dict[str, Any]) -> Iterator[str]:
    yield "## What no row of the table names"
    yield ""
    yield "Attributes of the data dictionary, by the kind of their value; of how many what is done."
    yield ""
    yield "| VR | is done |"
    yield "|---|---|"
    yield from (f"| {one['vr']} | {_cell(_counted(one['does']))} |" for one in found["others"])
    yield ""


def _private(found: dict[str, Any]) -> Iterator[str]:
    if not found["private"]:
        return
    yield "## Private attributes that stay in some form"
    yield ""
    yield "| group | creator | element | is done |"
    yield "|---|---|---|---|"
    for one in found["private"]:
        yield f"| {one['group']} | {_cell(one['creator'])} | {one['element']} | {_cell(one['does'])} |"
    yield ""


def _does(one: dict[str, Any]) -> str:
    if "type_2" not in one:
        return str(one["does"])
    return f"{one['does']}; where the kind of object requires it: {one['type_2']}, or with a value: {one['type_1']}"


def _counted(fates: dict[str, int]) -> str:
    return ", ".join(f"{number} x {what}" for what, number in fates.items()) or "none"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
