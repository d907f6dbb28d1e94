"""Runs the self test: a node in a child process, sinks in threads, one study for each route.

Guarantees that the child and the folder are gone when `run` returns, whatever happened, and that the whole ends in
time. Raises NodeError where there is nothing to try, or the node does not start.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from node.children import fork, send_signal
from node.config import Config, Route, columns_of
from node.crosswalk import import_file
from node.crosswalk.headings import Column
from node.crosswalk.writing import csv_lines
from node.dicomnet import AssociationServer
from node.errors import NodeError
from node.ledger import Ledger
from node.ledger.database import Database
from node.ledger.probing import came, troubles
from node.probe import Check, Door, RouteReport, Study, examine, make_study, send, stray
from node.recipe import Recipe
from node.routing import compile_routes
from node.selftest.rewriting import Way, left_out, rewritten, way_in
from node.serving import serve
from node.shared import Stop
from node.sink import SinkPolicy

_START_SECONDS = 30.0
_END_SECONDS = 10.0
_LOOK_SECONDS = 0.1
_TIMES = 2  # each study is sent twice


def run(config: Config, names: Sequence[str] = (), seconds: float = 60.0) -> list[RouteReport]:
    """Try routes out; return one report for each, in the order of the configuration.

    Parameters
    ----------
    config
        Of the node that serves, or is to serve.
    names
        Of routes; none are all.
    seconds
        In which everything that was sent must have arrived.

    Raises
    ------
    RecipeError
        A recipe cannot be compiled.
    NodeError
        There is no such route, or the node of the self test does not start.
    """
    known = [route.name for route in config.routes]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise NodeError(f"the configuration has no route '{unknown[0]}'; there are {', '.join(known)}")
    routes = [route for route in config.routes if not names or route.name in names]
    ways = {route.name: way_in(config, route, number) for number, route in enumerate(routes)}
    found = {name: way for name, way in ways.items() if way is not None}
    reports = {route.name: _unreachable(route) for route in routes if route.name not in found}
    if found:
        with tempfile.TemporaryDirectory(prefix="deid-node-selftest-") as folder:
            reports |= {one.route: one for one in _Trial(config, found, Path(folder), seconds).run()}
    return [reports[route.name] for route in routes]


def _unreachable(route: Route) -> RouteReport:
    text = "no association was found that the configuration gives to this route: look at the routes before it"
    return RouteReport(route.name, route.to, checks=[Check("reached", False, text)])


@dataclass(slots=True)
class _Trial:
    """One run, in a folder of its own."""

    config: Config
    ways: dict[str, Way]
    folder: Path
    seconds: float
    studies: dict[str, Study] = field(default_factory=dict)

    def run(self) -> list[RouteReport]:
        routes = [route for route in self.config.routes if route.name in self.ways]
        names = sorted({name for route in routes for name in route.to})
        with contextlib.ExitStack() as open_ones:
            listeners = {name: open_ones.enter_context(_listening()) for name in names}
            ports = {name: one.getsockname()[1] for name, one in listeners.items()}
            config = rewritten(self.config, self.ways, self.folder / "node", _free_port(), ports)
            recipes = compile_routes(config)
            child = open_ones.enter_context(_node(config, recipes, self.folder / "log", tuple(listeners.values())))
            folders = {name: self.folder / "sink" / str(number) for number, name in enumerate(names)}
            for name, listener in listeners.items():
                open_ones.enter_context(_sink(listener, config.destinations[name].ae_title, folders[name]))
            child.wait_until_it_listens(config)
            return self._try(config, recipes, folders)

    def _try(self, config: Config, recipes: Mapping[str, Recipe], folders: Mapping[str, Path]) -> list[RouteReport]:
        until = time.monotonic() + self.seconds
        database = Database(config.node.ledger, columns_of(config))
        try:
            reports = [self._send(config, route, database) for route in config.routes]
            for route, report in zip(config.routes, reports, strict=True):
                self._look(database, route, report, recipes[route.name], folders, until)
        finally:
            database.close()
        return reports

    def _send(self, config: Config, route: Route, database: Database) -> RouteReport:
        original = next(one for one in self.config.routes if one.name == route.name)
        report = RouteReport(route.name, route.to, notes=left_out(self.config, original))
        self.studies[route.name] = study = make_study()
        if route.mapping == "required":
            _bring_pair(config, database, route, study)
        way, listen = self.ways[route.name], config.node.listening[0].listen
        door = Door(listen.host, listen.port, way.called, way.calling, way.source)
        problems = []
        for time_of in range(_TIMES):
            sent = send(study, door)
            if time_of == 0:
                report.sent, report.acknowledged, report.seconds = sent.sent, sent.acknowledged, sent.seconds
            problems += sent.problems
        if problems:
            report.checks.append(Check("sending", False, "; ".join(dict.fromkeys(problems))))
        return report

    def _look(
        self,
        database: Database,
        route: Route,
        report: RouteReport,
        recipe: Recipe,
        folders: Mapping[str, Path],
        until: float,
    ) -> None:
        began = time.monotonic()
        expected = report.acknowledged * _TIMES
        while time.monotonic() < until:
            rows = came(database, route.name)
            if len(rows) >= expected and not any(row.outcome == "in_flight" for row in rows):
                break
            time.sleep(_LOOK_SECONDS)
        rows = came(database, route.name)
        report.seconds = round(report.seconds + time.monotonic() - began, 1)
        own = {name: folders[name] for name in route.to}
        examine(report, self.studies[route.name], recipe, rows, own)
        for name, text in troubles(database, route.to).items():
            report.notes.append(f"destination {name}: {text}")
        self._look_outside(report)

    def _look_outside(self, report: RouteReport) -> None:
        """Look for what was planted in the log, and in the names of the node's files."""
        names = (str(path.relative_to(self.folder)).encode() for path in (self.folder / "node").rglob("*"))
        garden = self.studies[report.route].garden
        for where, texts in (("log", [(self.folder / "log").read_bytes()]), ("name of a file", names)):
            found = stray(garden, texts)
            if found:
                report.checks.append(Check("tokens", False, f"in the {where}: {found}"))


