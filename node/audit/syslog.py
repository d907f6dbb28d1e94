"""Audit messages by syslog over TLS (PS3.15 A.6; RFC 5424, RFC 5425).

Guarantees that `Receiver.send` returns only when the receiver has read everything and closed the connection in answer,
or has taken everything and raised nothing against it: what a receiver refuses (its alert comes after the handshake with
TLS 1.3), or loses with its connection, is a NetworkError. Syslog itself has no acknowledgement.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from node.audit.actor import host_name
from node.audit.chain import Entry
from node.config import Endpoint
from node.errors import ConnectionFailed, HandshakeFailed, PeerAborted
from node.tls import Security

_PRIORITY = 10 * 8 + 5  # security messages, notice (PS3.15 A.6)
_MESSAGE_ID = "DICOM+RFC3881"
_HIGHEST_SEQUENCE = 2_147_483_647  # RFC 5424 7.3.1
_SECONDS = 10.0
_HEARING_SECONDS = 0.3
_NOT_PRINTED = re.compile(r"[^!-~]")


def frame(entry: Entry) -> bytes:
    """Return an entry as a syslog message with its length in front; `sequenceId` is its number in the chain."""
    moment = datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    host = _NOT_PRINTED.sub("-", host_name())[:255]
    sequence = (entry.seq - 1) % _HIGHEST_SEQUENCE + 1
    head = f'<{_PRIORITY}>1 {moment} {host} deid-node {os.getpid()} {_MESSAGE_ID} [meta sequenceId="{sequence}"] '
    message = head.encode("ascii") + b"\xef\xbb\xbf" + entry.message.encode("utf-8", "backslashreplace")
    return b"%d %b" % (len(message), message)


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where messages go; each `send` has a connection of its own."""

    address: Endpoint
    security: Security

    def send(self, entries: Sequence[Entry]) -> None:
        """Send entries in their order; return when the receiver has them.

        Raises
        ------
        NetworkError
            It cannot be reached, does not accept this node, or the connection was lost: some may have arrived.
        CertificateError
            The certificates of the configuration cannot be used.
        """
        context = self.security.context()
        try:
            plain = socket.create_connection(self.address, timeout=_SECONDS)
        except OSError as error:
            raise ConnectionFailed(f"no connection to {self.address} ({_told(error)})") from None
        with plain:
            try:
                channel = context.wrap_socket(plain, server_hostname=self.security.name)
            except OSError as error:
                raise HandshakeFailed(f"TLS with {self.address}: {_told(error)}") from None
            with channel:
                try:
                    self._hear(channel)
                    channel.sendall(b"".join(map(frame, entries)))
                except OSError as error:
                    raise PeerAborted(f"the connection to {self.address} was lost ({_told(error)})") from None
                self._close(channel)

    def _hear(self, channel: ssl.SSLSocket) -> None:
        """Wait a moment for what the receiver says to this node's certificate.

        By TLS 1.3 (RFC 8446 4.4.2.4) its refusal comes after this side's handshake has ended; what was sent before
        would count as arrived. Raises OSError.
        """
        channel.settimeout(_HEARING_SECONDS)
        try:
            if not channel.recv(1):
                raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        except TimeoutError:
            pass  # nothing against it
        finally:
            channel.settimeout(_SECONDS)

    def _close(self, channel: ssl.SSLSocket) -> None:
        """End the stream (RFC 5425 4.4) and hear what the receiver says to it."""
        try:
            channel.unwrap()
        except TimeoutError:
            return  # it keeps its side open, and has had time enough to object
        except ssl.SSLEOFError:
            return  # closed without a word of TLS; unread bytes would have been a reset
        except OSError as error:
            raise PeerAborted(f"the connection to {self.address} was lost ({_told(error)})") from None


def _told(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "the handshake failed").lower().replace("_", " ")
    return error.strerror or type(error).__name__
