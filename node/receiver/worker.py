"""The receiver's process: serves associations from the shared listener until told to stop, then drains."""

from __future__ import annotations

import socket
import threading
import time

from node.config import Config
from node.dicomnet import AcceptorLimits, AssociationServer
from node.errors import NetworkError
from node.ledger.database import Database
from node.ledger.reception import GroupCommit
from node.receiver.policy import NodePolicy, Refusals
from node.receiver.writer import Intake
from node.routing import Router
from node.shared import Bell, Places, Stop
from node.spool import Spool

_FLUSH_SECONDS = 1.0


def receive(
    config: Config, spool: Spool, listener: socket.socket, place: tuple[Places, int], bell: Bell, stop: Stop
) -> None:
    """Receive until `stop` is set, then let open associations end within `node.drain`; `place` is places and slot."""
    database = Database(config.node.ledger)
    refusals = Refusals(database)
    intake = Intake(spool, GroupCommit(database), bell)
    policy = NodePolicy(Router(config), intake, refusals, place, str(config.node.listen))
    timeouts = config.node.timeouts
    limits = AcceptorLimits(associate=timeouts.acse, idle=timeouts.idle, transfer=timeouts.transfer)
    server = AssociationServer(listener, policy, limits)
    serving = threading.Thread(target=server.serve, name="accept", daemon=True)
    serving.start()
    while not stop.wait(_FLUSH_SECONDS):
        refusals.flush()
        if not serving.is_alive():
            raise NetworkError("the receiver no longer accepts connections")
    server.stop()
    serving.join()
    # Only closed, never shut down: the listener is shared with every other receiver.
    listener.close()
    # Whoever was accepted is served: an association may be on its way on a connection that has none yet.
    while stop.patient and server.connections():
        refusals.flush()
        time.sleep(_FLUSH_SECONDS)
    server.drain(config.node.drain)
    refusals.flush()
    database.close()
