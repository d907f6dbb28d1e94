"""What the node decides about an association and the instances on it.

Guarantees
    Who matches no route is rejected (PS3.8 9.3.4), never answered with a success. The limits of associations, the
    node's and each peer's, are exact over all its processes. No instance is begun without room on the disk, or without
    a SOP Instance UID that is one. What is refused is counted by who asked, for `status`.
"""

from __future__ import annotations

import logging
import re
import threading
from dataclasses import dataclass, field, replace

from node.config import Listener
from node.config.titles import matches
from node.dicomnet import InstanceWriter, Peer, StoreAnswer, StoreRequest
from node.errors import LedgerError, NoRoom, SpoolError
from node.ledger.database import Database
from node.ledger.meters import REFUSED, UNAVAILABLE
from node.ledger.reception import CONTEXT, Refusal, count_refusals
from node.log import clean_text, event
from node.receiver.commitment import Commitments
from node.receiver.door import Door
from node.receiver.origin import Origin, certificate_of
from node.receiver.writer import CANNOT_UNDERSTAND, OUT_OF_RESOURCES, Intake, SpoolWriter
from node.routing import Rejection, Router
from node.shared import Full

LOGGER = logging.getLogger("node.receiver")
_LONGEST_SYNTAXES = 300

NOT_AT_THIS_LISTENER = Rejection(1, 1, 7, "this listener does not have the called AE title (called_ae)")
LIMIT_REACHED = Rejection(2, 3, 2, "all associations of the node are taken (node.max_associations)")
PEER_LIMIT_REACHED = Rejection(2, 3, 2, "all associations that this peer may have are taken (limits.associations)")
_UID = re.compile(r"[0-9.]{1,64}")  # PS3.5 9.1, leniently: scanners do send components with leading zeros
_CLASS_UID = re.compile(r"[0-9.]{0,64}")  # without one an instance can be kept: it is held, for its UIDs differ
_MOST_KINDS_OF_REFUSAL = 1000
_KINDS = {
    NOT_AT_THIS_LISTENER: "listener",
    LIMIT_REACHED: "node-limit",
    PEER_LIMIT_REACHED: "peer-limit",
}  # of rejections, by what would have to be another; of others it is a route


@dataclass(slots=True)
class Refusals:
    """Counts what was refused, in memory until `flush`; bounded, so that nobody can fill the ledger with refusals."""

    database: Database
    _counts: dict[Refusal, int] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def count(self, refusal: Refusal) -> None:
        """Count one refusal."""
        with self._guard:
            if refusal in self._counts or len(self._counts) < _MOST_KINDS_OF_REFUSAL:
                self._counts[refusal] = self._counts.get(refusal, 0) + 1

    def flush(self) -> None:
        """Write the counts to the ledger; what it does not take now stays for the next time."""
        with self._guard:
            counts, self._counts = self._counts, {}
        if not counts:
            return
        try:
            count_refusals(self.database, counts)
        except LedgerError as error:
            event(LOGGER, "ledger-trouble", level=logging.ERROR, error=str(error))
            with self._guard:
                for refusal, n in counts.items():
                    self._counts[refusal] = self._counts.get(refusal, 0) + n


