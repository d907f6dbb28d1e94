"""UIDs, pseudonyms, texts and date shifts, computed from the secret.

Guarantees that each result depends on nothing but the secret, the project, the key epoch and the original, so that any
worker of any node with the same secret gives the same one; and that projects, epochs and purposes have keys of their
own. `docs/identity.md` has the scheme with test vectors. Refuses (ValueError) a secret that is too short, a project
without a name, and a patient without an id.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from functools import lru_cache

from node.identity.forms import UUID_ROOT, Forms, PseudonymForm, digits_behind, scaled
from node.identity.patients import PADDING, PatientKey, cleaned

_TEXT = PseudonymForm()  # of texts, whatever the form of pseudonyms


def _fields(*texts: str) -> bytes:
    """Return texts as one byte string that no other texts give: each in UTF-8, with its length in front."""
    found = b""
    for text in texts:
        encoded = text.encode("utf-8", "surrogatepass")
        found += len(encoded).to_bytes(4, "big") + encoded
    return found


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, hashlib.sha256)


def with_project_key(secret: bytes, key: bytes, project: str) -> bytes:
    """Return what stands for the secret in a project that has a key of its own: both are needed to compute it."""
    return _hmac(key, _fields("deid-node", "1", "project key", project) + secret)


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
    forms
        What the results look like.
    """

    __slots__ = ("_patient", "_shift", "_text", "_uid", "_whose", "epoch", "forms")

    def __init__(self, secret: bytes, project: str, epoch: int = 1, forms: Forms | None = None) -> None:
        if len(secret) < 32:
            raise ValueError("the secret is shorter than 32 bytes")
        if not project:
            raise ValueError("the project has no name")
        self.epoch = epoch
        self.forms = forms or Forms()
        self._uid, self._patient, self._shift, self._text = (
            _hmac(secret, _fields("deid-node", "1", purpose, project, str(epoch)))
            for purpose in ("uid", "pseudonym", "shift", "text")
        )
        # Of all epochs: whether two instances are of one patient is the same question in each.
        self._whose = _hmac(secret, _fields("deid-node", "1", "whose", project))

    def uid(self, original: str) -> str:
        """Return the replacement of a UID: the root and a number, for 2.25 that of a UUID; empty stays empty."""
        trimmed = original.strip(PADDING)
        return _keyed_uid(self._uid, self.forms.uid_root, trimmed) if trimmed else ""

    def text(self, original: str) -> str:
        """Return the replacement of any text: 13 digits and capital letters, 65 bits; empty stays empty."""
        trimmed = cleaned(original)
        return _keyed_text(self._text, _TEXT, _fields(trimmed)) if trimmed else ""

    def pseudonym(self, patient: PatientKey) -> str:
        """Return a patient's pseudonym, in the project's form. Raises ValueError without an id."""
        return _keyed_text(self._patient, self.forms.pseudonym, _patient_message(patient))

    def whose(self, patient: PatientKey | None, study: str) -> str:
        """Return what instances of one patient and study have in common: two keyed numbers, joined by a slash.

        The one is the patient's, the other the study's; it never leaves the ledger.
        """
        who = _fields() if patient is None else _patient_message(patient)
        return f"{_keyed_hex(self._whose, who)}/{_keyed_hex(self._whose, _fields('study', study.strip(PADDING), ''))}"

    def whose_patient(self, patient: PatientKey) -> str:
        """Return the patient's part of `whose`."""
        return _keyed_hex(self._whose, _patient_message(patient))

    def accession(self, number: str) -> str:
        """Return a keyed number for an Accession Number, by which it is found; it never leaves the ledger.

        Empty stays empty.
        """
        trimmed = cleaned(number)
        return _keyed_hex(self._whose, _fields("accession", trimmed, "", "")) if trimmed else ""

    def shift_days(self, patient: PatientKey) -> int:
        """Return by how many days a patient's dates move: negative, so never into the future. Raises ValueError."""
        return self.forms.shift.days(_keyed_number(self._shift, _patient_message(patient)))


def _patient_message(patient: PatientKey) -> bytes:
    if not patient.patient_id:
        raise ValueError("the patient has no id")
    return _fields(patient.issuer, patient.patient_id)


# Ids, and the UIDs of a study and series, come back with every instance.
@lru_cache(maxsize=4096)
def _keyed_text(key: bytes, form: PseudonymForm, message: bytes) -> str:
    return form.text(_hmac(key, message))


@lru_cache(maxsize=4096)
def _keyed_hex(key: bytes, message: bytes) -> str:
    return _hmac(key, message)[:10].hex()


@lru_cache(maxsize=4096)
def _keyed_number(key: bytes, message: bytes) -> int:
    return int.from_bytes(_hmac(key, message)[:8], "big")


@lru_cache(maxsize=4096)
def _keyed_uid(key: bytes, root: str, original: str) -> str:
    result = _hmac(key, original.encode("utf-8", "surrogatepass"))
    if root != UUID_ROOT:
        return f"{root}.{scaled(result, 10 ** digits_behind(root))}"
    digest = bytearray(result[:16])
    digest[6] = digest[6] & 0x0F | 0x80  # version 8 (RFC 9562 5.8)
    digest[8] = digest[8] & 0x3F | 0x80  # variant
    return f"{UUID_ROOT}.{uuid.UUID(bytes=bytes(digest)).int}"
