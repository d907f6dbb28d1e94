"""One instance on its way into the spool.

Guarantees
    0000H is answered only when the file, its name and its row are on stable storage, in this order. Whatever fails is
    answered A700H (PS3.4 B.2.3: refused, out of resources), which senders take as "again later", and leaves nothing
    half-written. Memory does not grow with the instance.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import time
from dataclasses import dataclass, field

from node.dicomnet import StoreAnswer, StoreRequest
from node.digest import new_digest
from node.durable import begin_writing, write_all
from node.errors import LedgerError, LedgerUncertain, SpoolError
from node.ledger.meters import RECEPTION, REFUSED, UNAVAILABLE, Counts
from node.ledger.reception import GroupCommit, Received, known_ids
from node.log import event
from node.receiver.origin import Origin
from node.shared import Bell
from node.spool import Spool, as_spool_error, new_id

LOGGER = logging.getLogger("node.receiver")

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
CANNOT_UNDERSTAND = 0xC000
_PAGE = mmap.PAGESIZE
_WRITE_BACK = 256 << 10  # bytes, with which the disk begins before the others have come
_STORED = StoreAnswer(SUCCESS)


@dataclass(frozen=True, slots=True)
class Intake:
    """What every writer of a process shares."""

    spool: Spool
    commits: GroupCommit
    received: Bell
    counts: Counts = field(default_factory=Counts)


class SpoolWriter:
    """Writes the data set of one C-STORE-RQ behind its envelope."""

    __slots__ = (
        "_digest",
        "_file",
        "_id",
        "_intake",
        "_on_its_way",
        "_origin",
        "_received_at",
        "_request",
        "_rest",
        "_sealer",
        "_size",
        "_trouble",
        "_written",
    )

    def __init__(self, intake: Intake, origin: Origin, request: StoreRequest) -> None:
        self._intake = intake
        self._origin = origin
        self._request = request
        self._id = new_id()
        self._received_at = time.time()
        self._digest = new_digest()
        self._size = self._written = self._on_its_way = 0
        self._trouble: SpoolError | None = None
        self._rest = bytearray()  # less than a page, not yet written
        envelope = origin.envelope(request, self._received_at)
        self._sealer = intake.spool.sealer(self._id)
        self._file = intake.spool.create_original(self._id)
        if self._sealer is not None:
            self._put(self._sealer.header)
        self._write(envelope)

    def write(self, fragment: memoryview) -> None:
        """Write a fragment; after a failure the rest is read and thrown away, so that it can be answered."""
        if self._trouble is None:
            self._digest.update(fragment)
            self._size += len(fragment)
            self._write(fragment)
            if self._written - self._on_its_way >= _WRITE_BACK:
                begin_writing(self._file, self._on_its_way, self._written - self._on_its_way)
                self._on_its_way = self._written

    def finish(self) -> StoreAnswer:
        """Make file, name and row durable, and return what to answer."""
        trouble = self._put_in_place()
        os.close(self._file)
        if trouble is not None:
            self._remove()
            return self._refuse(str(trouble))
        try:
            self._intake.commits.add(self._row())
        except LedgerUncertain as error:
            if self._is_unknown():
                self._remove()
            return self._refuse(str(error))
        except LedgerError as error:
            self._remove()
            return self._refuse(str(error))
        event(
            LOGGER,
            "received",
            instance=self._id,
            association=self._origin.peer.association,
            route=self._origin.route,
            size=self._size,
        )
        self._intake.received.ring()
        self._intake.counts.took(RECEPTION, time.time() - self._received_at)
        return _STORED

    def _put_in_place(self) -> SpoolError | None:
        """Make file and name durable; return what went wrong, now or before."""
        if self._sealer is not None and self._trouble is None:
            self._put(self._sealer.finish())
        if self._trouble is None:
            self._put_out(self._rest)
        if self._trouble is not None:
            return self._trouble
        try:
            # Room for its cleaned copy too: originals that fill the disk to its floor could never be cleaned.
            self._intake.spool.check_room(self._size)
            self._intake.spool.publish_original(self._file, self._id)
        except SpoolError as error:
            return error
        return None

    def abandon(self) -> None:
        """The association ended in the middle: leave no trace."""
        os.close(self._file)
        self._intake.spool.abandon(self._id, "part")

    def _is_unknown(self) -> bool:
        """Whether the ledger surely has no row after a commit that failed.

        Where there may be one the file must stay, and is adopted later if there is none. Where there is none, each
        repetition of a sender would leave a file: on a full disk that is just what must not happen.
        """
        try:
            return not known_ids(self._intake.commits.database, [self._id])
        except LedgerError:
            return False

    def _remove(self) -> None:
        # It lies in either folder: the disk may also have failed between the new name and its sync.
        self._intake.spool.abandon(self._id, "part")
        # A disk that does not even let go of it: the sweeper adopts it, as after a crash.
        with contextlib.suppress(OSError):
            self._intake.spool.original(self._id).unlink(missing_ok=True)

    def _write(self, data: bytes | memoryview) -> None:
        if self._sealer is None:
            self._put(data)
            return
        for chunk in self._sealer.update(data):
            self._put(chunk)

    def _put(self, data: bytes | memoryview) -> None:
        """Write whole pages: one filled in part, in a file that is written over, would be read from the disk first."""
        whole = (len(self._rest) + len(data)) & -_PAGE
        if not whole:
            self._rest += data
            return
        end = whole - len(self._rest)
        self._put_out(self._rest, data[:end])
        self._rest = bytearray(data[end:])
        self._written += whole

    def _put_out(self, *pieces: bytes | bytearray | memoryview) -> None:
        try:
            written = os.writev(self._file, pieces)
            if written < sum(map(len, pieces)):
                write_all(self._file, b"".join(pieces)[written:])
        except OSError as error:
            self._trouble = as_spool_error(error, self._intake.spool.incoming)

    def _refuse(self, why: str) -> StoreAnswer:
        self._intake.counts.count(REFUSED, UNAVAILABLE)
        event(
            LOGGER,
            "refused-instance",
            level=logging.ERROR,
            association=self._origin.peer.association,
            calling_ae_title=self._origin.peer.calling_ae_title,
            status="A700H",
            error=why,
        )
        return StoreAnswer(OUT_OF_RESOURCES, "out of resources, send again later")

    def _row(self) -> Received:
        origin, request = self._origin, self._request
        peer = origin.peer
        return Received(
            self._id,
            self._received_at,
            origin.project,
            origin.route,
            peer.calling_ae_title,
            peer.called_ae_title,
            peer.address,
            request.sop_class_uid,
            request.sop_instance_uid,
            request.transfer_syntax_uid,
            self._size,
            self._digest.digest(),
            origin.certificate,
        )
