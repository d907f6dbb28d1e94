"""The recipe engine beside pydicom and pydicom/deid, and with large headers: ratios, all taken in one run.

    python -m tests.bench.recipe [--json] [--rounds N]

Contestants take turns in rounds, so that a busy neighbor hits all of them; a ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import logging
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from node.gate import leaks
from node.identity import PatientKey, ProjectKeys
from node.part10 import read_file_meta
from node.recipe import Cleaned, EncodedDataset, Recipe, RecipeText, load_recipe, shipped_recipe
from node.syntaxes import EXPLICIT_LE, lookup

PLAIN = Path(__file__).with_name("plain.dicom")
CT = Path(pydicom.__file__).parent / "data/test_files/CT_small.dcm"
PYDICOM = 5.0  # times faster than pydicom's read + decode + write
DEID = 60.0  # times faster than pydicom/deid
GATE = 0.2  # of the time that cleaning takes
LINEAR = 1.3  # how far the ratio of times may lie above the ratio of sizes

os.environ.setdefault("MESSAGELEVEL", "QUIET")
os.environ.setdefault("MPLCONFIGDIR", "/tmp/matplotlib")


KEYS = ProjectKeys(bytes(32), "bench")


class Keys:
    """Identities of one instance, by the node's own keyed functions, whose keys are made once."""

    def __init__(self) -> None:
        self._patient = PatientKey("", "1")

    def uid(self, original: str) -> str:
        return KEYS.uid(original)

    def project(self) -> str:
        return "bench"

    def text(self, original: str) -> str:
        return KEYS.text(original)

    def pseudonym(self) -> str:
        return KEYS.pseudonym(self._patient)

    def pseudonym_of(self, patient_id: str, issuer: str | None = None) -> str:
        return KEYS.pseudonym(PatientKey(issuer or "", patient_id))

    def shift_days(self) -> int:
        return KEYS.shift_days(self._patient)

    def empties_invalid_dates(self) -> bool:
        return False

    def decided(self) -> None:
        return None


def header_of(path: Path) -> bytes:
    """The file without its Pixel Data."""
    dataset = pydicom.dcmread(path)
    del dataset.PixelData
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def ours(recipe: Recipe, file: bytes) -> bytes:
    """Read, clean, write."""
    meta, start = read_file_meta(file)
    syntax = lookup(meta.transfer_syntax_uid)
    assert syntax is not None
    return recipe.apply(EncodedDataset.scan(file, start, syntax), Keys(), {}).tobytes()


def by_pydicom(file: bytes) -> bytes:
    """Read, decode every value, write; nothing is changed."""
    dataset = pydicom.dcmread(io.BytesIO(file))
    dataset.walk(lambda _dataset, element: element.value)
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def by_deid(recipe: Any, file: bytes) -> Dataset:
    """Read and clean; without writing, which it leaves to pydicom."""
    from deid.dicom import fields
    from deid.dicom.parser import DicomParser

    # It keeps every data set that it has seen, which would slow it down from round to round.
    fields._get_fields_inner.cache_clear()
    parser = DicomParser(pydicom.dcmread(io.BytesIO(file)), recipe=recipe)
    parser.parse()
    return parser.dicom


