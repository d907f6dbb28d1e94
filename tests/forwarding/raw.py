"""Destinations made of bare sockets, that do what no library lets them do."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

from node.dicomnet.pdus import AnsweredContext, AssociateRequest, decode_request, encode_accept
from tests.forwarding.support import CT


class RawSCP:
    """A destination made of a bare socket: `behave(connection, number)` is what it does with its nth connection."""

    def __init__(self, behave: Callable[[RawConnection, int], None]) -> None:
        self._behave = behave
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(16)
        self.port = int(self._listener.getsockname()[1])
        self.connections: list[RawConnection] = []
        self.errors: list[BaseException] = []
        self._threads: list[threading.Thread] = []

    def start(self) -> RawSCP:
        thread = threading.Thread(target=self._accept)
        thread.start()
        self._threads.append(thread)
        return self

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            connection = RawConnection(peer)
            self.connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection, len(self.connections)))
            thread.start()
            self._threads.append(thread)

    def _serve(self, connection: RawConnection, number: int) -> None:
        try:
            self._behave(connection, number)
        except (EOFError, OSError):
            pass  # the node has closed: what a test looks at is elsewhere
        except BaseException as error:  # noqa: BLE001 -- the test fails with it
            self.errors.append(error)
        finally:
            connection.close()

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self.connections:
            connection.close()
        for thread in self._threads:
            thread.join(10)
        assert not self.errors, self.errors


class RawConnection:
    """One association of a bare-socket destination."""

    def __init__(self, peer: socket.socket) -> None:
        self.peer = peer
        peer.settimeout(20)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.peer.shutdown(socket.SHUT_RDWR)
        self.peer.close()

    def pdu(self) -> tuple[int, bytes]:
        kind, length = struct.unpack(">BxL", self._exactly(6))
        return kind, self._exactly(length)

    def accept(self) -> AssociateRequest:
        """Read A-ASSOCIATE-RQ and accept every context with its first syntax."""
        kind, body = self.pdu()
        assert kind == 1
        request = decode_request(body)
        contexts = [AnsweredContext(one.context_id, 0, one.transfer_syntaxes[0]) for one in request.contexts]
        self.peer.sendall(encode_accept(request, contexts, 131072, ()))
        return request

    def store(self) -> tuple[int, int, str]:
        """Read one whole C-STORE-RQ; return context id, message id and SOP Instance UID."""
        command = b""
        while True:
            kind, body = self.pdu()
            if kind != 4:
                raise EOFError(f"PDU {kind} in place of a C-STORE-RQ")
            place = 0
            while place < len(body):
                length, context, control = struct.unpack_from(">LBB", body, place)
                if control & 1:
                    command += body[place + 6 : place + 4 + length]
                elif control & 2:
                    return context, _number(command, 0x0110), _text(command, 0x1000)
                place += 4 + length

    def answer(self, context: int, message: int, uid: str, status: int = 0) -> None:
        """Send a C-STORE-RSP."""
        self.peer.sendall(store_response(context, message, uid, status))

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.peer.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data


def store_response(context: int, message: int, uid: str, status: int) -> bytes:
    """A P-DATA-TF with a C-STORE-RSP (PS3.7 9.3.1.2), written by hand."""
    text = uid.encode() + b"\0" * (len(uid) & 1)
    body = b"".join(
        struct.pack("<HHL", 0, number, len(value)) + value
        for number, value in (
            (0x0002, CT.encode() + b"\0" * (len(CT) & 1)),
            (0x0100, struct.pack("<H", 0x8001)),
            (0x0120, struct.pack("<H", message)),
            (0x0800, struct.pack("<H", 0x0101)),
            (0x0900, struct.pack("<H", status)),
            (0x1000, text),
        )
    )
    command = struct.pack("<HHLL", 0, 0, 4, len(body)) + body
    pdv = struct.pack(">LBB", len(command) + 2, context, 3) + command
    return struct.pack(">BxL", 4, len(pdv)) + pdv


def _value(command: bytes, element: int) -> bytes:
    place = 0
    while place < len(command):
        _, number, length = struct.unpack_from("<HHL", command, place)
        if number == element:
            return command[place + 8 : place + 8 + length]
        place += 8 + length
    raise AssertionError(f"no (0000,{element:04X})")


def _number(command: bytes, element: int) -> int:
    return int.from_bytes(_value(command, element), "little")


def _text(command: bytes, element: int) -> str:
    return _value(command, element).rstrip(b"\0").decode()
