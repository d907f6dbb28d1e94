"""Health and metrics, for machines that ask often and sign in nowhere. Nothing here tells of an instance."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from node.errors import LedgerError, NotReachable
from node.ledger.alerts import disk_of
from node.web.site import Site

router = APIRouter(include_in_schema=False)


@router.get("/health/live")
def live() -> Response:
    """Say that the process answers."""
    return JSONResponse({"live": True})


@router.get("/health/ready")
def ready(request: Request) -> Response:
    """Say whether the node can take instances: its ledger answers, its disk has room."""
    site: Site = request.app.state.site
    checks = {"ledger": _ledger(site), "disk": _disk(site)}
    well = all(checks.values())
    found: dict[str, Any] = {"ready": well, "checks": checks}
    return JSONResponse(found, 200 if well else 503)


def _ledger(site: Site) -> bool:
    try:
        site.database.require()
    except (LedgerError, NotReachable):
        return False
    return True


def _disk(site: Site) -> bool:
    disk = disk_of(site.config)
    return disk is not None and disk.state in ("ok", "low")
