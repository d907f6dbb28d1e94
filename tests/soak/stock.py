"""Small synthetic instances, of which each can be made again from its number: the sender's side of the comparison."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import pydicom

from node.digest import new_digest
from tests.support import make_ct

TOKENS = (b"PLANTED", b"SOAKMRN", b"2.25.17070707")
"""What no sink may ever see: names and numbers of patients, and what every original UID begins with."""

PLAIN, NOBODY, UNWANTED, BROKEN, MISMATCH, CUT_OFF = "plain", "nobody", "unwanted", "broken", "mismatch", "cut off"
"""What becomes of it: delivered; held for want of a Patient ID; excluded; held as unparsable; held; never received."""

_PATIENTS = 6
_ROWS = 48
_ELEMENTS = (
    b"\x10\x00\x20\x00LO",
    b"\x10\x00\x10\x00PN",
    b"\x20\x00\x0d\x00UI",
    b"\xe0\x7f\x10\x00OW",
)
_BARE_UID = "2.25.170707070000000000000000000000"
_UNWANTED_MODALITY = "OT"
EXCLUDE = f"equals Modality {_UNWANTED_MODALITY}"


@dataclass(frozen=True, slots=True)
class Item:
    """One instance to be sent: its number, its kind, and the called AE title, which is the route."""

    number: int
    kind: str
    called: str

    @property
    def uid(self) -> str:
        """Its SOP Instance UID."""
        return uid_of(self.number)


def uid_of(number: int) -> str:
    """The SOP Instance UID of an instance."""
    return f"2.25.17070707{number:022d}"


def number_of(uid: str) -> int | None:
    """The number of an instance with this UID, or None where it is none of ours."""
    return int(uid[13:]) if uid.startswith("2.25.17070707") and len(uid) == len(_BARE_UID) else None


class Stock:
    """Makes the files of instances."""

    def __init__(self, folder: Path) -> None:
        self._models = [
            {kind: self._model(folder, patient, kind) for kind in (PLAIN, NOBODY, UNWANTED)}
            for patient in range(_PATIENTS)
        ]
        shutil.rmtree(folder)

    @staticmethod
    def _model(folder: Path, patient: int, kind: str) -> bytes:
        (path,) = make_ct(folder, 1, rows=_ROWS, patient=f"SOAKMRN-{patient:04d}")
        ds = pydicom.dcmread(path)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = _BARE_UID
        ds.StudyInstanceUID, ds.SeriesInstanceUID = uid_of(10**12 + patient), uid_of(10**13 + patient)
        ds.FrameOfReferenceUID = uid_of(10**14 + patient)
        ds.PixelData = pixels_of(0)[:-4] + b"NNNN"
        if kind == NOBODY:
            ds.PatientID = "UNKNOWN"
        elif kind == UNWANTED:
            ds.Modality = _UNWANTED_MODALITY
        ds.save_as(path)
        return path.read_bytes()

    def file(self, item: Item) -> bytes:
        """A Part 10 file; the same bytes for the same item, always."""
        model = self._models[item.number % _PATIENTS].get(item.kind) or self._models[item.number % _PATIENTS][PLAIN]
        return model.replace(_BARE_UID.encode(), item.uid.encode()).replace(b"NNNN", item.number.to_bytes(4, "little"))

    def data_set(self, item: Item) -> bytes:
        """What goes over the wire of it."""
        data = _behind_meta(self.file(item))
        if item.kind == BROKEN:
            return data[: _within_an_element(data, random.Random(item.number))]
        # Command and data set name different instances.
        return data.replace(item.uid.encode(), uid_of(item.number + 10**15).encode()) if item.kind == MISMATCH else data

    def digest(self, item: Item) -> bytes:
        """By which the ledger has to know what was received of it."""
        return new_digest(self.data_set(item)).digest()


def _within_an_element(data: bytes, chance: random.Random) -> int:
    """A place that no data set can end at: in the header or in the value of an element."""
    start = data.index(chance.choice(_ELEMENTS))
    return start + chance.randrange(1, 12)


def pixels_of(number: int) -> bytes:
    """The pixels of an instance, which no recipe touches."""
    return bytes(2 * _ROWS * _ROWS - 4) + number.to_bytes(4, "little")


def _behind_meta(file: bytes) -> bytes:
    """The data set of a file, found by (0002,0000) alone."""
    return file[144 + int.from_bytes(file[140:144], "little") :]
