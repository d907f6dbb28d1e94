"""The supervisor: starts the roles, replaces what dies, ends them in order.

Guarantees
    It binds and listens once; receivers inherit the listeners. It holds no secret and no connection to the ledger, so
    that a fork passes on neither. A child that dies is replaced, with back-off, and what it had claimed is free at
    once. No child outlives it. SIGTERM and SIGINT let open associations and the instance in hand end; SIGHUP takes a
    new configuration if it is valid, without closing an association. A start that cannot succeed is a StartError.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from node import in_use
from node.auditor import keep_trail, tell_reload, tell_stop
from node.canary import Canary, bind_sink, close_quietly, port_of, with_canary
from node.children import SIGNALS, Work, fork, run_to_its_end, send_signal
from node.config import Config, certificate_faults, columns_of, load_config
from node.config.commitment import is_wanted as commits
from node.errors import ConfigError, NodeError, StartError
from node.fixed import refuse_fixed
from node.housekeeping import Keeper
from node.ledger.cleaning import free_leases, strike
from node.ledger.database import Database
from node.ledger.projects import refuse_changed
from node.ledger.seen import note_end
from node.log import event
from node.opening import need_key
from node.recipe import Recipe
from node.reloading import tell
from node.role import Role
from node.roster import Roster
from node.routing import compile_routes, date_modes
from node.shared import Bell, Company, Numbers, Places, Stop
from node.spool import Spool
from node.standard import read_required

LOGGER = logging.getLogger("node.supervisor")

_FIRST_BACK_OFF = 0.2
_LONGEST_BACK_OFF = 30.0
_WELL_AFTER = 60.0  # a child that lived this long starts its back-off anew
_LAST_SECONDS = 15.0  # for a cleaner or forwarder to finish what it has in hand

_LEAVING = "leaving"  # a receiver of the configuration before, which serves its associations to the end


@dataclass(slots=True)
class Supervisor:
    """The node's processes; made by `serve`."""

    config_path: Path
    config: Config
    recipes: dict[str, Recipe]
    spool: Spool
    listeners: tuple[socket.socket, ...]
    trial: socket.socket | None
    web: socket.socket | None
    places: Places
    in_hand: Numbers
    roster: Roster
    received: Bell = field(default_factory=Bell)
    cleaned: Bell = field(default_factory=Bell)
    company: Company = field(default_factory=Company)
    roles: list[Role] = field(default_factory=list)
    left_behind: list[tuple[str, int]] = field(default_factory=list)  # owners of leases that are to be freed
    ending: bool = False
    ended_by: int = 0  # the user id of whoever told it to end
    reloads: int = 0
    canary: socket.socket | None = None  # where its sink listens, once there is a canary

    def run(self) -> int:
        """Keep the roles alive until a signal ends the node; return the exit code."""
        for name, count in (
            ("keeper", 1),
            ("auditor", 1),
            ("notifier", int(self.config.notify.wanted)),
            ("completeness", int(self.config.completeness is not None)),
            ("committer", int(commits(self.config))),
            ("sink", int(self.trial is not None)),
            ("web", int(self.web is not None)),
            ("forwarder", 1),
            ("cleaner", self.config.node.workers),
            ("receiver", self.config.node.workers),
            ("canary", int(self.canary is not None)),
        ):
            self.roles += [Role(name, index, index) for index in range(count)]
        for role in self.roles:
            self._start(role)
        while not self.ending:
            self.roster.tell(*self._present())
            self._wait(self._next_start())
            self._recover_all()
            for role in self.roles:
                if role.pid == 0 and role.start_at <= time.monotonic() and not self.ending:
                    self._start(role)
        self._end()
        return 0

    def _present(self) -> tuple[dict[str, int], dict[str, str]]:
        pids = {role.label: role.pid for role in self.roles if role.name != _LEAVING}
        return pids, {name: recipe.hash for name, recipe in self.recipes.items()}

    def _next_start(self) -> float:
        waiting = [role.start_at - time.monotonic() for role in self.roles if role.pid == 0]
        return max(0.0, min([5.0, *waiting]))

    def _wait(self, seconds: float) -> None:
        info = signal.sigtimedwait(SIGNALS, seconds)
        if info is None or info.si_signo == signal.SIGCHLD:
            self._reap()
        elif info.si_signo == signal.SIGHUP:
            self._reload(info.si_uid)
        else:
            self.ending, self.ended_by = True, info.si_uid

    # -- children --------------------------------------------------------------------------------------------------

    def _start(self, role: Role) -> None:
        role.owner = f"{role.label}-{secrets.token_hex(4)}"
        try:
            pid = fork(role.label, self.config.node.log, self._work(role), role.niceness)
        except OSError as error:
            # No room for a process now: the others go on, and it is tried again.
            event(LOGGER, "not-started", level=logging.ERROR, role=role.label, error=os.strerror(error.errno or 0))
            self._later(role)
            return
        role.pid, role.started, role.leaving = pid, time.monotonic(), False
        event(LOGGER, "started", level=logging.DEBUG, role=role.label, pid=pid)

    def _work(self, role: Role) -> Work:
        """What the child of a role does; imported there, so that no role is loaded where it does not run."""
        works: dict[str, Work] = {
            "receiver": lambda stop: self._receive(role.slot, stop),
            "cleaner": lambda stop: self._clean(role, stop),
            "forwarder": lambda stop: self._forward(role.owner, stop),
            "sink": self._sink,
            "auditor": self._audit,
            "keeper": self._keep,
            "web": self._serve_web,
            "canary": self._sing,
            "notifier": self._notify,
            "completeness": self._complete,
            "committer": self._commit,
        }
        return works[role.name]

    def _receive(self, slot: int, stop: Stop) -> None:
        from node.receiver.worker import receive

        self._close_others()
        need_key(self.config, self.spool)
        receive(self.config, self.spool, self.listeners, (self.places, slot), self.received, stop)

    def _clean(self, role: Role, stop: Stop) -> None:
        from node.cleaner.cleaning import Cleaning
        from node.cleaner.plan import make_plans
        from node.cleaner.worker import Cleaner
        from node.identity import load_secret
        from node.ledger.cleaning import CleaningLedger

        self._begin()
        ledger = CleaningLedger(Database(self.config.node.ledger, columns_of(self.config)), role.owner)
        plans = make_plans(self.config, self.recipes, load_secret(self.config.node.secret_file))
        derives = self.config.node.originals == "until-delivered"
        cleaning = Cleaning(self.spool, ledger, plans, self.config.node.ae_title, derives=derives)
        shared = self.received, self.company, self.cleaned, self.in_hand
        Cleaner(cleaning, ledger, self.spool, *shared, role.slot, stop).run()

    def _forward(self, owner: str, stop: Stop) -> None:
        from node.forwarder.worker import forward

        self._begin()
        forward(self.config, self.spool, owner, self.cleaned, stop)

    def _sink(self, stop: Stop) -> None:
        from node.sink import serve_sink

        trial = self.config.trial_destination
        assert self.trial is not None
        assert trial is not None
        self._close_listeners(self.trial)
        serve_sink(self.trial, trial.ae_title, trial.folder, stop)

    def _keep(self, stop: Stop) -> None:
        self._begin()
        Keeper(self.config, self.spool, Database(self.config.node.ledger, columns_of(self.config)), stop).run()

    def _sing(self, stop: Stop) -> None:
        assert self.canary is not None
        self._begin(self.canary)
        database = Database(self.config.node.ledger, columns_of(self.config))
        Canary(self.config, self.recipes, self.spool, database, self.canary, stop).run()

    def _audit(self, stop: Stop) -> None:
        self._close_listeners()
        keep_trail(self.config, stop)

    def _serve_web(self, stop: Stop) -> None:
        from node.web.serving import serve_web

        assert self.web is not None
        self._begin(self.web)
        serve_web(self.config, self.web, stop)

    def _notify(self, stop: Stop) -> None:
        from node.notifier.worker import notify

        self._close_listeners()
        notify(self.config, stop)

    def _complete(self, stop: Stop) -> None:
        from node.completeness.worker import keep_complete

        self._begin()
        keep_complete(self.config, stop)

    def _commit(self, stop: Stop) -> None:
        from node.committer.worker import commit

        self._begin()
        commit(self.config, stop)

    def _begin(self, own: socket.socket | None = None) -> None:
        """In a child: let go of every listener but its own, and have the key. Raises StartError."""
        self._close_listeners(own)
        need_key(self.config, self.spool)

    def _close_own(self) -> None:
        for listener in self.listeners:
            listener.close()

    def _close_listeners(self, but: socket.socket | None = None) -> None:
        self._close_own()
        self._close_others(but)

    def _close_others(self, but: socket.socket | None = None) -> None:
        for other in (self.trial, self.web, self.canary):
            if other is not None and other is not but:
                other.close()

    # -- deaths ----------------------------------------------------------------------------------------------------

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for role in self.roles:
                if role.pid == pid:
                    self._died(role, os.waitstatus_to_exitcode(status))
                    break

    def _died(self, role: Role, code: int) -> None:
        role.pid = 0
        if role.name in ("receiver", _LEAVING):
            self.places.forget(role.slot)
        if role.name == _LEAVING:
            self.roles.remove(role)
            return
        self._leave_behind(role)
        if role.leaving and code == 0:
            role.back_off, role.start_at = 0.0, time.monotonic()
            return
        if self.ending:
            return
        if time.monotonic() - role.started > _WELL_AFTER:
            role.back_off = 0.0
        self._later(role)
        self.roster.died(role.name)
        event(LOGGER, "died", level=logging.ERROR, role=role.label, exit=code, again_in=round(role.back_off, 1))

    def _leave_behind(self, role: Role) -> None:
        """Note whose leases are to be freed: also one that ended in order may not have written down what it did."""
        seq = 0
        if role.name == "cleaner":
            seq, self.in_hand[role.slot] = self.in_hand[role.slot], 0
        if role.name in ("cleaner", "forwarder"):
            self.left_behind.append((role.owner, seq))

    @staticmethod
    def _later(role: Role) -> None:
        role.back_off = min(_LONGEST_BACK_OFF, role.back_off * 2 or _FIRST_BACK_OFF)
        role.start_at = time.monotonic() + role.back_off

    def _recover_all(self) -> None:
        """Free the leases of those that are gone; where the ledger refuses, they are tried again."""
        self.left_behind = [one for one in self.left_behind if not self._job(partial(self._recover, *one))]

    def _recover(self, owner: str, seq: int) -> None:
        database = Database(self.config.node.ledger, columns_of(self.config))
        # The strike first: once the lease is free, another takes the instance without knowing of it.
        if seq and strike(database, seq, owner):
            event(LOGGER, "held", level=logging.ERROR, seq=seq, reason="poison")
        free_leases(database, owner)
        database.close()

    def _job(self, job: Callable[[], None]) -> bool:
        """Do something with the ledger in a process of its own: no connection may be open when a child is forked."""
        try:
            run_to_its_end(job, self.config.node.log)
        except (NodeError, OSError) as error:
            event(LOGGER, "recovery-failed", level=logging.ERROR, error=str(error))
            return False
        return True

    # -- reload and end --------------------------------------------------------------------------------------------

    def _reload(self, account: int) -> None:
        faults: list[str] = []
        try:
            config = load_config(self.config_path)
            recipes = compile_routes(config)
            refuse_fixed(self.config, config)
            run_to_its_end(lambda: _check_certificates(config), self.config.node.log)
            run_to_its_end(lambda: _check_projects(config, date_modes(config, recipes)), self.config.node.log)
            self._take(config, recipes)
            for what, file in in_use.changed_certificates(in_use.read(config.node.data), config):
                event(LOGGER, "certificate-changed", used_by=what, file=file.name)
            in_use.note(config, recipes)
        except (NodeError, OSError) as error:
            faults = str(error).splitlines() if isinstance(error, NodeError) else ["there is no room for a process"]
            event(LOGGER, "reload-refused", level=logging.ERROR, error="the old configuration stays")
            for line in faults:
                event(LOGGER, "reload-fault", level=logging.ERROR, fault=line)
        self._job(lambda: tell_reload(self.config, self.recipes, account, len(faults)))
        self.reloads += 1
        try:
            tell(self.spool.root, self.reloads, faults)
        except OSError as error:
            event(LOGGER, "reload-untold", level=logging.WARNING, error=os.strerror(error.errno or 0))

    def _take(self, config: Config, recipes: dict[str, Recipe]) -> None:
        """Replace the roles by those of another configuration."""
        receivers = [role for role in self.roles if role.name == "receiver"]
        used = {role.slot for role in self.roles if role.name in ("receiver", _LEAVING)}
        free = [slot for slot in range(self.places.taken.count) if slot not in used]
        if len(free) < len(receivers):
            raise StartError("associations of earlier reloads are still open: reload again when they have ended")
        self._take_canary(config)
        self.config, self.recipes = with_canary(config, recipes, port_of(self.canary))
        self.spool.retains = config.retention.originals > 0
        read_what_is_shared(recipes)
        for role in self.roles:
            if role.pid and role.name not in ("receiver", _LEAVING, "sink"):
                role.leaving = True
                send_signal(role.pid, signal.SIGTERM)
        for name, wanted in (
            ("notifier", config.notify.wanted),
            ("completeness", config.completeness is not None),
            ("committer", commits(config)),
        ):
            if wanted and all(role.name != name for role in self.roles):
                self.roles.append(Role(name, 0, 0))
        # New receivers take the next associations at once, while the old ones serve theirs to the end.
        for role, slot in zip(receivers, free, strict=False):
            self.roles.append(Role("receiver", role.index, slot))
            role.name, role.leaving = _LEAVING, True
            if role.pid:
                send_signal(role.pid, signal.SIGUSR1)
            else:
                self.roles.remove(role)
        event(LOGGER, "reloaded")

    def _take_canary(self, config: Config) -> None:
        """Have the canary's process and its sink where a configuration asks for them; raises StartError."""
        if config.canary is None or self.canary is not None:
            return
        try:
            self.canary = bind_sink()
        except OSError as error:
            raise StartError(f"the canary's sink cannot listen ({error.strerror})") from None
        self.roles.append(Role("canary", 0, 0))

    def _end(self) -> None:
        event(LOGGER, "ending")
        # From now on a sender is refused at once, where it would wait in vain in the backlog.
        self._close_own()
        close_quietly(self.canary)
        drain = self.config.node.drain + _LAST_SECONDS
        for names, seconds in (
            (("canary",), _LAST_SECONDS),
            (("receiver", _LEAVING), drain),
            (("cleaner",), _LAST_SECONDS),
            (("forwarder",), _LAST_SECONDS),
        ):
            self._end_roles(names, seconds)
        # Nothing more is transferred now; the auditor may still send what this writes.
        self._job(lambda: tell_stop(self.config, self.ended_by))
        ends = ("keeper", "sink", "auditor", "notifier", "completeness", "committer", "web")
        self._end_roles(ends, _LAST_SECONDS)
        self._job(lambda: note_end(Database(self.config.node.ledger, columns_of(self.config)), self.spool.root))
        event(LOGGER, "ended")

    def _end_roles(self, names: tuple[str, ...], seconds: float) -> None:
        roles = [role for role in self.roles if role.name in names]
        for role in roles:
            if role.pid:
                send_signal(role.pid, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while any(role.pid for role in roles) and time.monotonic() < deadline:
            for bell in (self.received, self.cleaned):
                bell.ring()  # one who waits for work sees that there is none to come
            signal.sigtimedwait((signal.SIGCHLD,), 0.2)
            self._reap()
        for role in roles:
            if role.pid:
                # Nothing is lost by it: whatever it had in hand is taken up at the next start.
                event(LOGGER, "killed", level=logging.WARNING, role=role.label)
                send_signal(role.pid, signal.SIGKILL)
        while any(role.pid for role in roles):
            signal.sigtimedwait((signal.SIGCHLD,), 0.2)
            self._reap()


def read_what_is_shared(recipes: Mapping[str, Recipe]) -> None:
    """Read the tables that every cleaner needs for its first instance: once, for all that are forked from here."""
    if any(recipe.profile is not None for recipe in recipes.values()):
        read_required()


def _check_certificates(config: Config) -> None:
    """Refuse certificates and keys that cannot be used; in a child too, as keys are loaded for it."""
    faults = certificate_faults(config)
    if faults:
        raise ConfigError(faults)


def _check_projects(config: Config, modes: Mapping[str, str]) -> None:
    """Refuse other forms of replacements than those handed out; where no connection to the ledger can be forked."""
    database = Database(config.node.ledger, columns_of(config))
    try:
        refuse_changed(database, config, modes)
    finally:
        database.close()
