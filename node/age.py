"""Encryption to public keys in the age format (age-encryption.org/v1), which the command `age` opens too.

Guarantees that what is encrypted streams through in pieces and is never whole in memory, that an error of whoever gives
or takes the pieces ends the call and is raised as it was, and that of a file which was changed or cut short
`decrypt` raises in the end: until then nothing that it gave may be relied on. No key is in any message.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from node.errors import FileError, NodeError

_SECRET_PREFIX = "AGE-SECRET-KEY-1"  # noqa: S105 -- how a line with a key begins, not a key
_MAX_KEY_FILE = 1 << 20


class Writable(Protocol):
    """What can be written to."""

    def write(self, piece: bytes, /) -> int:
        """Take all of a piece."""


def check_recipient(text: str) -> None:
    """Raise ValueError unless `text` is an age public key (`age1…`)."""
    import pyrage

    try:
        pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        raise ValueError("expected a public key of age: age1 and 58 characters, as age-keygen prints it.") from None


def create_identity(path: Path) -> str:
    """Make a private key in a new file, for its owner alone, as `age-keygen -o` does; return the public key.

    Raises FileError where there is a file, or it cannot be written.
    """
    import pyrage

    identity = pyrage.x25519.Identity.generate()
    public = str(identity.to_public())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"# public key: {public}\n{identity}\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise FileError(f"the key cannot be made ({error.strerror})", str(path)) from None
    return public


def load_identities(path: Path) -> list[Any]:
    """Return the private keys of a file, as age-keygen writes it: one a line, # for comments. Raises FileError."""
    import pyrage

    try:
        with path.open("rb") as file:
            lines = file.read(_MAX_KEY_FILE).decode("ascii", errors="replace").splitlines()
    except OSError as error:
        raise FileError(f"the key cannot be read ({error.strerror})", str(path)) from None
    found = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            found.append(pyrage.x25519.Identity.from_str(text))
        except pyrage.IdentityError:
            raise FileError(f"line {number} is no private key of age ({_SECRET_PREFIX}…)", str(path)) from None
    if not found:
        raise FileError(f"no private key of age ({_SECRET_PREFIX}…) stands there", str(path))
    return found


def encrypt(pieces: Iterable[bytes], file: Writable, recipients: Sequence[str]) -> None:
    """Write `pieces`, encrypted to public keys, to a file. Raises what `pieces` and `file` raise, and NodeError."""
    import pyrage

    keys = [pyrage.x25519.Recipient.from_str(one) for one in recipients]
    source, sink = _Source(pieces), _Sink(file.write)
    try:
        pyrage.encrypt_io(source, sink, keys)
    except Exception as error:  # noqa: BLE001 -- what came through the library: ours is raised as it was
        _raise_own(source, sink)
        raise NodeError(f"encryption failed ({type(error).__name__})") from None
    # The library drops its last buffer's error.
    _raise_own(source, sink)


def decrypt(file: BinaryIO, identities: Sequence[Any], take: Callable[[bytes], object]) -> None:
    """Give the content of a file to `take`, piece by piece.

    Raises
    ------
    FileError
        None of the keys opens it, or it was changed or cut short.
    """
    import pyrage

    sink = _Sink(take)
    try:
        pyrage.decrypt_io(file, sink, list(identities))
    except Exception as error:  # noqa: BLE001 -- as above
        _raise_own(sink)
        text = "it is no file of age" if "header" in str(error).lower() else "it is damaged"
        if "matching" in str(error).lower():
            text = "none of the keys opens it: it was encrypted to others"
        raise FileError(f"it cannot be decrypted ({text})", str(getattr(file, "name", ""))) from None
    _raise_own(sink)


def _raise_own(*ends: _Source | _Sink) -> None:
    for one in ends:
        if one.error is not None:
            raise one.error


class _Source:
    """What the library reads from; an error is kept, since it comes out of the library as another one."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")
        self.error: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes; none at the end."""
        try:
            while not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    return b""
                self._rest = memoryview(piece)
        except Exception as error:
            self.error = error
            raise
        given = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(given) :]
        return bytes(given)


class _Sink:
    """What the library writes to; an error is kept, as above, and nothing is taken after it."""

    def __init__(self, take: Callable[[bytes], object]) -> None:
        self._take = take
        self.error: Exception | None = None

    def write(self, piece: bytes) -> int:
        """Take all of a piece."""
        if self.error is None:
            try:
                self._take(bytes(piece))
            except Exception as error:
                self.error = error
                raise
        return len(piece)

    def flush(self) -> None:
        """Do nothing: the file's owner syncs it."""
