"""The role's process: looks at what is due, each second, and gives each piece of work a thread.

Guarantees
    A destination that is slow keeps nobody waiting but the requests of the routes that send to it, a sender that is
    slow nobody but itself: there is one thread for each route and one for each sender that reports go to. Whatever is
    found out is in the ledger; a process that ends in the middle of something has lost nothing.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from node.committer.answering import Answering
from node.committer.deciding import Deciding, Undecided
from node.config import Config, columns_of
from node.config.commitment import Answering as Pace
from node.errors import LedgerError, NetworkError
from node.ledger.commitments import (
    ANSWERED,
    KEPT_SECONDS,
    UNANSWERED,
    WAITING,
    Request,
    again,
    decide,
    due,
    end,
    forget,
)
from node.ledger.database import Database
from node.log import event
from node.retry import delay
from node.shared import Stop

LOGGER = logging.getLogger("node.committer")

_LOOK_SECONDS = 1.0
_TIDY_SECONDS = 3600.0
_LAST_SECONDS = 2.0
_DAY = 86400.0


class _Looks(NamedTuple):
    """Seconds between looks at a request that cannot be decided yet."""

    first: float = 1.0
    factor: float = 1.5
    cap: float = 60.0


@dataclass(slots=True)
class Committer:
    """Does what is due; `look` is to be called again and again."""

    config: Config
    database: Database
    _busy: dict[tuple[str, str], threading.Thread] = field(default_factory=dict)
    _answering: Answering = field(init=False)
    _tidied: float = 0.0

    def __post_init__(self) -> None:
        self._answering = Answering.of(self.config, self.database)

    def look(self) -> None:
        """Begin with what is due, of each route and each sender with one. Raises LedgerError."""
        self._busy = {of: thread for of, thread in self._busy.items() if thread.is_alive()}
        for request in due(self.database, time.time()):
            waits = request.state == WAITING
            of = ("route", request.route) if waits else ("sender", request.calling_ae_title)
            if of not in self._busy:
                work = self.consider if waits else self.answer
                self._busy[of] = thread = threading.Thread(
                    target=self._safely, args=(work, request), name="commitment", daemon=True
                )
                thread.start()
        self._tidy()

    def wait(self, seconds: float) -> None:
        """Wait for what has begun, for so many seconds at most."""
        deadline = time.monotonic() + seconds
        for thread in self._busy.values():
            thread.join(max(0.0, deadline - time.monotonic()))

    def _safely(self, work: Callable[[Request], None], request: Request) -> None:
        try:
            work(request)
        except LedgerError as error:
            event(LOGGER, "ledger-trouble", level=logging.ERROR, error=str(error))
        except Exception:  # noqa: BLE001 -- the boundary around one request: it is tried again, and the others go on
            event(LOGGER, "commitment-failed", level=logging.ERROR, request=request.seq, exc_info=True)
            self._later(request, "a fault of the node; its log has the traceback", _Looks())

    def consider(self, request: Request) -> None:
        """Decide about a request, or note that it is to be looked at again. Raises LedgerError."""
        try:
            results = Deciding(self.config, self.database).results(request)
        except Undecided as why:
            self._later(request, str(why), _Looks())
            return
        decide(self.database, request.seq, results)
        failed = sum(1 for one in results.values() if one)
        event(LOGGER, "commitment-decided", request=request.seq, instances=len(results), failed=failed)

    def answer(self, request: Request) -> None:
        """Report to the sender, or note that it is to be tried again. Raises LedgerError."""
        pace = self._pace(request)
        try:
            told = self._answering.answer(request)
        except NetworkError as error:
            text = str(error) or type(error).__name__
            if time.time() >= (request.decided_at or 0.0) + pace.within:
                event(LOGGER, "commitment-unanswered", level=logging.ERROR, request=request.seq, error=text)
                end(self.database, request.seq, UNANSWERED, text)
                return
            event(LOGGER, "commitment-not-answered", level=logging.WARNING, request=request.seq, error=text)
            self._later(request, text, pace)
            return
        end(self.database, request.seq, ANSWERED, failed=len(told.failed))
        counts = {"committed": len(told.referenced), "failed": len(told.failed)}
        event(LOGGER, "commitment-answered", request=request.seq, **counts)

    def _pace(self, request: Request) -> Pace:
        found = (one.commitment for one in self.config.routes if one.name == request.route)
        commitment = next(found, None)
        return Pace() if commitment is None else commitment.answer

    def _later(self, request: Request, error: str, pace: Pace | _Looks) -> None:
        seconds = delay(pace, request.tries + 1, random.random())  # noqa: S311 -- spreads load, no secret
        if request.state == WAITING:
            seconds = min(seconds, max(0.0, request.until - time.time()))
        again(self.database, request.seq, request.tries + 1, seconds, error)

    def _tidy(self) -> None:
        """Let go of what has ended long ago: not later than the way back of its UIDs."""
        if time.monotonic() - self._tidied < _TIDY_SECONDS and self._tidied:
            return
        maps = self.config.retention.maps
        gone = forget(self.database, KEPT_SECONDS if maps is None else min(KEPT_SECONDS, maps * _DAY))
        # Where there is more, at the next look.
        self._tidied = 0.0 if gone else time.monotonic()


def commit(config: Config, stop: Stop) -> None:
    """Do what is due until `stop` is set; what waits for a peer then is left, and done after the next start."""
    database = Database(config.node.ledger, columns_of(config))
    committer = Committer(config, database)
    while not stop.wait(_LOOK_SECONDS):
        try:
            committer.look()
        except LedgerError as error:
            event(LOGGER, "ledger-trouble", level=logging.ERROR, error=str(error))
    committer.wait(_LAST_SECONDS)
