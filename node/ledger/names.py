"""Which columns name a person or an object of the original, and how they are sealed (docs/encryption.md).

What a device calls itself is no person's, but free text that came with an original: it is sealed with the others.
They are looked up by equality, within a project; a row of the maps never changes.
"""

SOP_INSTANCE_UID = "instances.sop_instance_uid"
ORIGINAL = "uid_map.original"
ISSUER = "patient_map.issuer"
KEPT_TEXT = "kept_texts.text"
PATIENT_ID = "patient_map.patient_id"
SHIFT = "patient_map.shift_days"
MODALITY = "devices.modality"
MANUFACTURER = "devices.manufacturer"
MODEL = "devices.model"
ALIAS_ISSUER = "patient_aliases.issuer"
ALIAS_PATIENT_ID = "patient_aliases.patient_id"
SAME_ISSUER = "patient_aliases.same_issuer"
TRANSACTION_UID = "commitments.transaction_uid"
SAME_PATIENT_ID = "patient_aliases.same_patient_id"


def shift_scope(project: str, pseudonym: str) -> str:
    """Return what a patient's shift is bound to: its pseudonym too, so that equal ones do not show."""
    return f"{project}\0{pseudonym}"
