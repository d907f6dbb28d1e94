"""The trial destination: a storage SCP that keeps what it gets as files in a folder, to try the node out.

    <folder>/<Study Instance UID>/<Series Instance UID>/<SOP Instance UID>.dcm

Guarantees: 0000H only after the file and its directory entries are on stable storage; no file is ever overwritten (an
instance that is there already, byte for byte, is answered 0000H and kept once; another one under the same UID becomes
`<UID>.2.dcm`, `.3` and so on); a path is made of nothing but UIDs that were checked to be UIDs. Refuses (C000H) a data
set that cannot be read, lacks one of these UIDs, or disagrees with its command; answers A700H where the disk fails.
Meant for one process for each folder: `.incoming/` is emptied at the start.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import signal
import socket
import threading
from collections import Counter
from pathlib import Path

from pydicom import dcmread

from node.dicomnet import (
    AcceptorLimits,
    AssociationServer,
    InstanceWriter,
    Peer,
    Rejection,
    StoreAnswer,
    StoreRequest,
)
from node.dicomnet.dimse import CANNOT_UNDERSTAND, OUT_OF_RESOURCES, SUCCESS
from node.durable import sync_folder, write_all
from node.errors import DatasetError, StartError
from node.instances import is_uid
from node.log import event
from node.part10 import FileMeta, encode_file_meta
from node.shared import Stop

logger = logging.getLogger(__name__)

DRAIN = 10.0  # seconds that open associations have at the end
BACKLOG = 128

_CALLED_AE_NOT_RECOGNIZED = Rejection(1, 1, 7, "called AE title not recognized")
_TAGS = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
_PIECE = 1 << 20  # bytes compared at a time


def run(listen: tuple[str, int] | socket.socket, ae_title: str, folder: Path) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code, 0.

    Parameters
    ----------
    listen
        Host and port to listen on, or a socket that listens already (which the caller closes).
    folder
        Made where it is missing.

    Raises
    ------
    StartError
        The address cannot be listened on, or the folder cannot be written.
    """
    policy = SinkPolicy(ae_title, folder)
    listener = listen if isinstance(listen, socket.socket) else _listener(*listen)
    server = AssociationServer(listener, policy, AcceptorLimits())
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: server.stop())
    event(logger, "trial destination listens", ae_title=ae_title, port=listener.getsockname()[1])
    try:
        server.serve()
    finally:
        if listener is not listen:
            listener.close()
    server.drain(DRAIN)
    return 0


def serve_sink(listener: socket.socket, ae_title: str, folder: Path, stop: Stop) -> None:
    """Serve on `listener` until `stop` is set, drain, and close it: the sink as a child of the node.

    Raises StartError where the folder cannot be written.
    """
    server = AssociationServer(listener, SinkPolicy(ae_title, folder))
    accepting = threading.Thread(target=server.serve, name="accept", daemon=True)
    accepting.start()
    while not stop.wait(60):
        continue
    server.stop()
    accepting.join()
    listener.close()
    server.drain(DRAIN)


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise StartError(f"the trial destination cannot listen on {host}:{port}: {error.strerror}") from None


class SinkPolicy:
    """Takes every instance that is sent to `ae_title` and keeps it under `folder`.

    Raises StartError where the folder cannot be made or written.
    """

    def __init__(self, ae_title: str, folder: Path) -> None:
        self._ae_title = ae_title.strip()
        self._folder = folder
        self._incoming = folder / ".incoming"
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._durable: set[Path] = set()
        self._counts: dict[str, Counter[str]] = {}
        try:
            self._incoming.mkdir(parents=True, exist_ok=True)
            for left in self._incoming.iterdir():
                left.unlink()
            sync_folder(folder)
        except OSError as error:
            raise StartError(f"the folder of the trial destination cannot be used: {error.strerror}") from None

    def admit(self, peer: Peer, verification_only: bool) -> Rejection | None:  # noqa: ARG002 - C-ECHO is no exception
        """Admit whoever calls the right AE title."""
        if peer.called_ae_title != self._ae_title:
            return _CALLED_AE_NOT_RECOGNIZED
        self._counts[peer.association] = Counter()
        return None

    def begin(self, peer: Peer, request: StoreRequest) -> InstanceWriter | StoreAnswer:
        """Open a file for an instance."""
        if not (is_uid(request.sop_class_uid) and is_uid(request.sop_instance_uid)):
            return self._count(peer, StoreAnswer(CANNOT_UNDERSTAND, "a UID of the command is no UID"))
        path = self._incoming / f"{os.getpid()}-{next(self._numbers)}.dcm"
        try:
            return _Writer(self, peer, request, path)
        except DatasetError:
            return self._count(peer, StoreAnswer(CANNOT_UNDERSTAND))
        except OSError:
            return self._count(peer, StoreAnswer(OUT_OF_RESOURCES))

    def refused_contexts(self, peer: Peer, refused: list[tuple[str, list[str]]]) -> None:
        """Count what was proposed in vain."""
        self._counts[peer.association]["refused contexts"] += len(refused)

    def ended(self, peer: Peer, how: str) -> None:
        """Log the association: counts only."""
        counts = self._counts.pop(peer.association)
        fields = {key.replace(" ", "_"): count for key, count in counts.items()}
        event(logger, f"association {how}", association=peer.association, calling=peer.calling_ae_title, **fields)

    def _count(self, peer: Peer, answer: StoreAnswer) -> StoreAnswer:
        self._counts[peer.association]["stored" if answer.status == SUCCESS else "refused"] += 1
        return answer

    def keep(self, peer: Peer, request: StoreRequest, path: Path) -> StoreAnswer:
        """Move the complete and synced file to its place; it is gone from `path` in any case."""
        try:
            place = _place(request, path)
            if place is None:
                return self._count(peer, StoreAnswer(CANNOT_UNDERSTAND, "data set without valid UIDs of its own"))
            folder = self._make(*place)
            _link_beside(path, folder, request.sop_instance_uid)
            sync_folder(folder)
        except OSError as error:
            event(logger, "an instance cannot be kept", logging.ERROR, errno=error.errno)
            return self._count(peer, StoreAnswer(OUT_OF_RESOURCES))
        finally:
            _remove(path)
        return self._count(peer, StoreAnswer(SUCCESS))

    def give_up(self, peer: Peer, path: Path) -> StoreAnswer:
        """Remove a file that could not be written."""
        _remove(path)
        return self._count(peer, StoreAnswer(OUT_OF_RESOURCES))

    def _make(self, study: str, series: str) -> Path:
        folder = self._folder / study / series
        with self._lock:
            if folder not in self._durable:
                folder.mkdir(parents=True, exist_ok=True)
                sync_folder(folder.parent)
                sync_folder(self._folder)
                self._durable.add(folder)
        return folder


class _Writer:
    """Writes one instance to `.incoming/`."""

    def __init__(self, policy: SinkPolicy, peer: Peer, request: StoreRequest, path: Path) -> None:
        self._policy = policy
        self._peer = peer
        self._request = request
        self._path = path
        self._failed = False
        # Nothing that differs from one association to the next: the same instance gives the same bytes.
        meta = FileMeta(request.sop_class_uid, request.sop_instance_uid, request.transfer_syntax_uid)
        head = encode_file_meta(meta)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        self.write(memoryview(head))

    def write(self, fragment: memoryview) -> None:
        """Append to the file; a failure is remembered."""
        if self._failed:
            return
        try:
            write_all(self._file, fragment)
        except OSError as error:
            self._fail(error)

    def finish(self) -> StoreAnswer:
        """Sync the file and put it in its place."""
        try:
            if not self._failed:
                os.fsync(self._file)
        except OSError as error:
            self._fail(error)
        os.close(self._file)
        if self._failed:
            return self._policy.give_up(self._peer, self._path)
        return self._policy.keep(self._peer, self._request, self._path)

    def abandon(self) -> None:
        """Remove the file."""
        os.close(self._file)
        _remove(self._path)

    def _fail(self, error: OSError) -> None:
        self._failed = True
        event(logger, "an instance cannot be written", logging.ERROR, errno=error.errno)


def _place(request: StoreRequest, path: Path) -> tuple[str, str] | None:
    """Return Study and Series Instance UID of the file, None where it is not what its command said."""
    try:
        dataset = dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS))
        found = [str(dataset.get(keyword) or "") for keyword in _TAGS]
    except OSError:
        raise
    # Boundary: pydicom on foreign bytes raises whatever they provoke.
    except Exception:  # noqa: BLE001
        return None
    if found[:2] != [request.sop_class_uid, request.sop_instance_uid] or not all(map(is_uid, found)):
        return None
    return found[2], found[3]


def _link_beside(path: Path, folder: Path, uid: str) -> None:
    """Give the file its name in `folder`: the first that is free, or that has the same content already."""
    for number in itertools.count(1):
        target = folder / (f"{uid}.dcm" if number == 1 else f"{uid}.{number}.dcm")
        try:
            os.link(path, target)  # unlike a rename it never replaces what is there
        except FileExistsError:
            if not _same(path, target):
                continue
        return


def _same(one: Path, other: Path) -> bool:
    with one.open("rb") as a, other.open("rb") as b:
        while True:
            left, right = a.read(_PIECE), b.read(_PIECE)
            if left != right:
                return False
            if not left:
                return True


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()  # what stays is removed at the next start
