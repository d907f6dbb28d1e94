"""The benchmark of the road measures, and notices what it must; how fast anything is, no test asks."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.bench.rig import Rig
from tests.bench.road import main
from tests.bench.systems import ROLES, TOKEN


class Destination:
    """What arrived, as a benchmark asks for it."""

    def __init__(self, arrived: int, text: str) -> None:
        self._arrived = arrived
        self._text = text

    def arrived(self) -> int:
        return self._arrived

    def shows(self, token: str) -> bool:
        return token in self._text


@pytest.mark.slow
def test_a_short_run_gives_a_ratio_and_loses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "small", "--scale", "0.005", "--rounds", "1", "--json"]) == 0
    printed = capsys.readouterr()
    figures = {figure["name"]: figure["value"] for figure in json.loads(printed.out)}
    assert 0 < figures.pop("small: node / direct") < 10
    assert set(figures) == {f"small: {role}, core-ms" for role in ("supervisor", *ROLES.values())}
    assert sum(figures.values()) > 0
    assert "ps3.15-basic" in printed.err
    assert "gate: hold" in printed.err


@pytest.mark.parametrize(("arrived", "text", "complete"), [(3, "", True), (2, "", False), (3, f"x{TOKEN}", False)])
def test_a_lost_instance_or_a_planted_name_spoils_the_run(
    tmp_path: Path, arrived: int, text: str, complete: bool
) -> None:
    rig = Rig(tmp_path, 0, ExitStack())
    rig.check(Destination(arrived, text), 3, "node")
    assert rig.complete is complete
