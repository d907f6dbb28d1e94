"""Whether a destination answers, for people who ask."""

from __future__ import annotations

from node.config import Destination, destination_security
from node.dicomnet import echo
from node.errors import CertificateError, NetworkError

_SECONDS = 10.0  # that a person waits


def unanswered(name: str, destination: Destination) -> str:
    """Send C-ECHO to the destination of a name, as the node would; return why it does not answer, or an empty text."""
    host, port = destination.address
    seconds = min(_SECONDS, destination.timeout.associate)
    try:
        tls = destination_security(name, destination)
        echo(host, port, destination.calling_ae, destination.ae_title, seconds, tls)
    except (NetworkError, CertificateError) as error:
        return str(error)
    return ""
