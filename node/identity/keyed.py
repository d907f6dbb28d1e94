"""Keyed functions: the same original gives the same replacement wherever the same secret is.

Guarantees
    Every replacement is HMAC-SHA256 under a sub-key of its project, purpose and key epoch, so that two projects share
    nothing, and nobody without the secret can recompute one from a candidate original. `docs/identity.md` has the
    scheme with test vectors.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

# Crockford's base 32: no I, L, O, U, so that a pseudonym survives being read aloud and typed.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PSEUDONYM_LENGTH = 13  # 65 bits
_LONGEST_SHIFT = 3650  # days


@dataclass(frozen=True, slots=True)
class PatientKey:
    """Who a patient is within a project: Patient ID and its issuer, trimmed and in normal form C."""

    issuer: str
    patient_id: str

    def __post_init__(self) -> None:
        for name in ("issuer", "patient_id"):
            text = unicodedata.normalize("NFC", getattr(self, name).strip(" \0"))
            object.__setattr__(self, name, text)


class ProjectKeys:
    """The keyed functions of one project in one key epoch."""

    def __init__(self, secret: bytes, project: str, epoch: int = 1) -> None:
        def key(purpose: str) -> bytes:
            return hmac.new(secret, _joined("deid-node", purpose, project, str(epoch)), hashlib.sha256).digest()

        self._uid_key = key("uid")
        self._pseudonym_key = key("pseudonym")
        self._shift_key = key("shift")
        self.uid = lru_cache(maxsize=4096)(self._uid)

    def _uid(self, original: str) -> str:
        """Return the UID that replaces `original`: `2.25.` and a version-8 UUID (PS3.5 B.2, RFC 9562 5.8).

        The original counts without NUL and blanks around it; an empty one stays empty.
        """
        value = original.strip(" \0")
        if not value:
            return ""
        bits = int.from_bytes(hmac.new(self._uid_key, value.encode(), hashlib.sha256).digest()[:16], "big")
        bits = bits & ~(0xF << 76) | 0x8 << 76  # version
        bits = bits & ~(0x3 << 62) | 0x2 << 62  # variant
        return f"2.25.{bits}"

    def pseudonym(self, patient: PatientKey) -> str:
        """Return a patient's pseudonym: 13 digits and letters, 65 bits."""
        number = int.from_bytes(self._mac(self._pseudonym_key, patient)[:9], "big") >> 7
        return "".join(_ALPHABET[number >> 5 * place & 31] for place in reversed(range(_PSEUDONYM_LENGTH)))

    def shift_days(self, patient: PatientKey) -> int:
        """Return by how many days a patient's dates are shifted: -1 to -3650, always into the past."""
        return -1 - int.from_bytes(self._mac(self._shift_key, patient)[:8], "big") % _LONGEST_SHIFT

    @staticmethod
    def _mac(key: bytes, patient: PatientKey) -> bytes:
        return hmac.new(key, _joined(patient.issuer, patient.patient_id), hashlib.sha256).digest()


def _joined(*texts: str) -> bytes:
    """Join texts so that no two lists of texts give the same bytes: each behind its length."""
    encoded = [text.encode() for text in texts]
    return b"".join(len(one).to_bytes(4, "big") + one for one in encoded)
