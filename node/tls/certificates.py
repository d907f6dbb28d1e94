"""What is to be known of certificate and key files before they are used: whether they can be, and for how long.

Files are PEM (RFC 7468). Of a certificate only the period of validity is read here (RFC 5280 4.1.2.5); all else is
OpenSSL's to judge. Private keys never leave OpenSSL: here only their permissions and first line are looked at.
"""

from __future__ import annotations

import os
import re
import ssl
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from node.errors import CertificateError

MAX_BYTES = 4 << 20
DAY = 86400.0

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


@dataclass(frozen=True, slots=True)
class Files:
    """What one side of a connection has: its certificate (and what stands between it and its root) with the key, and
    the authorities whose certificates it accepts. `certificate` and `key` stand together.
    """

    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None

    def all(self) -> tuple[Path, ...]:
        """Return those that there are."""
        return tuple(path for path in (self.certificate, self.key, self.ca) if path is not None)


class Problem(NamedTuple):
    """Why files cannot be used: which of them (`certificate`, `key`, `ca`), what is wrong, what to do."""

    key: str
    text: str
    hint: str

    def __str__(self) -> str:
        return f"{self.text} {self.hint}"


def problems(files: Files, now: float | None = None) -> Iterator[Problem]:
    """Find what keeps the files from being used; `now` in seconds since the epoch."""
    now = time.time() if now is None else now
    found = [*_of_own(files.certificate, now), *_of_key(files.key), *_of_authorities(files.ca, now)]
    yield from found or _of_pair(files)


def days_left(path: Path, *, any_of: bool = False, now: float | None = None) -> int:
    """Return for how many whole days all certificates of a file are valid (`any_of`: one of them); less than 0 if over.

    Raises CertificateError where there is none, or the file cannot be read.
    """
    ends = [end for _, end in _periods(path)]
    left = (max if any_of else min)(ends) - (time.time() if now is None else now)
    return int(left // DAY)


def _of_own(path: Path | None, now: float) -> Iterator[Problem]:
    if path is None:
        return
    try:
        periods = _periods(path)
    except CertificateError as error:
        yield Problem(
            "certificate", str(error), "It must be PEM: the node's certificate first, then intermediate ones."
        )
        return
    if any(end <= now for _, end in periods):
        yield Problem("certificate", f"{path} has expired.", "Put a new certificate, and the key for it, in its place.")
    elif any(start > now for start, _ in periods):
        yield Problem("certificate", f"{path} is not valid yet.", "Look at this machine's clock.")


def _of_key(path: Path | None) -> Iterator[Problem]:
    if path is None:
        return
    try:
        mode, text = path.stat().st_mode, _read(path)
    except (OSError, CertificateError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        yield Problem("key", f"{path} cannot be read: {why}.", "It must be the certificate's private key, as PEM.")
        return
    if stat.S_IMODE(mode) & 0o077:
        yield Problem("key", f"{path} can be read by others than its owner.", f"Do `chmod 600 {path}`.")
    elif "ENCRYPTED" in text:
        hint = "Store it without one, for the node alone: `openssl pkey -in KEY -out NEWKEY`."
        yield Problem("key", f"{path} is locked with a password.", hint)


def _of_authorities(path: Path | None, now: float) -> Iterator[Problem]:
    if path is None:
        return
    hint = "It must hold the certificates, as PEM, of the authorities that issue the other side's certificates."
    try:
        if days_left(path, any_of=True, now=now) < 0:
            yield Problem("ca", f"{path} has expired.", "Put the authority's new certificate in its place.")
            return
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except CertificateError as error:
        yield Problem("ca", str(error), hint)
    except OSError:
        yield Problem("ca", f"{path} holds no certificates that can be used.", hint)


def _of_pair(files: Files) -> Iterator[Problem]:
    """Let OpenSSL load the pair; only it knows whether they belong together."""
    if files.certificate is None or files.key is None:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=2")
    try:
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            text, hint = (
                f"{files.key} does not belong to {files.certificate}.",
                "Put the key that it was made for there.",
            )
        elif "TOO_SMALL" in (error.reason or "") or "TOO_WEAK" in (error.reason or ""):
            text, hint = f"{files.certificate} is too weak.", "Use RSA of 2048 bits or more, or P-256, with SHA-256."
        else:
            text, hint = (
                f"{files.key} cannot be used with {files.certificate}.",
                "Both must be PEM, the key without password.",
            )
        yield Problem("key", text, hint)
    except OSError as error:
        yield Problem("key", f"{files.key} cannot be read: {error.strerror}.", "")


def _no_password() -> str:
    """Keep OpenSSL from asking at the console."""
    return ""


def _read(path: Path) -> str:
    with path.open("rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise CertificateError(f"{path} is no file.")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise CertificateError(f"{path} is too large for a file of certificates.")
    return content.decode("latin-1")


def _periods(path: Path) -> list[tuple[float, float]]:
    """Return from when and until when each certificate of a file is valid, in seconds since the epoch."""
    try:
        found = [_period(ssl.PEM_cert_to_DER_cert(text)) for text in _PEM.findall(_read(path))]
    except OSError as error:
        raise CertificateError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, IndexError):
        raise CertificateError(f"{path} holds a certificate that cannot be decoded.") from None
    if not found:
        raise CertificateError(f"{path} holds no certificate.")
    return found


def _period(der: bytes) -> tuple[float, float]:
    """Read the validity of a certificate (RFC 5280 4.1): the fourth field of its body, behind an optional version."""
    body = _content(_content(memoryview(der), _SEQUENCE)[0], _SEQUENCE)[0]
    if body[0] == _VERSION:
        _, body = _content(body, _VERSION)
    for _ in range(3):  # serial number, signature algorithm, issuer
        _, body = _content(body, body[0])
    start, rest = _time(_content(body, _SEQUENCE)[0])
    return start, _time(rest)[0]


def _content(der: memoryview, tag: int) -> tuple[memoryview, memoryview]:
    """Return the content of the first element, and what follows it (X.690 8.1)."""
    if der[0] != tag:
        raise ValueError("another element was expected")
    length, start = der[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start], "big")
    if start + length > len(der):
        raise ValueError("an element is longer than what holds it")
    return der[start : start + length], der[start + length :]


def _time(der: memoryview) -> tuple[float, memoryview]:
    """Read a UTCTime or GeneralizedTime in the forms of RFC 5280 4.1.2.5, years from 1950."""
    tag = der[0]
    if tag not in (_UTC_TIME, _GENERALIZED_TIME):
        raise ValueError("no time")
    content, rest = _content(der, tag)
    text = bytes(content).decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp(), rest
