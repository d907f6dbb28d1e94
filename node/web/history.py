"""Rates, queues and lag, looked at every few seconds and remembered for charts, an hour at most.

What it costs does not grow with the instances that are done with: tallies, and what waits.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from sqlalchemy import bindparam, func, select
from sqlalchemy import text as sql

from node.config import Config
from node.errors import LedgerError
from node.ledger import Database, Ledger
from node.ledger.schema import deliveries, instances, tallies
from node.log import event

LOGGER = logging.getLogger("node.web.history")

SECONDS = 10.0
_KEPT = 360

_UNCLEANED = select(tallies.c.route).where(tallies.c.state == "received", tallies.c.n > 0).distinct()
_OLDEST_RECEIVED = (
    select(instances.c.received_at)
    .where(sql("state = 'received'"), instances.c.route == bindparam("the_route"))
    .order_by(instances.c.seq)
    .limit(1)
)
_OLDEST_DUE = (
    select(deliveries.c.destination, func.min(deliveries.c.created_at).label("since"))
    .where(sql("state = 'due'"))
    .group_by(deliveries.c.destination)
)


@dataclass(frozen=True, slots=True)
class Moment:
    """What was counted at a time (seconds, UTC): whole numbers by name, and by destination what waits there.

    `lag` is for how long the oldest has waited, in seconds: by destination, and under an empty name for its cleaning;
    `cleaning_lag` the latter by route. `routes` is what was received by each.
    """

    at: float
    counts: Mapping[str, int]
    waiting: Mapping[str, int]
    delivered: Mapping[str, int]
    routes: Mapping[str, int] = field(default_factory=dict)
    lag: Mapping[str, float] = field(default_factory=dict)
    cleaning_lag: Mapping[str, float] = field(default_factory=dict)


def look(ledger: Ledger) -> Moment:
    """Return how things are now. Raises LedgerError."""
    now, found = time.time(), ledger.status()
    counts = {name: int(found[name]) for name in ("received", "in_flight", "delivered", "held", "excluded")}
    counts["cleaned"] = sum(route["cleaned"] for route in found["routes"].values())
    where: dict[str, dict[str, Any]] = found["destinations"]
    lag: dict[str, float] = {}
    cleaning: dict[str, float] = {}
    if counts["in_flight"]:
        with ledger.database.read() as connection:
            for route in list(connection.execute(_UNCLEANED).scalars()):
                since = connection.execute(_OLDEST_RECEIVED, {"the_route": route}).scalar()
                if since is not None:
                    cleaning[route] = max(0.0, now - since)
            lag = {row.destination: max(0.0, now - row.since) for row in connection.execute(_OLDEST_DUE)}
        if cleaning:
            lag[""] = max(cleaning.values())
    return Moment(
        now,
        counts,
        {name: int(one["waiting"]) for name, one in where.items()},
        {name: int(one["delivered"]) for name, one in where.items()},
        {name: int(one["received"]) for name, one in found["routes"].items()},
        lag,
        cleaning,
    )


class History:
    """Looks every few seconds, in a thread of its own, once it is started."""

    def __init__(self, config: Config, database: Database) -> None:
        self._names = tuple(config.destinations)
        self._ledger = Ledger(database)
        self._moments: deque[Moment] = deque(maxlen=_KEPT)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def end(self) -> None:
        """End; what was seen is still there."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(SECONDS)

    def take(self) -> Moment:
        """Look now, and remember it. Raises LedgerError."""
        moment = look(self._ledger)
        self._moments.append(moment)
        return moment

    def moments(self) -> list[Moment]:
        """What is remembered, oldest first."""
        return list(self._moments)

    def latest(self) -> Moment | None:
        """The last that was seen."""
        return self._moments[-1] if self._moments else None

    def _run(self) -> None:
        while True:
            try:
                self.take()
            except LedgerError as error:
                event(LOGGER, "ledger-trouble", level=logging.WARNING, error=str(error))
            if self._ending.wait(SECONDS):
                return


def rates(moments: Sequence[Moment], name: str, of: str = "counts") -> list[tuple[float, float]]:
    """Return how many a second were counted under a name between each moment and the one before; never less than 0.

    `of` are the counts that have the name: `counts`, `routes` (received) or `delivered` (by destination).
    """
    counted = [(one.at, getattr(one, of).get(name, 0)) for one in moments]
    return [
        (after, max(0.0, (more - less) / (after - before)))
        for (before, less), (after, more) in pairwise(counted)
        if after > before
    ]
