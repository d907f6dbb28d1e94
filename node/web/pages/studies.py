"""Studies: whether they are complete at their destinations, what differs, and taking that as it is."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from node.ledger.completeness import accept, asked_of, listed, place_of, report
from node.ledger.following import look_again
from node.ledger.receipts import receipts_of
from node.web.rendering import go, page
from node.web.site import Acting, Desk, Looking

router = APIRouter(include_in_schema=False)

Number = Annotated[int, Path(ge=1, le=2**53, description="As the list of studies has it")]
MOST = 500


@router.get("/studies")
def every(request: Request, desk: Looking, problems: bool = False) -> Response:
    """List the studies that are followed."""
    found = listed(desk.site.database, problems=problems, limit=MOST)
    is_on = desk.config.completeness is not None
    return page(request, desk, "studies.html", studies=found, problems=problems, is_on=is_on, most=MOST)


@router.get("/studies/{number}")
def one(request: Request, desk: Looking, number: Number) -> Response:
    """Tell all of one study."""
    return page(request, desk, "study.html", number=number, **told(desk, number))


def told(desk: Desk, number: int) -> dict[str, Any]:
    """Return what there is to say of a study, and its receipts. Raises HTTPException 404."""
    project, study = known(desk, number)
    database = desk.site.database
    found = report(database, project, study, asked_of(desk.config))
    return {"study": found, "receipts": receipts_of(database, project, study)}


def known(desk: Desk, number: int) -> tuple[str, str]:
    """Return project and keyed UID of a study. Raises HTTPException 404 where there is none of the number."""
    found = place_of(desk.site.database, number)
    if found is None:
        raise HTTPException(404, "there is no such study")
    return found


def take_as_is(desk: Desk, number: int) -> int:
    """Accept the differences of a study; return how many instances they are about. Raises HTTPException 404."""
    place = known(desk, number)
    return accept(desk.site.database, *place, asked_of(desk.config), desk.trail("completeness accept"))


@router.post("/studies/{number}/accept")
def accepted(desk: Acting, number: Number) -> Response:
    """Take what differs as it is."""
    take_as_is(desk, number)
    return go(f"/studies/{number}")


@router.post("/studies/{number}/check")
def checked(desk: Acting, number: Number) -> Response:
    """Let the node look at it now, and ask its destinations again."""
    known(desk, number)
    look_again(desk.site.database, number)
    return go(f"/studies/{number}")
