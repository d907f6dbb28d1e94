"""Destinations: what waits for each, whether it answers, and stopping to send to it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from node.web.echo import echo
from node.web.rendering import go, is_live, page
from node.web.site import Acting, Desk, Looking

router = APIRouter(include_in_schema=False)

Name = Annotated[str, Path(max_length=64)]


@router.get("/destinations")
def listed(request: Request, desk: Looking) -> Response:
    """List the destinations."""
    return page(request, desk, "destinations.html", **table(desk))


@router.get("/live/destinations")
def live(request: Request, desk: Looking) -> Response:
    """List them again, in place."""
    return page(request, desk, "destinations_list.html", **table(desk))


def table(desk: Desk) -> dict[str, Any]:
    """Return what is known of each destination: of the configuration and of the ledger."""
    found = desk.ledger("destinations").status()["destinations"]
    lag = (desk.site.history.latest() or desk.site.history.take()).lag
    rows = {
        name: {
            "ae_title": one.ae_title,
            "address": str(one.address),
            "tls": one.tls is not None,
            "lag": lag.get(name),
            "state": found.get(name, {"delivered": 0, "waiting": 0, "held": 0}),
        }
        for name, one in desk.config.destinations.items()
    }
    return {"destinations": rows, "answer": "", "answered": ""}


def known(desk: Desk, name: str) -> str:
    """Return the name of a destination. Raises HTTPException 404 where the configuration has none of it."""
    if name not in desk.config.destinations:
        raise HTTPException(404, "there is no such destination")
    return name


@router.post("/destinations/{name}/echo")
def asked(request: Request, desk: Acting, name: Name) -> Response:
    """Ask it whether it answers."""
    answer = echo(desk.config, known(desk, name))
    values = table(desk) | {"answer": answer or "answers", "answered": name}
    return page(request, desk, "destinations_list.html" if is_live(request) else "destinations.html", **values)


@router.post("/destinations/{name}/pause")
def paused(request: Request, desk: Acting, name: Name) -> Response:
    """Stop sending to it; what is for it waits."""
    desk.ledger("pause").pause(known(desk, name))
    return _after(request, desk)


@router.post("/destinations/{name}/resume")
def resumed(request: Request, desk: Acting, name: Name) -> Response:
    """Send to it again, at once."""
    desk.ledger("resume").resume(known(desk, name))
    return _after(request, desk)


def _after(request: Request, desk: Desk) -> Response:
    return page(request, desk, "destinations_list.html", **table(desk)) if is_live(request) else go("/destinations")
