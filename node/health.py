"""Whether the node lives, and whether it can take what senders send: yes or no, with what speaks for each.

Guarantees that asking changes nothing, opens no connection to the node, and returns at once where the ledger does. A
destination that is away or paused, and what is held, say nothing of the node's own health: it takes and keeps what is
for them.
"""

from __future__ import annotations

import ipaddress
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from node.config import Config, Endpoint, columns_of
from node.config.commitment import is_wanted
from node.config.units import IPAddress
from node.disk import look
from node.errors import NodeError
from node.ledger.database import Database
from node.ledger.schema import VERSION
from node.opening import running_node
from node.reloading import last
from node.roster import Present, present

_SILENT_SECONDS = 300.0  # a reload compiles recipes meanwhile, and a ledger that is busy is waited for
_NEEDED = ("receiver", "cleaner", "forwarder", "keeper", "auditor")
_LISTENING = "0A"


@dataclass(frozen=True, slots=True)
class Check:
    """One question: its name, whether all is well, and in words what was found."""

    name: str
    ok: bool
    text: str


@dataclass(frozen=True, slots=True)
class Health:
    """The answers to all questions."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return all(check.ok for check in self.checks)

    def told(self) -> dict[str, object]:
        """As `/health/…` and `deid-node health --json` answer it."""
        checks = {check.name: {"ok": check.ok, "text": check.text} for check in self.checks}
        return {"ok": self.ok, "checks": checks}


def live(config: Config) -> Health:
    """Return whether the node of a configuration runs and looks after its processes; where not, it is to be started
    anew.
    """
    return Health(tuple(_lives(config)))


def ready(config: Config, database: Database | None = None) -> Health:
    """Return whether the node can take instances now; `database` is used where it is given, else one is opened."""
    checks = list(_lives(config))
    if checks[0].ok:
        process = running_node(config)
        told = present(config.node.spool, process) if process is not None else None
        checks += [*_roles(config, told), _recipes(config, told), *_listens(config), _reloaded(config)]
    return Health((*checks, _ledger(config, database), _disk(config)))


def _lives(config: Config) -> Iterator[Check]:
    try:
        process = running_node(config)
    except OSError:
        process = None
    if process is None:
        yield Check("process", False, "no node is running with this configuration's spool")
        return
    yield Check("process", True, f"process {process}")
    told = present(config.node.spool, process)
    silent = None if told is None else time.time() - told.at
    if silent is None:
        yield Check("supervisor", True, "is starting")
    elif silent > _SILENT_SECONDS and _can_be_written(config):
        yield Check("supervisor", False, f"has not looked after its processes for {silent:.0f} s")
    else:
        yield Check("supervisor", True, "looks after its processes")


def _can_be_written(config: Config) -> bool:
    """Where the spool cannot be written, the supervisor cannot tell of itself."""
    try:
        return look(config).state in ("ok", "low")
    except OSError:
        return False


def _roles(config: Config, told: Present | None) -> Iterator[Check]:
    if told is None:
        yield Check("roles", False, "the node is starting")
        return
    wanted = [*_NEEDED, *(["notifier"] if config.notify.wanted else []), *(["committer"] if is_wanted(config) else [])]
    wanted += ["completeness"] if config.completeness is not None else []
    living = {label.rstrip("0123456789") for label, pid in told.roles.items() if pid}
    missing = [role for role in wanted if role not in living]
    waiting = sorted(label for label, pid in told.roles.items() if not pid)
    text = f"{len(told.roles) - len(waiting)} processes"
    if waiting:
        text += f"; ended, and started again soon: {', '.join(waiting)}"
    if missing:
        text += f"; there is no {', no '.join(missing)}: the log says why"
    yield Check("roles", not missing, text)


def _recipes(config: Config, told: Present | None) -> Check:
    if told is None:
        return Check("recipes", False, "the node is starting")
    missing = [route.name for route in config.routes if route.name not in told.recipes]
    if missing:
        return Check("recipes", False, f"not loaded for {', '.join(missing)}: deid-node reload")
    return Check("recipes", True, f"loaded for {len(config.routes)} routes")


def _reloaded(config: Config) -> Check:
    """A reload that was refused: the configuration before goes on, so that it is told and no more."""
    faults = last(config.node.spool).faults
    text = f"the last reload was refused for {len(faults)} faults: deid-node check" if faults else "no faults"
    return Check("reload", True, text)


def _listens(config: Config) -> Iterator[Check]:
    """Look into the system's table: a connection would be logged, and counted where TLS is expected."""
    table = list(_open_ports())
    closed = [str(one.listen) for one in config.node.listening if not _is_open(one.listen, table)]
    text = f"nothing listens on {', '.join(closed)}" if closed else f"{len(config.node.listening)} open"
    yield Check("listeners", not closed, text)


def _open_ports() -> Iterator[tuple[IPAddress, int]]:
    """Address and port of each listening socket (proc_pid_net(5); addresses are words in the machine's byte order)."""
    for name in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/self/net", name).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTENING:
                host, _, port = fields[1].partition(":")
                words = (int(host[at : at + 8], 16) for at in range(0, len(host), 8))
                address = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
                yield ipaddress.ip_address(address), int(port, 16)


def _is_open(endpoint: Endpoint, table: list[tuple[IPAddress, int]]) -> bool:
    hosts = {host for host, port in table if port == endpoint.port}
    try:
        wanted = ipaddress.ip_address(endpoint.host)
    except ValueError:
        return bool(hosts)  # a name: which of the machine's addresses it is, the system knows
    return wanted in hosts


def _ledger(config: Config, database: Database | None) -> Check:
    own = Database(config.node.ledger, columns_of(config)) if database is None else database
    try:
        version = own.version()
    except NodeError as error:
        return Check("ledger", False, str(error))
    finally:
        if database is None:
            own.close()
    if version is None:
        return Check("ledger", False, "there is none")
    if version != VERSION:
        return Check("ledger", False, "is of another version: start the node once to migrate it")
    return Check("ledger", True, "answers")


def _disk(config: Config) -> Check:
    try:
        disk = look(config)
    except OSError:
        return Check("disk", False, "there is no spool")
    return Check("disk", disk.state in ("ok", "low"), disk.text or "has room")
