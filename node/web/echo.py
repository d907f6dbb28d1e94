"""Asking a destination whether it answers, for people who look at the page."""

from __future__ import annotations

from node.config import Config, destination_security
from node.dicomnet import echo as send
from node.errors import CertificateError, NetworkError

_SECONDS = 10.0


def echo(config: Config, name: str) -> str:
    """Send C-ECHO to a destination; return why it does not answer, or an empty text."""
    destination = config.destinations[name]
    host, port = destination.address
    seconds = min(_SECONDS, destination.timeout.connect)
    try:
        tls = destination_security(name, destination)
        send(host, port, destination.calling_ae, destination.ae_title, seconds, tls)
    except (NetworkError, CertificateError) as error:
        return str(error)
    return ""
