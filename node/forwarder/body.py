"""What goes over the wire of an instance: an open file, and the pieces of its data set.

Guarantees that nothing of a file is read before it is sent, unless it has to go in another transfer syntax; what is
sealed is decrypted piece by piece on its way. Refuses (FileNotFoundError) an instance whose file is not in the spool,
(SealError) one whose original cannot be opened with the key.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from node.durable import write_all
from node.instances import pieces
from node.ledger.sending import Due
from node.recipe import Segment
from node.sealing import Original
from node.spool import Spool, as_spool_error
from node.transcode import transcode


@dataclass(frozen=True, slots=True)
class Body:
    """A data set to be sent: literal bytes, and (offset, length) of the file, which is the holder's.

    The file is a descriptor, or a sealed original.
    """

    file: int | Original
    segments: list[Segment]

    def close(self) -> None:
        """Close the file."""
        if isinstance(self.file, int):
            os.close(self.file)
        else:
            self.file.close()


def opened(spool: Spool, due: Due) -> Body:
    """Open what an instance is sent from. Raises FileNotFoundError, SealError."""
    if due.derived is None:
        file = os.open(spool.cleaned_file(due.id), os.O_RDONLY | os.O_CLOEXEC)
        return Body(file, [(due.offset, due.size - due.offset)])
    original = spool.open_original(due.id)
    return Body(original if original.sealed else original.descriptor, due.derived.segments)


def converted(spool: Spool, due: Due, owner: str, body: Body, syntax: str) -> Body:
    """Return the instance in another uncompressed syntax, in a file that is gone when it is closed.

    Raises
    ------
    DatasetError
        It cannot be converted, or what is sealed cannot be opened (SealError).
    SpoolError
        The disk refused.
    """
    whole = _nameless(spool, due, owner)
    try:
        spool.check_room(due.size)
        for piece in pieces(body.segments, body.file):
            write_all(whole, piece)
        return _transcoded(spool, due, owner, whole, syntax)
    except OSError as error:
        raise as_spool_error(error, spool.incoming) from None
    finally:
        os.close(whole)


def _transcoded(spool: Spool, due: Due, owner: str, whole: int, syntax: str) -> Body:
    target = _nameless(spool, due, owner)
    try:
        length = transcode(whole, 0, due.transfer_syntax_uid, syntax, target, spool.check_room)
    except BaseException:
        os.close(target)
        raise
    return Body(target, [(0, length)])


def _nameless(spool: Spool, due: Due, owner: str) -> int:
    suffix = f"{owner.replace('/', '-')}.sent"
    try:
        return spool.create(due.id, suffix)
    finally:
        spool.abandon(due.id, suffix)
