"""One lane: one association at a time to one destination, used again while work is due.

Guarantees
    Only what a cleaner has put into the ledger is sent: a file in `cleaned/`, or new bytes around one range of the
    original; and nothing once forwarding is stopped, or that was recalled or revoked, but the instance in hand. Each
    answer settles the instance that it answers, and no other: after a time-out, an abort or a wrong answer the
    association is never used again. A failure in the middle of an instance counts for that instance, which then goes
    behind the others; three instances in a row pause the destination, and until it answers one failure more pauses it
    again. A file goes when a durable row says that no delivery needs it.
"""

from __future__ import annotations

import contextlib
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from node.config import Destination
from node.dicomnet import RequestedAssociation, Timeouts, associate
from node.errors import (
    AssociationRejected,
    ConnectionFailed,
    DatasetError,
    HoldReason,
    LedgerError,
    NetworkError,
    SealError,
    SpoolError,
)
from node.forwarder.body import Body, converted, opened
from node.forwarder.contexts import Pair, choose, fits, propose
from node.forwarder.gate import Gate
from node.forwarder.outcome import DUPLICATE_SOP_INSTANCE, judge
from node.ledger.sending import Due, SendingLedger, Settlement, Verdict, Way
from node.log import event
from node.retry import delay
from node.shared import Stop
from node.spool import Spool
from node.tls import Security

LOGGER = logging.getLogger("node.forwarder")

_BATCH = 16
_SETTLE_SECONDS = 0.25
_HARDEN_SECONDS = 2.0  # for which files wait until a commit that they may go is made durable: one sync serves many
_IN_A_ROW = 3
_TROUBLE_SECONDS = 2.0


