"""What comes out of cleaning: a file, or a data set of pydicom.

Guarantees that a file is in place with all its bytes or not at all, is readable by its owner alone, and takes the place
of another only where that was asked for. Refuses (FileError) to write over a file otherwise, and ever over one that
the same call has written.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pydicom
from pydicom.dataset import FileDataset

from node.deid.source import SOP_CLASS_UID, SOP_INSTANCE_UID, Source
from node.errors import FileError, NoRoom, SpoolError
from node.instances import write_deflated, write_segments
from node.recipe import Cleaned, EncodedDataset, RecipeText, load_recipe
from node.syntaxes import EXPLICIT_LE

HEAD = b"\0" * 128 + b"DICM"
_FOLLOWING = (
    ("MediaStorageSOPClassUID", 0x00020002, SOP_CLASS_UID),
    ("MediaStorageSOPInstanceUID", 0x00020003, SOP_INSTANCE_UID),
)


@dataclass(frozen=True, slots=True)
class Result:
    """A cleaned data set, what it was made from, and its encoded file meta information."""

    source: Source
    cleaned: Cleaned
    meta: bytes

    def write(self, target: int) -> None:
        """Write the file into a descriptor. Raises SpoolError where the disk refuses."""
        source, cleaned, head = self.source, self.cleaned, HEAD + self.meta
        if not source.dataset.syntax.deflated:
            write_segments(target, head, cleaned.segments, source.file, source.whole)
        elif cleaned.changed or source.deflated is None:
            write_deflated(target, head, cleaned.segments, source.file)
        else:
            # A data set that did not change keeps the very stream that it came in.
            file, whole, start = source.deflated
            write_segments(target, head, [(start, len(whole) - start)], file, whole)


def encoded_meta(original: Source, cleaned: Cleaned) -> bytes:
    """Return the cleaned file meta information; UIDs that no line changed follow those of the data set (PS3.10 7.1)."""
    assert cleaned.meta is not None
    lines: list[str] = []
    given: dict[str, object] = {}
    for keyword, tag, follows in _FOLLOWING:
        new = cleaned.text(follows)
        untouched = cleaned.meta.text(tag) == original.meta.text(tag)
        if untouched and new != original.dataset.text(follows):
            lines.append(f"REPLACE {keyword} func:{keyword}" if new else f"REMOVE {keyword}")
            given[keyword] = _gives(new)
    encoded = cleaned.meta.tobytes()
    if not lines:
        return encoded
    follow = load_recipe([RecipeText("file meta", "\n".join(["FORMAT dicom", "%header", *lines]))], in_node=False)
    return follow.apply(EncodedDataset.scan(encoded, 0, EXPLICIT_LE, meta=True), None, given).tobytes()


def _gives(value: str | None) -> object:
    return lambda **_: value


def as_dataset(result: Result, path: str | None) -> FileDataset:
    """Return the result as pydicom reads it; its `filename` is that of what it was made from."""
    with tempfile.TemporaryFile() as file:
        result.write(file.fileno())
        file.seek(0)
        dataset = pydicom.dcmread(file)
    dataset.filename, dataset.buffer = path, None  # it must not remember a file that is closed
    return dataset


class Writes(Protocol):
    """What can be saved."""

    def write(self, target: int) -> None:
        """Write the file into a descriptor. Raises SpoolError or OSError where the disk refuses."""


class Folder:
    """Where files are saved.

    Parameters
    ----------
    path
        The folder; made where it does not exist. None is a new temporary folder, or with `overwrite` that of each file.
    overwrite
        Whether another file may be replaced.
    """

    def __init__(self, path: str | os.PathLike[str] | None, overwrite: bool) -> None:
        self._path = None if path is None else Path(path)
        self._overwrite = overwrite
        self._temporary: Path | None = None
        self._written: set[Path] = set()

    def save(self, result: Writes, source: str) -> str:
        """Write a result under the name of the file that it was made from; return its path.

        Raises
        ------
        FileError
            There is a file of this name, or the folder cannot be written, or the disk is full.
        """
        try:
            target = self._target(Path(source))
            descriptor, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=target.parent)
        except OSError as error:
            raise FileError(f"it cannot be saved ({error.strerror})", str(self._path or "")) from None
        try:
            try:
                result.write(descriptor)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            self._publish(temporary, target)
        except OSError as error:
            raise FileError(f"it cannot be saved ({error.strerror})", str(target)) from None
        except SpoolError as error:
            why = "the disk is full" if isinstance(error, NoRoom) else "the disk refused"
            raise FileError(f"it cannot be saved ({why})", str(target)) from None
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
        self._written.add(target)
        return str(target)

    def _target(self, source: Path) -> Path:
        if self._path is not None:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            target = Path(os.path.abspath(self._path)) / source.name
        elif self._overwrite:
            target = source
        else:
            return self._temporary_target(source.name)
        if target in self._written:
            raise FileError("another file of this call has the same name", str(target))
        return target

    def _temporary_target(self, name: str) -> Path:
        if self._temporary is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="deid-"))
        folder, number = self._temporary, 1
        while folder / name in self._written:
            number += 1
            folder = self._temporary / str(number)
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder / name

    def _publish(self, temporary: str, target: Path) -> None:
        if self._overwrite:
            os.replace(temporary, target)
            return
        try:
            # Unlike a rename, a link never takes the place of a file.
            os.link(temporary, target)
        except FileExistsError:
            raise FileError("there is a file of this name, and overwrite is not set", str(target)) from None
        except OSError:
            # A file system without links.
            if os.path.lexists(target):
                raise FileError("there is a file of this name, and overwrite is not set", str(target)) from None
            os.replace(temporary, target)
