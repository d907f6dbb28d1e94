"""What of a configuration is fixed while the node runs."""

from __future__ import annotations

from node.config import Config
from node.errors import StartError
from node.listeners import endpoints

_OF_NODE = ("spool", "ledger", "secret_file", "encryption", "max_associations", "workers")


def needs_restart(old: Config, new: Config) -> list[str]:
    """Return what of `new` a running node cannot take, a sentence for each."""
    found = []
    if endpoints(old) != endpoints(new):
        found.append("node.listen and node.listeners cannot listen elsewhere while the node runs: restart it")
    found += [
        f"node.{key} cannot change while the node runs: restart it"
        for key in _OF_NODE
        if getattr(old.node, key) != getattr(new.node, key)
    ]
    if (old.web.enabled, old.web.listen) != (new.web.enabled, new.web.listen):
        found.append("web.enabled and web.listen cannot change while the node runs: restart it")
    if old.trial_destination != new.trial_destination:
        found.append("trial_destination cannot change while the node runs: restart it")
    return found


def refuse_fixed(old: Config, new: Config) -> None:
    """Raise StartError where `new` changes what is fixed."""
    found = needs_restart(old, new)
    if found:
        raise StartError("\n".join(found))
