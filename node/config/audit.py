"""The section `audit`: how the node calls itself in audit messages, and which syslog receiver gets them."""

from __future__ import annotations

from typing import Annotated

from pydantic import PlainValidator

from node.config.section import Section
from node.config.tls import DestinationTLS
from node.config.units import Endpoint, parse_endpoint


def _label(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 64 or not value.isascii() or not value.isprintable():
        raise ValueError("expected a name of 1 to 64 printable ASCII characters.")
    return value


Label = Annotated[str, PlainValidator(_label)]


class Syslog(Section):
    """A receiver of audit messages by syslog over TLS (RFC 5425), the only way that they are sent."""

    address: Annotated[Endpoint, PlainValidator(parse_endpoint)]
    """`host:port` of the receiver; its usual port is 6514."""
    tls: DestinationTLS
    """The TLS of the receiver, without which nothing is sent."""


class AuditSettings(Section):
    """The audit trail, which is always kept. `source` None is the node's AE title."""

    source: Label | None = None
    """What the node is called in its audit messages (AuditSourceID). Default: the node's AE title."""
    site: Label | None = None
    """The AuditEnterpriseSiteID of the messages."""
    syslog: Syslog | None = None
    """A syslog receiver (RFC 5425) that gets every message; without it none does."""
