"""What nothing needs any more is written over by what comes: only where nobody can notice."""

from __future__ import annotations

import mmap
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from node import removal
from node.spool import Spool, new_id
from tests.support import pages_in_memory, wait_for

OLD, NEW = b"OLD^PATIENT", b"NEW^PATIENT"
SIZE = 300_000


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "spool")
    made.prepare()
    yield made
    made.finish_removals()


def put(spool: Spool, content: bytes) -> Path:
    """Write an original as the receiver does."""
    name = new_id()
    descriptor = spool.create_original(name)
    os.write(descriptor, content)
    spool.publish_original(descriptor, name)
    os.close(descriptor)
    return spool.original(name)


def let_go(spool: Spool, path: Path) -> None:
    """Have a file removed, and wait until it was looked at."""
    spool.remove_soon(path.stem)
    wait_for(lambda: not path.exists(), "removed or kept")
    time.sleep(0.02)  # for which an empty folder is not looked at again


def kept(spool: Spool) -> list[str]:
    return sorted(path.suffix for path in (spool.root / "spare").iterdir())


def old(size: int = SIZE) -> bytes:
    return (OLD * (size // len(OLD) + 1))[:size]


@pytest.fixture
def never_calm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "_CALM_SECONDS", 60.0)


@pytest.mark.parametrize("size", [SIZE - 5000, SIZE, SIZE + 5000])
@pytest.mark.usefixtures("never_calm")
def test_a_file_is_written_over_and_nothing_of_its_content_is_left(spool: Spool, size: int) -> None:
    first = put(spool, old())
    spool.mark_cleaned(first.stem)
    inode = first.stat().st_ino
    let_go(spool, first)
    wait_for(lambda: kept(spool) == [".spare"], "removed or kept")
    content = (NEW * (size // len(NEW) + 1))[:size]
    second = put(spool, content)
    assert second.stat().st_ino == inode
    assert second.read_bytes() == content
    assert not spool.was_cleaned(second.stem), "the mark was the other one's"
    assert not list((spool.root / "spare").iterdir())


@pytest.mark.usefixtures("never_calm")
def test_of_a_file_to_be_written_over_the_last_page_alone_is_in_memory(spool: Spool) -> None:
    let_go(spool, put(spool, old()))
    wait_for(lambda: kept(spool) == [".spare"], "kept")
    (put_over,) = (spool.root / "spare").iterdir()
    assert pages_in_memory(put_over) == [(SIZE - 1) // mmap.PAGESIZE]


@pytest.mark.usefixtures("never_calm")
def test_a_file_of_another_size_is_left_alone(spool: Spool) -> None:
    put(spool, old(SIZE))
    large = put(spool, old(SIZE * 9))
    inode = large.stat().st_ino
    put(spool, old(SIZE))
    let_go(spool, large)
    wait_for(lambda: kept(spool) == [".spare"], "removed or kept")
    assert put(spool, old(SIZE)).stat().st_ino != inode


def held_open(path: Path) -> Iterator[None]:
    with path.open("rb"):
        yield


def held_by_another_process(path: Path) -> Iterator[None]:
    code = "import sys; f = open(sys.argv[1], 'rb'); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        yield
        reader.communicate()


def mapped(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDONLY)
    view = mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)
    os.close(descriptor)
    yield
    view.close()


def with_two_names(path: Path) -> Iterator[None]:
    other = path.with_suffix(".other")
    other.hardlink_to(path)
    yield
    assert other.read_bytes() == old()


@pytest.mark.parametrize("how", [held_open, held_by_another_process, mapped, with_two_names])
@pytest.mark.usefixtures("never_calm")
def test_a_file_that_somebody_else_can_read_is_not_written_over(spool: Spool, how) -> None:
    first = put(spool, old())
    inode = first.stat().st_ino
    use = how(first)
    next(use)
    let_go(spool, first)
    wait_for(lambda: kept(spool) == [".aside"], "removed or kept")
    assert put(spool, old()).stat().st_ino != inode
    next(use, None)


@pytest.mark.usefixtures("never_calm")
def test_bytes_on_their_way_to_a_peer_that_does_not_read_stay_what_they_were(spool: Spool) -> None:
    first = put(spool, old())
    inode = first.stat().st_ino
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as sender:
        peer, _ = server.accept()
        with peer:
            descriptor = os.open(first, os.O_RDONLY)
            sent = os.sendfile(sender.fileno(), descriptor, 0, 100_000)
            os.close(descriptor)
            let_go(spool, first)
            wait_for(lambda: kept(spool) == [".aside"], "removed or kept")
            assert put(spool, (NEW * SIZE)[:SIZE]).stat().st_ino != inode
            sender.shutdown(socket.SHUT_WR)
            peer.settimeout(10)
            got = b"".join(iter(lambda: peer.recv(65536), b""))
    assert got == old()[:sent]


def test_where_it_is_calm_they_go(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "_CALM_SECONDS", 0.05)
    paths = [put(spool, old(size)) for size in (1000, SIZE, SIZE)]
    for path in paths:
        spool.remove_soon(path.stem)
    wait_for(lambda: not kept(spool) and not any(path.exists() for path in paths), "removed or kept")


@pytest.mark.usefixtures("never_calm")
def test_small_ones_are_written_over_where_it_does_not_get_calm(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "_LONGEST_SECONDS", 0.3)
    first, second = put(spool, old(1000)), put(spool, old(1000))
    inode = first.stat().st_ino
    spool.remove_soon(first.stem)
    time.sleep(0.4)
    assert first.exists()
    spool.remove_soon(second.stem)
    wait_for(lambda: not first.exists(), "it is not needed")
    wait_for(lambda: kept(spool) == [".spare"], "it is kept")
    assert put(spool, old(1000)).stat().st_ino == inode


@pytest.mark.usefixtures("never_calm")
def test_where_room_is_short_nothing_is_kept(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    spool.min_free = 1 << 60
    first = put(spool, old())
    spool.remove_soon(first.stem)
    wait_for(lambda: not first.exists(), "removed or kept")
    assert not kept(spool)


@pytest.mark.usefixtures("never_calm")
def test_what_a_death_leaves_is_swept(spool: Spool) -> None:
    first = put(spool, old())
    let_go(spool, first)
    wait_for(lambda: kept(spool) == [".spare"], "removed or kept")
    assert spool.sweep_incoming(time.time() - 3600) == 0, "as long as it may be taken it stays"
    assert spool.sweep_incoming(time.time() + 1) == 1
    assert not kept(spool)
