"""The process that follows studies: what happened to which, which have become quiet, what there is to say of them.

Guarantees
    It stands in nobody's way: it reads the ledger's events some at a time, looks at a bounded number of studies in a
    round, and asks each destination in a thread of its own. Only the key that receipts are signed with is kept, not the
    secret that it is made of. Without `completeness` in the configuration it does nothing.
"""

from __future__ import annotations

import logging

from node.completeness.asking import Asking
from node.config import Completeness, Config, columns_of
from node.errors import LedgerError, NodeError
from node.identity import load_secret, receipt_key
from node.ledger.completeness import Book
from node.ledger.database import Database
from node.ledger.following import due_studies, follow
from node.ledger.receipts import Writer
from node.log import event
from node.query import peer_of
from node.receipt import Signer
from node.shared import Stop

LOGGER = logging.getLogger("node.completeness")

_LONGEST_ROUND = 2.0  # seconds between looks at the ledger
_AT_ONCE = 20  # studies
_PAUSE_SECONDS = 0.05  # between batches: others have their turn
_TROUBLE_SECONDS = 5.0
_IDLE_SECONDS = 60.0


def keep_complete(config: Config, stop: Stop) -> None:
    """Follow studies until `stop` is set. Raises NodeError where a thread has ended by a fault of its own."""
    wanted = config.completeness
    if wanted is None:  # a reload has taken it away
        while not stop.wait(_IDLE_SECONDS):
            pass
        return
    database = Database(config.node.ledger, columns_of(config))
    every = min(_LONGEST_ROUND, max(0.1, wanted.quiet / 4))
    peers = [peer for name in config.destinations if (peer := peer_of(config, name)) is not None]
    book = Book(database, frozenset(peer.name for peer in peers), _writer(config, wanted))
    asking = [Asking(peer, book, stop, every, max(5.0, wanted.quiet / 10)) for peer in peers]
    for one in asking:
        one.thread.start()
    wait = every
    while not stop.wait(wait):
        if not all(one.thread.is_alive() for one in asking):
            raise NodeError("a thread that asks a destination has ended")
        try:
            more = follow(database, wanted.quiet)
            wait = _PAUSE_SECONDS if look(book, wanted.quiet) or more else every
        except LedgerError as error:
            event(LOGGER, "ledger-trouble", level=logging.ERROR, error=str(error))
            wait = _TROUBLE_SECONDS


def look(book: Book, quiet: float) -> bool:
    """Look at studies that have been quiet for so many seconds, a bounded number; whether there are more.

    Raises LedgerError.
    """
    due = due_studies(book.database, _AT_ONCE, quiet)
    for one in due:
        book.conclude(one.seq)
    return len(due) == _AT_ONCE


def _writer(config: Config, wanted: Completeness) -> Writer | None:
    if not wanted.receipts:
        return None
    return Writer(Signer(receipt_key(load_secret(config.node.secret_file))), node_name(config))


def node_name(config: Config) -> str:
    """Return what receipts call the node: what the audit trail calls it."""
    return config.audit.source or config.node.ae_title
