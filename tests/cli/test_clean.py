"""`deid-node clean`: folders in, cleaned files out."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import zlib

import pydicom
import pytest

from node.files import Layout, OutputFolder
from node.part10 import FileMeta, encode_file_meta, read_file_meta
from node.syntaxes import DEFLATED_LE
from tests import thorough
from tests.cli.files import KEYED, ON_PURPOSE, PLAIN, UIDS, public, recipe, secret, small, tree
from tests.cli.support import ROOT
from tests.road.support import data_set_of
from tests.support import make_ct, wait_for

MEGABYTE = 1 << 20


@pytest.fixture
def scans(tmp_path):
    for number in range(3):
        small(tmp_path / "scans" / ("deep" if number > 1 else "") / f"{number}.dcm", f"1.2.3.{number}")
    return tmp_path / "scans"


def command(*arguments):
    return [sys.executable, "-m", "node", "clean", "--gate", "report", *map(str, arguments)]


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_everything_in_a_folder_is_cleaned_and_named_by_its_uids(deid, tmp_path, scans):
    done = deid("clean", "--recipe", recipe(tmp_path, PLAIN + ON_PURPOSE), scans, "--out", "out", gate="hold")
    assert (done.code, done.out, done.err) == (0, "3 written, 0 held, 0 failed\n", "")
    assert list(tree(tmp_path / "out")) == [f"1.2.3/1.2.3.0/1.2.3.{number}.dcm" for number in range(3)]
    for path in (tmp_path / "out").rglob("*.dcm"):
        assert b"PLANTED" not in path.read_bytes()
        assert pydicom.dcmread(path).PatientID == "MRN-1", "no line of the recipe means it"
    assert not (tmp_path / "out/.incoming").exists()


def test_uids_in_names_are_those_after_cleaning(deid, tmp_path, scans):
    done = deid(
        "clean", "--recipe", recipe(tmp_path, KEYED + UIDS), "--secret", secret(tmp_path), "--project", "p", scans,
        "--out", "out",
    )  # fmt: skip
    assert done.code == 0, done.err
    for path in (tmp_path / "out").rglob("*.dcm"):
        ds = pydicom.dcmread(path)
        assert str(path.relative_to(tmp_path / "out")) == (
            f"{ds.StudyInstanceUID}/{ds.SeriesInstanceUID}/{ds.SOPInstanceUID}.dcm"
        )
        assert ds.StudyInstanceUID.startswith("2.25.")
        assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID


def test_one_process_and_several_write_the_same_files(deid, tmp_path):
    make_ct(tmp_path / "in", 12, rows=16)
    common = ("--recipe", "research", "--secret", secret(tmp_path), "--project", "p", "in")
    for jobs in (1, 3):
        assert deid("clean", *common, "--out", f"out{jobs}", "--jobs", jobs).code == 0
    assert tree(tmp_path / "out1") == tree(tmp_path / "out3")
    assert len(tree(tmp_path / "out1")) == 12


def test_layout_input_keeps_names_and_warns(deid, tmp_path, scans):
    done = deid("clean", "--recipe", recipe(tmp_path), scans, "--out", "out", "--layout", "input")
    assert done.code == 0
    assert list(tree(tmp_path / "out")) == ["0.dcm", "1.dcm", "deep/2.dcm"]
    assert "warning: names of files and folders stay as they are" in done.err


def test_a_held_file_is_not_written_and_the_others_are(deid, tmp_path, scans):
    small(scans / "bad.dcm", "1.2.3.9", StudyDate="19990101")
    done = deid("clean", "--recipe", recipe(tmp_path, PLAIN + "REPLACE StudyDate var:day\n"), "--var", "day=PLANTED",
                scans, "--out", "out", "--json")  # fmt: skip
    found = json.loads(done.out)
    assert done.code == 1
    assert (found["written"], found["failed"]) == (3, [])
    (held,) = found["held"]
    assert (held["input"], held["reason"]) == (str(scans / "bad.dcm"), "action-failed")
    assert "(0008,0020)" in held["detail"]
    assert f"held: {scans}/bad.dcm: action-failed: (0008,0020)" in done.err
    assert "PLANTED" not in done.out + done.err
    assert len(tree(tmp_path / "out")) == 3


def test_what_is_no_dicom_file_is_counted_and_named_when_asked(deid, tmp_path, scans):
    (scans / "PLANTED.txt").write_text("a note")
    (scans / "link").symlink_to(tmp_path)
    directory = pydicom.dcmread(scans / "0.dcm")
    directory.SOPClassUID = directory.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    directory.save_as(scans / "DICOMDIR")
    common = ("clean", "--recipe", recipe(tmp_path, PLAIN + ON_PURPOSE), scans, "--out", "out")
    done = deid(*common)
    assert done.code == 0
    assert done.out.startswith("3 written, 0 held, 3 skipped")
    assert done.err == ""
    told = deid(*common, "-v").err
    assert f"skipped: {scans}/DICOMDIR: a DICOMDIR" in told
    assert f"skipped: {scans}/PLANTED.txt: no DICOM file" in told
    assert f"skipped: {scans}/link: a link to a folder" in told
    assert f"already: {scans}/0.dcm" in told


def test_a_named_input_that_is_no_dicom_file_or_not_there_has_failed(deid, tmp_path):
    (tmp_path / "note.txt").write_text("a note")
    done = deid("clean", "--recipe", recipe(tmp_path), "note.txt", "gone.dcm", "--out", "out", "--json")
    assert done.code == 1
    assert {one["input"]: one["reason"] for one in json.loads(done.out)["failed"]} == {
        "note.txt": "no DICOM file: it has no DICM prefix",
        "gone.dcm": "cannot be read: No such file or directory",
    }


def test_what_is_done_is_not_done_again(deid, tmp_path, scans):
    common = ("clean", "--recipe", recipe(tmp_path), scans, "--out", "out")
    deid(*common)
    before = {path: path.stat() for path in (tmp_path / "out").rglob("*.dcm")}
    small(scans / "new.dcm", "1.2.3.7")
    done = deid(*common)
    assert (done.code, done.out) == (0, "1 written, 3 there already, 0 held, 0 failed\n")
    for path, state in before.items():
        assert (path.stat().st_ino, path.stat().st_mtime_ns) == (state.st_ino, state.st_mtime_ns)


def with_functions(folder, text):
    """A configuration that names the site's own functions, where the working directory is searched for it."""
    (folder / "mine.py").write_text(text)
    (folder / "config.yaml").write_text(
        "functions: [mine.py]\nnode: {ae_title: A, listen: '127.0.0.1:1'}\n"
        "routes: [{name: r, recipe: [r.dicom], to: [d]}]\n"
        "destinations: {d: {ae_title: D, address: '127.0.0.1:2'}}\n"
    )


