"""What a person discards is gone, durably, before anything says so: the order of the calls, as the kernel sees it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.drills.support import Site, image
from tests.road.test_durability import calls_of, may_trace
from tests.support import REPOSITORY

pytestmark = pytest.mark.skipif(not may_trace(), reason="strace is missing, or not permitted here")
CALLS = "unlink,unlinkat,fsync,fdatasync,pwrite64"


def test_the_file_goes_then_its_folder_is_synced_and_only_then_the_row_is_written(tmp_path: Path) -> None:
    site = Site(tmp_path)
    name = site.come(image(""))
    assert site.row(name)[0] == "held"
    site.database.close()
    file, trace = site.spool.original(name), tmp_path / "trace"
    options = ["-f", "-yy", "-x", "-s", "16", "-e", f"trace={CALLS}", "-o", str(trace)]
    command = [
        sys.executable,
        "-m",
        "node",
        "held",
        "discard",
        name,
        "--yes",
        "--config",
        str(tmp_path / "config.yaml"),
    ]
    done = subprocess.run(
        ["strace", *options, *command], capture_output=True, text=True, timeout=60, check=False, cwd=REPOSITORY
    )
    assert done.returncode == 0, done.stderr
    assert not file.exists()
    calls = [call for calls in calls_of(trace).values() for call in calls]
    log = f"<{tmp_path}/var/ledger.db-wal>"
    gone = next(call for call in calls if call.name.startswith("unlink") and call.arguments.count(str(file)))
    synced = next(call for call in calls if call.name == "fsync" and f"<{file.parent}>" in call.arguments)
    written = [call for call in calls if call.name == "pwrite64" and log in call.arguments]
    commit = [call for call in calls if call.name in ("fsync", "fdatasync") and log in call.arguments]
    assert gone.ended < synced.began
    assert synced.ended < max(call.began for call in written), "the commit that says so comes behind it"
    assert synced.ended < max(call.began for call in commit)
