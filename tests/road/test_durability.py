"""Success means safe: the order of the syncs in front of each answer, as the kernel sees it."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.road.support import SUCCESS, associated
from tests.support import make_ct

CALLS = "fdatasync,fsync,rename,renameat,renameat2,sendto,write,writev,pwrite64"
LINE = re.compile(r"(?P<tid>\d+) +(?P<rest>.*)")
RESULT = re.compile(r"\)\s+= ")
RESUMED = re.compile(r"<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)")


def may_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not may_trace(), reason="strace is missing, or not permitted here")


@dataclass
class Call:
    """One completed system call."""

    name: str
    arguments: str
    result: str
    began: int
    ended: int


def calls_of(trace: Path) -> dict[str, list[Call]]:
    """The system calls of each thread; `began` and `ended` are line numbers, which order them."""
    found: dict[str, list[Call]] = {}
    open_: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(trace.read_text(errors="replace").splitlines()):
        matched = LINE.fullmatch(line)
        if matched is None:
            continue
        tid, rest = matched["tid"], matched["rest"]
        began = number
        if rest.endswith("<unfinished ...>"):
            open_[tid] = rest.removesuffix("<unfinished ...>"), number
            continue
        if resumed := RESUMED.fullmatch(rest):
            head, began = open_.pop(tid)
            rest = head + resumed["rest"]
        name, _, tail = rest.partition("(")
        arguments, *result = RESULT.split(tail)
        if result:
            found.setdefault(tid, []).append(Call(name, arguments, result[-1], began, number))
    return found


def is_answer(call: Call) -> bool:
    """Whether it sends a P-DATA-TF PDU, which from a receiver is a C-STORE-RSP."""
    return call.name == "sendto" and "<TCP" in call.arguments and '"\\x04\\x00' in call.arguments


@pytest.mark.parametrize("sealed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_file_then_name_then_folder_then_ledger_and_only_then_the_answer(road, sealed):
    archive = road.archive(start=False)  # without it no forwarder sends what looks like an answer
    node = road.node(archive)
    if sealed:
        node.seals()
    trace = road.folder / "trace"
    # -D: the node stays our child, and the tracer ends with it.
    options = ["-D", "-f", "-yy", "-x", "-s", "16", "-e", f"trace={CALLS}", "-o", str(trace)]
    node.command = ["strace", *options, *node.command]
    node.start()
    sent = make_ct(road.folder / "sent", 3)
    with associated(node.port, *sent) as association:
        assert [association.send_c_store(path).Status for path in sent] == [SUCCESS] * 3
    node.wait_status(lambda s: s["received"] == 3, "all three")
    assert node.stop() == 0
    ((_, calls),) = ((tid, calls) for tid, calls in calls_of(trace).items() if any(map(is_answer, calls)))
    answers = [index for index, call in enumerate(calls) if is_answer(call)]
    assert len(answers) == 3
    seen = set()
    for begin, end in zip([0, *answers[:-1]], answers, strict=True):
        seen.add(in_order(calls[begin:end], str(node.spool), str(node.data)))
        assert max(call.ended for call in calls[begin:end]) < calls[end].began
    assert len(seen) == 3, "another file each time"


def in_order(calls: list[Call], spool: str, data: str) -> str:
    """Check the steps in front of one answer; return the id of the instance."""
    assert all(not call.result.startswith("-1") for call in calls)
    file = [i for i, call in enumerate(calls) if call.name == "fdatasync" and f"<{spool}/incoming/" in call.arguments]
    name = [i for i, call in enumerate(calls) if call.name.startswith("rename")]
    folder = [i for i, call in enumerate(calls) if call.name == "fsync" and f"<{spool}/originals/" in call.arguments]
    ledger = [
        i
        for i, call in enumerate(calls)
        if call.name in {"fsync", "fdatasync"} and f"<{data}/ledger.db-wal>" in call.arguments
    ]
    assert [len(step) for step in (file, name, folder)] == [1, 1, 1]
    assert ledger, "the commit is synced"
    row = [i for i, call in enumerate(calls) if call.name == "pwrite64" and f"<{data}/ledger.db-wal>" in call.arguments]
    assert row, "the row is written"
    assert file[0] < name[0] < folder[0] < row[0]
    assert row[-1] < ledger[-1], "all of it, before it is synced"
    written = [
        i
        for i, call in enumerate(calls)
        if call.name in {"write", "writev"} and f"<{spool}/incoming/" in call.arguments
    ]
    assert written, "the instance is written"
    assert max(written) < file[0], "all of it, before it is synced"
    source, target = re.findall(r'"([^"]*)"', calls[name[0]].arguments)
    instance = Path(target).stem
    assert Path(source) == Path(spool, "incoming", f"{instance}.part")
    assert f"<{Path(target).parent}>" in calls[folder[0]].arguments, "the folder that the name is in"
    return instance
