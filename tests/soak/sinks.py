"""Those who get: DCMTK's storescp, one that goes up and down, and one that answers as it likes."""

from __future__ import annotations

import random
import struct
import threading
import time
from pathlib import Path

from node.part10 import FileMeta, encode_file_meta
from tests.forwarding.raw import RawConnection, RawSCP, _number, _text
from tests.forwarding.support import CT

_ABORT = struct.pack(">BxLxxBB", 7, 4, 0, 0)
_RELEASE_RP = struct.pack(">BxLxxxx", 6, 4)
_DELIVERED = (0x0000, 0xB000, 0xB006, 0xB007, 0x0001, 0x0107, 0x0116)
_AGAIN = (0xA700, 0xA7FF, 0x0110, 0x0210, 0x0213)
_REFUSED = (0xA900, 0xC000, 0xC123, 0x0122, 0x0117, 0xFE00)
_DUPLICATE = 0x0111
_WAYS = {
    "take": 62,
    "again": 12,
    "refuse": 5,
    "duplicate": 6,
    "hang": 2,
    "abort": 4,
    "vanish": 5,
    "babble": 2,
    "slow": 4,
}
_HANGS = 6.0  # seconds; more than the node waits for a response


class Rude:
    """A destination made of bare sockets; what it keeps is a file in `folder`, in place before it is answered for."""

    def __init__(self, folder: Path, seed: str) -> None:
        folder.mkdir()
        self._folder = folder
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._offered: set[str] = set()
        self._kept: set[str] = set()
        self._files = 0
        self.calm = threading.Event()
        self.ways: dict[str, int] = {}
        self.scp = RawSCP(self._behave)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.scp.port

    def start(self) -> Rude:
        """Listen."""
        self.scp.start()
        return self

    def stop(self) -> None:
        """Close everything."""
        self.calm.set()
        self.scp.stop()

    def _behave(self, connection: RawConnection, _number_of_it: int) -> None:
        connection.peer.settimeout(60)
        if not self.calm.is_set() and self._chance() < 0.04:
            return  # it takes the connection, and is gone
        request = connection.accept()
        syntaxes = {one.context_id: one.transfer_syntaxes[0] for one in request.contexts}
        while (got := _receive(connection)) is not None:
            context, message, uid, data = got
            with self._lock:
                way = "take" if self.calm.is_set() else self._random.choices(list(_WAYS), list(_WAYS.values()))[0]
                self.ways[way] = self.ways.get(way, 0) + 1
            if not self._answer(connection, way, (context, message, uid), (data, syntaxes[context])):
                return

    def _answer(
        self, connection: RawConnection, way: str, names: tuple[int, int, str], body: tuple[bytes, str]
    ) -> bool:
        """Do as the way says; return whether the association goes on."""
        uid = names[2]
        # Of the duplicate it tells the truth: it has it, or it was never offered, and then has another by that name.
        if way == "duplicate" and uid not in self._kept and uid in self._offered:
            way = "take"
        self._offered.add(uid)
        if way in {"take", "slow"} or (way in {"hang", "abort", "vanish", "babble"} and self._chance() < 0.5):
            self._keep(uid, *body)
        if way in {"take", "slow", "again", "refuse", "duplicate"}:
            if way == "slow":
                time.sleep(self._chance())
            connection.answer(*names, self._status(way))
            return True
        if way == "hang":
            self.calm.wait(_HANGS)
        elif way == "abort":
            connection.peer.sendall(_ABORT)
        elif way == "babble":
            connection.answer(names[0], names[1] + 7, uid, 0)
        return False

    def _status(self, way: str) -> int:
        if way == "duplicate":
            return _DUPLICATE
        if way in {"take", "slow"}:
            return 0 if self._chance() < 0.8 else self._one_of(_DELIVERED)
        return self._one_of(_AGAIN if way == "again" else _REFUSED)

    def _keep(self, uid: str, data: bytes, syntax: str) -> None:
        with self._lock:
            self._files += 1
            path = self._folder / f"{self._files:08d}"
        path.write_bytes(encode_file_meta(FileMeta(CT, uid, syntax)) + data)
        path.rename(path.with_suffix(".dcm"))
        self._kept.add(uid)

    def _chance(self) -> float:
        with self._lock:
            return self._random.random()

    def _one_of(self, statuses: tuple[int, ...]) -> int:
        with self._lock:
            return self._random.choice(statuses)


def _receive(connection: RawConnection) -> tuple[int, int, str, bytes] | None:
    """Read one whole C-STORE-RQ: context id, message id, SOP Instance UID, data set. None at the end."""
    command, data = b"", []
    while True:
        kind, body = connection.pdu()
        if kind != 4:
            if kind == 5:
                connection.peer.sendall(_RELEASE_RP)
            return None
        place = 0
        while place < len(body):
            length, context, control = struct.unpack_from(">LBB", body, place)
            piece = body[place + 6 : place + 4 + length]
            if control & 1:
                command += piece
            else:
                data.append(piece)
                if control & 2:
                    return context, _number(command, 0x0110), _text(command, 0x1000), b"".join(data)
            place += 4 + length
