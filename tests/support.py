"""What the tests of the whole node share: a node in processes of its own, real peers, small synthetic studies."""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydicom
import yaml
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from node.ledger import Database, Ledger
from node.sealing import PLAIN, Columns, Sealing
from tests.zygote import ZYGOTE, Process, run

REPOSITORY = Path(__file__).resolve().parent.parent
SECONDS = 60.0
QUICK_RETRY = {"first": "200ms", "factor": 1.5, "cap": "1s"}


def _own_ports() -> Iterator[int]:
    """The ports that this worker of the tests alone gives away, each once before any comes again.

    The soak, which runs beside the tests, and whatever else has no worker share the first of all parts.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw-1")
    first = 12_000 + (int(worker.removeprefix("gw")) + 1) % 20 * 1000
    return itertools.cycle(random.sample(range(first, first + 1000), 1000))


_PORTS = _own_ports()


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on.

    None of those that the system gives to outgoing connections, and none that another worker of the tests is given: one
    of them could take it before it is used, while the node is restarted, or while a destination is meant to be down.
    """
    for port in _PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("a cycle has no end")


def wait_for(condition: Callable[[], Any], what: str, seconds: float = SECONDS) -> Any:
    """Return the condition's first true value; fail when it does not come in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"did not happen within {seconds:g} s: {what}")


def pages_in_memory(path: Path) -> list[int]:
    """Which pages of a file (from 0) can be read without its disk."""
    found = []
    with path.open("rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)  # the look shall not fetch what comes next
        for page in range(-(-path.stat().st_size // mmap.PAGESIZE)):
            with contextlib.suppress(BlockingIOError):
                os.preadv(file.fileno(), [bytearray(1)], page * mmap.PAGESIZE, os.RWF_NOWAIT)
                found.append(page)
    return found


def can_connect(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class RunningNode:
    """`deid-node serve` with a configuration of its own, in `folder`."""

    def __init__(self, folder: Path, destinations: dict[str, int], **changes: Any) -> None:
        self.folder = folder
        self.port = free_port()
        self.config_path = folder / "config.yaml"
        self.log_path = folder / "node.log"
        self.command = [sys.executable, "-m", "node", "serve", "--config", str(self.config_path)]
        self.environment: dict[str, str] = {}
        self.columns: Columns = PLAIN
        self.process: subprocess.Popen[bytes] | Process | None = None
        self.config: dict[str, Any] = {
            "node": {
                "ae_title": "DEIDNODE",
                "listen": f"127.0.0.1:{self.port}",
                "data": "var",
                "workers": 2,
                "min_free_disk": "1 MiB",
                "drain": "5s",
                "log": {"format": "json", "level": "info"},
            },
            "routes": [{"name": "research", "project": "demo", "recipe": ["research"], "to": list(destinations)}],
            "destinations": {
                name: {
                    "ae_title": name.upper(),
                    "address": f"127.0.0.1:{port}",
                    "linger": "500ms",
                    "retry": dict(QUICK_RETRY),
                    "timeout": {"connect": "2s", "associate": "5s", "response": "5s"},
                }
                for name, port in destinations.items()
            },
        }
        for key, value in changes.items():
            if isinstance(value, dict) and isinstance(self.config.get(key), dict):
                self.config[key] |= value
            else:
                self.config[key] = value
        self.write_config()

    def write_config(self) -> None:
        self.config_path.write_text(yaml.safe_dump(self.config, sort_keys=False), encoding="utf-8")

    def seals(self, key: str = "5ea1" * 16) -> RunningNode:
        """From the next start on: what names a person is sealed, with a key outside of the data folder."""
        path = self.folder / "encryption.key"
        path.touch(mode=0o600)
        path.write_text(key + "\n", encoding="ascii")
        self.config["node"]["encryption"] = {"key_file": str(path)}
        self.columns = Sealing(path).columns
        self.write_config()
        return self

    @property
    def data(self) -> Path:
        return self.folder / "var"

    @property
    def spool(self) -> Path:
        return self.data / "spool"

    def start(self) -> RunningNode:
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **self.environment}
        with self.log_path.open("ab") as log:
            if self.command[0] == sys.executable:
                out = log.fileno()
                self.process = ZYGOTE.spawn(self.command, stdout=out, stderr=out, cwd=self.folder, env=environment)
            else:
                self.process = subprocess.Popen(self.command, stdout=log, stderr=log, cwd=self.folder, env=environment)
        wait_for(lambda: can_connect(self.port) or self._ended(), "the node listens")
        if self._ended():
            raise AssertionError(f"the node ended with {self.process.returncode}:\n{self.log()[-3000:]}")
        return self

    def _ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def stop(self, seconds: float = SECONDS) -> int:
        """SIGTERM, and the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(seconds)
        self.process = None
        return code

    def kill(self) -> None:
        """SIGKILL to the supervisor; its children go with it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(SECONDS)
            self.process = None
            wait_for(lambda: not can_connect(self.port), "all processes of the node are gone")

    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""

    @contextlib.contextmanager
    def ledger(self) -> Iterator[Ledger]:
        database = Database(f"sqlite:///{self.data / 'ledger.db'}", self.columns)
        try:
            database.require()
            yield Ledger(database)
        finally:
            database.close()

    def status(self) -> dict[str, Any]:
        with self.asking() as ask:
            return self._checked(ask())

    @contextlib.contextmanager
    def asking(self) -> Iterator[Callable[[], dict[str, Any]]]:
        """Give a way to ask for the status again and again, with the ledger opened once."""
        with self.ledger() as ledger:
            yield ledger.status

    @staticmethod
    def _checked(status: dict[str, Any]) -> dict[str, Any]:
        parts = ("in_flight", "delivered", "held", "excluded", "discarded")
        assert status["received"] == sum(status[part] for part in parts), "the equation holds at all times"
        return status

    def held(self) -> list[dict[str, Any]]:
        with self.ledger() as ledger:
            return ledger.held()

    def wait_delivered(self, count: int, seconds: float = SECONDS) -> dict[str, Any]:
        return self.wait_status(lambda status: status["delivered"] >= count, f"{count} delivered", seconds)

    def wait_status(self, holds: Callable[[dict[str, Any]], bool], what: str, seconds: float = SECONDS) -> Any:
        last: dict[str, Any] = {}

        def look(ask: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
            nonlocal last
            last = self._checked(ask())
            return last if holds(last) else None

        try:
            with self.asking() as ask:
                return wait_for(lambda: look(ask), what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; status {last}\n{self.log()[-3000:]}") from None

    def cli(self, *arguments: str, check: bool = False) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "node", *arguments, "--config", str(self.config_path)]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        done = run(command, cwd=self.folder, env=environment, timeout=60)
        if check:
            done.check_returncode()
        return done

    def spool_files(self) -> dict[str, int]:
        """How many files lie in each folder of the spool."""
        return {
            name: sum(1 for path in (self.spool / name).rglob("*") if path.is_file())
            for name in ("incoming", "originals", "cleaned")
        }

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            try:
                self.stop(10)
            except subprocess.TimeoutExpired:
                self.kill()


class Forking:
    """A server of DCMTK's that forks a child for each association; all of them are of one session of their own."""

    port: int
    process: subprocess.Popen[bytes] | None = None

    def serve(self, *command: str | Path) -> None:
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TCP_NODELAY": "1"},
            start_new_session=True,
        )
        wait_for(lambda: can_connect(self.port), f"{command[0]} listens")

    def stop(self) -> None:
        if self.process is not None:
            # The children hold the port as well.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
            self.process = None


