"""The files of a run, one after another, so that a folder may hold any number of them.

Guarantees that every entry below the inputs is given once, in the order of names, and that nothing is passed over in
silence: a link to a folder, a device and a folder that cannot be read are given too, with why. The output folder is
left out where it lies in an input.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Found:
    """A file to be cleaned.

    Parameters
    ----------
    path
        Where it is.
    relative
        Its place below the input folder; the bare name of an input file.
    named
        The user named the file itself.
    skipped, failed
        Why it is not looked at; at most one is not empty.
    """

    path: Path
    relative: Path
    named: bool = False
    skipped: str = ""
    failed: str = ""


def find(inputs: Iterable[Path], out: Path) -> Iterator[Found]:
    """Give all files of the inputs: files, and folders with everything below them, `out` excepted."""
    for path in inputs:
        try:
            mode = path.stat().st_mode
        except OSError as error:
            yield Found(path, Path(path.name), named=True, failed=f"cannot be read: {error.strerror}")
            continue
        if stat.S_ISDIR(mode):
            yield from _below(path, Path(), _identity(out))
        else:
            failed = "" if stat.S_ISREG(mode) else "no regular file"
            yield Found(path, Path(path.name), named=True, failed=failed)


def _below(folder: Path, relative: Path, left_out: tuple[int, int] | None) -> Iterator[Found]:
    if _identity(folder) == left_out:
        return
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        yield Found(folder, relative, failed=f"cannot be read: {error.strerror}")
        return
    for entry in found:
        path, place = folder / entry.name, relative / entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _below(path, place, left_out)
        elif entry.is_dir():
            yield Found(path, place, skipped="a link to a folder, which is not followed")
        elif entry.is_symlink() and not path.exists():
            yield Found(path, place, skipped="a link to nothing")
        else:
            yield Found(path, place, skipped="" if entry.is_file() else "no regular file")


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        state = folder.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino
