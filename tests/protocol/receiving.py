"""The receiver itself, in threads of this process: its own loop, a spool and a ledger on disk, a listening socket."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import socket
import stat
import struct
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import bindparam, select

from node.config import load_config
from node.digest import new_digest
from node.ledger.database import Database
from node.ledger.schema import instances
from node.part10 import read_file_meta
from node.receiver.worker import receive
from node.shared import Bell, Places, Stop
from node.spool import Spool
from tests.dicomnet.peers import ACCEPT_TYPE, LOCALHOST, PATIENCE, RELEASE_RP_TYPE, RawPeer, listen, until
from tests.dicomnet.tls import Authority, Pair, answer_tls, client_context, client_side

from .wire import DATA, RELEASE_RQ, associate_rq, store

_NEW = select(instances).where(instances.c.seq > bindparam("last")).order_by(instances.c.seq)


class Plain:
    """TCP alone. Another transport says what the node's two sides need for it, and how peers connect and accept."""

    name = "plain"

    def settings(self, folder: Path) -> dict[str, Any]:
        """What is to stand in the section `node` of the configuration."""
        return {}

    def options(self) -> dict[str, Any]:
        """What `associate` is to be told beside the address."""
        return {}

    def connect(self, port: int, source: str = LOCALHOST) -> socket.socket:
        """A peer's connection to the node, from an address of this machine."""
        return self.accept(socket.create_connection((LOCALHOST, port), PATIENCE, (source, 0)))

    def accept(self, connected: socket.socket) -> socket.socket:
        """A peer's end of a connection that the node has opened."""
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected


class Secure(Plain):
    """TLS, both sides with certificates of one authority."""

    name = "TLS"

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._authority = Authority(Path(self._folder.name))
        self._node, self._peer = self._authority.issue("node"), self._authority.issue("peer")

    def settings(self, folder: Path) -> dict[str, Any]:
        tls = {"certificate": str(self._node.certificate), "key": str(self._node.key), "ca": str(self._authority.ca)}
        return {"listen": None, "listeners": [{"listen": "127.0.0.1:11112", "tls": tls}]}

    def options(self) -> dict[str, Any]:
        return {"tls": client_side(self._authority, self._node)}

    def connect(self, port: int, source: str = LOCALHOST) -> socket.socket:
        return self.connect_as(self._peer, port, source)

    def connect_as(self, pair: Pair | None, port: int, source: str = LOCALHOST) -> socket.socket:
        """A connection of a peer with another certificate, or with none."""
        connected = super().accept(socket.create_connection((LOCALHOST, port), PATIENCE, (source, 0)))
        return client_context(self._authority, pair).wrap_socket(connected)

    def issue(self, name: str, **options: Any) -> Pair:
        """A certificate that the node accepts."""
        return self._authority.issue(name, **options)

    def accept(self, connected: socket.socket) -> socket.socket:
        return answer_tls(super().accept(connected), self._authority, self._peer)


@dataclass(frozen=True)
class Kept:
    """An instance that spool and ledger hold."""

    sop_instance_uid: str
    data: bytes
    transfer_syntax_uid: str
    sop_class_uid: str


class Faults(logging.Handler):
    """Collects what the node logs of its own faults."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith("fault"):
            self.seen.append(f"{record.getMessage()} {record.__dict__.get('node_fields')}")


class Peer(RawPeer):
    """A raw requestor over a transport."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.socket.settimeout(PATIENCE)

    def open(self, **options: Any) -> bytes:
        """Associate; return the body of the A-ASSOCIATE-AC."""
        self.send(associate_rq(**options))
        kind, body = self.receive()
        assert kind == ACCEPT_TYPE, (kind, body)
        return body

    def release(self) -> None:
        self.send(RELEASE_RQ)
        assert self.receive()[0] == RELEASE_RP_TYPE
        assert self.at_end()