class NodePolicy:
    """The receiving side of the node at one listener; of one process all share the `door` and the `commitments`."""

    def __init__(
        self,
        router: Router,
        intake: Intake,
        refusals: Refusals,
        door: Door,
        listener: Listener,
        commitments: Commitments | None = None,
    ) -> None:
        self._commitments = commitments
        self._router = router
        self._intake = intake
        self._refusals = refusals
        self._door = door
        self.listener = listener
        self._listening = str(listener.listen)
        self._origins: dict[str, Origin | None] = {}  # of each admitted association; None where it only verifies

    def admit(self, peer: Peer, verification_only: bool) -> Rejection | None:
        """Return why the association is rejected, or None; then one of the node's places is taken for it."""
        rejection = self._rejection(peer, verification_only)
        if rejection is not None:
            kind = _KINDS.get(rejection, "echo" if verification_only else "association")
            self._refusals.count(_refusal(kind, peer, certificate_of(peer)))
            event(
                LOGGER,
                "rejected",
                level=logging.WARNING,
                association=peer.association,
                calling_ae_title=peer.calling_ae_title,
                called_ae_title=peer.called_ae_title,
                address=peer.address,
                result=rejection.result,
                source=rejection.source,
                reason=rejection.reason,
                why=rejection.text,
                **({"certificate": peer.certificate_names[0]} if peer.certificate_names else {}),
            )
            return rejection
        self._origins[peer.association] = self._origin(peer)
        event(
            LOGGER,
            "association",
            level=logging.DEBUG if verification_only else logging.INFO,
            association=peer.association,
            calling_ae_title=peer.calling_ae_title,
            called_ae_title=peer.called_ae_title,
            address=peer.address,
            **({"certificate": peer.certificate_names[0]} if peer.certificate_names else {}),
        )
        return None

    def _rejection(self, peer: Peer, verification_only: bool) -> Rejection | None:
        rejection = self._router.admit(
            peer.called_ae_title, peer.calling_ae_title, peer.address, verification_only, peer.certificate_names
        )
        if rejection is not None and peer.reports and self._commitments is not None and self._commitments.expects(peer):
            rejection = None  # no sender, but a destination that was asked to commit
        if rejection is None and not verification_only and not self._has(peer.called_ae_title):
            rejection = NOT_AT_THIS_LISTENER
        if rejection is not None:
            return rejection
        full = self._door.enter(peer)
        return None if full is None else LIMIT_REACHED if full is Full.NODE else PEER_LIMIT_REACHED

    def _has(self, called: str) -> bool:
        titles = self.listener.called_ae
        return titles is None or any(matches(title, called) for title in titles)

    def refused_tls(self, address: str, _why: str) -> None:
        """Count a peer that did not come as far as an association; the log has told why."""
        self._refusals.count(Refusal("tls", "", "", address, ""))

    def begin(self, peer: Peer, request: StoreRequest) -> InstanceWriter | StoreAnswer:
        """Return a writer for an instance, or the answer that it gets instead."""
        return self._door.within(peer, self._begin(peer, request), self._too_large)

    def _begin(self, peer: Peer, request: StoreRequest) -> SpoolWriter | StoreAnswer:
        origin = self._origins[peer.association]
        # Without a UID there is nothing to keep it under; the value may be anything and is not logged.
        if origin is None or not _UID.fullmatch(request.sop_instance_uid):
            return self._not_understood(peer, "sop-instance-uid", "no valid SOP Instance UID")
        if not _CLASS_UID.fullmatch(request.sop_class_uid):
            return self._not_understood(peer, "sop-class-uid", "no valid SOP Class UID")
        try:
            self._intake.spool.check_room()
            writer = SpoolWriter(self._intake, origin, request)
        except (SpoolError, OSError) as error:
            why = str(error) if isinstance(error, SpoolError) else "the spool cannot be written"
            event(
                LOGGER,
                "refused-instance",
                level=logging.ERROR,
                association=peer.association,
                calling_ae_title=peer.calling_ae_title,
                status="A700H",
                error=why,
            )
            self._intake.counts.count(REFUSED, UNAVAILABLE)
            comment = "no room, send again later" if isinstance(error, NoRoom) else "out of resources"
            return StoreAnswer(OUT_OF_RESOURCES, comment)
        origin.instances += 1
        return writer

    def _origin(self, peer: Peer) -> Origin | None:
        route = self._router.route(peer.called_ae_title, peer.calling_ae_title, peer.address, peer.certificate_names)
        return None if route is None else Origin(peer, self._listening, route.name, route.project)

    def _too_large(self, peer: Peer, most: str) -> StoreAnswer:
        return self._not_understood(peer, "instance-size", f"larger than {most} (limits.instance_size)")

    def _not_understood(self, peer: Peer, kind: str, why: str) -> StoreAnswer:
        self._refusals.count(_refusal(kind, peer, certificate_of(peer)))
        event(
            LOGGER,
            "refused-instance",
            level=logging.WARNING,
            association=peer.association,
            calling_ae_title=peer.calling_ae_title,
            status="C000H",
            error=why,
        )
        return StoreAnswer(CANNOT_UNDERSTAND, why)

    def refused_contexts(self, peer: Peer, refused: list[tuple[str, list[str]]]) -> None:
        """Count what the sender proposed and could not have: those instances never come."""
        for abstract_syntax, syntaxes in refused:
            proposed = clean_text(" ".join(sorted(syntaxes)), _LONGEST_SYNTAXES)
            self._refusals.count(replace(_refusal(CONTEXT, peer, abstract_syntax), syntaxes=proposed))
            event(
                LOGGER,
                "refused-context",
                level=logging.WARNING,
                association=peer.association,
                calling_ae_title=peer.calling_ae_title,
                abstract_syntax=abstract_syntax,
            )

    def ended(self, peer: Peer, how: str) -> None:
        """The association is over: its place is free again."""
        self._door.leave(peer)
        origin = self._origins.pop(peer.association, None)
        level = logging.INFO if how == "released" else logging.WARNING
        event(
            LOGGER,
            "association-ended",
            level=level,
            association=peer.association,
            how=how,
            instances=0 if origin is None else origin.instances,
        )


def _refusal(kind: str, peer: Peer, about: str) -> Refusal:
    return Refusal(kind, peer.calling_ae_title, peer.called_ae_title, peer.address, about)
