"""The start of the node: whatever keeps it from serving is one sentence, before anybody can connect.

Guarantees
    One process at a time serves a spool. Ports are bound before anything is opened, and listened to after everything
    is. Ledger and secret are only opened in a child, so that no fork passes them on. Refuses with StartError.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from node import __version__, in_use
from node.auditor import tell_start
from node.canary import bind_sink, port_of, with_canary
from node.children import SIGNALS, run_to_its_end
from node.config import Config, columns_of
from node.errors import StartError
from node.ledger.cleaning import free_leases
from node.ledger.database import Database
from node.listeners import bind, endpoints, listen
from node.log import setup_logging
from node.opening import lock_spool, make_spool, open_node
from node.recipe import Recipe
from node.roster import Roster
from node.routing import date_modes
from node.shared import Numbers, Places
from node.spool import Spool
from node.supervisor import Supervisor, read_what_is_shared
from node.sweeper import Sweeper
from node.withdrawing import agree


def serve(config_path: Path, config: Config, recipes: dict[str, Recipe]) -> int:
    """Run the node until it is told to end; return the exit code. `recipes` are the configuration's, by route.

    Raises
    ------
    StartError
        The node cannot start.
    """
    if sys.platform != "linux":
        raise StartError("deid-node serves on Linux only; elsewhere run it in a container or a virtual machine")
    os.umask(0o077)
    setup_logging(config.node.log.format, config.node.log.level, "supervisor")
    spool = make_spool(config)
    with contextlib.ExitStack() as open_ones:
        open_ones.callback(os.close, lock_spool(spool))
        listeners = tuple(open_ones.enter_context(bind(endpoint, key)) for endpoint, key in endpoints(config))
        trial = web = None
        if config.trial_destination is not None and config.trial_destination.enabled:
            trial = open_ones.enter_context(bind(config.trial_destination.listen, "trial_destination.listen"))
        if config.web.enabled:
            web = open_ones.enter_context(bind(config.web.listen, "web.listen"))
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        run_to_its_end(lambda: _open(config, spool, recipes), config.node.log)
        read_what_is_shared(recipes)
        # Only now: whoever can connect finds a ledger.
        for bound in (*listeners, trial, web):
            if bound is not None:
                listen(bound)
        workers = config.node.workers
        sink = open_ones.enter_context(bind_sink()) if config.canary is not None else None
        supervisor = Supervisor(
            config_path,
            *with_canary(config, recipes, port_of(sink)),
            spool,
            listeners,
            trial,
            web,
            Places(config.node.max_associations, workers * 4),
            Numbers(workers),
            Roster(spool.root),
            canary=sink,
        )
        _announce(config)
        return supervisor.run()


def _open(config: Config, spool: Spool, recipes: Mapping[str, Recipe]) -> None:
    open_node(config, spool, date_modes(config, recipes))
    database = Database(config.node.ledger, columns_of(config))
    agree(config, database)
    free_leases(database)
    Sweeper(config, spool, database).sweep(grace=0.0)
    tell_start(config, recipes, database)
    in_use.note(config, recipes)
    database.close()


def _announce(config: Config) -> None:
    """Tell the person at the console where things are."""
    node = config.node
    places = ", ".join(f"{one.listen}{' (TLS)' * (one.tls is not None)}" for one in node.listening)
    lines = [f"deid-node {__version__} listens on {places} as {node.ae_title}"]
    lines += [f"  forwards to {name}: {one.ae_title} at {one.address}" for name, one in config.destinations.items()]
    trial = config.trial_destination
    if trial is not None and trial.enabled:
        lines.append(f"  trial destination {trial.ae_title} on {trial.listen} writes to {trial.folder}")
    if config.web.enabled:
        lines.append(f"  web page at http://{config.web.listen}/")
    lines.append(f"  data in {node.data} (spool {node.spool})")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
