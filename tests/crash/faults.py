"""Makes the node's durable steps fail, one at a time: every write, sync, new name, removal, and commit of the ledger.

Nothing of the node is replaced: the functions of `os` and SQLite's connection are wrapped, each call is counted under
the name of its step, and at one of them something goes wrong. A step is named `role operation place`, where the place
is a kind of file of the node's folders, as `spool/originals/*.dcm`; what is no file there is left alone.
"""

from __future__ import annotations

import errno
import functools
import os
import re
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

# What can go wrong at a step. "late": it takes place, and is said to have failed; "for good": from then on nothing can
# be written by this process.
KINDS = ("EIO", "ENOSPC", "EIO late", "EROFS for good", "dies before", "dies after")
_ID = re.compile(r"[0-9a-f]{32,64}")
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
_DRAFT = re.compile(r"\b[0-9]+[.-]")
_PATHS = {"mkdir": 1, "unlink": 1, "remove": 1, "rmdir": 1, "chmod": 1, "rename": 2, "replace": 2, "link": 2}
_FILES = ("write", "pwrite", "writev", "fsync", "fdatasync", "ftruncate", "posix_fallocate")
_SQLITE = {errno.EIO: "SQLITE_IOERR", errno.ENOSPC: "SQLITE_FULL", errno.EROFS: "SQLITE_READONLY"}


class Fault(NamedTuple):
    """The `number`-th time (from 1) that it comes to `step`, `kind` goes wrong."""

    step: str
    number: int
    kind: str


def place_of(path: str, root: str) -> str | None:
    """Return which kind of file a path of the node's folders names, None for any other path."""
    if not path.startswith(root + "/"):
        return None
    place = _UID.sub("UID", _ID.sub("*", path[len(root) + 1 :].removesuffix(" (deleted)")))
    return re.sub(r"(originals|cleaned)/[0-9a-f]{2}\b", r"\1", _DRAFT.sub("N.", place))


class Faults:
    """Counts the steps in the folder `root` and lets `fault` happen; `role` says whose step it is."""

    def __init__(
        self,
        root: Path,
        role: Callable[[str], str],
        note: Callable[[str], object],
        once: Callable[[], bool] = lambda: True,
    ) -> None:
        self.fault: Fault | None = None
        self.ruined = False  # nothing can be written any more
        self.counts: dict[str, int] = {}
        self._root = str(root)
        self._role = role
        self._note = note  # is told each step, before it is taken
        self._once = once  # whether the fault may happen: of several processes only in one

    def install(self) -> None:
        """Wrap what there is to be wrapped, for the rest of this process and its forks."""
        for name, paths in _PATHS.items():
            setattr(os, name, self._by_path(name, getattr(os, name), paths))
        for name in _FILES:
            setattr(os, name, self._by_file(name, getattr(os, name), 0))
        os.copy_file_range = self._by_file("copy_file_range", os.copy_file_range, 1)
        os.sendfile = self._by_file("sendfile", os.sendfile, 0)
        os.open = self._creating(os.open)
        step = self.step

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, *values: Any) -> Any:
                if sql in ("BEGIN IMMEDIATE", "COMMIT"):
                    return step(sql, "ledger", functools.partial(super().execute, sql, *values))
                return super().execute(sql, *values)

        sqlite3.connect = functools.partial(sqlite3.connect, factory=Connection)  # type: ignore[assignment]

    def step(self, operation: str, place: str, take: Callable[[], Any], part: Callable[[], Any] | None = None) -> Any:
        """Take a step, or let it go wrong; `part` does a part of it, as a full disk does."""
        name = f"{self._role(place)} {operation} {place}"
        number = self.counts[name] = self.counts.get(name, 0) + 1
        self._note(name)
        if self.ruined:
            self._fail(errno.EROFS, place)
        if self.fault is None or self.fault[:2] != (name, number) or not self._once():
            return take()
        kind = self.fault.kind
        self._note(f"! {kind}")
        if kind == "dies before":
            die()
        if kind in ("EIO", "ENOSPC", "EROFS for good"):
            if kind == "ENOSPC" and part is not None:
                part()
            self.ruined = kind == "EROFS for good"
            self._fail(getattr(errno, kind.split()[0]), place)
        try:
            done = take()
        finally:
            if kind == "dies after":
                die()
        if operation == "create":
            os.close(done)
        self._fail(errno.EIO, place)
        raise AssertionError(kind)

    @staticmethod
    def _fail(number: int, place: str) -> None:
        if place != "ledger":
            raise OSError(number, os.strerror(number))
        error = sqlite3.OperationalError(_SQLITE[number])
        error.sqlite_errorname = _SQLITE[number]
        raise error

    def _by_path(self, name: str, real: Callable[..., Any], paths: int) -> Callable[..., Any]:
        @functools.wraps(real)
        def wrapped(*arguments: Any, **named: Any) -> Any:
            path = os.fspath(arguments[paths - 1])
            place = place_of(path, self._root)
            if place is None or (name == "mkdir" and os.path.isdir(path)):
                return real(*arguments, **named)
            return self.step(name, place, lambda: real(*arguments, **named))

        return wrapped

    def _by_file(self, name: str, real: Callable[..., Any], which: int) -> Callable[..., Any]:
        @functools.wraps(real)
        def wrapped(*arguments: Any, **named: Any) -> Any:
            file = arguments[which]
            path = os.readlink(f"/proc/self/fd/{file if isinstance(file, int) else file.fileno()}")
            place = place_of(path, self._root)
            if place is None:
                return real(*arguments, **named)
            place += "/" * os.path.isdir(path)

            def half() -> None:
                if name == "write":
                    real(arguments[0], memoryview(arguments[1])[: len(arguments[1]) // 2])
                elif name == "writev":
                    whole = b"".join(arguments[1])
                    real(arguments[0], [whole[: len(whole) // 2]])

            return self.step(name, place, lambda: real(*arguments, **named), half)

        return wrapped

    def _creating(self, real: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(real)
        def wrapped(path: Any, flags: int, *arguments: Any, **named: Any) -> int:
            place = place_of(os.fspath(path), self._root) if flags & os.O_CREAT else None
            if place is None or place.endswith(".turn"):
                return real(path, flags, *arguments, **named)
            return int(self.step("create", place, lambda: real(path, flags, *arguments, **named)))

        return wrapped


def die() -> None:
    """End this process at once, with nothing tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)
