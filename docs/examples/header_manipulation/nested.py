"""Gives UIDs that a function makes to elements inside sequences too.

It needs the public test images: pip install 'deid-node[data]'
"""

import uuid
from pathlib import Path

from pydicom import dcmread

from node.deid.config import DeidRecipe
from node.deid.data import get_dataset
from node.deid.dicom import get_files, get_identifiers, replace_identifiers

dicom_files = list(get_files(get_dataset("humans")))

# With sequences expanded, what they hold stands beside the rest.
items = get_identifiers(dicom_files, expand_sequences=True)
for name, value in items[dicom_files[0]].items():
    if name.startswith("ReferencedImageSequence__"):
        print(f"{name}: {value}")


def generate_uid(item, value, field, dicom):
    """Make a UUID, with the name of the element in front."""
    return field.lower() + "-" + str(uuid.uuid4())


for item in items:
    items[item]["generate_uid"] = generate_uid

cleaned_files = replace_identifiers(
    dicom_files=dicom_files,
    deid=DeidRecipe(Path(__file__).parent / "nested.dicom"),
    ids=items,
    strip_sequences=False,
)

cleaned = dcmread(cleaned_files[0])
print(cleaned["StudyInstanceUID"])
print(cleaned.ReferencedImageSequence[0]["ReferencedSOPInstanceUID"])
print(cleaned.RequestAttributesSequence[0]["StudyInstanceUID"])
