"""Data sets with a token in every attribute, and what the tables say is to become of it.

What is expected is computed from the files of the tables and pydicom's dictionary, never by the loaders or the engine.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import struct
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from node.recipe import EncodedDataset, Recipe, load_recipe, shipped_recipe
from node.syntaxes import EXPLICIT_LE
from tests.recipe.support import Keys, decode

DATA = Path(__file__).parents[2] / "node/standard/data"
COLUMNS = {
    "retain-safe-private": "rtn_safe_priv",
    "retain-uids": "rtn_uids",
    "retain-device-identity": "rtn_dev_id",
    "retain-institution-identity": "rtn_inst_id",
    "retain-patient-characteristics": "rtn_pat_chars",
    "retain-full-dates": "rtn_long_full_dates",
    "retain-modified-dates": "rtn_long_modif_dates",
    "clean-descriptors": "clean_desc",
    "clean-structured-content": "clean_struct_cont",
    "clean-graphics": "clean_graph",
    "clean-pixel-data": None,
}
# CID 7050 (PS3.16).
CODES = {
    "clean-graphics": "113103",
    "clean-structured-content": "113104",
    "clean-descriptors": "113105",
    "retain-full-dates": "113106",
    "retain-modified-dates": "113107",
    "retain-patient-characteristics": "113108",
    "retain-device-identity": "113109",
    "retain-uids": "113110",
    "retain-safe-private": "113111",
    "retain-institution-identity": "113112",
}
CT = "1.2.840.10008.5.1.4.1.1.2"
LONG = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
# Names and labels that tell objects apart.
NAMES = {
    0x00181030, 0x00200027, 0x003A0020, 0x003A0203, 0x0040B03B, 0x0040B03F, 0x006A0005, 0x30020121,
    0x3004007F, 0x30060002, 0x30060004, 0x30060026, 0x30060085, 0x300A0002, 0x300A0003, 0x300A0608,
    0x300A0619, 0x300A0623, 0x300A062A, 0x300A067C, 0x300A079A, 0x30100033, 0x30100034, 0x30100035,
    0x30100036, 0x30100038, 0x30100054, 0x30100056,
}  # fmt: skip
# Sequences that their options clean item by item: a code in no code sequence does not belong into a content item.
CLEANED_ITEMS = {
    0x0040A730: "dummy",
    0x00400555: "dummy",
    0x0040B020: "dummy",
    0x00700001: "dummy",
    0x00400610: "walked",
}
# Dates that anyone can look up: shifted, they would tell by how much.
NOT_THE_PATIENTS = {
    "00080106",
    "00080107",
    "00120086",
    "00120087",
    "0014407C",
    "0014407E",
    "00181200",
    "00181201",
    "00181202",
    "00181203",
    "00181204",
    "00181205",
    "0018700C",
    "0018700E",
    "0040DB06",
    "0040DB07",
    "0044000B",
    "00686226",
    "00686270",
    "0072000A",
}


@cache
def rows() -> list[dict[str, str]]:
    """Every row of Table E.1-1 that a data set can hold, with `number`, the tag; repeating groups by their first."""
    found = []
    with (DATA / "e1-1.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            digits = row["tag"][1:5] + row["tag"][6:10]
            if row["tag"][1:5] in ("0000", "0002", "0004") or not row["keyword"]:
                continue
            number = int(digits.replace("50xxxxxx", "50003000").replace("xx", "00"), 16)
            vr = {"(various)": "OW", "OB or OW": "OW"}.get(row["vr"], row["vr"])
            found.append(row | {"number": number, "vr": vr})
    return found


@cache
def resolved() -> dict[str, dict[str, str]]:
    return json.loads((DATA / "e1-1-resolved.json").read_text())


@cache
def modules() -> dict[str, dict[str, str]]:
    return json.loads(gzip.decompress((DATA / "iod-required.json.gz").read_bytes()))["iod"]


@cache
def iods() -> dict[str, str]:
    with (DATA / "sop-class-to-iod.csv").open(encoding="utf-8") as file:
        return {row["sop_class_uid"]: row["iod"] for row in csv.DictReader(file)}


@cache
def strictest(iod: str, parent: int, tag: int) -> str:
    """What an IOD's mandatory modules say of a place: 1, 2 or 3."""
    return min(_types(iod).get((parent, tag), {"3"}))


@cache
def _types(iod: str) -> dict[tuple[int, int], set[str]]:
    found: dict[tuple[int, int], set[str]] = {}
    for path, kind in modules()[iod].items():
        parts = [tag_for_keyword(part) or 0 for part in path.split("/")]
        found.setdefault((parts[-2] if len(parts) > 1 else 0, parts[-1]), set()).add(kind)
    return found


def code_of(row: dict[str, str], option: str | None) -> tuple[str, str]:
    """The code of a row under the Basic Profile and an option, and the code that C falls back on."""
    column = COLUMNS[option] if option else None
    code = (row[column] if column else "") or row["basic"]
    if option == "retain-modified-dates" and f"{row['number']:08X}" in NOT_THE_PATIENTS:
        code = row["basic"]
    return code, row["basic"]


def expected(row: dict[str, str], option: str | None, iod: str, parent: int = 0) -> str:
    """What is to become of a row: kept, removed, empty, dummy, uid, shifted, or walked for a sequence."""
    code, basic = code_of(row, option)
    vr = row["vr"]
    if code == "C" and (clean := what_c_makes(row, iod, parent)):
        return clean
    code = by_type(basic if code == "C" else code, iod, parent, row["number"])
    if vr == "SQ":
        return {"X": "removed", "Z": "empty", "D": "dummy", "K": "walked", "U": "walked"}[code]
    if vr == "UI" and code == "D":
        return "uid"
    return {"X": "removed", "Z": "empty", "D": "dummy", "K": "kept", "U": "uid"}[code]


