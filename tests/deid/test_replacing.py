"""`replace_identifiers`: what is cleaned, what is written, and that nothing else comes out."""

from __future__ import annotations

import copy
import os
import pickle
import resource
import stat
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset

from node.deid import ProjectKeys, get_identifiers, remove_private_identifiers, replace_identifiers
from node.errors import FileError, FilesError, HoldInstance, HoldReason
from node.identity import PatientKey
from tests.deid.support import CT, NO_NAME, encoded, failed, one, patient, recipe, write
from tests.recipe.support import dataset


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "a.dcm", patient())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# What comes out.


def test_files_are_saved_into_a_new_folder_that_nobody_else_can_read(path):
    (cleaned,) = replace_identifiers(path, deid=NO_NAME)
    assert Path(cleaned).name == "a.dcm"
    assert Path(cleaned).parent != Path(path).parent
    assert stat.S_IMODE(os.stat(cleaned).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(Path(cleaned).parent).st_mode) == 0o700
    assert "PatientName" not in pydicom.dcmread(cleaned)
    assert "PatientName" in pydicom.dcmread(path)
    assert os.listdir(Path(cleaned).parent) == ["a.dcm"]


def test_data_sets_come_back_and_nothing_is_written(path, tmp_path):
    before = contents(tmp_path)
    ds = replace_identifiers(path, deid=NO_NAME, save=False, output_folder=tmp_path / "out")[0]
    assert isinstance(ds, FileDataset)
    assert "PatientName" not in ds
    assert (ds.filename, ds.PatientID) == (path, "PLANTED1")
    assert contents(tmp_path) == before


def test_what_the_recipe_does_not_touch_stays_byte_for_byte():
    (cleaned,) = replace_identifiers(CT, deid=recipe("REPLACE StudyID other"))
    original = CT.read_bytes()
    expected = original.replace(b"\x20\x00\x10\x00SH\x04\x001CT1", b"\x20\x00\x10\x00SH\x06\x00other ")
    assert expected != original
    assert Path(cleaned).read_bytes()[128:] == expected[128:]


def test_the_preamble_is_empty(tmp_path):
    path = write(tmp_path / "a.dcm", patient(), preamble=b"PLANTED " * 16)
    (cleaned,) = replace_identifiers(path, deid=NO_NAME)
    assert Path(cleaned).read_bytes()[:132] == b"\0" * 128 + b"DICM"


def test_paths_come_in_the_order_of_the_files_and_equal_names_get_folders(tmp_path):
    paths = []
    for number in (1, 2, 3):
        (tmp_path / str(number)).mkdir()
        paths.append(write(tmp_path / str(number) / "a.dcm", patient(PatientID=str(number))))
    cleaned = replace_identifiers(reversed(paths), deid=NO_NAME)
    assert [pydicom.dcmread(path).PatientID for path in cleaned] == ["3", "2", "1"]
    assert [Path(path).name for path in cleaned] == ["a.dcm"] * 3


def test_a_folder_is_made_and_nothing_there_is_replaced_unless_asked_for(path, tmp_path):
    out = tmp_path / "new" / "out"
    expected = [str(out / "a.dcm")]
    assert replace_identifiers(path, deid=NO_NAME, output_folder=out) == expected
    before = contents(out)
    (reason,) = failed(path, deid=recipe("REMOVE PatientID"), output_folder=out).values()
    assert isinstance(reason, FileError)
    assert contents(out) == before
    assert replace_identifiers(path, deid=recipe("REMOVE PatientID"), output_folder=out, overwrite=True) == expected
    assert "PatientID" not in pydicom.dcmread(expected[0])
    assert os.listdir(out) == ["a.dcm"]


def test_two_files_of_one_name_are_never_one(tmp_path):
    paths = []
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        paths.append(write(tmp_path / str(number) / "a.dcm", patient(PatientID=str(number))))
    reasons = failed(paths, deid=NO_NAME, output_folder=tmp_path / "out", overwrite=True)
    assert list(reasons) == paths[1:]
    assert pydicom.dcmread(tmp_path / "out/a.dcm").PatientID == "1"


def test_the_originals_are_replaced_only_by_overwrite_without_a_folder(path):
    assert replace_identifiers(path, deid=NO_NAME, overwrite=True) == [path]
    assert "PatientName" not in pydicom.dcmread(path)