def structure_set(contours: int, uids: tuple[str, ...] = ("1.2.3.4",), *, integers: bool = False, **more: str) -> bytes:
    """A data set like an RT structure set: `contours` of 100 points, in structures of 200.

    `uids` are the images that contours refer to, in turn; with `integers` every third coordinate is one; `more` are
    other attributes.
    """
    points = "\\".join(
        "-120" if integers and number % 3 == 2 else f"{number * 1.37 - 100:.2f}" for number in range(300)
    )
    drawn = []
    for uid in uids:
        image = item(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2", ReferencedSOPInstanceUID=uid)
        contour = item(ContourImageSequence=Sequence([image]), ContourGeometricType="CLOSED_PLANAR", ContourData=points)
        contour.NumberOfContourPoints = 100
        drawn.append(contour)
    rois = [
        item(
            ReferencedROINumber=start,
            ContourSequence=Sequence(
                [drawn[number % len(drawn)] for number in range(start, min(start + 200, contours))]
            ),
        )
        for start in range(0, contours, 200)
    ]
    return encoded(item(StructureSetLabel="LABEL", ROIContourSequence=Sequence(rois), **more))


IMAGES = tuple(f"1.3.6.1.4.1.14519.5.2.1.{4000 + number}.{98765432109 + number}" for number in range(120))
IDENTITY = {
    "OtherPatientIDs": "A99821\\B773321",
    "PatientBirthDate": "19600314",
    "PatientAddress": "Lange Gasse 12, 1080 Wien",
    "PatientTelephoneNumbers": "+43 1 5551234",
    "PatientMotherBirthName": "Zirngibl",
    "AccessionNumber": "ACC20200101-77",
    "StudyID": "S993",
    "ReferringPhysicianName": "Grubermann^Otto",
    "PhysiciansOfRecord": "Winterhalter^Eva\\Aigner^Fritz",
    "OperatorsName": "Sommerfeld^Kurt",
    "RequestingPhysician": "Halmschlager^Ida",
    "InstitutionName": "Allgemeines Krankenhaus Sankt Ulrich",
    "InstitutionAddress": "Spitalweg 1",
    "StationName": "CTROOM7",
    "DeviceSerialNumber": "883412",
    "StudyInstanceUID": "1.2.276.0.7230010.3.1.2.8323329.1.2",
    "SeriesInstanceUID": "1.2.276.0.7230010.3.1.3.8323329.1.3",
    "FrameOfReferenceUID": "1.3.12.2.1107.5.1.4.1.2",
    "SeriesDate": "20200102",
    "StructureSetDate": "20200104",
}
"""A whole patient's identity, as a structure set has it."""


def multi_frame(frames: int) -> bytes:
    """A data set like an enhanced multi-frame image: `frames` functional groups of five sequences."""
    group = item(
        FrameContentSequence=Sequence([item(FrameAcquisitionDateTime="20200101120000", DimensionIndexValues=[1, 2])]),
        PlanePositionSequence=Sequence([item(ImagePositionPatient=[1, 2, 3])]),
        PlaneOrientationSequence=Sequence([item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]),
        FrameVOILUTSequence=Sequence([item(WindowCenter=40, WindowWidth=400)]),
        DerivationImageSequence=Sequence([item(DerivationDescription="none", SourceImageSequence=Sequence([]))]),
    )
    return encoded(item(NumberOfFrames=frames, PerFrameFunctionalGroupsSequence=Sequence([group] * frames)))


def item(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def encoded(dataset: Dataset) -> bytes:
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.481.3", "1.2.3"
    dataset.PatientID, dataset.PatientName, dataset.StudyDate = "1", "A^B", "20200101"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def seconds(work: Callable[[], object], repeats: int) -> float:
    """CPU seconds that one call takes, the best of `repeats`."""
    best = float("inf")
    gc.collect()
    for _ in range(repeats):
        before = time.process_time()
        work()
        best = min(best, time.process_time() - before)
    return best


def compare(
    one: Callable[[], object], other: Callable[[], object], rounds: int, repeats: tuple[int, int]
) -> list[float]:
    """Seconds of one and of the other, and how many times faster `one` is: medians over the rounds."""
    one(), other()  # both have seen a file like this before
    pairs = [(seconds(one, repeats[0]), seconds(other, repeats[1])) for _ in range(rounds)]
    columns = ([p[0] for p in pairs], [p[1] for p in pairs], [p[1] / p[0] for p in pairs])
    return [statistics.median(column) for column in columns]


def same_result(recipe: Recipe, deid: Any, file: bytes) -> bool:
    """Whether both make the same values of a file."""
    stream = io.BytesIO()
    by_deid(deid, file).save_as(stream)
    theirs = pydicom.dcmread(io.BytesIO(stream.getvalue()))
    mine = pydicom.filereader.read_dataset(io.BytesIO(ours(recipe, file)), False, True)
    return list(mine) == list(theirs)


def shipped(*names: str) -> Recipe:
    """Recipes that come with the node, together."""
    return load_recipe([text for text in map(shipped_recipe, names) if text is not None])


def measure(rounds: int) -> dict[str, Any]:
    """All figures."""
    header = header_of(CT)
    research, profile = shipped("research"), shipped("ps3.15-basic", "retain-modified-dates", "retain-safe-private")
    text = PLAIN.read_text(encoding="utf-8")
    keywords = "".join(line for line in text.splitlines(keepends=True) if "startswith:" not in line)
    rows = []
    for name, recipe in (("research", research), ("profile", profile), ("plain", plain_recipe(text)[0])):
        found = compare(lambda used=recipe: ours(used, header), lambda: by_pydicom(header), rounds, (20, 3))
        rows.append(_row(f"{name} / pydicom read, decode, write", *found, PYDICOM))
    for name, file, repeats in (
        ("CT", header, 100),
        ("multi-frame", multi_frame(500), 3),
        ("RT", structure_set(4_500), 3),
        ("RT, whole identity", structure_set(4_500, IMAGES, **IDENTITY), 3),
        ("the same, integers", structure_set(4_500, IMAGES, integers=True, **IDENTITY), 3),
    ):
        rows.append(gate_row(research, name, file, rounds, repeats))
    for name, lines, goal in (("the same recipe", text, DEID), ("its keyword lines alone", keywords, None)):
        recipe, deid = plain_recipe(lines)
        if not same_result(recipe, deid, header):
            raise SystemExit("the two engines make different data sets: the comparison would mean nothing")
        found = compare(
            lambda used=recipe: ours(used, header), lambda used=deid: by_deid(used, header), rounds, (20, 3)
        )
        rows.append(_row(f"plain / pydicom/deid, {name}", *found, goal))
    for name, make, small in (("RT structure set", structure_set, 4_500), ("multi-frame", multi_frame, 500)):
        files = make(small), make(4 * small)
        # The best of all rounds: what grows faster than its input does so at the best of times.
        big, little = (
            min(seconds(lambda used=file: spans(research, used), 3) for _ in range(rounds)) for file in files[::-1]
        )
        times, sizes = big / little, len(files[1]) / len(files[0])
        label = f"{name}, {len(files[1]) / 1e6:.1f} MB / {len(files[0]) / 1e6:.1f} MB: size {sizes:.1f} times"
        rows.append(_row(label, big, little, times, sizes * LINEAR, most=True))
    return {"elements": len(pydicom.dcmread(io.BytesIO(header))), "rounds": rounds, "rows": rows}


def gate_row(recipe: Recipe, name: str, header: bytes, rounds: int, repeats: int) -> dict[str, Any]:
    """The leak gate beside cleaning: it looks at a fresh original each time, as in the node."""
    _, start = read_file_meta(header)

    def clean() -> Cleaned:
        return recipe.apply(EncodedDataset.scan(header, start, EXPLICIT_LE), Keys(), {})

    cleaned = clean()
    if leaks(cleaned, recipe):
        raise SystemExit("the gate holds what it is to be measured with")
    gate, cleaning, _ = compare(lambda: leaks(cleaned, recipe), clean, rounds, (repeats, repeats))
    return _row(f"leak gate / cleaning, research, {name}", gate, cleaning, gate / cleaning, GATE, most=True)


def spans(recipe: Recipe, data: bytes) -> int:
    """Clean without putting the result together in memory, as the node does."""
    _, start = read_file_meta(data)
    return len(recipe.apply(EncodedDataset.scan(data, start, EXPLICIT_LE), Keys(), {}).segments)


def plain_recipe(text: str) -> tuple[Recipe, Any]:
    """A recipe as ours and as that of pydicom/deid."""
    from deid.config import DeidRecipe

    with tempfile.NamedTemporaryFile("w", suffix=".dicom", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        return load_recipe([RecipeText("plain", text)], in_node=False), DeidRecipe(file.name)


def _row(
    what: str, one: float, other: float, ratio: float, goal: float | None, *, most: bool = False
) -> dict[str, Any]:
    met = goal is None or (ratio <= goal if most else ratio >= goal)
    return {"what": what, "seconds": [one, other], "ratio": ratio, "goal": goal, "met": met}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Let the libraries say nothing: pydicom/deid logs and prints."""
    from deid.logger import bot

    bot.level = -10
    logging.disable(logging.CRITICAL)
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with quiet():
        found = measure(options.rounds)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(f"CT_small: {found['elements']} elements; medians of {found['rounds']} rounds")
    for row in found["rows"]:
        one, other = (f"{value * 1000:.2f} ms" for value in row["seconds"])
        goal = f"goal {row['goal']:.1f} {'met' if row['met'] else 'MISSED'}" if row["goal"] else ""
        print(f"{row['what']:<55} {one:>12} {other:>12}   ratio {row['ratio']:6.2f}   {goal}")


if __name__ == "__main__":
    main()
