"""Each row of Table E.1-1, under the Basic Profile and each option, does what the table says."""

from __future__ import annotations

import pytest

from tests.profile.support import (
    COLUMNS,
    CT,
    cleaned,
    element,
    expected,
    iods,
    item,
    modules,
    of_all,
    profile,
    resolved,
    rows,
    shown,
    sop_class,
    token,
)

CLASSES = {
    "CT": CT,
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "RTSTRUCT": "1.2.840.10008.5.1.4.1.1.481.3",
    "SR": "1.2.840.10008.5.1.4.1.1.88.22",
    "SC": "1.2.840.10008.5.1.4.1.1.7",
    "PR": "1.2.840.10008.5.1.4.1.1.11.1",
    "SEG": "1.2.840.10008.5.1.4.1.1.66.4",
}
PSEUDONYMS = (0x00100010, 0x00100020)  # the recipe puts the patient's pseudonym there
SEQUENCES = [row for row in rows() if row["vr"] == "SQ"]


def faults(result, option, iod, parent=0):
    found = []
    for row in rows():
        if not parent and row["number"] in PSEUDONYMS:
            continue
        now, wanted = shown(result, row, token(row["number"], row["vr"])), expected(row, option, iod, parent)
        if now != wanted:
            found.append((row["tag"], row["name"], row["vr"], now, wanted))
    return found


def full(sop: str) -> bytes:
    values = {row["number"]: element(row["number"], row["vr"], token(row["number"], row["vr"])) for row in rows()}
    return of_all(values | {0x00080016: sop_class(sop)})


def test_the_table_is_whole():
    assert len(rows()) == 657 - 5  # without groups 0000, 0002, 0004 and the row of private attributes
    assert {row["basic"] for row in rows()} == {"X", "D", "U", "Z", "X/D", "X/Z", "X/Z/D", "Z/D", "X/Z/U*"}


@pytest.mark.parametrize("option", [None, *COLUMNS])
@pytest.mark.filterwarnings("ignore")
def test_each_row_becomes_what_the_table_says(option):
    result = cleaned(profile(*([option] if option else [])), full(CT)).after
    assert faults(result, option, iods()[CT]) == []
    assert result.PatientID == result.PatientName == "PSEUDONYM1"


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.filterwarnings("ignore")
def test_the_types_of_the_iod_decide_at_the_top_level(name):
    sop = CLASSES[name]
    assert faults(cleaned(profile(), full(sop)).after, None, iods()[sop]) == []


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.filterwarnings("ignore")
def test_the_types_of_the_iod_decide_inside_of_each_sequence_that_no_row_names(name):
    sop = CLASSES[name]
    iod, listed = iods()[sop], {row["number"] for row in rows()}
    parents = {int(place.split(">")[0], 16) for place in resolved()[iod] if not place.startswith(">")} - listed
    inside = b"".join(
        element(row["number"], row["vr"], token(row["number"], row["vr"]))
        for row in sorted(rows(), key=lambda r: r["number"])
    )
    for parent in sorted(parents):
        encoded = of_all({0x00080016: sop_class(sop), parent: element(parent, "SQ", item(inside))})
        result = cleaned(profile(), encoded).after
        assert faults(result[parent].value[0], None, iod, parent) == [], f"{parent:08X}"


@pytest.mark.parametrize("sop", ["", "1.2.3.4.5", "1.2.840.113619.4.26"], ids=["none", "unknown", "private"])
@pytest.mark.filterwarnings("ignore")
def test_of_an_unknown_class_nothing_goes_that_any_iod_requires(sop):
    result = cleaned(profile(), full(sop)).after
    required = {row["number"]: row for row in rows() if any(_required(iod, row) for iod in modules())}
    assert required
    for number, row in required.items():
        assert number in result, row
    for row in rows():
        now = shown(result, row, token(row["number"], row["vr"]))
        assert now not in ("kept", "changed", "shifted"), row


def _required(iod: str, row: dict[str, str]) -> bool:
    return f">{row['number']:08x}" in resolved().get(iod, {}) or modules()[iod].get(row["keyword"]) in ("1", "2")
