"""Identity: the secret, and the keyed functions that replace UIDs, patients and dates."""

from node.identity.keyed import PatientKey, ProjectKeys
from node.identity.secret import create_secret, fingerprint, load_secret

__all__ = ["PatientKey", "ProjectKeys", "create_secret", "fingerprint", "load_secret"]
