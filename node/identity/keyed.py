"""UIDs, pseudonyms and date shifts, computed from the secret.

Guarantees that each result depends on nothing but the secret, the project, the key epoch and the original, so that any
worker of any node with the same secret gives the same one; and that projects, epochs and purposes have keys of their
own. `docs/identity.md` has the scheme with test vectors. Refuses (ValueError) a secret that is too short, a project
without a name, and a patient without an id.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
import uuid
from dataclasses import dataclass
from functools import lru_cache

MAX_SHIFT = 3650  # days
PSEUDONYM_LENGTH = 13  # characters of 5 bits: 65 bits
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no letter that reads as a digit
_PADDING = "\0 "


def _fields(*texts: str) -> bytes:
    """Return texts as one byte string that no other texts give: each in UTF-8, with its length in front."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, hashlib.sha256)


def _clean(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip(_PADDING))


@dataclass(frozen=True, slots=True)
class PatientKey:
    """Who a patient is within a project: the issuer of the Patient ID, and the Patient ID.

    Both are trimmed of NUL and blanks and normalized (NFC) when the key is made.
    """

    issuer: str
    patient_id: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "issuer", _clean(self.issuer))
        object.__setattr__(self, "patient_id", _clean(self.patient_id))


class ProjectKeys:
    """The keyed functions of one project.

    Parameters
    ----------
    secret
        At least 32 bytes.
    project
        The project's name, as in the configuration.
    epoch
        Number of the key, from 1. Another epoch gives other results for everything.
    """

    __slots__ = ("_patient", "_shift", "_uid")

    def __init__(self, secret: bytes, project: str, epoch: int = 1) -> None:
        if len(secret) < 32:
            raise ValueError("the secret is shorter than 32 bytes")
        if not project:
            raise ValueError("the project has no name")
        self._uid, self._patient, self._shift = (
            _hmac(secret, _fields("deid-node", "1", purpose, project, str(epoch)))
            for purpose in ("uid", "pseudonym", "shift")
        )

    def uid(self, original: str) -> str:
        """Return the replacement of a UID: `2.25.` and a UUID of version 8 as a decimal number; empty stays empty."""
        trimmed = original.strip(_PADDING)
        return _keyed_uid(self._uid, trimmed) if trimmed else ""

    def pseudonym(self, patient: PatientKey) -> str:
        """Return a patient's pseudonym: 13 digits and capital letters, 65 bits. Raises ValueError without an id."""
        number = int.from_bytes(_hmac(self._patient, _patient_message(patient))[:9], "big") >> 7
        return "".join(_ALPHABET[number >> 5 * place & 31] for place in reversed(range(PSEUDONYM_LENGTH)))

    def shift_days(self, patient: PatientKey) -> int:
        """Return by how many days a patient's dates move: -3650 to -1, so never into the future. Raises ValueError."""
        number = int.from_bytes(_hmac(self._shift, _patient_message(patient))[:8], "big")
        return -1 - number % MAX_SHIFT


def _patient_message(patient: PatientKey) -> bytes:
    if not patient.patient_id:
        raise ValueError("the patient has no id")
    return _fields(patient.issuer, patient.patient_id)


# The UIDs of a study and series come back with every instance.
@lru_cache(maxsize=4096)
def _keyed_uid(key: bytes, original: str) -> str:
    digest = bytearray(_hmac(key, original.encode("utf-8", "surrogatepass"))[:16])
    digest[6] = digest[6] & 0x0F | 0x80  # version 8 (RFC 9562 5.8)
    digest[8] = digest[8] & 0x3F | 0x80  # variant
    return f"2.25.{uuid.UUID(bytes=bytes(digest)).int}"
