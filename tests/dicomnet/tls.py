"""Certificates made by OpenSSL's command, and raw peers that speak TLS by Python's own defaults.

    authority = Authority(folder)
    node, scanner = authority.issue("node"), authority.issue("scanner")
    raw = speak_tls(RawPeer(port), authority, scanner)

The peers use nothing of the node's own TLS.
"""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from node.dicomnet import AcceptorTLS
from node.tls import Files, Security

from .peers import RawPeer

Raw = TypeVar("Raw", bound=RawPeer)


@dataclass(frozen=True)
class Pair:
    """A certificate and the private key that belongs to it."""

    certificate: Path
    key: Path


def openssl(*arguments: str | Path) -> None:
    """Run OpenSSL's command to its end."""
    done = subprocess.run(
        ["openssl", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr


class Authority:
    """A certification authority of its own, whose files lie in `folder`."""

    def __init__(self, folder: Path, name: str = "Test CA", *, days: int = 3650) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.ca = folder / "ca.crt"
        self._key = new_key(folder / "ca.key")
        openssl(
            *("req", "-x509", "-new", "-key", self._key, "-subj", f"/CN={name}", "-days", str(days), "-out", self.ca),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        )

    def issue(
        self,
        name: str,
        *,
        days: int = 90,
        alternatives: str = "DNS:localhost,IP:127.0.0.1",
        usage: str = "serverAuth,clientAuth",
        file: str = "",
    ) -> Pair:
        """Make a certificate with `name` as its common name; one of `days` -1 has expired.

        `alternatives` are its Subject Alternative Names, as OpenSSL writes them; the files are named after `file`.
        """
        stem = self.folder / (file or name)
        pair = Pair(stem.with_suffix(".crt"), new_key(stem.with_suffix(".key")))
        request = stem.with_suffix(".csr")
        extensions = [f"subjectAltName={alternatives}"] * bool(alternatives) + [f"extendedKeyUsage={usage}"] * bool(
            usage
        )
        openssl(
            *("req", "-new", "-key", pair.key, "-subj", f"/CN={name}", "-out", request),
            *(part for extension in extensions for part in ("-addext", extension)),
        )
        openssl(
            *("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._key, "-days", str(days)),
            *("-copy_extensions", "copy", "-out", pair.certificate),
        )
        return pair


def new_key(path: Path) -> Path:
    """Make a private key that only its owner can read."""
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)
    path.chmod(0o600)
    return path


def client_context(authority: Authority, own: Pair | None = None) -> ssl.SSLContext:
    """A client that trusts `authority`, has the certificate `own`, and does not look at the server's name."""
    context = ssl.create_default_context(cafile=str(authority.ca))
    context.check_hostname = False
    if own is not None:
        context.load_cert_chain(own.certificate, own.key)
    return context


def server_context(authority: Authority, own: Pair, *, client_certificate: bool = True) -> ssl.SSLContext:
    """A server with the certificate `own` that asks for one of `authority`'s."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.ca))
    context.load_cert_chain(own.certificate, own.key)
    context.verify_mode = ssl.CERT_REQUIRED if client_certificate else ssl.CERT_NONE
    return context


def speak_tls(peer: Raw, authority: Authority, own: Pair | None = None) -> Raw:
    """Let a raw peer that has just connected go on over TLS; raises ssl.SSLError where the handshake fails."""
    peer.socket = client_context(authority, own).wrap_socket(peer.socket)
    return peer


def answer_tls(connected: socket.socket, authority: Authority, own: Pair) -> ssl.SSLSocket:
    """Let an accepted connection of a raw acceptor go on over TLS."""
    return server_context(authority, own).wrap_socket(connected, server_side=True)


@dataclass
class Refusals:
    """Remembers what an acceptor was told of peers that it refused."""

    came: list[str] = field(default_factory=list)

    def __call__(self, _address: str, why: str) -> None:
        self.came.append(why)


def server_side(
    authority: Authority, own: Pair, refused: Callable[[str, str], None] | None = None, **options: str
) -> AcceptorTLS:
    """The TLS of an acceptor of the node's; `options` are those of `Security.of_server`."""
    security = Security.of_server("test", Files(own.certificate, own.key, authority.ca), **options)  # type: ignore[arg-type]
    return AcceptorTLS(security, refused or Refusals())


def client_side(authority: Authority, own: Pair | None, name: str = "127.0.0.1") -> Security:
    """The TLS of a requestor of the node's."""
    files = Files(None, None, authority.ca) if own is None else Files(own.certificate, own.key, authority.ca)
    return Security.of_client("test", files, name)
