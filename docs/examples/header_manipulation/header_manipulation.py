"""Gives UIDs that a function makes to a set of images.

It needs the public test images: pip install 'deid-node[data]'
"""

import tempfile
import uuid
from pathlib import Path

from pydicom import dcmread

from node.deid.config import DeidRecipe
from node.deid.data import get_dataset
from node.deid.dicom import get_files, get_identifiers, replace_identifiers

# The images.
base = get_dataset("dicom-cookies")
dicom_files = list(get_files(base))
print(f"{len(dicom_files)} files")

# What stands in their headers: a dictionary of values for each file, by its complete path.
items = get_identifiers(dicom_files)
before = items[dicom_files[0]]
print(before["StudyInstanceUID"])
print(before["(0020,000D)"].name)

# The recipe.
recipe = DeidRecipe(Path(__file__).parent / "deid.dicom")
print(recipe.get_format())
for action in recipe.get_actions():
    print(action)
print(recipe.get_actions(action="ADD"))
print(recipe.get_actions(field="FrameOfReferenceUID"))
print(recipe.get_actions(field="PatientID", action="REMOVE"))


def generate_uid(item, value, field, dicom):
    """Make a UUID, with the name of the element in front.

    It is given the dictionary of the file (with whatever was put in), the text of the recipe, the name of the element
    and the original header.
    """
    prefix = field.lower().replace(" ", " ")
    return prefix + "-" + str(uuid.uuid4())


# The function has to be in the items, under the name that the recipe calls it by.
for item in items:
    items[item]["generate_uid"] = generate_uid

# The cleaned files are in a temporary folder.
cleaned_files = replace_identifiers(dicom_files=dicom_files, deid=recipe, ids=items)
print(f"{len(cleaned_files)} cleaned files")
test_file = dcmread(cleaned_files[0])
for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
    print(test_file[keyword])

# Another folder; a second time it has to be told that files may be replaced.
folder = tempfile.mkdtemp()
replace_identifiers(dicom_files=dicom_files, deid=recipe, ids=items, output_folder=folder)
replace_identifiers(dicom_files=dicom_files, deid=recipe, ids=items, output_folder=folder, overwrite=True)
print(len(list(get_files(folder))), "files there")