@pytest.fixture
def slow(tmp_path):
    """Arguments for a run that takes a second or more, and 40 input files."""
    with_functions(
        tmp_path, "import time\n\n\ndef slow(item, value, field, dicom):\n    time.sleep(0.15)\n    return 'X'\n"
    )
    for number in range(40):
        small(tmp_path / f"in/{number}.dcm", f"1.2.3.{number}")
    path = recipe(tmp_path, PLAIN + "REPLACE PatientID func:slow\n")
    return "--recipe", path, tmp_path / "in", "--out", tmp_path / "out", "--jobs", 2


def begun(folder, *arguments):
    """A run in a process of its own that has written some of its files."""
    process = subprocess.Popen(
        command(*arguments),
        env=environment(),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        # A shell lets what it starts in the background ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 -- one thread here
    )
    wait_for(lambda: len(list((folder / "out").rglob("*.dcm"))) > 3, "some are written")
    return process


def test_a_killed_run_is_finished_by_the_next(deid, tmp_path, slow):
    process = begun(tmp_path, *slow)
    process.kill()
    process.wait()
    left = tree(tmp_path / "out")
    assert 3 < len(left) < 40
    wait_for(lambda: deid("clean", *slow).code == 0, "its processes have let go of the folder")
    finished = tree(tmp_path / "out")
    assert len(finished) == 40
    assert {name for name in left if name not in finished} == {name for name in left if name.startswith(".incoming")}
    assert all(finished[name] == digest for name, digest in left.items() if not name.startswith("."))


