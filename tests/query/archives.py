"""Archives that are asked: DCMTK's dcmqrscp, which stores and answers; and SCPs that answer as a test says."""

from __future__ import annotations

import contextlib
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pynetdicom import AE, evt

from node.dicomnet import Timeouts
from node.query import QueryPeer
from tests.support import Forking, free_port

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"

_CONFIG = """\
NetworkTCPPort  = {port}
MaxPDUSize      = 131072
MaxAssociations = 16

HostTable BEGIN
HostTable END

VendorTable BEGIN
VendorTable END

AETable BEGIN
{aet}  {folder}  RW  (200, 1024mb)  ANY
AETable END
"""


class Archive(Forking):
    """DCMTK's dcmqrscp: takes instances, and answers C-FIND from what lies in its folder."""

    def __init__(self, folder: Path, aet: str = "ARCHIVE", port: int | None = None) -> None:
        self.folder = folder / "stored"
        self.aet = aet
        self.port = port or free_port()
        self._config = folder / "dcmqrscp.cfg"

    def start(self) -> Archive:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._config.write_text(_CONFIG.format(port=self.port, aet=self.aet, folder=self.folder))
        self.serve("dcmqrscp", "-c", self._config)
        return self

    def files(self) -> dict[str, Path]:
        """What lies in the archive, by SOP Instance UID."""
        return {
            str(pydicom.dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID): path
            for path in self.folder.glob("*.dcm")
        }

    def lose(self, sop_instance_uid: str) -> None:
        """Lose an image: its file, and its entry in the index."""
        self.files()[sop_instance_uid].unlink()
        self.index()

    def index(self) -> None:
        """Make the index anew, of what lies in the folder."""
        (self.folder / "index.dat").unlink(missing_ok=True)
        files = [str(path) for path in self.folder.glob("*.dcm")]
        subprocess.run(["dcmqridx", str(self.folder), *files], check=True, capture_output=True, timeout=60)

    def peer(self) -> QueryPeer:
        return peer_at(self.port, self.aet)


def peer_at(port: int, aet: str = "ARCHIVE", seconds: float = 10.0) -> QueryPeer:
    return QueryPeer("archive", "127.0.0.1", port, aet, "DEIDNODE", Timeouts(seconds, seconds, seconds))


@contextlib.contextmanager
def archive(folder: Path) -> Iterator[Archive]:
    running = Archive(folder).start()
    try:
        yield running
    finally:
        running.stop()


@contextlib.contextmanager
def answering(
    answer: Callable[[Dataset], Iterator[tuple[int, Dataset | None]]], tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """Run an SCP that answers each C-FIND with what `answer` makes of its identifier; give its port."""

    def handle(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        yield from answer(event.identifier)

    ae = AE("ARCHIVE")
    ae.add_supported_context(STUDY_ROOT_FIND)
    port = free_port()
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_FIND, handle)], ssl_context=tls)
    assert server is not None
    try:
        yield port
    finally:
        server.shutdown()


def match(study: str, series: str, instance: str = "") -> Dataset:
    found = Dataset()
    found.QueryRetrieveLevel = "IMAGE" if instance else "SERIES"
    found.StudyInstanceUID, found.SeriesInstanceUID = study, series
    if instance:
        found.SOPInstanceUID = instance
    return found
