"""The private headers of Siemens MR images ("CSA"), written anew with what is known to hold no identity.

Guarantees that what is returned was put together from keys of the list below and values of their form (numbers, few
enumerated words), and holds no other byte of the original: not behind the end of a text, not between items, not in
fields that readers skip. What is no such header, or does not parse to its last item, gives nothing at all: the header
is private and optional, so that an image without it is complete, while holding every image of a scanner whose software
writes it another way would help nobody.

The format is little endian. CSA2 begins with SV10 and four bytes more, CSA1 with what follows: the number of tags, 77;
then each tag: name in 64 bytes, VM, VR in 4 bytes, a type, the number of items, 77 or 205; then each item: four
numbers, of which the second (CSA1: the first, less the number of items of the first tag) is its length, and its text,
padded to a multiple of four.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from node.recipe import phoenix

_CSA2 = b"SV10"
_HEAD = struct.Struct("<2I")
_TAG = struct.Struct("<64si4s3i")
_ITEM = struct.Struct("<4i")
_MARK = 77
_MARKS = (77, 205)
_MAX_TAGS = 1000
_MAX_ITEMS = 4096

_NUMBER = re.compile(r"[+-]?[0-9]{1,12}(?:\.[0-9]{0,20})?(?:[eE][+-]?[0-9]{1,3})?\Z")
_PROTOCOL = re.compile(r"")  # filtered line by line

_NUMBERS = """
    AbsTablePosition AcquisitionMatrix Actual3DImaPartNumber B_matrix B_value BandwidthPerPixelPhaseEncode Columns
    DiffusionGradientDirection DwellTime EchoColumnPosition EchoLinePosition EchoNumbers EchoPartitionPosition EchoTime
    EchoTrainLength FlipAngle FlowVenc ImaAbsTablePosition ImaRelTablePosition ImageOrientationPatient
    ImagePositionPatient ImagingFrequency InversionTime MagneticFieldStrength MeasuredFourierLines MosaicRefAcqTimes
    MrProtocolVersion MultistepIndex NumberOfAverages NumberOfImagesInMosaic NumberOfPhaseEncodingSteps
    PercentPhaseFieldOfView PercentSampling PhaseEncodingDirectionPositive PixelBandwidth PixelSpacing
    ProtocolSliceNumber RBMoCoRot RBMoCoTrans RealDwellTime RelTablePosition RepetitionTime Rows
    SliceArrayConcatenations SliceLocation SliceMeasurementDuration SliceNormalVector SlicePosition_PCS SliceResolution
    SliceThickness SpacingBetweenSlices TablePositionOrigin TimeAfterStart UsedChannelMask VoxelInPlaneRot
    VoxelNormalCor VoxelNormalSag VoxelNormalTra VoxelPhaseFOV VoxelPositionCor VoxelPositionSag VoxelPositionTra
    VoxelReadoutFOV VoxelThickness
