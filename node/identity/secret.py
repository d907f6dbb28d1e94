"""The secret: the key of every keyed function of the node.

Guarantees
    A secret is 32 random bytes, written once, durably, to a file that the node's user alone can read; it is in no log,
    error or ledger. The ledger keeps its fingerprint, from which the secret cannot be found.

Refuses
    With StartError a file that others can read, or that is no secret.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
from pathlib import Path

from node.errors import StartError
from node.spool import sync_folder

_BYTES = 32
_HEX = re.compile(r"[0-9a-f]{64}")
_FINGERPRINT = b"deid-node secret fingerprint"


def create_secret(path: Path) -> bytes:
    """Make a new secret in a new file of mode 0600, and return it when it is on stable storage.

    Raises
    ------
    StartError
        The file exists, or cannot be written.
    """
    secret = secrets.token_bytes(_BYTES)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secret.hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
    except OSError as error:
        raise StartError(f"the secret {path} cannot be written ({error.strerror})") from None
    return secret


def load_secret(path: Path) -> bytes:
    """Read the secret.

    Raises
    ------
    StartError
        It is missing, readable by others, or malformed.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise StartError(f"the secret {path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        text = ""
    if stat.S_IMODE(mode) & 0o077:
        raise StartError(f"the secret {path} can be read by others than the node's user: chmod 600 it")
    if not _HEX.fullmatch(text):
        raise StartError(f"the secret {path} is not 64 hexadecimal digits: put the right file back (from the backup)")
    return bytes.fromhex(text)


def fingerprint(secret: bytes) -> str:
    """Return what tells one secret from another without giving it away: 128 bits, as hexadecimal digits."""
    return hmac.new(secret, _FINGERPRINT, hashlib.sha256).hexdigest()[:32]
