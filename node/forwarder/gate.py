"""Whether a destination is to be tried now: one for each destination, shared by its lanes.

Guarantees
    A destination that cannot be reached is paused as a whole, and when its time comes one lane alone tries it, until
    it answers. An outage counts once, however many lanes ran into it; deliveries are not touched by it. A pause by a
    person, and a stop of all forwarding, hold until they are taken back. Waiting is measured on the monotonic clock, so
    that a stepped clock neither stalls nor hurries it.
"""

from __future__ import annotations

import logging
import random
import threading
import time

from node.config import Destination
from node.errors import LedgerError
from node.ledger.sending import DestinationState, SendingLedger
from node.log import event
from node.retry import delay

LOGGER = logging.getLogger("node.forwarder")

_LOOK_SECONDS = 1.0


class Gate:
    """Opens and closes the way to one destination."""

    def __init__(self, name: str, destination: Destination, ledger: SendingLedger) -> None:
        self._name = name
        self._pace = destination.retry
        self._ledger = ledger
        self._guard = threading.Lock()
        self._paused = False
        self._failures = 0
        self._closed_until = 0.0
        self._trying: int | None = None  # the thread that was let through after a failure
        self._looked_at = 0.0
        self._look(first=True)

    def enter(self) -> bool:
        """Whether the calling lane may send now; after failures only one lane gets through, to try."""
        with self._guard:
            if time.monotonic() - self._looked_at >= _LOOK_SECONDS:
                self._look()
            if self._paused:
                return False
            if self._failures == 0:
                return True
            if self._trying is not None or time.monotonic() < self._closed_until:
                return False
            self._trying = threading.get_ident()
            return True

    def look_again(self) -> None:
        """The calling lane has found the way closed: who enters next asks the ledger."""
        with self._guard:
            self._looked_at = -_LOOK_SECONDS

    def leave(self) -> None:
        """The calling lane is done for now; where it was let through to try and nothing came of it, another may."""
        with self._guard:
            if self._trying == threading.get_ident():
                self._trying = None

    def reached(self) -> None:
        """The destination answers: all lanes may send."""
        with self._guard:
            recovered, self._failures, self._trying = self._failures > 0, 0, None
            if recovered:
                event(LOGGER, "destination-reached", destination=self._name)
                self._write(self._ledger.reached)

    def failed(self, error: str) -> None:
        """The destination could not be reached, or fails instance after instance."""
        with self._guard:
            if self._failures and self._trying != threading.get_ident():
                return  # the calling lane ran into an outage that another one has told of
            self._failures += 1
            self._trying = None
            seconds = delay(self._pace, self._failures, random.random())  # noqa: S311 -- spreads load, no secret
            self._closed_until = time.monotonic() + seconds
            failures, next_try = self._failures, time.time() + seconds
            self._write(lambda: self._ledger.unreachable(failures, next_try, error))
        event(
            LOGGER,
            "destination-unreachable",
            level=logging.WARNING,
            destination=self._name,
            error=error,
            failures=failures,
            again_in=round(seconds, 1),
        )

    def _look(self, *, first: bool = False) -> None:
        """Take over what a person changed in the ledger: a pause, or a resume, which also ends waiting."""
        try:
            state = self._ledger.state()
        except LedgerError:
            return  # it is looked at again
        self._looked_at = time.monotonic()
        paused = state.paused or state.stopped
        if paused != self._paused:
            event(LOGGER, "destination-paused" if paused else "destination-resumed", destination=self._name)
        self._paused = paused
        if first:
            self._take_over(state)
        elif self._failures and state.next_try is None and self._trying is None:
            self._failures = 0

    def _take_over(self, state: DestinationState) -> None:
        self._failures = state.failures
        if state.next_try is not None:
            seconds = min(max(0.0, state.next_try - time.time()), self._pace.cap)
            self._closed_until = time.monotonic() + seconds

    @staticmethod
    def _write(note: object) -> None:
        try:
            note()  # type: ignore[operator]
        except LedgerError as error:
            event(LOGGER, "ledger-trouble", level=logging.ERROR, error=str(error))
