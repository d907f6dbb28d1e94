"""From a cleaned data set and the regions to be masked, to the data set that goes out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from node.errors import HoldInstance, HoldReason
from node.pixels.compressed import Decoded, decoded, in_time, masked_frames
from node.pixels.copies import refuse_copies
from node.pixels.fill import cells
from node.pixels.image import PHOTOMETRIC_INTERPRETATION, PLANAR_CONFIGURATION, Image, read_image, refused
from node.pixels.native import native
from node.pixels.regions import Band, bands
from node.recipe import Cleaned, Segment
from node.recipe.coding import EXPLICIT_CODING
from node.recipe.dictionary import show
from node.syntaxes import EXPLICIT_LE, Syntax

_IMAGE_GROUP_LENGTH, _PIXEL_GROUP_LENGTH = 0x00280000, 0x7FE00000
# They describe fragments, of which none are left (PS3.3 C.7.6.3.1.8, and (7FE0,0003)).
_OF_FRAGMENTS = (0x7FE00001, 0x7FE00002, 0x7FE00003)


@dataclass(frozen=True, slots=True)
class Masked:
    """A data set whose pixels are masked.

    Attributes
    ----------
    segments
        The data set in order, to be read once: literal bytes, or (offset, length) of the source buffer. While it is
        read, a compressed frame that cannot be decoded raises HoldInstance.
    syntax
        What it is encoded in: Explicit VR Little Endian where compressed pixels were decoded, else as it came.
    changed
        Whether it differs from the source.
    decoded
        How many bytes of pixels are written beyond what the source holds; 0 where none are decoded.
    """

    segments: Iterable[Segment]
    syntax: Syntax
    changed: bool
    decoded: int = 0


@dataclass(frozen=True, slots=True)
class _Splice:
    """Other bytes in place of a range of the cleaned data set."""

    start: int
    end: int
    segments: Iterable[Segment]


def mask(cleaned: Cleaned, seconds: float = math.inf) -> Masked:
    """Mask what the filters of a recipe want masked in a data set; one without pixels stays as it is.

    The pixels are described by the original header, whatever the recipe made of it. The SOP Instance UID is the
    recipe's: masking is a part of de-identification, whose result is one derived instance with one UID from the UID
    map (PS3.15 E.1.1), while a change of the transfer syntax alone never asks for a new one (PS3.3 C.12.1.1.1 has it
    identify content). Lossy Image Compression stays: what was lost stays lost (PS3.3 C.7.6.1.1.5).

    Parameters
    ----------
    cleaned
        What the recipe made of the data set, with the regions that its filters want masked.
    seconds
        How long decoding may take, from the first frame on.

    Raises
    ------
    HoldInstance
        The pixels cannot be masked right, or a line of the recipe changes elements that describe them.
    DatasetError
        Text that cannot be decoded.
    """
    dataset = cleaned.dataset
    unmasked = Masked(cleaned.segments, dataset.syntax, cleaned.changed)
    image = read_image(dataset) if cleaned.regions else None
    if image is None:
        return unmasked
    start, end, touched = cleaned.span(image.element[1], image.element[4])
    if start == end:
        return unmasked  # the recipe takes the pixels away
    if touched:
        raise _changed_by_recipe(image.tag)
    covered = bands(cleaned.regions, image.rows, image.columns)
    if not covered:
        return unmasked
    refuse_copies(cleaned, image)
    if image.encapsulated:
        return _decoded(cleaned, image, covered, seconds)
    if dataset.syntax.encapsulated and not image.real:
        raise refused("pixels that are not encapsulated in an encapsulated transfer syntax", image.tag)
    value = native(dataset, image, covered, cells(image, dataset))
    at = start + image.element[2] - image.element[1]
    return Masked(_spliced(cleaned.segments, [_Splice(at, end, value)]), dataset.syntax, changed=True)


def _decoded(cleaned: Cleaned, image: Image, covered: tuple[Band, ...], seconds: float) -> Masked:
    dataset = cleaned.dataset
    target = decoded(image, dataset.syntax)
    native_image = replace(image, photometric=target.photometric)
    black = cells(native_image, dataset)
    frames = in_time(masked_frames(dataset, image, target, covered, black), seconds)
    splices = [*_header(cleaned, image, target), *_removed(cleaned, image, target)]
    start, end, _ = cleaned.span(image.element[1], image.element[4])
    length = target.length + target.length % 2
    head = EXPLICIT_CODING.header(image.tag, "OW" if image.allocated > 8 else "OB", length)
    splices.append(_Splice(start, end, _chain(head, frames)))
    segments = _spliced(cleaned.segments, sorted(splices, key=lambda splice: splice.start))
    return Masked(segments, EXPLICIT_LE, changed=True, decoded=length)


def _header(cleaned: Cleaned, image: Image, target: Decoded) -> Iterator[_Splice]:
    """Give the elements whose value is another one once the pixels are decoded."""
    photometric = target.photometric.encode()
    wanted = {PHOTOMETRIC_INTERPRETATION: ("CS", photometric + b" " * (len(photometric) % 2))}
    if image.samples > 1:
        wanted[PLANAR_CONFIGURATION] = ("US", b"\0\0")
    for tag, (vr, value) in wanted.items():
        element = cleaned.dataset.find(tag)
        assert element is not None  # the image was read from it
        start, end, touched = cleaned.span(element[1], element[4])
        if touched:
            raise _changed_by_recipe(tag)
        if cleaned.dataset.raw(element) != value:
            yield _Splice(start, end, [EXPLICIT_CODING.header(tag, vr, len(value)) + value])


def _removed(cleaned: Cleaned, image: Image, target: Decoded) -> Iterator[_Splice]:
    """Take out what describes fragments, and lengths of groups that would be wrong; both are optional (PS3.5 7.2)."""
    groups = [_PIXEL_GROUP_LENGTH]
    if target.photometric != image.photometric:
        groups.append(_IMAGE_GROUP_LENGTH)
    for tag in (*groups, *_OF_FRAGMENTS):
        element = cleaned.dataset.find(tag)
        if element is not None:
            start, end, _ = cleaned.span(element[1], element[4])
            if start < end:
                yield _Splice(start, end, [])


def _changed_by_recipe(tag: int) -> HoldInstance:
    return HoldInstance(HoldReason.ACTION_FAILED, f"the recipe changes what describes masked pixels at {show(tag)}")


def _chain(head: bytes, frames: Iterable[Segment]) -> Iterator[Segment]:
    yield head
    yield from frames


def _spliced(segments: Sequence[Segment], splices: Sequence[_Splice]) -> Iterator[Segment]:
    position = 0
    for splice in splices:
        yield from _between(segments, position, splice.start)
        yield from splice.segments
        position = splice.end
    yield from _between(segments, position, sum(map(_length, segments)))


def _length(segment: Segment) -> int:
    return len(segment) if isinstance(segment, bytes) else segment[1]


def _between(segments: Sequence[Segment], start: int, end: int) -> Iterator[Segment]:
    """Give what lies from `start` to `end` of all segments put one after another."""
    position = 0
    for segment in segments:
        length = _length(segment)
        first, last = max(start - position, 0), min(end - position, length)
        if first < last:
            yield segment[first:last] if isinstance(segment, bytes) else (segment[0] + first, last - first)
        position += length
