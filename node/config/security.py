"""What the `tls` and `encryption` sections become: faults of files, TLS for connections, days left, sealed columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from node.config.commitment import ReportPeer
from node.config.load import read_document
from node.config.model import Config, Destination, Listener
from node.config.tls import DestinationTLS, ListenerTLS
from node.config.yaml12 import KeyPath, dotted
from node.errors import CertificateError, Fault
from node.sealing import PLAIN, Columns
from node.tls import Files, Security, days_left, problems


@dataclass(frozen=True, slots=True)
class Expiry:
    """For how many days the certificates of a file are valid; None, and the `problem`, where that cannot be known."""

    used_by: str
    file: Path
    days: int | None
    problem: str = ""


def certificate_faults(config: Config) -> list[Fault]:
    """Return what keeps certificates and keys from being used, by file, line and key of the configuration."""
    found = [(path, problem) for path, _, files in _places(config) for problem in problems(files)]
    if not found:
        return []
    document = read_document(config.file)
    return [
        Fault(str(config.file), document.line_of(key), problem.text, problem.hint, dotted(key))
        for path, problem in found
        for key in ((*path, problem.key),)
    ]


def columns_of(config: Config) -> Columns:
    """Return what seals the ledger's columns; it reads the key at the first value."""
    sealing = config.node.sealing
    return PLAIN if sealing is None else sealing.columns


def certificates(config: Config) -> list[tuple[str, Path]]:
    """Return who uses which file of certificates, in the order of the configuration."""
    return [(what, file) for _, what, files in _places(config) for file in _certificates(files)]


def expiries(config: Config) -> list[Expiry]:
    """Return for how long each configured certificate is valid, in the order of the configuration."""
    return [
        _expiry(what, file, file == files.ca) for _, what, files in _places(config) for file in _certificates(files)
    ]


def listener_security(listener: Listener) -> Security | None:
    """Return the TLS of a listener; None where it has none."""
    if listener.tls is None:
        return None
    return Security.of_server(f"listener {listener.listen}", listener.tls.files, listener.tls.client_certificate)


def destination_security(name: str, destination: Destination) -> Security | None:
    """Return the TLS of a destination; None where it has none."""
    tls = destination.tls
    if tls is None:
        return None
    return Security.of_client(f"destination {name}", tls.files, tls.name or destination.address.host)


def peer_security(title: str, peer: ReportPeer) -> Security | None:
    """Return the TLS of a sender that takes reports; None where it has none."""
    tls = peer.tls
    if tls is None:
        return None
    return Security.of_client(f"peer {title}", tls.files, tls.name or peer.address.host)


def syslog_security(config: Config) -> Security | None:
    """Return the TLS of the syslog receiver; None where there is none."""
    syslog = config.audit.syslog
    if syslog is None:
        return None
    return Security.of_client("audit.syslog", syslog.tls.files, syslog.tls.name or syslog.address.host)


def _places(config: Config) -> Iterator[tuple[KeyPath, str, Files]]:
    for place, what, tls in _with_tls(config):
        if tls is not None:
            yield place, what, tls.files
    yield from _of_notify(config)


def _with_tls(config: Config) -> Iterator[tuple[KeyPath, str, ListenerTLS | DestinationTLS | None]]:
    for index, listener in enumerate(config.node.listeners):
        yield ("node", "listeners", index, "tls"), f"listener {listener.listen}", listener.tls
    for name, destination in config.destinations.items():
        yield ("destinations", name, "tls"), f"destination {name}", destination.tls
    for title, peer in config.peers.items():
        yield ("peers", title, "tls"), f"peer {title}", peer.tls
    if config.audit.syslog is not None:
        yield ("audit", "syslog", "tls"), "audit.syslog", config.audit.syslog.tls
    if config.canary is not None:
        yield ("canary", "tls"), "canary", config.canary.tls


def _of_notify(config: Config) -> Iterator[tuple[KeyPath, str, Files]]:
    for key, told in (("mail", config.notify.mail), ("webhook", config.notify.webhook)):
        if told is not None and told.ca is not None:
            yield ("notify", key), f"notify.{key}", Files(ca=told.ca)


def _certificates(files: Files) -> tuple[Path, ...]:
    return tuple(path for path in (files.certificate, files.ca) if path is not None)


def _expiry(what: str, file: Path, is_ca: bool) -> Expiry:
    try:
        return Expiry(what, file, days_left(file, any_of=is_ca))
    except CertificateError as error:
        return Expiry(what, file, None, str(error))
