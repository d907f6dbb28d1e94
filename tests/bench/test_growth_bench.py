"""The benchmark of growth measures; how fast anything is, no test asks."""

from __future__ import annotations

import json

import pytest

from tests.bench.growth import main
from tests.bench.systems import ROLES


@pytest.mark.slow  # two nodes, and a ledger to fill
def test_a_short_run_gives_a_row_for_each_point_with_what_each_role_costs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "backlog-10000", "--scale", "0.005", "--rounds", "1", "--json"]) == 0
    printed = capsys.readouterr()
    (row,) = json.loads(printed.out)
    assert (row["axis"], row["at"]) == ("backlog", "10000")
    assert 0 < row["ratio"] == pytest.approx(row["node"] / row["direct"])
    assert set(row["roles"]) == {"supervisor", *ROLES.values()}
    assert sum(one["user"] + one["system"] for one in row["roles"].values()) == pytest.approx(row["core_ms"])
    assert "ps3.15-basic" in printed.err
    assert "gate: hold" in printed.err
