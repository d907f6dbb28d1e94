"""The TLS of one listener or one destination: a context made of files, and made anew when they change.

The profile is PS3.15 B.12 (BCP 195 by RFC 8996 and RFC 9325), and of the older B.10 what it has in common with it: TLS
1.2 and 1.3 only, 1.3 where both sides have it; with 1.2 nothing but ECDHE with AES-GCM or ChaCha20-Poly1305; no
compression, no renegotiation, no session tickets (which would outlive the certificates that they were given for).
"""

from __future__ import annotations

import logging
import os
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Literal

from node.errors import CertificateError
from node.log import event
from node.tls.certificates import Files, days_left, problems

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:@SECLEVEL=2"
WARN_DAYS = 30
LOOK_SECONDS = 1.0

_LOGGER = logging.getLogger("node.tls")
_VERIFY = {"required": ssl.CERT_REQUIRED, "optional": ssl.CERT_OPTIONAL, "none": ssl.CERT_NONE}
Stamp = tuple[tuple[int, ...], ...]


class Security:
    """Gives the context for the next connection; for any number of threads. Made by `of_server` or `of_client`.

    Attributes
    ----------
    name
        On the client's side the name or address that the server's certificate must have; empty on the server's.
    """

    def __init__(self, what: str, files: Files, make: Callable[[], ssl.SSLContext], name: str = "") -> None:
        self.name = name
        self._what = what
        self._files = files
        self._make = make
        self._guard = threading.Lock()
        self._looked = -LOOK_SECONDS
        self._stamp: Stamp | None = None
        self._context: ssl.SSLContext | None = None
        self._problem = ""

    @classmethod
    def of_server(
        cls, what: str, files: Files, client_certificate: Literal["required", "optional", "none"] = "required"
    ) -> Security:
        """Accept connections with the certificate of `files`; `what` names it in the log."""

        def make() -> ssl.SSLContext:
            context = _context(ssl.PROTOCOL_TLS_SERVER, files)
            context.verify_mode = _VERIFY[client_certificate]
            context.num_tickets = 0
            context.options |= ssl.OP_NO_TICKET | ssl.OP_CIPHER_SERVER_PREFERENCE
            return context

        return cls(what, files, make)

    @classmethod
    def of_client(cls, what: str, files: Files, name: str) -> Security:
        """Connect to a server whose certificate must come from `files.ca` and have `name`."""

        def make() -> ssl.SSLContext:
            context = _context(ssl.PROTOCOL_TLS_CLIENT, files)
            # A common name is no host name (RFC 9525 1.4): only Subject Alternative Names count.
            context.hostname_checks_common_name = False
            return context

        return cls(what, files, make, name)

    def context(self) -> ssl.SSLContext:
        """Return the context made of what the files held about a second ago, or of the last that could be used.

        Raises CertificateError, with what to do, where there was never any.
        """
        with self._guard:
            if monotonic() - self._looked >= LOOK_SECONDS:
                self._look()
                self._looked = monotonic()
            if self._context is None:
                raise CertificateError(self._problem)
            return self._context

    def _look(self) -> None:
        stamp = tuple(map(_stamp, self._files.all()))
        # What could not be used may have become usable without a change: by the clock.
        if stamp == self._stamp and not self._problem:
            return
        renewed = self._context is not None
        self._stamp = stamp
        try:
            self._context, problem = self._made(), ""
        except CertificateError as error:
            problem = str(error)
        if problem and problem != self._problem:
            kept = "the one before stays in use" if renewed else "no connection is possible"
            event(_LOGGER, "certificate-not-taken", logging.ERROR, used_by=self._what, error=problem, consequence=kept)
        self._problem = problem
        if not problem:
            self._tell(renewed)

    def _made(self) -> ssl.SSLContext:
        for problem in problems(self._files):
            raise CertificateError(str(problem))
        try:
            return self._make()
        except OSError:  # changed between the two looks
            raise CertificateError("the files of the certificate cannot be loaded.") from None

    def _tell(self, renewed: bool) -> None:
        if self._files.certificate is None:
            return
        left = days_left(self._files.certificate)
        if renewed:
            event(_LOGGER, "certificate-renewed", used_by=self._what, days_left=left)
        if left < WARN_DAYS:
            event(_LOGGER, "certificate-expires", logging.WARNING, used_by=self._what, days_left=left)


def _context(protocol: int, files: Files) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if files.certificate is not None:
        context.load_cert_chain(files.certificate, files.key, password=lambda: "")
    if files.ca is not None:
        context.load_verify_locations(files.ca)
    return context


def _stamp(path: Path) -> tuple[int, ...]:
    """Return what changes when a file does; empty where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode
