"""dcm2niix finds in a cleaned diffusion series what it finds in the original."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from node.part10 import read_file_meta
from node.recipe import EncodedDataset, Recipe, load_recipe, shipped_recipe
from node.syntaxes import EXPLICIT_LE
from tests.recipe.support import Keys
from tests.shipped.csa import PHOENIX, header

TILES, SIZE = 4, 32  # a mosaic of 2 by 2 slices
KEYS = (
    "SliceTiming",
    "PhaseEncodingDirection",
    "PhaseEncodingAxis",
    "TotalReadoutTime",
    "EffectiveEchoSpacing",
    "BandwidthPerPixelPhaseEncode",
    "RepetitionTime",
    "EchoTime",
    "FlipAngle",
    "ParallelReductionFactorInPlane",
)


def mosaic(number: int, b_value: int) -> Dataset:
    source = Dataset()
    source.file_meta = FileMetaDataset()
    source.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    source.file_meta.MediaStorageSOPClassUID = source.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    source.file_meta.MediaStorageSOPInstanceUID = source.SOPInstanceUID = f"1.2.3.{number}"
    source.ImageType = ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE", "ND", "MOSAIC"]
    source.StudyDate = source.SeriesDate = source.AcquisitionDate = "20200111"
    source.StudyTime = source.SeriesTime = "101112"
    source.AcquisitionTime = f"1011{10 + number:02d}.000000"
    source.Modality, source.Manufacturer, source.ManufacturerModelName = "MR", "SIEMENS", "Prisma"
    source.PatientName, source.PatientID, source.SeriesDescription = "SECRET^NAME", "SECRET1", "SECRET"
    source.StudyInstanceUID, source.SeriesInstanceUID = "1.2.3.100", "1.2.3.101"
    source.FrameOfReferenceUID = "1.2.3.102"
    source.ScanningSequence, source.MRAcquisitionType, source.SequenceName = "EP", "2D", f"*ep_b{b_value}"
    source.SliceThickness, source.RepetitionTime, source.EchoTime, source.FlipAngle = "2", "4000", "89", "90"
    source.MagneticFieldStrength, source.PixelBandwidth, source.SpacingBetweenSlices = "3", "1700", "2"
    source.InPlanePhaseEncodingDirection, source.PercentPhaseFieldOfView = "COL", "100"
    source.PatientPosition = "HFS"
    source.AcquisitionMatrix, source.NumberOfPhaseEncodingSteps = [SIZE, 0, 0, SIZE], "32"
    source.SeriesNumber, source.AcquisitionNumber, source.InstanceNumber = 1, number, number
    source.ImagePositionPatient, source.ImageOrientationPatient = [-64, -64, -4], [1, 0, 0, 0, 1, 0]
    source.PixelSpacing = ["2", "2"]
    source.SamplesPerPixel, source.PhotometricInterpretation = 1, "MONOCHROME2"
    source.Rows = source.Columns = 2 * SIZE
    source.BitsAllocated, source.BitsStored, source.HighBit, source.PixelRepresentation = 16, 12, 11, 0
    source.PixelData = b"".join((place * number % 4096).to_bytes(2, "little") for place in range(4 * SIZE * SIZE))
    source["PixelData"].VR = "OW"
    image = {
        "B_value": ("IS", 1, [str(b_value)]),
        "NumberOfImagesInMosaic": ("US", 1, [str(TILES)]),
        "MosaicRefAcqTimes": ("FD", TILES, ["0.0", "2000.0", "1000.0", "3000.0"]),
        "PhaseEncodingDirectionPositive": ("IS", 1, ["1"]),
        "BandwidthPerPixelPhaseEncode": ("FD", 1, ["19.29"]),
        "SliceNormalVector": ("FD", 3, ["0.0", "0.0", "1.0"]),
        "ProtocolSliceNumber": ("IS", 1, ["0"]),
        "SliceMeasurementDuration": ("DS", 1, ["58420.0"]),
        "PatientID": ("LO", 1, ["SECRET1"]),
    }
    if b_value:
        image["DiffusionGradientDirection"] = ("FD", 3, ["0.6", "-0.8", "0.0"])
        image["B_matrix"] = ("FD", 6, ["360", "-480", "0", "640", "0", "0"])
    # Scanners write six items at least; dcm2niix relies on it.
    image = {key: (vr, vm, items + [""] * (6 - len(items))) for key, (vr, vm, items) in image.items()}
    block = source.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x10, "OB", header(image, junk=b"\0\0\0\0"))
    block.add_new(0x20, "OB", header({"MrPhoenixProtocol": ("UN", 1, [PHOENIX])}, junk=b"\0\0\0\0"))
    return source


def converted(folder: Path) -> tuple[dict[str, object], list[str]]:
    command = ["dcm2niix", "-b", "y", "-ba", "n", "-z", "n", "-f", "out", "-o", folder, folder]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-1000:]
    (sidecar,) = folder.glob("*.json")
    tables = [path.read_text() for path in sorted(folder.glob("*.bv*"))]
    return json.loads(sidecar.read_text()), tables


def cleaned(recipe: Recipe, path: Path, target: Path) -> None:
    data = path.read_bytes()
    _, offset = read_file_meta(data)
    result = recipe.apply(EncodedDataset.scan(data, offset, EXPLICIT_LE), Keys(), {}, masks=True).tobytes()
    assert b"SECRET" not in result
    target.write_bytes(data[:offset] + result)
    dcmread(target)


@pytest.mark.skipif(shutil.which("dcm2niix") is None, reason="dcm2niix (Debian) is not installed")
@pytest.mark.parametrize("name", ["research", "xnat"])
def test_dcm2niix_finds_the_same_timing_directions_and_b_values(name, tmp_path):
    text = shipped_recipe(name)
    assert text is not None
    recipe = load_recipe([text])
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    after.mkdir()
    for number, b_value in enumerate((0, 1000, 1000), start=1):
        path = before / f"{number}.dcm"
        mosaic(number, b_value).save_as(path, enforce_file_format=True)
        cleaned(recipe, path, after / path.name)
    (sidecar, tables), (own, own_tables) = converted(before), converted(after)
    assert len(tables) == 2, "bval and bvec"
    assert own_tables == tables
    assert sidecar["SliceTiming"], "the original has slice times"
    assert sidecar["PhaseEncodingDirection"], "and a phase direction"
    assert {key: own.get(key) for key in KEYS} == {key: sidecar.get(key) for key in KEYS}
    volumes = [next(folder.glob("*.nii")).read_bytes()[352:] for folder in (before, after)]
    assert volumes[0] == volumes[1]
