"""What the tests of crashes share: a sender that counts what it was told, a node that dies on command, an audit."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pydicom
from pynetdicom import AE, _config
from pynetdicom.presentation import build_context
from sqlalchemy import select

from node.digest import new_digest
from node.ledger.names import ORIGINAL, SOP_INSTANCE_UID
from node.ledger.schema import deliveries, instances, uid_map
from tests.support import RunningNode, StoreSCP, can_connect, make_ct, wait_for

_config.STORE_SEND_CHUNKED_DATASET = True

LAUNCHER = Path(__file__).with_name("launcher.py")
CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
_ROWS = 48  # pixels enough to be sent from the original
_BARE_UID = "2.25.1000000000000000000000000000000"


class Deadly(RunningNode):
    """A node that can be started so that it dies at a point of `launcher.py`, once."""

    def __init__(self, folder: Path, destinations: dict[str, int], **changes: Any) -> None:
        super().__init__(folder, destinations, **changes)
        self._plain = self.command
        self._deaths = 0

    def start(self) -> Deadly:
        """Start it and wait until it has opened spool and ledger: the port alone is open before."""
        before = self._announced()
        super().start()
        wait_for(lambda: self._announced() > before or self._ended(), "the node has started")
        return self

    def _announced(self) -> int:
        return self.log().count(f" listens on 127.0.0.1:{self.port}")

    def dies_at(self, point: str, number: int = 1, who: str = "child") -> Deadly:
        """From the next start on; each death is counted anew."""
        self._deaths += 1
        counter = self.folder / f"deaths.{self._deaths}"
        arguments = (point, str(number), who, str(counter), "serve", "--config", str(self.config_path))
        self.command = [sys.executable, str(LAUNCHER), *arguments]
        return self

    def with_files(self) -> Deadly:
        """From the next start on what is cleaned becomes files, and originals go at once."""
        return self._keeps("until-cleaned")

    def without_files(self) -> Deadly:
        """From the next start on what is cleaned is derived from the originals, as it is by default."""
        return self._keeps("until-delivered")

    def _keeps(self, originals: str) -> Deadly:
        self.config["node"]["originals"] = originals
        self.write_config()
        return self

    def lives(self) -> Deadly:
        """From the next start on."""
        self.command = self._plain
        return self

    def died(self) -> bool:
        """Whether the supervisor is gone; then wait until all its children are, too."""
        if self.process is None or self.process.poll() is None:
            return False
        self.kill()
        return True

    def children(self) -> dict[str, list[psutil.Process]]:
        """The living children of the supervisor, by the role that the log names for their process ids."""
        assert self.process is not None
        found: dict[str, list[psutil.Process]] = {}
        log = self.log()
        for child in psutil.Process(self.process.pid).children():
            for role in ("receiver", "cleaner", "forwarder", "keeper", "auditor", "sink"):
                if any(f'"role": "{role}{n}", "pid": {child.pid}}}' in log for n in range(8)):
                    found.setdefault(role, []).append(child)
        return found


@dataclass
class Sender:
    """Sends files over associations of its own until each was answered 0000H, whatever happens to the node.

    `acknowledged` holds the SOP Instance UIDs whose answer 0000H it has read, `others` every other status.
    """

    port: int
    title: str = "SENDER"
    acknowledged: set[str] = field(default_factory=set)
    others: list[int] = field(default_factory=list)
    attempts: dict[str, int] = field(default_factory=dict)

    def send(self, files: Iterable[Path], until: Callable[[], bool] = lambda: False, seconds: float = 60) -> None:
        """Send every file until it is acknowledged; stop early when `until` says so."""
        deadline = time.monotonic() + seconds
        waiting = list(files)
        while waiting and not until():
            assert time.monotonic() < deadline, f"{len(waiting)} instances were never acknowledged"
            # While nobody listens, a bare connection finds that out, and not an association with its threads.
            if can_connect(self.port):
                waiting = self._on_one_association(waiting, until)
            if waiting:
                time.sleep(0.05)

    def _on_one_association(self, waiting: list[Path], until: Callable[[], bool]) -> list[Path]:
        ae = AE(ae_title=self.title)
        ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 10
        contexts = {(one.MediaStorageSOPClassUID, one.TransferSyntaxUID) for one in map(_meta, waiting[:500])}
        association = ae.associate(
            "127.0.0.1", self.port, [build_context(*pair) for pair in contexts], ae_title="DEIDNODE", max_pdu=131072
        )
        left = list(waiting)
        while left and association.is_established and not until():
            uid = str(_meta(left[0]).MediaStorageSOPInstanceUID)
            self.attempts[uid] = self.attempts.get(uid, 0) + 1
            try:
                status = association.send_c_store(left[0]).get("Status")
            except RuntimeError:  # the association ended between two messages
                break
            if status is None:
                break
            if status == 0:
                self.acknowledged.add(uid)
                left.pop(0)
            else:
                self.others.append(int(status))
                left.append(left.pop(0))
        if association.is_established:
            association.release()
        return left


_metas: dict[Path, Any] = {}


def _meta(path: Path) -> Any:
    if path not in _metas:
        _metas[path] = pydicom.filereader.read_file_meta_info(path)
    return _metas[path]


def uid_of(path: Path) -> str:
    return str(_meta(path).MediaStorageSOPInstanceUID)


class Background:
    """A function in a thread, whose failure is not lost."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._error: BaseException | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 -- raised again in `join`
            self._error = error

    def alive(self) -> bool:
        return self._thread.is_alive()

    def join(self, seconds: float = 60) -> None:
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "it did not end"
        if self._error is not None:
            raise self._error


