"""The process of the web page: an HTTP server on a socket that the supervisor has bound.

Guarantees
    It goes first where memory runs out, so that the way of an instance does not. The secret never comes into it: a
    child that ends at once makes the key of the audit trail of it, which cannot be turned back. A connection by which
    no request comes is closed, so that silent ones keep nobody out, those least that ask whether the node lives.
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
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from node.audit.actor import this_person
from node.children import run_to_its_end
from node.config import Config
from node.ledger.audit import Trail, open_trail
from node.log import event
from node.shared import Stop
from node.web.app import make_app
from node.web.site import Site

LOGGER = logging.getLogger("node.web")

_GOES_FIRST = "500"  # of 1000, for the kernel that looks for memory
_LOOK_SECONDS = 0.25
_LAST_SECONDS = 5
_MOST_CONNECTIONS = 200
_HEADER_BYTES = 32 << 10
IDLE_SECONDS = 15


def serve_web(config: Config, listener: socket.socket, stop: Stop) -> None:
    """Serve until `stop` is set. Raises StartError where the key of the audit trail cannot be had."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_GOES_FIRST, encoding="ascii")
    site = Site(config, _trail(config))
    settings = uvicorn.Config(
        make_app(site),
        http=_Impatient,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=_LAST_SECONDS,
        h11_max_incomplete_event_size=_HEADER_BYTES,
    )
    listener.setblocking(False)
    event(LOGGER, "web-listens", place=str(config.web.listen))
    try:
        asyncio.run(_serve(_Server(settings), listener, stop))
    finally:
        site.close()


def _trail(config: Config) -> Trail:
    reader, writer = os.pipe()
    trail = open_trail(config, this_person("serve"))
    try:
        run_to_its_end(lambda: _tell(writer, trail), config.node.log)
        key = os.read(reader, 4096)
    finally:
        os.close(reader)
        os.close(writer)
    return Trail(lambda: key, trail.source, trail.by)


def _tell(writer: int, trail: Trail) -> None:
    os.write(writer, trail.key)


class _Impatient(H11Protocol):
    """A connection that is closed where no whole head of a request comes in time, the first one or the next.

    The server's own patience begins with the first answer, and ends with any byte.
    """

    _waits: asyncio.TimerHandle
    _answered: RequestResponseCycle | None = None  # the last request, when it was looked at before

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        self._waits = self.loop.call_later(IDLE_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._waits.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        last: RequestResponseCycle | None = self.cycle
        if last is None or (last.response_complete and last is self._answered):
            self.transport.close()
            return
        self._answered = last if last.response_complete else None
        self._waits = self.loop.call_later(IDLE_SECONDS, self._look)


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