class Receiving:
    """A receiver on a free port until `close`."""

    def __init__(self, folder: Path, transport: Plain, sections: dict[str, Any] | None = None, **node: Any) -> None:
        self.transport = transport
        (folder / "r.dicom").write_text("FORMAT dicom\n%header\nREMOVE PatientName\n")
        path = folder / "config.yaml"
        settings = {"ae_title": "DEIDNODE", "listen": "127.0.0.1:11112", "min_free_disk": "1 MiB", "drain": "1s"}
        settings |= transport.settings(folder) | node
        settings = {key: value for key, value in settings.items() if value is not None}
        destination = {"ae_title": "DEST", "address": "127.0.0.1:11113"}
        path.write_text(
            yaml.safe_dump(
                {
                    "node": settings,
                    "routes": [{"name": "r", "recipe": ["./r.dicom"], "to": ["dest"]}],
                    "destinations": {"dest": destination},
                }
                | (sections or {})
            )
        )
        config = load_config(path)
        self.spool = Spool(config.node.spool)
        self.spool.prepare()
        self.database = Database(config.node.ledger)
        self.database.migrate()
        self.places = Places(100, 1)
        self._stop = Stop()
        self._faults = Faults()
        logging.getLogger("node").addHandler(self._faults)
        self._listener = listen()
        self.port = int(self._listener.getsockname()[1])
        self._crashed: BaseException | None = None
        self._last = 0
        self._known: set[str] = set()
        self._folders: dict[str, tuple[int, set[str]]] = {}
        arguments = (config, self.spool, [self._listener], (self.places, 0), Bell(), self._stop)
        self._thread = threading.Thread(target=self._run, args=arguments)
        self._thread.start()

    def _run(self, *arguments: Any) -> None:
        try:
            receive(*arguments)
        except BaseException as error:  # noqa: BLE001 -- the test fails with it
            self._crashed = error

    def close(self) -> None:
        self._stop.set()
        self._thread.join(PATIENCE)
        self._folders.clear()
        self.kept()
        assert self._files() == self._known, "rows without a file"
        logging.getLogger("node").removeHandler(self._faults)
        self.database.close()
        assert not self._thread.is_alive(), "the receiver ends when told to"
        assert self._crashed is None, self._crashed

    def peer(self, source: str = LOCALHOST) -> Peer:
        return Peer(self.transport.connect(self.port, source))

    def incoming(self) -> list[str]:
        return os.listdir(self.spool.incoming)

    def over(self) -> None:
        """Wait until no association is left; then nothing half-received may be there any more."""
        assert until(lambda: self.places.taken.total() == 0)
        assert self.incoming() == []

    def kept(self) -> list[Kept]:
        """What has come since the last call, in its order; spool and ledger must hold the same, byte for byte."""
        with self.database.read() as connection:
            rows = connection.execute(_NEW, {"last": self._last}).all()
        if rows:
            self._last = rows[-1].seq
        self._known |= {row.id for row in rows}
        assert self._files() <= self._known, "a file without a row"
        return [self._kept(row) for row in rows]

    def _files(self) -> set[str]:
        """The ids in `originals/`; only folders that have changed are read, since this is asked for very often."""
        found: set[str] = set()
        for folder in os.scandir(self.spool.originals):
            changed = folder.stat().st_mtime_ns
            known = self._folders.get(folder.name)
            if known is None or known[0] != changed:
                known = self._folders[folder.name] = changed, {name.partition(".")[0] for name in os.listdir(folder)}
            found |= known[1]
        return found

    def _kept(self, row: Any) -> Kept:
        content = self.spool.original(row.id).read_bytes()
        meta, start = read_file_meta(content)
        data = content[start:]
        assert (row.size, row.digest) == (len(data), new_digest(data).digest())
        assert (row.state, row.outcome) == ("received", "in_flight")
        told = (row.sop_class_uid, row.sop_instance_uid, row.transfer_syntax_uid)
        assert (meta.sop_class_uid, meta.sop_instance_uid, meta.transfer_syntax_uid) == told
        return Kept(row.sop_instance_uid, data, row.transfer_syntax_uid, row.sop_class_uid)

    def faults(self) -> list[str]:
        """What the node has logged of its own faults since the last call."""
        seen, self._faults.seen = self._faults.seen, []
        return seen

    def serves(self, instance: str = "1.2.9") -> None:
        """A whole association goes well."""
        with self.peer() as peer:
            peer.open()
            peer.send(store(instance))
            assert peer.status() == 0
            peer.release()

    def settled(self) -> None:
        """Nothing goes on, nothing is left behind, nothing was logged as a fault."""
        self.over()
        self.kept()
        assert self.faults() == []


MEMORY = Path("/dev/shm")  # thousands of instances are synced there, and no test is about what a sync is good for


@contextlib.contextmanager
def receiving(transport: Plain) -> Iterator[Receiving]:
    """A receiver in a folder that goes with it."""
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as name:
        receiver = Receiving(Path(name), transport)
        try:
            yield receiver
        finally:
            receiver.close()


DELIVERED = ("1.2.9", DATA)


def pairs(kept: list[Kept]) -> list[tuple[str, bytes]]:
    return [(one.sop_instance_uid, one.data) for one in kept]


class Segments:
    """Sends so that each piece is a read of its own on the other side, which is in this process."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        name = peer.socket.getsockname()
        assert until(lambda: self._find(name) is not None)
        self._other = self._find(name)

    @staticmethod
    def _find(peer_name: tuple[str, int]) -> int | None:
        for entry in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                if not stat.S_ISSOCK(os.fstat(int(entry)).st_mode):
                    continue
                with socket.socket(fileno=os.dup(int(entry))) as copy:
                    if copy.getpeername() == peer_name:
                        return int(entry)
        return None

    def send(self, *pieces: bytes) -> None:
        assert self._other is not None
        for piece in pieces:
            self._peer.send(piece)
            while struct.unpack("i", fcntl.ioctl(self._other, termios.FIONREAD, b"\0\0\0\0"))[0]:
                time.sleep(0)
