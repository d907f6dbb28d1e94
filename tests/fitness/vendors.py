"""Diffusion series as vendors write them: what a converter needs stands in private elements."""

from __future__ import annotations

import struct
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.fitness.support import instance, item

MR, ENHANCED = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"
SIZE = 8
# b-value and gradient direction of each volume.
VOLUMES = ((0, (0.0, 0.0, 0.0)), (1000, (1.0, 0.0, 0.0)), (1000, (0.0, 0.6, 0.8)), (2000, (0.6, 0.0, -0.8)))
SLICES = 3


def siemens() -> list[Dataset]:
    """Mosaics with a CSA header: slice times and the sign of the phase direction stand there alone."""
    found = []
    for volume, (value, direction) in enumerate(VOLUMES):
        side = SIZE * 2
        image = _image(volume, volume + 1, 0, Manufacturer="SIEMENS", ManufacturerModelName="Prisma", rows=side)
        image.ImageType = ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE", "MOSAIC"]
        image.SoftwareVersions = "syngo MR E11"
        image.AcquisitionMatrix = [SIZE, 0, 0, SIZE]
        block = image.private_block(0x0019, "SIEMENS MR HEADER", create=True)
        block.add_new(0x0A, "US", 4)
        block.add_new(0x0C, "IS", str(value))
        block.add_new(0x28, "FD", 20.0)
        block.add_new(0x29, "FD", [0.0, 1000.0, 500.0, 1500.0])
        if value:
            block.add_new(0x0D, "CS", "DIRECTIONAL")
            block.add_new(0x0E, "FD", list(direction))
            a, b, c = direction
            block.add_new(0x27, "FD", [value * x for x in (a * a, a * b, a * c, b * b, b * c, c * c)])
        csa = image.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
        csa.add_new(0x10, "OB", _csa(value, direction))
        found.append(image)
    return found


def ge() -> list[Dataset]:
    """b-value in GEMS_PARM_01, directions in GEMS_ACQU_01, echo spacing in both; the sign of the phase is public."""
    found = []
    for volume, (value, direction) in enumerate(VOLUMES):
        for place in range(SLICES):
            number = volume * SLICES + place
            image = _image(volume, number + 1, place, Manufacturer="GE MEDICAL SYSTEMS", rows=SIZE)
            image.TemporalPositionIdentifier = volume + 1
            image.TriggerTime = str(100.0 * place)
            image.RectilinearPhaseEncodeReordering, image.ScanOptions = "REVERSE_LINEAR", ["EPI_GEMS", "FC"]
            acquired = image.private_block(0x0019, "GEMS_ACQU_01", create=True)
            for low, part in zip((0xBB, 0xBC, 0xBD), direction, strict=True):
                acquired.add_new(low, "DS", str(part))
            acquired.add_new(0x9C, "LO", "epi")
            measured = image.private_block(0x0043, "GEMS_PARM_01", create=True)
            measured.add_new(0x2C, "SS", 500)
            measured.add_new(0x39, "IS", [str(value), "8", "0", "0"])
            measured.add_new(0x83, "DS", ["1", "1"])
            image.private_block(0x0021, "GEMS_RELA_01", create=True).add_new(0x5E, "DS", str(0.1 * place))
            found.append(image)
    return found


def philips() -> list[Dataset]:
    """b-value and directions both in public and in private attributes."""
    found = []
    for volume, (value, direction) in enumerate(VOLUMES):
        for place in range(SLICES):
            number = volume * SLICES + place
            image = _image(volume, number + 1, place, Manufacturer="Philips Medical Systems", rows=SIZE)
            image.TemporalPositionIdentifier = volume + 1
            image.DiffusionBValue, image.DiffusionGradientOrientation = float(value), list(direction)
            block = image.private_block(0x2001, "Philips Imaging DD 001", create=True)
            block.add_new(0x03, "FL", float(value))
            block.add_new(0x04, "CS", "S" if value else "I")
            more = image.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
            for low, part in zip((0xB0, 0xB1, 0xB2), direction, strict=True):
                more.add_new(low, "FL", part)
            more.add_new(0x0D, "FL", 0.0)
            more.add_new(0x0E, "FL", 1.0)
            found.append(image)
    return found


