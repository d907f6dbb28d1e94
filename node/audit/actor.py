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


def this_person(command: str = "") -> Actor:
    """Return who runs this process."""
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
