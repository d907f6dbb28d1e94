"""Several senders at once, many short associations, and an instance much larger than the node's memory may grow."""

import hashlib
import os
import threading
from pathlib import Path

import pydicom
import pytest

from tests.dicomnet.peers import p_data, pdv
from tests.road.support import CT, EXPLICIT, SUCCESS, RawSender, associated, data_set_of, send, shipped_file
from tests.support import make_ct, wait_for

SENDERS, EACH = 8, 25
MIB = 1 << 20


def test_what_eight_senders_at_once_had_acknowledged_is_delivered(road):
    archive = road.archive()
    node = road.node(archive).start()
    series = [make_ct(road.folder / f"sent{n}", EACH, patient=f"MRN-{n}") for n in range(SENDERS)]
    answered: list[list[int]] = [[] for _ in range(SENDERS)]
    start, each_has_one = threading.Barrier(SENDERS), threading.Barrier(SENDERS)

    def run(number: int) -> None:
        with associated(node.port, series[number][0], calling=f"SENDER{number}") as association:
            start.wait(30)
            for path in series[number]:
                answered[number].append(int(association.send_c_store(path).Status))
                if len(answered[number]) == 1:
                    each_has_one.wait(30)  # broken where anybody waits until another has ended

    threads = [threading.Thread(target=run, args=(number,)) for number in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not each_has_one.broken, "nobody waited until another had ended"
    assert answered == [[SUCCESS] * EACH] * SENDERS
    status = node.wait_delivered(SENDERS * EACH)
    assert status["received"] == SENDERS * EACH
    uids = archive.uids()
    assert len(uids) == len(set(uids)) == SENDERS * EACH
    ids = {str(pydicom.dcmread(path, specific_tags=["PatientID"]).PatientID) for path in archive.files()}
    assert len(ids) == 1, "as the small recipe has it"
    wait_for(lambda: node.spool_files() == {"incoming": 0, "originals": 0, "cleaned": 0}, "the spool is empty")


def test_one_association_for_each_instance_sixty_times(road):
    archive = road.archive()
    node = road.node(archive).start()
    sent = make_ct(road.folder / "sent", 60, rows=16)
    for path in sent:
        assert send(node.port, path) == [SUCCESS]
    node.wait_delivered(60)
    assert len(set(archive.uids())) == 60


class Memory:
    """Samples the memory of a process tree (PSS: shared pages count once) until told to stop."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.idle = self.highest = self.now()

    def now(self) -> int:
        """Bytes at this moment."""
        total, waiting = 0, [self._pid]
        while waiting:
            pid = waiting.pop()
            try:
                for task in Path(f"/proc/{pid}/task").iterdir():
                    waiting += map(int, (task / "children").read_text().split())
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            except (FileNotFoundError, ProcessLookupError):
                continue
            total += next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
        return total

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(0.02):
            self.highest = max(self.highest, self.now())


def readable(pid: str) -> bool:
    try:
        return bool(Path(f"/proc/{pid}/smaps_rollup").read_text())
    except OSError:
        return False


def write_multi_frame(path: Path, mib: int) -> str:
    """Write a CT of `mib` MiB that no compression of a disk makes smaller; return the hash of its pixel data."""
    ds = pydicom.dcmread(shipped_file("CT_small.dcm"), stop_before_pixels=True)
    ds.NumberOfFrames, ds.Rows, ds.Columns = mib * 2, 512, 512
    for element in list(ds):
        if element.tag.group > 0x7FE0:
            del ds[element.tag]
    ds.save_as(path)
    digest, block = hashlib.sha256(), bytearray(os.urandom(MIB))
    with path.open("ab") as file:
        file.write(b"\xe0\x7f\x10\x00OW\0\0" + (mib * MIB).to_bytes(4, "little"))
        for number in range(mib):
            block[:4] = number.to_bytes(4, "little")
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


@pytest.mark.skipif(not readable("self"), reason="this kernel does not tell the memory of processes (smaps_rollup)")
def test_memory_does_not_grow_with_an_instance_of_200_mib(road):
    archive = road.archive()
    node = road.node(archive)
    node.config["destinations"]["dest"]["timeout"] = {"response": "60s"}
    node.write_config()
    node.start()
    small, big = road.folder / "small", road.folder / "big.dcm"
    assert send(node.port, *make_ct(small, 4)) == [SUCCESS] * 4
    node.wait_delivered(4)
    expected = write_multi_frame(big, 200)
    with Memory(node.process.pid) as memory:
        assert send(node.port, big) == [SUCCESS]
        node.wait_delivered(5)
    assert memory.highest - memory.idle < 64 * MIB
    (arrived,) = (path for path in archive.files() if path.stat().st_size > 200 * MIB)
    with arrived.open("rb") as file:
        file.seek(-200 * MIB, os.SEEK_END)
        assert hashlib.file_digest(file, "sha256").hexdigest() == expected


def test_a_sender_with_the_smallest_pdus_is_served_too(road):
    archive = road.archive()
    node = road.node(archive).start()
    (sent,) = make_ct(road.folder / "sent", 1)
    data, uid = data_set_of(sent), str(pydicom.dcmread(sent).SOPInstanceUID)
    with RawSender(node.port) as peer:
        peer.open((CT, (EXPLICIT,)))
        peer.command(uid)
        pieces = [data[offset : offset + 50] for offset in range(0, len(data), 50)]
        peer.send(b"".join(p_data(pdv(piece, command=False, last=False)) for piece in pieces))
        peer.send(p_data(pdv(b"", command=False, last=True)))
        assert peer.status() == SUCCESS
    node.wait_delivered(1)
    assert pydicom.dcmread(archive.files()[0]).PixelData == pydicom.dcmread(sent).PixelData
