"""Who asks for something: the person at the command line, or whoever sent a signal.

A person is known by the account in which they logged in, where the system remembers it (`sudo` keeps it), and by the
account in which the command runs. Command lines are not kept, since an argument may hold anything.
"""

from __future__ import annotations

import os
import pwd
import socket
from dataclasses import dataclass
from pathlib import Path

from node.audit.messages import Code, Participant

# Which user of the web page a command is run for. A claim and no more: the account that runs it is told beside it.
ON_BEHALF = "DEID_NODE_ON_BEHALF_OF"

_NOBODY = 2**32 - 1  # what /proc/self/loginuid holds for a process that no login began


@dataclass(frozen=True, slots=True)
class Actor:
    """A person: the account that acts (user id), the one that logged in, and what was called (`held discard`)."""

    account: int
    login: int
    command: str = ""

    def participant(self, *roles: Code) -> Participant:
        """The person as a message names them: loginName@host (PS3.15 A.5.2.1)."""
        alternative = _name(self.account) if self.account != self.login else ""
        return Participant(f"{_name(self.login)}@{host_name()}", alternative, self.command, True, roles)


@dataclass(frozen=True, slots=True)
class WebUser(Actor):
    """One who is signed in at the web page, and from where; `account` is that of the process that acts for them."""

    user: str = ""
    address: str = ""

    def participant(self, *roles: Code) -> Participant:
        """The user as a message names them: of the web page of this machine, not of its accounts."""
        return Participant(
            f"web/{self.user}@{host_name()}", _name(self.account), self.command, True, roles, self.address
        )


def web_user(user: str, address: str, command: str) -> WebUser:
    """Return a user of the web page who does what the page calls `command`."""
    account = os.getuid()
    return WebUser(account, account, command, user, address)


def this_person(command: str = "") -> Actor:
    """Return who runs this process; where the web page runs it for one of its users, `command` says for whom."""
    command += os.environ.get(ON_BEHALF, "")
    account = os.getuid()
    try:
        login = int(Path("/proc/self/loginuid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        login = _NOBODY
    if login == _NOBODY:
        login = _sudo() if account == 0 else account
    return Actor(account, login, command)


def sender_of_signal(account: int, command: str) -> Actor:
    """Return who sent a signal, by the user id that the system gives with it."""
    return Actor(account, account, command)


def host_name() -> str:
    """The machine's name."""
    return socket.gethostname() or "localhost"


def _sudo() -> int:
    text = os.environ.get("SUDO_UID", "")
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def _name(account: int) -> str:
    try:
        return pwd.getpwuid(account).pw_name
    except (KeyError, OverflowError):
        return f"uid-{account}"
