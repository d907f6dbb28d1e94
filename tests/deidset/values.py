"""Seeded values: legal in their VR, and tokens wherever a text can hold one."""

from __future__ import annotations

import random
import re
import struct
from datetime import date, timedelta

from pydicom.datadict import DicomDictionary

from tests.deidset.encoding import NUMBERS, Value

# UIDs that say what an object is, which no one replaces (PS3.15 E.3.9).
STRUCTURAL = re.compile(
    r"SOPClass|TransferSyntaxUID|CodingSchemeUID|ContextUID|ContextGroup\w*UID|MappingResourceUID|ImplementationClassUID"
)

TOKEN = re.compile(rb"TK[0-9A-HJKMNP-TV-Z]{8}")
ROOT = "1.2.826.0.1.3680043.77"
PLANTED_UID = re.compile(rb"1\.2\.826\.0\.1\.3680043\.77(?:\.[0-9]+)+")
# UIDs that stay by attribute, and so may not be those of an instance.
UNIQUE = frozenset(tag for tag, entry in DicomDictionary.items() if STRUCTURAL.search(entry[4])) | {0x3010001F}
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_FIRST, _DAYS = date(2015, 1, 1), 3000

# What says how other elements are to be read, or what makes a rule look at pixels, has a value that means something.
FIXED: dict[int, Value] = {
    0x00080005: "ISO_IR 100",
    0x00080008: "ORIGINAL\\PRIMARY\\AXIAL",
    0x00080201: "+0100",
    0x00100040: "F",
    0x00280002: (1,),
    0x00280004: "MONOCHROME2",
    0x00280006: (0,),
    0x00280008: "1",
    0x00280010: (4,),
    0x00280011: (4,),
    0x00280100: (16,),
    0x00280101: (16,),
    0x00280102: (15,),
    0x00280103: (0,),
    0x00280301: "NO",
    0x00280302: "NO",
    0x00282110: "00",
    0x00281101: (16, 0, 16),  # descriptors of look-up tables
    0x00281102: (16, 0, 16),
    0x00281103: (16, 0, 16),
    0x00281104: (16, 0, 16),
    0x00283002: (1, 0, 16),
    0x00200032: "0\\0\\2.5",
    0x00200037: "1\\0\\0\\0\\1\\0",
    0x00280030: "1.5\\1.5",
    0x00480010: "NO",  # Specimen Label in Image
    0x00420012: "text/plain",  # MIME Type of Encapsulated Document
}


class Values:
    """Values, each like no other; the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._uids: list[str] = []
        self._made = 0

    def token(self) -> str:
        """A word that stands nowhere else."""
        return "TK" + "".join(self._random.choices(_LETTERS, k=8))

    def uid(self) -> str:
        """A UID of the root that all planted ones have."""
        self._uids.append(self.unique())
        return self._uids[-1]

    def unique(self) -> str:
        """A UID that no reference names."""
        self._made += 1
        digits = 9 + len(str(self._made)) % 2  # of an odd length, so that a NUL stands behind it
        return f"{ROOT}.{self._made}.{self._random.randrange(10 ** (digits - 1), 10**digits)}"

    def reference(self) -> str:
        """A UID that another place has too, or a new one."""
        return self._random.choice(self._uids) if self._uids and self._random.random() < 0.5 else self.uid()

    def day(self) -> str:
        """A date between 2015 and 2023."""
        return f"{_FIRST + timedelta(self._random.randrange(_DAYS)):%Y%m%d}"

    def of(self, vr: str, tag: int = 0) -> Value:
        """A value for an element."""
        if tag in FIXED:
            return FIXED[tag]
        if vr == "UI" and tag in UNIQUE:
            return self.unique()
        if vr in ("DA", "DT", "TM", "AS", "DS", "IS", "UI"):
            return self._formed(vr)
        if vr in NUMBERS and vr != "OW":
            return self._numbers(vr)
        token = self.token()
        return {"PN": f"{token}^A", "UR": f"urn:{token}"}.get(vr) or (token.encode() if vr[0] == "O" else token)

    def _formed(self, vr: str) -> str:
        pick = self._random.randrange
        time = f"{pick(24):02d}{pick(60):02d}{pick(1, 60):02d}"
        return {
            "AS": f"{pick(11, 80):03d}Y",
            "DA": self.day(),
            "DS": f"{pick(1000, 10**6)}.{pick(1, 10)}",
            "DT": f"{self.day()}{time}.{pick(1, 10)}+0100",
            "IS": str(pick(1000, 10**6)),
            "TM": time,
            "UI": self.reference() if vr == "UI" else "",
        }[vr]

    def _numbers(self, vr: str) -> tuple[float, ...]:
        size = struct.calcsize("<" + NUMBERS[vr])
        if NUMBERS[vr] in "fd":
            return (self._random.randrange(1000, 10**6) / 8,)
        return tuple(self._random.randrange(1000, 2 ** (8 * min(size, 4) - 1)) for _ in range(2 if vr == "AT" else 1))
