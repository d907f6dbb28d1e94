"""The secret: the key of all keyed functions, in a file of its own; and keys of projects, in files like it.

Guarantees that a new secret comes from the system's random source, is on stable storage before `create_secret`
returns, and was readable by nobody else at any time. Refuses (StartError) a file that is missing, malformed, or
readable or writable by group or others. The secret itself is in no message.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import os
import re
import secrets
import stat
from pathlib import Path

from node.durable import sync_folder
from node.errors import StartError

SECRET_BYTES = 32
_HEX = re.compile(rb"[0-9a-fA-F]{64}\n?\Z")
_FINGERPRINT_TEXT = b"deid-node secret fingerprint"
_AUDIT_TEXT = b"deid-node audit chain"
_RECEIPT_TEXT = b"deid-node receipts"


def load_secret(path: Path, what: str = "secret", hint: str = "") -> bytes:
    """Return the secret of a file, 32 bytes; `what` is how messages call it, `hint` what to do where it is gone.

    Raises StartError when it is missing, malformed, or open to others.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise StartError(f"The {what} {path} cannot be read: {error.strerror}.{hint and ' ' + hint}") from None
    try:
        state = os.fstat(descriptor)
        content = os.read(descriptor, 1024) if stat.S_ISREG(state.st_mode) else b""
    finally:
        os.close(descriptor)
    if not stat.S_ISREG(state.st_mode):
        raise StartError(f"The {what} {path} is no file.")
    if stat.S_IMODE(state.st_mode) & 0o077:
        raise StartError(f"The {what} {path} can be read by others; run: chmod 600 {path}")
    if not _HEX.match(content):
        raise StartError(f"The {what} {path} is malformed: 64 hexadecimal digits are expected.")
    return bytes.fromhex(content.decode("ascii"))


def create_secret(path: Path, what: str = "secret") -> bytes:
    """Make a secret in a file that does not exist yet, durably, and return it. Raises StartError.

    The file is whole or not there: what a death leaves of it is written anew the next time.
    """
    secret = secrets.token_bytes(SECRET_BYTES)
    draft = path.with_name(f"{path.name}.new")
    try:
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secret.hex().encode("ascii") + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.rename(draft, path)
        sync_folder(path.parent)
    except OSError as error:
        raise StartError(f"The {what} {path} cannot be made: {error.strerror}.") from None
    return secret


def destroy_secret(path: Path) -> None:
    """Overwrite a secret where it lies, and remove its file, both durably. Raises OSError.

    What a file system or a disk keeps of what was overwritten, and copies elsewhere, are beyond this.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(descriptor, b"0" * os.fstat(descriptor).st_size, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    path.unlink()
    sync_folder(path.parent)


def fingerprint(secret: bytes) -> str:
    """Return what the ledger keeps of a secret: 32 hexadecimal digits, from which it cannot be found."""
    return hmac.new(secret, _FINGERPRINT_TEXT, hashlib.sha256).hexdigest()[:32]


def audit_key(secret: bytes) -> bytes:
    """Return the key of the audit trail's chain, from which the secret cannot be found."""
    return hmac.digest(secret, _AUDIT_TEXT, hashlib.sha256)


def receipt_key(secret: bytes) -> bytes:
    """Return the private key (Ed25519, 32 bytes) that signs receipts, from which the secret cannot be found."""
    return hmac.digest(secret, _RECEIPT_TEXT, hashlib.sha256)
