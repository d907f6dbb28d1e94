"""TLS over a connected socket, with the methods of a non-blocking socket that `Connection` uses.

Guarantees: nothing waits here (BlockingIOError means: wait for `waits_for`, then call again with the same arguments);
the peer is verified before a byte of DICOM goes either way; what is lost or forged inside of the stream ends it as a
lost connection does; memory does not grow with what is sent or received. For one thread, but for `shutdown` of both
directions and `close`. Encryption is between buffers (`ssl.MemoryBIO`), the socket stays plain: so it can be polled,
cut and lingered on as any other, and the alert that says why a peer is refused gets out.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
from typing import Any

from node.errors import HandshakeFailed, PeerAborted

PIECE = 64 << 10  # bytes encrypted, and read from the socket, at a time: four records

_NAMES = frozenset({"DNS", "URI", "email"})  # of a Subject Alternative Name (RFC 5280 4.2.1.6)
_VERIFY = {
    9: "is not valid yet: compare the clocks",
    10: "has expired: it must be renewed there",
    18: "was not issued by an authority that is trusted here: add the authority's certificate to tls.ca",
    62: "has not the name that is expected: set tls.name to a name that it has, or have it issued with this one",
}
_VERIFY[26] = "is not meant for this: its extended key usage must have clientAuth for a client, serverAuth for a server"
_VERIFY |= dict.fromkeys((2, 19, 20, 21), _VERIFY[18]) | {64: _VERIFY[62]}
_NO_VERSION = "it offers no version of TLS from 1.2 on"
_NO_TLS = "it does not speak TLS"
_NOT_OURS = "it does not accept this node's certificate"
_ENDED = (
    f"it ended the connection right after the handshake: perhaps {_NOT_OURS}, or it asks for one (tls.certificate, "
    "tls.key)"
)
_REASONS = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it showed no certificate",
    "WRONG_VERSION_NUMBER": _NO_TLS,
    "HTTP_REQUEST": _NO_TLS,
    "UNEXPECTED_MESSAGE": _NO_TLS,
    "UNSUPPORTED_PROTOCOL": _NO_VERSION,
    "TLSV1_ALERT_PROTOCOL_VERSION": _NO_VERSION,
    "NO_SHARED_CIPHER": "it offers no cipher suite that is allowed here",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it refuses the handshake: perhaps it asks for a certificate (tls.certificate, "
    "tls.key), or there is no cipher suite in common",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it asks for a certificate (tls.certificate, tls.key)",
    "TLSV1_ALERT_UNKNOWN_CA": f"{_NOT_OURS}: it does not trust the authority that issued it",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": f"{_NOT_OURS}: it has expired",
    "SSLV3_ALERT_BAD_CERTIFICATE": _NOT_OURS,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _NOT_OURS,
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": _NOT_OURS,
    "TLSV1_ALERT_ACCESS_DENIED": _NOT_OURS,
    "TLSV1_ALERT_DECRYPT_ERROR": _NOT_OURS,
}


class SecureChannel:
    """One side of a TLS connection.

    Parameters
    ----------
    plain
        The connected, non-blocking socket; owned from here on.
    context
        For the side that this is.
    name
        On the client's side the name or address that the server's certificate must have; None makes this the server.
    """

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, name: str | None) -> None:
        self._plain = plain
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=name is None, server_hostname=name)
        self._encrypted = memoryview(bytearray(PIECE))
        self._piece = memoryview(b"")  # made with the first file that is sent
        self._unsent = memoryview(b"")
        self._taken = 0  # bytes of the caller's that are encrypted, and not yet on their way
        self._is_server = name is None
        # With TLS 1.3 a client learns that its certificate is refused only by what comes after the handshake.
        self._heard = self._is_server

    @property
    def waits_for(self) -> int:
        """The event of the socket that the handshake waits for."""
        return select.POLLOUT if self._unsent else select.POLLIN

    def handshake(self) -> None:
        """Go on with the handshake; raises BlockingIOError until it is complete, HandshakeFailed, PeerAborted."""
        try:
            while not self._shake():
                self._flush()
                if not self._take():
                    raise ConnectionResetError
            self._flush()
        except BlockingIOError:
            raise
        except OSError:
            if self._is_server:
                raise PeerAborted("the connection was lost") from None
            raise HandshakeFailed(
                "TLS: the peer closed the connection in the handshake; perhaps it does not speak TLS"
            ) from None

    def _shake(self) -> bool:
        """Do what can be done with what has come; whether that was all."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            with contextlib.suppress(OSError):  # the alert that tells the peer
                self._flush()
            raise HandshakeFailed(f"TLS: {_reason(error)}") from None
        return True

    def peer_names(self) -> tuple[str, ...]:
        """Return the names in the peer's verified certificate: the subject's common names, then the alternative names.

        Of these DNS names, URIs and e-mail addresses; a name with a character that cannot be printed is none.
        """
        shown: dict[str, Any] = self._tls.getpeercert() or {}
        subject = [value for part in shown.get("subject", ()) for key, value in part if key == "commonName"]
        others = [value for kind, value in shown.get("subjectAltName", ()) if kind in _NAMES]
        return tuple(dict.fromkeys(str(name) for name in (*subject, *others) if str(name).isprintable()))

    # -- what Connection asks of a socket ----------------------------------------------------------------------------

    def recv_into(self, view: memoryview) -> int:
        """Fill `view` with what has come; 0 at the end of the stream."""
        try:
            while (count := self._decrypt(view)) is None:
                self._take()
        except BlockingIOError:
            raise
        except OSError as error:
            raise self._lost(error) from None
        if not count and not self._heard:
            raise self._lost(ConnectionResetError())
        self._heard = True
        return count

    def send(self, data: memoryview | bytes, flags: int = 0) -> int:
        """Send some of `data`; after BlockingIOError it must be called with the same."""
        try:
            if not self._taken:
                self._taken = self._tls.write(memoryview(data)[:PIECE])
            self._flush(flags)
        except BlockingIOError:
            raise
        except OSError as error:
            raise self._lost(error) from None
        taken, self._taken = self._taken, 0
        return taken

    def send_range(self, file: int, offset: int, count: int) -> int:
        """Send some of a file's bytes from `offset`, as `os.sendfile` does; 0 at the file's end."""
        if self._taken:
            return self.send(b"")
        if not self._piece:
            self._piece = memoryview(bytearray(PIECE))
        got = os.preadv(file, [self._piece[: min(count, PIECE)]], offset)
        return self.send(self._piece[:got]) if got else 0

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._plain.fileno()

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """Set an option of the socket."""
        self._plain.setsockopt(level, option, value)

    def shutdown(self, how: int) -> None:
        """End one direction or both; the sending one alone is closed in order, by close_notify (RFC 8446 6.1)."""
        if how == socket.SHUT_WR:
            with contextlib.suppress(ssl.SSLError):  # it wants to hear the peer's own, which nobody waits for
                self._tls.unwrap()
            self._flush()
        self._plain.shutdown(how)

    def close(self) -> None:
        """Close the socket."""
        self._plain.close()

    # -- between the buffers and the socket --------------------------------------------------------------------------

    def _take(self) -> bool:
        """Take encrypted bytes from the socket; False at their end."""
        count = self._plain.recv_into(self._encrypted)
        if count:
            self._in.write(self._encrypted[:count])
        else:
            self._in.write_eof()
        return count > 0

    def _decrypt(self, view: memoryview) -> int | None:
        """Fill `view` from what was taken; None where that is not enough for a byte, 0 at the end of the stream."""
        got = 0
        try:
            while got < len(view) and (count := self._read(view[got:])):
                got += count
        except ssl.SSLWantReadError:
            if self._out.pending:  # an answer to the peer's change of keys
                with contextlib.suppress(BlockingIOError):
                    self._flush()
            return got or None
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return got
        except ssl.SSLError:
            if not got:
                raise
        return got

    def _read(self, view: memoryview) -> int:
        count: Any = self._tls.read(len(view), view)  # with a buffer it returns a number, whatever typeshed says
        return int(count)

    def _flush(self, flags: int = 0) -> None:
        while self._unsent or self._out.pending:
            if not self._unsent:
                self._unsent = memoryview(self._out.read())
            self._unsent = self._unsent[self._plain.send(self._unsent, flags | socket.MSG_NOSIGNAL) :]

    def _lost(self, error: OSError) -> Exception:
        """Return what the loss of the connection is: as long as nothing was heard, most probably a refusal."""
        with contextlib.suppress(OSError):  # the alert that tells the peer, where it is this side that refuses
            self._flush()
        if self._heard:
            return ConnectionResetError()
        if not isinstance(error, ssl.SSLError):
            error = self._last_word() or error
        return HandshakeFailed(f"TLS: {_reason(error)}")

    def _last_word(self) -> ssl.SSLError | None:
        """Return the alert that came before the connection was lost, where there is one."""
        try:
            while self._take():
                self._decrypt(memoryview(bytearray(1)))
        except ssl.SSLError as alert:
            return alert
        except OSError:
            pass
        return None


def _reason(error: OSError) -> str:
    """Say in plain words why TLS failed, and what to do about it."""
    if not isinstance(error, ssl.SSLError):
        return _ENDED
    if isinstance(error, ssl.SSLCertVerificationError):
        problem = _VERIFY.get(error.verify_code, f"is not accepted ({error.verify_message})")
        return f"its certificate {problem}"
    name = error.reason or ""
    return _REASONS.get(name, name.lower().replace("_", " ") or "the handshake failed")
