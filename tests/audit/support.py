"""What the tests of the audit trail share: a trail on a ledger, and a syslog receiver that is none of ours."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import yaml

from node.audit.actor import Actor
from node.audit.messages import Source
from node.config import Config, load_config
from node.ledger.audit import Trail, entries
from node.ledger.database import Database
from tests.dicomnet.tls import Authority, Pair, server_context
from tests.support import free_port

KEY = b"k" * 32
SOURCE = Source("NODE1", "HOSPITAL", "DEIDNODE")
BY = Actor(0, 0, "held show")


def new_trail() -> Trail:
    return Trail(lambda: KEY, SOURCE, BY)


def messages(database: Database) -> list[ET.Element]:
    return [ET.fromstring(entry.message) for entry in entries(database)]


def event_of(message: ET.Element) -> tuple[str, str]:
    """EventID and EventTypeCode, by their meaning."""
    codes = [message.find(f"EventIdentification/{name}") for name in ("EventID", "EventTypeCode")]
    return tuple("" if one is None else str(one.get("displayName")) for one in codes)  # type: ignore[return-value]


def instances_of(message: ET.Element) -> int:
    return sum(int(one.get("NumberOfInstances", "0")) for one in message.iter("SOPClass"))


def config_in(folder: Path, **more: Any) -> Config:
    """A configuration with one route and one destination, `d`."""
    text = {
        "node": {"ae_title": "DEIDNODE", "listen": f"127.0.0.1:{free_port()}"},
        "routes": [{"name": "r", "project": "p", "recipe": ["research"], "to": ["d"]}],
        "destinations": {"d": {"ae_title": "DEST", "address": f"127.0.0.1:{free_port()}"}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(text | more))
    return load_config(folder / "config.yaml")


_HEADER = re.compile(
    rb"<(\d+)>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\S+) (\S+) (\S+) DICOM\+RFC3881"
    rb' \[meta sequenceId="(\d+)"\] \xef\xbb\xbf'
)


@dataclass
class SyslogReceiver:
    """A receiver of RFC 5425 frames by Python's own TLS. `cut_after` ends connections after so many bytes, unread."""

    authority: Authority
    own: Pair
    port: int = field(default_factory=free_port)
    client_certificate: bool = True
    cut_after: int | None = None
    came: list[tuple[int, ET.Element]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    connections: int = 0
    refused: int = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[SyslogReceiver]:
        context = server_context(self.authority, self.own, client_certificate=self.client_certificate)
        with socket.create_server(("127.0.0.1", self.port)) as listener:
            listener.settimeout(0.2)
            ending = threading.Event()
            thread = threading.Thread(target=self._serve, args=(listener, context, ending), daemon=True)
            thread.start()
            try:
                yield self
            finally:
                ending.set()
                thread.join(10)
                assert not thread.is_alive()

    def _serve(self, listener: socket.socket, context: ssl.SSLContext, ending: threading.Event) -> None:
        while not ending.is_set():
            try:
                plain, _ = listener.accept()
            except TimeoutError:
                continue
            plain.settimeout(10)
            self.connections += 1
            try:
                with context.wrap_socket(plain, server_side=True) as channel:
                    self._read(channel)
            except OSError:
                self.refused += 1

    def _read(self, channel: ssl.SSLSocket) -> None:
        data = b""
        while self.cut_after is None or len(data) < self.cut_after:
            part = channel.recv(4096)
            if not part:
                channel.unwrap()
                break
            data += part
        self.raw.append(data)
        self._take(data)

    def _take(self, data: bytes) -> None:
        while data:
            length, blank, rest = data.partition(b" ")
            if not blank or len(rest) < int(length):
                return  # cut off
            message, data = rest[: int(length)], rest[int(length) :]
            header = _HEADER.match(message)
            assert header is not None, message[:200]
            assert int(header[1]) // 8 == 10, "facility: security"
            self.came.append((int(header[6]), ET.fromstring(message[header.end() :])))
