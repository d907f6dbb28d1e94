"""The cleaner's process: claim, clean, commit, and only then let go of the originals that nothing is sent from."""

from __future__ import annotations

import contextlib
import logging
import random
import time
from dataclasses import dataclass

from node.cleaner.cleaning import Cleaning
from node.errors import HoldReason, LedgerError, LedgerUncertain, NodeError, SpoolError
from node.ledger.cleaning import CleaningLedger
from node.ledger.leases import LEASE_SECONDS
from node.ledger.results import Again, Claimed, Clean, Excluded, Held, Result, Withdrawn
from node.log import event
from node.shared import Bell, Company, Numbers, Stop
from node.spool import Spool

LOGGER = logging.getLogger("node.cleaner")

_BATCH = 16
_TOGETHER = 32 << 20  # bytes, after which a part of a batch is put in place: the next role need not wait for large ones
_BATCH_SECONDS = LEASE_SECONDS / 4  # after which the rest goes to whoever is free: its leases must not run out here
_LOOK_SECONDS = 1.0
_GATHER_SECONDS = 0.06  # what comes within it shares claim, syncs and commit
_BUSY_SECONDS = 0.25  # since the last instance, after which the next one is taken at once
_TROUBLE_SECONDS = 5.0


@dataclass(slots=True)
class Cleaner:
    """One cleaning process; `slot` is its place in `in_hand`, where the supervisor looks when it dies."""

    cleaning: Cleaning
    ledger: CleaningLedger
    spool: Spool
    work: Bell
    company: Company
    cleaned: Bell
    in_hand: Numbers
    slot: int
    stopping: Stop

    def run(self) -> None:
        """Clean until told to stop; the instance in hand is finished first."""
        while not self.stopping.is_set():
            try:
                claimed = self.ledger.claim(_BATCH)
                if len(claimed) == _BATCH:
                    self.work.ring()  # there may be more, for another
                self._clean_all(claimed)
                if claimed:
                    self.company.found()
                if len(claimed) < _BATCH:
                    self._wait_for_work()
            except LedgerError as error:
                self.cleaning.forget()
                event(LOGGER, "ledger-trouble", level=logging.ERROR, error=str(error))
                self.stopping.wait(_TROUBLE_SECONDS)
        self.spool.finish_removals()

    def _wait_for_work(self) -> None:
        """Return when there may be something to claim; what comes soon after is claimed together, by one cleaner."""
        until = time.monotonic() + _LOOK_SECONDS
        while (left := until - time.monotonic()) > 0 and self.work.wait(left):
            wait = self.company.wait_for(_GATHER_SECONDS, _BUSY_SECONDS)
            if wait is not None:
                self.stopping.wait(wait)
                return

    def _clean_all(self, claimed: list[Claimed]) -> None:
        """Clean instances together; then, with what became of these, the copies that are behind them."""
        until = time.monotonic() + _BATCH_SECONDS
        while claimed:
            self._clean_together([one for one in claimed if not one.behind], until)
            claimed = self.ledger.look_again([one for one in claimed if one.behind])

    def _clean_together(self, claimed: list[Claimed], until: float) -> None:
        results: list[Result] = []
        size = 0
        for one in claimed:
            if self.stopping.is_set() or time.monotonic() > until:
                self.ledger.give_back(one, 0)
                continue
            result = self._clean(one)
            if result is not None:
                results.append(result)
                size += result.size if isinstance(result, Clean) else 0
            if size > _TOGETHER or result is None:  # what is done may make the room that was missing
                self._finish(results)
                results, size = [], 0
        self._finish(results)

    def _finish(self, results: list[Result]) -> None:
        """Put the files in place, write what became of the instances, and let go of their originals, in this order."""
        settled = self._settle(results) if results and self._publish(results) else []
        for result in settled:
            self._after(result)
        if any(isinstance(result, Clean) for result in settled):
            self.cleaned.ring()

    def _settle(self, results: list[Result]) -> list[Result]:
        try:
            return self.ledger.settle(results)
        except LedgerUncertain:
            raise
        except LedgerError:
            # No row was written, and they are cleaned again: their room may be just what the ledger lacks.
            for result in results:
                if isinstance(result, Clean) and result.derived is None:
                    with contextlib.suppress(OSError):
                        self.spool.cleaned_file(result.claimed.id).unlink(missing_ok=True)
            raise

    def _publish(self, results: list[Result]) -> bool:
        """Put the cleaned files in place; where the disk refuses, all of them are tried again."""
        try:
            self.cleaning.publish()
        except SpoolError as error:
            event(LOGGER, "clean-later", level=logging.ERROR, instances=len(results), error=str(error))
            for result in results:
                self.ledger.give_back(result.claimed, _later())
            return False
        return True

    def _clean(self, claimed: Claimed) -> Result | None:
        self.in_hand[self.slot] = claimed.seq
        result = self._result(claimed)
        # Not where anything but an error ends the process: that death counts, or it would come again without end.
        self.in_hand[self.slot] = 0
        return result

    def _result(self, claimed: Claimed) -> Result | None:
        try:
            return self.cleaning.clean(claimed)
        except LedgerError:
            self.in_hand[self.slot] = 0
            raise
        except NodeError as error:
            # The disk, not the instance: it is tried again, and the message says what to look at.
            event(LOGGER, "clean-later", level=logging.ERROR, instance=claimed.id, error=str(error))
            self.ledger.give_back(claimed, _later())
            return None
        except Exception:  # noqa: BLE001 -- the boundary around one instance: it is held, and the next goes on
            event(LOGGER, "clean-failed", level=logging.ERROR, instance=claimed.id, exc_info=True)
            return Held(claimed, HoldReason.INTERNAL, "a fault of the node; its log has the traceback")

    def _after(self, result: Result) -> None:
        claimed = result.claimed
        match result:
            case Clean():
                event(LOGGER, "cleaned", instance=claimed.id, route=claimed.route, size=result.size)
                self._let_go_of(result.superseded, claimed.id)
                if result.derived is not None or self.spool.retains:
                    self.spool.mark_cleaned(claimed.id)
                    return
            case Held():
                event(
                    LOGGER,
                    "held",
                    level=logging.WARNING,
                    instance=claimed.id,
                    route=claimed.route,
                    reason=str(result.reason),
                    detail=result.detail,
                )
                return
            case Excluded():
                event(LOGGER, "excluded", instance=claimed.id, route=claimed.route, rule=result.rule)
            case Again():
                event(LOGGER, "came-again", instance=claimed.id, route=claimed.route, earlier=result.earlier)
            case Withdrawn():
                event(LOGGER, "consent-withdrawn", instance=claimed.id, route=claimed.route)
                return
        # Its row says, durably, that the original is no longer needed.
        self.spool.remove_soon(claimed.id)

    def _let_go_of(self, superseded: tuple[str, ...], by: str) -> None:
        """Remove the files of copies whose place another one has taken; nobody is sending them."""
        for name in superseded:
            event(LOGGER, "superseded", instance=name, by=by)
            self.spool.remove_soon(name)
            self.spool.remove_soon(name, cleaned=True)


def _later() -> float:
    """Seconds until the next try; never the same: two cleaners must not take the last room from each other for ever."""
    return _TROUBLE_SECONDS * (0.5 + random.random())  # noqa: S311 -- spreads load, no secret
