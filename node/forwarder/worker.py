"""The forwarder's process: the lanes of all destinations, and the bell that wakes them."""

from __future__ import annotations

import threading

from node.config import Config
from node.forwarder.gate import Gate
from node.forwarder.lane import Lane
from node.ledger.database import Database
from node.ledger.sending import SendingLedger
from node.shared import Bell, Stop
from node.spool import Spool

_LISTEN_SECONDS = 0.5


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


def forward(config: Config, spool: Spool, owner: str, bell: Bell, stop: Stop) -> None:
    """Send to all destinations until `stop` is set; the instances in hand are finished and settled first."""
    database = Database(config.node.ledger)
    alarm = _Alarm()
    lanes: list[threading.Thread] = []
    for name, destination in config.destinations.items():
        ledger = SendingLedger(database, name)
        gate = Gate(name, destination, ledger)
        for number in range(destination.associations):
            lane = Lane(name, destination, ledger, gate, spool, f"{owner}/{name}/{number}", stop, alarm.wait)
            lanes.append(threading.Thread(target=lane.run, name=f"{name}-{number}"))
    for thread in lanes:
        thread.start()
    while not stop.is_set() and all(thread.is_alive() for thread in lanes):
        bell.wait(_LISTEN_SECONDS)
        alarm.ring()
    failed = not stop.is_set()
    stop.set()
    alarm.ring()
    for thread in lanes:
        thread.join()
    database.close()
    if failed:
        raise RuntimeError("a lane ended by itself; its traceback is above")