def test_an_interrupted_run_says_so_by_its_exit_code_and_leaves_nothing_temporary(tmp_path, slow):
    process = begun(tmp_path, *slow)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of its processes
    assert process.wait(30) == 130
    assert not (tmp_path / "out/.incoming").exists()
    assert len(tree(tmp_path / "out")) < 40


def test_two_inputs_with_one_uid_and_other_bytes_never_overwrite_each_other(deid, tmp_path):
    small(tmp_path / "in/a.dcm", pixels=b"\1\1")
    small(tmp_path / "in/b.dcm", pixels=b"\2\2")
    small(tmp_path / "in/c.dcm", pixels=b"\1\1")
    done = deid("clean", "--recipe", recipe(tmp_path), "in", "--out", "out", "--jobs", "1", "--json")
    found = json.loads(done.out)
    assert done.code == 1
    assert (found["written"], found["already"]) == (1, 1)
    assert found["failed"] == [
        {
            "input": "in/b.dcm",
            "reason": "another file has the name of its output already: out/1.2.3/1.2.3.0/1.2.3.1.dcm",
        }
    ]
    assert pydicom.dcmread(tmp_path / "out/1.2.3/1.2.3.0/1.2.3.1.dcm").PixelData == b"\1\1"


def test_a_file_that_was_there_is_never_overwritten(deid, tmp_path, scans):
    place = tmp_path / "out/1.2.3/1.2.3.0/1.2.3.0.dcm"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"somebody's own")
    done = deid("clean", "--recipe", recipe(tmp_path), scans, "--out", "out")
    assert (done.code, done.out) == (1, "2 written, 0 held, 1 failed\n")
    assert place.read_bytes() == b"somebody's own"


def test_a_uid_that_is_none_is_never_a_path(deid, tmp_path):
    small(tmp_path / "in/a.dcm", "1.2.3.1", StudyInstanceUID="../../elsewhere")
    done = deid("clean", "--recipe", recipe(tmp_path), "in", "--out", "out", "--json")
    assert json.loads(done.out)["held"][0]["reason"] == "action-failed"
    assert tree(tmp_path / "out") == {}
    assert deid("clean", "--recipe", recipe(tmp_path), "in", "--out", "out", "--layout", "input").code == 0


def test_a_recipe_that_needs_a_secret_is_refused_without_one(deid, tmp_path, scans):
    path = recipe(tmp_path, KEYED)
    done = deid("clean", "--recipe", path, scans, "--out", "out")
    assert done.code == 2
    assert f"{path}:3" in done.err
    assert "--secret FILE and --project NAME" in done.err
    done = deid("clean", "--recipe", path, scans, "--out", "out", "--secret", secret(tmp_path))
    assert done.code == 2
    assert "--project" in done.err
    done = deid("clean", "--recipe", path, scans, "--out", "out", "--secret", "gone.key", "--project", "p")
    assert (done.code, len(done.err.splitlines())) == (1, 1)
    (tmp_path / "secret.key").chmod(0o644)
    done = deid("clean", "--recipe", path, scans, "--out", "out", "--secret", "secret.key", "--project", "p")
    assert done.code == 1
    assert "chmod 600" in done.err
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "gone.key").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--out", "scans"), "--out is an input folder"),
        (("--out", "out", "--var", "nothing"), "NAME=VALUE"),
        (("--out", "out", "--route", "x"), "--config"),
        ((), "--out"),
    ],
)
def test_wrong_usage_is_exit_code_2(deid, tmp_path, scans, arguments, said):
    done = deid("clean", "--recipe", recipe(tmp_path), "scans", *arguments)
    assert done.code == 2
    assert said in done.err


def test_a_name_that_is_no_utf_8_is_cleaned_and_told(deid, tmp_path):
    path = os.fsdecode(bytes(tmp_path) + b"/in/\xff.dcm")
    small(tmp_path / "in/a.dcm").rename(path)
    os.makedirs(bytes(tmp_path) + b"/bad")
    with open(bytes(tmp_path) + b"/bad/\xfe.dcm", "wb") as file:
        file.write(bytes(128) + b"DICMnonsense")
    done = deid("clean", "--recipe", recipe(tmp_path), "in", "bad", "--out", "out", "--layout", "input", "--json")
    found = json.loads(done.out)
    assert (done.code, found["written"]) == (1, 1)
    assert found["held"][0]["input"] == "bad/\\udcfe.dcm"
    assert os.path.exists(os.fsdecode(bytes(tmp_path) + b"/out/\xff.dcm"))


