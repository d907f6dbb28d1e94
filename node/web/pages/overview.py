"""The overview: what was received and what became of it, where it waits, and what somebody has to look at."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from node.errors import OUTCOMES
from node.overview import overview
from node.web.history import History, rates
from node.web.rendering import page
from node.web.site import Desk, Looking

router = APIRouter(include_in_schema=False)


@router.get("/")
def whole(request: Request, desk: Looking) -> Response:
    """Show the overview."""
    return page(request, desk, "overview.html", **facts(desk))


@router.get("/live/overview")
def live(request: Request, desk: Looking) -> Response:
    """Show the part of the overview that changes."""
    return page(request, desk, "overview_live.html", **facts(desk))


def facts(desk: Desk) -> dict[str, Any]:
    """Return what the overview shows. Raises LedgerError."""
    found = overview(desk.ledger("overview"), desk.config, advice=False)
    history: History = desk.site.history
    moments = history.moments()
    latest = history.latest() or history.take()
    return {
        "found": found,
        "holds": found["received"] == sum(found[name] for name in OUTCOMES),
        "outcomes": OUTCOMES,
        "received": rates(moments, "received"),
        "delivered": rates(moments, "delivered"),
        "in_flight": [(one.at, float(one.counts["in_flight"])) for one in moments],
        "waiting": {
            name: [(one.at, float(one.waiting.get(name, 0))) for one in moments] for name in found["destinations"]
        },
        "by_route": {name: rates(moments, name, "routes") for name in found["routes"]},
        "to_each": {name: rates(moments, name, "delivered") for name in found["destinations"]},
        "lag": latest.lag,
        "cleaning_lag": latest.cleaning_lag,
        "since": moments[0].at if moments else latest.at,
    }
