"""The benchmark of the road measures, and notices what it must; how fast anything is, no test asks."""

from __future__ import annotations

import json

import pytest

from tests.bench.road import Bench, main
from tests.bench.systems import TOKEN


class Destination:
    """What arrived, as a benchmark asks for it."""

    def __init__(self, arrived: int, text: str) -> None:
        self._arrived = arrived
        self._text = text

    def arrived(self) -> int:
        return self._arrived

    def shows(self, token: str) -> bool:
        return token in self._text


def test_a_short_run_gives_a_ratio_and_loses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "small", "--scale", "0.005", "--rounds", "1", "--json"]) == 0
    printed = capsys.readouterr()
    (figure,) = json.loads(printed.out)
    assert figure["name"] == "small: node / direct"
    assert 0 < figure["value"] < 10
    assert "ps3.15-basic" in printed.err
    assert "gate: hold" in printed.err


@pytest.mark.parametrize(("arrived", "text", "complete"), [(3, "", True), (2, "", False), (3, f"x{TOKEN}", False)])
def test_a_lost_instance_or_a_planted_name_spoils_the_run(arrived: int, text: str, complete: bool) -> None:
    bench = Bench.__new__(Bench)
    bench.complete = True
    bench._check(Destination(arrived, text), 3, "node")
    assert bench.complete is complete
