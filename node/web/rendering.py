"""Pages out of templates. Every text is escaped where it is put in: AE titles and names come from peers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from node import __version__
from node.log import clean_text
from node.telling import ago, length
from node.web import charts
from node.web.person import COOKIE, Way
from node.web.site import Desk

HERE = Path(__file__).resolve().parent

# What every page links to: its address, its name, and the role that it is for.
PLACES = (
    ("/", "Overview", "viewer"),
    ("/held", "Held", "viewer"),
    ("/search", "Search", "viewer"),
    ("/destinations", "Destinations", "viewer"),
    ("/studies", "Studies", "viewer"),
    ("/refused", "Refused", "viewer"),
    ("/recipes", "Recipes", "operator"),
    ("/crosswalk", "Crosswalk", "viewer"),
)


def _plain(value: object) -> str:
    return "" if value is None else clean_text(value, 2000)


def _size(count: int | None) -> str:
    value, units = float(count or 0), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.0f} {units[0]}"


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    auto_reload=False,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=lambda value: "" if value is None else value,
)
_ENVIRONMENT.filters.update(ago=ago, lasting=length, plain=_plain, size=_size)
_ENVIRONMENT.globals.update(version=__version__, places=PLACES, chart=charts.line, now=charts.now)


def is_live(request: Request) -> bool:
    """Whether the page's own script asks, which wants a part of the page."""
    return request.headers.get("hx-request") == "true"


def page(request: Request, desk: Desk, template: str, status: int = 200, **values: Any) -> Response:
    """Return a page for somebody who is signed in."""
    session, cookie = desk.person.session, ""
    if session is None and desk.person.way is Way.PROXY:
        cookie, session = desk.site.sessions.begin(desk.person.user.name, proxied=True)
    response = HTMLResponse(
        _ENVIRONMENT.get_template(template).render(
            here=request.url.path,
            desk=desk,
            user=desk.person.user,
            csrf=session.csrf if session is not None else "",
            may={role: desk.may(role) for role in ("viewer", "operator", "re-identifier")},
            title_of_node=desk.config.node.ae_title,
            **values,
        ),
        status,
    )
    if cookie:
        set_session(response, cookie)
    return response


def open_page(template: str, status: int = 200, headers: dict[str, str] | None = None, **values: Any) -> HTMLResponse:
    """Return a page for anybody."""
    return HTMLResponse(_ENVIRONMENT.get_template(template).render(**values), status, headers)


def go(place: str) -> RedirectResponse:
    """Send the browser to another page after it has changed something."""
    return RedirectResponse(place, 303)


def set_session(response: Response, key: str) -> None:
    """Let the browser keep a session: sent to this node alone, never to a script, never from another site's page."""
    response.set_cookie(COOKIE, key, secure=True, httponly=True, samesite="strict", path="/")


def drop_session(response: Response) -> None:
    """Let the browser forget its session."""
    response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="strict", path="/")
