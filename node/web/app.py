"""The application: every page and every part of the API, and what becomes of errors.

Guarantees
    No answer repeats what was sent to it, and none holds a traceback. What is not open to everybody (`OPEN`) asks who
    it is; a test goes through all of them.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles

from node import __version__
from node.errors import LedgerError, NodeError, NotReachable
from node.log import clean_text, event
from node.web.api import ROUTERS as API
from node.web.guard import Guard
from node.web.pages import (
    crosswalk,
    destinations,
    holds,
    login,
    monitoring,
    overview,
    recipes,
    refused,
    search,
    studies,
)
from node.web.rendering import HERE, is_live, open_page
from node.web.site import Site

LOGGER = logging.getLogger("node.web")

OPEN = ("/login", "/health/live", "/health/ready", "/metrics", "/api/v1/openapi.json")
PREFIX = "/api/v1"
PAGES = tuple(
    module.router
    for module in (overview, login, holds, search, destinations, studies, refused, recipes, crosswalk, monitoring)
)


def make_app(site: Site) -> FastAPI:
    """Return the application of a site, which is started and ended along with it."""

    @asynccontextmanager
    async def living(_app: FastAPI) -> AsyncIterator[None]:
        site.history.start()
        yield
        site.history.end()

    app = FastAPI(
        title="deid-node",
        version=__version__,
        description="What the node has received, what became of it, and what people do with it.",
        docs_url=None,
        redoc_url=None,
        openapi_url=f"{PREFIX}/openapi.json",
        lifespan=living,
        redirect_slashes=False,  # such a redirection names the scheme, which a proxy in front has changed
    )
    app.state.site = site
    for router in PAGES:
        app.include_router(router)
    for router in API:
        app.include_router(router, prefix=PREFIX)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(NodeError, _failed)
    app.add_exception_handler(Exception, _unexpected)
    app.add_middleware(Guard, config=site.config)
    return app


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = error.detail if isinstance(error.detail, str) else HTTPStatus(error.status_code).phrase
    return _answer(request, error.status_code, text, dict(error.headers or {}))


def _invalid(request: Request, error: Exception) -> Response:
    """Say where a request is wrong and how, never what was in it."""
    assert isinstance(error, RequestValidationError)
    found = [f"{'.'.join(_place(one))}: {one['type']}" for one in error.errors()]
    return _answer(request, 422, clean_text("; ".join(found), 1000))


def _place(found: dict[str, Any]) -> list[str]:
    """Where something is wrong, by names of the description; a key that it has not is one that was sent."""
    place = list(map(str, found["loc"]))
    return place[:-1] if found["type"] == "extra_forbidden" else place


def _failed(request: Request, error: Exception) -> Response:
    status = 503 if isinstance(error, LedgerError | NotReachable) else 409
    return _answer(request, status, clean_text(error, 2000))


def _unexpected(request: Request, error: Exception) -> Response:
    event(LOGGER, "unexpected error", level=logging.ERROR, exc_info=error)
    return _answer(request, 500, "The node has a fault here; its log says where.")


def _answer(request: Request, status: int, text: str, headers: dict[str, Any] | None = None) -> Response:
    path = request.url.path
    if path.startswith(PREFIX):
        return JSONResponse({"error": text}, status, headers)
    signed_out = status == 401
    headers = dict(headers or {})
    headers.pop("WWW-Authenticate", None)  # a browser would ask by itself
    if signed_out and is_live(request):
        return Response(status_code=401, headers={**headers, "HX-Redirect": "/login"})
    if is_live(request):
        # In place of what was asked for, only the reason is shown, where every page has room for it.
        where = {"HX-Retarget": "#problem", "HX-Reswap": "innerHTML"}
        return open_page("error_live.html", status, headers | where, text=text)
    if signed_out and request.method == "GET":
        return Response(status_code=303, headers={**headers, "Location": "/login"})
    phrase = HTTPStatus(status).phrase
    return open_page("error.html", status, headers, text=text, phrase=phrase, user=None, here=path)