@dataclass(slots=True)
class Lane:
    """Sends what is due to `name` until `stop` is set; `wait` sleeps until there may be work, or for some seconds."""

    name: str
    destination: Destination
    ledger: SendingLedger
    gate: Gate
    spool: Spool
    owner: str
    stop: Stop
    wait: Callable[[float], None]
    tls: Security | None = None
    _association: RequestedAssociation | None = None
    _proposed: set[Pair] = field(default_factory=set)
    _idle_since: float = 0.0
    _failed: set[int] = field(default_factory=set)  # instances that failed on the way since the last answer
    _settled_at: float = 0.0
    _done: list[Due] = field(default_factory=list)  # needed by no delivery, but not durably so yet
    _hardened_at: float = 0.0

    def run(self) -> None:
        """Send until told to stop; the instance in hand is finished and settled first."""
        while not self.stop.is_set():
            try:
                if not self._send_a_batch():
                    self._let_go()
                    self._release_if_idle()
                    self.wait(1.0 if self._association is None else min(1.0, self.destination.linger))
            except LedgerError as error:
                event(LOGGER, "ledger-trouble", level=logging.ERROR, destination=self.name, error=str(error))
                self.stop.wait(_TROUBLE_SECONDS)
        self._release()
        with contextlib.suppress(LedgerError):  # the sweeper removes what stays
            self._let_go()

    def _send_a_batch(self) -> bool:
        if not self.gate.enter():
            return False
        try:
            batch = self.ledger.claim(self.owner, _BATCH)
            if batch:
                self._send_all(batch)
        finally:
            self.gate.leave()
        return bool(batch)

    def _send_all(self, batch: list[Due]) -> None:
        settlements: list[Settlement] = []
        self._settled_at = time.monotonic()
        for place, due in enumerate(batch):
            rest = batch[place:]
            way = self._way(rest)
            if way is Way.CLOSED:
                settlements += [Settlement(one, Verdict.UNTOUCHED) for one in rest]
                break
            settlements.append(Settlement(due, Verdict.UNTOUCHED) if way is Way.TAKEN else self._send_safely(due))
            if time.monotonic() - self._settled_at > _SETTLE_SECONDS:
                settlements = self._settle(settlements)
        self._settle(settlements)
        self._fails()
        self._idle_since = time.monotonic()

    def _way(self, batch: list[Due]) -> Way:
        """Whether the first of a batch may be sent now; closed where the ledger cannot say so."""
        if self.stop.is_set() or self._fails() or not self._ready_for(batch):
            return Way.CLOSED
        try:
            way = self.ledger.way(self.owner, batch[0])
            if way is Way.CLOSED:
                self.gate.look_again()
            return way
        except LedgerError as error:
            event(LOGGER, "ledger-trouble", level=logging.ERROR, destination=self.name, error=str(error))
            return Way.CLOSED

    def _fails(self) -> bool:
        """Pause the destination where instance after instance fails on the way, and say so."""
        if len(self._failed) < _IN_A_ROW:
            return False
        self._failed.pop()
        self.gate.failed(f"{_IN_A_ROW} instances in a row failed on the way")
        return True

    def _ready_for(self, batch: list[Due]) -> bool:
        """Have an association that was asked for all that the batch needs; False where the destination has none."""
        pairs = {(due.sop_class_uid, due.transfer_syntax_uid) for due in batch}
        if self._association is not None and self._association.usable and pairs <= self._proposed:
            return True
        wanted = self._with_earlier(pairs)
        self._release()
        timeout, address = self.destination.timeout, self.destination.address
        try:
            self._association = associate(
                address.host,
                address.port,
                calling_ae_title=self.destination.calling_ae,
                called_ae_title=self.destination.ae_title,
                contexts=propose(wanted),
                timeouts=Timeouts(timeout.connect, timeout.associate, timeout.response),
                tls=self.tls,
            )
        except (NetworkError, ValueError) as error:
            self.gate.failed(_without_address(error))
            return False
        self._proposed = wanted
        if not self._failed:
            self.gate.reached()
        return True

    def _with_earlier(self, pairs: set[Pair]) -> set[Pair]:
        """Ask also for what came before, so that a mixed trickle does not open an association for each instance."""
        together = pairs | self._proposed
        return together if fits(together) else pairs

    def _send_safely(self, due: Due) -> Settlement:
        try:
            return self._send(due)
        except Exception:  # noqa: BLE001 -- the boundary around one instance: it is held, and the others go on
            event(LOGGER, "send-failed", level=logging.ERROR, instance=due.id, destination=self.name, exc_info=True)
            if self._association is not None:
                self._association.abort()
            return self._hold(due, HoldReason.INTERNAL, "a fault of the node; its log has the traceback")

    def _send(self, due: Due) -> Settlement:
        association = self._association
        assert association is not None
        chosen = choose(association, (due.sop_class_uid, due.transfer_syntax_uid))
        if isinstance(chosen, HoldReason):
            return self._hold(due, chosen, "no presentation context for it was accepted")
        context_id, syntax = chosen
        body = self._open(due)
        if isinstance(body, Settlement):
            return body
        try:
            if syntax != due.transfer_syntax_uid:
                plain, body = body, converted(self.spool, due, self.owner, body, syntax)
                plain.close()
            started = time.monotonic()
            uids = due.sop_class_uid, due.sop_instance_uid
            result = association.store(context_id, *uids, body.file, body.segments)
        except NetworkError as error:
            self._failed.add(due.instance)
            settlement = self._again(due, f"{type(error).__name__} in the middle of an instance")
            return replace(settlement, sent=association.sent_completely)
        except DatasetError as error:
            return self._hold(due, *_unsendable(error))
        except SpoolError as error:
            return self._again(due, str(error))
        finally:
            body.close()
        self._failed.clear()
        self.gate.reached()
        return self._judge(due, result.status, round((time.monotonic() - started) * 1000))

    def _open(self, due: Due) -> Body | Settlement:
        try:
            return opened(self.spool, due)
        except FileNotFoundError:
            return self._hold(due, HoldReason.FILE_MISSING, f"its {_place(due)} file is not in the spool")
        except SealError as error:
            return self._hold(due, HoldReason.DAMAGED, str(error))

    def _judge(self, due: Due, status: int, milliseconds: int) -> Settlement:
        code = f"{status:04X}H"
        try:
            # Asked only where it matters: the same content may have come twice, as two instances.
            offered = status == DUPLICATE_SOP_INSTANCE and (due.offered_before == 1 or self.ledger.offered_content(due))
        except LedgerError as error:
            return self._again(due, str(error), status)
        match judge(status, offered_before=offered):
            case Verdict.DELIVERED:
                event(LOGGER, "delivered", instance=due.id, destination=self.name, status=code, ms=milliseconds)
                return Settlement(due, Verdict.DELIVERED, status=status)
            case Verdict.AGAIN:
                return self._again(due, f"status {code}", status)
            case Verdict.HELD:
                return self._hold(due, HoldReason.DESTINATION_HAS_ANOTHER, f"status {code}", status)
            case _:
                return self._refused(due, status)

    def _refused(self, due: Due, status: int) -> Settlement:
        code = f"status {status:04X}H"
        if due.refused + 1 >= self.destination.retry.refused_tries:
            return self._hold(due, HoldReason.REFUSED, f"{code}, {due.refused + 1} times", status)
        seconds = self._delay(due.refused + 1)
        event(
            LOGGER,
            "refused",
            level=logging.WARNING,
            instance=due.id,
            destination=self.name,
            status=code,
            again_in=round(seconds, 1),
        )
        return Settlement(due, Verdict.REFUSED, seconds, status, code)

    def _again(self, due: Due, error: str, status: int | None = None) -> Settlement:
        tries = self.destination.retry.tries
        if tries is not None and due.tries + 1 >= tries:
            return self._hold(due, HoldReason.GAVE_UP, f"{error}, {due.tries + 1} tries", status)
        seconds = self._delay(due.tries + 1)
        event(
            LOGGER,
            "again",
            level=logging.WARNING,
            instance=due.id,
            destination=self.name,
            error=error,
            again_in=round(seconds, 1),
        )
        return Settlement(due, Verdict.AGAIN, seconds, status, error)

    def _hold(self, due: Due, reason: HoldReason, detail: str, status: int | None = None) -> Settlement:
        event(
            LOGGER,
            "held",
            level=logging.WARNING,
            instance=due.id,
            destination=self.name,
            reason=str(reason),
            detail=detail,
        )
        return Settlement(due, Verdict.HELD, status=status, error=detail, reason=reason, detail=detail)

    def _delay(self, failures: int) -> float:
        return delay(self.destination.retry, failures, random.random())  # noqa: S311 -- spreads load, no secret

    def _settle(self, settlements: list[Settlement]) -> list[Settlement]:
        """Write verdicts; while the ledger is in trouble they are kept and written again, for they have happened."""
        while settlements:
            durable = time.monotonic() - self._hardened_at > _HARDEN_SECONDS
            try:
                done = self.ledger.settle(self.owner, settlements, durable=durable)
                self._done += done
                for due in done:
                    self.spool.leave_memory(due.id, cleaned=due.derived is None)
                if durable:
                    self._remove_done()
                break
            except LedgerError as error:
                event(LOGGER, "ledger-trouble", level=logging.ERROR, destination=self.name, error=str(error))
                if self.stop.wait(_TROUBLE_SECONDS):
                    break  # sent again after the restart, with the same bytes
        self._settled_at = time.monotonic()
        return []

    def _let_go(self) -> None:
        """Remove the files that nothing needs any more, once that is durable."""
        if self._done:
            self.ledger.harden()
            self._remove_done()

    def _remove_done(self) -> None:
        self._hardened_at = time.monotonic()
        for due in self._done:
            if due.derived is None or not self.spool.retains:
                self.spool.remove_soon(due.id, cleaned=due.derived is None)
            if self.spool.retains:
                with contextlib.suppress(OSError):  # the sweeper does it later
                    self.spool.retain(due.id)
        self._done = []

    def _release_if_idle(self) -> None:
        if self._association is not None and time.monotonic() - self._idle_since >= self.destination.linger:
            self._release()

    def _release(self) -> None:
        association, self._association, self._proposed = self._association, None, set()
        if association is not None and association.usable:
            try:
                association.release()
            except NetworkError as error:
                event(LOGGER, "release-failed", destination=self.name, error=type(error).__name__)


def _unsendable(error: DatasetError) -> tuple[HoldReason, str]:
    if isinstance(error, SealError):
        return HoldReason.DAMAGED, str(error)
    return HoldReason.SYNTAX_REFUSED, f"it cannot be converted: {error}"


def _place(due: Due) -> str:
    return "cleaned" if due.derived is None else "original"


def _without_address(error: Exception) -> str:
    """What `status` shows of it."""
    if isinstance(error, (AssociationRejected, ConnectionFailed)):
        return str(error)
    return f"{type(error).__name__} while an association was opened"