def enhanced() -> list[Dataset]:
    """One multi-frame image: all that a converter needs is public."""
    image = _image(0, 1, 0, Manufacturer="ACME", rows=SIZE)
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = ENHANCED
    frames = []
    for volume, (value, direction) in enumerate(VOLUMES):
        for place in range(SLICES):
            diffusion = item(DiffusionBValue=float(value), DiffusionDirectionality="DIRECTIONAL" if value else "NONE")
            if value:
                diffusion.DiffusionGradientDirectionSequence = [item(DiffusionGradientOrientation=list(direction))]
            content = item(
                FrameAcquisitionDateTime=f"20240229233{volume}0{place}.5",
                FrameReferenceDateTime=f"20240229233{volume}0{place}.5",
                FrameAcquisitionDuration=100.0,
                DimensionIndexValues=[1, place + 1, volume + 1],
                StackID="1",
                InStackPositionNumber=place + 1,
                TemporalPositionIndex=volume + 1,
            )
            frames.append(
                item(
                    FrameContentSequence=[content],
                    PlanePositionSequence=[item(ImagePositionPatient=[0, 0, place * 2.0])],
                    MRDiffusionSequence=[diffusion],
                )
            )
    shared = item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        PixelMeasuresSequence=[item(PixelSpacing=[2, 2], SliceThickness=2, SpacingBetweenSlices=2)],
        PixelValueTransformationSequence=[item(RescaleIntercept=0, RescaleSlope=1, RescaleType="US")],
        MRTimingAndRelatedParametersSequence=[item(RepetitionTime=2000.0, FlipAngle=90.0)],
        MREchoSequence=[item(EffectiveEchoTime=80.0)],
        MRFOVGeometrySequence=[item(InPlanePhaseEncodingDirection="COLUMN")],
    )
    image.NumberOfFrames = len(frames)
    image.SharedFunctionalGroupsSequence = Sequence([shared])
    image.PerFrameFunctionalGroupsSequence = Sequence(frames)
    image.PixelData = b"".join(_pixels(n, SIZE) for n in range(len(frames)))
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(image, keyword)
    return [image]


def _image(volume: int, number: int, place: int, rows: int, **values: Any) -> Dataset:
    image = instance(
        MR,
        number,
        Modality="MR",
        ImageType=["ORIGINAL", "PRIMARY", "M", "NONE"],
        SeriesDate="20240229",
        SeriesTime="233000",
        AcquisitionDate="20240229" if volume < 2 else "20240301",
        AcquisitionTime=f"2358{volume}0.{place}" if volume < 2 else f"0001{volume}0.{place}",
        AcquisitionNumber=volume + 1,
        ContentDate="20240229",
        ContentTime="235800",
        MRAcquisitionType="2D",
        ScanningSequence="EP",
        SequenceVariant="SK",
        RepetitionTime="2000",
        EchoTime="80",
        FlipAngle="90",
        EchoTrainLength="8",
        MagneticFieldStrength="3",
        ImagingFrequency="123.2",
        PixelBandwidth="1500",
        InPlanePhaseEncodingDirection="COL",
        NumberOfPhaseEncodingSteps=str(SIZE),
        AcquisitionMatrix=[0, SIZE, SIZE, 0],
        PatientPosition="HFS",
        ImagePositionPatient=[0, 0, place * 2.0],
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        PixelSpacing=[2, 2],
        SliceThickness="2",
        SpacingBetweenSlices="2",
        SliceLocation=str(place * 2.0),
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        Rows=rows,
        Columns=rows,
        BitsAllocated=16,
        BitsStored=12,
        HighBit=11,
        PixelRepresentation=0,
        **values,
    )
    image.PixelData = _pixels(number, rows)
    return image


def _pixels(number: int, rows: int) -> bytes:
    return struct.pack(f"<{rows * rows}H", *((number * 31 + n * 7) % 4096 for n in range(rows * rows)))


def _csa(value: int, direction: tuple[float, ...]) -> bytes:
    """A CSA header of the second kind (SV10): name, VM, VR and items of each entry."""
    entries = {
        "NumberOfImagesInMosaic": ("US", ["4"]),
        "PhaseEncodingDirectionPositive": ("IS", ["1"]),
        "BandwidthPerPixelPhaseEncode": ("FD", ["20.0"]),
        "MosaicRefAcqTimes": ("FD", ["0.0", "1000.0", "500.0", "1500.0"]),
        "SliceNormalVector": ("FD", ["0.0", "0.0", "1.0"]),
        "B_value": ("IS", [str(value)]),
        "DiffusionGradientDirection": ("FD", [str(part) for part in direction] if value else []),
    }
    out = b"SV10\4\3\2\1" + struct.pack("<II", len(entries), 77)
    for name, (vr, texts) in entries.items():
        items = [text.encode() + b"\0" for text in texts]
        out += struct.pack("<64si4siii", name.encode(), len(texts), vr.encode(), 0, max(6, len(items)), 77)
        for data in items + [b""] * (6 - len(items)):
            out += struct.pack("<4i", len(data), len(data), 77, len(data)) + data + b"\0" * (-len(data) % 4)
    return out
