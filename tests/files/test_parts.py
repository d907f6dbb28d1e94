"""Finding files, several processes, and the output folder, each by itself."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from node.errors import HoldInstance, NoRoom, SpoolError
from node.files.finding import find
from node.files.places import Layout, OutputFolder
from node.files.pool import Pool
from tests.support import wait_for


def double(number: int) -> int:
    if number == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 99:
        raise NoRoom("the disk is full")
    if number == 100:
        raise RuntimeError("anything")
    return 2 * number


@pytest.mark.parametrize("count", [1, 3])
def test_each_item_is_worked_on_once(count):
    assert sorted(Pool(double, count).map(iter(range(12)))) == [(n, 2 * n) for n in range(12)]


def test_a_process_that_dies_gives_its_item_back_and_the_others_go_on():
    done = dict(Pool(double, 2).map([*range(12), 13, 100, *range(20, 30)]))
    assert done.pop(13) is None
    assert done.pop(100) is None
    assert done == {n: 2 * n for n in (*range(12), *range(20, 30))}


def test_a_full_disk_ends_all_work_and_all_processes():
    before = psutil.Process().children()
    with pytest.raises(NoRoom):
        list(Pool(double, 3).map([1, 2, 99, *range(50)]))
    assert psutil.Process().children() == before


def test_a_pool_takes_items_only_as_it_can_work_on_them():
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    results = Pool(double, 2).map(items())
    next(results)
    assert len(taken) <= 4
    results.close()


def test_workers_end_when_their_maker_is_killed():
    reader, writer = os.pipe()
    maker = os.fork()
    if maker == 0:
        os.close(reader)
        for _ in Pool(lambda _: os.getpid(), 2).map(range(10)):
            pass
        pool = Pool(lambda _: os.getpid(), 2)
        for _, pid in pool.map(iter(lambda: 1, 0)):
            os.write(writer, f"{pid}\n".encode())
        os._exit(0)
    os.close(writer)
    pids = {int(line) for line in os.read(reader, 4096).split(b"\n")[:-1]}
    os.kill(maker, signal.SIGKILL)
    os.waitpid(maker, 0)
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() and _runs(pid) for pid in pids), "the workers have ended")
    os.close(reader)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_every_entry_is_given_once_in_order_and_the_output_folder_is_left_out(tmp_path):
    for name in ("b", "a/2", "a/1", "out/x", "a/out/y"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "gone").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    found = list(find([tmp_path, tmp_path / "b", tmp_path / "missing"], tmp_path / "out"))
    assert [str(one.relative) for one in found] == ["a/1", "a/2", "a/out/y", "b", "gone", "pipe", "b", "missing"]
    assert [bool(one.skipped) for one in found] == [False] * 4 + [True, True, False, False]
    assert [one.named for one in found] == [False] * 6 + [True, True]
    assert found[-1].failed == "cannot be read: No such file or directory"


def test_leftovers_of_an_interrupted_run_go_and_nothing_else(tmp_path):
    (tmp_path / ".incoming").mkdir()
    (tmp_path / ".incoming/1-1.part").write_bytes(b"half")
    (tmp_path / ".incoming/mine").write_bytes(b"somebody's")
    OutputFolder(tmp_path, Layout.UID).close()
    assert [path.name for path in (tmp_path / ".incoming").iterdir()] == ["mine"]


def test_a_draft_never_takes_the_place_of_a_file_that_came_meanwhile(tmp_path):
    folder = OutputFolder(tmp_path, Layout.UID)
    target = folder.target(Path("x"), ("1.2", "1.3", "1.4"))
    for content, placed in ((b"one", True), (b"two", False), (b"one", True)):
        descriptor, draft = folder.create()
        os.write(descriptor, content)
        os.close(descriptor)
        assert folder.place(draft, target) is placed
        assert not draft.exists()
    folder.sync()
    assert target.read_bytes() == b"one"
    folder.close()


@pytest.mark.parametrize("uid", ["", "..", "1..2", "1/2", "/1", "1.2\n", "1" * 65, "a"])
def test_a_path_is_made_of_uids_alone(tmp_path, uid):
    folder = OutputFolder(tmp_path, Layout.UID)
    with pytest.raises(HoldInstance):
        folder.target(Path("x"), ("1.2", uid, "1.4"))
    folder.close()


def test_no_output_lies_among_temporary_files(tmp_path):
    folder = OutputFolder(tmp_path, Layout.INPUT)
    with pytest.raises(SpoolError, match="temporary"):
        folder.target(Path(".incoming/1.part"), ("1.2", "1.3", "1.4"))
    assert folder.target(Path("a/.incoming/1.part"), ("", "", "")) == tmp_path / "a/.incoming/1.part"
    folder.close()


def test_a_folder_that_cannot_be_used_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SpoolError, match="the output folder cannot be used"):
        OutputFolder(tmp_path / "file", Layout.UID)
