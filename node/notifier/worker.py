"""The role's process: looks every few seconds, and tells by each channel what is to be told.

Guarantees
    It stands in nobody's way: it reads the ledger, and writes to it when a message was taken. A channel that fails is
    tried again later and later, up to an hour, and keeps no other waiting longer than its time-outs. What is told is
    found out anew each time: what waited for a channel and is over by then is not told.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import Protocol

from node.config import Config, columns_of
from node.config.notify import Notify
from node.errors import LedgerError, NetworkError, NodeError
from node.ledger.alerts import NOTIFY_FAILING
from node.ledger.database import Database
from node.ledger.notices import note_told, note_trouble, told
from node.log import event
from node.notifier.deciding import news
from node.notifier.matters import Matter, matters
from node.notifier.messages import Message
from node.shared import Stop

LOGGER = logging.getLogger("node.notifier")

_LOOK_SECONDS = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 30.0, 3600.0
_LAST_SECONDS = 5.0


class Channel(Protocol):
    """One way to people."""

    name: str

    def send(self, message: Message) -> None:
        """Return when the message was taken. Raises NetworkError."""


def channels(settings: Notify) -> list[Channel]:
    """Return the ways that the configuration has."""
    from node.notifier.mail import MailChannel
    from node.notifier.webhook import WebhookChannel

    found: list[Channel] = []
    if settings.mail is not None:
        found.append(MailChannel(settings.mail))
    if settings.webhook is not None:
        found.append(WebhookChannel(settings.webhook))
    return found


def name_of(config: Config) -> str:
    """Return what messages call the node."""
    return config.notify.name or config.node.ae_title


@dataclass(slots=True)
class Notifier:
    """Tells by its channels what is to be told; `look` is to be called again and again."""

    config: Config
    database: Database
    channels: list[Channel]
    _pauses: dict[str, float] = field(default_factory=dict)
    _try_at: dict[str, float] = field(default_factory=dict)

    def look(self, now: float | None = None) -> None:
        """Find out what there is to tell at `now` (seconds, UTC; None is now), and tell it. Raises LedgerError."""
        now = time.time() if now is None else now
        due = [channel for channel in self.channels if not now < self._try_at.get(channel.name, now) <= now + 3600]
        if due:
            found = matters(self.database, self.config, now)
            for channel in due:
                self._tell(channel, found, now)

    def _tell(self, channel: Channel, found: list[Matter], now: float) -> None:
        settings = self.config.notify
        # By the time that it can tell of its own trouble that is over.
        found = [matter for matter in found if matter.key != (NOTIFY_FAILING, channel.name)]
        fresh = news(found, told(self.database, channel.name, now), now, settings.again, settings.at_most)
        if not fresh:
            return
        try:
            channel.send(Message(name_of(self.config), now, fresh))
        except NetworkError as error:
            self._failed(channel.name, str(error), now)
            return
        self._pauses.pop(channel.name, None)
        lasting = {matter.key: matter.since for matter in (*fresh.began, *fresh.lasts)}
        note_told(self.database, channel.name, now, lasting, fresh.over or ())
        counts = {"began": len(fresh.began), "lasts": len(fresh.lasts), "over": len(fresh.over or ())}
        event(LOGGER, "notified", channel=channel.name, **counts)

    def _failed(self, channel: str, error: str, now: float) -> None:
        pause = min(_LONGEST_PAUSE, self._pauses.get(channel, 0.0) * 2 or _FIRST_PAUSE)
        self._pauses[channel], self._try_at[channel] = pause, now + pause
        event(LOGGER, "not-notified", level=logging.WARNING, channel=channel, error=error, again_in=pause)
        note_trouble(self.database, channel, error)


def notify(config: Config, stop: Stop) -> None:
    """Tell people until `stop` is set; a message that is on its way then has some seconds to be taken."""
    database = Database(config.node.ledger, columns_of(config))
    notifier = Notifier(config, database, channels(config.notify))
    # A server that does not answer must not keep the node from ending.
    thread = threading.Thread(target=_run, args=(notifier, stop), name="notify", daemon=True)
    thread.start()
    while not stop.wait(_LOOK_SECONDS):
        if not thread.is_alive():
            raise NodeError("the thread that sends notifications has ended")
    thread.join(_LAST_SECONDS)


def _run(notifier: Notifier, stop: Stop) -> None:
    while not stop.wait(_LOOK_SECONDS):
        try:
            notifier.look()
        except LedgerError as error:
            event(LOGGER, "ledger-trouble", level=logging.ERROR, error=str(error))
    notifier.database.close()
