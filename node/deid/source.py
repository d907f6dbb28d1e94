"""A DICOM file, or a data set in memory, as the engine takes it.

Guarantees that what a file holds is looked at where it lies, and that a data set in memory and a deflated one become
files of no name, which nobody else can open and which are gone when they are no longer needed. Refuses (DatasetError)
what cannot be parsed and transfer syntaxes whose encoding is not known.

With `force` a file may lack the preamble, or file meta information, or a transfer syntax in it: then the first element
shows how the data set is encoded, and file meta information is made.
"""

from __future__ import annotations

import copy
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import IO

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

from node.deflated import inflate
from node.durable import write_all
from node.errors import DatasetError, FileError, HoldInstance, HoldReason
from node.instances import pieces
from node.part10 import FileMeta, encode_file_meta, file_meta_end
from node.recipe import Cleaned, EncodedDataset
from node.recipe.dictionary import VRS
from node.syntaxes import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, Syntax, lookup

SOP_CLASS_UID = 0x00080016
SOP_INSTANCE_UID = 0x00080018
_TRANSFER_SYNTAX_UID = 0x00020010
_PREFIX_END = 132
_PREFIX = b"\0" * 128 + b"DICM"
_LONGEST_HEAD = 1 << 20  # bytes of file meta information, private information included


@dataclass(frozen=True, slots=True)
class Source:
    """What is to be cleaned.

    Parameters
    ----------
    file
        Descriptor of the file that the data set lies in.
    whole
        That file's content.
    dataset
        The data set.
    meta
        Its file meta information (group 0002).
    deflated
        Descriptor, content and offset of the deflated stream that the data set was, or None.
    """

    file: int
    whole: mmap.mmap
    dataset: EncodedDataset
    meta: EncodedDataset
    deflated: tuple[int, mmap.mmap, int] | None = None


@contextmanager
def opened(source: str | Dataset, *, force: bool) -> Iterator[Source]:
    """Open a file, or a data set as pydicom has it.

    Raises
    ------
    FileError
        The file cannot be read.
    DatasetError
        It is no DICOM file, or a broken one.
    HoldInstance
        The encoding of its transfer syntax is not known, or it has no element.
    """
    with ExitStack() as stack:
        yield _open(source, force, stack)


def _open(source: str | Dataset, force: bool, stack: ExitStack) -> Source:
    file = _file(source) if isinstance(source, str) else _written(source)
    stack.callback(os.close, file)
    whole = _mapped(file, stack)
    start, group = _group_2(whole[:_LONGEST_HEAD], force)
    meta = EncodedDataset.scan(group, 0, EXPLICIT_LE, meta=True)
    syntax = _syntax(meta, whole[start : start + 8], force)
    if start == len(whole):
        raise HoldInstance(HoldReason.EMPTY, "the data set has no element")
    deflated = None
    if syntax.deflated:
        deflated = file, whole, start
        file = _nameless(stack)
        inflate(deflated[0], start, file, lambda _: None)
        whole, start = _mapped(file, stack), 0
    dataset = EncodedDataset.scan(whole, start, syntax)
    if meta.find(_TRANSFER_SYNTAX_UID) is None:
        meta = _made(dataset)
    return Source(file, whole, dataset, meta, deflated)


def changed(source: Source, cleaned: Cleaned, stack: ExitStack) -> Source:
    """Return the source with what a first step made of its data set, in a file of no name."""
    file = _nameless(stack)
    for piece in pieces(cleaned.segments, source.file):
        write_all(file, piece)
    whole = _mapped(file, stack)
    return Source(file, whole, EncodedDataset.scan(whole, 0, source.dataset.syntax), source.meta)


def _file(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise FileError(f"it cannot be read ({error.strerror})") from None


def _nameless(stack: ExitStack) -> int:
    return stack.enter_context(tempfile.TemporaryFile()).fileno()


def _mapped(file: int, stack: ExitStack) -> mmap.mmap:
    try:
        if os.fstat(file).st_size == 0:
            raise DatasetError("the file is empty")
        whole = mmap.mmap(file, 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise FileError(f"it cannot be read ({error.strerror})") from None

    def close() -> None:
        # Spans of the data set may still look into it; then it goes with the last of them.
        with suppress(BufferError):
            whole.close()

    stack.callback(close)
    return whole


def _group_2(head: bytes, force: bool) -> tuple[int, bytes]:
    """Return where the data set starts, and the encoded file meta information, which may be none."""
    start = _PREFIX_END if head[128:_PREFIX_END] == b"DICM" else 0
    if not start and not force:
        raise DatasetError("it is no DICOM file: no DICM prefix")
    if head[start : start + 2] != b"\2\0":
        if not force:
            raise DatasetError("it has no file meta information")
        return start, b""
    end = file_meta_end(_PREFIX + head[start:]) - _PREFIX_END + start
    return end, head[start:end]


def _syntax(meta: EncodedDataset, first: bytes, force: bool) -> Syntax:
    uid = meta.text(_TRANSFER_SYNTAX_UID)
    if uid:
        found = lookup(uid)
        if found is None:
            raise HoldInstance(HoldReason.UNKNOWN_SYNTAX, "the encoding of its transfer syntax is not known")
        return found
    if not force:
        raise DatasetError("it names no transfer syntax")
    if first[4:6].decode("latin-1") not in VRS:
        return IMPLICIT_LE
    # Groups of a data set begin at 0008; read the wrong way round that is 0800 (PS3.5 7.3).
    return EXPLICIT_LE if int.from_bytes(first[:2], "little") < 0x400 else EXPLICIT_BE


def _made(dataset: EncodedDataset) -> EncodedDataset:
    """Return file meta information for a data set that came without (PS3.10 7.1)."""
    uids = dataset.text(SOP_CLASS_UID) or "", dataset.text(SOP_INSTANCE_UID) or "", dataset.syntax.uid
    made = encode_file_meta(FileMeta(*uids))[_PREFIX_END:]
    return EncodedDataset.scan(made, 0, EXPLICIT_LE, meta=True)


def _written(dataset: Dataset) -> int:
    """Return a file of no name that holds a data set of pydicom, as pydicom writes it."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 -- its descriptor lives on
    try:
        _save(dataset, file)
        file.flush()
        return os.dup(file.fileno())
    except OSError as error:
        raise FileError(f"it cannot be written ({error.strerror})") from None
    except Exception as error:  # noqa: BLE001 -- one instance: pydicom raises anything for values that do not fit
        raise DatasetError(f"pydicom cannot encode the data set ({type(error).__name__})") from None
    finally:
        file.close()


def _save(dataset: Dataset, file: IO[bytes]) -> None:
    shallow = copy.copy(dataset)
    meta = FileMetaDataset(getattr(dataset, "file_meta", None) or Dataset())
    if "TransferSyntaxUID" not in meta:
        implicit, little = dataset.original_encoding
        explicit = EXPLICIT_BE if little is False else EXPLICIT_LE
        meta.TransferSyntaxUID = UID((IMPLICIT_LE if implicit else explicit).uid)
    shallow.file_meta = meta
    shallow.preamble = b"\0" * 128
    dcmwrite(file, shallow, enforce_file_format=False)
