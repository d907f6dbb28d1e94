"""The recipes that are made of others: the profile, its options, and lines of their own.

A recipe here is one text: the head comment of its file in `scripts/sections`, then the sections of each part in order,
as the part's own file has them, then its own. What changes in a part changes in every recipe that is made of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from node.standard import EDITION, TciaPrivate, safe_private, tcia_private

SECTIONS = Path(__file__).resolve().parent / "sections"
_CLEANED = (
    "ps3.15-basic",
    "clean-pixel-data",
    "clean-graphics",
    "clean-structured-content",
    "clean-descriptors",
    "retain-modified-dates",
)
_RESEARCH = (
    *_CLEANED,
    "retain-safe-private",
    "mr-research",
    "dose-screens",
    "research",
)
_TCIA = (
    *_CLEANED,
    "retain-patient-characteristics",
    "retain-device-identity",
    "retain-safe-private",
    "tcia-private",
    "tcia",
)
RECIPES: Mapping[str, tuple[str, ...]] = {
    "research": _RESEARCH,
    "strict": ("ps3.15-basic", "strict"),
    "tcia": _TCIA,
    "xnat": (*_RESEARCH, "xnat"),
}
"""The recipes, and the parts that each is made of."""

_BY_HAND = ("dose-screens", "mr-research")

_FREE_TEXT = frozenset(("LT", "PN", "ST", "UT"))
_NUMBERS = frozenset(("DS", "FD", "FL", "IS", "SL", "SS", "UL", "US"))
# Of a device or a program, as those that the option for modified dates leaves out: moved, they would tell the shift.
_NOT_THE_PATIENTS = {("GEMS_ACQU_01", 0x0019, 0x9D), ("GEMS_PETD_01", 0x0017, 0x04), ("GEMS_PETD_01", 0x0019, 0x04)}


def texts(parts: Mapping[str, str]) -> dict[str, str]:
    """Return the recipes, file name to text; `parts` are the generated ones, by file name."""
    written = dict(parts) | {f"{name}.dicom": _file(SECTIONS / f"{name}.dicom") for name in RECIPES}
    for name in _BY_HAND:
        written[f"{name}.dicom"] = _file(SECTIONS.parent.parent / "recipes" / f"{name}.dicom")
    written["tcia-private.dicom"] = "".join(f"{line}\n" for line in _tcia())
    return {f"{name}.dicom": _made(name, part_names, written) for name, part_names in RECIPES.items()}


def _made(name: str, parts: tuple[str, ...], written: Mapping[str, str]) -> str:
    head = _comment(written[f"{name}.dicom"])
    made_of = ", ".join(part for part in parts if part != name)
    note = [
        f"# Made by scripts/generate_recipes of {made_of}",
        f"# and scripts/sections/{name}.dicom; from the tables DICOM PS3.15 {EDITION}, © NEMA. Do not edit.",
    ]
    bodies = [_body(written[f"{part}.dicom"]) for part in parts]
    return "\n".join([*head, "#", *note, "", "FORMAT dicom", "", *"\n\n".join(bodies).splitlines(), ""])


def _comment(text: str) -> list[str]:
    """Return the comment that a file begins with."""
    lines = text.splitlines()
    return lines[: next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))]


def _body(text: str) -> str:
    """Return everything from the first section on."""
    lines = text.splitlines()
    return "\n".join(lines[next(number for number, line in enumerate(lines) if line.startswith("%")) :]).strip()


def _tcia() -> Iterator[str]:
    """Give the section of TCIA's dispositions: kept, replaced as UIDs, moved; and what it takes away again."""
    yield "%profile tcia-private"
    yield ""
    yield "# Dispositions of The Cancer Imaging Archive (Posda, Apache-2.0): K keep, U hash UID, C offset date; X"
    yield "# delete, where the option for safe private attributes would keep it. What is not here goes, as do free text"
    yield "# and dates that are written as numbers."
    yield ""
    safe = {(row.group, row.creator.casefold(), row.low) for row in safe_private()}
    for row in tcia_private():
        code = _code(row)
        if code != "X" or (row.group, row.creator.casefold(), row.low) in safe:
            name = " ".join(row.name.split()) or "no name"
            yield f'{code:<6} ({row.group:04X},"{row.creator}",{row.low:02X})  # {name}'


def _code(row: TciaPrivate) -> str:
    said, vrs = row.dispositions - {"na"}, row.vrs - {"OB", "UN"}
    if (row.creator, row.group, row.low) in _NOT_THE_PATIENTS or vrs & _FREE_TEXT or len(said) != 1:
        return "X"
    if said == {"h"} or (said == {"k"} and vrs == {"UI"}):
        return "X" if vrs & _NUMBERS else "U"
    if said == {"o"} or (said == {"k"} and vrs & {"DA", "DT"}):
        return "C"
    return "K" if said == {"k"} else "X"


def _file(path: Path) -> str:
    return path.read_text(encoding="utf-8")
