"""What takes part in a measurement of the road: series, senders, the node, its peer, the destination.

All of them are processes of their own, on this machine and 127.0.0.1; DCMTK at both ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pydicom
import yaml
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from tests.orthanc import orthanc as run_orthanc
from tests.support import RunningNode, wait_for

TOKEN = "BENCHTOKEN"
_CT = Path(pydicom.__file__).parent / "data/test_files/CT_small.dcm"
_BIG_PDU = "131072"
RECIPE = "ps3.15-basic"
# What a process of the node is called, and its role's name in a table.
ROLES = {"receiver": "receivers", "cleaner": "cleaners", "forwarder": "forwarder", "keeper": "keeper"}


class Series:
    """Synthetic CT slices of rows by rows 16-bit pixels with a header of 260 elements, identity planted."""

    def __init__(self, folder: Path, count: int, rows: int) -> None:
        folder.mkdir()
        ds = pydicom.dcmread(_CT)
        ds.Rows = ds.Columns = rows
        ds.PatientName, ds.PatientID, ds.InstitutionName = f"{TOKEN}^ANNA", f"{TOKEN}1", f"{TOKEN} HOSPITAL"
        ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
        stem = str(time.time_ns())
        self.files: list[Path] = []
        for number in range(count):
            ds.PixelData = os.urandom(rows * rows * 2)
            # Plain last digits: a peer that makes a UID of them needs them to be different.
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"2.25.{stem}{number:014d}"
            ds.InstanceNumber = number + 1
            self.files.append(folder / f"{number:06d}.dcm")
            ds.save_as(self.files[-1])


def big_instance(path: Path, size: int) -> Path:
    """Write a multi-frame image of `size` bytes of pixels."""
    ds = pydicom.dcmread(_CT)
    frame = 2048 * 2048 * 2
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.Rows = ds.Columns = 2048
    ds.NumberOfFrames = size // frame
    del ds.PixelData, ds[0xFFFC, 0xFFFC]
    assert ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    ds.save_as(path)
    with path.open("ab") as file:
        file.write(b"\xe0\x7f\x10\x00OW\0\0" + (ds.NumberOfFrames * frame).to_bytes(4, "little"))
        for _ in range(ds.NumberOfFrames):
            file.write(os.urandom(1 << 20) * (frame >> 20))
    return path


@dataclass(frozen=True, slots=True)
class Target:
    """An SCP: where it listens, and its AE title."""

    host: str
    port: int
    ae_title: str

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read HOST:PORT:AET."""
        host, port, ae_title = text.split(":")
        return cls(host, int(port), ae_title)


@dataclass(frozen=True, slots=True)
class Sent:
    """What senders saw: seconds from the first byte to the last answer, and of each sender."""

    seconds: float
    each: tuple[float, ...]

    @property
    def spread(self) -> float:
        """The slowest sender's time by the fastest's."""
        return max(self.each) / min(self.each)


def send(files: Sequence[Path], to: Target, *, senders: int = 1, nagle: bool = False, one_each: bool = False) -> Sent:
    """Send with storescu processes side by side. Raises RuntimeError where one fails."""
    environment = {key: value for key, value in os.environ.items() if key != "TCP_NODELAY"}
    if not nagle:
        environment["TCP_NODELAY"] = "1"
    command = ["storescu", "-aec", to.ae_title, "--max-send-pdu", _BIG_PDU, to.host, str(to.port)]

    def work(batch: Sequence[Path]) -> float:
        start = time.monotonic()
        for group in [[path] for path in batch] if one_each else [batch]:
            done = subprocess.run([*command, *map(str, group)], capture_output=True, env=environment, check=False)
            if done.returncode:
                raise RuntimeError(f"storescu ended with {done.returncode}: {done.stderr.decode()[-500:]}")
        return time.monotonic() - start

    start = time.monotonic()
    with ThreadPoolExecutor(senders) as pool:
        each = tuple(pool.map(work, [files[number::senders] for number in range(senders)]))
    return Sent(time.monotonic() - start, each)


