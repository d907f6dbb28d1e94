"""The same calls through pydicom/deid and through ours give the same; each difference has a test of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from node.deid import DeidRecipe, get_dataset, get_files, get_identifiers, replace_identifiers
from node.errors import FileError, FilesError, RecipeError
from tests.deid.support import PYDICOM, patient, write
from tests.deid.test_recipes import TEXT
from tests.differential.peer import Found, _quiet, found
from tests.recipe.support import dataset

deid = pytest.importorskip("deid")

NAMES = (
    "CT_small.dcm",
    "MR_small_implicit.dcm",
    "MR_small_bigendian.dcm",
    "rtplan.dcm",
    "test-SR.dcm",
    "nested_priv_SQ.dcm",
    "JPEG2000.dcm",
    "image_dfl.dcm",
)


def files() -> list[str]:
    cookies = sorted(get_files(get_dataset("dicom-cookies")))
    return [*cookies, str(next(get_files(get_dataset("humans")))), *(str(PYDICOM / name) for name in NAMES)]


@pytest.fixture(autouse=True)
def quiet():
    from deid.dicom import fields
    from deid.logger import bot

    bot.level = -10
    fields._get_fields_inner.cache_clear()
    with _quiet():
        yield
    fields._get_fields_inner.cache_clear()


def theirs(*arguments, **options):
    from deid.dicom import replace_identifiers as replace

    return replace(*arguments, **options)


def recipe_file(folder: Path, *lines: str, name: str = "deid.dicom") -> str:
    path = folder / name
    path.write_text("\n".join(["FORMAT dicom", "%header", *lines, ""]))
    return str(path)


# Recipes.


def shipped(name: str) -> str:
    """A recipe of pydicom/deid without the lines that are faults here."""
    lines = (Path(deid.__file__).parent / "data" / name).read_text().split("\n")
    return "\n".join(line for line in lines if line.strip() not in ("REMOVE PatientsName", "REMOVE jitter"))


RECIPES = {
    "every section": TEXT.replace(" # by the site", "").replace("remove", "REMOVE"),
    "ultrasound": shipped("deid.dicom.ultrasound"),
    "chest": shipped("deid.dicom.xray.chest"),
    "example": "FORMAT dicom\n\n%header\n\nREPLACE StudyID func:generate_uid\nADD PatientID func:generate_uid\n",
    "private": 'FORMAT dicom\n%header\nKEEP (0033,"MITRA OBJECT UTF8 ATTRIBUTES 1.0",1E)\nREMOVE ALL func:is_private\n',
    "blanks": "FORMAT DICOM\n%HEADER\n   REPLACE   PatientID   a   b  \n\n# comment\n"
    "ADD StudyID deid_func:pydicom_uuid prefix=1.55.\n",
}


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_show_the_same(name, tmp_path):
    from deid.config import DeidRecipe as Theirs

    path = tmp_path / "deid.dicom"
    path.write_text(RECIPES[name])
    mine, other = DeidRecipe(str(path)), Theirs(str(path))
    assert mine.deid == other.deid
    assert mine.get_format() == other.get_format()
    for options in ({}, {"action": "replace"}, {"field": "PATIENTID"}, {"action": "ADD", "field": "PatientID"}):
        assert mine.get_actions(**options) == other.get_actions(**options)
    for method in ("get_filters", "get_values_lists", "get_fields_lists"):
        for argument in (None, "people", "dates", "blacklist", "graylist", "absent"):
            assert getattr(mine, method)(argument) == getattr(other, method)(argument)
    for method in (
        "ls_filters",
        "ls_valuelists",
        "ls_fieldlists",
        "has_actions",
        "has_values_lists",
        "has_fields_lists",
    ):
        assert getattr(mine, method)() == getattr(other, method)()
    assert mine.listof("filter") == other.listof("filter")
    assert DeidRecipe(other.deid).deid == other.deid


def test_coordinates_are_written_in_one_way(tmp_path):
    from deid.config import DeidRecipe as Theirs

    path = tmp_path / "deid.dicom"
    path.write_text("FORMAT dicom\n%filter x\nLABEL a\npresent Rows\ncoordinates 0,0, 10,20\n")
    assert Theirs(str(path)).get_filters("x")[0]["coordinates"] == [[0, "0,0, 10,20"]]
    assert DeidRecipe(path).get_filters("x")[0]["coordinates"] == [[0, "0,0,10,20"]]


def test_the_base_comes_first(tmp_path):
    from deid.config import DeidRecipe as Theirs

    path = recipe_file(tmp_path, "ADD PatientID mine")
    assert Theirs(path, base=True).get_actions()[0]["value"] == "mine"
    assert DeidRecipe(path, base=True).get_actions()[-1]["value"] == "mine"


def test_a_bad_recipe_is_an_error_and_not_the_end_of_the_process(tmp_path):
    from deid.config import DeidRecipe as Theirs

    path = recipe_file(tmp_path, "REPLACE PatientID")
    with pytest.raises(SystemExit):
        Theirs(path)
    with pytest.raises(RecipeError):
        DeidRecipe(path)


@pytest.mark.parametrize("wrong", [[], "absent.dicom"])
def test_without_a_recipe_the_original_never_comes_back(wrong, tmp_path):
    path = write(tmp_path / "a.dcm", patient())
    assert theirs(path, deid=wrong)[0].PatientName == "PLANTED^NAME"
    with pytest.raises(RecipeError):
        replace_identifiers(path, deid=wrong, save=False)


# Headers.


@pytest.mark.parametrize("expand", [True, False])
def test_headers_hold_the_same_fields(expand):
    from deid.dicom import get_identifiers as get

    paths = files()
    mine, other = get_identifiers(paths, expand_sequences=expand), get(paths, expand_sequences=expand)
    assert list(mine) == list(other) == paths
    for path in paths:
        fields = mine[path].fields
        assert list(fields) == list(other[path])
        for uid, field in other[path].items():
            assert [fields[uid].name, fields[uid].uid, fields[uid].tag, fields[uid].stripped_tag] == [
                field.name,
                field.uid,
                field.tag,
                field.stripped_tag,
            ]
            assert fields[uid].is_filemeta == field.is_filemeta
            assert fields[uid].element == field.element
            assert mine[path][uid] is fields[uid]


def test_values_by_name_are_those_of_the_fields():
    from deid.dicom import get_identifiers as get

    for path in files():
        mine, other = get_identifiers(path)[path], get(path)[path]
        firsts: dict[str, object] = {}
        for field in other.values():
            if field.element.keyword:
                firsts.setdefault(field.name, field.element.value)
        assert dict(mine) == firsts


def test_overlays_have_names_here():
    from deid.dicom import get_identifiers as get

    path = str(PYDICOM / "examples_overlay.dcm")
    mine, other = get_identifiers(path)[path], get(path)[path]
    assert (mine["(6000,0010)"].name, other["(6000,0010)"].name) == ("OverlayRows", "")
    assert [field.name for uid, field in mine.fields.items() if not uid.startswith("(6")] == [
        field.name for uid, field in other.items() if not uid.startswith("(6")
    ]


def test_a_data_set_without_a_file_is_taken_here_too():
    from deid.dicom import get_identifiers as get

    with pytest.raises(TypeError):
        get(patient())
    assert get_identifiers(patient())[None]["PatientID"] == "PLANTED1"


# Cleaning.

LINES = {
    "example": (
        "REPLACE StudyInstanceUID func:generate_uid",
        "REPLACE SeriesInstanceUID func:generate_uid",
        "ADD FrameOfReferenceUID func:generate_uid",
    ),
    "usual": (
        "KEEP Modality",
        "REPLACE PatientID var:id",
        "REMOVE contains:Physician",
        "BLANK PatientName",
        "JITTER StudyDate 7",
        "ADD PatientIdentityRemoved YES",
    ),
    "nested": ("REPLACE ReferencedSOPInstanceUID func:by_value", "REPLACE StudyInstanceUID deid_func:pydicom_uuid"),
    "file meta": ("REPLACE MediaStorageSOPInstanceUID 1.2.3", "ADD SourceApplicationEntityTitle ME"),
    "conditional": ("REMOVE select:group:0008 func:is_text",),
}


def by_name(item, value, field, dicom):
    """As in the example, but the same every time; `field` is an object there, except for ADD."""
    return f"{getattr(field, 'name', field)}".lower() + "-1"


def by_value(item, value, field, dicom):
    return f"1.2.{len(str(field.element.value))}.{len(dicom.SOPClassUID)}"


def is_text(item, value, field, dicom):
    return field.element.VR == "LO"


def functions() -> dict[str, object]:
    return {"generate_uid": by_name, "by_value": by_value, "is_text": is_text, "id": "S1"}


def both(paths: list[str], recipe: str, folder: Path, **options: object) -> tuple[list[Path], list[Path]]:
    """The files that either side saves."""
    results = []
    for side, replace in (("theirs", theirs), ("mine", replace_identifiers)):
        (folder / side).mkdir()
        ids = {path: functions() for path in paths}
        saved = replace(paths, ids=ids, deid=recipe, save=True, output_folder=str(folder / side), **options)
        results.append([Path(path) for path in saved])
    return results[0], results[1]


def content(path: Path) -> tuple[Found, Found]:
    ds = pydicom.dcmread(path)
    meta = found(Dataset(ds.file_meta))
    return found(ds), meta


STRIP, PRIVATE = {"strip_sequences": True}, {"remove_private": True}
CALLS = [
    *((name, {}) for name in LINES),
    *((name, option) for name in ("usual", "nested") for option in (STRIP, PRIVATE)),
]


@pytest.mark.parametrize(
    ("name", "options"),
    [*CALLS, ("example", STRIP | PRIVATE)],
    ids=lambda one: one if isinstance(one, str) else "+".join(one),
)
def test_cleaned_files_hold_the_same(name, options, tmp_path):
    paths = files()[5:]  # two of the cookies will do
    assert len({Path(path).name for path in paths}) == len(paths)
    their_files, my_files = both(paths, recipe_file(tmp_path, *LINES[name]), tmp_path, **options)
    assert len(their_files) == len(my_files) == len(paths)
    for other, mine in zip(their_files, my_files, strict=True):
        assert other.name == mine.name
        (their_data, their_meta), (my_data, my_meta) = content(other), content(mine)
        assert my_data == their_data, mine.name
        for only_pydicom_writes in ("(0002,0001)", "(0002,0012)", "(0002,0013)"):
            their_meta.pop(only_pydicom_writes, None)
            my_meta.pop(only_pydicom_writes, None)
        assert my_meta == their_meta, mine.name


def test_files_in_memory_hold_the_same(tmp_path):
    recipe = recipe_file(tmp_path, *LINES["usual"])
    paths = files()[6:]
    ids = {path: functions() for path in paths}
    for other, mine in zip(
        theirs(paths, ids, recipe), replace_identifiers(paths, ids, recipe, save=False), strict=True
    ):
        # Through bytes: what pydicom/deid leaves in memory is written when it is saved.
        again = tmp_path / "again.dcm"
        other.save_as(again)
        assert found(pydicom.dcmread(again)) == found(mine)


def test_the_media_storage_uid_follows(tmp_path):
    path = write(tmp_path / "a.dcm", patient())
    their_files, my_files = both([path], recipe_file(tmp_path, "REPLACE SOPInstanceUID 1.9"), tmp_path)
    assert content(their_files[0])[1]["(0002,0003)"][1] == "1.2.3"
    assert content(my_files[0])[1]["(0002,0003)"][1] == "1.9"


def test_the_preamble_does_not_pass_through(tmp_path):
    path = write(tmp_path / "a.dcm", patient(), preamble=b"PLANTED " * 16)
    their_files, my_files = both([path], recipe_file(tmp_path, "REMOVE PatientName"), tmp_path)
    assert their_files[0].read_bytes()[:7] == b"PLANTED"
    assert my_files[0].read_bytes()[:128] == b"\0" * 128


def test_saving_is_what_happens_by_default(tmp_path):
    path = write(tmp_path / "a.dcm", patient())
    recipe = recipe_file(tmp_path, "REMOVE PatientName")
    assert isinstance(theirs(path, deid=recipe)[0], Dataset)
    assert isinstance(replace_identifiers(path, deid=recipe)[0], str)


def test_a_file_that_was_not_written_is_not_returned(tmp_path):
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
    paths = [write(tmp_path / f"{n}/a.dcm", patient(PatientID=str(n))) for n in (1, 2)]
    recipe = recipe_file(tmp_path, "REMOVE PatientName")
    (tmp_path / "out").mkdir()
    other = theirs(paths, deid=recipe, save=True, output_folder=str(tmp_path / "out"))
    assert [pydicom.dcmread(path).PatientID for path in other] == ["1", "1"]
    with pytest.raises(FilesError) as raised:
        replace_identifiers(paths, deid=recipe, output_folder=tmp_path / "mine")
    assert [pydicom.dcmread(path).PatientID for path in raised.value.done] == ["1"]
    assert list(raised.value.failed) == paths[1:]


def test_one_file_that_fails_does_not_end_the_call(tmp_path):
    paths = [write(tmp_path / f"{n}.dcm", patient(StudyDate=day)) for n, day in enumerate(("UNKNOWN", "20230115"))]
    recipe = recipe_file(tmp_path, "JITTER StudyDate 1")
    with pytest.raises(Exception, match="UNKNOWN"):
        theirs(paths, deid=recipe)
    with pytest.raises(FilesError) as raised:
        replace_identifiers(paths, deid=recipe, save=False)
    assert [ds.StudyDate for ds in raised.value.done] == ["20230116"]
    assert "UNKNOWN" not in str(raised.value)


def test_items_are_found_by_relative_paths_too(tmp_path, monkeypatch):
    write(tmp_path / "a.dcm", patient())
    monkeypatch.chdir(tmp_path)
    recipe = recipe_file(tmp_path, "REPLACE PatientID var:id")
    assert theirs("a.dcm", ids={"a.dcm": {"id": "x"}}, deid=recipe)[0].PatientID == "PLANTED1"
    assert replace_identifiers("a.dcm", ids={"a.dcm": {"id": "x"}}, deid=recipe, save=False)[0].PatientID == "x"


def test_a_data_set_is_not_changed(tmp_path):
    path = write(tmp_path / "a.dcm", patient())
    recipe = recipe_file(tmp_path, "REMOVE PatientName")
    one, other = pydicom.dcmread(path), pydicom.dcmread(path)
    assert theirs(one, deid=recipe)[0] is one
    assert "PatientName" not in one
    assert "PatientName" not in replace_identifiers(other, deid=recipe, save=False)[0]
    assert "PatientName" in other
    with pytest.raises(TypeError):
        theirs(patient(), deid=recipe)
    assert "PatientName" not in replace_identifiers(patient(), deid=recipe, save=False)[0]


def test_functions_in_items_work_for_data_sets_in_memory(tmp_path):
    from deid.dicom import get_identifiers as get

    path = write(tmp_path / "a.dcm", patient())
    recipe = recipe_file(tmp_path, "REPLACE PatientID func:f")
    one, other = pydicom.dcmread(path), pydicom.dcmread(path)
    items = get(one)
    items[path]["f"] = lambda item, value, field, dicom: "x"
    with pytest.raises((AttributeError, ValueError)):
        theirs(one, items, recipe)
    mine = get_identifiers(other)
    mine[path]["f"] = items[path]["f"]
    assert replace_identifiers(other, mine, recipe, save=False)[0].PatientID == "x"


def test_a_function_that_takes_the_name_by_lower_works_for_replace(tmp_path):
    path = write(tmp_path / "a.dcm", patient())
    recipe = recipe_file(tmp_path, "REPLACE PatientID func:f")
    ids = {path: {"f": lambda item, value, field, dicom: field.lower()}}
    with pytest.raises(AttributeError):
        theirs(path, ids, recipe)
    assert replace_identifiers(path, ids, recipe, save=False)[0].PatientID == "patientid"


def test_what_is_encoded_as_un_is_a_sequence_too(tmp_path):
    source = patient(RequestAttributesSequence=[dataset(PatientID="a")])
    source.add_new(0x00090010, "LO", "ACME 1.0")
    source.add_new(0x00091002, "UN", b"\xfe\xff\x00\xe0\x10\0\0\0\x10\0\x10\0\x08\0\0\0PLANTED ")
    path = write(tmp_path / "a.dcm", source)
    their_files, my_files = both([path], recipe_file(tmp_path, "KEEP ALL"), tmp_path, strip_sequences=True)
    assert "(0009,1002)" in content(their_files[0])[0]
    assert "(0009,1002)" not in content(my_files[0])[0]


# Files.


def test_the_same_files_are_found():
    from deid.data import get_dataset as theirs_dataset
    from deid.dicom import get_files as get

    for name in ("dicom-cookies", "humans", "animals"):
        assert get_dataset(name) == theirs_dataset(name)
        assert sorted(get(get_dataset(name))) == list(get_files(get_dataset(name)))
        assert sorted(get(get_dataset(name), pattern="*1.dcm")) == list(
            get_files([get_dataset(name)], pattern="*1.dcm")
        )


def test_archives_are_not_unpacked():
    with pytest.warns(UserWarning, match=r"left out.*\.zip") as warned:
        assert len(list(get_files(get_dataset("ultrasounds")))) == 3
    assert len(warned) == 2


@pytest.mark.parametrize("name", ["config", "disable_skip"])
def test_what_has_no_meaning_is_not_taken_in_silence(name):
    with pytest.raises(TypeError, match=name):
        replace_identifiers([], **{name: None})


def test_a_folder_that_does_not_exist_is_an_error(tmp_path):
    from deid.dicom import get_files as get

    assert list(get(os.fspath(tmp_path / "absent"))) == []
    with pytest.raises(FileError):
        list(get_files(tmp_path / "absent"))
