"""Browsers that have signed in, and how often a password may be tried.

Guarantees
    A session is known by 256 random bits, of which only a hash is kept, in this process's memory alone; it ends by
    time, by signing out, and with the process. Whoever tries passwords waits longer after each that was wrong: by name
    and by address. Neither grows without end.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

_MOST_SESSIONS = 1000
_MOST_NAMES = 10_000
_FREE_TRIES = 5
_FIRST_WAIT, _LONGEST_WAIT = 2.0, 300.0
_FORGOTTEN_AFTER = 3600.0


@dataclass(slots=True)
class Session:
    """A browser of a user; `proxied` where a reverse proxy says who it is, and has to say so with each request.

    `sign_in` is what the user signed in by (`User.sign_in`): with another password the session is worth nothing.
    """

    user: str
    csrf: str
    since: float
    used: float
    proxied: bool = False
    sign_in: str = ""


class Sessions:
    """The sessions of a process; times in seconds."""

    def __init__(self, idle: float, longest: float) -> None:
        self._idle, self._longest = idle, longest
        self._lock = threading.Lock()
        self._by_key: OrderedDict[str, Session] = OrderedDict()

    def begin(self, user: str, *, proxied: bool = False, sign_in: str = "") -> tuple[str, Session]:
        """Begin a session; return what the browser keeps as a cookie, and the session."""
        key, now = secrets.token_urlsafe(32), time.monotonic()
        session = Session(user, secrets.token_urlsafe(32), now, now, proxied, sign_in)
        with self._lock:
            self._by_key[_digest(key)] = session
            while len(self._by_key) > _MOST_SESSIONS:
                self._by_key.popitem(last=False)
        return key, session

    def get(self, key: str, *, touch: bool = True) -> Session | None:
        """The session of a cookie, if it has not ended; `touch` where somebody really does something."""
        now = time.monotonic()
        with self._lock:
            session = self._by_key.get(_digest(key))
            if session is None:
                return None
            if now - session.used > self._idle or now - session.since > self._longest:
                del self._by_key[_digest(key)]
                return None
            if touch:
                session.used = now
                self._by_key.move_to_end(_digest(key))
            return session

    def end(self, key: str) -> None:
        """End a session, if there is one."""
        with self._lock:
            self._by_key.pop(_digest(key), None)


class Throttle:
    """How long one has to wait who tried a password that was wrong: by any number of names for the same one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()  # how many, and when the last was

    def wait(self, *names: str) -> float:
        """Seconds until the next try; 0 is now."""
        now = time.monotonic()
        with self._lock:
            return max((self._wait(name, now) for name in names), default=0.0)

    def failed(self, *names: str) -> None:
        """Count a try that was wrong."""
        now = time.monotonic()
        with self._lock:
            for name in names:
                count, last = self._failures.pop(name, (0, now))
                self._failures[name] = (1 if now - last > _FORGOTTEN_AFTER else count + 1, now)
            while len(self._failures) > _MOST_NAMES:
                self._failures.popitem(last=False)

    def succeeded(self, *names: str) -> None:
        """Forget what was wrong before."""
        with self._lock:
            for name in names:
                self._failures.pop(name, None)

    def _wait(self, name: str, now: float) -> float:
        count, last = self._failures.get(name, (0, now))
        if count < _FREE_TRIES or now - last > _FORGOTTEN_AFTER:
            return 0.0
        pause = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(count - _FREE_TRIES, 30))
        return max(0.0, last + pause - now)


class Pretokens:
    """CSRF tokens for those who have no session yet: bound to a cookie by a key of the process, and kept nowhere."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def make(self, cookie: str) -> str:
        """The token of a cookie."""
        return hmac.new(self._key, cookie.encode(), hashlib.sha256).hexdigest()

    def is_right(self, cookie: str, token: str) -> bool:
        """Whether a token belongs to a cookie."""
        return bool(cookie) and hmac.compare_digest(self.make(cookie).encode(), token.encode())


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "backslashreplace")).hexdigest()