"""
_FORMS = dict.fromkeys(_NUMBERS.split(), _NUMBER) | {
    "AcquisitionMatrixText": re.compile(r"[0-9]{1,5}[pi]?\*[0-9]{1,5}[pis]{0,2}\Z"),
    "DiffusionDirectionality": re.compile(r"(?:DIRECTIONAL|BMATRIX|ISOTROPIC|NONE)\Z"),
    "FlowCompensation": re.compile(r"(?:Yes|No|READ|SLICE|READ_SLICE)\Z"),
    "GradientMode": re.compile(r"(?:Fast|Normal|Whisper|Ultrafast|Performance)\*?\Z"),
    "ICE_Dims": re.compile(r"(?:X|[0-9]{1,6})(?:_(?:X|[0-9]{1,6})){1,31}\Z"),
    "ImaPATModeText": re.compile(r"[ps][0-9]{1,2}(?:[ x]?[ps]?[0-9]{1,2}){0,3}\Z"),
    "ImagedNucleus": re.compile(r"[0-9]{1,3}[A-Z][a-z]?\Z"),
    "PhaseEncodingDirection": re.compile(r"(?:ROW|COL)\Z"),
    "PositivePCSDirections": re.compile(r"[+-][A-Z]{3}\Z"),
    "MrPhoenixProtocol": _PROTOCOL,
    "MrProtocol": _PROTOCOL,
}
KEYS = frozenset(_FORMS)
"""The keys that may stay."""


class _NotReadable(ValueError):
    pass


@dataclass(frozen=True, slots=True)
class _Tag:
    name: str
    vm: int
    vr: str
    syngo: int
    items: tuple[str, ...]


def allowed(data: bytes) -> bytes:
    """Return a CSA header, or the bare text of a protocol, with what may stay of it; b"" where nothing may.

    Parameters
    ----------
    data
        The value of (0029,"SIEMENS CSA HEADER",10) or 20, or of a protocol that newer software writes by itself.
    """
    if len(data) < 8:
        return b""
    text = data.partition(b"\0")[0].decode("latin-1")
    if not data.startswith(_CSA2) and phoenix.is_protocol(text):
        return phoenix.allowed(text).encode("latin-1")
    try:
        tags, second = _read(data)
    except _NotReadable:
        return b""
    kept = [found for tag in tags if (found := _cleaned(tag)) is not None]
    return _written(kept, second=second) if kept else b""


def _cleaned(tag: _Tag) -> _Tag | None:
    form = _FORMS.get(tag.name)
    if form is None:
        return None
    if form is _PROTOCOL:
        text = phoenix.allowed(tag.items[0]) if tag.items else ""
        return _Tag(tag.name, 1, tag.vr, tag.syngo, (text,)) if text else None
    fits = all(not item or form.match(item) for item in tag.items)
    return tag if fits else None


def _read(data: bytes) -> tuple[list[_Tag], bool]:
    """Return the tags, and whether it is CSA2. Raises _NotReadable."""
    second = data.startswith(_CSA2)
    position = 8 if second else 0
    try:
        count, mark = _HEAD.unpack_from(data, position)
        if not 0 < count <= _MAX_TAGS or mark != _MARK:
            raise _NotReadable
        position += _HEAD.size
        tags: list[_Tag] = []
        first = None
        for _ in range(count):
            head = _TAG.unpack_from(data, position)
            first = head[4] if first is None else first
            tag, position = _tag(data, position + _TAG.size, head, None if second else first)
            tags.append(tag)
    except struct.error:
        raise _NotReadable from None
    return tags, second


def _tag(
    data: bytes, position: int, head: tuple[bytes, int, bytes, int, int, int], first: int | None
) -> tuple[_Tag, int]:
    name, vm, vr, syngo, count, mark = head
    if not 0 <= count <= _MAX_ITEMS or not 0 <= vm <= _MAX_ITEMS or mark not in _MARKS:
        raise _NotReadable
    items = []
    for _ in range(count):
        lengths = _ITEM.unpack_from(data, position)
        position += _ITEM.size
        # CSA1 writes an item without a value as one of no length at all, not even that of the first tag's items.
        length = lengths[1] if first is None else max(0, lengths[0] - first)
        if length < 0 or position + length > len(data):
            raise _NotReadable
        items.append(_text(data[position : position + length]))
        position += length + -length % 4
    return _Tag(_text(name), vm, _text(vr), syngo if 0 <= syngo < 100 else 0, tuple(items)), position


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("latin-1").strip()


def _written(tags: list[_Tag], *, second: bool) -> bytes:
    first = 0 if second else len(tags[0].items)
    parts = [_CSA2 + b"\4\3\2\1" if second else b"", _HEAD.pack(len(tags), _MARK)]
    for tag in tags:
        vr = tag.vr.encode("latin-1") if re.fullmatch("[A-Z]{2}", tag.vr) else b"UN"
        parts.append(_TAG.pack(tag.name.encode("ascii"), tag.vm, vr, tag.syngo, len(tag.items), _MARK))
        for item in tag.items:
            value = item.encode("latin-1") + b"\0" if item else b""
            parts.append(_ITEM.pack(len(value) + first if value else 0, len(value), _MARK, len(value)))
            parts.append(value + b"\0" * (-len(value) % 4))
    return b"".join(parts)
