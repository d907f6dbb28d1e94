"""What the tests of encryption share: instances with planted values, and a search of every byte for them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pydicom

from tests.crash.support import Deadly
from tests.support import REPOSITORY, make_ct
from tests.zygote import ZYGOTE

TOKENS = ("PLANTED", "MRN-0001")


def uids_of(*files: Path) -> set[str]:
    """Every UID of the originals that names an object of theirs."""
    found: set[str] = set()
    for path in files:
        ds = pydicom.dcmread(path)
        found |= {str(ds.SOPInstanceUID), str(ds.SeriesInstanceUID), str(ds.StudyInstanceUID)}
    return found


def shown(data: Path, *words: str) -> list[tuple[str, str]]:
    """Where any of these words stands in the bytes of any file, in plain, or as one of two usual encodings."""
    found = []
    for path in files_in(data):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue  # the node was quicker, and it is gone
        encoded = ((word, word.encode(code)) for word in words for code in ("ascii", "utf-16-le", "utf-16-be"))
        found += [(str(path.relative_to(data)), word) for word, code in encoded if code in content]
    return found


def without_patient(folder: Path) -> Path:
    """An instance that is held, since it says no Patient ID."""
    return make_ct(folder, 1, patient="")[0]


def read_original(node: Deadly, instance: str, out: Path) -> tuple[int, str]:
    """`deid-node spool read` into a file; return the exit code, and what it said."""
    command = [sys.executable, "-m", "node", "spool", "read", instance, "--config", str(node.config_path)]
    said = out.with_suffix(".said")
    with out.open("wb") as one, said.open("wb") as other:
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        code = ZYGOTE.spawn(command, stdout=one.fileno(), stderr=other.fileno(), cwd=node.folder, env=environment).wait(
            60
        )
    return code, said.read_text()


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
