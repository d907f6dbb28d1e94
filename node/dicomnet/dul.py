"""One connection of the DICOM upper layer (PS3.8): a socket from which whole PDUs are read and to which they are sent.

Guarantees: no thread, no polling, one buffer for the whole life of the connection, every wait bounded, no limit on
file descriptor numbers. A lost connection is PeerAborted, silence is PeerTimeout, a broken or oversized PDU is
ProtocolError with the reason for the A-ABORT that the caller owes. Refuses a P-DATA-TF longer than the size announced
to the peer, and any other PDU above 1 MiB.

This stands in for pynetdicom's DUL service provider, whose thread wakes each millisecond and reads 4 kB at a time.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import struct
import threading
import weakref
from collections.abc import Callable
from functools import partial
from time import monotonic

from node.dicomnet.pdus import (
    ABORT,
    ASSOCIATE_RJ,
    P_DATA,
    REASON_INVALID_PARAMETER,
    REASON_UNEXPECTED_PDU,
    REASON_UNRECOGNIZED_PDU,
    RELEASE_RP,
    RELEASE_RQ,
)
from node.dicomnet.secure import SecureChannel
from node.errors import HandshakeFailed, NetworkError, PeerAborted, PeerTimeout, ProtocolError, SpoolError

CONTROL_LIMIT = 1 << 20  # bytes of any PDU but P-DATA-TF
BUFFER = 256 << 10
LINGER = 1.0  # seconds in which the peer may read our last PDU and close

_HEADER = struct.Struct(">BxL")
_FOUR_BYTES = frozenset({ASSOCIATE_RJ, RELEASE_RQ, RELEASE_RP, ABORT})  # PS3.8 9.3.4, 9.3.6 to 9.3.8
_QUICKACK = getattr(socket, "TCP_QUICKACK", None)
# As plain numbers: a call with members of an enumeration takes longer to put them together than to send.
_NO_SIGNAL, _MORE = int(socket.MSG_NOSIGNAL), int(socket.MSG_MORE)
_BROKEN = select.POLLERR | select.POLLHUP | getattr(select, "POLLRDHUP", 0)


class AbortReceived(PeerAborted):
    """The peer sent A-ABORT."""

    def __init__(self) -> None:
        super().__init__("the peer aborted")


class Stopped(NetworkError):
    """This side was told to end its associations (`StopSignal`)."""


class StopSignal:
    """Wakes every connection that was made with it, once and for good: each raises Stopped at its next wait.

    One file descriptor for a whole process, so that a connection costs only its socket.
    """

    def __init__(self) -> None:
        self._file = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        weakref.finalize(self, os.close, self._file)
        self.given = False

    def fileno(self) -> int:
        """Return the descriptor that is readable from the signal on."""
        return self._file

    def give(self) -> None:
        """Give the signal; may be called from any thread and from a signal handler."""
        self.given = True
        os.eventfd_write(self._file, 1)


class Connection:
    """A connected TCP socket, owned from here on.

    Parameters
    ----------
    sock
        The connected socket; closed by `close` or `finish`.
    max_pdu
        The longest P-DATA-TF that the peer may send, in bytes without its six bytes of header.
    stop
        The signal to be heeded; None where nobody stops this connection.

    Attributes
    ----------
    waited
        The seconds that the peer has kept this side waiting so far.
    """

    def __init__(self, sock: socket.socket, max_pdu: int, stop: StopSignal | None = None) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket: socket.socket | SecureChannel = sock
        self._send_range: Callable[[int, int, int], int] = partial(os.sendfile, sock.fileno())
        self._max_pdu = max_pdu
        self._stop = stop
        self._view = memoryview(bytearray(max(BUFFER, max_pdu + _HEADER.size)))
        self._start = self._end = 0
        self._lock = threading.Lock()
        self._closed = self._early = self._torn = False
        self.waited = 0.0

    @property
    def closed(self) -> bool:
        """Whether the socket has been closed on this side."""
        return self._closed

    def cut(self) -> None:
        """End the connection at once, without a word; may be called from another thread than the one that reads."""
        with self._lock:
            if not self._closed:
                # Where the peer was faster, the reader finds a lost connection all the same.
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def secure(self, context: ssl.SSLContext, within: float, name: str | None = None) -> tuple[str, ...]:
        """Agree on TLS with the peer; from here on everything goes over it. To be called before anything else.

        Parameters
        ----------
        context
            For this side.
        within
            Seconds for the whole handshake.
        name
            On the client's side the name or address that the server's certificate must have; None on the server's.

        Returns
        -------
        tuple
            The names in the peer's certificate; empty where it has shown none.

        Raises
        ------
        HandshakeFailed, PeerAborted, PeerTimeout, Stopped
            The connection can only be closed.
        """
        deadline = monotonic() + within
        plain = self._socket
        assert isinstance(plain, socket.socket)
        channel = SecureChannel(plain, context, name)
        # Until the handshake is complete there is nothing that the peer would take for a PDU.
        self._socket, self._send_range, self._torn = channel, channel.send_range, True
        while True:
            try:
                channel.handshake()
                break
            except BlockingIOError:
                self._wait(channel.waits_for, deadline)
            except HandshakeFailed:
                self._socket = plain
                self._linger()
                raise
        self._torn = False
        return channel.peer_names()

    def read_pdu(self, wait: float, within: float | None = None) -> tuple[int, memoryview]:
        """Read one PDU; return its type and its body (what follows type and length).

        Parameters
        ----------
        wait
            Seconds until the first byte.
        within
            Seconds for the rest, from the first byte on; None where `wait` is for the whole.

        Returns
        -------
        tuple
            The body is a slice of the connection's buffer: valid until the next call.
        """
        deadline = monotonic() + wait
        if self._start == self._end:
            self._start = self._end = 0
            self._fill(1, deadline)
        if within is not None:
            deadline = monotonic() + within
        self._fill(_HEADER.size, deadline)
        kind, length = _HEADER.unpack_from(self._view, self._start)
        self._check(kind, length)
        self._fill(_HEADER.size + length, deadline)
        body = self._start + _HEADER.size
        self._start = body + length
        return kind, self._view[body : body + length]

    def _check(self, kind: int, length: int) -> None:
        if kind == P_DATA:
            if length > self._max_pdu:
                raise ProtocolError("a P-DATA-TF PDU is longer than was agreed", REASON_INVALID_PARAMETER)
        elif not 1 <= kind <= ABORT:
            raise ProtocolError("a PDU of an unknown type", REASON_UNRECOGNIZED_PDU)
        elif length > CONTROL_LIMIT or (kind in _FOUR_BYTES and length != 4):
            raise ProtocolError("a PDU has a length that its type does not allow", REASON_INVALID_PARAMETER)

    def _fill(self, count: int, deadline: float) -> None:
        """Have at least `count` unread bytes in the buffer."""
        if self._end - self._start >= count:
            return
        if self._start + count > len(self._view):
            self._make_room(count)
        while self._end - self._start < count:
            if not self._receive():
                self._acknowledge()
                self._wait(select.POLLIN, deadline)

    def _make_room(self, count: int) -> None:
        unread = self._end - self._start
        view = self._view if count <= len(self._view) else memoryview(bytearray(count))
        view[:unread] = self._view[self._start : self._end]
        self._view, self._start, self._end = view, 0, unread

    def _receive(self) -> bool:
        """Take what the socket has; False where it has nothing."""
        try:
            count = self._socket.recv_into(self._view[self._end :])
        except BlockingIOError:
            count = -1
        except OSError:
            raise PeerAborted("the connection was lost") from None
        self._heed_stop()
        if count < 0:
            return False
        if count == 0:
            raise PeerAborted("the peer closed the connection")
        self._end += count
        return True

    def _acknowledge(self) -> None:
        """Let the kernel acknowledge at once what has come.

        A sender with Nagle's algorithm holds back the end of a PDU until the rest is acknowledged, and the kernel goes
        back to delayed acknowledgements by itself: without this each message can cost 40 ms. While there is more to be
        read nobody waits for it.
        """
        if _QUICKACK is not None:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    def _heed_stop(self) -> None:
        if self._stop is not None and self._stop.given:
            raise Stopped("the association is ended by this side")

    def _wait(self, events: int, deadline: float, *, to_the_end: bool = False) -> int:
        """Wait for `events` of the socket; return those that came. Raises PeerTimeout, and Stopped but `to_the_end`."""
        poller = select.poll()
        poller.register(self._socket, events)
        if self._stop is not None and not to_the_end:
            poller.register(self._stop, select.POLLIN)
        began = monotonic()
        ready = poller.poll(max(0.0, deadline - began) * 1000)
        self.waited += monotonic() - began
        if not to_the_end:
            self._heed_stop()
        if not ready:
            raise PeerTimeout("the peer neither sent nor took anything in time")
        return ready[0][1]

    def send(self, data: bytes, within: float, *, more: bool = False, listen: bool = False) -> None:
        """Send all of `data`; `within` are the seconds that the peer may take nothing.

        `more`: what follows at once belongs into the same segment. `listen`: heed what the peer says meanwhile (see
        `send_file`).
        """
        self._torn = True
        rest = memoryview(data)
        flags = _NO_SIGNAL | (_MORE if more else 0)
        while rest:
            try:
                rest = rest[self._socket.send(rest, flags) :]
            except BlockingIOError:
                self._wait_writable(monotonic() + within, listen)
            except OSError:
                raise PeerAborted("the connection was lost") from None
        self._torn = more

    def send_file(self, file: int, offset: int, count: int, within: float) -> None:
        """Send `count` bytes of the open file from `offset`, without reading them into this process.

        While the peer takes nothing, what it says is heeded: an A-ABORT or the end of the connection is PeerAborted at
        once; an early response stays in the buffer for `read_pdu`. Raises SpoolError where the file is too short.
        """
        self._torn = True
        end = offset + count
        while offset < end:
            try:
                sent = self._send_range(file, offset, end - offset)
            except BlockingIOError:
                self._wait_writable(monotonic() + within, True)
                continue
            except (BrokenPipeError, ConnectionError, TimeoutError):
                raise PeerAborted("the connection was lost") from None
            except OSError as error:
                raise SpoolError(f"a file cannot be sent (error {error.errno})") from None
            if sent == 0:
                raise SpoolError("a file ended before its announced length was sent")
            offset += sent
        self._torn = False

    def _wait_writable(self, deadline: float, listen: bool) -> None:
        if not listen:
            self._wait(select.POLLOUT, deadline)
            return
        while True:
            # Once an early response waits in the buffer only the loss of the connection is of interest.
            came = self._wait(select.POLLOUT | (0 if self._early else select.POLLIN) | _BROKEN, deadline)
            if not self._early and came & select.POLLIN:
                self._take_early()
            elif came & _BROKEN:
                raise PeerAborted("the connection was lost")
            if came & select.POLLOUT:
                return

    def _take_early(self) -> None:
        if self._start == self._end:
            self._start = self._end = 0
        if not self._receive():
            return
        kind = self._view[self._start]
        if kind == ABORT:
            raise AbortReceived
        if kind != P_DATA:
            raise ProtocolError("a PDU that has no place in the middle of a message", REASON_UNEXPECTED_PDU)
        self._early = True

    def expect_answer(self) -> None:
        """Say that a message is complete: what comes now is no early response."""
        self._early = False

    def pending(self) -> bool:
        """Whether the peer has sent something that was not read, or closed the connection."""
        if self._closed:
            return True
        if self._start != self._end:
            return True
        if isinstance(self._socket, SecureChannel):
            return self._has_come()
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        return bool(poller.poll(0))

    def _has_come(self) -> bool:
        """As `pending`, over TLS: what is in the socket may be TLS's own, and what is not may be decrypted already."""
        self._start = self._end = 0
        try:
            return self._receive()
        except NetworkError:
            return True

    def finish(self, last: bytes) -> None:
        """Send `last`, let the peer read it and close, for at most a second; then close. Never raises NetworkError.

        Closing a socket with unread bytes makes the kernel send a reset, upon which a peer may lose what it has not
        read yet: the A-ABORT or A-RELEASE-RP itself. Where a PDU was not sent to its end `last` is not sent: the
        peer would take it for the missing bytes of a data set, and might store that.
        """
        if self._closed:
            return
        if self._torn:
            self.close()
            return
        with contextlib.suppress(NetworkError, OSError):
            # A peer that takes nothing gets nothing: the PDU is small, there is room for it, or the wait is hopeless.
            self._socket.send(last, _NO_SIGNAL)
            self._linger()
        self.close()

    def _linger(self) -> None:
        """Say that nothing more follows, and close when the peer has read to the end, after a second at most."""
        deadline = monotonic() + LINGER
        try:
            self._socket.shutdown(socket.SHUT_WR)
            while monotonic() < deadline:
                self._wait(select.POLLIN, deadline, to_the_end=True)
                with contextlib.suppress(BlockingIOError):
                    if not self._socket.recv_into(self._view):
                        break
        except (NetworkError, OSError):
            pass  # the peer is gone already: nothing is owed to it any more
        self.close()

    def close(self) -> None:
        """Close the socket; may be called again."""
        with self._lock:
            self._closed = True
            self._socket.close()