def test_a_variable_that_nobody_sets_is_named(deid, tmp_path, scans):
    done = deid("clean", "--recipe", recipe(tmp_path, PLAIN + "REPLACE PatientID var:site\n"), scans, "--out", "out")
    assert done.code == 2
    assert "--var site=VALUE" in done.err


def test_a_recipe_with_faults_is_refused_with_all_of_them(deid, tmp_path, scans):
    path = recipe(tmp_path, PLAIN + "REMOVE PatentName\nJITTER Modality 3\n")
    done = deid("clean", "--recipe", path, scans, "--out", "out")
    assert done.code == 1
    assert [line.split(" ")[0] for line in done.err.splitlines()] == [f"{path}:6", f"{path}:7"]


def test_later_recipes_have_the_last_word(deid, tmp_path, scans):
    first = recipe(tmp_path, "FORMAT dicom\n%header\nREPLACE PatientName FIRST\n", "1.dicom")
    second = recipe(tmp_path, "FORMAT dicom\n%header\nREPLACE PatientName SECOND\n", "2.dicom")
    assert deid("clean", "--recipe", first, "--recipe", second, scans, "--out", "out").code == 0
    assert {str(pydicom.dcmread(p).PatientName) for p in (tmp_path / "out").rglob("*.dcm")} == {"SECOND"}


def test_output_inside_an_input_folder_is_no_input(deid, tmp_path, scans):
    for _ in range(2):
        done = deid("clean", "--recipe", recipe(tmp_path), scans, "--out", scans / "out", "--json")
        found = json.loads(done.out)
        assert (done.code, found["written"] + found["already"], found["skipped"]) == (0, 3, 0)


def test_two_runs_do_not_write_to_one_folder(deid, tmp_path, scans):
    folder = OutputFolder(tmp_path / "out", Layout.UID)
    try:
        done = deid("clean", "--recipe", recipe(tmp_path), scans, "--out", "out")
    finally:
        folder.close()
    assert done.code == 1
    assert "another run is writing" in done.err
    assert deid("clean", "--recipe", recipe(tmp_path), scans, "--out", "out").code == 0


def test_a_process_that_dies_takes_one_file_with_it(deid, tmp_path, scans):
    with_functions(
        tmp_path,
        "import os\n\n\ndef deadly(item, value, field, dicom):\n"
        "    if dicom.SOPInstanceUID == '1.2.3.1':\n        os.kill(os.getpid(), 9)\n    return 'X'\n",
    )
    path = recipe(tmp_path, PLAIN + "REPLACE PatientID func:deadly\n")
    done = deid("clean", "--recipe", path, scans, "--out", "out", "--jobs", "2", "--json")
    found = json.loads(done.out)
    assert (done.code, found["written"]) == (1, 2), done.err
    assert found["failed"] == [{"input": str(scans / "1.dcm"), "reason": "the process that cleaned it died"}]


def test_a_deflated_file_is_cleaned_and_stays_deflated(deid, tmp_path):
    arguments = ("clean", "--recipe", recipe(tmp_path), public("image_dfl.dcm"), "--layout", "input", "--out", "out")
    assert deid(*arguments).code == 0
    before, after = (pydicom.dcmread(path) for path in (public("image_dfl.dcm"), tmp_path / "out/image_dfl.dcm"))
    assert after.file_meta.TransferSyntaxUID == before.file_meta.TransferSyntaxUID
    assert "PatientName" in before
    assert "PatientName" not in after
    assert after.PixelData == before.PixelData
    assert deid(*arguments).out.startswith("0 written, 1 there already")


