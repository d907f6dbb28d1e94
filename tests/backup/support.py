"""What the tests of backups share: a site that does not run, and age's format read by its specification."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from node.age import create_identity
from node.config import Config, columns_of, load_config
from node.identity import load_secret
from node.instances import make_scope
from node.ledger.database import Database
from node.ledger.maps import Handed, LedgerMaps
from node.opening import make_spool, open_node
from tests.config.support import GOOD, write
from tests.ledger.support import receive

_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_CHUNK = 64 * 1024 + 16


class Site:
    """A node that does not run: its configuration, ledger, spool and secret, and one patient in its maps."""

    def __init__(self, folder: Path, text: str = GOOD, copy_of: Site | None = None) -> None:
        self.folder = folder
        self.key = folder.parent / "backup.key"
        self.public = create_identity(self.key)
        if copy_of is None:
            folder.mkdir()
        else:
            # Hundreds of empty folders, which nothing here needs and a start makes again.
            shutil.copytree(copy_of.folder, folder, ignore=shutil.ignore_patterns("originals", "cleaned"))
        self.configure(text)
        self.database = Database(self.config.node.ledger, columns_of(self.config))
        if copy_of is None:
            open_node(self.config, make_spool(self.config))
            receive(self.database, route="research", uid="1.2.3.4711")
            self.pseudonym = self.hand_out("MRN-4711")
            self.database.close()
        else:
            self.pseudonym = copy_of.pseudonym

    def configure(self, text: str) -> Config:
        self.config = load_config(write(self.folder, text))
        return self.config

    def hand_out(self, patient: str) -> str:
        scope = make_scope(self.config, "research", None, load_secret(self.config.node.secret_file))
        key = scope.patients.key("", patient)
        assert key is not None
        pseudonym = scope.keys.pseudonym(key)
        handed = Handed(patients=((key.issuer, key.patient_id, pseudonym, scope.keys.shift_days(key)),))
        with self.database.write(durable=True) as connection:
            LedgerMaps(self.database).write(connection, "research", handed)
        return pseudonym


def members(path: Path, key: Path) -> dict[str, bytes]:
    """The files of a backup, opened by age's specification and with tarfile, without any code of the node."""
    with tarfile.open(fileobj=io.BytesIO(decrypted(path.read_bytes(), key)), mode="r:gz") as archive:
        return {one.name: archive.extractfile(one).read() for one in archive.getmembers()}  # type: ignore[union-attr]


def manifest(path: Path, key: Path) -> dict[str, Any]:
    return dict(json.loads(members(path, key)["manifest.json"]))


def decrypted(content: bytes, key: Path) -> bytes:
    """The content of a file of age (age-encryption.org/v1): header, X25519 stanzas, STREAM of ChaCha20-Poly1305."""
    text = next(line for line in key.read_text().splitlines() if line.startswith("AGE-SECRET-KEY-1"))
    private = X25519PrivateKey.from_private_bytes(_bech32(text.lower().removeprefix("age-secret-key-1")))
    header, _, rest = content.partition(b"\n--- ")
    assert header.startswith(b"age-encryption.org/v1\n-> ")
    file_key = None
    for stanza in header.split(b"\n-> ")[1:]:
        first, body = stanza.split(b"\n", 1)
        kind, *arguments = first.decode().split(" ")
        if kind == "X25519":
            file_key = file_key or _unwrapped(private, _base64(arguments[0]), _base64(body.decode()))
    assert file_key is not None, "a stanza is for this key"
    mac, _, payload = rest.partition(b"\n")
    expected = hmac.digest(_hkdf(file_key, b"", b"header"), header + b"\n---", hashlib.sha256)
    assert _base64(mac.decode()) == expected
    cipher, place, number, found = ChaCha20Poly1305(_hkdf(file_key, payload[:16], b"payload")), 16, 0, b""
    while place < len(payload):
        chunk = payload[place : place + _CHUNK]
        place += len(chunk)
        found += cipher.decrypt(number.to_bytes(11, "big") + bytes([place >= len(payload)]), chunk, None)
        number += 1
    return found


def _unwrapped(private: X25519PrivateKey, share: bytes, body: bytes) -> bytes | None:
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    shared = private.exchange(X25519PublicKey.from_public_bytes(share))
    wrap = _hkdf(shared, share + public, b"age-encryption.org/v1/X25519")
    try:
        return ChaCha20Poly1305(wrap).decrypt(bytes(12), body, None)
    except Exception:  # noqa: BLE001 -- it is for another key
        return None


def _hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt, info).derive(key)


def _base64(text: str) -> bytes:
    text = text.replace("\n", "")
    return base64.b64decode(text + "=" * (-len(text) % 4))


def _bech32(text: str) -> bytes:
    bits = "".join(f"{_BECH32.index(character):05b}" for character in text[:-6])
    return int(bits[:256], 2).to_bytes(32, "big")


def files_below(folder: Path) -> set[str]:
    return {os.path.relpath(path, folder) for path in folder.rglob("*") if path.is_file()}
