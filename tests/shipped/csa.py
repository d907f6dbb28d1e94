"""Synthetic CSA headers, written after the format's description and not by the code that is tested; and a reader."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

TAG, ITEM = "<64si4s3i", "<4i"

PHOENIX = """<XProtocol>
{
  <ParamString."PatientName">  { "SECRET^NAME" }
}
### ASCCONV BEGIN object=MrProtDataImpl@MrProtocolData version=41340006 converter=%MEASCONST%/ConverterList.txt ###
ulVersion\t = \t0x14b44b6
tProtocolName\t = \t"SECRET+head"
tReferenceImage0\t = \t"1.3.12.2.1107.5.2.99.SECRET"
sProtConsistencyInfo.tBaselineString\t = \t"SECRET"
sProtConsistencyInfo.flNominalB0\t = \t2.89362001
sSliceArray.lSize\t = \t3
sSliceArray.asSlice[0].sPosition.dTra\t = \t-31.5
sSliceArray.asSlice[0].tComment\t = \t19600314SECRET
lTotalScanTimeSec\t = \t305
alTE[0]\t = \t89000
adFlipAngleDegree[0]\t = \t90.0
sPat.lAccelFactPE\t = \t2
flUsedPatientWeight\t = \t81.7
sPatientSECRET.lId\t = \t4711
### ASCCONV END ###
<trailing> SECRET </trailing>
"""


def header(
    tags: Mapping[str, tuple[str, int, Sequence[str]]], *, second: bool = True, junk: bytes = b"SECRET!!"
) -> bytes:
    """A CSA header: name to VR, VM and items; `junk` fills every byte that a reader does not need."""
    out = b"SV10\4\3\2\1" if second else b""
    out += struct.pack("<2I", len(tags), 77)
    first = len(next(iter(tags.values()))[2])
    for name, (vr, vm, items) in tags.items():
        label = name.encode() + b"\0"
        out += struct.pack(TAG, label + (junk * 8)[: 64 - len(label)], vm, vr.encode() + b"\0", 4660, len(items), 205)
        for item in items:
            raw = item.encode() + b"\0" + junk if item else b""
            length = len(raw) if second else (len(raw) + first if raw else 0)
            out += struct.pack(ITEM, length, len(raw), 77, len(raw)) + raw + (junk * 2)[: -len(raw) % 4]
    return out + junk


def read(data: bytes) -> dict[str, list[str]]:
    """The items of each tag. Raises struct.error, AssertionError for what is no header."""
    second, place = data.startswith(b"SV10"), 0
    place = 8 if second else 0
    count, mark = struct.unpack_from("<2I", data, place)
    assert mark == 77
    place += 8
    found: dict[str, list[str]] = {}
    first = None
    for _ in range(count):
        name, _, _, _, number, end = struct.unpack_from(TAG, data, place)
        assert end in (77, 205)
        first = number if first is None else first
        place += struct.calcsize(TAG)
        items = found.setdefault(name.partition(b"\0")[0].decode(), [])
        for _ in range(number):
            one, two, _, _ = struct.unpack_from(ITEM, data, place)
            length = two if second else max(0, one - first)
            place += 16
            assert place + length <= len(data)
            items.append(data[place : place + length].partition(b"\0")[0].decode())
            place += (length + 3) // 4 * 4
    assert place == len(data), "nothing stands behind the last item"
    return found


IMAGE = {
    "EchoLinePosition": ("IS", 1, ["64", "", "", "", "", ""]),
    "B_value": ("IS", 1, ["1000", "", "", "", "", ""]),
    "DiffusionGradientDirection": ("FD", 3, ["0.70710677", "-0.70710677", "0.00000000", "", "", ""]),
    "DiffusionDirectionality": ("CS", 1, ["DIRECTIONAL", ""]),
    "B_matrix": ("FD", 6, ["1", "2.5", "-3", "4e2", "5", "6"]),
    "MosaicRefAcqTimes": ("FD", 3, ["0.00000000", "1190.00000000", "62.50000000"]),
    "NumberOfImagesInMosaic": ("US", 1, ["36"]),
    "PhaseEncodingDirectionPositive": ("IS", 1, ["1"]),
    "BandwidthPerPixelPhaseEncode": ("FD", 1, ["19.29000000"]),
    "SliceNormalVector": ("FD", 3, ["0.0", "0.0", "1.0"]),
    "SliceMeasurementDuration": ("DS", 1, ["58420.000000"]),
    "ImaPATModeText": ("LO", 1, ["p2 s3"]),
    "ICE_Dims": ("LO", 1, ["X_1_1_1_1_1_1_1_1_1_1_1_48"]),
    "AcquisitionMatrixText": ("SH", 1, ["128p*128"]),
    "PatientID": ("LO", 1, ["SECRET1"]),
    "ImageComments": ("LT", 1, ["SECRET words"]),
    "ReferencedImageSequence": ("UI", 1, ["1.3.12.2.SECRET"]),
    "ImaCoilString": ("LO", 1, ["SECRET"]),
    "ProtocolSliceNumber": ("IS", 1, ["SECRET in a number"]),
    "PhaseEncodingDirection": ("CS", 1, ["SECRET"]),
}
SERIES = {
    "UsedPatientWeight": ("IS", 1, ["SECRET"]),
    "MrProtocolVersion": ("IS", 1, ["41340006"]),
    "MrPhoenixProtocol": ("UN", 1, [PHOENIX]),
}
