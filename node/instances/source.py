"""A DICOM file, opened as the spans of its data set.

Guarantees that the file is mapped, not read: what nobody asks for is never in memory, and a deflated data set is
inflated into another file. Refuses (HoldInstance) a transfer syntax whose encoding is not known and a data set without
an element; (DatasetError) what cannot be parsed.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from node.deflated import inflate
from node.errors import DatasetError, HoldInstance, HoldReason
from node.part10 import outline
from node.recipe import Cleaned, EncodedDataset, Memory
from node.syntaxes import Syntax, lookup

SOP_CLASS_UID = 0x00080016
SOP_INSTANCE_UID = 0x00080018
STUDY_INSTANCE_UID = 0x0020000D
SERIES_INSTANCE_UID = 0x0020000E
_HEAD = 65536  # bytes in which the file meta information has to end
_UID = re.compile(r"[0-9.]{1,64}")
_STRICT_UID = re.compile(r"[0-9]+(\.[0-9]+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Source:
    """An opened instance.

    Parameters
    ----------
    media_class, syntax
        Media Storage SOP Class UID (0002,0002), and how its data set is encoded.
    dataset
        Its elements, whose offsets refer to `file` and `whole`.
    file, whole
        Descriptor and map of the file that holds the data set: of the inflated one where it is deflated.
    deflated
        Descriptor of the file that the deflated stream stands in, and its offset; else None.
    """

    media_class: str
    syntax: Syntax
    dataset: EncodedDataset
    file: int
    whole: mmap.mmap
    deflated: tuple[int, int] | None = None


@contextlib.contextmanager
def opened(
    file: int, make: Callable[[], int], check_room: Callable[[int], None], memory: Memory | None = None
) -> Iterator[Source]:
    """Open the instance in the file of a descriptor, which stays the caller's.

    `make` gives a new empty file for a deflated data set, which is closed here; `check_room` is asked before each piece
    is written to it. `memory` knows the headers of the instances before.

    Raises
    ------
    HoldInstance, DatasetError
        As said above.
    NoRoom, SpoolError
        The disk refused what is inflated.
    """
    scan = EncodedDataset.scan if memory is None else memory.scan
    with _mapped(file) as whole:
        media_class, transfer_syntax, start = outline(memoryview(whole)[:_HEAD])
        syntax = lookup(transfer_syntax)
        if syntax is None:
            raise HoldInstance(HoldReason.UNKNOWN_SYNTAX, "the encoding of its transfer syntax is not known")
        if start == len(whole):
            raise HoldInstance(HoldReason.EMPTY, "the data set has no element")
        if not syntax.deflated:
            yield Source(media_class, syntax, scan(whole, start, syntax), file, whole)
            return
    inflated = make()
    try:
        inflate(file, start, inflated, check_room)
        with _mapped(inflated) as whole:
            yield Source(media_class, syntax, scan(whole, 0, syntax), inflated, whole, (file, start))
    finally:
        os.close(inflated)


def required_uids(cleaned: Cleaned) -> tuple[str, str]:
    """Return the SOP Class and Instance UIDs of a result, without which no C-STORE and no file can be made of it."""
    found = cleaned.text(SOP_CLASS_UID) or "", cleaned.text(SOP_INSTANCE_UID) or ""
    if not all(_UID.fullmatch(uid) for uid in found):
        raise HoldInstance(
            HoldReason.ACTION_FAILED,
            "the recipe leaves no valid SOP Class or SOP Instance UID, (0008,0016) (0008,0018)",
        )
    return found


def is_uid(text: str) -> bool:
    """Whether a text is a UID as PS3.5 9.1 has it (leading zeros of a component are let through): safe in a path."""
    return len(text) <= 64 and _STRICT_UID.fullmatch(text) is not None


@contextlib.contextmanager
def _mapped(file: int) -> Iterator[mmap.mmap]:
    if os.fstat(file).st_size == 0:
        raise DatasetError("the data set is empty")
    whole = mmap.mmap(file, 0, access=mmap.ACCESS_READ)
    try:
        yield whole
    finally:
        # Spans of the data set may still look into it; then it goes with the last of them.
        with contextlib.suppress(BufferError):
            whole.close()
