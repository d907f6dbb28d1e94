"""The deflated transfer syntax: a raw RFC 1951 stream in place of the data set (PS3.5 A.5), read in constant memory."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from pathlib import Path

from node.durable import write_all
from node.errors import DatasetError
from node.spool import as_spool_error

RAW_DEFLATE = -zlib.MAX_WBITS
_CHUNK = 1 << 20
_ALWAYS = 1 << 30  # bytes that any stream may inflate to
_RATIO = 16  # beyond these, times its own size: what images and reports hardly reach


def inflate(source: int, offset: int, target: int, check_room: Callable[[int], None]) -> int:
    """Inflate the data set of a file, from `offset` on, into another file; return how many bytes it has.

    `check_room` is asked before each piece is written, so that no stream can fill the disk; and none takes more of it,
    and of time, than a real data set might.

    Raises
    ------
    DatasetError
        The stream is broken, ends too early, or inflates to more than a GiB and 16 times its size.
    NoRoom
        It grows beyond what the disk has room for.
    """
    total = 0
    stream = zlib.decompressobj(wbits=RAW_DEFLATE)
    try:
        most = max(_ALWAYS, _RATIO * (os.fstat(source).st_size - offset))
        while not stream.eof:
            chunk = stream.unconsumed_tail
            if not chunk:
                chunk = os.pread(source, _CHUNK, offset)
                offset += len(chunk)
                if not chunk:
                    raise DatasetError("the deflated data set ends too early")
            try:
                inflated = stream.decompress(chunk, _CHUNK)
            except zlib.error:
                raise DatasetError("the deflated data set cannot be inflated") from None
            total += len(inflated)
            if total > most:
                raise DatasetError("the deflated data set inflates to far more than it could hold")
            check_room(len(inflated))
            write_all(target, inflated)
    except OSError as error:
        raise as_spool_error(error, Path("incoming")) from None
    return total
