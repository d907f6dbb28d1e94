"""Who is asked: the destination itself, or what its `query` names."""

from __future__ import annotations

from dataclasses import dataclass, field

from node.config import Config
from node.dicomnet import Timeouts
from node.tls import Files, Security


@dataclass(frozen=True, slots=True)
class QueryPeer:
    """An SCP that answers for a destination; `name` is the destination's in the configuration."""

    name: str
    host: str
    port: int
    called_ae_title: str
    calling_ae_title: str
    timeouts: Timeouts = field(default_factory=Timeouts)
    tls: Security | None = None


def peer_of(config: Config, name: str) -> QueryPeer | None:
    """Return who is asked for a destination of the configuration; None where it is not to be asked.

    What `query` leaves out is as for sending to the destination: AE title, address, and always calling AE title, times
    and TLS, where the certificate must have the name of the host that is asked.
    """
    destination = config.destinations[name]
    query = destination.query
    if query is None:
        return None
    host, port = query.address or destination.address
    timeout = destination.timeout
    return QueryPeer(
        name,
        host,
        port,
        query.ae_title or destination.ae_title,
        destination.calling_ae,
        Timeouts(timeout.connect, timeout.associate, timeout.response),
        None if destination.tls is None else _security(name, destination.tls.files, destination.tls.name or host),
    )


def _security(name: str, files: Files, host: str) -> Security:
    return Security.of_client(f"destination {name} (query)", files, host)
