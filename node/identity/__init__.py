"""Keyed identity: the secret, and what is derived from it.

Guarantees that the same secret, project, epoch and forms give the same UIDs, pseudonyms and date shifts on every worker
and node, and that two projects share nothing. Refuses a secret that others can read.
"""

from node.identity.forms import Forms, PseudonymForm, ShiftRange
from node.identity.keyed import ProjectKeys, with_project_key
from node.identity.patients import PatientKey, Patients
from node.identity.secret import audit_key, create_secret, destroy_secret, fingerprint, load_secret, receipt_key

__all__ = [
    "Forms",
    "PatientKey",
    "Patients",
    "ProjectKeys",
    "PseudonymForm",
    "ShiftRange",
    "audit_key",
    "create_secret",
    "destroy_secret",
    "fingerprint",
    "load_secret",
    "receipt_key",
    "with_project_key",
]
