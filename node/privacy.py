"""That nobody but the node's user can read what the node keeps.

Guarantees that a node whose data folder, spool or ledger is open to others does not start: StartError, with the command
that closes it. The secret and the key of `node.encryption` are looked at where they are read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from node.config import Config, users_path
from node.errors import StartError

_OF_OTHERS = 0o077


def refuse_readable(config: Config) -> None:
    """Raise StartError where group or others have any right on what names persons."""
    for path in open_to_others(config):
        mode = "700" if path.is_dir() else "600"
        raise StartError(f"{path} can be read by others, and names persons; run: chmod {mode} {path}")


def open_to_others(config: Config) -> Iterator[Path]:
    """Give what is there of data folder, spool, ledger and users, and is not for its owner alone."""
    node = config.node
    ledger = node.ledger.removeprefix("sqlite:///")
    folders = [node.data, node.spool, *(node.spool / name for name in ("incoming", "originals", "cleaned"))]
    ledgers = (Path(ledger + suffix) for suffix in ("", "-wal", "-shm", "-journal"))
    for path in (*folders, *ledgers, users_path(config)):
        try:
            mode = os.stat(path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        if stat.S_IMODE(mode) & _OF_OTHERS:
            yield path
