"""What is planted beyond minimal objects: each function gives files, as (name, tree, what else the file needs)."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydicom._dicom_dict import DicomDictionary

from tests.deidset.encoding import BIG, DEFLATED, EXPLICIT, IMPLICIT, OPEN_ENDED, Syntax, Tree
from tests.deidset.objects import PATIENTS, ct
from tests.deidset.values import FIXED, Values
from tests.profile.support import DATA, rows

STUDY = PATIENTS[0].studies[0]
OTHER = PATIENTS[1].studies[1]
ISSUER = 0x00100021
DEEP = (0x00081115, 0x00189346, 0x00400260)  # sequences that no row of Table E.1-1 names
VRS = (
    "AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "OB", "OD", "OF", "OL", "OV", "OW", "PN",
    "SH", "SL", "SQ", "SS", "ST", "SV", "TM", "UC", "UI", "UL", "UN", "UR", "US", "UT", "UV",
)  # fmt: skip
CLASSES = {
    "ct": "1.2.840.10008.5.1.4.1.1.2",
    "mr": "1.2.840.10008.5.1.4.1.1.4.1",
    "rtstruct": "1.2.840.10008.5.1.4.1.1.481.3",
    "sr": "1.2.840.10008.5.1.4.1.1.88.33",
    "gsps": "1.2.840.10008.5.1.4.1.1.11.1",
    "seg": "1.2.840.10008.5.1.4.1.1.66.4",
    "pet": "1.2.840.10008.5.1.4.1.1.128",
}
# Not planted by number: what says how the file is encoded, and what has files of its own.
_LEFT_OUT = (
    0x00120064,
    0x00080005,
    0x00080016,
    0x00080018,
    0x0020000D,
    0x0020000E,
    0x00100010,
    0x00100020,
    0x00100030,
    ISSUER,
)


@dataclass
class File:
    """A file of the set; `held` says that holding it is a right thing to do."""

    name: str
    tree: Tree
    syntax: Syntax = EXPLICIT
    held: bool = False
    meta: Tree = field(default_factory=dict)
    preamble: bytes = bytes(128)
    tail: bytes = b""


def of_rows(values: Values) -> Iterator[File]:
    """Every row of Table E.1-1 in several IODs, at the top and three levels deep, in every encoding."""
    for name, sop_class in CLASSES.items():
        yield File(f"rows-{name}", ct(values, STUDY, sop_class) | _rows(values))
    for syntax, name in ((IMPLICIT, "implicit"), (BIG, "big"), (DEFLATED, "deflated"), (OPEN_ENDED, "open")):
        yield File(f"rows-{name}", ct(values, STUDY) | _rows(values) | _deep(_rows(values)), syntax)
    yield File("rows-deep", ct(values, STUDY, CLASSES["rtstruct"]) | _deep(_rows(values)))


def of_dictionary(values: Values, step: int = 1) -> Iterator[File]:
    """Every element that the dictionary has, listed or not; only each `step`-th where that is asked for."""
    tags = sorted(tag for tag in DicomDictionary if _may_be_planted(tag))[::step]
    middle = len(tags) // 2
    for number, some in enumerate((tags[:middle], tags[middle:])):
        yield File(f"dictionary-{number}", ct(values, OTHER) | {tag: _any(tag, values) for tag in some})
        deep = {tag: _any(tag, values) for tag in some}
        yield File(f"dictionary-deep-{number}", ct(values, OTHER) | _deep(deep), (IMPLICIT, OPEN_ENDED)[number])


def of_private(values: Values) -> Iterator[File]:
    """Private elements of all VRs, with and without creators, and those that the standard calls safe."""
    block: Tree = {0x00090010: ("LO", f"{values.token()} MAKER"), 0x00330010: ("LO", "GEMS_IDEN_01")}
    block |= {0x00091001 + n: _private(vr, values) for n, vr in enumerate(VRS)}
    block |= {0x00331001 + n: _private(vr, values) for n, vr in enumerate(VRS)}
    without: Tree = {0x00351101 + n: _private(vr, values) for n, vr in enumerate(VRS)}
    beyond: Tree = {0x7FE10010: ("LO", "GEMS_Ultrasound_ImageGroup_001"), 0x7FE11001: ("OB", values.token().encode())}
    for name, tree in (("creator", block | beyond), ("orphans", without), ("safe", _safe(values))):
        for syntax in (EXPLICIT, IMPLICIT):
            deep = _deep({tag: value for tag, value in tree.items() if tag >> 16 != 0x7FE1})
            kind = "implicit" if syntax.implicit else "explicit"
            yield File(f"private-{name}-{kind}", ct(values, STUDY) | tree | deep, syntax)


def of_places(values: Values) -> Iterator[File]:
    """Where no attribute stands, or where one hides: preamble, meta, padding, overlays, curves, UN, documents."""
    meta: Tree = {tag: ("AE", values.token()) for tag in (0x00020016, 0x00020017, 0x00020018)}
    meta |= {tag: ("UR", f"urn:{values.token()}") for tag in (0x00020026, 0x00020027, 0x00020028)}
    meta |= {0x00020013: ("SH", values.token()), 0x00020100: ("UI", values.uid())}
    meta |= {0x00020102: ("OB", values.token().encode())}
    preamble = (b"MM\0*" + values.token().encode()).ljust(128, b"\0")
    yield File("places-meta", ct(values, STUDY), meta=meta, preamble=preamble)
    earlier: Tree = {0x00080100: ("SH", "99-1"), 0x00080102: ("SH", "99TEST"), 0x00080104: ("LO", "An earlier step")}
    yield File(
        "places-earlier", ct(values, STUDY) | {0x00120064: ("SQ", [earlier]), 0x00120063: ("LO", values.token())}
    )
    private_class = ct(values, STUDY, "1.2.840.113619.4.26") | {0x00081030: ("LO", values.token())}
    yield File("places-private-class", private_class, held=True)
    yield File("places-padding", ct(values, STUDY) | {0xFFFCFFFC: ("OB", values.token().encode() * 4)})
    groups = [0x6000, 0x6002, 0x601E, 0x5000, 0x501E]
    planes: Tree = {g << 16 | low: ("LO", values.token()) for g in groups for low in (0x22, 0x1500, 0x2500, 0x4000)}
    planes |= {g << 16 | 0x3000: ("OW", values.token().encode()) for g in groups}
    yield File("places-planes", ct(values, STUDY) | planes)
    yield File("places-un", ct(values, STUDY) | _hidden(values))
    yield File("places-un-implicit", ct(values, STUDY) | _hidden(values), IMPLICIT)
    yield File("places-wrong-vr", ct(values, STUDY) | {0x00081030: ("CS", values.token())} | _wrong(values))


def of_texts(values: Values) -> Iterator[File]:
    """A patient's own name, id, birth date and UIDs in text that no row names: to be scrubbed, or held."""
    patient = PATIENTS[0]
    birth = f"{patient.birth[:4]}-{patient.birth[4:6]}-{patient.birth[6:]}"
    for number, text in enumerate((patient.name.split("^")[0], patient.id, birth, STUDY.uid)):
        tree: Tree = {0x00181020: ("LO", f"for {text} only"), 0x00180024: ("SH", values.token())}
        yield File(f"texts-{number}", ct(values, STUDY) | {0x00080022: ("DA", STUDY.day)} | tree, held=True)