def what_c_makes(row: dict[str, str], iod: str, parent: int) -> str:
    """What C makes of a row that holds tokens; "" where nothing cleans it."""
    vr, number = row["vr"], row["number"]
    if vr in ("DA", "DT", "TM") or number == 0x00080201:
        return "shifted" if vr in ("DA", "DT") else "kept"
    if vr in ("LO", "LT", "SH", "ST", "UC", "UT"):
        # Of a token no word stays; but a name stays one, and what an IOD requires is not empty.
        return "dummy" if number in NAMES or strictest(iod, parent, number) == "1" else "empty"
    return CLEANED_ITEMS.get(number, "walked" if vr == "SQ" and row["clean_desc"] == "C" else "")


def by_type(code: str, iod: str, parent: int, tag: int) -> str:
    """A code, resolved by the tables of the IOD."""
    if "/" in code:
        place = f"{parent:08x}>{tag:08x}" if parent else f">{tag:08x}"
        code = resolved()[iod].get(place, "Z" if code == "Z/D" else "X")
    stricter = {("X", "1"): "D", ("Z", "1"): "D", ("X", "2"): "Z"}
    return stricter.get((code, strictest(iod, parent, tag)), code)


def element(tag: int, vr: str, value: bytes) -> bytes:
    """An element in Explicit VR Little Endian."""
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    size = struct.pack("<HL", 0, len(value)) if vr in LONG else struct.pack("<H", len(value))
    return head + size + value


def item(content: bytes) -> bytes:
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(content)) + content


def token(tag: int, vr: str, salt: str = "") -> bytes:
    """A value that is legal in the VR and like no other."""
    number = int(hashlib.sha256(f"{tag:08X}{vr}{salt}".encode()).hexdigest()[:8], 16)
    if tag == 0x00080201:
        return b"+0%d30 " % (number % 10)
    text = {
        "AS": f"{number % 90 + 1:03d}Y",
        "CS": f"TOKEN{number}",
        "DA": f"{2001 + number % 15}0{number % 9 + 1}1{number % 9}",
        "DT": f"{2001 + number % 15}0{number % 9 + 1}1{number % 9}101112.5+0100",
        "DS": f"{number % 1000000}.5",
        "IS": f"{number % 1000000 + 2}",
        "PN": f"TOKEN{number}^A",
        "TM": f"1{number % 10}{number % 6}{number % 7}{number % 6}{number % 9}",
        "UI": f"1.2.3.{number}",
        "US": None,
        "SQ": None,
    }.get(vr, f"TOKEN{number}")
    if vr == "US":
        return struct.pack("<H", number % 60000 + 1)
    if vr == "SQ":
        return item(element(0x00080100, "SH", f"TOKEN{number % 10000}".encode().ljust(10)))
    assert text is not None
    return text.encode() + (b"\0" if vr == "UI" else b" ") * (len(text) & 1)


@dataclass
class Case:
    """A cleaned data set: what became of its bytes."""

    after: Dataset
    encoded: bytes


@cache
def profile(*options: str) -> Recipe:
    texts = [shipped_recipe(name) for name in ("ps3.15-basic", *options)]
    return load_recipe([text for text in texts if text is not None])


def cleaned(recipe: Recipe, encoded: bytes) -> Case:
    result = recipe.apply(EncodedDataset.scan(encoded, 0, EXPLICIT_LE), Keys(), {}).tobytes()
    return Case(decode(result), result)


def sop_class(uid: str) -> bytes:
    return element(0x00080016, "UI", uid.encode() + b"\0" * (len(uid) & 1))


def of_all(values: dict[int, bytes]) -> bytes:
    """A data set of encoded elements by tag."""
    return b"".join(values[tag] for tag in sorted(values))


def shown(result: Dataset, row: dict[str, str], original: bytes) -> str:
    """What became of a row in a cleaned data set, in the words of `expected`."""
    tag, vr = row["number"], row["vr"]
    if tag not in result:
        return "removed"
    found = result[tag]
    if not found.value and found.value != 0:
        return "empty"
    if vr == "SQ":
        own = b"TOKEN" + original.split(b"TOKEN")[1].strip()
        return "walked" if own in str(found.value[0]).encode() else "dummy"
    text = original.rstrip(b"\0 ").decode("latin-1")
    now = _text(found, original)
    known = {text: "kept"}
    if vr in ("DA", "DT"):
        known[shifted(text)] = "shifted"
    elif vr == "UI":
        known[Keys().uid(text)] = "uid"
    return known.get(now) or ("changed" if "TOKEN" in now or vr == "UI" else "dummy")


def shifted(text: str) -> str:
    day = date.fromisoformat(f"{text[:4]}-{text[4:6]}-{text[6:8]}") + timedelta(days=Keys().shift_days())
    return day.strftime("%Y%m%d") + text[8:]


def _text(found: object, original: bytes) -> str:
    value = found.value  # type: ignore[attr-defined]
    if isinstance(value, bytes):
        return value.rstrip(b"\0 ").decode("latin-1")
    if isinstance(value, int) and len(original) == 2:
        return struct.pack("<H", value).decode("latin-1").rstrip("\0 ")
    return str(getattr(value, "original_string", value))
