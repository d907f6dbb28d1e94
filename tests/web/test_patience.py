"""Who keeps a connection or thread for nothing keeps nobody else out, least of all who asks whether the node lives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any

import anyio.to_thread
import httpx
import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from uvicorn.server import ServerState

from node.web import guard, serving
from node.web.app import make_app
from node.web.site import Site
from tests.web.support import Place

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", b"GET / HT", GET, GET + b"G"], ids=["nothing", "half", "one", "one and a half"])
def test_a_connection_by_which_no_request_comes_is_closed(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    # Where a request is to be answered, it has to come in time, too.
    monkeypatch.setattr(serving, "IDLE_SECONDS", 1.0 if GET in sent else 0.05)

    async def conversation() -> bytes:
        settings = uvicorn.Config(
            PlainTextResponse("well"), http=serving._Impatient, lifespan="off", log_config=None, timeout_keep_alive=60
        )
        settings.load()
        loop, state = asyncio.get_running_loop(), ServerState()
        server = await loop.create_server(lambda: serving._Impatient(settings, state, {}), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(sent)
        answer = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        server.close()
        return answer

    assert asyncio.run(conversation()).count(b"200 OK") == sent.count(GET)


def test_a_request_that_does_not_come_to_its_end_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.05)
    monkeypatch.setattr(guard, "_SLOWEST", 1 << 40)
    head = [(b"host", b"localhost"), (b"content-type", b"application/x-www-form-urlencoded")]
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/login",
        "raw_path": b"/login",
        "query_string": b"",
    }
    scope |= {"headers": head, "scheme": "https", "client": ("127.0.0.1", 1), "server": ("localhost", 443)}
    scope |= {"http_version": "1.1", "root_path": "", "state": {}}
    told = []

    async def conversation() -> None:
        pieces = [{"type": "http.request", "body": b"name=v", "more_body": True}]

        async def receive() -> MutableMapping[str, Any]:
            if pieces:
                return pieces.pop()
            await asyncio.sleep(60)
            raise AssertionError

        async def send(message: MutableMapping[str, Any]) -> None:
            told.append(message)

        await asyncio.wait_for(make_app(site)(scope, receive, send), 20)

    asyncio.run(conversation())
    assert told[0]["status"] == 408


def test_health_answers_while_every_thread_waits_for_a_page(site: Site, place: Place) -> None:
    async def asked() -> list[tuple[int, bool]]:
        threads = anyio.to_thread.current_default_thread_limiter()
        for number in range(int(threads.total_tokens)):
            threads.acquire_on_behalf_of_nowait(number)
        transport = httpx.ASGITransport(make_app(site))
        async with httpx.AsyncClient(transport=transport, base_url="https://localhost") as client:
            answers = [await asyncio.wait_for(client.get(f"/health/{one}"), 20) for one in ("live", "ready")]
            assert "deid_node_up 1" in (await asyncio.wait_for(client.get("/metrics"), 20)).text
            return [(one.status_code, bool(json.loads(one.text)["ok"])) for one in answers]

    assert place.node.process is not None
    assert asyncio.run(asked()) == [(200, True), (200, True)]