class Archive:
    """storescp, a process for each association, each instance into a file of its own."""

    def __init__(self, folder: Path, port: int, options: Sequence[str] = ()) -> None:
        folder.mkdir()
        self.folder = folder
        self.target = Target("127.0.0.1", port, "ARCHIVE")
        self._process = subprocess.Popen(
            ["storescp", "--fork", "--max-pdu", _BIG_PDU, "+uf", *options, "-od", str(folder), str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=os.environ | {"TCP_NODELAY": "1"},
        )
        time.sleep(0.7)
        if self._process.poll() is not None:
            raise RuntimeError(f"the destination's port {port} is taken")

    def wait_for(self, count: int, seconds: float) -> float:
        """Return when there are `count` files, or the time is over."""
        until = time.monotonic() + seconds
        while sum(1 for _ in os.scandir(self.folder)) < count and time.monotonic() < until:
            time.sleep(0.02)
        return time.monotonic()

    def holds(self, size: int) -> bool:
        """Tell whether there is a file of at least so many bytes."""
        return any(entry.stat().st_size >= size for entry in os.scandir(self.folder))

    def arrived(self) -> int:
        """Count distinct SOP Instance UIDs: a duplicate must not hide a loss."""
        paths = [Path(entry.path) for entry in os.scandir(self.folder)]
        return len({pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in paths})

    def shows(self, token: str) -> bool:
        """Tell whether the token stands in the first MiB of any file."""
        for entry in os.scandir(self.folder):
            with open(entry.path, "rb") as file:
                if token.encode() in file.read(1 << 20):
                    return True
        return False

    def close(self) -> None:
        """End it, and the processes of its associations."""
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait()
        time.sleep(0.3)


@dataclass(frozen=True, slots=True)
class Cpu:
    """Milliseconds of one core, in the program and in the kernel."""

    user: float = 0.0
    system: float = 0.0

    @property
    def total(self) -> float:
        """Both."""
        return self.user + self.system

    def since(self, before: Cpu | None, count: int) -> Cpu:
        """What was used since, for each of `count` instances."""
        before = before or Cpu()
        return Cpu((self.user - before.user) / count, (self.system - before.system) / count)


class Node:
    """The node, started here or by somebody else; only of its own processes it is known what they cost."""

    def __init__(self, folder: Path, archive_port: int, target: Target | None = None) -> None:
        self._running = None if target else RunningNode(folder, {"archive": archive_port})
        if self._running is not None:
            # An interpreter of its own, as in earnest: one forked from the tests' shares their memory and has no start.
            self._running.command.insert(0, "/usr/bin/env")
            config = self._running.config
            config["node"] |= {"workers": "auto", "log": {"format": "json", "level": "warning"}}
            config["routes"][0] |= {"recipe": [RECIPE], "gate": "hold"}
            config["destinations"]["archive"] |= {"linger": "5s", "timeout": {}}
            self._running.write_config()
        self.target = target or Target("127.0.0.1", self._running.port if self._running else 0, "DEIDNODE")

    @property
    def settings(self) -> str:
        """Its configuration, for the record; nothing of a node that somebody else started."""
        return yaml.safe_dump(self._running.config, sort_keys=False) if self._running else ""

    @property
    def ledger(self) -> Path:
        """Its ledger's file, while it does not run."""
        assert self._running is not None
        return self._running.data / "ledger.db"

    def start(self) -> float:
        """Start it; return seconds until it takes associations."""
        begin = time.monotonic()
        if self._running is not None:
            self._running.start()
            command = ["echoscu", "-aec", self.target.ae_title, self.target.host, str(self.target.port)]
            wait_for(lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0, "an answer")
        return time.monotonic() - begin

    def stop(self) -> None:
        """Let it end, where it was started here."""
        if self._running is not None:
            self._running.close()

    @property
    def is_ours(self) -> bool:
        """Whether it was started here."""
        return self._running is not None

    def cpu(self) -> dict[str, Cpu]:
        """Milliseconds of one core that its processes have used, by role; nothing of somebody else's.

        A child of the supervisor is called after its role; what a child starts counts for it.
        """
        used: dict[str, Cpu] = {}
        for pid, role in self._roles().items():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                user, system = (1000 * int(one) / os.sysconf("SC_CLK_TCK") for one in fields[11:13])
                before = used.get(role, Cpu())
                used[role] = Cpu(before.user + user, before.system + system)
        return {role: used[role] for role in (*ROLES.values(), "supervisor") if role in used}

    def memory(self) -> int:
        """Bytes of its processes, shared ones counted in parts (PSS)."""
        total = 0
        for pid in self._roles():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1]) << 10
        return total

    def _roles(self) -> dict[int, str]:
        """Its processes, and the role of each."""
        if self._running is None or self._running.process is None:
            return {}
        found = {self._running.process.pid: "supervisor"}
        waiting = list(found)
        for parent in waiting:
            for task in Path(f"/proc/{parent}/task").glob("*/children"):
                for child in map(int, task.read_text().split()):
                    with contextlib.suppress(OSError):
                        name = Path(f"/proc/{child}/comm").read_text().rstrip("0123456789\n")
                        found[child] = ROLES.get(name, found[parent])
                        waiting.append(child)
        return found


_LUA = """
function OnStoredInstance(id, tags, metadata, origin)
  if origin["RequestOrigin"] == "Lua" then return end
  local uid = "2.25." .. tonumber(string.sub(tags["SOPInstanceUID"], -14))
  local names = {"InstitutionName", "ReferringPhysicianName", "PatientBirthDate", "AccessionNumber", "StationName"}
  local values = {PatientName="ANON", PatientID="ID1", StudyInstanceUID="2.25.1", SeriesInstanceUID="2.25.2",
                  SOPInstanceUID=uid}
  local order = DumpJson({Replace=values, Remove=names, Force=true}, false)
  local new = ParseJson(RestApiPost("/instances", RestApiPost("/instances/" .. id .. "/modify", order)))["ID"]
  SendToModality(new, "archive")
  Delete(new)
  Delete(id)
end
"""


@contextlib.contextmanager
def orthanc(folder: Path, archive_port: int) -> Iterator[Target]:
    """Run Orthanc as an anonymizing proxy: a Lua rule modifies, sends and deletes what comes."""
    folder.mkdir()
    rule = folder / "rule.lua"
    rule.write_text(_LUA)
    settings = {
        "DicomCheckCalledAet": False,
        "SaveJobs": False,
        "OverwriteInstances": True,
        "DicomModalities": {"archive": ["ARCHIVE", "127.0.0.1", archive_port]},
        "LuaScripts": [str(rule)],
    }
    with run_orthanc(folder / "home", **settings) as (port, _):
        yield Target("127.0.0.1", port, "ORTHANC")


def median(values: Sequence[float]) -> float:
    """The median, 0 of nothing."""
    return statistics.median(values) if values else 0.0


def work_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for one run; TMPDIR says on which disk."""
    return tempfile.TemporaryDirectory(prefix="deid-node-bench-")
