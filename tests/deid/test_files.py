"""`get_files`, `get_dataset`, and the names that scripts import."""

from __future__ import annotations

import importlib
import os
import sys
import types
import warnings
from pathlib import Path

import pytest

from node.deid import get_dataset, get_files, get_installdir
from node.errors import FileError, NotInstalled
from tests.deid.support import CT, PYDICOM, patient, write


@pytest.fixture
def folder(tmp_path):
    for name in ("b/2.dcm", "b/1.dcm", "a.dcm", "c.ima"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / name, patient())
    return tmp_path


def names(found, folder: Path) -> list[str]:
    return [os.path.relpath(path, folder) for path in found]


def test_folders_are_walked_in_the_order_of_names(folder):
    found = get_files(folder)
    assert isinstance(found, types.GeneratorType)
    assert names(found, folder) == ["a.dcm", "c.ima", "b/1.dcm", "b/2.dcm"]
    assert names(get_files([str(folder / "b"), folder / "a.dcm"]), folder) == ["b/1.dcm", "b/2.dcm", "a.dcm"]


def test_a_pattern_is_for_names(folder):
    assert names(get_files(folder, pattern="[12].dcm"), folder) == ["b/1.dcm", "b/2.dcm"]


def test_what_is_no_dicom_is_left_out_with_a_warning_that_names_it(folder):
    (folder / "notes.txt").write_text("PLANTED")
    (folder / "empty").touch()
    with pytest.warns(UserWarning, match=r"left out.*notes\.txt") as warned:
        assert len(list(get_files(folder))) == 4
    assert len(warned) == 2
    assert "PLANTED" not in str([str(one.message) for one in warned])
    assert len(list(get_files(folder, check=False))) == 6


@pytest.mark.parametrize("name", ["ExplVR_BigEndNoMeta.dcm", "ExplVR_LitEndNoMeta.dcm", "meta_missing_tsyntax.dcm"])
def test_files_without_prefix_or_syntax_are_taken_by_force(name):
    with pytest.warns(UserWarning, match=name):
        assert list(get_files(PYDICOM / name)) == []
    assert list(get_files(PYDICOM / name, force=True)) == [str(PYDICOM / name)]


def test_a_text_is_no_dicom_even_by_force(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("Mr. Simpson was here, and then he went home again.\n" * 40)
    with pytest.warns(UserWarning, match="left out"):
        assert list(get_files(path, force=True)) == []


def test_a_misspelled_folder_is_not_an_empty_one(tmp_path):
    with pytest.raises(FileError, match="no such file"):
        list(get_files(tmp_path / "absent"))


def test_a_file_of_an_unknown_transfer_syntax_is_dicom(tmp_path):
    data = CT.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0", 1)
    (tmp_path / "ct.dcm").write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(get_files(tmp_path))) == 1


def test_the_test_images_are_found():
    assert len(list(get_files(get_dataset("dicom-cookies")))) == 7
    with pytest.raises(FileError, match="Did you mean dicom-cookies"):
        get_dataset("dicom-cookie")


def test_without_the_package_of_the_test_images_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "deid_data", None)
    monkeypatch.setitem(sys.modules, "deid_data.data", None)
    with pytest.raises(NotInstalled, match=r"pip install 'deid-node\[data\]'"):
        get_dataset("dicom-cookies")


@pytest.mark.parametrize(
    ("module", "wanted"),
    [
        ("dicom", ("get_files", "replace_identifiers", "get_identifiers", "remove_private_identifiers")),
        ("data", ("get_dataset",)),
        ("config", ("DeidRecipe",)),
        ("utils", ("get_installdir",)),
    ],
)
def test_the_import_lines_of_the_original_need_one_word_more(module, wanted):
    theirs, mine = importlib.import_module(f"deid.{module}"), importlib.import_module(f"node.deid.{module}")
    api = importlib.import_module("node.deid")
    for name in wanted:
        assert hasattr(theirs, name)
        assert getattr(mine, name) is getattr(api, name)


def test_the_folder_of_the_installation_is_that_of_the_package():
    assert Path(get_installdir(), "deid", "__init__.py").is_file()