def test_a_file_without_changes_keeps_its_data_set_byte_for_byte(deid, tmp_path):
    names = ("image_dfl.dcm", "MR_small_bigendian.dcm", "JPEG2000.dcm", "test-SR.dcm")
    empty = recipe(tmp_path, "FORMAT dicom\n%header\n")
    assert deid("clean", "--recipe", empty, *map(public, names), "--layout", "input", "--out", "out").code == 0
    for name in names:
        assert data_set_of(tmp_path / "out" / name) == data_set_of(public(name))


HIGH_WATER = """
import sys
from node.cli import run
code = run(sys.argv[1:])
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")][0])
sys.exit(code)
"""


@pytest.mark.parametrize("deflated", [False, *thorough.slow(True)])
def test_memory_does_not_grow_with_the_file(tmp_path, deflated):
    path = small(tmp_path / "big.dcm", pixels=bytes(96 * MEGABYTE))
    if deflated:
        whole = path.read_bytes()
        _, start = read_file_meta(whole[:65536])
        head = encode_file_meta(FileMeta("1.2", "1.2.3.1", DEFLATED_LE.uid))
        deflate = zlib.compressobj(1, wbits=-15)
        path.write_bytes(head + deflate.compress(whole[start:]) + deflate.flush())
    whole, little = high_water(tmp_path, path), high_water(tmp_path, small(tmp_path / "little.dcm"))
    assert whole - little < 24 * 1024
    for big in (path, *(tmp_path / "out").rglob("*.dcm")):
        big.unlink()


def high_water(folder, path) -> int:
    """The most memory that cleaning a file takes, in kilobytes."""
    arguments = command("--recipe", recipe(folder), path, "--out", folder / f"out/{path.stem}", "--jobs", "1")[3:]
    done = subprocess.run(
        [sys.executable, "-c", HIGH_WATER, *arguments], env=environment(), capture_output=True, text=True, check=True
    )
    said, kilobytes = done.stdout.splitlines()
    assert said.startswith("1 written")
    return int(kilobytes)


def test_a_full_disk_ends_the_run_and_leaves_whole_files(tmp_path):
    for number in range(8):
        small(tmp_path / f"in/{number}.dcm", f"1.2.3.{number}", pixels=bytes(MEGABYTE))
    out = tmp_path / "out"
    out.mkdir()
    run = " ".join(command("--recipe", recipe(tmp_path), tmp_path / "in", "--out", out, "--jobs", "2"))
    script = f"mount -t tmpfs -o size=4m none {out} && {{ {run}; echo code $?; find {out} -type f -size -1024k; }}"
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, env=environment(), check=False
    )
    if "code" not in done.stdout:
        pytest.skip(f"no file system can be mounted here: {done.stderr[-100:]}")
    assert done.stdout == "code 1\n", "nothing temporary and nothing that is cut off"
    assert "the disk is full" in done.stderr


@pytest.mark.slow
def test_a_terminal_sees_a_progress_bar(tmp_path, scans):
    ours, theirs = pty.openpty()
    done = subprocess.run(
        command("--recipe", recipe(tmp_path), scans, "--out", tmp_path / "out"),
        env={**environment(), "TERM": "xterm", "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=theirs,
        check=True,
    )
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert done.stdout == b"3 written, 0 held, 0 failed\n"
    assert "cleaning" in shown
    assert "3/3" in shown


MASKS = "FORMAT dicom\n%filter text\nLABEL burned in\nequals Modality CT\ncoordinates 0,0,8,2\n"


def test_pixels_are_masked_where_a_filter_of_the_recipe_asks_for_it(deid, tmp_path):
    (path,) = make_ct(tmp_path / "in", 1, rows=16)
    dataset = pydicom.dcmread(path)
    dataset.PixelData = b"\x07" * len(dataset.PixelData)
    dataset.save_as(path)
    for _ in range(2):  # the second time it is there already
        done = deid("clean", "--recipe", recipe(tmp_path, MASKS), path, "--out", "out")
        assert done.code == 0, done.err
    (cleaned,) = [pydicom.dcmread(one) for one in (tmp_path / "out").rglob("*.dcm")]
    before, after = dataset.pixel_array, cleaned.pixel_array
    assert (after[:2, :8] != before[:2, :8]).all()
    assert len(set(after[:2, :8].flat)) == 1
    after[:2, :8] = before[:2, :8]
    assert (after == before).all()