CHARSETS = {
    "ISO_IR 100": ("latin-1", "M\u00fcller\u00c5ngstr\u00f6m", "Sch\u00e4del"),
    "ISO_IR 144": (
        "iso8859-5",
        "\u041b\u044e\u043ace\u043c\u0431\u0443\u0440\u0433",
        "\u0433\u043e\u043b\u043e\u0432\u0430",
    ),
    "ISO_IR 192": (
        "utf-8",
        "\u03a0\u03b1\u03c0\u03b1\u03b4\u03cc\u03c0\u03bf\u03c5\u03bb\u03bf\u03c2",
        "\u03ba\u03b5\u03c6\u03ac\u03bb\u03b9",
    ),
    "GB18030": ("gb18030", "\u738b\u5c0f\u4e1c\u5317", "\u5934\u90e8"),
    "\\ISO 2022 IR 87": ("iso2022_jp", "\u5c71\u7530\u592a\u90ce", "\u982d\u90e8"),
    "\\ISO 2022 IR 149": ("euc_kr", "\uae40\ud76c\uc911\uc774", "\ub450\ubd80"),
}


def of_charsets(values: Values) -> Iterator[File]:
    """Text of six character sets that goes and that stays, and items with another one than what is around them."""
    made = {name: _charset(name, values) for name in CHARSETS}
    for number, tree in enumerate(made.values()):
        other = made[list(CHARSETS)[(number + 1) % len(CHARSETS)]]
        whole = ct(values, PATIENTS[2].studies[0]) | tree | {DEEP[0]: ("SQ", [other])}
        yield File(f"charset-{number}", whole)