def tiny_cts(folder: Path, count: int, start: int = 0) -> list[Path]:
    """Many small CT slices, quickly: copies of one, which differ in UID and pixel data only."""
    model = make_ct(folder / "model", 1, rows=_ROWS)[0]
    ds = pydicom.dcmread(model)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = _BARE_UID
    ds.PixelData = b"\x00" * (2 * _ROWS * _ROWS - 4) + b"NNNN"
    ds.save_as(model)
    content = model.read_bytes()
    assert content.count(_BARE_UID.encode()) == 2
    paths = []
    for number in range(start, start + count):
        path = folder / f"{number:06d}.dcm"
        uid = f"2.25.1{number:030d}"
        assert len(uid) == len(_BARE_UID)
        path.write_bytes(
            content.replace(_BARE_UID.encode(), uid.encode()).replace(b"NNNN", number.to_bytes(4, "little"))
        )
        paths.append(path)
    shutil.rmtree(folder / "model")
    return paths


def data_set_digest(path: Path) -> bytes:
    """SHA-256 of the encoded data set, found by (0002,0000) alone."""
    content = path.read_bytes()
    return new_digest(content[144 + int.from_bytes(content[140:144], "little") :]).digest()


@dataclass
class Arrived:
    """What lies at a sink: for each SOP Instance UID how many copies, and of how many different contents."""

    copies: dict[str, int] = field(default_factory=dict)
    contents: dict[str, set[bytes]] = field(default_factory=dict)
    pixels: dict[str, bytes] = field(default_factory=dict)


def arrived(scp: StoreSCP) -> Arrived:
    found = Arrived()
    for path in scp.files():
        ds = pydicom.dcmread(path)
        uid = str(ds.SOPInstanceUID)
        found.copies[uid] = found.copies.get(uid, 0) + 1
        found.contents.setdefault(uid, set()).add(data_set_digest(path))
        found.pixels[uid] = bytes(ds.get("PixelData", b""))
    return found


@dataclass
class Row:
    """An instance as the ledger has it, with its deliveries."""

    seq: int
    id: str
    uid: str
    state: str
    outcome: str
    digest: bytes
    strikes: int
    leased: bool
    reason: str | None
    replacement: str | None
    deliveries: list[str]


def rows(node: RunningNode) -> list[Row]:
    with node.ledger() as ledger, ledger.database.read() as connection:
        sent: dict[int, list[str]] = {}
        for one in connection.execute(select(deliveries.c.instance, deliveries.c.state)):
            sent.setdefault(one.instance, []).append(one.state)
        return [
            Row(
                one.seq,
                one.id,
                node.columns.open(SOP_INSTANCE_UID, one.project, one.sop_instance_uid),
                one.state,
                one.outcome,
                one.digest,
                one.strikes,
                one.lease_owner is not None,
                one.reason,
                one.clean_sop_instance_uid,
                sent.get(one.seq, []),
            )
            for one in connection.execute(select(instances).order_by(instances.c.seq))
        ]


def uids_in_map(node: RunningNode, project: str = "demo") -> dict[str, str]:
    with node.ledger() as ledger, ledger.database.read() as connection:
        query = select(uid_map.c.original, uid_map.c.replacement).where(uid_map.c.project == project)
        rows = connection.execute(query)
        return {node.columns.open(ORIGINAL, project, row.original): row.replacement for row in rows}


def settled(node: RunningNode, seconds: float = 30) -> dict[str, Any]:
    """Wait until nothing is in flight."""
    return node.wait_status(lambda status: status["received"] and not status["in_flight"], "nothing in flight", seconds)


def audit(node: RunningNode, scp: StoreSCP, sender: Sender, files: list[Path]) -> Arrived:
    """Hold acknowledged, delivered and ledger against one another, by UID and by content; nothing may be in flight."""
    status = settled(node)
    known: dict[str, list[Row]] = {}
    for row in rows(node):
        known.setdefault(row.uid, []).append(row)
        assert row.deliveries == ["delivered"] or (row.deliveries, row.reason) == ([], "again")
    assert status["delivered"] == len(known) == status["received"] - status["excluded"], status
    assert all(sum(row.outcome == "delivered" for row in of_uid) == 1 for of_uid in known.values()), "once each"
    by_uid = {uid_of(path): path for path in files}
    assert sender.acknowledged <= set(known), "every acknowledged instance has a row"
    assert set(known) <= set(by_uid), "and nothing else has one"
    mapped, found = uids_in_map(node), arrived(scp)
    assert len(set(mapped.values())) == len(mapped)
    for uid, of_uid in known.items():
        assert {row.digest for row in of_uid} == {data_set_digest(by_uid[uid])}, "what was received is what was sent"
        assert {row.replacement for row in of_uid} - {None} == {mapped[uid]}, "one UID, however often it came"
    assert set(found.copies) == {mapped[uid] for uid in known}, "the sink has each of them, and nothing else"
    assert {len(contents) for contents in found.contents.values()} == {1}, "copies are byte-identical"
    for uid in known:
        assert found.pixels[mapped[uid]] == bytes(pydicom.dcmread(by_uid[uid]).PixelData)
    return found


def clean_start(node: Deadly) -> None:
    """Restart the node in good order; then nothing may be left of any crash."""
    if node.process is not None and node.process.poll() is None:
        assert node.stop() == 0
    node.lives().start()
    settled(node)
    wait_for(lambda: sum(node.spool_files().values()) == 0, f"the spool is empty, and not {node.spool_files()}")
