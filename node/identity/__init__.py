"""Keyed identity: the secret, and what is derived from it.

Guarantees that the same secret, project and epoch give the same UIDs, pseudonyms and date shifts on every worker and
node, and that two projects share nothing. Refuses a secret that others can read.
"""

from node.identity.keyed import PatientKey, ProjectKeys
from node.identity.secret import create_secret, fingerprint, load_secret

__all__ = ["PatientKey", "ProjectKeys", "create_secret", "fingerprint", "load_secret"]