def test_where_links_are_impossible_nothing_is_replaced_either(path, tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    (cleaned,) = replace_identifiers(path, deid=NO_NAME, output_folder=tmp_path / "out")
    before = contents(tmp_path / "out")
    assert list(failed(path, deid=recipe("REMOVE PatientID"), output_folder=tmp_path / "out")) == [path]
    assert contents(tmp_path / "out") == before
    assert Path(cleaned).exists()


def test_a_folder_that_cannot_be_written_fails_every_file(path, tmp_path):
    (tmp_path / "file").write_text("")
    (reason,) = failed(path, deid=NO_NAME, output_folder=tmp_path / "file").values()
    assert "cannot be saved" in str(reason)


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    (tmp_path / "out").mkdir()
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
    try:
        (reason,) = failed(CT, deid=NO_NAME, output_folder=tmp_path / "out").values()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(reason).startswith("it cannot be saved")
    assert os.listdir(tmp_path / "out") == []


# What cannot be cleaned.


def test_a_file_that_fails_is_named_and_the_others_go_on(path, tmp_path):
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(CT.read_bytes()[:3000])
    out = tmp_path / "out"
    with pytest.raises(FilesError) as raised:
        replace_identifiers([broken, path, tmp_path / "absent.dcm"], deid=NO_NAME, output_folder=out)
    assert raised.value.done == [str(out / "a.dcm")]
    assert list(raised.value.failed) == [str(broken), str(tmp_path / "absent.dcm")]
    assert str(raised.value).startswith("2 of 3 files failed:")
    assert os.listdir(out) == ["a.dcm"]


def test_what_failed_can_be_sent_to_another_process(path, tmp_path):
    with pytest.raises(FilesError) as raised:
        replace_identifiers([path, tmp_path / "absent.dcm"], deid=NO_NAME)
    again = pickle.loads(pickle.dumps(raised.value))
    assert (str(again), again.done) == (str(raised.value), raised.value.done)
    assert list(again.failed) == [str(tmp_path / "absent.dcm")]


def test_data_sets_that_come_back_stand_on_their_own(path):
    ds = replace_identifiers(path, deid=NO_NAME, save=False)[0]
    os.unlink(path)
    for again in (copy.deepcopy(ds), pickle.loads(pickle.dumps(ds))):
        assert again == ds
        assert again.PatientID == "PLANTED1"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["REPLACE PatientID func:absent"], HoldReason.FUNCTION_FAILED),
        (["REPLACE PatientID func:pseudonym"], HoldReason.FUNCTION_FAILED),
        (["REPLACE StudyInstanceUID func:generate_uid"], HoldReason.FUNCTION_FAILED),
        (["REPLACE PatientID func:raises"], HoldReason.FUNCTION_FAILED),
        (["REPLACE PatientID func:nothing"], HoldReason.FUNCTION_FAILED),
        (["REPLACE PatientID var:absent"], HoldReason.VARIABLE_MISSING),
        (["JITTER StudyDate var:site"], HoldReason.ACTION_FAILED),
        (["REPLACE contains:PatientName var:long"], HoldReason.ACTION_FAILED),
    ],
    ids=str,
)
@pytest.mark.parametrize("save", [True, False])
def test_what_an_action_cannot_do_is_refused_with_line_and_without_a_value(path, tmp_path, lines, reason, save, capfd):
    def raises(item, value, field, dicom):
        raise ValueError(dicom.PatientID)

    def nothing(item, value, field, dicom):
        return None

    lookup = {"raises": raises, "nothing": nothing, "site": "north", "long": "PLANTED" * 20}
    before = contents(tmp_path)
    with pytest.raises(FilesError) as raised:
        replace_identifiers(
            path, {path: lookup}, recipe("REMOVE StudyDate", *lines), save, output_folder=tmp_path / "o"
        )
    error = raised.value.failed[path]
    assert isinstance(error, HoldInstance)
    assert error.reason is reason
    assert "recipe:4" in error.detail
    for name in ("absent", "pseudonym", "generate_uid", "raises", "nothing"):
        assert (f":{name}" in lines[0]) <= (name in error.detail)
    assert raised.value.done == []
    assert contents(tmp_path) == before
    out, err = capfd.readouterr()
    assert "PLANTED" not in str(raised.value) + out + err


def test_a_fault_of_pydicom_is_a_failure_of_that_data_set_alone(path):
    odd = patient()
    odd.add_new(0x00280010, "US", "PLANTED")
    with pytest.raises(FilesError) as raised:
        replace_identifiers([odd, path], deid=NO_NAME, save=False)
    assert list(raised.value.failed) == ["data set 0"]
    assert "PLANTED" not in str(raised.value)
    assert len(raised.value.done) == 1


