"""A slow, simple engine on pydicom data sets: lines one after another over a table of elements, as the language says.

Only for tests: it shares nothing with the engine but the text of a recipe.
"""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass
from datetime import date, timedelta

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID

from tests.recipe.support import Keys

CLASS_UIDS = ("SOPClassUID", "ReferencedSOPClassUID")


@dataclass
class Entry:
    parent: Dataset
    element: DataElement
    name: str
    uid: str


def table(dataset: Dataset, name: str = "", uid: str = "") -> list[Entry]:
    entries = []
    for element in dataset:
        mine, path = name + element.keyword, uid + str(element.tag)
        entries.append(Entry(dataset, element, mine, path))
        if element.VR == "SQ":
            for number, item in enumerate(element.value):
                entries += table(item, mine + "__", f"{path}__{number}__")
    return entries


def means(field: str, entry: Entry) -> bool:
    element = entry.element
    if ":" not in field and field != "ALL":
        names = (entry.name, element.keyword, str(element.tag), entry.uid)
        return field.lower() in [name.lower() for name in names]
    if element.keyword in CLASS_UIDS or element.keyword == "SpecificCharacterSet":
        return False
    if field.startswith("select:VR:"):
        return field[-2:] == element.VR
    if field.startswith("select:group:"):
        return element.tag.group == int(field[13:], 16)
    texts = (entry.name, str(element.tag), f"{int(element.tag):08X}", element.name, element.keyword)
    expander, _, expression = field.partition(":")
    found = any(re.search(expression, text, re.IGNORECASE) for text in texts)
    return found is (expander != "except")


def apply(source: Dataset, lines: list[str]) -> Dataset:
    dataset = deepcopy(source)
    rules = [[*line.split(" ", 2), ""] for line in lines]
    entries = table(dataset)
    kept = [e.uid for e in entries if any(r[0] == "KEEP" and means(r[1], e) for r in rules)]
    entries = [e for e in entries if not any(e.uid == k or e.uid.startswith(k + "__") for k in kept)]
    for action, field, value, *_ in rules:
        if action == "ADD":
            add(dataset, entries, field, value)
            continue
        for entry in [e for e in entries if means(field, e)]:
            if entry not in entries or action == "KEEP":
                continue
            if action == "REMOVE" and any(r[0] in ("REPLACE", "JITTER") and means(r[1], entry) for r in rules):
                continue
            act(entries, entry, action, value)
    return dataset


def add(dataset: Dataset, entries: list[Entry], keyword: str, value: str) -> None:
    tag = tag_for_keyword(keyword)
    if keyword in dataset:
        dataset[keyword].value = value
    else:
        dataset.add_new(tag, dictionary_VR(tag), value)
    uid = str(dataset[keyword].tag)
    if not any(e.uid == uid for e in entries):
        entries.append(Entry(dataset, dataset[keyword], keyword, uid))


def act(entries: list[Entry], entry: Entry, action: str, value: str) -> None:
    element = entry.element
    if action == "REMOVE":
        del entry.parent[element.tag]
        entries.remove(entry)
    elif action == "BLANK":
        element.value = [] if element.VR == "SQ" else None
    elif action == "REPLACE":
        element.value = replaced(element, value)
    elif action == "JITTER" and element.value:
        element.value = moved(str(element.value), int(value))
    if action in ("REMOVE", "BLANK"):
        entries[:] = [e for e in entries if not e.uid.startswith(entry.uid + "__")]


def replaced(element: DataElement, value: str) -> object:
    if value != "func:generate_uid":
        return int(value) if element.VR == "US" else value
    values = [element.value] if isinstance(element.value, str) else list(element.value or [])
    new = [v if v.startswith("1.2.840.10008") else Keys().uid(v) for v in values]
    return [UID(v) for v in new] if len(new) > 1 else "".join(new)


def moved(value: str, days: int) -> str:
    day = date(int(value[:4]), int(value[4:6]), int(value[6:8])) + timedelta(days)
    return day.strftime("%Y%m%d") + value[8:]
