"""A minimal object of every SOP class that the tables know, of patients who come back over years."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache

from pydicom.datadict import dictionary_VR, tag_for_keyword

from tests.deidset.encoding import Tree, Value
from tests.deidset.values import ROOT, Values
from tests.profile.support import iods, modules

PIXELS = 0x7FE00010
# Instances that a cleaner may hold although nothing is wrong with them: whose pixels, sound or documents may show
# somebody, and those of which nobody knows what is in them.
_RISKS = (
    "encapsulated", "audio", "video", "vl-", "secondary-capture", "ultrasound", "us-volume", "angiographic", "xa-image",
    "xrf", "fluoroscopic", "photograph", "dermoscopic", "microscopy", "raw-data", "surface-scan", "confocal",
)  # fmt: skip


@dataclass(frozen=True)
class Study:
    """One study of a patient: when it was, and the UIDs that its instances share."""

    patient: int
    day: str
    next_day: str
    time: str
    uid: str
    frame: str


@dataclass(frozen=True)
class Patient:
    """Who comes back: one name, one id, one birth date."""

    id: str
    name: str
    birth: str
    studies: tuple[Study, ...]


def _study(patient: int, day: str, next_day: str, time: str) -> Study:
    root = f"{ROOT}.9.{patient}.{day}"
    return Study(patient, day, next_day, time, f"{root}.1", f"{root}.2")


# The second day of a study is the one behind midnight: over a year's end, a leap day, a month's end.
PATIENTS = (
    Patient(
        "TKPAT1AAAA",
        "TKNAME1AAA^TKGAVE1AAA",
        "19410308",
        (_study(1, "20171231", "20180101", "235950"), _study(1, "20200228", "20200229", "111500")),
    ),
    Patient(
        "TKPAT2AAAA",
        "TKNAME2AAA^TKGAVE2AAA",
        "19380711",
        (_study(2, "20190630", "20190701", "234500"), _study(2, "20230105", "20230106", "083000")),
    ),
    Patient("TKPAT3AAAA", "TKNAME3AAA^TKGAVE3AAA", "19501024", (_study(3, "20160229", "20160301", "225959"),)),
)


def classes() -> list[tuple[str, str]]:
    """SOP class and IOD of every kind of instance; a DICOMDIR is no instance."""
    return [(uid, iod) for uid, iod in iods().items() if iod != "basic-directory"]


def may_be_held(iod: str) -> bool:
    """Whether holding the instances of an IOD is a right thing to do."""
    return any(word in iod for word in _RISKS) or "PatientID" not in modules()[iod]


def minimal(sop_class: str, iod: str, values: Values, study: Study) -> Tree:
    """What the IOD requires, with a token in it wherever one fits; small pixels where it has rows and columns."""
    tree = _required("", iod, values)
    rest = {tag: value for tag, value in of_study(study).items() if tag in tree or tag >> 16 == 8}
    tree |= rest | {0x00080016: ("UI", sop_class), 0x00080018: ("UI", values.uid())}
    if 0x00280010 in tree:
        tree |= _pixels(zlib.crc32(sop_class.encode()))
    if 0x00420011 in tree:
        tree[0x00420011] = ("OB", f"%PDF-1.4 {values.token()}".encode())
    return tree


def of_study(study: Study) -> Tree:
    """What the instances of a study share."""
    patient = PATIENTS[study.patient - 1]
    return {
        0x00080005: ("CS", "ISO_IR 100"),
        0x00080020: ("DA", study.day),
        0x00080021: ("DA", study.next_day),
        0x00080030: ("TM", study.time),
        0x00080031: ("TM", "000530"),
        0x0008002A: ("DT", f"{study.next_day}000530.25+0100"),
        0x00100010: ("PN", patient.name),
        0x00100020: ("LO", patient.id),
        0x00100030: ("DA", patient.birth),
        0x0020000D: ("UI", study.uid),
        0x00200052: ("UI", study.frame),
    }


def ct(values: Values, study: Study, sop_class: str = "1.2.840.10008.5.1.4.1.1.2") -> Tree:
    """An instance to plant things in."""
    return {
        0x00080016: ("UI", sop_class),
        0x00080018: ("UI", values.uid()),
        0x00080060: ("CS", "CT"),
        0x0020000E: ("UI", values.uid()),
        **of_study(study),
    }


def _pixels(number: int) -> Tree:
    data = bytes((number + step * 37) % 256 for step in range(32))
    return {
        0x00280002: ("US", (1,)),
        0x00280004: ("CS", "MONOCHROME2"),
        0x00280010: ("US", (4,)),
        0x00280011: ("US", (4,)),
        0x00280100: ("US", (16,)),
        0x00280101: ("US", (16,)),
        0x00280102: ("US", (15,)),
        0x00280103: ("US", (0,)),
        0x00280008: ("IS", "1"),
        0x00280301: ("CS", "NO"),
        PIXELS: ("OW", data),
    }


def _required(parent: str, iod: str, values: Values) -> Tree:
    tree: Tree = {}
    for keyword, kind in below(iod).get(parent, ()):
        tag = tag_for_keyword(keyword)
        if tag is None or tag == PIXELS:
            continue
        vr = dictionary_VR(tag).partition(" ")[0]
        value: Value = values.of(vr, tag) if vr != "SQ" else []
        if vr == "SQ" and kind == "1":
            value = [_required(f"{parent}/{keyword}".strip("/"), iod, values)]
        tree[tag] = (vr, value)
    return tree


@cache
def below(iod: str) -> dict[str, list[tuple[str, str]]]:
    """By the path of a sequence: the keywords in its items, and their types; of a sequence without one, nothing."""
    found: dict[str, list[tuple[str, str]]] = {}
    for path, kind in modules().get(iod, {}).items():
        parent, _, keyword = path.rpartition("/")
        found.setdefault(parent, []).append((keyword, kind))
    return found
