"""What is planted to be looked for outside of spool and ledger, and the looking: in whatever disguise it stands."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pydicom
from pydicom.encaps import get_frame

from tests.deidset import planted
from tests.deidset.encoding import EXPLICIT, Tree, encode
from tests.deidset.objects import PATIENTS, ct
from tests.deidset.planted import STUDY, File
from tests.deidset.values import NUMBERS, ROOT, Values
from tests.road.support import shipped_file

JPEG, JPEG_2000 = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.91"
PIXELS = 0x7FE00010

_UID_ROOT = ROOT.rpartition("1.3.")[2].encode()
_TOKEN = re.compile(rb"TK[0-9A-Z]{8}")
_NUMBER = re.compile(rb"(?<![0-9A-Za-z.])[0-9]{3,}(?:\.[0-9]+)?(?:\+0100|Y)?(?![0-9A-Za-z])")
_HEX = re.compile(rb"[0-9A-Fa-f]{16,}")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{12,}")


class Planted(Values):
    """Values that are remembered; numbers are so long that chance writes none of them."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.tokens = {word for one in PATIENTS for word in (one.id, *one.name.split("^"))}
        self.numbers = {day for one in PATIENTS for day in (one.birth, *(s.day for s in one.studies))}

    def token(self) -> str:
        """A word that stands nowhere else."""
        self.tokens.add(made := super().token())
        return made

    def _formed(self, vr: str) -> str:
        pick = partial(self._random.randrange, 10**8, 10**9)
        made = {"DS": f"{pick()}.{pick()}"[:16], "IS": str(pick())}.get(vr) or super()._formed(vr)
        if vr == "TM":
            made += f".{pick() % 10**6:06d}"
        if vr not in ("UI", "AS"):
            self.numbers.add(made)
        return made

    def _numbers(self, vr: str) -> tuple[float, ...]:
        made = super()._numbers(vr)
        if NUMBERS[vr] in "fd":
            made = (float(self._random.randrange(10**6, 10**7)) + 0.5,)
        self.numbers |= {str(one) for one in made if one >= 10**6}
        return made


def encoded(file: File) -> bytes:
    """The data set of a file, as C-STORE takes it."""
    data = encode(file.tree, file.syntax)
    if file.syntax.deflated:
        import zlib

        squeezed = zlib.compressobj(wbits=-15)
        data = squeezed.compress(data) + squeezed.flush()
        data += b"\0" * (len(data) & 1)
    return data + file.tail


def everything(values: Planted) -> Iterator[File]:
    """Tokens in every element of the dictionary, at the top and three deep, private ones, all odd places, pixels."""
    yield from planted.of_dictionary(values)
    yield from planted.of_private(values)
    yield from planted.of_places(values)
    yield from planted.of_texts(values)
    yield from planted.of_charsets(values)
    yield from of_pixels(values)


def of_pixels(values: Planted) -> Iterator[File]:
    """In the first bytes of native pixels, in a comment of JPEG, of JPEG 2000, and in what is no image at all."""
    native = values.token().encode() + bytes(22)
    yield File("pixels-native", image(values) | {PIXELS: ("OW", native)})
    text = f"Patient {values.token()} seen".encode()
    jpeg = get_frame(_pixel_data("SC_rgb_jpeg_dcmtk.dcm"), 0, number_of_frames=1)
    comment = b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text
    yield _compressed("pixels-jpeg", values, JPEG, jpeg[:2] + comment + jpeg[2:])
    text = f"Patient {values.token()} seen".encode()
    stream = get_frame(_pixel_data("JPEG2000.dcm"), 0, number_of_frames=1)
    after = 4 + struct.unpack_from(">H", stream, 4)[0]
    comment = b"\xff\x64" + struct.pack(">HH", len(text) + 4, 1) + text
    yield _compressed("pixels-jpeg2000", values, JPEG_2000, stream[:after] + comment + stream[after:])
    for name, syntax in (("jpeg", JPEG), ("jpeg2000", JPEG_2000)):
        yield _compressed(f"pixels-no-{name}", values, syntax, values.token().encode() * 5)


def image(values: Planted) -> Tree:
    """An image of 4 x 4 pixels."""
    numbers = {0x00280002: 1, 0x00280010: 4, 0x00280011: 4, 0x00280100: 16, 0x00280101: 16, 0x00280102: 15}
    shape: Tree = {tag: ("US", (number,)) for tag, number in (numbers | {0x00280103: 0}).items()}
    return ct(values, STUDY) | shape | {0x00280004: ("CS", "MONOCHROME2"), 0x00104000: ("LT", values.token())}


def _compressed(name: str, values: Planted, syntax: str, frame: bytes) -> File:
    frame += b"\0" * (len(frame) & 1)
    head = struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF) + struct.pack("<HHL", 0xFFFE, 0xE000, 0)
    item = struct.pack("<HHL", 0xFFFE, 0xE000, len(frame)) + frame + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    return File(name, image(values), replace(EXPLICIT, uid=syntax), tail=head + item)


def _pixel_data(name: str) -> bytes:
    return bytes(pydicom.dcmread(shipped_file(name)).PixelData)


# -- looking ---------------------------------------------------------------------------------------------------------


@dataclass
class Search:
    """Looks for what was planted, whatever the case of its letters, also in UTF-16 and UTF-32, hexadecimal, base 64."""

    tokens: set[bytes]
    numbers: set[bytes]

    @classmethod
    def of(cls, values: Planted) -> Search:
        return cls({one.encode() for one in values.tokens}, {one.encode() for one in values.numbers})

    def found(self, data: bytes) -> set[bytes]:
        """The values that stand in `data`."""
        return {one for view in views(data) for one in self._plain(view)}

    def _plain(self, data: bytes) -> set[bytes]:
        upper = data.upper()
        found = self.tokens.intersection(_TOKEN.findall(upper)) | self.numbers.intersection(_NUMBER.findall(upper))
        return found | ({_UID_ROOT} if _UID_ROOT in data else set())


def views(data: bytes) -> Iterator[bytes]:
    """The bytes themselves, and what they say when they are taken for a disguise."""
    yield data
    yield data.replace(b"\0", b"")
    undone = b"\n".join(
        [_unhex(run[shift:]) for run in _HEX.findall(data) for shift in range(2)]
        + [_unbase(run[shift:]) for run in _BASE64.findall(data) for shift in range(4)]
    )
    yield undone
    yield undone.replace(b"\0", b"")


def _unhex(text: bytes) -> bytes:
    return bytes.fromhex(text[: len(text) // 2 * 2].decode())


def _unbase(text: bytes) -> bytes:
    text = text[:-1] if len(text) % 4 == 1 else text
    return base64.b64decode(text.translate(_URL_SAFE) + b"=" * (-len(text) % 4))


_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def of_files(folder: Path, *, but: tuple[Path, ...]) -> dict[str, bytes]:
    """The content of every file below `folder`, but what lies below some places."""
    return {
        str(path): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not any(path.is_relative_to(one) for one in but)
    }
