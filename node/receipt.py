"""Receipts: what a destination has of a study, signed, so that whoever has the public key can check it anywhere.

A receipt is a JSON object of texts, whole numbers, lists and nothing else; what is signed (Ed25519, RFC 8032) are the
bytes of its canonical form: keys sorted, no blanks, UTF-8. Each names the SHA-256 of the one before it, so that none
can be taken out or put in between unnoticed. `docs/completeness.md` has the form.

Guarantees that a receipt which `problems` finds nothing wrong with is, to the bit, one that the holder of the key
wrote. Refuses (FileError) what is no receipt at all.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

from node.errors import FileError

Receipt = Mapping[str, Any]
Envelope = Mapping[str, Any]
"""`receipt`, `signature` (base64) and `public_key` (hexadecimal)."""

KIND = "deid-node delivery receipt"
FORMAT = 1
_KEY_DIGITS = 64


class Signer:
    """Signs receipts; `private` is the 32 bytes of an Ed25519 key."""

    def __init__(self, private: bytes) -> None:
        self._private = private

    @cached_property
    def _key(self) -> Any:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self._private)

    @property
    def public(self) -> str:
        """The public key, as 64 hexadecimal digits."""
        return str(self._key.public_key().public_bytes_raw().hex())

    def envelope(self, receipt: Receipt) -> dict[str, Any]:
        """Return a receipt with its signature."""
        signature = b64encode(self._key.sign(canonical(receipt))).decode("ascii")
        return {"receipt": dict(receipt), "signature": signature, "public_key": self.public}


def canonical(receipt: Receipt) -> bytes:
    """Return the bytes that are signed."""
    return json.dumps(receipt, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def hash_of(receipt: Receipt) -> str:
    """Return what the next receipt names: the SHA-256 of the canonical form, in hexadecimal digits."""
    return hashlib.sha256(canonical(receipt)).hexdigest()


def read_envelopes(text: str, name: str) -> list[dict[str, Any]]:
    """Return the receipts of a file: one, a list of them, or one in each line. Raises FileError."""
    try:
        found = json.loads(text)
    except ValueError:
        found = [_parsed(line, name) for line in text.splitlines() if line.strip()]
    envelopes = found if isinstance(found, list) else [found]
    if not envelopes or not all(map(_is_envelope, envelopes)):
        raise FileError("this is no receipt", name)
    return envelopes


def _parsed(line: str, name: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        raise FileError("this is no receipt", name) from None


def _is_envelope(found: Any) -> bool:
    if not isinstance(found, dict) or not isinstance(found.get("receipt"), dict):
        return False
    receipt = found["receipt"]
    return (
        receipt.get("kind") == KIND
        and receipt.get("format") == FORMAT
        and isinstance(receipt.get("number"), int)
        and isinstance(receipt.get("previous"), str)
        and all(isinstance(found.get(key), str) for key in ("signature", "public_key"))
    )


def public_key(text: str) -> str:
    """Return a public key as it is written here. Raises FileError where a text is none."""
    digits = "".join(text.split()).lower()
    if len(digits) != _KEY_DIGITS or any(one not in "0123456789abcdef" for one in digits):
        raise FileError("a public key has 64 hexadecimal digits (`deid-node completeness key` prints it)")
    return digits


def problems(envelopes: Sequence[Envelope], key: str | None = None) -> list[str]:
    """Return what is wrong with receipts, in the order of their numbers; nothing where all is well.

    Each is checked against `key`, the public key that is known to be the node's; None checks only that each is signed
    with the key that it names, which anybody could have made. Of two with neighboring numbers the second has to name
    the first.
    """
    found = []
    by_number = sorted(envelopes, key=lambda one: int(one["receipt"]["number"]))
    for envelope in by_number:
        wrong = _signature_problem(envelope, key)
        if wrong:
            found.append(f"receipt {envelope['receipt']['number']}: {wrong}")
    return found + list(_chain_problems([envelope["receipt"] for envelope in by_number]))


def _signature_problem(envelope: Envelope, key: str | None) -> str:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if key is not None and envelope["public_key"] != key:
        return "signed with another key"
    try:
        own = Ed25519PublicKey.from_public_bytes(bytes.fromhex(envelope["public_key"]))
        own.verify(b64decode(envelope["signature"], validate=True), canonical(envelope["receipt"]))
    except (ValueError, InvalidSignature):
        return "changed since it was signed"
    return ""


def _chain_problems(receipts: Sequence[Receipt]) -> Iterable[str]:
    for before, after in pairwise(receipts):
        number = after["number"]
        if before["number"] == number:
            if hash_of(before) != hash_of(after):
                yield f"receipt {number}: there are two that differ"
        elif before["number"] + 1 == number and after["previous"] != hash_of(before):
            yield f"receipt {number}: it does not follow receipt {before['number']}"
