"""Files that lie in memory alone: for what is decrypted, and has to be a file to be mapped.

Refuses (NoRoom) what would take the memory that the machine, or the node's control group, has left.
"""

from __future__ import annotations

import os
from pathlib import Path

from node.errors import NoRoom

_KEPT_FREE = 64 << 20
_MEMINFO = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")


def new_memory() -> int:
    """Return the descriptor of a new empty file in memory, which is gone when it is closed."""
    return os.memfd_create("original", os.MFD_CLOEXEC)


def check_memory(size: int) -> None:
    """Raise NoRoom where `size` more bytes would leave too little memory."""
    if size + _KEPT_FREE > memory_left():
        raise NoRoom("a sealed original needs more memory than there is")


def memory_left() -> int:
    """Return how many bytes of memory this process can still have."""
    left = [_available()]
    limit, used = _number(_GROUP / "memory.max"), _number(_GROUP / "memory.current")
    if limit is not None and used is not None:
        left.append(limit - used)
    return min(left)


def _available() -> int:
    for line in _MEMINFO.read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) << 10
    raise NoRoom("the system does not say how much memory is left")


def _number(path: Path) -> int | None:
    """A number of the control group; None where there is none, or no limit (`max`)."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
