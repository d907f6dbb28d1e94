"""The keeper: what the node does beside the work, again and again.

Guarantees
    What goes by age goes by `retention` alone, in small batches between which others have their turn, and every
    deletion leaves a record without anybody's identity. Nothing that is in flight or held ever goes. A disk or a ledger
    that refuses ends a round, never the keeper: the next round does what is left.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import dataclass, field
from itertools import islice

from node.backups.schedule import Schedule
from node.config import Config
from node.disk import Watch
from node.errors import LedgerError, NodeError
from node.ledger.alerts import held_long
from node.ledger.database import DAMAGED, Database
from node.ledger.erasing import BATCH, Record, erase_events, erase_maps, maps_are_due
from node.ledger.meters import fold
from node.ledger.seen import check, is_unchecked, note
from node.ledger.waiting import finish_letting_go
from node.log import event
from node.shared import Stop
from node.spool import Spool
from node.sweeper import Sweeper

LOGGER = logging.getLogger("node.housekeeping")

_CHECKPOINT_SECONDS = 1.0
_NOTE_SECONDS = 10.0
_COUNT_SECONDS = 5.0
_SWEEP_SECONDS = 600.0
_DAY = 86400.0
_PAUSE_SECONDS = 0.05  # between batches


@dataclass(slots=True)
class Retention:
    """Lets go of what has reached its age."""

    config: Config
    spool: Spool
    database: Database
    stop: Stop = field(default_factory=Stop)

    def round(self, now: float | None = None) -> dict[str, int]:
        """Delete what is old enough at `now` (seconds, UTC; None is now); return how much of each kind.

        Raises
        ------
        LedgerError, OSError
            The ledger or the disk refused; what went before is recorded.
        """
        now, ages = time.time() if now is None else now, self.config.retention
        done = {"originals": self._originals(now - ages.originals)}
        if ages.events is not None:
            done["events"] = erase_events(self.database, now - ages.events, self._pause)
        if ages.maps is not None and maps_are_due(self.database):
            done["maps"] = erase_maps(self.database, ages.maps, self._pause)
        if any(done.values()):
            event(LOGGER, "erased", **done)
        return done

    def _originals(self, before: float) -> int:
        record = Record(self.database, "originals")
        old = (name for name, delivered in self.spool.list_retained() if delivered <= before)
        while names := list(islice(old, BATCH)):
            if not record.n:
                record.begin()
            count = self.spool.remove_retained(names)
            with self.database.write(durable=True) as connection:
                record.count(connection, count)
            if self._pause():
                break
        return record.end()

    def _pause(self) -> bool:
        return self.stop.wait(_PAUSE_SECONDS)


@dataclass(slots=True)
class Keeper:
    """One process: checkpoints, looks at the disk, sweeps, lets go of what is old."""

    config: Config
    spool: Spool
    database: Database
    stop: Stop
    _swept: float = field(default_factory=time.monotonic)
    _erased: float = -math.inf
    _noted: float = -math.inf
    _told: float = -math.inf
    _counted: float = -math.inf

    def run(self) -> None:
        """Keep house until told to stop."""
        watch, backups = Watch(self.config, self.spool.root), Schedule(self.config)
        looking = threading.Thread(target=self._check, name="ledger-check")
        looking.start()
        while not self.stop.wait(_CHECKPOINT_SECONDS):
            self.database.checkpoint()
            watch.look()
            backups.look()
            try:
                self._do_what_is_due(time.monotonic())
            except (NodeError, OSError) as error:
                # The boundary of one round: what is left is the next one's.
                text = str(error) if isinstance(error, NodeError) else "the disk refused"
                event(LOGGER, "housekeeping-trouble", level=logging.ERROR, error=text)
        looking.join()
        self.database.close()

    def _check(self) -> None:
        """Look at the pages of the ledger that the start had no time for; a thread's boundary."""
        if not is_unchecked(self.spool.root):
            return
        database = Database(self.database.url, self.database.columns)
        try:
            found = check(database, self.spool.root, self.stop.is_set)
            if found:
                event(LOGGER, "ledger-damaged", level=logging.ERROR, error=f"{found}. {DAMAGED}")
        except LedgerError as error:
            kind = "ledger-unchecked" if database.damage_seen() is None else "ledger-damaged"
            event(LOGGER, kind, level=logging.ERROR, error=str(error))
        finally:
            database.close()

    def _do_what_is_due(self, now: float) -> None:
        if now - self._noted > _NOTE_SECONDS:
            self._noted = now
            note(self.database, self.spool.root)
            count = finish_letting_go(self.database)
            if count:
                event(LOGGER, "let-go", instances=count)
        if now - self._told > _DAY:
            self._told = now
            for alert in held_long(self.database, self.config, time.time()):
                event(LOGGER, alert.kind, level=logging.WARNING, error=alert.text)
        if now - self._erased > self._every():
            self._erased = now
            Retention(self.config, self.spool, self.database, self.stop).round()
        if now - self._swept > _SWEEP_SECONDS:
            self._swept = now
            Sweeper(self.config, self.spool, self.database).sweep()
        if now - self._counted > _COUNT_SECONDS:
            # Where there is more to count, at the next look.
            self._counted = -math.inf if fold(self.database) else now

    def _every(self) -> float:
        """How often something may have reached its age: short ages are kept to more closely."""
        ages = self.config.retention
        shortest = min(age for age in (ages.originals or math.inf, ages.events or math.inf))
        return max(1.0, min(_SWEEP_SECONDS, shortest / 4))
