"""Health and metrics, for machines that ask often and sign in nowhere. Nothing here tells of an instance.

They have threads of their own: whoever waits for a page does not make the node look dead.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from node import health
from node.metrics import CONTENT_TYPE, render
from node.web.person import identify
from node.web.site import Site

router = APIRouter(include_in_schema=False)

_HEALTH, _METRICS = ThreadPoolExecutor(2, "health"), ThreadPoolExecutor(1, "metrics")


@router.get("/health/live")
async def live(request: Request) -> Response:
    """Say whether the node lives, with what speaks for it."""
    site: Site = request.app.state.site
    return _told(await asyncio.get_running_loop().run_in_executor(_HEALTH, health.live, site.config))


@router.get("/health/ready")
async def ready(request: Request) -> Response:
    """Say whether the node can take instances, with what speaks for it."""
    site: Site = request.app.state.site
    loop = asyncio.get_running_loop()
    return _told(await loop.run_in_executor(_HEALTH, health.ready, site.config, site.database))


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Give all metrics in Prometheus' text format; to users alone where `web.metrics` says so."""
    site: Site = request.app.state.site
    if site.config.web.metrics == "login":
        await identify(request, site)
    told = await asyncio.get_running_loop().run_in_executor(_METRICS, render, site.config, site.database)
    return Response(told, media_type=CONTENT_TYPE)


def _told(found: health.Health) -> Response:
    return JSONResponse(found.told(), 200 if found.ok else 503)
