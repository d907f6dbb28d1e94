"""The configuration of the self test's own node, made of that of the node that serves.

Kept are the routes with all their options but `from`'s addresses and certificates, and `commitment`; the projects but
their keys, the destinations' titles, associations, time-outs and counts of tries, functions and vocabulary. Others are:
data folder, secret and keys; where it listens; where destinations are (a sink here), without TLS; delays between tries,
so that a try that fails shows at once; `duplicates.same`, so that a second sending arrives. Everything else has its
default. Addresses become addresses of this machine, one for each route, so that each is reached; whether an association
that the route is for would be given to it, is asked of the configuration as it is (`way_in`).
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from node.config import Config, Destination, Encryption, Endpoint, LogSettings, Route, Sender, Size
from node.config.model import LOCAL_DATABASE, Duplicates
from node.config.titles import matches
from node.routing import Router

_TITLE = "SELFTEST"
_LONGEST_TITLE = 16
_FIRST_TRY, _LONGEST_DELAY = 0.1, 0.5  # seconds
_ROOM = 16 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Way:
    """An association that a route takes; `source` is the address of this machine that stands for its address."""

    called: str
    calling: str
    source: str


def way_in(config: Config, route: Route, number: int) -> Way | None:
    """Return an association that the configuration gives to this route and no other; None where none was found."""
    router, who = Router(config), route.from_
    called = _titles(who.called_ae or (config.node.ae_title,))
    calling = _titles(who.calling_ae or ("*",))
    addresses = _addresses(route)
    names = tuple(pattern.replace("*", "selftest") for pattern in who.certificate or ())
    for one, other, address in product(called, calling, addresses):
        found = router.route(one, other, address, names)
        if found is not None and found.name == route.name:
            return Way(one, other, f"127.77.{number // 250}.{1 + number % 250}")
    return None


def _titles(patterns: Sequence[str]) -> list[str]:
    found = [pattern.replace("*", word)[:_LONGEST_TITLE] for pattern in patterns for word in (_TITLE, "", "1", "X")]
    return [title for title in dict.fromkeys(found) if title.strip() and any(matches(one, title) for one in patterns)]


def _addresses(route: Route) -> Iterator[str]:
    networks = route.from_.address
    if networks is None:
        return iter(("127.0.0.1", "192.0.2.1", "2001:db8::1"))
    return iter([str(one) for network in networks for one in (network[0], network[-1])])


def rewritten(config: Config, ways: dict[str, Way], folder: Path, port: int, sinks: dict[str, int]) -> Config:
    """Return the configuration of a node in `folder`, with the routes of `ways`.

    `sinks` has the port of each destination.
    """
    node = config.node.model_copy(
        update={
            "listen": Endpoint("127.0.0.1", port),
            "listeners": (),
            "data": folder,
            "spool": folder / "spool",
            "ledger": f"{LOCAL_DATABASE}{folder / 'ledger.db'}",
            "secret_file": folder / "secret.key",
            "workers": min(config.node.workers, 2),
            "min_free_disk": Size(bytes=_ROOM),
            "warn_free_disk": Size(bytes=_ROOM),
            "drain": 1.0,
            "encryption": None if config.node.encryption is None else Encryption(key=secrets.token_hex(32)),
            "log": LogSettings(format="json", level="info"),
        }
    )
    routes = tuple(_route(route, ways[route.name]) for route in config.routes if route.name in ways)
    names = {name for route in routes for name in route.to}
    return Config.model_construct(
        node=node,
        routes=routes,
        destinations={name: _destination(config.destinations[name], sinks[name]) for name in sorted(names)},
        projects={name: one.model_copy(update={"key_file": None}) for name, one in config.projects.items()},
        functions=config.functions,
        vocabulary=config.vocabulary,
        duplicates=Duplicates(same="resend", header=config.duplicates.header),
        file=config.file,
    )


def _route(route: Route, way: Way) -> Route:
    sender = Sender.model_construct(
        called_ae=route.from_.called_ae,
        calling_ae=route.from_.calling_ae,
        address=(ipaddress.ip_network(way.source),),
        certificate=None,
    )
    return route.model_copy(update={"from_": sender, "commitment": None})


def _destination(destination: Destination, port: int) -> Destination:
    retry = destination.retry.model_copy(
        update={
            "first": min(destination.retry.first, _FIRST_TRY),
            "cap": min(destination.retry.cap, _LONGEST_DELAY),
        }
    )
    changes = {"address": Endpoint("127.0.0.1", port), "tls": None, "retry": retry, "linger": 0.5}
    return destination.model_copy(update=changes)


def left_out(config: Config, route: Route) -> list[str]:
    """Say what of a route the self test does not try."""
    found = []
    if route.from_.address is not None or route.from_.certificate is not None:
        found.append("address and certificate of senders are checked by the configuration alone")
    if any(config.destinations[name].tls is not None for name in route.to):
        found.append("the destination's TLS is not tried: deid-node check")
    return found
