"""The canary: the running node sends itself a synthetic study, again and again, and looks whether it comes out clean.

It shows what the self test cannot: that this listener takes associations now, that this disk and this ledger take what
comes, that the cleaners that run have the recipes that are meant, in time. The study goes by a route of its own, with
the very recipe object and options of the route that it stands for, in a project of its own, to a sink of its own.

Guarantees that nobody else can send by its routes (an AE title that is drawn at each start), that its counts are in no
tally that people see, that nothing of it goes to a destination that `canary.to` does not name, and that a round ends in
time, with an alert where it did not come out clean. Nothing here ever ends the node.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from node.config import Config, Destination, Endpoint, Listener, Retry, Route, Sender, destination_security
from node.config.canary import PREFIX
from node.config.titles import matches
from node.dicomnet import AssociationServer
from node.errors import NodeError
from node.ledger.canary import asked_since, tidy, write_results
from node.ledger.database import Database
from node.ledger.probing import Came, came, troubles
from node.log import event
from node.probe import Check, Door, RouteReport, examine, make_study, send
from node.recipe import Recipe
from node.shared import Stop
from node.sink import SinkPolicy
from node.spool import Spool

LOGGER = logging.getLogger("node.canary")

SINK = f"{PREFIX}sink"
_SINK_TITLE = "CANARY"
_FIRST_SECONDS = 3.0  # after the start
_LOOK_SECONDS = 1.0
_TIDY_SECONDS = 30.0
_WORDS = ("", "CANARY", "1", "X")
_LONGEST_TITLE = 16


def with_canary(config: Config, recipes: Mapping[str, Recipe], port: int) -> tuple[Config, dict[str, Recipe]]:
    """Return a configuration with the canary's routes in front, its projects and its sink; recipes with theirs.

    `port` is where the sink listens on this machine. Without a canary both come back as they are.
    """
    if config.canary is None:
        return config, dict(recipes)
    marks = [route for route in config.routes if not config.canary.routes or route.name in config.canary.routes]
    routes = tuple(_route(config, route, number) for number, route in enumerate(marks))
    sink = Destination.model_construct(
        ae_title=_SINK_TITLE,
        address=Endpoint("127.0.0.1", port),
        calling_ae=config.node.ae_title,
        associations=1,
        linger=0.5,
        retry=Retry().model_copy(update={"first": 1.0, "cap": 10.0}),
    )
    projects = {
        PREFIX + route.name: config.project(route.project).model_copy(update={"key_file": None, "review": False})
        for route in marks
    }
    changes = {
        "routes": (*routes, *config.routes),
        "destinations": {**config.destinations, SINK: sink},
        "projects": {**config.projects, **projects},
    }
    own = {PREFIX + route.name: recipes[route.name] for route in marks}
    return config.model_copy(update=changes), {**recipes, **own}


def _route(config: Config, route: Route, number: int) -> Route:
    title = f"CANARY{secrets.token_hex(4)}{number}"[:_LONGEST_TITLE]
    called = _called(config, route)
    canary = config.canary
    assert canary is not None
    return route.model_copy(
        update={
            "name": PREFIX + route.name,
            "project": PREFIX + route.name,
            "from_": Sender.model_construct(called_ae=(called,), calling_ae=(title,), address=None, certificate=None),
            "to": (SINK, *canary.to),
            "recipe_change": "now",
            "commissioning": 0,
            "sample": 0.0,
            "commitment": None,
            "mapping": "computed",  # in the canary's own project there is nobody who could bring a pair
        }
    )


def _called(config: Config, route: Route) -> str:
    """Return an AE title that the route has, and the listener that the canary uses."""
    listener = listener_of(config)
    patterns = route.from_.called_ae or (config.node.ae_title,)
    titles = [pattern.replace("*", word)[:_LONGEST_TITLE] for pattern in patterns for word in _WORDS]
    there = listener.called_ae or ("*",)
    good = (title for title in titles if title.strip() and any(matches(one, title) for one in there))
    return next(good, titles[0])


def listener_of(config: Config) -> Listener:
    """Return the listener that the canary sends to: the first without TLS, or with it where `canary.tls` is set."""
    wanted = config.canary is not None and config.canary.tls is not None
    listening = config.node.listening
    return next((one for one in listening if (one.tls is not None) == wanted), listening[0])


def canary_routes(config: Config) -> list[Route]:
    """Return the canary's routes of a configuration that has them."""
    return [route for route in config.routes if route.name.startswith(PREFIX)]


