"""A ledger with a configuration, as a node would have left them."""

from __future__ import annotations

import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any

from node.config import Config
from node.ledger import Database
from node.opening import make_spool, open_node
from tests.audit.support import config_in


@functools.cache
def _opened() -> tempfile.TemporaryDirectory[str]:
    """A data folder that was opened once: making its tables takes longer than most of what is tested with them."""
    folder = tempfile.TemporaryDirectory(prefix="watching-")
    config = config_in(Path(folder.name))
    open_node(config, make_spool(config))
    return folder


def ledger_of(folder: Path, **more: Any) -> tuple[Config, Database]:
    """A configuration with the route `r` of project `p` and the destination `d`, and its ledger; no node runs."""
    config = config_in(folder, **more)
    shutil.copytree(Path(_opened().name, "var"), config.node.data)
    return config, Database(config.node.ledger)
