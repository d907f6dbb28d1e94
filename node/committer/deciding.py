"""What is to be said of each instance of a request, once that is known.

Guarantees
    An instance counts as committed only if every destination of the route took it and has confirmed, by a way that the
    configuration allows, that it has it. Whatever cannot be found out in time counts as failed. Where nothing is known
    of an instance, and where it came as another class, that is said; every other failure is one (0110H), whatever was
    the reason: a sender is not told what became of a patient's images.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from node.committer.confirming import Asking
from node.config import Config, Route
from node.config.commitment import Commitment
from node.errors import NetworkError
from node.ledger import whereabouts as places
from node.ledger.commitments import Referenced, Request, references
from node.ledger.database import Database
from node.ledger.transactions import Transaction
from node.ledger.whereabouts import Whereabouts, whereabouts

PROCESSING_FAILURE, NO_SUCH_INSTANCE, CLASS_INSTANCE_CONFLICT = 0x0110, 0x0112, 0x0119
"""Failure reasons (PS3.3 C.14-1)."""

_REASONS = {
    places.UNKNOWN: NO_SUCH_INSTANCE,
    places.ANOTHER_CLASS: CLASS_INSTANCE_CONFLICT,
    places.FAILED: PROCESSING_FAILURE,
}


class Undecided(Exception):
    """It is too early to say; the text says what is waited for, without a value."""


@dataclass(frozen=True, slots=True)
class Deciding:
    """Decides about requests, by the ledger and by what the destinations say."""

    config: Config
    database: Database

    def results(self, request: Request) -> dict[int, int]:
        """Return what became of each instance, by its place in the request: 0, or the failure reason.

        Raises
        ------
        Undecided
            That is not known yet, and there is time left.
        LedgerError
            The ledger cannot be read.
        """
        in_time = time.time() < request.until
        route = self._route(request)
        with self.database.read() as connection:
            named = references(connection, request.seq)
            if route is None or route.commitment is None:
                return {one.place: PROCESSING_FAILURE for one in named}
            found = {one.place: self._whereabouts(connection, request, route, one) for one in named}
        waits = sum(one.kind == places.PENDING for one in found.values())
        if waits and in_time:
            raise Undecided(f"{waits} of {len(found)} instances are not delivered yet")
        delivered = {place: one for place, one in found.items() if one.kind == places.DELIVERED}
        confirmed = self._confirmed(request, route.to, route.commitment, list(delivered.values()), in_time=in_time)
        results = {place: _REASONS.get(one.kind, PROCESSING_FAILURE) for place, one in found.items()}
        return results | {place: 0 for place, one in delivered.items() if one.sop_instance_uid in confirmed}

    def still(self, request: Request) -> list[tuple[Referenced, bool]]:
        """Return the instances of a decided request, and whether each is delivered by the ledger as it is now."""
        route = self._route(request)
        with self.database.read() as connection:
            return [
                (one, route is not None and self._whereabouts(connection, request, route, one).kind == places.DELIVERED)
                for one in references(connection, request.seq)
            ]

    @staticmethod
    def _whereabouts(connection: Transaction, request: Request, route: Route, one: Referenced) -> Whereabouts:
        return whereabouts(connection, request.project, route.name, route.to, one.sop_class_uid, one.key)

    def _route(self, request: Request) -> Route | None:
        return next((one for one in self.config.routes if one.name == request.route), None)

    def _confirmed(
        self,
        request: Request,
        destinations: Sequence[str],
        commitment: Commitment,
        wanted: Sequence[Whereabouts],
        *,
        in_time: bool,
    ) -> set[str]:
        """Return which instances every destination has, by their replaced UIDs."""
        uids = {one.sop_instance_uid for one in wanted}
        confirmed, problems = set(uids), list[str]()
        asking = Asking(self.config, self.database, request, commitment.confirm)
        for name in destinations if wanted else ():
            early = _early(wanted, name, commitment.patience) if in_time else set()
            try:
                has = asking.has(name, wanted, early)
            except NetworkError as error:
                # The others are asked all the same: what they have to say may take its time, too.
                problems.append(f"destination {name}: {error}")
                confirmed = set()
                continue
            if missing := (uids - has) & early:
                problems.append(f"destination {name}: it does not list {len(missing)} instances yet")
            confirmed &= has
        if problems and in_time:
            raise Undecided("; ".join(problems))
        return confirmed


def _early(wanted: Sequence[Whereabouts], name: str, patience: float) -> set[str]:
    """Return the instances that a destination took so lately that it need not list them yet."""
    now = time.time()
    return {one.sop_instance_uid for one in wanted if one.taken[name] + patience > now}
