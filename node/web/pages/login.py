"""Signing in and out."""

from __future__ import annotations

import logging
import math
import secrets

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response

from node.audit import kinds
from node.audit.actor import web_user
from node.log import event
from node.web.forms import Form, text
from node.web.person import address_of, cookie_of, require_same_site
from node.web.rendering import drop_session, go, open_page, set_session
from node.web.site import Looking, Site
from node.web.users import User

LOGGER = logging.getLogger("node.web.login")

router = APIRouter(include_in_schema=False)
BEFORE = "__Host-deid-login"


@router.get("/login")
def ask(request: Request) -> Response:
    """Ask for name and password."""
    return _asking(request)


def _asking(request: Request, status: int = 200, problem: str = "", name: str = "") -> Response:
    site: Site = request.app.state.site
    cookie = request.cookies.get(BEFORE) or secrets.token_urlsafe(16)
    response = open_page(
        "login.html", status, csrf=site.pretokens.make(cookie), problem=problem, name=name, user=None, here="/login"
    )
    response.set_cookie(BEFORE, cookie, secure=True, httponly=True, samesite="strict", path="/", max_age=3600)
    return response


@router.post("/login")
async def enter(request: Request, form: Form) -> Response:
    """Sign in, unless too many passwords were wrong before."""
    site: Site = request.app.state.site
    require_same_site(request)
    if not site.pretokens.is_right(request.cookies.get(BEFORE, ""), text(form, "csrf")):
        return _asking(request, 403, "This page was out of date. Try again.")
    name, password, address = text(form, "name", 64), str(form.get("password", "")), address_of(request, site)
    keys = (f"name {name}", f"address {address}")
    wait = site.throttle.wait(*keys)
    if wait:
        response = _asking(request, 429, f"Too many tries. Wait {math.ceil(wait)} s.", name)
        response.headers["Retry-After"] = str(math.ceil(wait))
        return response
    # Counted before it is tried, so that many at once are not all free.
    site.throttle.failed(*keys)
    user = await run_in_threadpool(_known, site, name, password, address)
    if user is None:
        return _asking(request, 401, "Name or password is wrong.", name)
    site.throttle.succeeded(*keys)
    site.sessions.end(cookie_of(request))
    key, _ = site.sessions.begin(user.name, sign_in=user.sign_in)
    response = go("/")
    set_session(response, key)
    response.delete_cookie(BEFORE, secure=True, httponly=True, samesite="strict", path="/")
    return response


def _known(site: Site, name: str, password: str, address: str) -> User | None:
    """Return the user, and write down who signed in, or that a password was wrong."""
    with site.hashing:
        user = site.users.of_password(name, password)
    # A name that nobody has may be a password that was typed into the wrong field: it is not written down.
    shown = name if site.users.get(name) is not None else "unknown user"
    actor = web_user(shown, address, "web: sign in")
    site.trail_of(actor).record(site.database, kinds.signed_in(site.trail.source, actor, well=user is not None))
    if user is None:
        event(LOGGER, "sign-in-refused", level=logging.WARNING, address=address)
    return user


@router.post("/logout")
def leave(request: Request, desk: Looking) -> Response:
    """End the session."""
    if desk.person.session is None:
        raise HTTPException(400, "there is no session")
    desk.site.sessions.end(cookie_of(request))
    response = go("/login")
    drop_session(response)
    return response
