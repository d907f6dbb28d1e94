"""The forwarder's process: the lanes of all destinations, and the bell that wakes them.

Guarantees
    What a lane holds stays its own however long it takes to send. What waits for a destination that the configuration
    no longer has is held, where a person sees it, and not forgotten.
"""

from __future__ import annotations

import logging
import math
import threading
import time

from node.config import Config, columns_of, destination_security
from node.errors import LedgerError
from node.forwarder.gate import Gate
from node.forwarder.lane import Lane
from node.ledger.database import Database
from node.ledger.leases import LEASE_SECONDS
from node.ledger.sending import SendingLedger, hold_gone, renew_leases
from node.log import event
from node.shared import Bell, Stop
from node.spool import Spool

LOGGER = logging.getLogger("node.forwarder")

_LISTEN_SECONDS = 0.5
_GONE_SECONDS = 10.0


class _Alarm:
    """Wakes every lane that sleeps."""

    def __init__(self) -> None:
        self._condition = threading.Condition()

    def ring(self) -> None:
        with self._condition:
            self._condition.notify_all()

    def wait(self, seconds: float) -> None:
        with self._condition:
            self._condition.wait(seconds)


class _Chores:
    """What is done now and then for all lanes together."""

    def __init__(self, database: Database, owner: str, known: tuple[str, ...]) -> None:
        self._database = database
        self._owner = owner
        self._known = known
        self._renewed = time.monotonic()
        self._looked = -math.inf

    def do_what_is_due(self) -> None:
        now = time.monotonic()
        try:
            if now - self._looked >= _GONE_SECONDS:
                self._looked = now
                for name, count in hold_gone(self._database, self._known).items():
                    event(LOGGER, "destination-gone", level=logging.WARNING, destination=name, held=count)
            if now - self._renewed >= LEASE_SECONDS / 4:
                self._renewed = now
                renew_leases(self._database, self._owner)
        except LedgerError as error:
            event(LOGGER, "ledger-trouble", level=logging.ERROR, error=str(error))


def forward(config: Config, spool: Spool, owner: str, bell: Bell, stop: Stop) -> None:
    """Send to all destinations until `stop` is set; the instances in hand are finished and settled first."""
    database = Database(config.node.ledger, columns_of(config))
    alarm = _Alarm()
    lanes: list[threading.Thread] = []
    for name, destination in config.destinations.items():
        ledger = SendingLedger(database, name, destination.retry.cap)
        gate = Gate(name, destination, ledger)
        tls = destination_security(name, destination)
        for number in range(destination.associations):
            lane = Lane(name, destination, ledger, gate, spool, f"{owner}/{name}/{number}", stop, alarm.wait, tls)
            lanes.append(threading.Thread(target=lane.run, name=f"{name}-{number}"))
    for thread in lanes:
        thread.start()
    chores = _Chores(database, owner, tuple(config.destinations))
    while not stop.is_set() and all(thread.is_alive() for thread in lanes):
        chores.do_what_is_due()
        bell.wait(_LISTEN_SECONDS)
        alarm.ring()
    failed = not stop.is_set()
    stop.set()
    alarm.ring()
    for thread in lanes:
        thread.join()
    spool.finish_removals()
    database.close()
    if failed:
        raise RuntimeError("a lane ended by itself; its traceback is above")
