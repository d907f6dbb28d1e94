"""The whole set: made into a folder, the same for the same seed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pydicom

from tests.deidset import linked, planted
from tests.deidset.encoding import EXPLICIT, IMPLICIT, part10
from tests.deidset.objects import PATIENTS, classes, may_be_held, minimal
from tests.deidset.planted import File
from tests.deidset.values import Values

SEED = 20260101
PUBLIC = Path(pydicom.__file__).parent / "data/test_files"


_MAY_SHOW = frozenset({0x00420011, 0x00186011})  # whatever the class says: a document, an ultrasound image


def synthetic(seed: int = SEED, *, whole: bool = True) -> Iterator[File]:
    """Every generated file; without `whole` each eighth element of the dictionary instead of all."""
    values = Values(seed)
    studies = [study for patient in PATIENTS for study in patient.studies]
    for number, (sop_class, iod) in enumerate(classes()):
        tree = minimal(sop_class, iod, values, studies[number % len(studies)])
        name = f"iod-{number:03d}-{iod}"
        yield File(name, tree, (EXPLICIT, IMPLICIT)[number % 2], held=may_be_held(iod))
    yield from planted.of_rows(values)
    yield from planted.of_dictionary(values, 1 if whole else 8)
    yield from planted.of_private(values)
    yield from planted.of_places(values)
    yield from planted.of_texts(values)
    yield from planted.of_charsets(values)
    yield from linked.series(values)


def build(folder: Path, seed: int = SEED, *, whole: bool = True) -> dict[str, bool]:
    """Write the set into a folder; return, by name, whether a file may be held."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for file in synthetic(seed, whole=whole):
        data = part10(file.tree, file.syntax, meta=file.meta, preamble=file.preamble)
        (folder / f"{file.name}.dcm").write_bytes(data + file.tail)
        made[f"{file.name}.dcm"] = file.held or not _MAY_SHOW.isdisjoint(file.tree)
    for path in sorted(PUBLIC.glob("*.dcm")):
        shutil.copyfile(path, folder / f"public-{path.name}")
        made[f"public-{path.name}"] = True
    return made
