"""Asking one destination what it has of the studies that are to be compared; a thread for each destination.

Guarantees that a destination which is slow or does not answer delays nobody but itself, and that it is asked again,
later each time. A match counts by its UID alone (`node.query`).
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field

from node.errors import LedgerError, NetworkError, QueryFailed, QueryNotSupported
from node.ledger.accounts import Account, account_of
from node.ledger.completeness import Answer, Book
from node.ledger.following import FollowedStudy, study_to_ask_about
from node.log import event
from node.query import QueryPeer, find_instances
from node.shared import Stop

LOGGER = logging.getLogger("node.completeness")

_REST_SECONDS = 30.0  # after no answer, in which nobody asks there
_TROUBLE_SECONDS = 5.0


@dataclass(slots=True)
class Asking:
    """The questions to one destination.

    Parameters
    ----------
    peer
        Who is asked.
    book
        Where the answers are written.
    stop
        Ends it; the question in hand is asked to its end.
    every
        Seconds between looks at what is to be asked.
    pause
        Seconds after which a study is asked about again, the first time.
    """

    peer: QueryPeer
    book: Book
    stop: Stop
    every: float
    pause: float
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, name=f"ask-{self.peer.name}", daemon=True)

    def _run(self) -> None:
        wait = self.every
        while not self.stop.wait(wait):
            wait = self.every
            try:
                one = study_to_ask_about(self.book.database, self.peer.name)
                if one is not None:
                    wait = 0.0 if self._ask(one) else min(_REST_SECONDS, self.pause)
            except LedgerError as error:
                event(LOGGER, "ledger-trouble", level=logging.ERROR, error=str(error))
                wait = _TROUBLE_SECONDS

    def _ask(self, one: FollowedStudy) -> bool:
        """Ask about one study; whether the destination answered."""
        began = time.time()
        with self.book.database.read() as connection:
            account = account_of(connection, one.project, one.study)
        try:
            answer = ask(self.peer, account)
        except NetworkError as error:
            hopeless = isinstance(error, QueryNotSupported)
            event(LOGGER, "not-compared", level=logging.WARNING, destination=self.peer.name, error=str(error))
            self.book.not_answered(one, self.peer.name, began, str(error), pause=self.pause, hopeless=hopeless)
            self.book.conclude_if_quiet(one.seq)
            return False
        self.book.answered(one, self.peer.name, began, answer)
        self.book.conclude_if_quiet(one.seq)
        return True


def ask(peer: QueryPeer, account: Account) -> Answer:
    """Ask a destination about a study; return what it does not have of what it has taken, and what it has beside that.

    Raises NetworkError, and QueryFailed where it does not answer for each series.
    """
    wanted: dict[str, dict[str, set[str]]] = {}
    for series, part in account.parts(peer.name):
        if part.sent:
            wanted.setdefault(series.study_uid, {}).setdefault(series.uid, set()).update(part.sent)
    missing, others = dict[str, list[str]](), dict[str, int]()
    other_series: int | None = 0
    for study_uid, by_series in wanted.items():
        found = find_instances(peer, study_uid, list(by_series))
        if not found.complete:
            raise QueryFailed(found.problem)
        for uid, sent in by_series.items():
            there = found.instances[uid]
            if lost := sorted(sent - there):
                missing[uid] = lost
            if more := len(there - sent):
                others[uid] = more
        more_series = found.other_series
        other_series = None if other_series is None or more_series is None else other_series + more_series
    return Answer(missing=missing, others=others, other_series=other_series)
