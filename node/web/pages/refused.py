"""What senders, and the node itself, asked for and did not get: by whom, what it is called, and what to change."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from node.refused import refused
from node.web.rendering import page
from node.web.site import Looking

router = APIRouter(include_in_schema=False)

MOST = 200  # senders on one page


@router.get("/refused")
def listed(request: Request, desk: Looking) -> Response:
    """List what was refused."""
    found = refused(desk.site.database, desk.config)
    more = max(0, len(found["senders"]) - MOST)
    values = {"senders": found["senders"][:MOST], "more": more, "places": found["destinations"]}
    return page(request, desk, "refused.html", refused=values)