def test_an_unknown_transfer_syntax_and_an_empty_data_set_are_refused(tmp_path):
    data = CT.read_bytes()
    (tmp_path / "a.dcm").write_bytes(data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0", 1))
    (tmp_path / "b.dcm").write_bytes(encoded(patient())[:300].partition(b"\x08\0")[0])
    reasons = failed([tmp_path / "a.dcm", tmp_path / "b.dcm"], deid=NO_NAME)
    assert [error.reason for error in reasons.values()] == [HoldReason.UNKNOWN_SYNTAX, HoldReason.EMPTY]


# Functions and variables.


def test_a_function_in_the_items_is_called_for_replace_and_add_by_name(path):
    calls = []

    def generate_uid(item, value, field, dicom):
        calls.append(
            (type(item).__name__, item["(0010,0020)"].element.value, item["PatientID"], value, dicom.PatientID)
        )
        return field.lower().replace(" ", " ") + "-" + field.uid

    items = get_identifiers(path)
    items[path]["generate_uid"] = generate_uid
    lines = recipe("REPLACE StudyInstanceUID func:generate_uid", "ADD FrameOfReferenceUID func:generate_uid")
    with pytest.warns(UserWarning, match="not a UID") as warned:
        ds = replace_identifiers(path, items, lines, save=False)[0]
    assert ds.StudyInstanceUID == "studyinstanceuid-(0020,000D)"
    assert ds.FrameOfReferenceUID == "frameofreferenceuid-(0020,0052)"
    assert calls == [("Identifiers", "PLANTED1", "PLANTED1", "func:generate_uid", "PLANTED1")] * 2
    assert all("-(0020" not in str(one.message) for one in warned if "written as it is" in str(one.message))


def test_a_function_is_called_for_elements_in_sequences_by_their_path(tmp_path):
    source = patient(RequestAttributesSequence=[dataset(PatientID="a"), dataset(PatientID="b")])
    path = write(tmp_path / "a.dcm", source)

    def names(item, value, field, dicom):
        return f"{field.lower()} {field.element.value}"

    ds = one(path, "REPLACE PatientID func:names", ids={path: {"names": names}}, strip_sequences=False)
    assert [item.PatientID for item in ds.RequestAttributesSequence] == [
        "requestattributessequence__patientid a",
        "requestattributessequence__patientid b",
    ]


def test_values_of_the_header_are_variables_too(path):
    ds = one(path, "REPLACE PatientName var:PatientID", ids=get_identifiers(path))
    assert ds.PatientName == "PLANTED1"


def test_items_are_found_by_relative_paths_and_by_path_objects(path, monkeypatch):
    monkeypatch.chdir(Path(path).parent)
    for key in ("a.dcm", Path("a.dcm"), Path(path), path):
        assert one("a.dcm", "REPLACE PatientID var:id", ids={key: {"id": "x"}}).PatientID == "x"


def test_each_file_has_its_own_items(tmp_path):
    paths = [write(tmp_path / f"{n}.dcm", patient()) for n in range(3)]
    ids = {path: {"id": f"S{n}"} for n, path in enumerate(paths)}
    found = replace_identifiers(paths, ids, recipe("REPLACE PatientID var:id"), save=False)
    assert [ds.PatientID for ds in found] == ["S0", "S1", "S2"]
    del ids[paths[1]]
    assert list(failed(paths, ids, recipe("REPLACE PatientID var:id"))) == [paths[1]]


def test_the_functions_of_the_node_need_keys_and_give_what_the_node_gives(path):
    keys = ProjectKeys(b"k" * 32, "trial")
    lines = (
        "REPLACE PatientID func:pseudonym",
        "REPLACE StudyInstanceUID func:generate_uid",
        "REPLACE StudyDate func:shift_date",
        "REMOVE PatientName",
    )
    ds = one(path, *lines, keys=keys)
    assert ds.PatientID == keys.pseudonym(PatientKey("", "PLANTED1"))
    assert ds.StudyInstanceUID == keys.uid("1.2.4")
    assert ds.StudyDate < "20230115"
    own = one(path, *lines[:1], keys=keys, ids={path: {"pseudonym": lambda item, value, field, dicom: "mine"}})
    assert own.PatientID == "mine"


def test_a_patient_without_an_id_has_no_pseudonym(tmp_path):
    path = write(tmp_path / "a.dcm", patient(PatientID=""))
    (error,) = failed(path, deid=recipe("ADD PatientID func:pseudonym"), keys=ProjectKeys(b"k" * 32, "t")).values()
    assert error.reason is HoldReason.NO_PATIENT_ID


def test_the_shipped_recipe_works_with_keys(path):
    ds = replace_identifiers(path, deid="research", save=False, keys=ProjectKeys(b"k" * 32, "trial"))[0]
    assert "PLANTED" not in str(ds)
    assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID != "1.2.3"


# Sequences and private elements.


def rich() -> Dataset:
    source = patient(
        RequestAttributesSequence=[dataset(PatientID="a")],
        VOILUTSequence=[dataset(LUTExplanation="PLANTED", LUTDescriptor=[1, 0, 8], LUTData=b"\0\0")],
    )
    source.add_new(0x00090010, "LO", "ACME 1.0")
    source.add_new(0x00091001, "LO", "PLANTED")
    source.add_new(0x00091002, "UN", b"\xfe\xff\x00\xe0\x10\0\0\0\x10\0\x10\0\x08\0\0\0PLANTED ")
    item = source.RequestAttributesSequence[0]
    item.add_new(0x00090010, "LO", "ACME 1.0")
    item.add_new(0x00091001, "LO", "PLANTED")
    return source


def test_sequences_go_whatever_the_recipe_keeps(tmp_path):
    path = write(tmp_path / "a.dcm", rich())
    data = Path(replace_identifiers(path, deid=recipe("KEEP ALL"), strip_sequences=True)[0]).read_bytes()
    ds = pydicom.dcmread(tmp_path / "a.dcm")
    again = pydicom.dcmread(replace_identifiers(path, deid=recipe("KEEP ALL"), strip_sequences=True)[0])
    assert [e.keyword for e in ds if e.VR == "SQ"] == ["VOILUTSequence", "RequestAttributesSequence"]
    assert [str(e.tag) for e in again if e.tag.group == 9] == ["(0009,0010)", "(0009,1001)"]
    assert not [e for e in again if e.VR == "SQ"]
    assert data.count(b"PLANTED") == 3  # name, id, and the private element that is no sequence


def test_private_elements_go_at_every_level_whatever_the_recipe_keeps(tmp_path):
    path = write(tmp_path / "a.dcm", rich())
    lines = recipe("KEEP ALL", 'KEEP (0009,"ACME 1.0",01)'.replace('"ACME 1.0"', '"ACME"'))
    for again in (
        replace_identifiers(path, deid=lines, remove_private=True, save=False)[0],
        remove_private_identifiers(path, save=False)[0],
    ):
        assert not [e for e in again.iterall() if e.tag.is_private]
        assert again.RequestAttributesSequence[0].PatientID == "a"
        assert "VOILUTSequence" in again


def test_group_lengths_do_not_lie_when_sequences_go(tmp_path):
    source = patient(RequestAttributesSequence=[dataset(PatientID="a")], PerformedStationName="x")
    data = encoded(source)
    place = data.index(b"\x40\0\x42\x02")
    length = len(data) - place
    data = data[:place] + b"\x40\0\0\0UL\x04\0" + length.to_bytes(4, "little") + data[place:]
    (tmp_path / "a.dcm").write_bytes(data)
    ds = one(tmp_path / "a.dcm", "KEEP ALL", strip_sequences=True)
    assert [str(e.tag) for e in ds if e.tag.group == 0x40] == ["(0040,0242)"]


def test_both_at_once_and_the_recipe_sees_what_is_left(tmp_path):
    path = write(tmp_path / "a.dcm", rich())

    def left(item, value, field, dicom):
        return f"{'RequestAttributesSequence' in dicom} {len(dicom)}"

    ds = one(path, "REPLACE PatientID func:left", ids={path: {"left": left}}, strip_sequences=True, remove_private=True)
    assert ds.PatientID == "False 7"


# File meta information.


def test_media_storage_uids_follow_the_data_set(path):
    ds = one(path, "REPLACE SOPInstanceUID 1.9", "REPLACE SOPClassUID 1.2.840.10008.5.1.4.1.1.7")
    assert ds.file_meta.MediaStorageSOPInstanceUID == "1.9"
    assert ds.file_meta.MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    assert ds.file_meta.FileMetaInformationGroupLength == len(group_2(ds))


def group_2(ds: FileDataset) -> bytes:
    from tests.recipe.support import encode

    meta = Dataset(ds.file_meta)
    del meta[0x00020000]
    return encode(meta)


def test_a_uid_that_is_none_is_followed_too(path):
    with pytest.warns(UserWarning, match="not a UID"):
        ds = one(path, "REPLACE SOPInstanceUID func:f", ids={path: {"f": lambda item, value, field, dicom: "no-uid"}})
    assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID == "no-uid"


def test_a_uid_that_is_removed_does_not_stay_in_the_file_meta_information(path):
    ds = one(path, "REMOVE SOPInstanceUID")
    assert "MediaStorageSOPInstanceUID" not in ds.file_meta
    assert b"1.2.3\0" not in group_2(ds)


def test_lines_may_name_file_meta_information(path):
    ds = one(
        path,
        "REPLACE MediaStorageSOPInstanceUID 1.8",
        "ADD SourceApplicationEntityTitle ME",
        "REPLACE SOPInstanceUID 1.9",
    )
    meta = ds.file_meta
    assert (meta.MediaStorageSOPInstanceUID, meta.SourceApplicationEntityTitle, ds.SOPInstanceUID) == (
        "1.8",
        "ME",
        "1.9",
    )
    assert meta.FileMetaInformationGroupLength == len(group_2(ds))
