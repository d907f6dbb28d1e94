"""The forwarding role alone: real ledger, spool and sockets, its lanes in threads, and destinations that misbehave."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import yaml
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt

from node.config import load_config
from node.forwarder.worker import forward
from node.ledger import Database, Ledger
from node.ledger.cleaning import CleaningLedger
from node.ledger.reception import GroupCommit, Received
from node.ledger.results import Clean
from node.part10 import FileMeta, encode_file_meta
from node.shared import Bell, Stop
from node.spool import Spool, new_id
from tests.support import QUICK_RETRY, free_port, wait_for

CT = str(CTImageStorage)
EXPLICIT, IMPLICIT, BIG = str(ExplicitVRLittleEndian), "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
PATIENT = {"connect": "5s", "associate": "30s", "response": "30s"}
"""Timeouts for a destination whose answers are to come: what is answered late is offered again."""


def small_instance(sop_class: str = CT, *, pad: int = 0) -> pydicom.Dataset:
    """A synthetic instance with just what a C-STORE needs, and `pad` bytes more."""
    ds = pydicom.Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.Modality, ds.InstanceNumber = "OT", 1
    if pad:
        ds.BitsAllocated = 8
        ds.add_new(0x7FE00010, "OB", bytes(pad))
    return ds


def encoded(ds: pydicom.Dataset, syntax: str = EXPLICIT) -> bytes:
    buffer = pydicom.filebase.DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = syntax == IMPLICIT, syntax != BIG
    pydicom.filewriter.write_dataset(buffer, ds)
    return buffer.getvalue()


def destination(port: int, **changes: Any) -> dict[str, Any]:
    """A destination of the configuration that gives up and tries again quickly."""
    return {
        "ae_title": "DEST",
        "address": f"127.0.0.1:{port}",
        "linger": "500ms",
        "associations": 1,
        "retry": dict(QUICK_RETRY),
        "timeout": {"connect": "2s", "associate": "2s", "response": "2s"},
    } | changes


class Forwarding:
    """The forwarder in threads of this process, with a ledger and a spool of its own."""

    def __init__(self, folder: Path, destinations: dict[str, dict[str, Any]]) -> None:
        self.folder = folder
        self.destinations = destinations
        self.load()
        self.spool = Spool(self.config.node.spool)
        self.spool.prepare()
        self.database = Database(self.config.node.ledger)
        self.database.migrate()
        self.ledger = Ledger(self.database)
        self.bell = Bell()
        self._stop: Stop | None = None
        self._thread: threading.Thread | None = None
        self._starts = 0
        self.crashed: BaseException | None = None

    def load(self) -> None:
        (self.folder / "r.dicom").write_text("FORMAT dicom\n%header\nREMOVE PatientName\n")
        path = self.folder / "config.yaml"
        names = list(self.destinations)
        path.write_text(
            yaml.safe_dump(
                {
                    "node": {"ae_title": "DEIDNODE", "listen": f"127.0.0.1:{free_port()}", "min_free_disk": "1 MiB"},
                    "routes": [{"name": "r", "recipe": ["./r.dicom"], "to": names}],
                    "destinations": self.destinations,
                }
            )
        )
        self.config = load_config(path)

    def add(self, ds: pydicom.Dataset, syntax: str = EXPLICIT, to: tuple[str, ...] | None = None) -> str:
        """Put a cleaned instance in spool and ledger; return the node's id of it."""
        return self.add_bytes(encoded(ds, syntax), str(ds.SOPClassUID), str(ds.SOPInstanceUID), syntax, to)

    def add_bytes(
        self, data: bytes, sop_class: str, uid: str, syntax: str = EXPLICIT, to: tuple[str, ...] | None = None
    ) -> str:
        name = new_id()
        head = encode_file_meta(FileMeta(sop_class, uid, syntax))
        file = self.spool.create(name, self.spool.draft())
        with open(file, "wb", closefd=True) as target:
            target.write(head + data)
            target.flush()
            self.spool.publish_cleaned({name: file})
        digest = hashlib.sha256(data).digest()
        GroupCommit(self.database).add(
            Received(
                name, time.time(), "p", "r", "SCU", "DEIDNODE", "127.0.0.1", sop_class, uid, syntax, len(data), digest
            )
        )
        cleaning = CleaningLedger(self.database, "cleaner")
        (claimed,) = cleaning.claim(10)
        names = tuple(self.destinations) if to is None else to
        assert cleaning.settle(
            [Clean(claimed, names, "recipe", sop_class, uid, syntax, len(head) + len(data), len(head))]
        )
        self.bell.ring()
        return name

    def start(self) -> Forwarding:
        self._stop = Stop()
        self._starts += 1
        arguments = (self.config, self.spool, f"forwarder0-{self._starts}", self.bell, self._stop)

        def run() -> None:
            try:
                forward(*arguments)
            except BaseException as error:  # noqa: BLE001 -- the test fails with it
                self.crashed = error

        self._thread = threading.Thread(target=run)
        self._thread.start()
        return self

    def stop(self) -> None:
        if self._thread is not None:
            assert self._stop is not None
            self._stop.set()
            self.bell.ring()
            self._thread.join(30)
            assert not self._thread.is_alive(), "the forwarder ends when told to"
            self._thread = None
        assert self.crashed is None, self.crashed

    def close(self) -> None:
        try:
            self.stop()
        finally:
            self.database.close()

    def status(self) -> dict[str, Any]:
        status = self.ledger.status()
        parts = ("in_flight", "delivered", "held", "excluded", "discarded")
        assert status["received"] == sum(status[part] for part in parts), "the equation holds at all times"
        return status

    def wait(self, seconds: float = 20, **counts: int) -> dict[str, Any]:
        """Wait until the status has these counts."""
        last: dict[str, Any] = {}

        def holds() -> bool:
            nonlocal last
            assert self.crashed is None, self.crashed
            last = self.status()
            return all(last[name] == count for name, count in counts.items())

        try:
            wait_for(holds, f"{counts}", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {last} {self.ledger.held()}") from None
        return last

    def delivery(self, name: str, to: str = "dest") -> dict[str, Any]:
        detail = self.ledger.held_detail(name)
        assert detail is not None
        return next(one for one in detail["deliveries"] if one["destination"] == to)

    def cleaned_files(self) -> int:
        return sum(1 for _ in self.spool.list_cleaned())


@dataclass
class Got:
    """One C-STORE-RQ as a destination saw it."""

    uid: str
    association: int
    syntax: str
    data: bytes
    status: int

    def dataset(self) -> pydicom.Dataset:
        """The data set, read by pydicom alone."""
        return pydicom.filereader.read_dataset(BytesIO(self.data), self.syntax == IMPLICIT, self.syntax != BIG)


@dataclass
class ScriptedSCP:
    """pynetdicom's SCP; `answer(uid, nth)` says what the nth offer (from 1) of an instance is answered."""

    answer: Callable[[str, int], int] = lambda _uid, _nth: 0
    contexts: tuple[tuple[str, tuple[str, ...]], ...] = ((CT, (EXPLICIT, IMPLICIT)),)
    port: int = field(default_factory=free_port)
    got: list[Got] = field(default_factory=list)
    associations: int = 0
    released: int = 0
    aborted: int = 0
    proposed: list[int] = field(default_factory=list)
    _server: Any = None
    _numbers: dict[Any, int] = field(default_factory=dict)

    def start(self) -> ScriptedSCP:
        ae = AE("DEST")
        ae.maximum_associations = 64
        for sop_class, syntaxes in self.contexts:
            ae.add_supported_context(sop_class, list(syntaxes))
        handlers = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_ESTABLISHED, self._established),
            (evt.EVT_RELEASED, lambda _event: self._count("released")),
            (evt.EVT_ABORTED, lambda _event: self._count("aborted")),
        ]
        self._server = ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        return self

    def stop(self) -> None:
        if self._server is not None:
            for association in self._server.active_associations:
                association.abort()
            self._server.shutdown()
            self._server = None

    def uids(self, status: int | None = None) -> list[str]:
        return [one.uid for one in list(self.got) if status is None or one.status == status]

    def _established(self, event: Any) -> None:
        self.associations += 1
        self._numbers[event.assoc] = self.associations
        self.proposed.append(len(event.assoc.requestor.requested_contexts))

    def _count(self, name: str) -> None:
        setattr(self, name, getattr(self, name) + 1)

    def _store(self, event: Any) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        nth = 1 + sum(one.uid == uid for one in self.got)
        status = self.answer(uid, nth)
        data = event.request.DataSet.getvalue()
        number = self._numbers[event.assoc]
        self.got.append(Got(uid, number, str(event.context.transfer_syntax), data, status))
        return status


@contextlib.contextmanager
def running(*parts: Any) -> Iterator[None]:
    """Start parts in order, and end them in the opposite one."""
    with contextlib.ExitStack() as stack:
        for part in parts:
            stack.callback(part.close if isinstance(part, Forwarding) else part.stop)
        for part in parts:
            part.start()
        yield
