"""Who sends: the parts that a route's `from` and an entry of `limits` have in common, and how they compare.

A part that is None is anybody; of a list one member must fit, of the names in a certificate one. AE titles compare
trimmed and with their case, names of certificates without it (DNS: RFC 4343); `*` in the configuration stands for any
characters, in what a peer says it is a character.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import PlainValidator

from node.config.section import Filled, Section
from node.config.titles import covers, fits, matches
from node.config.units import IPAddress, IPNetwork, parse_ae_pattern, parse_network

LONGEST_NAME = 253  # characters of a DNS name (RFC 1035 2.3.4)


def _parse_name_pattern(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a name, as certificates have it: ct1.hospital.example.")
    name = value.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise ValueError("expected a name of at most 253 characters, as certificates have it: ct1.hospital.example.")
    return name


AEPattern = Annotated[str, PlainValidator(parse_ae_pattern)]
NamePattern = Annotated[str, PlainValidator(_parse_name_pattern)]
Network = Annotated[IPNetwork, PlainValidator(parse_network)]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks for an association; `names` are those of its verified certificate, `address` None where it is none."""

    calling_ae: str
    address: IPAddress | None
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, calling_ae: str, address: str, names: Iterable[str] = ()) -> Caller:
        """Make one of what a connection tells: an IPv4 address that came as IPv6 (`::ffff:10.0.0.1`) counts as IPv4."""
        return cls(calling_ae, _address(address), tuple(names))


class Who(Section):
    """Whom an entry of the configuration is for; a part that is None is anybody.

    `certificate` are names in the certificate that a client has shown and the listener has verified: its common name,
    or an alternative name (DNS, URI, e-mail).
    """

    calling_ae: Annotated[tuple[AEPattern, ...], Filled] | None = None
    """AE titles that callers have. Default: any."""
    address: Annotated[tuple[Network, ...], Filled] | None = None
    """Addresses and networks of callers, such as `10.1.0.0/16`. Default: any."""
    certificate: Annotated[tuple[NamePattern, ...], Filled] | None = None
    """Names, `*` as wildcard, of which the sender's certificate must have one: as common name, or as
    alternative name (DNS, URI, e-mail); without regard to case. Only connections over TLS with a certificate that was
    verified have any (docs/tls.md). Default: any.
    """

    def is_calling(self, caller: Caller) -> bool:
        """Say whether the calling AE title fits."""
        return self.calling_ae is None or any(matches(pattern, caller.calling_ae) for pattern in self.calling_ae)

    def is_there(self, caller: Caller) -> bool:
        """Say whether the address fits."""
        address = caller.address
        return self.address is None or (address is not None and any(address in network for network in self.address))

    def is_certified(self, caller: Caller) -> bool:
        """Say whether a name of the certificate fits."""
        return self.certificate is None or any(
            fits(pattern.lower(), name.lower()) for pattern in self.certificate for name in caller.names
        )

    def is_meant(self, caller: Caller) -> bool:
        """Say whether all parts fit."""
        return self.is_calling(caller) and self.is_there(caller) and self.is_certified(caller)

    def covers(self, other: Who) -> bool:
        """Say whether everybody whom the other one is for fits this one too."""
        return (
            covers(self.calling_ae, other.calling_ae)
            and _covers_networks(self.address, other.address)
            and _covers_names(self.certificate, other.certificate)
        )


def _address(text: str) -> IPAddress | None:
    """Parse a peer's address, without the zone of a link-local one; None where it is none."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _covers_names(patterns: tuple[str, ...] | None, others: tuple[str, ...] | None) -> bool:
    if patterns is None:
        return True
    return others is not None and all(any(fits(one.lower(), other.lower()) for one in patterns) for other in others)


def _covers_networks(networks: tuple[IPNetwork, ...] | None, others: tuple[IPNetwork, ...] | None) -> bool:
    if networks is None:
        return True
    merged4 = list(ipaddress.collapse_addresses(one for one in networks if isinstance(one, ipaddress.IPv4Network)))
    merged6 = list(ipaddress.collapse_addresses(one for one in networks if isinstance(one, ipaddress.IPv6Network)))
    wanted = others or (ipaddress.IPv4Network("0.0.0.0/0"), ipaddress.IPv6Network("::/0"))
    return all(
        any(other.subnet_of(one) for one in merged4)
        if isinstance(other, ipaddress.IPv4Network)
        else any(other.subnet_of(one) for one in merged6)
        for other in wanted
    )