def _bring_pair(config: Config, database: Database, route: Route, study: Study) -> None:
    """Import a pair for the patient of a study, whose instances would only wait by such a route. Raises NodeError."""
    head = (Column.ISSUER, Column.PATIENT_ID, Column.PSEUDONYM)
    lines = csv_lines([[str(column) for column in head], [*study.patient, f"SELFTEST-{route.name}"[:64]]])
    data = "".join(lines).encode()
    import_file(config, Ledger(database), data, file="the self test's pair", project=route.project, as_written=True)


@dataclass(frozen=True, slots=True)
class _Child:
    """The process of the node."""

    pid: int
    log: Path

    def wait_until_it_listens(self, config: Config) -> None:
        """Return when it can be connected to. Raises NodeError where it ended, or took too long."""
        address, until = config.node.listening[0].listen, time.monotonic() + _START_SECONDS
        while time.monotonic() < until:
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                raise NodeError(f"the node of the self test did not start: {self._last_words()}")
            with contextlib.suppress(OSError), socket.create_connection((address.host, address.port), 1):
                return
            time.sleep(_LOOK_SECONDS)
        raise NodeError(f"the node of the self test did not start within {_START_SECONDS:g} s")

    def _last_words(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"

    def end(self) -> None:
        """Let it end in order, or kill it; return when it is gone."""
        until = time.monotonic() + _END_SECONDS
        send_signal(self.pid, signal.SIGTERM)
        while time.monotonic() < until:
            try:
                if os.waitpid(self.pid, os.WNOHANG)[0]:
                    return
            except ChildProcessError:
                return
            time.sleep(_LOOK_SECONDS / 2)
        send_signal(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


@contextlib.contextmanager
def _node(
    config: Config, recipes: dict[str, Recipe], log: Path, not_its_own: tuple[socket.socket, ...]
) -> Iterator[_Child]:
    """Serve a configuration in a child, whose output goes into a file."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def work(_stop: Stop) -> None:
        for listener in not_its_own:
            listener.close()
        os.dup2(file, 1)
        os.dup2(file, 2)
        serve(config.file, config, recipes)

    try:
        child = _Child(fork("selftest", config.node.log, work), log)
    finally:
        os.close(file)
    try:
        yield child
    finally:
        child.end()


@contextlib.contextmanager
def _sink(listener: socket.socket, ae_title: str, folder: Path) -> Iterator[None]:
    """Keep in a folder what comes by a listener."""
    folder.mkdir(parents=True)
    server = AssociationServer(listener, SinkPolicy(ae_title, folder))
    thread = threading.Thread(target=server.serve, name="sink", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.stop()
        thread.join()
        server.drain(0.0)


def _listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0), backlog=64)


def _free_port() -> int:
    with _listening() as one:
        return int(one.getsockname()[1])
