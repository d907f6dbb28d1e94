"""The role that keeps the audit trail: sums up transfers and refusals, and sends the trail to its syslog receiver.

Guarantees
    It never stands in the way: what others do waits neither for it nor for the receiver, which a thread of its own
    talks to. Each entry is sent at least once, in the order of the chain, from where the last that arrived was noted; a
    receiver that is away gets all that it missed. Only the key of the chain is kept, not the secret that it is made of.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from node.audit import kinds
from node.audit.actor import sender_of_signal, this_person
from node.audit.messages import Message
from node.audit.syslog import Receiver
from node.config import Config, columns_of, syslog_security
from node.errors import CertificateError, LedgerError, NetworkError, NodeError
from node.ledger.audit import Trail, next_to_send, note_sent, note_trouble, open_trail
from node.ledger.database import Database
from node.log import event
from node.recipe import Recipe
from node.shared import Stop

LOGGER = logging.getLogger("node.auditor")

_COLLECT_SECONDS = 15.0
_REFUSED_SECONDS = 60.0
_SEND_SECONDS = 1.0
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 60.0
_LAST_SECONDS = 5.0  # for what is left to send when the node ends
_AT_ONCE = 200


def keep_trail(config: Config, stop: Stop) -> None:
    """Keep the audit trail until `stop` is set."""
    database = Database(config.node.ledger, columns_of(config))
    trail = open_trail(config, this_person("serve"))
    assert trail.key
    sending = Sending(config, database)
    refused = time.monotonic()
    while not stop.wait(_COLLECT_SECONDS):
        sending.require()
        told = time.monotonic() - refused > _REFUSED_SECONDS
        if told:
            refused = time.monotonic()
        _collect(trail, database, config, refusals_too=told)
    sending.end()
    database.close()


def _collect(trail: Trail, database: Database, config: Config, *, refusals_too: bool) -> None:
    try:
        while trail.collect(database, config, refusals_too=refusals_too):
            pass
    except LedgerError as error:
        event(LOGGER, "ledger-trouble", level=logging.ERROR, error=str(error))


class Sending:
    """Sends the trail to the configured receiver, in a thread of its own; does nothing where there is none."""

    def __init__(self, config: Config, database: Database) -> None:
        self._database = database
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        security = syslog_security(config)
        if config.audit.syslog is None or security is None:
            return
        self._receiver = Receiver(config.audit.syslog.address, security)
        self._thread = threading.Thread(target=self._run, name="syslog", daemon=True)
        self._thread.start()

    def require(self) -> None:
        """Raise NodeError where the thread has ended by a fault of its own: the process is replaced then."""
        if self._thread is not None and not self._thread.is_alive():
            raise NodeError("the thread that sends the audit trail has ended")

    def end(self) -> None:
        """Send what is left, once, and end."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(_LAST_SECONDS)

    def _run(self) -> None:
        pause = 0.0
        while not self._ending.wait(pause or _SEND_SECONDS):
            pause = 0.0 if self._all() else min(_LONGEST_PAUSE, pause * 2 or _FIRST_PAUSE)
        self._all()

    def _all(self) -> bool:
        """Send all that waits; whether that went well."""
        try:
            while batch := next_to_send(self._database, _AT_ONCE):
                self._receiver.send(batch)
                note_sent(self._database, batch[-1].seq)
        except (NetworkError, CertificateError) as error:
            event(LOGGER, "audit-not-sent", level=logging.WARNING, error=str(error))
            note_trouble(self._database, str(error))
            return False
        except LedgerError as error:
            event(LOGGER, "ledger-trouble", level=logging.ERROR, error=str(error))
            return False
        return True


def tell_start(config: Config, recipes: Mapping[str, Recipe], database: Database) -> None:
    """Write that the node starts, by whom, and with which configuration and recipes."""
    trail = open_trail(config, this_person("serve"))
    trail.begin(database, _configured(trail, config, recipes, 0))


def tell_reload(config: Config, recipes: Mapping[str, Recipe], account: int, faults: int) -> None:
    """Write that a user asked for a reload: taken, or refused for its faults; `config` is the one in use."""
    trail = open_trail(config, sender_of_signal(account, "reload"))
    database = Database(config.node.ledger, columns_of(config))
    trail.record(database, _configured(trail, config, recipes, faults))
    database.close()


def tell_stop(config: Config, account: int) -> None:
    """Write all that is not yet written of transfers, and that a user ended the node."""
    trail = open_trail(config, sender_of_signal(account, "stop"))
    database = Database(config.node.ledger, columns_of(config))
    while trail.collect(database, config, everything=True):
        pass
    trail.end(database)
    database.close()


def _configured(trail: Trail, config: Config, recipes: Mapping[str, Recipe], faults: int) -> Message:
    used = {} if faults else {name: recipe.hash for name, recipe in recipes.items()}
    return kinds.configured(trail.source, trail.by, _hash(config.file), used, faults)


def _hash(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return "unreadable"
