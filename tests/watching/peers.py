"""A mail server and a web server that are none of ours: just enough of SMTP (RFC 5321) and HTTP to take messages."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import socketserver
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from email.policy import default
from typing import Any

from tests.dicomnet.tls import Authority, Pair


@contextlib.contextmanager
def _running(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    peer: MailServer


class _Session(socketserver.StreamRequestHandler):
    server: _Server
    timeout = 10

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            self._talk()

    def _talk(self) -> None:
        self.encrypted, self.who = False, ""
        self._say("220 test")
        while line := self.rfile.readline().decode("ascii", "replace").strip():
            word, _, rest = line.partition(" ")
            if word.upper() == "QUIT":
                self._say("221 bye")
                return
            getattr(self, f"_{word.lower()}", self._other)(rest)

    def _other(self, _rest: str) -> None:
        self._say("250 OK")

    def _ehlo(self, _rest: str) -> None:
        self._say("250-test", "250-AUTH PLAIN" if self.encrypted else "250-STARTTLS", "250 OK")

    def _starttls(self, _rest: str) -> None:
        self._say("220 go on")
        assert self.server.peer.context is not None
        self.connection = self.server.peer.context.wrap_socket(self.request, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
        self.encrypted = True

    def _auth(self, rest: str) -> None:
        _, user, password = base64.b64decode(rest.removeprefix("PLAIN ")).decode().split("\0")
        self.who = user if self.server.peer.passwords.get(user) == password else ""
        self._say("235 welcome" if self.who else f"535 no, {user}")

    def _data(self, _rest: str) -> None:
        peer = self.server.peer
        self._say("354 go on")
        data = b""
        while not data.endswith(b"\r\n.\r\n"):
            data += self.rfile.readline()
        if peer.answer == "250":
            peer.came.append(message_from_bytes(data[:-5].replace(b"\n..", b"\n."), policy=default))
            peer.sessions.append((self.encrypted, self.who))
        self._say(f"{peer.answer} told secret-of-the-server")

    def _say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


@dataclass
class MailServer:
    """Takes mail, over STARTTLS where it has a certificate; `answer` is its code for a message."""

    port: int
    authority: Authority
    own: Pair
    passwords: dict[str, str] = field(default_factory=dict)
    answer: str = "250"
    came: list[Message] = field(default_factory=list)
    sessions: list[tuple[bool, str]] = field(default_factory=list)
    context: ssl.SSLContext | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[MailServer]:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.own.certificate, self.own.key)
        server = _Server(("127.0.0.1", self.port), _Session)
        server.peer = self
        with _running(server):
            yield self

    def texts(self) -> list[str]:
        return [str(mail.get_payload(decode=True).decode()) for mail in self.came]  # type: ignore[union-attr]


@dataclass
class Hook:
    """A web server that takes JSON; `answer` is its status, and what comes is kept where that is 200."""

    port: int
    answer: int = 200
    asked: int = 0
    came: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @contextlib.contextmanager
    def running(self) -> Iterator[Hook]:
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.asked += 1
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if hook.answer == 200:
                    hook.came.append(body)
                    hook.headers.append(dict(self.headers))
                self.send_response(hook.answer)
                if hook.answer == 302:
                    self.send_header("Location", f"http://127.0.0.1:{hook.port}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                self.do_POST()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        with _running(server):
            yield self

    def kinds(self, part: str) -> list[list[tuple[str, str]]]:
        """What each message has in one of its parts: (kind, about)."""
        return [[(one["kind"], one["about"]) for one in message[part]] for message in self.came]
