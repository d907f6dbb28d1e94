"""The whole road of an instance in one process: receiver, cleaner, forwarder and trial destination, in this order.

The roles are those of the node, in threads; only the supervisor is not there. That makes a run short and its steps
always the same, so that each of them can be made to fail (`tests.crash.faults`).
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import os
import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from node.cleaner.cleaning import Cleaning
from node.cleaner.plan import make_plans
from node.cleaner.worker import Cleaner
from node.config import load_config
from node.errors import NodeError
from node.forwarder.worker import forward
from node.identity import load_secret
from node.ledger import Database, Ledger
from node.ledger.cleaning import CleaningLedger, free_leases
from node.opening import make_spool, open_node
from node.receiver.worker import receive
from node.routing import compile_routes, date_modes
from node.shared import Bell, Company, Numbers, Places, Stop
from node.sink import serve_sink
from node.sweeper import Sweeper
from tests.crash.faults import Fault, Faults
from tests.road.support import CT, DEFLATED, EXPLICIT, RawSender

PATIENCE = 20.0
_SOON = 0.3  # seconds for a role of a process that can write nothing any more
_CONNECT = sqlite3.connect
RECIPE = """\
FORMAT dicom
%header
REPLACE PatientName ANONYMOUS
REPLACE PatientID func:pseudonym
REPLACE StudyInstanceUID func:generate_uid
REPLACE SeriesInstanceUID func:generate_uid
REPLACE SOPInstanceUID func:generate_uid
REMOVE ReferringPhysicianName
REMOVE InstitutionName
%filter graylist
LABEL banner
equals Manufacturer BANNER
coordinates 4,1,40,12
"""


@dataclass(frozen=True)
class Sent:
    """An instance to be sent."""

    uid: str
    data: bytes
    context: int


@dataclass
class Report:
    """What is known of a process of the road, also after its death."""

    acknowledged: set[str] = field(default_factory=set)
    statuses: list[int] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    happened: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)  # roles that could not go on, and said so
    crashes: list[str] = field(default_factory=list)
    refused: str = ""  # the error with which the node refused to start
    results: list[dict[str, Any]] = field(default_factory=list)
    status: int = 0


class SmallRoad:
    """A node in `folder`, none of whose processes runs; `run` gives it one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._listeners = [socket.create_server(("127.0.0.1", 0), backlog=16) for _ in range(2)]
        self.port, trial = (one.getsockname()[1] for one in self._listeners)
        (folder / "r.dicom").write_text(RECIPE)
        (folder / "config.yaml").write_text(yaml.safe_dump(self._settings(trial)))
        self.config = load_config(folder / "config.yaml")
        self.recipes = compile_routes(self.config)
        self.role = ""
        self._tell_line: Callable[[str], object] = lambda _: None
        self.faults = Faults(folder, lambda place: "sink" if place.startswith("sink") else self.role, self._tell_step)
        self.recording = False
        self.fresh = False  # it is as the first opening has left it

    def _settings(self, trial: int) -> dict[str, Any]:
        return {
            "node": {
                "ae_title": "DEIDNODE",
                "listen": f"127.0.0.1:{self.port}",
                "data": "var",
                "workers": 1,
                "min_free_disk": "1 MiB",
                "drain": "1s",
            },
            "routes": [{"name": "r", "project": "p", "recipe": ["./r.dicom"], "to": ["archive"], "gate": "report"}],
            "destinations": {
                "archive": {
                    "ae_title": "ARCHIVE",
                    "address": f"127.0.0.1:{trial}",
                    "associations": 1,
                    "linger": "10ms",
                    "retry": {"first": "5ms", "factor": 1, "cap": "5ms", "refused_tries": 3},
                    "timeout": {"connect": "5s", "associate": "5s", "response": "5s"},
                }
            },
            "trial_destination": {
                "enabled": True,
                "ae_title": "ARCHIVE",
                "listen": f"127.0.0.1:{trial}",
                "folder": "sink",
            },
        }

    # -- the folder --------------------------------------------------------------------------------------------------

    def make(self) -> None:
        """Open the node for the first time, and keep what that makes."""
        os.umask(0o077)
        self._open()
        with contextlib.closing(_CONNECT(self.config.node.ledger.removeprefix("sqlite:///"))) as ledger:
            ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy2(self._ledger, self.folder / "ledger.new")

    def warm(self, files: Sequence[Sent]) -> None:
        """Go the road in this process, so that its forks find everything read and compiled."""
        self.go_on(files)
        self.fresh = False
        self.go_on([])
        self.restore()
        gc.collect()
        gc.freeze()

    def restore(self) -> None:
        """Make the folder as it was after the first opening."""
        for name in ("-wal", "-shm"):
            Path(f"{self._ledger}{name}").unlink(missing_ok=True)
        shutil.copy2(self.folder / "ledger.new", self._ledger)
        for path in self.files():
            (self.folder / path).unlink()
        for folder in (self.folder / "sink", self.config.node.data / "recipes"):
            shutil.rmtree(folder, ignore_errors=True)
        self.fresh = True

    def remove(self) -> None:
        """Make the folder as it was before the first opening."""
        self.restore()
        shutil.rmtree(self.config.node.data)
        self.fresh = False

    @property
    def _ledger(self) -> Path:
        return self.config.node.data / "ledger.db"

    def files(self) -> list[str]:
        """Every file of the spool and beside the kept recipes that belongs to an instance, or to nobody."""
        kept = {"id", "lock", "ledger.json"}
        spool = self.config.node.spool
        found = [Path(folder, name) for folder, _, names in os.walk(spool) for name in names]
        found += [path for path in (self.config.node.data / "recipes").rglob("*") if path.suffix != ".json"]
        return sorted(str(path.relative_to(self.folder)) for path in found if path.is_file() and path.name not in kept)

    def delivered(self) -> dict[str, str]:
        """What the trial destination has kept: digests by path."""
        folder = self.folder / "sink"
        found = [path for path in folder.rglob("*.dcm") if path.parent.name != ".incoming"]
        return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}

    # -- a process ---------------------------------------------------------------------------------------------------

    def run(self, files: Sequence[Sent], fault: Fault | None = None) -> Report:
        """Let a process of its own take and deliver `files`; `fault` is what goes wrong in it."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            self._tell_line = lambda line: os.write(writer, line.encode() + b"\n")
            code = 1
            try:
                self.faults.install()
                self.faults.fault = fault
                self._live((files,))
                code = 0
            finally:
                os._exit(code)
        os.close(writer)
        report = Report()
        with os.fdopen(reader, encoding="utf-8") as lines:
            for line in lines:
                _take_down(report, line.rstrip("\n"))
        self.fresh = False
        report.status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return report

    def go_on(self, *turns: Sequence[Sent]) -> Report:
        """Open the node and let it take and deliver what each turn has, without a fault, in this very process."""
        report = Report()
        self._tell_line = lambda line: _take_down(report, line)
        self._live(turns)
        return report

    def _tell(self, *words: object) -> None:
        self._tell_line(" ".join(map(str, words)))

    def _tell_step(self, step: str) -> None:
        if self.recording or step.startswith("!"):
            self._tell("step", step)

    def _live(self, turns: Sequence[Sequence[Sent]]) -> None:
        if not self.fresh:
            try:
                self.role = "opening"
                self._open()
            except NodeError as error:
                self._tell("refused", type(error).__name__)
                return
        stop = Stop()
        sink = threading.Thread(target=self._guarded, args=("sink", lambda: self._sink(stop)))
        sink.start()
        self._sinking = sink
        for files in turns:
            self._during("receiver", self._receive, lambda files=files: self._send(files))
            self._during("cleaner", self._clean, lambda: self._wait("SELECT 1 FROM instances WHERE state = 'received'"))
            self._during("forwarder", self._forward, lambda: self._wait("SELECT 1 FROM deliveries WHERE state = 'due'"))
            if self.faults.ruined:
                break
            self._tell("result", json.dumps(self._result()))
        stop.set()
        sink.join(PATIENCE)

    def _during(self, role: str, work: Callable[[Stop], None], what: Callable[[], None]) -> None:
        """Do something while a role works."""
        self.role = role
        self.bells = [Bell(), Bell()]
        stop = Stop()
        thread = threading.Thread(target=self._guarded, args=(role, lambda: work(stop)))
        thread.start()
        self._working = thread
        what()
        stop.set()
        while thread.is_alive():
            self._ring()
            thread.join(0.01)

    def _guarded(self, role: str, work: Callable[[], None]) -> None:
        try:
            work()
        except NodeError as error:  # it says why, and the supervisor replaces it
            self._tell("ended", role, type(error).__name__)
        except BaseException as error:  # noqa: BLE001 -- reported
            self._tell("crash", role, type(error).__name__, str(error).replace("\n", " "))

    def _ring(self) -> None:
        for bell in self.bells:
            bell.ring()

    def _wait(self, sql: str) -> None:
        """Wait until there is no such row."""
        end = time.monotonic() + PATIENCE
        ledger = _CONNECT(f"file:{self._ledger}?mode=ro", uri=True, isolation_level=None)
        try:
            while self._working.is_alive() and time.monotonic() < end:
                if ledger.execute(sql).fetchone() is None:
                    return
                if self.faults.ruined or not self._sinking.is_alive():
                    end = min(end, time.monotonic() + _SOON)
                self._ring()
                time.sleep(0.008)
        finally:
            ledger.close()

    # -- roles -------------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        spool = make_spool(self.config)
        open_node(self.config, spool, date_modes(self.config, self.recipes))
        database = Database(self.config.node.ledger)
        free_leases(database)
        Sweeper(self.config, spool, database).sweep(grace=0.0)
        database.close()

    def _receive(self, stop: Stop) -> None:
        listener = self._listeners[0].dup()
        receive(self.config, make_spool(self.config), [listener], (Places(4, 1), 0), self.bells[0], stop)

    def _clean(self, stop: Stop) -> None:
        spool = make_spool(self.config)
        ledger = CleaningLedger(Database(self.config.node.ledger), f"cleaner0-{os.getpid()}")
        plans = make_plans(self.config, self.recipes, load_secret(self.config.node.secret_file))
        cleaning = Cleaning(spool, ledger, plans, "DEIDNODE", derives=True)
        Cleaner(cleaning, ledger, spool, self.bells[0], Company(), self.bells[1], Numbers(1), 0, stop).run()
        ledger.database.close()

    def _forward(self, stop: Stop) -> None:
        forward(self.config, make_spool(self.config), f"forwarder0-{os.getpid()}", self.bells[1], stop)

    def _sink(self, stop: Stop) -> None:
        serve_sink(self._listeners[1].dup(), "ARCHIVE", self.folder / "sink", stop)

    def _send(self, files: Sequence[Sent]) -> None:
        with RawSender(self.port) as peer:
            peer.open((CT, (EXPLICIT,)), (CT, (DEFLATED,)))
            for one in files:
                status = peer.store(one.data, one.uid, CT, one.context)
                self._tell("answer", status, one.uid)
            peer.send(bytes.fromhex("05000000000400000000"))
            peer.receive()

    def _result(self) -> dict[str, Any]:
        database = Database(self.config.node.ledger)
        try:
            return {
                "status": {name: n for name, n in Ledger(database).status().items() if isinstance(n, int)},
                "files": self.files(),
                "delivered": self.delivered(),
                "uids": self._uids(),
            }
        finally:
            database.close()

    def _uids(self) -> dict[str, str]:
        """The replacement of each SOP Instance UID that the ledger has an instance of."""
        with contextlib.closing(_CONNECT(self._ledger)) as ledger:
            rows = ledger.execute(
                "SELECT sop_instance_uid, clean_sop_instance_uid FROM instances WHERE state = 'cleaned'"
            )
            return dict(rows.fetchall())


def _take_down(report: Report, line: str) -> None:
    kind, _, rest = line.partition(" ")
    match kind:
        case "answer":
            status, _, uid = rest.partition(" ")
            report.statuses.append(int(status))
            if status == "0":
                report.acknowledged.add(uid)
        case "step":
            (report.happened if rest.startswith("!") else report.steps).append(rest)
        case "crash":
            report.crashes.append(rest)
        case "ended":
            report.ended.append(rest)
        case "refused":
            report.refused = rest
        case "result":
            report.results.append(json.loads(rest))
        case _:
            raise AssertionError(line)
