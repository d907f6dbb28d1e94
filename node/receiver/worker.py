"""The receiver's process: serves associations from the shared listeners until told to stop, then drains."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from node.config import Config, columns_of, listener_security
from node.dicomnet import AcceptorLimits, AcceptorTLS, AssociationServer
from node.errors import NetworkError
from node.ledger.database import Database
from node.ledger.reception import GroupCommit
from node.receiver.commitment import Commitments, commitments_of
from node.receiver.door import Door
from node.receiver.policy import NodePolicy, Refusals
from node.receiver.writer import Intake
from node.routing import Router
from node.shared import Bell, Places, Stop
from node.spool import Spool

_FLUSH_SECONDS = 1.0


def receive(
    config: Config,
    spool: Spool,
    listeners: Sequence[socket.socket],
    place: tuple[Places, int],
    bell: Bell,
    stop: Stop,
) -> None:
    """Receive until `stop` is set, then let open associations end within `node.drain`.

    `listeners` are the sockets of `node.listening`, in its order; `place` is places and slot.
    """
    database = Database(config.node.ledger, columns_of(config))
    refusals = Refusals(database)
    intake, router = Intake(spool, GroupCommit(database), bell), Router(config)
    door = Door(config.limits, place, stop.wait)
    commitments = commitments_of(config, router, database)
    shared = router, intake, refusals, door
    policies = [NodePolicy(*shared, listener, commitments) for listener in config.node.listening]
    servers = _servers(config, policies, listeners, commitments)
    serving = _in_threads([server.serve for server in servers])
    while not stop.wait(_FLUSH_SECONDS):
        refusals.flush()
        intake.counts.flush(database)
        if not all(thread.is_alive() for thread in serving):
            raise NetworkError("the receiver no longer accepts connections")
    for server in servers:
        server.stop()
    for thread in serving:
        thread.join()
    # Only closed, never shut down: the listeners are shared with every other receiver.
    for bound in listeners:
        bound.close()
    # Whoever was accepted is served: an association may be on its way on a connection that has none yet.
    while stop.patient and any(server.connections() for server in servers):
        refusals.flush()
        intake.counts.flush(database)
        time.sleep(_FLUSH_SECONDS)
    for thread in _in_threads([partial(server.drain, config.node.drain) for server in servers]):
        thread.join()
    refusals.flush()
    intake.counts.flush(database, now=True)
    database.close()


def _servers(
    config: Config,
    policies: Sequence[NodePolicy],
    listeners: Sequence[socket.socket],
    commitments: Commitments | None,
) -> list[AssociationServer]:
    timeouts = config.node.timeouts
    limits = AcceptorLimits(associate=timeouts.acse, idle=timeouts.idle, transfer=timeouts.transfer)
    servers = []
    for bound, policy in zip(listeners, policies, strict=True):
        security = listener_security(policy.listener)
        tls = None if security is None else AcceptorTLS(security, policy.refused_tls)
        servers.append(AssociationServer(bound, policy, limits, tls, commitments))
    return servers


def _in_threads(works: list[Callable[[], None]]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work, name="accept", daemon=True) for work in works]
    for thread in threads:
        thread.start()
    return threads
