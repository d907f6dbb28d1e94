"""Destinations: what waits for each, whether it answers, and stopping to send to it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from node.ledger.halt import stopped
from node.ledger.targets import destinations_of
from node.reaching import unanswered
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
    """Return what is known of each destination: of the configuration and of the ledger; and whether all is stopped."""
    database, configured = desk.site.database, desk.config.destinations
    lag = (desk.site.history.latest() or desk.site.history.take()).lag
    rows = {}
    for name, found in destinations_of(database, configured).items():
        one = configured.get(name)
        rows[name] = {
            "ae_title": "" if one is None else one.ae_title,
            "address": "" if one is None else str(one.address),
            "tls": one is not None and one.tls is not None,
            "lag": lag.get(name),
            "known": one is not None,
            "state": found,
        }
    with database.read() as connection:
        halted = stopped(connection)
    return {"destinations": rows, "stopped": halted, "answer": "", "answered": ""}


def known(desk: Desk, name: str) -> str:
    """Return the name of a destination. Raises HTTPException 404 where the configuration has none of it."""
    if name not in desk.config.destinations:
        raise HTTPException(404, "there is no such destination")
    return name


@router.post("/destinations/{name}/echo")
def asked(request: Request, desk: Acting, name: Name) -> Response:
    """Ask it whether it answers."""
    answer = unanswered(name, desk.config.destinations[known(desk, name)])
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
