"""What senders asked for and did not get, and which line of the configuration stands against it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from node.overview import with_advice
from node.web.rendering import page
from node.web.site import Looking

router = APIRouter(include_in_schema=False)


@router.get("/refused")
def listed(request: Request, desk: Looking) -> Response:
    """List what was refused."""
    refused = with_advice(desk.ledger("refused").status()["refused"], desk.config)
    return page(request, desk, "refused.html", refused=refused)
