"""A ledger with a configuration, as a node would have left them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from node.config import Config
from node.ledger import Database
from node.opening import make_spool, open_node
from tests.audit.support import config_in


def ledger_of(folder: Path, **more: Any) -> tuple[Config, Database]:
    """A configuration with the route `r` of project `p` and the destination `d`, and its ledger; no node runs."""
    config = config_in(folder, **more)
    open_node(config, make_spool(config))
    return config, Database(config.node.ledger)
