"""What all requests share, and what one of them may do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.exceptions import HTTPException

from node.audit.actor import Actor
from node.audit.messages import Message
from node.config import Config, columns_of, users_path
from node.ledger import Database, Ledger
from node.ledger.audit import Trail
from node.spool import Spool
from node.web.commands import Commands
from node.web.history import History
from node.web.person import Person, identify
from node.web.sessions import Pretokens, Sessions, Throttle
from node.web.users import Role, Users


@dataclass
class Site:
    """One node's page: its configuration and ledger, who may come, and what was remembered. `trail` has its key."""

    config: Config
    trail: Trail
    database: Database = field(init=False)
    spool: Spool = field(init=False)
    users: Users = field(init=False)
    sessions: Sessions = field(init=False)
    commands: Commands = field(init=False)
    history: History = field(init=False)
    throttle: Throttle = field(default_factory=Throttle)
    pretokens: Pretokens = field(default_factory=Pretokens)
    hashing: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(2))  # each takes 64 MiB

    def __post_init__(self) -> None:
        config = self.config
        self.database = Database(config.node.ledger, columns_of(config))
        self.spool = Spool(config.node.spool)
        self.users = Users(users_path(config))
        self.sessions = Sessions(config.web.session.idle, config.web.session.longest)
        self.commands = Commands(config.file)
        self.history = History(config, self.database)

    def trail_of(self, actor: Actor) -> Trail:
        """The audit trail, in the name of somebody."""
        return Trail(lambda: self.trail.key, self.trail.source, actor)

    def close(self) -> None:
        """Close what is open."""
        self.database.close()


@dataclass(frozen=True)
class Desk:
    """What one person may do, whose name everything bears that is written to the audit trail."""

    site: Site
    person: Person

    @property
    def config(self) -> Config:
        """The node's configuration."""
        return self.site.config

    def may(self, role: str) -> bool:
        """Whether the person has a role."""
        return self.person.user.may(Role(role))

    def trail(self, doing: str) -> Trail:
        """The audit trail, for what the person does now: a few words of the program's own."""
        return self.site.trail_of(self.person.actor(f"web: {doing}"))

    def ledger(self, doing: str) -> Ledger:
        """The ledger, in the person's name."""
        return Ledger(self.site.database, self.trail(doing))

    def record(self, doing: str, make: Callable[[Trail], Message]) -> None:
        """Write to the audit trail before anything is shown or done. Raises LedgerError."""
        trail = self.trail(doing)
        trail.record(self.site.database, make(trail))


def desk(role: Role) -> Callable[[Request], Coroutine[Any, Any, Desk]]:
    """Return what finds out who asks, and refuses whoever has not the role (HTTPException 401, 403)."""

    async def found(request: Request) -> Desk:
        site: Site = request.app.state.site
        person = await identify(request, site)
        if not person.user.may(role):
            raise HTTPException(403, f"this needs the role {role}")
        return Desk(site, person)

    return found


_LOOK, _ACT, _IDENTIFY = (desk(role) for role in (Role.VIEWER, Role.OPERATOR, Role.RE_IDENTIFIER))

Looking = Annotated[Desk, Depends(_LOOK)]
Acting = Annotated[Desk, Depends(_ACT)]
Identifying = Annotated[Desk, Depends(_IDENTIFY)]
