"""Which columns name a person or an object of the original, and how they are sealed (docs/encryption.md).

They are looked up by equality, within a project; a row of the maps never changes.
"""

SOP_INSTANCE_UID = "instances.sop_instance_uid"
ORIGINAL = "uid_map.original"
ISSUER = "patient_map.issuer"
KEPT_TEXT = "kept_texts.text"
PATIENT_ID = "patient_map.patient_id"
SHIFT = "patient_map.shift_days"


def shift_scope(project: str, pseudonym: str) -> str:
    """Return what a patient's shift is bound to: its pseudonym too, so that equal ones do not show."""
    return f"{project}\0{pseudonym}"
