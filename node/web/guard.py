"""What every request must pass before anything looks at it, and what every answer carries.

Guarantees
    The page answers under its own names alone, so that no other site's name can be made to point at it (DNS
    rebinding). No request is longer than its path may take, or comes for longer than its length explains. No answer is
    kept by a browser or proxy, framed by another page, or runs a script that is not one of the node's own files.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.config import Config

_UPLOADS_AT_ONCE = 4
MOST_BYTES = 1 << 20  # of a request, but for uploads
BODY_SECONDS = 30.0  # in which a request has to be there
_SLOWEST = 64 << 10  # bytes a second, of what is longer
UPLOADS = ("/recipes", "/crosswalk", "/api/v1/preview", "/api/v1/crosswalk")

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_KEPT = "/static/"


class Guard:
    """ASGI middleware, the outermost; it lets few uploads in at once, since each is held in memory."""

    def __init__(self, app: ASGIApp, config: Config) -> None:
        self._app = app
        self._upload = config.web.upload.bytes + MOST_BYTES
        self._uploading = asyncio.Semaphore(_UPLOADS_AT_ONCE)
        self._hosts = {"localhost", *config.web.hosts, config.web.listen.host.lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sending = _with_headers(send, scope["path"])
        headers = Headers(scope=scope)
        if not self._is_own(headers.getlist("host")):
            problem = "this node is not reached by this name: web.hosts lists its names"
            await PlainTextResponse(problem, 421)(scope, receive, sending)
            return
        may_upload = scope["method"] == "POST" and scope["path"].startswith(UPLOADS)
        most = self._upload if may_upload else MOST_BYTES
        if _is_longer(headers.get("content-length", "0"), most):
            await PlainTextResponse("too long", 413, {"Connection": "close"})(scope, receive, sending)
            return
        async with self._uploading if may_upload else contextlib.nullcontext():
            await self._app(scope, _bounded(receive, most), sending)

    def _is_own(self, hosts: list[str]) -> bool:
        """Whether a name is the node's own; a name is needed for rebinding, so an address always is."""
        if len(hosts) != 1:
            return False
        host = hosts[0].lower()
        name = host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._hosts
        return True


def _is_longer(length: str, most: int) -> bool:
    return not length.isdecimal() or len(length) > 15 or int(length) > most


def _bounded(receive: Receive, most: int) -> Receive:
    """Count what comes, and how long it takes: not every request says how long it is, or ever ends."""
    seen, whole = 0, False
    latest = asyncio.get_running_loop().time() + BODY_SECONDS + most / _SLOWEST

    async def bounded() -> Message:
        nonlocal seen, whole
        if whole:  # what comes now is the end of the connection, for which nobody has to hurry
            return await receive()
        try:
            async with asyncio.timeout_at(latest):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, "too slow", {"Connection": "close"}) from None
        whole = not message.get("more_body", False)
        seen += len(message.get("body", b""))
        if seen > most:
            raise HTTPException(413, "too long")
        return message

    return bounded


def _with_headers(send: Send, path: str) -> Send:
    keeping = "public, max-age=3600" if path.startswith(_KEPT) else "no-store"

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in {**_HEADERS, "Cache-Control": keeping}.items():
                headers[name] = value
        await send(message)

    return sending
