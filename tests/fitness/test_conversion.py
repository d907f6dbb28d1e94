"""dcm2niix makes the same of diffusion series before and after."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.fitness import vendors
from tests.fitness.support import RECIPES, cleaned, written

# What a study computes with; the rest of the description names devices, dates and places.
KEYS = (
    "SliceTiming",
    "PhaseEncodingDirection",
    "PhaseEncodingAxis",
    "InPlanePhaseEncodingDirectionDICOM",
    "EffectiveEchoSpacing",
    "TotalReadoutTime",
    "BandwidthPerPixelPhaseEncode",
    "RepetitionTime",
    "EchoTime",
    "FlipAngle",
    "PhilipsRescaleSlope",
    "ImageOrientationPatientDICOM",
)
NEEDED = {
    "siemens": ("SliceTiming", "PhaseEncodingDirection", "EffectiveEchoSpacing"),
    "ge": ("InPlanePhaseEncodingDirectionDICOM", "PhaseEncodingDirection", "EffectiveEchoSpacing", "TotalReadoutTime"),
    "philips": ("InPlanePhaseEncodingDirectionDICOM", "PhilipsRescaleSlope"),
    "enhanced": ("InPlanePhaseEncodingDirectionDICOM",),
}


def converted(folder: Path, out: Path) -> dict[str, Any]:
    """The b-values, directions, times and voxels that a converter finds."""
    out.mkdir()
    command = ["dcm2niix", "-z", "n", "-b", "y", "-ba", "n", "-f", "series", "-o", out, folder]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    assert [path.name for path in out.glob("*.nii")] == ["series.nii"], ran.stdout
    said = json.loads((out / "series.json").read_text())
    found = {key: said[key] for key in KEYS if key in said}
    for kind in ("bval", "bvec"):
        path = out / f"series.{kind}"
        found[kind] = path.read_text() if path.exists() else None
    # The header's first 348 bytes hold a description with the time of acquisition.
    found["voxels"] = (out / "series.nii").read_bytes()[352:]
    return found


def cases() -> list[Any]:
    """Each maker with research; with the options alone where these keep all that is needed."""
    found = [pytest.param(maker, RECIPES["research"], id=f"{maker}-research") for maker in NEEDED]
    return found + [pytest.param(maker, RECIPES["options"], id=f"{maker}-options") for maker in ("philips", "enhanced")]


@pytest.mark.parametrize(("maker", "names"), cases())
def test_a_converter_finds_the_same(tmp_path, maker, names):
    source = written(tmp_path / "in", getattr(vendors, maker)())
    before = converted(source, tmp_path / "before")
    assert before["bval"] is not None
    assert before["bval"].split() == ["0", "1000", "1000", "2000"]
    assert set(NEEDED[maker]) <= set(before)
    after = converted(cleaned(names, source, tmp_path / "out"), tmp_path / "after")
    assert after == before
