"""Generates the recipes of the PS3.15 profile and its options from the tables of `node.standard`, and what they make.

python -m scripts.recipes          writes them into recipes/
python -m scripts.recipes --check  says which differ from what lies there, and exits 1 where any does
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from node.standard import EDITION, Attribute, attributes, safe_private
from scripts import shipped
from scripts.burned_in import filters

FOLDER = Path(__file__).resolve().parent.parent / "recipes"

# Columns of Table E.1-1, in the order of the options in PS3.15 Annex E: file, title, column, what it is for.
OPTIONS = (
    (
        "clean-pixel-data",
        "Clean Pixel Data Option",
        None,
        (
            "Burned-in text. The option has no attributes: what is masked say the filters below, and those beside it.\n"
            "The code of the option is written into an instance where pixels were masked."
        ),
    ),
    (
        "clean-graphics",
        "Clean Graphics Option",
        "clean_graph",
        (
            "Graphic annotations stay, and the texts in them, of layers and of groups are cleaned. Nothing tells what\n"
            "overlays and curves show: they go as in the basic profile."
        ),
    ),
    (
        "clean-structured-content",
        "Clean Structured Content Option",
        "clean_struct_cont",
        (
            "Content items stay or go by concept and type of value (Table E.3.4-1): codes, numbers and references\n"
            "stay, texts are cleaned, names of persons go."
        ),
    ),
    (
        "clean-descriptors",
        "Clean Descriptors Option",
        "clean_desc",
        (
            "Descriptions, comments, names, labels. Words of the vocabulary and numbers of at most four digits stay,\n"
            "all else goes, and what is known of the patient and of others in the instance (docs/descriptors.md).\n"
            "Sequences of codes and requests are walked; of codes of no published scheme the meaning is cleaned."
        ),
    ),
    (
        "retain-full-dates",
        "Retain Longitudinal Temporal Information with Full Dates Option",
        "rtn_long_full_dates",
        "Dates and times stay as they are.",
    ),
    (
        "retain-modified-dates",
        "Retain Longitudinal Temporal Information with Modified Dates Option",
        "rtn_long_modif_dates",
        (
            "Dates move by the patient's own number of days, times of day and the time zone stay.\n"
            "Dates that are not the patient's would tell by how much: they go as in the basic profile."
        ),
    ),
    (
        "retain-patient-characteristics",
        "Retain Patient Characteristics Option",
        "rtn_pat_chars",
        (
            "Sex, age, size, weight and the like stay. Texts (C) are cleaned word by word (docs/descriptors.md). Ages\n"
            "over 89 years become 090Y, as every age that a K keeps."
        ),
    ),
    (
        "retain-device-identity",
        "Retain Device Identity Option",
        "rtn_dev_id",
        "Which device made the image stays. AE titles (C) go as in the basic profile.",
    ),
    ("retain-uids", "Retain UIDs Option", "rtn_uids", "UIDs stay as they are, and with them the way back."),
    (
        "retain-safe-private",
        "Retain Safe Private Option",
        None,
        (
            "Private attributes that are known to hold no identity (Table E.3.10-1) stay, with their creators.\n"
            "Their sequences are walked like others; their UIDs are replaced."
        ),
    ),
    (
        "retain-institution-identity",
        "Retain Institution Identity Option",
        "rtn_inst_id",
        "Which institution made the image stays.",
    ),
)

# Of devices, documents and dictionaries: anyone can look them up, and see by how much a patient's dates moved.
NOT_THE_PATIENTS = {
    "(0008,0106)",  # Context Group Version
    "(0008,0107)",  # Context Group Local Version
    "(0012,0086)",  # Ethics Committee Approval Effectiveness Start Date
    "(0012,0087)",  # Ethics Committee Approval Effectiveness End Date
    "(0014,407C)",  # Calibration Time
    "(0014,407E)",  # Calibration Date
    "(0018,1200)",  # Date of Last Calibration
    "(0018,1201)",  # Time of Last Calibration
    "(0018,1202)",  # DateTime of Last Calibration
    "(0018,1203)",  # Calibration DateTime
    "(0018,1204)",  # Date of Manufacture
    "(0018,1205)",  # Date of Installation
    "(0018,700C)",  # Date of Last Detector Calibration
    "(0018,700E)",  # Time of Last Detector Calibration
    "(0040,DB06)",  # Template Version
    "(0040,DB07)",  # Template Local Version
    "(0044,000B)",  # Product Expiration DateTime
    "(0068,6226)",  # Effective DateTime
    "(0068,6270)",  # Information Issue DateTime
    "(0072,000A)",  # Hanging Protocol Creation DateTime
}

_BEYOND = """
# What no row names, by its kind. A line that names an attribute counts more.

