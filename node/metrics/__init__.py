"""Metrics for Prometheus (docs/monitoring.md): what the node has done, what waits, what somebody should look at.

Guarantees
    Labels are names of the configuration, kinds and reasons of closed lists: nothing that a peer chooses, no value of a
    data set. Counters go on over restarts, since the ledger has them. It costs what waits and what is held, never what
    was done: tallies and indexes of the unfinished are read. Where the ledger cannot be asked, the rest is told.

families   one metric with its labels and its help
done       counters and histograms
waiting    queues, destinations, holds, refusals
machine    processes, disk, ledger, certificates, clock
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from node.config import Config
    from node.ledger.database import Database
    from node.metrics.families import Family

__all__ = ["CONTENT_TYPE", "render"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of what `render` returns: Prometheus' text format."""


def render(config: Config, database: Database | None = None) -> bytes:
    """Return all metrics of the node of a configuration, in Prometheus' text format.

    `database` is used where it is given, else the ledger is opened and closed.
    """
    from prometheus_client import CollectorRegistry, generate_latest

    from node.config import columns_of
    from node.ledger.database import Database as Opened

    own = Opened(config.node.ledger, columns_of(config)) if database is None else database

    class Collector:
        def collect(self) -> Iterator[Family]:
            return _families(config, own)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    try:
        return generate_latest(registry)
    finally:
        if database is None:
            own.close()


def _families(config: Config, database: Database) -> Iterator[Family]:
    from node.metrics import done, machine, waiting

    for part in (machine.families, done.families, waiting.families):
        yield from part(config, database)
