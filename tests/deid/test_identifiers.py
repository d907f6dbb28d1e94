"""`get_identifiers`: one dictionary with two ways to look things up."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from node.deid import get_identifiers
from node.errors import DatasetError, FileError, FilesError
from tests.deid.support import CT, PYDICOM, patient, write
from tests.recipe.support import dataset


def nested() -> Dataset:
    images = [dataset(ReferencedSOPClassUID="1.2.9", ReferencedSOPInstanceUID=f"1.2.{n}") for n in (5, 6)]
    source = patient(ReferencedImageSequence=images, Rows=4)
    source.add_new(0x00090010, "LO", "ACME 1.0")
    source.add_new(0x00091001, "SQ", [dataset(PatientID="inside")])
    return source


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "a.dcm", nested())


def test_values_are_found_by_name_and_by_the_names_of_the_sequences_around(path):
    header = get_identifiers(path)[path]
    assert (header["PatientID"], str(header["PatientName"]), header["Rows"]) == ("PLANTED1", "PLANTED^NAME", 4)
    assert header["ReferencedImageSequence__ReferencedSOPClassUID"] == "1.2.9"
    assert header["MediaStorageSOPInstanceUID"] == "1.2.3"
    assert header["__PatientID"] == "inside"


def test_a_name_that_several_items_share_gives_the_first_and_a_tag_path_each(path):
    header = get_identifiers(path)[path]
    assert header["ReferencedImageSequence__ReferencedSOPInstanceUID"] == "1.2.5"
    second = header["(0008,1140)__1__(0008,1155)"]
    assert (second.element.value, second.name, second.tag, second.stripped_tag, second.is_filemeta) == (
        "1.2.6",
        "ReferencedImageSequence__ReferencedSOPInstanceUID",
        "(0008,1155)",
        "00081155",
        False,
    )
    assert second.uid == "(0008,1140)__1__(0008,1155)"
    assert header["(0002,0003)"].is_filemeta


def test_both_ways_work_with_in_and_get(path):
    header = get_identifiers(path)[path]
    for key in ("PatientID", "(0010,0020)", "(0009,1001)__0__(0010,0020)"):
        assert key in header
        assert header.get(key) == header[key]
    assert "PatientAge" not in header
    assert header.get("(0010,1010)") is None
    assert header.get("PatientAge", 7) == 7
    with pytest.raises(KeyError):
        header["(0010,1010)"]


def test_loops_go_over_names_and_fields_over_tag_paths(path):
    header = get_identifiers(path)[path]
    assert not [key for key in header if key.startswith("(")]
    assert len(header) == len(list(header)) == len(dict(header.items()))
    assert next(iter(header.fields)) == "(0008,0016)"
    assert list(header.fields)[-1] == "(0009,1001)__0__(0010,0020)"
    assert "" not in header


def test_what_is_put_in_is_there_and_a_copy_has_it_too(path):
    header = get_identifiers(path)[path]
    header["generate_uid"] = len
    header["PatientID"] = "other"
    again = header.copy()
    again["more"] = 1
    assert (again["generate_uid"], again["PatientID"], again["(0010,0020)"].element.value) == (len, "other", "PLANTED1")
    assert "more" not in header


def test_sequences_are_looked_into_or_are_one_element(path):
    flat = get_identifiers(path, expand_sequences=False)[path]
    assert not [key for key in flat.fields if "__" in key]
    assert flat["ReferencedImageSequence"][1].ReferencedSOPInstanceUID == "1.2.6"
    assert "ReferencedImageSequence" in get_identifiers(path)[path]


def test_what_holds_no_identity_is_left_out():
    header = get_identifiers(CT)[str(CT)]
    assert "PixelData" not in header
    assert "(7FE0,0010)" not in header.fields
    assert "TransferSyntaxUID" not in header


def test_keys_are_absolute_paths(path, monkeypatch):
    monkeypatch.chdir(Path(path).parent)
    assert list(get_identifiers("a.dcm")) == list(get_identifiers([Path("a.dcm")])) == [path]
    assert list(get_identifiers(one for one in [path])) == [path]


def test_a_data_set_is_taken_as_it_is():
    source = nested()
    header = get_identifiers(source)[None]
    assert header["(0008,1140)__1__(0008,1155)"].element.value == "1.2.6"
    assert not hasattr(source, "prefix")


def test_data_sets_that_cannot_be_told_from_one_another_are_not_mixed_up():
    with pytest.raises(FilesError) as raised:
        get_identifiers([patient(PatientID="1"), patient(PatientID="2")])
    ((key, header),) = raised.value.done
    assert (key, header["PatientID"], list(raised.value.failed)) == (None, "1", ["data set 1"])


def test_a_header_can_be_sent_to_another_process(path):
    header = get_identifiers(path)[path]
    header["id"] = "x"
    again = pickle.loads(pickle.dumps(header))
    assert again == header
    assert again["(0010,0020)"].element == header["(0010,0020)"].element


def test_files_that_cannot_be_read_are_named_and_the_others_are_done(path, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("PLANTED " * 40)
    absent = tmp_path / "absent.dcm"
    with pytest.raises(FilesError) as raised:
        get_identifiers([text, path, absent], force=False)
    assert {name: type(error) for name, error in raised.value.failed.items()} == {
        str(text): DatasetError,
        str(absent): FileError,
    }
    assert [key for key, _ in raised.value.done] == [path]
    assert "PLANTED" not in str(raised.value)
    assert str(text) in str(raised.value)


@pytest.mark.filterwarnings("error")
def test_nothing_is_said_about_values(tmp_path):
    source = patient()
    source.is_planted = True
    data = Path(write(tmp_path / "a.dcm", source)).read_bytes().replace(b"20230115", b"PLANTEDX")
    (tmp_path / "b.dcm").write_bytes(data)
    assert get_identifiers(tmp_path / "b.dcm")[os.path.abspath(tmp_path / "b.dcm")]["StudyDate"] == "PLANTEDX"


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_a_large_value_is_there_in_every_encoding(tmp_path, syntax):
    path = write(tmp_path / "a.dcm", patient(EncapsulatedDocument=b"PLANTED " * (1 << 18)), syntax=syntax)
    assert get_identifiers(path)[path]["EncapsulatedDocument"] == b"PLANTED " * (1 << 18)


def test_overlays_have_names():
    path = PYDICOM / "examples_overlay.dcm"
    assert get_identifiers(path)[str(path)]["OverlayRows"] == 300
