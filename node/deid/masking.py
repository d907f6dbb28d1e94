"""An image on its way through `node.pixels` into a file.

Guarantees that the header of the file is the original's, but for what decoding changes, and that pixels which are
compressed again come back as they were. Refuses (HoldInstance) what cannot be masked right.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import IO, Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array

from node.deid.identifiers import DicomFile
from node.deid.saving import HEAD
from node.deid.source import Source, opened
from node.durable import write_all
from node.instances import write_deflated, write_segments
from node.pixels import mask
from node.recipe import RecipeText, Region, load_recipe
from node.recipe.coding import EXPLICIT_CODING

_KEPT = load_recipe([RecipeText("pixels", "FORMAT dicom")], in_node=False)
_ENCODERS = {
    "1.2.840.10008.1.2.5": "pydicom",
    "1.2.840.10008.1.2.4.80": "pyjpegls",
    "1.2.840.10008.1.2.4.90": "pylibjpeg",
}
_GROUP_LENGTH, _TRANSFER_SYNTAX_UID = 0x00020000, 0x00020010
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Masking:
    """How an image is read and written.

    Parameters
    ----------
    force
        Take a file without the prefix DICM too.
    compression
        The transfer syntax to compress the masked pixels in; None leaves them uncompressed.
    keep_compression
        Compress them in the image's own transfer syntax, where it is a compressed one.
    """

    force: bool = True
    compression: str | None = None
    keep_compression: bool = False


@dataclass(frozen=True, slots=True)
class Copy:
    """A file as `Folder.save` takes it."""

    file: IO[bytes]

    def write(self, target: int) -> None:
        """Write what is in the file into a descriptor."""
        while chunk := self.file.read(_CHUNK):
            write_all(target, chunk)


def opened_file(dicom_file: DicomFile, force: bool) -> AbstractContextManager[Source]:
    """Open a path or a data set, as `node.deid.source.opened` does."""
    return opened(dicom_file if isinstance(dicom_file, Dataset) else os.fspath(dicom_file), force=force)


def _regions(results: Mapping[str, Any]) -> tuple[Region, ...]:
    """Return what `has_burned_pixels` found as regions, in order; they may have been changed by hand."""
    regions: list[Region] = []
    for finding in results["results"]:
        if not finding["coordinates"]:
            warnings.warn("A LABEL that the image meets names no coordinates: nothing is masked for it.", stacklevel=4)
        for keep, texts in finding["coordinates"]:
            regions += [_region(bool(keep), one) for one in ([texts] if isinstance(texts, str) else texts)]
    return tuple(regions)


def _region(keep: bool, text: str) -> Region:
    if text.lower() == "all":
        return Region(keep, None)
    x, y, right, bottom = map(int, text.split(","))
    return Region(keep, (x, y, right, bottom))


@contextmanager
def masked_file(dicom_file: DicomFile, results: Mapping[str, Any], how: Masking) -> Iterator[IO[bytes]]:
    """Give an image with the regions of `has_burned_pixels` masked, as a file of no name.

    Raises
    ------
    HoldInstance
        It cannot be masked right.
    DatasetError, FileError
        It cannot be parsed or read.
    """
    regions = _regions(results)
    with opened_file(dicom_file, how.force) as source, tempfile.TemporaryFile() as file:
        _write(source, regions, file.fileno())
        original = source.dataset.syntax
        uid = original.uid if how.keep_compression and original.encapsulated else how.compression
        if uid is not None:
            _compress(file, uid)
        file.seek(0)
        yield file


def _write(source: Source, regions: tuple[Region, ...], target: int) -> None:
    cleaned = _KEPT.apply(source.dataset, None, {})
    cleaned.regions = regions
    masked = mask(cleaned)
    head = HEAD + _meta(source, masked.syntax.uid)
    if source.dataset.syntax.deflated:
        write_deflated(target, head, masked.segments, source.file)
    else:
        write_segments(target, head, masked.segments, source.file, source.whole)


def _meta(source: Source, uid: str) -> bytes:
    """Return the encoded file meta information, with another transfer syntax where the pixels were decoded."""
    meta = bytearray(source.meta.buffer)
    element, group = source.meta.find(_TRANSFER_SYNTAX_UID), source.meta.find(_GROUP_LENGTH)
    if element is None or uid == source.dataset.syntax.uid:
        return bytes(meta)
    value = uid.encode() + b"\0" * (len(uid) % 2)
    meta[element[1] : element[4]] = EXPLICIT_CODING.header(_TRANSFER_SYNTAX_UID, "UI", len(value)) + value
    if group is not None:
        meta[group[2] : group[4]] = EXPLICIT_CODING.pack_length(len(meta) - group[4])
    return bytes(meta)


def _compress(file: IO[bytes], uid: str) -> None:
    """Compress the pixels of an uncompressed file, where that can be done without loss; else leave it, and warn."""
    if uid not in _ENCODERS:
        warnings.warn("The image is saved uncompressed: this transfer syntax is not written.", stacklevel=5)
        return
    file.seek(0)
    dataset = dcmread(file, force=True)
    pixels = pixel_array(dataset, raw=True)
    if dataset.SamplesPerPixel > 1:
        dataset.PlanarConfiguration = 0  # as the array has it
    try:
        dataset.compress(uid, pixels, encoding_plugin=_ENCODERS[uid], generate_instance_uid=False)
        again = pixel_array(dataset, raw=True, decoding_plugin=_ENCODERS[uid])
    except Exception:  # noqa: BLE001 -- the boundary around foreign encoders
        again = None
    if again is None or again.dtype != pixels.dtype or not (again == pixels).all():
        warnings.warn("The image is saved uncompressed: compression does not keep it.", stacklevel=5)
        return
    file.seek(0)
    file.truncate()
    dataset.save_as(file)
