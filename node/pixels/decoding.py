"""Has frames decoded in a process of their own, one for each process that asks, started when it is first needed.

Guarantees that a codestream that ends its decoder, makes it hang or fills its memory costs that decoder alone: the
instance is refused, and the next one gets a new decoder. The process ends when its owner does.
"""

from __future__ import annotations

import atexit
import json
import os
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_HELPER = Path(__file__).with_name("helper.py")
_SECONDS = 120.0  # for one frame


@dataclass(frozen=True, slots=True)
class Frame:
    """A decoded frame: its samples, little endian, and what the decoder says of them.

    `adobe` is the colour transformation of Adobe's marker in a JPEG, None where there is no such marker.
    """

    samples: bytes
    shape: tuple[int, ...]
    photometric: str
    adobe: int | None


class Helper:
    """The decoding process of this process; may be asked from several threads."""

    def __init__(self, command: list[str] | None = None, seconds: float = _SECONDS) -> None:
        # -P: nothing beside the helper's file can take a library's place.
        self._command = command or [sys.executable, "-P", str(_HELPER)]
        self._seconds = seconds
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def decode(self, frame: bytes, options: dict[str, Any]) -> Frame | None:
        """Return a frame's samples, or None where no decoder could make any.

        A process that ended is asked once more: it may have been ended by something else than this frame.
        """
        with self._lock:
            for _ in range(2):
                try:
                    return self._ask(frame, options)
                except TimeoutError:
                    break
                except (OSError, EOFError):
                    self._end()
            self._end()
            return None

    def close(self) -> None:
        """End the process, if there is one; it starts again when it is asked."""
        with self._lock:
            self._end()

    def _ask(self, frame: bytes, options: dict[str, Any]) -> Frame | None:
        if self._owner != os.getpid():
            self._end()  # a fork: it is the parent's
        connection = self._connection or self._start()
        connection.send_bytes(json.dumps(options).encode())
        connection.send_bytes(frame)
        if not connection.poll(self._seconds):
            raise TimeoutError
        properties, samples = json.loads(connection.recv_bytes()), connection.recv_bytes()
        if not properties:
            return None
        return Frame(samples, tuple(properties["shape"]), properties["photometric"], properties["adobe"])

    def _start(self) -> Connection:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [*self._command, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # decoders quote codestreams
            )
        self._connection = Connection(ours.detach())
        return self._connection

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.wait()
        self._process, self._owner = None, os.getpid()


HELPER = Helper()
atexit.register(HELPER.close)
