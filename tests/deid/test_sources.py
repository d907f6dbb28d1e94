"""What comes into `replace_identifiers`: encodings, files without a head, broken ones, data sets in memory."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from node.deid import DeidRecipe, replace_identifiers
from node.errors import RecipeError
from tests.deid.support import NO_NAME, PYDICOM, encoded, failed, one, patient, recipe, write


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "a.dcm", patient())


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_every_encoding_stays_what_it_is(tmp_path, syntax):
    path = write(tmp_path / "a.dcm", patient(), syntax=syntax)
    (cleaned,) = replace_identifiers(path, deid=NO_NAME)
    ds = pydicom.dcmread(cleaned)
    assert ds.file_meta.TransferSyntaxUID == syntax
    assert (ds.PatientID, "PatientName" in ds) == ("PLANTED1", False)
    assert Path(cleaned).stat().st_size % 2 == 0


def test_a_deflated_data_set_that_does_not_change_keeps_its_stream(tmp_path):
    path = write(tmp_path / "a.dcm", patient(), syntax=DeflatedExplicitVRLittleEndian)
    (cleaned,) = replace_identifiers(path, deid=recipe("REMOVE PatientAge"))
    assert Path(cleaned).read_bytes() == Path(path).read_bytes()
    ds = one(path, "REMOVE PatientName", strip_sequences=True)
    assert "PatientName" not in ds


def test_a_broken_deflated_stream_is_refused(tmp_path):
    data = encoded(patient(), DeflatedExplicitVRLittleEndian)
    (tmp_path / "a.dcm").write_bytes(data[:-20])
    with pytest.raises(zlib.error):
        pydicom.dcmread(tmp_path / "a.dcm")
    assert len(failed(tmp_path / "a.dcm", deid=NO_NAME)) == 1


@pytest.mark.parametrize(
    ("name", "syntax"),
    [
        ("ExplVR_LitEndNoMeta.dcm", ExplicitVRLittleEndian),
        ("ExplVR_BigEndNoMeta.dcm", ExplicitVRBigEndian),
        ("rtstruct.dcm", ImplicitVRLittleEndian),
        ("meta_missing_tsyntax.dcm", ImplicitVRLittleEndian),
    ],
)
def test_a_file_without_file_meta_information_becomes_a_whole_one(name, syntax):
    (cleaned,) = replace_identifiers(PYDICOM / name, deid=NO_NAME)
    ds, before = pydicom.dcmread(cleaned), pydicom.dcmread(PYDICOM / name, force=True)
    assert ds.file_meta.TransferSyntaxUID == syntax
    assert ds.file_meta.get("MediaStorageSOPInstanceUID") == ds.get("SOPInstanceUID")
    before.pop("PatientName", None)
    assert [e.tag for e in ds] == [e.tag for e in before]
    assert list(failed(PYDICOM / name, deid=NO_NAME, force=False)) == [str(PYDICOM / name)]


def test_a_file_that_begins_with_file_meta_information_is_taken(tmp_path):
    (tmp_path / "a.dcm").write_bytes(encoded(patient())[132:])
    (cleaned,) = replace_identifiers(tmp_path / "a.dcm", deid=NO_NAME)
    assert Path(cleaned).read_bytes()[:132] == b"\0" * 128 + b"DICM"
    assert pydicom.dcmread(cleaned).PatientID == "PLANTED1"


@pytest.mark.parametrize("name", ["no_meta.dcm", "MR_truncated.dcm", "README.txt"])
def test_what_is_broken_is_refused_even_by_force(name, tmp_path):
    assert len(failed(PYDICOM / name, deid=NO_NAME, output_folder=tmp_path)) == 1
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("plain", [True, False])
def test_a_data_set_is_cleaned_and_itself_not_changed(path, plain):
    source = patient() if plain else pydicom.dcmread(path)
    before = str(source)
    ds = one(source, "REMOVE PatientName", "REPLACE PatientID var:id", ids={None if plain else path: {"id": "x"}})
    assert ("PatientName" in ds, ds.PatientID) == (False, "x")
    assert str(source) == before
    assert ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


def test_a_data_set_keeps_the_encoding_that_it_was_read_in():
    source = pydicom.dcmread(PYDICOM / "ExplVR_BigEndNoMeta.dcm", force=True)
    source.file_meta = pydicom.dataset.FileMetaDataset()
    assert one(source, "REMOVE PatientName").file_meta.TransferSyntaxUID == ExplicitVRBigEndian


def test_a_data_set_without_a_name_cannot_be_saved(path, tmp_path):
    (reason,) = failed(patient(), deid=NO_NAME, output_folder=tmp_path / "out").values()
    assert "save=False" in str(reason)
    source = pydicom.dcmread(path)
    assert replace_identifiers(source, deid=NO_NAME, output_folder=tmp_path / "o") == [str(tmp_path / "o/a.dcm")]


def test_a_recipe_that_loads_once_serves_every_call(path):
    mine = DeidRecipe(NO_NAME)
    compiled = mine.compiled
    for _ in range(2):
        assert "PatientName" not in replace_identifiers(path, deid=mine, save=False)[0]
    assert mine.compiled is compiled
    with pytest.raises(RecipeError):
        replace_identifiers(path)
