"""Writes a cleaned file from literal bytes and ranges of the original, in constant memory.

Ranges of some size are copied by the kernel, file to file (`copy_file_range`), so that pixel data never passes through
Python; short ones and literals are gathered. A deflated data set that changed is deflated anew (PS3.5 A.5); one that
did not keeps the very stream that it came in. `expected_bytes` says what `write_cleaned` writes, without writing it.
"""

from __future__ import annotations

import errno
import mmap
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from node.deflated import RAW_DEFLATE
from node.durable import write_all
from node.instances.content import Content
from node.instances.source import Source
from node.recipe import Segment
from node.sealing import Original
from node.spool import as_spool_error

_COPIED_BY_KERNEL = 32 * 1024
_GATHERED = 256 * 1024
_CHUNK = 1 << 20
# Sandboxes and some file systems have no copy_file_range; sendfile is the second best.
_CANNOT_COPY = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.EPERM})


def write_cleaned(target: int, head: bytes, source: Source, content: Content) -> int:
    """Write preamble and file meta information (`head`) and the data set; return how many bytes that is.

    Raises
    ------
    SpoolError
        The disk refused; NoRoom when it is full.
    """
    if source.deflated is None:
        return write_segments(target, head, content.segments, source.file, source.whole)
    if content.changed:
        return write_deflated(target, head, content.segments, source.file)
    file, start = source.deflated
    with mmap.mmap(file, 0, access=mmap.ACCESS_READ) as stream:
        return write_segments(target, head, [(start, len(stream) - start)], file, stream)


def expected_bytes(head: bytes, source: Source, content: Content) -> Iterator[bytes]:
    """Give piece by piece the bytes that `write_cleaned` would write."""
    yield head
    if source.deflated is None:
        yield from pieces(content.segments, source.file)
    elif content.changed:
        yield from _deflated(pieces(content.segments, source.file))
    else:
        file, start = source.deflated
        yield from pieces([(start, os.fstat(file).st_size - start)], file)


def write_segments(target: int, head: bytes, segments: Iterable[Segment], source: int, buffer: mmap.mmap) -> int:
    """Write `head` and the segments to `target`; return how many bytes the file then has.

    Raises
    ------
    SpoolError
        The disk refused; NoRoom when it is full.
    """
    gathered, size, total = [head], len(head), len(head)
    try:
        for segment in segments:
            if isinstance(segment, tuple):
                offset, length = segment
                if length >= _COPIED_BY_KERNEL:
                    _write_all(target, gathered)
                    gathered, size = [], 0
                    _copy(source, offset, length, target)
                    total += length
                    continue
                gathered.append(buffer[offset : offset + length])
            else:
                gathered.append(segment)
            size += len(gathered[-1])
            total += len(gathered[-1])
            if size >= _GATHERED:
                _write_all(target, gathered)
                gathered, size = [], 0
        _write_all(target, gathered)
    except OSError as error:
        raise as_spool_error(error, Path("cleaned")) from None
    return total


def write_deflated(target: int, head: bytes, segments: Iterable[Segment], file: int) -> int:
    """Write `head` and the deflated segments, whose ranges are of `file`; return how many bytes the file then has."""
    total = len(head)
    try:
        _write_all(target, [head])
        for piece in _deflated(pieces(segments, file)):
            total += len(piece)
            _write_all(target, [piece])
    except OSError as error:
        raise as_spool_error(error, Path("cleaned")) from None
    return total


def _deflated(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Deflate; a data set has an even length, a deflated one gets a NUL (PS3.5 A.5)."""
    deflate = zlib.compressobj(wbits=RAW_DEFLATE)
    total = 0
    for piece in pieces:
        done = deflate.compress(piece)
        total += len(done)
        yield done
    done = deflate.flush()
    yield done + b"\0" * ((total + len(done)) & 1)


def pieces(segments: Iterable[Segment], file: int | Original) -> Iterator[bytes]:
    """Give segments piece by piece; read, since pages of a map that were looked at stay in memory."""
    for segment in segments:
        if isinstance(segment, bytes):
            yield segment
            continue
        offset, length = segment
        end = offset + length
        while offset < end:
            length = min(_CHUNK, end - offset)
            piece = os.pread(file, length, offset) if isinstance(file, int) else file.read(offset, length)
            if not piece:
                raise OSError(errno.EIO, "the file is shorter than it was")
            offset += len(piece)
            yield piece


def _write_all(target: int, pieces: list[bytes]) -> None:
    write_all(target, b"".join(pieces))


def _copy(source: int, offset: int, length: int, target: int) -> None:
    while length:
        try:
            done = os.copy_file_range(source, target, length, offset)
        except OSError as error:
            if error.errno not in _CANNOT_COPY:
                raise
            done = os.sendfile(target, source, offset, length)
        if done == 0:
            raise OSError(errno.EIO, "the file is shorter than it was")
        offset += done
        length -= done
