"""Who may sign in at the web page, as what, and by which tokens programs come in.

Guarantees
    The file holds no password and no token, only their hashes (argon2id; SHA-256 of 256 random bits), is its owner's
    alone, and is replaced as a whole. Whoever reads it again sees a change at once.

Refuses (UsersError)
    A file that others can read, or that is none of this kind.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from node.durable import sync_folder
from node.errors import UsersError

SHORTEST_PASSWORD = 12
_LONGEST_PASSWORD = 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}\Z")
_FORM = 1  # of the file
_TOKEN = "deid_"  # noqa: S105 — what tokens begin with, so that scanners of repositories know them

_HASHER = PasswordHasher()  # argon2id with the parameters of RFC 9106
# What a password is compared with where there is no such user, so that both take as long.
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


class Role(StrEnum):
    """What a user may do: look without identity; act; see identity. The first is everybody's."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    RE_IDENTIFIER = "re-identifier"


@dataclass(frozen=True, slots=True)
class User:
    """One who may sign in; without `password` (a hash) only by a reverse proxy or a token.

    `tokens` are by label: SHA-256 of the token, in hexadecimal, and when it was made (seconds, UTC).
    """

    name: str
    roles: frozenset[Role]
    password: str | None = field(default=None, repr=False)
    tokens: Mapping[str, tuple[str, float]] = field(default_factory=dict, repr=False)

    def may(self, role: Role) -> bool:
        """Whether the user has a role; that of a viewer everybody has."""
        return role is Role.VIEWER or role in self.roles

    @property
    def sign_in(self) -> str:
        """What a session of the user goes by: another text once the password is another one."""
        return _digest(self.password or "")


