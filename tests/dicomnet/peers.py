"""Peers for the tests of the network layer: an acceptor with a recording policy, DCMTK's programs, raw sockets."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from node.dicomnet import (
    AcceptorLimits,
    AcceptorTLS,
    AssociationServer,
    InstanceWriter,
    Peer,
    Rejection,
    StoreAnswer,
    StoreRequest,
)
from node.dicomnet.pdus import AssociateRequest, ProposedContext, encode_request
from node.part10 import read_file_meta
from tests.support import free_port

CT = "1.2.840.10008.5.1.4.1.1.2"
VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
LOCALHOST = "127.0.0.1"
PATIENCE = 20.0  # seconds after which a test gives up


def until(condition: Callable[[], bool], patience: float = PATIENCE) -> bool:
    """Wait for a condition; return whether it came true."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


@dataclass
class Stored:
    """What a writer of the recording policy got."""

    peer: Peer
    request: StoreRequest
    data: bytearray = field(default_factory=bytearray)
    fragments: list[int] = field(default_factory=list)
    state: str = "open"


class Writer:
    def __init__(self, stored: Stored, policy: RecordingPolicy) -> None:
        self._stored = stored
        self._policy = policy

    def write(self, fragment: memoryview) -> None:
        if self._policy.fault_in_write:
            raise RuntimeError("a bug")
        self._stored.fragments.append(len(fragment))
        if self._policy.keep:
            self._stored.data += fragment

    def finish(self) -> StoreAnswer:
        self._stored.state = "finished"
        if self._policy.fault_in_finish:
            raise RuntimeError("a bug")
        self._policy.before_answer()
        return self._policy.answer

    def abandon(self) -> None:
        self._stored.state = "abandoned"


class RecordingPolicy:
    """Admits everybody unless told otherwise, and remembers what it was asked."""

    def __init__(self) -> None:
        self.admitted: list[tuple[Peer, bool]] = []
        self.stored: list[Stored] = []
        self.refused: list[tuple[str, list[str]]] = []
        self.ends: list[str] = []
        self.rejection: Rejection | None = None
        self.answer = StoreAnswer(0x0000)
        self.at_begin: StoreAnswer | None = None
        self.fault_in_begin = self.fault_in_write = self.fault_in_finish = False
        self.keep = True
        self.before_answer: Callable[[], object] = lambda: None

    def admit(self, peer: Peer, verification_only: bool) -> Rejection | None:
        self.admitted.append((peer, verification_only))
        return self.rejection

    def begin(self, peer: Peer, request: StoreRequest) -> InstanceWriter | StoreAnswer:
        if self.fault_in_begin:
            raise RuntimeError("a bug")
        if self.at_begin is not None:
            return self.at_begin
        self.stored.append(Stored(peer, request))
        return Writer(self.stored[-1], self)

    def refused_contexts(self, peer: Peer, refused: list[tuple[str, list[str]]]) -> None:
        self.refused += refused

    def ended(self, peer: Peer, how: str) -> None:
        self.ends.append(how)


@dataclass
class Acceptor:
    """A running acceptor."""

    port: int
    policy: RecordingPolicy
    server: AssociationServer

    def ended(self, count: int = 1) -> list[str]:
        """Wait for the ends of `count` associations."""
        assert until(lambda: len(self.policy.ends) >= count)
        return self.policy.ends


def listen() -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((LOCALHOST, 0))
    listener.listen(128)
    return listener


@contextmanager
def accepting(
    policy: RecordingPolicy | None = None, limits: AcceptorLimits | None = None, tls: AcceptorTLS | None = None
) -> Iterator[Acceptor]:
    """Serve on a free port of the loopback interface."""
    policy = policy or RecordingPolicy()
    with listen() as listener:
        server = AssociationServer(listener, policy, limits, tls)
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            yield Acceptor(listener.getsockname()[1], policy, server)
        finally:
            server.stop()
            thread.join(PATIENCE)
            server.drain(0)
            assert not thread.is_alive()


