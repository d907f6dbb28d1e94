"""Search by study, series, instance, accession number or pseudonym, and the whole story of what was found.

What is searched for is sent in the body of a request, never in an address: that would be in histories and logs.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from node.errors import CommandFailed
from node.web.acting import on_behalf
from node.web.forms import Form, text
from node.web.rendering import page
from node.web.searching import Answer, search, search_plain
from node.web.site import Desk, Looking

router = APIRouter(include_in_schema=False)

LONGEST = 128


@router.get("/search")
def ask(request: Request, desk: Looking) -> Response:
    """Ask what to search for."""
    return page(request, desk, "search.html", term="", answer=None, problem="", identity=False)


@router.post("/search")
def found(request: Request, desk: Looking, form: Form) -> Response:
    """Tell what was found, and its story."""
    term, asked = text(form, "term", LONGEST), bool(text(form, "identity"))
    identity = asked and desk.may("re-identifier")
    values: dict[str, Any] = {"term": term, "answer": None, "problem": "", "identity": identity}
    if not term:
        return page(request, desk, "search.html", 422, **values | {"problem": "Say what to search for."})
    try:
        values["answer"] = look(desk, term, identity=identity)
    except CommandFailed as error:
        return page(request, desk, "search.html", 409, **values | {"problem": str(error)})
    return page(request, desk, "search.html", **values)


def look(desk: Desk, term: str, *, identity: bool) -> Answer:
    """Return what a term names. Raises CommandFailed, LedgerError."""
    site, by = desk.site, on_behalf(desk)
    return search(site.commands, term, by) if identity else search_plain(site.commands, site.database, term, by)