class Users:
    """The users of a file, which is read again when it changes. A file that is not there holds nobody."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, ...] = ()
        self._users: dict[str, User] = {}
        self._by_token: dict[str, str] = {}

    def all(self) -> list[User]:
        """Every user, by name. Raises UsersError."""
        self._read()
        return [self._users[name] for name in sorted(self._users)]

    def get(self, name: str) -> User | None:
        """The user of a name. Raises UsersError."""
        self._read()
        return self._users.get(name)

    def of_token(self, token: str) -> User | None:
        """The user whose token it is. Raises UsersError."""
        self._read()
        return self._users.get(self._by_token.get(_digest(token), ""))

    def of_password(self, name: str, password: str) -> User | None:
        """The user of a name, if the password is the right one; takes as long where there is none.

        Raises UsersError.
        """
        user = self.get(name)
        known = user.password if user is not None else None
        right = _is(known or _NOBODY, password)
        return user if right and known is not None else None

    @staticmethod
    def check(name: str, password: str | None) -> None:
        """Raise UsersError where `put` would, for the name or the password."""
        if not _NAME.match(name):
            raise UsersError(
                "a user's name has letters, digits and . _ @ -, begins with one of the first two, at most 64"
            )
        if password is not None and not SHORTEST_PASSWORD <= len(password) <= _LONGEST_PASSWORD:
            raise UsersError(f"a password has at least {SHORTEST_PASSWORD} characters, and at most {_LONGEST_PASSWORD}")

    def need(self, name: str) -> User:
        """The user of a name. Raises UsersError, also where there is none."""
        self._read()
        return self._need(name)

    def put(self, name: str, roles: Iterable[Role], password: str | None) -> User:
        """Add a user, or give one other roles and another password (None: none); tokens stay. Raises UsersError."""
        self.check(name, password)
        self._read()
        before = self._users.get(name)
        hashed = None if password is None else _HASHER.hash(password)
        user = User(name, frozenset({Role.VIEWER, *roles}), hashed, before.tokens if before else {})
        self._write({**self._users, name: user})
        return user

    def set_roles(self, name: str, roles: Iterable[Role]) -> User:
        """Give a user other roles; password and tokens stay. Raises UsersError."""
        user = replace(self.need(name), roles=frozenset({Role.VIEWER, *roles}))
        self._write({**self._users, name: user})
        return user

    def remove(self, name: str) -> None:
        """Remove a user with all tokens; sessions end with it. Raises UsersError."""
        self._read()
        self._need(name)
        self._write({key: user for key, user in self._users.items() if key != name})

    def check_label(self, name: str, label: str, *, there: bool = False) -> User:
        """Return the user whose token is to be made, or with `there` removed. Raises UsersError where it cannot be."""
        user = self.need(name)
        if there and label not in user.tokens:
            raise UsersError(f"the user has no token '{label}'")
        if not there and (not _NAME.match(label) or label in user.tokens):
            raise UsersError("a token's label is a name like a user's, and no other token of the user has it")
        return user

    def add_token(self, name: str, label: str) -> str:
        """Make a token for a user and return it: nobody can be told it again. Raises UsersError."""
        user = self.check_label(name, label)
        token = _TOKEN + secrets.token_urlsafe(32)
        tokens = {**user.tokens, label: (_digest(token), time.time())}
        self._write({**self._users, name: replace(user, tokens=tokens)})
        return token

    def remove_token(self, name: str, label: str) -> None:
        """Make a token worthless. Raises UsersError."""
        user = self.check_label(name, label, there=True)
        tokens = {key: value for key, value in user.tokens.items() if key != label}
        self._write({**self._users, name: replace(user, tokens=tokens)})

    def _need(self, name: str) -> User:
        if name not in self._users:
            raise UsersError("there is no such user: deid-node web user list")
        return self._users[name]

    def _read(self) -> None:
        try:
            with self.path.open("rb") as file:
                found = os.fstat(file.fileno())
                if stat.S_IMODE(found.st_mode) & 0o077:
                    raise UsersError(f"{self.path} can be read by others; run: chmod 600 {self.path}")
                stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
                if stamp == self._stamp:
                    return
                self._take(_parsed(file.read(), self.path), stamp)
        except FileNotFoundError:
            self._take({}, ())
        except OSError as error:
            raise UsersError(f"{self.path} cannot be read ({error.strerror})") from None

    def _take(self, users: dict[str, User], stamp: tuple[int, ...]) -> None:
        # In this order, and each whole: other threads read meanwhile.
        self._by_token = {digest: user.name for user in users.values() for digest, _ in user.tokens.values()}
        self._users, self._stamp = users, stamp

    def _write(self, users: dict[str, User]) -> None:
        content = {"form": _FORM, "users": {name: _plain(user) for name, user in sorted(users.items())}}
        draft = self.path.with_name(self.path.name + ".new")
        try:
            draft.unlink(missing_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(content, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                raise UsersError(f"{self.path.parent} is not there yet: the node's first start makes it") from None
            raise UsersError(f"{self.path} cannot be written ({error.strerror})") from None
        self._read()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "backslashreplace")).hexdigest()


def _is(hashed: str, password: str) -> bool:
    try:
        return len(password) <= _LONGEST_PASSWORD and _HASHER.verify(hashed, password)
    except (Argon2Error, InvalidHashError, UnicodeError):
        return False


def _plain(user: User) -> dict[str, Any]:
    return {
        "roles": sorted(user.roles),
        "password": user.password,
        "tokens": {label: {"sha256": digest, "made": made} for label, (digest, made) in user.tokens.items()},
    }


def _parsed(content: bytes, path: Path) -> dict[str, User]:
    try:
        document = json.loads(content)
        if document["form"] != _FORM:
            raise UsersError(f"{path} was written by a newer version of the program")
        return {str(name): _user(str(name), one) for name, one in document["users"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsersError(f"{path} is no file of users: write it by deid-node web user add") from None


def _user(name: str, one: dict[str, Any]) -> User:
    tokens = {str(label): (str(token["sha256"]), float(token["made"])) for label, token in one["tokens"].items()}
    password = one["password"]
    return User(name, frozenset(map(Role, one["roles"])), None if password is None else str(password), tokens)
