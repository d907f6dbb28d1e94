"""The acceptor of associations in one process: shared listener, one thread for each connection, orderly end.

Guarantees that accepting never waits for a peer: a silent one costs a thread and a descriptor until its time is up or
too many of its kind come, and then those make room that have most of them; one that has vanished without a word is
found out by TCP itself. The listener may be shared with other processes; it is neither shut down nor closed here.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import select
import socket
import threading
from collections import Counter
from time import monotonic

from node.dicomnet.association import AcceptedAssociation
from node.dicomnet.dul import Connection, StopSignal
from node.dicomnet.policy import AcceptorLimits, AcceptorPolicy, AcceptorTLS, CommitmentPolicy
from node.log import event

logger = logging.getLogger(__name__)

_GRACE_UNASSOCIATED = 1.0  # seconds that a drain leaves a connection whose A-ASSOCIATE-RQ may be on its way
_GRACE_ABORT = 5.0  # seconds in which aborted associations end: their A-ABORT lingers, an instance in hand concludes
_SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_SHORTAGE_PAUSE = 100  # milliseconds
_PROBES = 4  # of TCP, unanswered, until a peer counts as vanished
_LONGEST_PROBE = 32767  # seconds that TCP takes for one (tcp(7))
# Faults of a connection, not of the listener, that Linux passes on (accept(2): to be treated like EAGAIN).
_GONE_BEFORE = frozenset(
    {
        errno.EPERM,
        errno.EPROTO,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENONET,
    }
)


class AssociationServer:
    """Accepts associations on `listener` and serves them as `policy` decides.

    Parameters
    ----------
    listener
        A listening TCP socket; made non-blocking here, closed by the caller.
    tls
        The TLS that peers must speak; the handshake is made in the association's thread. None for none.
    commitment
        Decides about Storage Commitment; None where it is refused.
    """

    def __init__(
        self,
        listener: socket.socket,
        policy: AcceptorPolicy,
        limits: AcceptorLimits | None = None,
        tls: AcceptorTLS | None = None,
        commitment: CommitmentPolicy | None = None,
    ) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._policy = policy
        self._limits = limits or AcceptorLimits()
        _find_vanished(listener, self._limits.transfer)
        self._tls = tls
        self._commitment = commitment
        self._stop_accepting = StopSignal()
        self._abort = StopSignal()
        self._changed = threading.Condition()
        self._associations: dict[AcceptedAssociation, Connection] = {}
        self._unassociated: dict[AcceptedAssociation, tuple[Connection, str]] = {}

    def serve(self) -> None:
        """Accept until `stop`; then return, with associations still open."""
        poller = select.poll()
        poller.register(self._listener, select.POLLIN)
        poller.register(self._stop_accepting, select.POLLIN)
        while True:
            poller.poll()
            if self._stop_accepting.given:
                return
            self._accept()

    def stop(self) -> None:
        """Accept no more: `serve` returns. May be called from any thread and from a signal handler."""
        self._stop_accepting.give()

    def active(self) -> int:
        """Return the number of admitted associations."""
        with self._changed:
            return sum(association.admitted for association in self._associations)

    def connections(self) -> int:
        """Return the number of open connections, those included on which no association was asked for yet."""
        with self._changed:
            return len(self._associations)

    def drain(self, seconds: float) -> None:
        """Wait until open associations have ended; those still open after `seconds` get A-ABORT.

        To be called after `serve` has returned. A connection without association is closed after a second.
        """
        deadline = monotonic() + seconds
        with self._changed:
            self._changed.wait_for(lambda: not self._associations, min(_GRACE_UNASSOCIATED, seconds))
            for connection, _ in self._unassociated.values():
                connection.cut()
            self._changed.wait_for(lambda: not self._associations, max(0.0, deadline - monotonic()))
            if self._associations:
                event(logger, "associations aborted", logging.WARNING, count=len(self._associations))
        self._abort.give()
        with self._changed:
            self._changed.wait_for(lambda: not self._associations, _GRACE_ABORT)

    def _accept(self) -> None:
        try:
            accepted, address = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return  # another process was faster, or the peer has gone again
        except OSError as error:
            if error.errno in _GONE_BEFORE:
                return
            if error.errno not in _SHORTAGE:
                raise
            event(logger, "no connection accepted", logging.WARNING, error=os.strerror(error.errno or 0))
            with self._changed:
                self._close_oldest()
            self._pause()
            return
        self._start(accepted, (str(address[0]), int(address[1])))

    def _pause(self) -> None:
        poller = select.poll()
        poller.register(self._stop_accepting, select.POLLIN)
        poller.poll(_SHORTAGE_PAUSE)

    def _start(self, accepted: socket.socket, address: tuple[str, int]) -> None:
        try:
            connection = Connection(accepted, self._limits.max_pdu, self._abort)
        except OSError:
            accepted.close()  # gone before its options could be set
            return
        association = AcceptedAssociation(
            connection,
            self._policy,
            self._limits,
            address,
            secrets.token_hex(4),
            lambda: self._associated(association),
            tls=self._tls,
            commitment=self._commitment,
        )
        with self._changed:
            if len(self._unassociated) >= self._limits.unassociated:
                self._close_oldest()
            self._associations[association] = connection
            self._unassociated[association] = connection, address[0]
        thread = threading.Thread(target=self._run, args=(association,), name="association", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            event(logger, "no thread for a connection", logging.WARNING)
            connection.close()
            self._forget(association)

    def _close_oldest(self) -> None:
        """Close a connection without association: the oldest of the address that has most, so that others have time."""
        most = Counter(address for _, address in self._unassociated.values()).most_common(1)
        for association, (connection, address) in self._unassociated.items():
            if address == most[0][0]:
                del self._unassociated[association]
                connection.cut()
                return

    def _associated(self, association: AcceptedAssociation) -> None:
        with self._changed:
            self._unassociated.pop(association, None)

    def _run(self, association: AcceptedAssociation) -> None:
        try:
            association.run()
        finally:
            self._forget(association)

    def _forget(self, association: AcceptedAssociation) -> None:
        with self._changed:
            self._associations.pop(association, None)
            self._unassociated.pop(association, None)
            self._changed.notify_all()


def _find_vanished(listener: socket.socket, patience: float) -> None:
    """Let TCP ask silent peers, after `patience` seconds, whether they are still there: accepted sockets inherit it."""
    seconds = max(1, int(patience))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, min(seconds, _LONGEST_PROBE))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, min(max(1, seconds // _PROBES), _LONGEST_PROBE))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
