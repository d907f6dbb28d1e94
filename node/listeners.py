"""Where the node listens: bound before anything is opened, so that a port that is taken refuses the start.

Guarantees
    Nobody can connect before `listen`. A place that cannot be had is a StartError that names its key.
"""

from __future__ import annotations

import socket

from node.config import Config, Endpoint
from node.errors import StartError


def endpoints(config: Config) -> list[tuple[Endpoint, str]]:
    """Return where the node listens, with the key that says so, in the order of `listening`."""
    plain = [] if config.node.listen is None else [(config.node.listen, "node.listen")]
    return plain + [(one.listen, f"node.listeners.{i}.listen") for i, one in enumerate(config.node.listeners)]


def bind(endpoint: Endpoint, key: str) -> socket.socket:
    """Bind a socket of TCP; `key` is what the configuration calls the place. Raises StartError where it is taken."""
    listener = socket.socket(socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((endpoint.host, endpoint.port))
    except OSError as error:
        listener.close()
        raise StartError(
            f"{key}: cannot listen on {endpoint} ({error.strerror}); is another program using it?"
        ) from None
    listener.setblocking(False)
    return listener


def listen(bound: socket.socket) -> None:
    """Let clients connect. Raises StartError where another program listens there."""
    try:
        bound.listen(256)
    except OSError as error:
        where = "{}:{}".format(*bound.getsockname()[:2])
        raise StartError(f"cannot listen on {where} ({error.strerror}); is another program using it?") from None
