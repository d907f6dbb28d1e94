"""The writer of one instance: what it makes durable, in which order, and what it shares with others."""

from __future__ import annotations

import errno
import json
import mmap
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from node.dicomnet import Peer, StoreAnswer, StoreRequest
from node.durable import begin_writing
from node.ledger import Database
from node.ledger.reception import GroupCommit
from node.part10 import FileMeta, encode_file_meta, read_file_meta
from node.receiver.origin import Origin
from node.receiver.writer import OUT_OF_RESOURCES, SUCCESS, Intake, SpoolWriter
from node.shared import Bell
from node.spool import Spool
from tests.ledger.support import CT, EXPLICIT, new_database, sql
from tests.support import wait_for

PEER = Peer("SCU", "DEIDNODE", "fe80::1", 1234, "abcd")
SYNC, RENAME = os.fsync, os.rename


class House:
    """A spool and a ledger, and writers for them."""

    def __init__(self, folder: Path) -> None:
        self.spool = Spool(folder / "spool")
        self.spool.prepare()
        self.database: Database = new_database(folder)
        self.intake = Intake(self.spool, GroupCommit(self.database), Bell())

    def writer(self, uid: str = "1.2.3", data: bytes = b"data") -> SpoolWriter:
        writer = SpoolWriter(
            self.intake, Origin(PEER, "127.0.0.1:104", "r", 'a "p"'), StoreRequest(CT, uid, EXPLICIT, 1, 1)
        )
        writer.write(memoryview(data))
        return writer

    def finish_together(self, count: int, meanwhile: Callable[[], object] = lambda: None) -> list[StoreAnswer]:
        answers: list[StoreAnswer] = []
        writers = [self.writer(f"1.2.{n}") for n in range(count)]
        threads = [threading.Thread(target=lambda one=one: answers.append(one.finish())) for one in writers]
        for thread in threads:
            thread.start()
        meanwhile()
        for thread in threads:
            thread.join(30)
        assert len(answers) == count
        return answers

    def files(self) -> list[Path]:
        return [path for path in self.spool.root.rglob("*") if path.is_file()]

    def rows(self) -> int:
        return int(str(sql(self.database, "SELECT count(*) FROM instances")[0][0]))


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    # One folder for all, however long the test takes.
    monkeypatch.setattr("node.spool._fan", lambda _: "07")
    return House(tmp_path)


def is_folder(descriptor: int) -> bool:
    return Path(f"/proc/self/fd/{descriptor}").resolve().is_dir()


def test_names_that_come_while_a_folder_is_synced_share_the_next_sync(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    first, go_on = threading.Event(), threading.Event()

    def sync(descriptor: int) -> None:
        if not is_folder(descriptor):
            SYNC(descriptor)
            return
        steps.append("began")
        if not first.is_set():
            first.set()
            assert go_on.wait(30)
        SYNC(descriptor)
        steps.append("ended")

    def rename(source: str, target: str) -> None:
        RENAME(source, target)
        steps.append("name")

    def joined() -> bool:
        return steps.count("name") == 16 and house.spool._entries.waiting() == 15

    def meanwhile() -> None:
        wait_for(joined, "all but the first wait for the second sync")
        go_on.set()

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "rename", rename)
    assert [answer.status for answer in house.finish_together(16, meanwhile)] == [SUCCESS] * 16
    assert steps[0] == "name"
    assert steps[-4:] == ["name", "ended", "began", "ended"], "fifteen names are there before their sync begins"
    assert (steps.count("name"), steps.count("began")) == (16, 2)
    assert house.rows() == 16


def test_a_folder_sync_that_fails_is_a700h_for_all_that_waited_for_it_and_leaves_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, go_on = threading.Event(), threading.Event()

    def sync(descriptor: int) -> None:
        if is_folder(descriptor):
            if first.is_set():
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            first.set()
            assert go_on.wait(30)
        SYNC(descriptor)

    def meanwhile() -> None:
        wait_for(lambda: house.spool._entries.waiting() == 7, "all but the first wait")
        go_on.set()

    monkeypatch.setattr(os, "fsync", sync)
    answers = [answer.status for answer in house.finish_together(8, meanwhile)]
    assert sorted(answers) == sorted([SUCCESS] + [OUT_OF_RESOURCES] * 7)
    assert len(house.files()) == house.rows() == 1
    monkeypatch.setattr(os, "fsync", SYNC)
    assert house.writer().finish().status == SUCCESS
    assert len(house.files()) == house.rows() == 2


def content_of(file: Path) -> bytes:
    data = file.read_bytes()
    return data[read_file_meta(data[:4096])[1] :]


def test_the_disk_begins_with_the_first_bytes_before_the_last_came(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[int, int]] = []

    def note(file: int, offset: int, count: int) -> None:
        begun.append((offset, count))
        begin_writing(file, offset, count)

    monkeypatch.setattr("node.receiver.writer.begin_writing", note)
    step = 256 << 10
    pieces = [bytes([n]) * (step // 2) for n in range(1, 10)]
    writer = house.writer(data=pieces[0])
    for piece in pieces[1:]:
        writer.write(memoryview(piece))
    assert begun == [(0, step), (step, step), (2 * step, step), (3 * step, step)], "each byte is named once"
    assert writer.finish().status == SUCCESS
    (file,) = house.files()
    assert content_of(file) == b"".join(pieces)


@pytest.mark.parametrize("size", [1, 3, mmap.PAGESIZE - 1, mmap.PAGESIZE, mmap.PAGESIZE + 1, 50_001])
def test_a_file_is_written_in_whole_pages_however_it_comes(
    house: House, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    lengths: list[int] = []
    write = os.writev

    def note(file: int, pieces: list[bytes]) -> int:
        lengths.append(write(file, pieces))
        return lengths[-1]

    monkeypatch.setattr(os, "writev", note)
    data = os.urandom(max(size * 7, 20_000))
    writer = house.writer(data=data[:size])
    for place in range(size, len(data), size):
        writer.write(memoryview(data)[place : place + size])
    assert writer.finish().status == SUCCESS
    (file,) = house.files()
    assert content_of(file) == data
    *whole, last = lengths
    assert whole
    assert not [length for length in whole if length % mmap.PAGESIZE]
    assert last < mmap.PAGESIZE
    assert sum(lengths) == file.stat().st_size


def test_the_envelope_is_what_the_file_meta_encoder_makes_of_it(house: House) -> None:
    origin = Origin(PEER, "127.0.0.1:104", "r", 'a "p"')
    for number, kind in enumerate(
        [(CT, EXPLICIT), ("1.2.840.10008.5.1.4.1.1.4", EXPLICIT), (CT, "1.2.3"), (CT, "1.2.3")]
    ):
        at = 1_700_000_000.123456 + number
        kept = json.dumps({"received_at": at, "route": "r", "project": 'a "p"'}, sort_keys=True).encode()
        sender = "dicom://[fe80::1]:1234"
        meta = FileMeta(
            kind[0], f"1.2.{number}", kind[1], "SCU", "SCU", "DEIDNODE", sender, sender, "dicom://127.0.0.1:104", kept
        )
        request = StoreRequest(kind[0], f"1.2.{number}", kind[1], 1, 1)
        assert origin.envelope(request, at) == encode_file_meta(meta)
    assert house.writer().finish().status == SUCCESS
    (file,) = house.files()
    kept = read_file_meta(file.read_bytes())[0].private_information.rstrip(b"\0")
    assert json.loads(kept)["project"] == 'a "p"'
