"""Health and metrics, for machines that ask often and sign in nowhere. Nothing here tells of an instance."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from node import health
from node.metrics import CONTENT_TYPE, render
from node.web.person import identify
from node.web.site import Site

router = APIRouter(include_in_schema=False)


@router.get("/health/live")
def live(request: Request) -> Response:
    """Say whether the node lives, with what speaks for it."""
    site: Site = request.app.state.site
    return _told(health.live(site.config))


@router.get("/health/ready")
def ready(request: Request) -> Response:
    """Say whether the node can take instances, with what speaks for it."""
    site: Site = request.app.state.site
    return _told(health.ready(site.config, site.database))


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Give all metrics in Prometheus' text format; to users alone where `web.metrics` says so."""
    site: Site = request.app.state.site
    if site.config.web.metrics == "login":
        await identify(request, site)
    return Response(await run_in_threadpool(render, site.config, site.database), media_type=CONTENT_TYPE)


def _told(found: health.Health) -> Response:
    return JSONResponse(found.told(), 200 if found.ok else 503)
