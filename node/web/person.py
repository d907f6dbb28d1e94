"""Who asks: by a session's cookie, by a token, or as a reverse proxy says.

Guarantees
    A header of a proxy counts from the configured proxies alone, and only if it is there once. Whoever is not in the
    file of users is nobody, whatever a proxy says or a cookie was. What a browser sends to change something has the
    token of its session, and comes from a page of this node.
"""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fastapi import Request
from starlette.exceptions import HTTPException

from node.audit.actor import WebUser, web_user
from node.web.forms import form_of
from node.web.sessions import Session
from node.web.users import User

if TYPE_CHECKING:
    from node.web.site import Site

COOKIE = "__Host-deid"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_POLL = "x-live"  # what the page's own refreshing sends: it keeps nobody signed in


class Way(StrEnum):
    """How somebody is known."""

    SESSION = "session"
    TOKEN = "token"  # noqa: S105
    PROXY = "proxy"


@dataclass(frozen=True, slots=True)
class Person:
    """A user who asks for something, from an address; a program with a token has no session."""

    user: User
    address: str
    way: Way
    session: Session | None = None

    def actor(self, doing: str) -> WebUser:
        """The user as the audit trail names them, with what is done."""
        return web_user(self.user.name, self.address, doing)


def peer_of(request: Request) -> str:
    """The address that the connection comes from."""
    return request.client.host if request.client is not None else ""


def address_of(request: Request, site: Site) -> str:
    """Where a request comes from: what a trusted proxy says that stands between, else the connection's own address."""
    peer = peer_of(request)
    said = request.headers.getlist("x-forwarded-for")
    if not said or not _is_proxy(peer, site):
        return peer
    # Its own word stands last, in the last line of several: a proxy may leave what came, and add a line behind it.
    last = said[-1].rpartition(",")[2].strip()
    try:
        return str(ipaddress.ip_address(last))
    except ValueError:
        return peer


async def identify(request: Request, site: Site) -> Person:
    """Return who asks. Raises HTTPException 401, or 403 where a change was not asked for by a page of this node."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":  # of any other a reverse proxy in front may know
        return _by_token(request, site, token.strip())
    person = _by_proxy(request, site) if site.config.web.proxy_header else None
    person = person or _by_session(request, site)
    if person is None:
        raise HTTPException(401, "sign in first", {"WWW-Authenticate": "Bearer"})
    if request.method not in _SAFE:
        await _require_own_page(request, person)
    return person


def cookie_of(request: Request) -> str:
    """What the browser has as its session; empty where it has none."""
    return request.cookies.get(COOKIE, "")


def _by_token(request: Request, site: Site, token: str) -> Person:
    user = site.users.of_token(token)
    if user is None:
        raise HTTPException(401, "no such token", {"WWW-Authenticate": "Bearer"})
    return Person(user, address_of(request, site), Way.TOKEN)


def _by_session(request: Request, site: Site) -> Person | None:
    session = site.sessions.get(cookie_of(request), touch=_POLL not in request.headers)
    if session is None or session.proxied:
        return None
    user = site.users.get(session.user)
    if user is None or user.sign_in != session.sign_in:
        return None
    return Person(user, address_of(request, site), Way.SESSION, session)


def _by_proxy(request: Request, site: Site) -> Person | None:
    name = proxied_name(request, site)
    user = site.users.get(name) if name else None
    if user is None:
        return None
    session = site.sessions.get(cookie_of(request), touch=_POLL not in request.headers)
    if session is not None and (session.user != user.name or not session.proxied):
        session = None
    return Person(user, address_of(request, site), Way.PROXY, session)


def proxied_name(request: Request, site: Site) -> str:
    """The user that a trusted proxy names; empty where none does."""
    header = site.config.web.proxy_header
    if header is None or not _is_proxy(peer_of(request), site):
        return ""
    said = request.headers.getlist(header)
    return said[0].strip() if len(said) == 1 else ""


def _is_proxy(peer: str, site: Site) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in site.config.web.trusted_proxies)


async def _require_own_page(request: Request, person: Person) -> None:
    require_same_site(request)
    given = request.headers.get("x-csrf-token") or str((await form_of(request)).get("csrf", ""))
    known = person.session.csrf if person.session is not None else ""
    if not known or not hmac.compare_digest(known.encode(), given.encode()):
        raise HTTPException(403, "this page is out of date: load it again, then repeat what you did")


def require_same_site(request: Request) -> None:
    """Raise HTTPException 403 where the browser says that a page of somebody else's asks."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin", "")
    foreign = bool(origin) and urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower()
    if foreign or site not in ("same-origin", "none"):
        raise HTTPException(403, "this was asked for by a page of another site")