@dataclass(slots=True)
class Canary:
    """One process; `config` and `recipes` are those that `with_canary` made, `listener` is the sink's."""

    config: Config
    recipes: Mapping[str, Recipe]
    spool: Spool
    database: Database
    listener: socket.socket
    stop: Stop

    def run(self) -> None:
        """Send a study by each route now and then, until told to stop."""
        canary = self.config.canary  # None where a reload took it away: then only what it left is removed
        next_round, next_look, began = time.monotonic() + _FIRST_SECONDS, 0.0, time.time()
        while not self.stop.wait(_LOOK_SECONDS):
            try:
                if canary is not None and (time.monotonic() >= next_round or asked_since(self.database, began)):
                    began, next_round = time.time(), time.monotonic() + canary.every
                    self._round(canary.within, began)
                    next_look = 0.0
                if time.monotonic() >= next_look:
                    next_look = time.monotonic() + _TIDY_SECONDS
                    tidy(self.database, self.spool)
            except (NodeError, OSError) as error:
                # The boundary of one round: what it could not do shows as a round that did not come.
                text = str(error) if isinstance(error, NodeError) else "the disk refused"
                event(LOGGER, "canary-trouble", level=logging.ERROR, error=text)
        self.database.close()

    def _round(self, within: float, began: float) -> None:
        folder = self.config.node.data / "canary"
        shutil.rmtree(folder, ignore_errors=True)
        server = AssociationServer(self.listener, SinkPolicy(_SINK_TITLE, folder))
        thread = threading.Thread(target=server.serve, name="canary-sink", daemon=True)
        thread.start()
        try:
            told = {}
            for route in canary_routes(self.config):
                report = self._fly(route, folder, within)
                told[report.route] = report.told()
                if self.stop.is_set():
                    return
            write_results(self.database, began, told)
        finally:
            server.stop()
            thread.join()
            server.drain(0.0)
            shutil.rmtree(folder, ignore_errors=True)

    def _fly(self, route: Route, folder: Path, within: float) -> RouteReport:
        """Send a study by one route, wait for it, and tell what came out."""
        name = route.name.removeprefix(PREFIX)
        report = RouteReport(name, ("the canary's sink", *(route.to[1:])))
        study, began = make_study(), time.monotonic()
        sent = send(study, self._door(route), min(within, 30.0))
        report.sent, report.acknowledged = sent.sent, sent.acknowledged
        if sent.problems:
            report.checks.append(Check("sending", False, "; ".join(sent.problems)))
        own = {one.sop_instance_uid for one in study.instances}
        rows = self._rows(route, own)
        while time.monotonic() - began < within and (len(rows) < sent.acknowledged or any(map(_is_under_way, rows))):
            if self.stop.wait(_LOOK_SECONDS / 4):
                break
            rows = self._rows(route, own)
        report.seconds = round(time.monotonic() - began, 1)
        examine(report, study, self.recipes[route.name], rows, {SINK: folder})
        report.notes += [f"destination {name}: {text}" for name, text in troubles(self.database, route.to).items()]
        self._tell(report)
        return report

    def _rows(self, route: Route, uids: set[str]) -> list[Came]:
        """What the ledger says of one study, as far as the sink is concerned: other destinations may take longer."""
        rows = (row for row in came(self.database, route.name) if row.sop_instance_uid in uids)
        return [replace(row, deliveries=tuple(one for one in row.deliveries if one[0] == SINK)) for row in rows]

    def _door(self, route: Route) -> Door:
        listener, canary = listener_of(self.config), self.config.canary
        assert canary is not None
        who = route.from_
        assert who.called_ae is not None
        assert who.calling_ae is not None
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listener.listen.host, listener.listen.host)  # noqa: S104
        tls = None
        if canary.tls is not None:
            to_itself = self.config.destinations[SINK].model_copy(
                update={"tls": canary.tls, "address": Endpoint(host, listener.listen.port)}
            )
            tls = destination_security("canary", to_itself)
        return Door(host, listener.listen.port, who.called_ae[0], who.calling_ae[0], tls=tls)

    @staticmethod
    def _tell(report: RouteReport) -> None:
        failed = report.verdict == "failed"
        wrong = "; ".join(f"{check.name}: {check.text}" for check in report.checks if check.ok is False)
        level = logging.ERROR if failed else logging.INFO
        about = {"detail": wrong} if failed else {}
        event(
            LOGGER,
            "canary",
            level=level,
            route=report.route,
            verdict=str(report.verdict),
            seconds=report.seconds,
            **about,
        )


def _is_under_way(row: Came) -> bool:
    return row.state == "received" or any(state == "due" for _, state, _ in row.deliveries)


def bind_sink() -> socket.socket:
    """Return a socket on which the canary's sink listens, at a port of this machine that was free."""
    return socket.create_server(("127.0.0.1", 0), backlog=16)


def close_quietly(listener: socket.socket | None) -> None:
    """Close what another process uses."""
    if listener is not None:
        with contextlib.suppress(OSError):
            listener.close()


def port_of(listener: socket.socket | None) -> int:
    """Return the port that a socket listens on; 0 for none."""
    return 0 if listener is None else int(listener.getsockname()[1])
