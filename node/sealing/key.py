"""The key of encryption at rest, and what is derived from it (HKDF-SHA256, RFC 5869).

Guarantees that the key is read where it is needed and not before: the supervisor never has that of a file, so that a
fork passes none on. Refuses (StartError) a file that is missing, malformed, or readable or writable by others.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from node.identity import load_secret
from node.sealing.columns import Columns

KEY_ID_BYTES = 8
_COLUMN_KEY_BYTES = 64  # of AES-256-SIV: one half for each of its two keys
_FINGERPRINT_TEXT = b"deid-node encryption fingerprint"
_GONE = "Put its copy back there, for the node's user alone: without it nothing that was sealed can be read."
_FILE_TEXT = b"deid-node sealed file"
_COLUMN_TEXT = b"deid-node sealed column"


class Key:
    """A master key of 32 bytes."""

    __slots__ = ("_master", "fingerprint", "id")

    def __init__(self, master: bytes) -> None:
        self._master = master
        mark = hmac.new(master, _FINGERPRINT_TEXT, hashlib.sha256).digest()
        self.id = mark[:KEY_ID_BYTES]
        """What a sealed file says of its key: 8 bytes, from which the key cannot be found."""
        self.fingerprint = mark[:16].hex()
        """What the ledger keeps of the key: 32 hexadecimal digits."""

    def of_file(self, salt: bytes) -> AESGCM:
        """Return the cipher of one file, which has a key of its own."""
        return AESGCM(HKDF(SHA256(), 32, salt, _FILE_TEXT).derive(self._master))

    def of_columns(self) -> bytes:
        """Return the key of the ledger's columns, 64 bytes."""
        return HKDF(SHA256(), _COLUMN_KEY_BYTES, None, _COLUMN_TEXT).derive(self._master)


@dataclass(frozen=True)
class Sealing:
    """That files and columns are sealed, with the key in `key_file`, or with `text`, 64 hexadecimal digits."""

    key_file: Path | None = None
    text: str = ""

    def __repr__(self) -> str:
        return "Sealing(…)"

    @cached_property
    def key(self) -> Key:
        """The key; read at the first use. Raises StartError."""
        if self.key_file is None:
            return Key(bytes.fromhex(self.text))
        return Key(load_secret(self.key_file, "encryption key", _GONE))

    @cached_property
    def columns(self) -> Columns:
        """What seals the ledger's columns; it needs the key at the first value."""
        return Columns(self._column_key)

    def _column_key(self) -> bytes:
        return self.key.of_columns()
