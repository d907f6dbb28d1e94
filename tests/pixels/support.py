"""Images of every kind, what masking makes of them, and what it should: computed with numpy and pydicom alone."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import pixel_array

from node.part10 import FileMeta, encode_file_meta, read_file_meta
from node.pixels import mask
from node.recipe import EncodedDataset, load_recipe
from node.syntaxes import EXPLICIT_LE, Syntax, lookup
from tests.recipe.support import Keys, text

ROWS, COLUMNS = 7, 10
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
UID = "2.25.1"

# A box, a hole in it, and a box that goes beyond the image; all at even columns, where 4:2:2 pixels begin.
LINES = ("coordinates 2,1,8,5", "keepcoordinates 4,2,6,3", "coordinates 8,5,100,100")


def covered(rows: int = ROWS, columns: int = COLUMNS) -> np.ndarray:
    """Where LINES mask."""
    where = np.zeros((rows, columns), bool)
    where[1:5, 2:8] = True
    where[2:3, 4:6] = False
    where[5:100, 8:100] = True
    return where


def make(
    photometric: str = "MONOCHROME2",
    *,
    allocated: int = 16,
    stored: int = 0,
    signed: bool = False,
    planar: int = 0,
    frames: int = 1,
    shape: tuple[int, int] = (ROWS, COLUMNS),
    seed: int = 1,
    **values: Any,
) -> Dataset:
    """An image of random samples, little endian; `samples_of` has them as an array."""
    samples = {"RGB": 3, "HSV": 3, "ARGB": 4, "CMYK": 4}.get(photometric, 3 if "YBR" in photometric else 1)
    stored = stored or allocated
    low, high = (-(1 << (stored - 1)), 1 << (stored - 1)) if signed else (0, 1 << stored)
    random = np.random.default_rng(seed)
    size = (frames, *shape, samples)
    # No sample is black already: a mask that is missing would not be seen.
    numbers = random.integers(low + (high - low) // 8, high - (high - low) // 4, size, np.int64)
    if allocated == 1:
        numbers = random.integers(0, 2, size, np.int64)
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.StudyInstanceUID = SECONDARY_CAPTURE, UID, "2.25.2"
    dataset.SeriesInstanceUID, dataset.PatientID, dataset.Modality = "2.25.3", "P1", "OT"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = samples, photometric
    dataset.Rows, dataset.Columns = shape
    if frames > 1:
        dataset.NumberOfFrames = frames
    if samples > 1:
        dataset.PlanarConfiguration = planar
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = allocated, stored, stored - 1
    dataset.PixelRepresentation = int(signed)
    if photometric == "PALETTE COLOR":
        palette(dataset)
    put(dataset, numbers)
    dataset.add_new(0x7FE10010, "LO", "SYNTHETIC")
    dataset.add_new(0x7FE11001, "OB", b"behind the pixels ")
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def palette(dataset: Dataset, darkest: int = 37) -> None:
    for number, colour in enumerate(("Red", "Green", "Blue")):
        entries = (np.arange(256) * 7 + 3000 * (number + 1)).astype("<u2")
        entries[darkest] = 5
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(dataset, f"{colour}PaletteColorLookupTableData", entries.tobytes())


def put(dataset: Dataset, numbers: np.ndarray) -> None:
    """Encode frames by rows by columns by samples as native little endian pixels."""
    allocated = dataset.BitsAllocated
    if dataset.PhotometricInterpretation.endswith("422"):
        first, second = numbers[:, :, 0::2], numbers[:, :, 1::2]
        numbers = np.stack([first[..., 0], second[..., 0], first[..., 1], first[..., 2]], axis=-1)
    elif dataset.get("PlanarConfiguration"):
        numbers = numbers.transpose(0, 3, 1, 2)
    if allocated == 1:
        value = np.packbits(numbers.reshape(-1).astype(np.uint8), bitorder="little").tobytes()
    else:
        value = numbers.astype(f"<i{allocated // 8}").tobytes()
    dataset.add_new(0x7FE00010, "OW" if allocated > 8 else "OB", value + b"\0" * (len(value) % 2))


def big_endian(dataset: Dataset, vr: str) -> Dataset:
    """The same image as Explicit VR Big Endian has it: samples, or with OW the words of smaller ones, swapped."""
    width = max(dataset.BitsAllocated // 8, 2 if vr == "OW" else 1)
    value = np.frombuffer(dataset.PixelData, f"<u{width}").byteswap().tobytes()
    dataset[0x7FE00010].VR = vr
    dataset.PixelData = value
    return dataset


def file_of(dataset: Dataset, syntax: Syntax | str = EXPLICIT_LE) -> bytes:
    uid = syntax if isinstance(syntax, str) else syntax.uid
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid
    stream = BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def apply(data: bytes, *lines: str, header: tuple[str, ...] = ()):
    """Load a recipe with a LABEL that is always met, and clean a file with it."""
    recipe = load_recipe([text("%filter graylist", "LABEL test", *(lines or LINES), "%header", *header)])
    meta, start = read_file_meta(data)
    return recipe.apply(EncodedDataset.scan(data, start, lookup(meta.transfer_syntax_uid)), Keys(), {}, masks=True)


def masked_file(data: bytes, *lines: str, header: tuple[str, ...] = ()) -> bytes:
    """What masking makes of a file: a whole file again."""
    result = mask(apply(data, *lines, header=header))
    body = b"".join(part if isinstance(part, bytes) else data[part[0] : part[0] + part[1]] for part in result.segments)
    return encode_file_meta(FileMeta(SECONDARY_CAPTURE, UID, result.syntax.uid)) + body


def read(data: bytes) -> Dataset:
    return pydicom.dcmread(BytesIO(data))


def samples_of(data: bytes, **options: Any) -> np.ndarray:
    """The samples of a file as pydicom decodes them, colours as they are stored: frames, rows, columns, samples."""
    dataset = read(data)
    if dataset.SamplesPerPixel == 4:  # which pydicom does not take
        found = np.frombuffer(dataset.PixelData, np.uint8)[
            : 4 * dataset.Rows * dataset.Columns * dataset.get("NumberOfFrames", 1)
        ]
        if dataset.PlanarConfiguration:
            return found.reshape(-1, 4, dataset.Rows, dataset.Columns).transpose(0, 2, 3, 1)
        return found.reshape(-1, dataset.Rows, dataset.Columns, 4)
    found = pixel_array(dataset, raw=True, **options)
    return found.reshape(int(dataset.get("NumberOfFrames", 1)), dataset.Rows, dataset.Columns, -1)


def expected(before: np.ndarray, fill: tuple[float, ...], where: np.ndarray | None = None) -> np.ndarray:
    after = before.copy()
    after[:, covered(*before.shape[1:3]) if where is None else where] = fill
    return after


def elements(data: bytes) -> dict[int, tuple[str, bytes]]:
    """VR and encoded value of every element of a file's data set, pixels and file meta information left out."""
    dataset = read(data)
    tags = list(dataset.keys())
    raw = {tag: dataset.get_item(tag) for tag in tags}
    return {int(tag): (item.VR, item.value) for tag, item in raw.items() if tag.group != 0x7FE0}


def body(data: bytes) -> bytes:
    return data[read_file_meta(data)[1] :]
