"""Who reaches which route, before and after: found by asking both configurations about the same senders.

Guarantees that every AE title, network and name that either configuration tells apart is asked about, in every
combination with the others, and one of each that neither names; up to `MOST` combinations. A pattern is asked about as
a text, which fits another pattern only where everything that fits it does.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from node.config import Config
from node.config.units import IPNetwork
from node.routing import Router

MOST = 100_000
_TOLD = 20  # combinations of a change that cannot be told in short
_OTHER_TITLE = "~OTHER~"
_ANY = "any"
_OTHER = "any other"
_OUTSIDE = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")  # for documentation (RFC 5737, 3849)


@dataclass(frozen=True, slots=True)
class Asked:
    """One value that senders are told apart by: how it is told, and a sender's own."""

    told: str
    value: str


def transitions(old: Config, new: Config) -> tuple[list[dict[str, object]], bool]:
    """Return who comes to another route than before, and whether all combinations were asked about.

    Each is a dict: `before` and `after` (names of routes, None where they are refused), and `who`: a list of dicts with
    `called_ae`, `calling_ae`, `address`, `certificate`, each a list of texts.
    """
    parts = _parts((old, new))
    size = 1
    found: dict[tuple[str | None, str | None], list[tuple[Asked, ...]]] = {}
    for part in parts:
        size *= len(part)
    routers = Router(old), Router(new)
    for number, one in enumerate(product(*parts)):
        if number == MOST:
            break
        before, after = (_route(router, one) for router in routers)
        if before != after:
            found.setdefault((before, after), []).append(one)
    changes: list[dict[str, object]] = [
        {"before": before, "after": after, "who": _summed_up(combinations, parts)}
        for (before, after), combinations in found.items()
    ]
    return changes, size <= MOST


def _route(router: Router, one: tuple[Asked, ...]) -> str | None:
    called, calling, address, certificate = (part.value for part in one)
    if router.admit(called, calling, address, False, (certificate,) if certificate else ()) is not None:
        return None
    route = router.route(called, calling, address, (certificate,) if certificate else ())
    return route.name if route is not None else None


def _parts(configs: Iterable[Config]) -> tuple[list[Asked], ...]:
    called: dict[str, None] = {}
    calling: dict[str, None] = {}
    certificates: dict[str, None] = {}
    networks: dict[IPNetwork, None] = {}
    for config in configs:
        for route in config.routes:
            who = route.from_
            called |= dict.fromkeys(who.called_ae or (config.node.ae_title,))
            calling |= dict.fromkeys(who.calling_ae or ())
            certificates |= dict.fromkeys(who.certificate or ())
            networks |= dict.fromkeys(who.address or ())
    names = [Asked("none", "")] if certificates else [Asked(_ANY, "")]
    return (
        [Asked(title, title) for title in called],
        [*(Asked(title, title) for title in calling), Asked(_OTHER if calling else _ANY, _OTHER_TITLE)],
        _addresses(list(networks)),
        [*names, *(Asked(name, name) for name in certificates)],
    )


def _addresses(networks: list[IPNetwork]) -> list[Asked]:
    """An address of each network that lies in none of the narrower ones, where there is one; and one of no network."""
    found = []
    for network in networks:
        narrower = [one for one in networks if one != network and _within(one, network)]
        address = _first_outside(network, narrower)
        if address is not None:
            found.append(Asked(str(network), str(address)))
    outside = (_first_outside(ipaddress.ip_network(text), networks) for text in _OUTSIDE)
    other = next((address for address in outside if address is not None), None)
    if other is not None:
        found.append(Asked(_OTHER if networks else _ANY, str(other)))
    return found


def _within(one: IPNetwork, other: IPNetwork) -> bool:
    if isinstance(one, ipaddress.IPv4Network) and isinstance(other, ipaddress.IPv4Network):
        return one.subnet_of(other)
    return isinstance(one, ipaddress.IPv6Network) and isinstance(other, ipaddress.IPv6Network) and one.subnet_of(other)


def _first_outside(network: IPNetwork, others: list[IPNetwork]) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The first address of a network that lies in none of the others; None where they fill it."""
    address = network.network_address
    while address in network:
        over = [one for one in others if one.version == network.version and address in one]
        if not over:
            return address
        try:
            address = max(one.broadcast_address for one in over) + 1
        except ipaddress.AddressValueError:
            return None
    return None


def _summed_up(combinations: list[tuple[Asked, ...]], parts: tuple[list[Asked], ...]) -> list[dict[str, list[str]]]:
    """Tell combinations by their parts where they are all of these; else one by one, the first of them."""
    seen = [list(dict.fromkeys(one[place] for one in combinations)) for place in range(len(parts))]
    size = 1
    for part in seen:
        size *= len(part)
    if size == len(combinations):
        return [_told([_whole(mine, part) for mine, part in zip(seen, parts, strict=True)])]
    return [_told([[part.told] for part in one]) for one in combinations[:_TOLD]]


def _whole(mine: list[Asked], part: list[Asked]) -> list[str]:
    return [_ANY] if len(mine) == len(part) > 1 else [one.told for one in mine]


def _told(texts: list[list[str]]) -> dict[str, list[str]]:
    return dict(zip(("called_ae", "calling_ae", "address", "certificate"), texts, strict=True))


def changed_senders(
    seen: Iterable[tuple[str, str, str, str, int]], new: Config
) -> Iterator[Mapping[str, str | int | None]]:
    """Give those who sent of late and would come to another route now.

    `seen` are calling AE title, called AE title, address, route, and how many instances. Whether they showed a
    certificate is not known: those whose route asks for one now are told as refused.
    """
    router = Router(new)
    for calling, called, address, before, count in seen:
        route = router.route(called, calling, address)
        after = route.name if route is not None else None
        if after != before:
            told: dict[str, str | int | None] = {"calling_ae": calling, "called_ae": called, "address": address}
            yield told | {"before": before, "after": after, "instances": count}
