"""What lies at the sinks: looked at, remembered by number and digest, and thrown away: a long run fits any disk."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from node.digest import new_digest
from tests.soak.stock import TOKENS, pixels_of

_WRITTEN_SECONDS = 3.0  # without a change, after which a file counts as whole


@dataclass
class Arrived:
    """All copies of one instance at one sink: the contents that they had, and the number that their pixels tell."""

    copies: int = 0
    digests: set[bytes] = field(default_factory=set)
    numbers: set[int] = field(default_factory=set)


@dataclass
class Harvest:
    """The files of one sink; `torn` says whether it may leave some half-written, because it is killed."""

    name: str
    folder: Path
    torn: bool = False
    found: dict[str, Arrived] = field(default_factory=dict)
    files: int = 0
    half: int = 0
    differences: list[str] = field(default_factory=list)

    def gather(self, *, everything: bool = False) -> None:
        """Look at what has come, and throw it away; `everything` also looks at what was written just now."""
        before = math.inf if everything else time.time() - _WRITTEN_SECONDS
        for path in sorted(self.folder.iterdir()):
            if (everything or path.suffix != "") and path.stat().st_mtime < before:
                self._take(path)
                path.unlink()

    def _take(self, path: Path) -> None:
        content = path.read_bytes()
        self.files += 1
        try:
            ds = pydicom.dcmread(path, specific_tags=["SOPInstanceUID", "PixelData"])
            uid, pixels = str(ds.SOPInstanceUID), bytes(ds.PixelData)
            number = int.from_bytes(pixels[-4:], "little")
            whole = pixels == pixels_of(number)
        except (InvalidDicomError, AttributeError, EOFError, OSError, ValueError):
            whole = False
        if not whole:
            self.half += 1
            if not self.torn:
                self.differences.append(f"{self.name}: a file is not whole, or has other pixels")
            return
        if any(token in content for token in TOKENS):
            self.differences.append(f"{self.name}: number {number} shows identity")
        arrived = self.found.setdefault(uid, Arrived())
        arrived.copies += 1
        arrived.digests.add(new_digest(content[144 + int.from_bytes(content[140:144], "little") :]).digest())
        arrived.numbers.add(number)
