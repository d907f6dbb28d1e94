"""The soak's own comparison finds what it is there for, and a run is what it says."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.soak.compare import Row, differences
from tests.soak.harvest import Arrived, Harvest
from tests.soak.stock import BROKEN, CUT_OFF, NOBODY, PLAIN, UNWANTED, Item, Stock, number_of
from tests.support import REPOSITORY, make_ct, wait_for

ITEM = Item(5, PLAIN, "ALPHA")
ROW = Row(ITEM.uid, "ALPHA", "delivered", None, "2.25.9", b"digest", {"steady": "delivered", "rude": "delivered"})
THERE = Arrived(1, {b"content"}, {5})
SINKS = {"steady": {"2.25.9": THERE}, "rude": {"2.25.9": THERE}}


def compared(
    *rows: Row, item: Item = ITEM, times: int = 1, digest: bytes = b"digest", **sinks: dict[str, Arrived]
) -> list[str]:
    return differences({item: times}, {item: True}, {item: digest}, rows, SINKS | sinks)


def test_what_fits_has_no_difference() -> None:
    assert compared(ROW) == []
    assert compared(ROW, ROW, times=2) == []
    assert compared(ROW, replace(ROW, outcome="excluded", replaced=None, deliveries={}), times=2) == []
    assert compared(replace(ROW, outcome="held", deliveries={"steady": "delivered", "rude": "held"})) == []
    assert compared(ROW, times=0) == [], "its answer was lost on the way"


@pytest.mark.parametrize(
    "found",
    [
        compared(),
        compared(ROW, times=2),
        compared(ROW, digest=b"another"),
        compared(ROW, replace(ROW, replaced="2.25.8", deliveries={})),
        compared(ROW, steady={}),
        compared(ROW, steady={"2.25.9": replace(THERE, numbers={6})}),
        compared(ROW, steady={"2.25.9": replace(THERE, digests={b"one", b"two"})}),
        compared(ROW, rude={"2.25.9": THERE, "2.25.8": THERE}),
        compared(replace(ROW, uid="1.2.3")),
        compared(replace(ROW, called="BETA")),
        compared(replace(ROW, outcome="in_flight", deliveries={"steady": "due"})),
        compared(replace(ROW, outcome="held", reason="internal", deliveries={})),
        compared(replace(ROW, outcome="excluded", deliveries={})),
        compared(ROW, item=replace(ITEM, kind=NOBODY)),
        compared(ROW, item=replace(ITEM, kind=BROKEN)),
        compared(ROW, item=replace(ITEM, kind=UNWANTED)),
        compared(ROW, item=replace(ITEM, kind=CUT_OFF)),
    ],
)
def test_what_does_not_fit_is_told_without_a_uid(found: list[str]) -> None:
    assert found
    assert not any(ITEM.uid in one or "2.25.9" in one for one in found)


def test_a_file_that_shows_identity_or_is_not_whole_is_told(tmp_path: Path) -> None:
    (path,) = make_ct(tmp_path / "sink", 1, rows=48)
    sink = Harvest("sink", tmp_path / "sink")
    sink.gather(everything=True)
    assert len(sink.differences) == 1, "its pixels are none of the soak's"
    path.write_bytes(Stock(tmp_path / "stock").file(ITEM))
    sink.gather(everything=True)
    assert sink.differences[1:] == ["sink: number 5 shows identity"]
    assert not path.exists(), "what was looked at makes room"


def test_an_instance_is_made_again_byte_by_byte(tmp_path: Path) -> None:
    stock = Stock(tmp_path / "stock")
    assert stock.file(ITEM) == stock.file(replace(ITEM))
    assert number_of(ITEM.uid) == ITEM.number
    assert stock.file(ITEM) != stock.file(replace(ITEM, number=11)), "of the same patient"


def run(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [REPOSITORY / "scripts/soak", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )


def left_over(folder: Path) -> list[str]:
    """The command lines of processes that were started with the folder, for whoever reads a failure."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            line = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


@pytest.mark.slow
def test_a_short_run_holds_and_leaves_nothing_behind(tmp_path: Path) -> None:
    process = run(tmp_path, "--minutes", "0.4", "--seed", "1")
    said, _ = process.communicate(timeout=110)
    assert process.returncode == 0, said
    assert re.search(r"acknowledged = delivered \+ .* holds; again with --seed 1", said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_run_that_is_interrupted_ends_all_that_it_started(tmp_path: Path) -> None:
    process = run(tmp_path, "--minutes", "5")
    wait_for(lambda: sum("storescp" in one for one in left_over(tmp_path)) >= 2, "it has begun")
    wait_for(lambda: any("serve" in one for one in left_over(tmp_path)) or list(tmp_path.glob("*/node.log")), "a node")
    process.send_signal(signal.SIGTERM)
    said: Any = process.communicate(timeout=100)[0]
    assert process.returncode == 130, said
    wait_for(lambda: not left_over(tmp_path), "nothing runs any more")
    assert list(tmp_path.iterdir()) == []
