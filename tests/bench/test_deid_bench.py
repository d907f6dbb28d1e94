"""The comparison runs others file by file, and a file that one breaks on counts against it."""

from __future__ import annotations

import pytest

from tests.bench.deid import _row, by_other
from tests.deidset.build import PUBLIC
from tests.deidset.check import COLUMNS
from tests.deidset.encoding import DEFLATED, part10
from tests.deidset.expected import Expectation


@pytest.mark.slow
def test_another_tool_cleans_file_by_file_and_what_it_breaks_on_is_not_out(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    broken = part10({0x00080016: ("UI", "1.2.840.10008.5.1.4.1.1.2"), 0x00080018: ("UI", "1.2.3")}, DEFLATED)
    (folder / "broken.dcm").write_bytes(broken[:-12] + b"\xff" * 12)
    for name in ("MR_small.dcm", "rtplan.dcm"):
        (folder / name).write_bytes((PUBLIC / name).read_bytes())
    done = by_other("deid", folder, tmp_path / "out")
    assert set(done) == {"MR_small.dcm", "broken.dcm", "rtplan.dcm"}
    row = _row("deid", done, dict.fromkeys(done, False), tmp_path / "out", Expectation())
    assert (row["out"], row["lost"], row["held with a reason"]) == (2, 1, 0)
    assert set(COLUMNS) < set(row)
    assert row["marks"] == 2  # it says nothing of the method by its codes
    assert row["milliseconds"] > 0
