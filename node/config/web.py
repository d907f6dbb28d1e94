"""The section `web`: the page and the API, who signs users in, and by which names the page is reached."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PlainValidator, model_validator

from node.config.paths import FilePath
from node.config.section import Section
from node.config.senders import Network
from node.config.units import Endpoint, Size, parse_endpoint, parse_positive_duration, parse_size

if TYPE_CHECKING:
    from pathlib import Path

    from node.config.model import Config
    from node.config.yaml12 import KeyPath

MOST_UPLOAD = 1 << 30  # bytes; a sample is held in memory

_HEADER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}\Z")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?\Z")


def _header(value: object) -> str:
    if not isinstance(value, str) or not _HEADER.match(value):
        raise ValueError("expected the name of a header, such as X-Remote-User.")
    return value.lower()


def _host(value: object) -> str:
    if not isinstance(value, str) or not _HOST.match(value.lower()):
        raise ValueError("expected a host name as a browser shows it, without port, such as deid.example.org.")
    return value.lower()


def _upload(value: object) -> Size:
    size = parse_size(value)
    if size.percent is not None or not 1 <= size.bytes <= MOST_UPLOAD:
        raise ValueError("expected a size such as 64 MiB, of at most 1 GiB.")
    return size


class WebSession(Section):
    """After how long a user has to sign in again, in seconds: without doing anything, and at all."""

    idle: Annotated[float, PlainValidator(parse_positive_duration)] = 1800.0
    """After so long without doing anything a user has to sign in again."""
    longest: Annotated[float, PlainValidator(parse_positive_duration)] = 43_200.0
    """And after so long in any case."""


class Web(Section):
    """The web page and the REST API; off by default, and reached from this machine alone.

    `users_file` None is `web-users.json` in `node.data`. `hosts` are the names under which browsers reach the page,
    beside `localhost` and addresses. A reverse proxy of `trusted_proxies` says by `proxy_header` who the user is.
    """

    enabled: bool = False
    """Whether there is a page, and the API."""
    listen: Annotated[Endpoint, PlainValidator(parse_endpoint)] = Endpoint("127.0.0.1", 8080)
    """`host:port` of the page, the API, `/metrics` and `/health/…`; plain HTTP, so that beyond this machine only a
    reverse proxy may reach it.
    """
    users_file: FilePath | None = None
    """Who may sign in; written by `deid-node web user`, mode 0600. Default: `<data>/web-users.json`."""
    hosts: tuple[Annotated[str, PlainValidator(_host)], ...] = ()
    """The names under which browsers reach the page, beside `localhost` and addresses."""
    proxy_header: Annotated[str | None, PlainValidator(_header)] = None
    """The header in which these say who the user is, such as `X-Remote-User`."""
    trusted_proxies: tuple[Network, ...] = ()
    """Addresses and networks of reverse proxies, whose `X-Forwarded-For` counts."""
    session: WebSession = WebSession()
    """After how long a user has to sign in again."""
    upload: Annotated[Size, PlainValidator(_upload)] = Field(default=Size(bytes=64 << 20))
    """The largest file that is taken; it is held in memory."""
    metrics: Literal["open", "login"] = "open"
    """`login`: `/metrics` asks for a token."""

    @model_validator(mode="after")
    def _header_and_proxy(self) -> Web:
        if self.proxy_header is not None and not self.trusted_proxies:
            raise ValueError("`proxy_header` needs `trusted_proxies`: anybody else could send that header.")
        return self


def users_path(config: Config) -> Path:
    """Return where the users of the web page stand."""
    return config.web.users_file or config.node.data / "web-users.json"


def faults(config: Config) -> Iterator[tuple[KeyPath, str, str]]:
    """Find a port that something else has, and users that would lie among the files of instances."""
    if not config.web.enabled:
        return
    others = [listener.listen for listener in config.node.listening]
    if config.trial_destination is not None:
        others.append(config.trial_destination.listen)
    if any(other.port == config.web.listen.port for other in others):
        yield ("web", "listen"), "another part of the node listens at this port.", "Give it another one."
    if users_path(config).is_relative_to(config.node.spool):
        yield ("web", "users_file"), "must not lie in the spool.", "Only the node's own instance files lie there."