def _charset(name: str, values: Values) -> Tree:
    python, word, kept = CHARSETS[name]
    escape = b"\x1b$)C" if "149" in name else b""
    text = escape + word.encode(python)
    return {
        0x00080005: ("CS", name),
        0x00080080: ("LO", text + values.token().encode()),  # Institution Name
        0x00081070: ("PN", b"X=" + text + b"^" + values.token().encode()),  # Operators' Name
        0x00180024: ("SH", escape + kept.encode(python)),  # Sequence Name, which no row names
    }


def _may_be_planted(tag: int) -> bool:
    group = tag >> 16
    return (
        group not in (0, 2, 0x7FE0)
        and tag & 0xFFFF != 0
        and tag not in _LEFT_OUT
        and tag < 0xFFF00000
        and DicomDictionary[tag][0] != "NONE"
    )


def _any(tag: int, values: Values) -> tuple[str, object]:  # type: ignore[type-arg]
    vr = DicomDictionary[tag][0].partition(" ")[0]
    return (vr, [_inside(values)]) if vr == "SQ" else (vr, values.of(vr, tag))


def _rows(values: Values) -> Tree:
    found: Tree = {}
    for row in rows():
        tag, vr = row["number"], row["vr"]
        if tag not in _LEFT_OUT and tag not in FIXED and tag >> 16 != 0xFFFC:
            found[tag] = (vr, [_inside(values)] if vr == "SQ" else values.of(vr, tag))
    return found


def _inside(values: Values) -> Tree:
    return {
        0x00080104: ("LO", values.token()),  # Code Meaning
        0x00080090: ("PN", values.token()),  # Referring Physician's Name
        0x00081155: ("UI", values.reference()),  # Referenced SOP Instance UID
        0x00180050: ("DS", "1.25"),  # Slice Thickness
    }


def _deep(content: Tree) -> Tree:
    for tag in reversed(DEEP):
        content = {tag: ("SQ", [content])}
    return content


def _private(vr: str, values: Values) -> tuple[str, object]:  # type: ignore[type-arg]
    return (vr, [_inside(values)]) if vr == "SQ" else (vr, values.of(vr))


def _safe(values: Values) -> Tree:
    """Some safe attributes, each beside one of the same creator that is not."""
    tree: Tree = {}
    blocks: dict[tuple[int, str], int] = {}
    with (DATA / "e3.10-1.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            group, low, vr = int(row["group"], 16), int(row["element_low"], 16), row["vr"]
            if vr not in ("CS", "DS", "FD", "FL", "IS", "LO", "SH", "SL", "SS", "ST", "UI", "UL", "US"):
                continue
            creator = (group, row["private_creator"])
            block = blocks.setdefault(creator, 0x10 + sum(1 for known, _ in blocks if known == group))
            tree[group << 16 | block] = ("LO", row["private_creator"])
            tree[group << 16 | block << 8 | low] = (vr, values.of(vr))
            tree.setdefault(group << 16 | block << 8 | 0xFD, ("LO", values.token()))
    return tree


def _hidden(values: Values) -> Tree:
    item: Tree = {0x00080090: ("PN", values.token()), 0x00081155: ("UI", values.uid())}
    return {
        0x00081115: ("UN", [item]),
        0x00081140: ("UN", [item]),
        0x00090010: ("LO", "ACME 1.0"),
        0x00091001: ("UN", [item]),
        0x00091002: ("UN", values.token().encode()),
        0x00100010: ("UN", values.token().encode()),
        0x0008FFF0: ("UN", [item]),
        0x0008FFF2: ("LO", values.token()),
    }


def _wrong(values: Values) -> Tree:
    return {
        0x00140104: ("LO", values.token()),  # Secondary Reviewer Name: a PN that no row names
        0x00181000: ("UC", values.token()),  # Device Serial Number
        0x300A0650: ("LO", values.uid()),  # Patient Setup UID
    }