class StoreSCP(Forking):
    """DCMTK storescp, each instance into a file of its own; `+B` keeps the bytes as they came."""

    def __init__(self, folder: Path, port: int | None = None, options: tuple[str, ...] = ("+B",), aet: str = "DEST"):
        self.folder = folder
        self.port = port or free_port()
        self.options = options
        self.aet = aet

    def start(self) -> StoreSCP:
        self.folder.mkdir(parents=True, exist_ok=True)
        options = (*self.options, "--fork", "+xa", "+uf", "-aet", self.aet)
        self.serve("storescp", *options, "-od", self.folder, str(self.port))
        return self

    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if path.is_file())

    def datasets(self) -> list[pydicom.FileDataset]:
        return [pydicom.dcmread(path) for path in self.files()]

    def uids(self) -> list[str]:
        return [str(pydicom.dcmread(p, specific_tags=["SOPInstanceUID"]).SOPInstanceUID) for p in self.files()]


def storescu(port: int, *files: Path | str, options: tuple[str, ...] = (), timeout: float = 120) -> Any:
    """Run DCMTK's storescu; `-v` so that its output tells each response."""
    return subprocess.run(
        ["storescu", "-v", "-aec", "DEIDNODE", *options, "127.0.0.1", str(port), *map(str, files)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
        env={**os.environ, "TCP_NODELAY": "1"},
    )


def make_ct(folder: Path, count: int, *, rows: int = 64, patient: str = "MRN-0001", study: str = "") -> list[Path]:
    """Write a series of synthetic CT slices with identifying values that a test can look for."""
    folder.mkdir(parents=True, exist_ok=True)
    ds = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    ds.PatientID, ds.PatientName, ds.PatientBirthDate = patient, "PLANTED^NAME", "19600314"
    ds.InstitutionName, ds.ReferringPhysicianName = "PLANTED HOSPITAL", "PLANTED^REFERRER"
    ds.StudyInstanceUID = study or generate_uid()
    ds.SeriesInstanceUID, ds.FrameOfReferenceUID = generate_uid(), generate_uid()
    ds.Rows = ds.Columns = rows
    paths = []
    for number in range(count):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.InstanceNumber = number + 1
        ds.PixelData = bytes([number % 251] * (rows * rows * 2))
        path = folder / f"{number:05d}.dcm"
        ds.save_as(path)
        paths.append(path)
    return paths
