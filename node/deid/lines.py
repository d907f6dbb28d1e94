"""A recipe as the dictionary that pydicom/deid makes of it, and back to text.

Guarantees that the dictionary says what the text says, each line with its words as they were written, and that a text
made from a dictionary says no less. Refuses (RecipeError) a dictionary that is none of a recipe, and words that would
end a line or begin a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from node.errors import Fault, RecipeError
from node.recipe.filters import FilterLine, Label, RegionLine
from node.recipe.header import Rule
from node.recipe.language import LabelLine, Parsed
from node.recipe.lists import ListLine
from node.recipe.profile import ProfileLine

Entries: TypeAlias = dict[str, Any]

_AND_OR = {"+": "and", "||": "or"}
_MARKS = {"and": "+", "or": "||", None: "", "": ""}
_REGIONS = ("coordinates", "keepcoordinates")
_NOT_IN_A_LINE = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]|(?:^|\s)#")


def as_entries(texts: Sequence[Parsed]) -> Entries:
    """Return what several texts say, in pydicom/deid's form: `format`, and the sections that there are."""
    entries: Entries = {"format": "dicom"}
    for text in texts:
        if text.rules:
            entries.setdefault("header", []).extend(map(_action, text.rules))
        if text.labels:
            entries.setdefault("labels", []).extend(map(_label, text.labels))
        for (kind, name), lines in text.lists.items():
            entries.setdefault(kind, {}).setdefault(name, []).extend(map(_list_line, lines))
        for section in text.profiles:
            entries.setdefault("profile", {}).setdefault(section.name, []).extend(map(_profile_line, section.lines))
        for name, labels in text.filters.items():
            entries.setdefault("filter", {}).setdefault(name, []).extend(map(_filter, labels))
    return entries


def _action(rule: Rule) -> Entries:
    value = {} if rule.value is None else {"value": rule.value.written}
    return {"action": str(rule.action), "field": rule.selector.text} | value


def _label(line: LabelLine) -> Entries:
    return {"action": str(line.action), "field": line.field} | ({"value": line.value} if line.value else {})


def _list_line(line: ListLine) -> Entries:
    value = {"value": line.written} if line.written else {}
    return {"action": "SPLIT" if line.split else "FIELD", "field": line.selector.text} | value


def _profile_line(line: ProfileLine) -> Entries:
    return {"action": line.code, "field": line.selector.text}


def _filter(label: Label) -> Entries:
    return {
        "filters": [_criteria(line) for line in label.lines],
        "coordinates": [[int(region.keep), _region(region)] for region in label.regions],
        "name": f"LABEL {label.name}",
    }


def _criteria(line: FilterLine) -> Entries:
    words = [criterion.words.split(" ", 2) for criterion in line.criteria]
    return {
        "action": [test for _, test, _ in words],
        "field": [key for key, _, _ in words],
        "operator": line.operator or None,
        "InnerOperators": [_AND_OR[criterion.joined] for criterion in line.criteria[1:]],
        "value": [value for _, _, value in words if value],
    }


def _region(region: RegionLine) -> str:
    if region.source:
        return f"from:{region.source}"
    return "all" if region.box is None else ",".join(map(str, region.box))


def as_text(entries: Mapping[str, Any], name: str) -> str:
    """Return a recipe as text; `name` is what a fault calls it. Raises RecipeError."""
    try:
        lines = [" ".join(line.split()) if not _NOT_IN_A_LINE.search(line) else None for line in _lines(entries)]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise RecipeError([Fault(name, None, "The dictionary is no recipe.", "Write it as text.")]) from None
    if None in lines:
        raise RecipeError([Fault(name, None, "A word of the dictionary ends its line, or begins a comment.")])
    return "\n".join(filter(None, lines))


def _lines(entries: Mapping[str, Any]) -> Iterator[str]:
    yield f"FORMAT {entries['format']}"
    for section, content in entries.items():
        if section in ("fields", "values", "profile"):
            for name, lines in content.items():
                yield from (f"%{section} {name}", *map(_words, lines))
        elif section == "filter":
            for name, labels in content.items():
                yield f"%filter {name}"
                for label in labels:
                    yield from _filter_lines(label)
        elif section != "format":
            yield from (f"%{section}", *map(_words, content))


def _words(entry: Mapping[str, Any]) -> str:
    value = entry.get("value")
    return f"{entry['action']} {entry['field']} {'' if value is None else value}"


def _filter_lines(label: Mapping[str, Any]) -> Iterator[str]:
    name = str(label.get("name", ""))
    yield name if name[:6].upper() == "LABEL " else f"LABEL {name}"
    for entry in label["filters"]:
        yield _criterion_line(entry)
    for keep, region in label["coordinates"]:
        yield f"{_REGIONS[keep]} {region}"


def _criterion_line(entry: Mapping[str, Any]) -> str:
    values = iter(entry["value"])
    line = _MARKS[entry["operator"]]
    joined = ["", *(_MARKS[operator] for operator in entry["InnerOperators"])]
    for mark, test, key in zip(joined, entry["action"], entry["field"], strict=True):
        value = next(values) if test in ("contains", "notcontains", "equals", "notequals") else ""
        line += f" {mark} {test} {key} {value}"
    return line