U      select:VR:UI       # every UID; those of classes, syntaxes and coding schemes stay
X      select:VR:PN       # persons
X      select:VR:DA       # dates and times
X      select:VR:DT
X      select:VR:TM
X      select:VR:UN       # what nobody can interpret, and attributes that the dictionary does not know
X      select:private     # private attributes, with their creators
X      select:group:0004  # of a DICOMDIR
X      (0004,1510)        # and those that say what an object is
X      (0004,1512)
X      (0004,151A)
X      (60xx,xxxx)        # overlays, whole groups; Table E.1-1 names those of curves

# What the text of PS3.15 asks for and no row names, or what an attribute holds that goes.

X      (0008,0300)        # Private Data Element Characteristics Sequence
D      (0040,A160)        # Text Value
Z      (0042,0010)        # Document Title
X      (0400,0500)        # Encrypted Attributes Sequence
X      (4FFE,0001)        # MAC Parameters Sequence
"""
_IDENTITY = """
# The patient's pseudonym, where Table E.1-1 allows a dummy: without one all patients would become one.

%header

ADD PatientID func:pseudonym
ADD PatientName func:pseudonym
"""
_DESCRIPTORS = """
# What people write, and no row names.

C      (0008,0100)        # Code Value: of schemes that nobody has published, where it identifies somebody
C      (0008,0104)        # Code Meaning: of schemes that nobody has published
C      (0008,0119)        # Long Code Value
C      (0018,0034)        # Intervention Drug Name
C      (0018,003A)        # Intervention Description
C      (0018,9423)        # Acquisition Protocol Name
C      (0018,9531)        # Reconstruction Description
C      (0018,9900)        # Reference Location Label
C      (0018,9901)        # Reference Location Description
C      (0018,9916)        # Instruction Text
C      (0018,9917)        # Instruction Description
C      (0018,991A)        # Instruction Performance Comment
C      (0018,9922)        # Protocol Element Name
C      (0020,9453)        # Frame Label
C      (0028,6022)        # Frame of Interest Description
C      (0040,0255)        # Performed Procedure Type Description
C      (0044,0011)        # Substance Administration Notes
C      (0048,0107)        # Optical Path Description
C      (0062,0005)        # Segment Label
C      (0062,0006)        # Segment Description
C      (0066,0004)        # Surface Comments
C      (0066,0106)        # Track Set Label
C      (0066,0107)        # Track Set Description
C      (0070,0081)        # Content Description
C      (0070,030F)        # Fiducial Description
C      (0074,1006)        # Procedure Step Progress Description
C      (0074,1202)        # Worklist Label
C      (0074,1204)        # Procedure Step Label
C      (0082,0003)        # Assessment Summary Description
C      (0082,000A)        # Observation Description
C      (0082,0023)        # Assessment Label
C      (0100,0424)        # SOP Authorization Comment
C      (3002,0002)        # RT Image Label
C      (3002,0003)        # RT Image Name
C      (3002,0004)        # RT Image Description
C      (3004,0006)        # Dose Comment
C      (3006,00C8)        # Frame of Reference Transformation Comment
C      (3008,0012)        # Measured Dose Description
C      (3008,0066)        # Override Reason
C      (3008,0074)        # Calculated Dose Reference Description
C      (3008,0202)        # Treatment Status Comment
C      (300A,0043)        # Tolerance Table Label
C      (300A,00C2)        # Beam Name
C      (300A,00FE)        # Block Name
C      (300A,010A)        # Applicator Description
C      (300A,0183)        # Patient Setup Label
C      (300A,0194)        # Fixation Device Label
C      (300A,01A4)        # Shielding Device Label
C      (300A,01B8)        # Setup Device Label
C      (300A,01BA)        # Setup Device Description
C      (300A,01D0)        # Setup Reference Description
C      (300A,021C)        # Source Description
C      (300A,0236)        # Application Setup Name
C      (300A,0244)        # Template Name
C      (300A,0402)        # Setup Image Comment
C      (300A,0422)        # General Accessory Description
C      (300A,0730)        # Treatment Termination Description
C      (3010,0005)        # Effective Dose Calculation Method Description
"""
_OWN = ("(0000,", "(0002,", "(0004,")  # groups that are no part of a data set, or go as a whole


def texts() -> dict[str, str]:
    """Return the generated recipes: file name to text."""
    found = {"ps3.15-basic.dicom": "".join(f"{line}\n" for line in _basic())}
    for name, title, column, about in OPTIONS:
        found[f"{name}.dicom"] = "".join(f"{line}\n" for line in _option(name, title, column, about))
    return found | shipped.texts(found)


def _head(title: str, about: str, name: str) -> Iterator[str]:
    yield f"# {title}, DICOM PS3.15 {EDITION}, Annex E."
    yield "#"
    yield from (f"# {line}" for line in about.splitlines())
    yield "#"
    yield f"# Generated by scripts/generate_recipes from the tables DICOM PS3.15 {EDITION}, © NEMA. Do not edit."
    yield ""
    yield "FORMAT dicom"
    yield ""
    yield f"%profile {name}"
    yield ""


def _basic() -> Iterator[str]:
    about = (
        "What is done with each attribute; docs/recipes.md explains the codes. Name it first, its options behind it."
    )
    yield from _head("Basic Application Level Confidentiality Profile", about, "basic")
    for row in attributes():
        if row.tag.startswith(_OWN):
            yield f"# {row.basic:<4} {row.tag}        # {row.name}: not in a data set, or with its whole group"
        elif row.keyword:  # the row of private attributes has none
            yield _line(row.basic, row.tag, row.name)
    yield from _BEYOND.rstrip("\n").split("\n")
    yield from _IDENTITY.rstrip("\n").split("\n")


def _option(name: str, title: str, column: str | None, about: str) -> Iterator[str]:
    yield from _head(title, about, name)
    if column is not None:
        yield from (_option_line(name, row, row.options[column]) for row in attributes() if column in row.options)
    if name == "retain-safe-private":
        for row in safe_private():
            code = "U" if row.vr == "UI" else "K"
            yield _line(code, f'({row.group:04X},"{row.creator}",{row.low:02X})', row.meaning or "no name")
    if name == "clean-graphics":
        yield from ("", "# What no row names, and holds texts of graphics.", "")
        yield _line("C", "(0070,0068)", "Graphic Layer Description")
        yield _line("C", "(0070,0207)", "Graphic Group Label")
        yield _line("C", "(0070,0208)", "Graphic Group Description")
    if name == "clean-pixel-data":
        yield from filters()
    yield from _unlisted(name)


def _option_line(name: str, row: Attribute, code: str) -> str:
    if name == "retain-modified-dates" and row.tag in NOT_THE_PATIENTS:
        return f"# {code:<4} {row.tag:<17}  # {row.name}: not the patient's"
    if row.tag.startswith(_OWN):
        return f"# {code:<4} {row.tag:<17}  # {row.name}: not in a data set, or with its whole group"
    return _line(code, row.tag, row.name)


def _unlisted(name: str) -> Iterator[str]:
    selectors = {"retain-uids": ("UI",), "retain-full-dates": ("DA", "DT", "TM")}.get(name, ())
    if selectors:
        yield ""
        yield "# What no row names, by its kind."
        yield ""
    yield from (f"K      select:VR:{vr}" for vr in selectors)
    if name == "clean-descriptors":
        yield from _DESCRIPTORS.rstrip("\n").split("\n")


def _line(code: str, field: str, name: str) -> str:
    return f"{code:<6} {field:<17}  # {' '.join(name.split())}"


def main() -> int:
    """Write the recipes, or with --check compare them."""
    if sys.argv[1:] == ["--check"]:
        different = [name for name, text in texts().items() if _lying(name) != text]
        for name in different:
            print(f"recipes/{name} is not what scripts/generate_recipes makes", file=sys.stderr)
        return int(bool(different))
    for name, text in texts().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


def _lying(name: str) -> str:
    path = FOLDER / name
    return path.read_text(encoding="utf-8") if path.is_file() else ""


if __name__ == "__main__":
    sys.exit(main())