def run(*command: str | Path, patience: float = 60) -> subprocess.CompletedProcess[str]:
    """Run one of DCMTK's programs to its end."""
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=patience,
        env=environment(),
        check=False,
    )


def environment() -> dict[str, str]:
    return {**os.environ, "TCP_NODELAY": "1"}


@contextmanager
def storescp(folder: Path, *options: str) -> Iterator[int]:
    """Run DCMTK's storescp with `options` until the end of the block; give its port."""
    port = free_port()
    process = subprocess.Popen(
        ["storescp", "-od", str(folder), *options, str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )
    try:
        assert until(lambda: can_connect(port))
        yield port
    finally:
        process.terminate()
        process.wait(PATIENCE)


def can_connect(port: int) -> bool:
    try:
        socket.create_connection((LOCALHOST, port), 1).close()
    except OSError:
        return False
    return True


def make_file(path: Path, pixels: int = 1000, syntax: str = EXPLICIT, number: int = 1) -> Dataset:
    """Write a synthetic CT instance with `pixels` bytes of bulk data."""
    dataset = FileDataset(str(path), {}, preamble=bytes(128))
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.UID(CT)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.UID(f"1.2.3.4.{number}")
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3.1", "1.2.3.2"
    dataset.Modality, dataset.PatientName, dataset.PatientID = "CT", "Test^Phantom", "TEST-1"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 1, min(pixels, 65535), 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = bytes(i * 7 % 251 for i in range(min(pixels, 4096))) * (pixels // 4096 + 1)
    dataset.PixelData = dataset.PixelData[: pixels + pixels % 2]
    dataset["PixelData"].VR = "OB" if syntax == ExplicitVRLittleEndian else "OW"
    dataset.save_as(path, enforce_file_format=True)
    return dataset


def data_set_of(path: Path) -> bytes:
    """Return the encoded data set of a file, without its head."""
    content = path.read_bytes()
    return content[read_file_meta(content)[1] :]


class RawPeer:
    """A requestor that sends what it is told, byte by byte."""

    def __init__(self, port: int, source: str = LOCALHOST) -> None:
        """Connect to the port from an address of this machine."""
        self.socket = socket.create_connection((LOCALHOST, port), PATIENCE, (source, 0))
        self.socket.settimeout(PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def associate(self, *contexts: tuple[str, tuple[str, ...]], max_pdu: int = 16384) -> tuple[int, bytes]:
        """Propose contexts (CT in two syntaxes by default, id 1); return the answer."""
        offered = contexts or ((CT, (EXPLICIT, IMPLICIT)),)
        proposed = tuple(ProposedContext(2 * i + 1, *context) for i, context in enumerate(offered))
        self.send(encode_request(AssociateRequest("NODE", "RAW", proposed, max_pdu)))
        return self.receive()

    def receive(self) -> tuple[int, bytes]:
        """Read one PDU; return its type and body."""
        kind, length = struct.unpack(">BxL", self._exactly(6))
        return kind, self._exactly(length)

    def status(self) -> int:
        """Read a response and return its status."""
        kind, body = self.receive()
        assert kind == 4, (kind, body)
        position = body.index(struct.pack("<HHL", 0, 0x0900, 2))
        return int.from_bytes(body[position + 8 : position + 10], "little")

    def at_end(self) -> bool:
        """Whether the other side has closed the connection."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            assert piece, "the connection ended"
            data += piece
        return data


def pdv(data: bytes, *, command: bool, last: bool, context: int = 1) -> bytes:
    return struct.pack(">LBB", len(data) + 2, context, command + 2 * last) + data


def p_data(*pdvs: bytes) -> bytes:
    body = b"".join(pdvs)
    return struct.pack(">BxL", 4, len(body)) + body


RELEASE_RQ = bytes.fromhex("05000000000400000000")
RELEASE_RP_TYPE, ABORT_TYPE, REJECT_TYPE, ACCEPT_TYPE = 6, 7, 3, 2
ABORT = bytes.fromhex("07000000000400000000")
