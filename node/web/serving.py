"""The process of the web page: an HTTP server on a socket that the supervisor has bound.

Guarantees
    It asks for less of the machine than the way of an instance does, and goes first where memory runs out. The secret
    is read once, for the key of the audit trail, and not kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from node.audit.actor import this_person
from node.config import Config
from node.ledger.audit import open_trail
from node.log import event
from node.shared import Stop
from node.web.app import make_app
from node.web.site import Site

LOGGER = logging.getLogger("node.web")

_NICER = 5
_GOES_FIRST = "500"  # of 1000, for the kernel that looks for memory
_LOOK_SECONDS = 0.25
_LAST_SECONDS = 5
_MOST_CONNECTIONS = 200
_HEADER_BYTES = 32 << 10


def serve_web(config: Config, listener: socket.socket, stop: Stop) -> None:
    """Serve until `stop` is set. Raises NodeError where the key of the audit trail cannot be had."""
    with contextlib.suppress(OSError):
        os.nice(_NICER)
        Path("/proc/self/oom_score_adj").write_text(_GOES_FIRST, encoding="ascii")
    site = Site(config, open_trail(config, this_person("serve")))
    assert site.trail.key
    settings = uvicorn.Config(
        make_app(site),
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=_LAST_SECONDS,
        h11_max_incomplete_event_size=_HEADER_BYTES,
    )
    listener.setblocking(False)
    event(LOGGER, "web-listens", place=str(config.web.listen))
    try:
        asyncio.run(_serve(_Server(settings), listener, stop))
    finally:
        site.close()


class _Server(uvicorn.Server):
    """A server that leaves signals to the node."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: the process has its own way to be told to end."""
        yield


async def _serve(server: uvicorn.Server, listener: socket.socket, stop: Stop) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not stop.is_set() and not serving.done():
        await asyncio.wait((serving,), timeout=_LOOK_SECONDS)
    server.should_exit = True
    await serving
