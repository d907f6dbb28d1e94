"""What somebody is told: of a disk that fills or fails, of what is held for long; and what `retention` may say."""

from __future__ import annotations

import errno
import json
import logging
import os
import threading
import time
from pathlib import Path

import pytest

import node.disk as module
from node.cli import run
from node.config import Config, load_config
from node.disk import Watch, look, marks, seconds_to_full
from node.errors import ConfigError, HoldReason
from node.housekeeping import Keeper, Retention
from node.ledger.alerts import alerts
from node.ledger.cleaning import CleaningLedger
from node.ledger.database import Database
from node.ledger.operation import Ledger
from node.ledger.results import Held
from node.ledger.seen import damage, is_unchecked
from node.opening import make_spool, open_node
from node.overview import with_age
from node.shared import Stop
from tests.config.support import GOOD, write
from tests.ledger.support import fill, receive, sql
from tests.support import wait_for

GIB = 1 << 30
MIB = 1 << 20
DAY = 86400.0


def load(folder: Path, more: str = "", node: str = "") -> Config:
    return load_config(write(folder, GOOD.replace("routes:", f"  {node}\nroutes:" if node else "routes:") + more))


@pytest.mark.parametrize(
    ("samples", "seconds"),
    [
        ([], None),
        ([(0, 50)], None),
        ([(0, 50), (5, 40)], None),  # too short to tell
        ([(0, 50), (100, 50)], None),
        ([(0, 50), (100, 60)], None),
        ([(0, 50), (100, 40)], 300),  # 30 above the floor, 10 in 100 seconds
        ([(0, 50), (50, 20), (100, 40)], 300),
        ([(0, 50), (100, 10)], 0),
        ([(0, 50.9), (600, 50)], None),  # less than a MiB comes and goes by itself
        ([(0, 10**9 + 2), (600, 10**9)], None),  # in thousands of years
    ],
)
def test_the_time_to_full_follows_from_the_rate_of_the_last_minutes(
    samples: list[tuple[float, float]], seconds: float | None
) -> None:
    assert seconds_to_full([(at, int(free * MIB)) for at, free in samples], 10 * MIB) == seconds


def test_the_mark_lies_in_front_of_the_floor(tmp_path: Path) -> None:
    assert marks(load(tmp_path), 100 * GIB) == (GIB, 3 * GIB)
    assert marks(load(tmp_path, node="warn_free_disk: 10 %"), 100 * GIB) == (GIB, 10 * GIB)
    assert marks(load(tmp_path, node="warn_free_disk: 5 MiB"), 100 * GIB) == (GIB, GIB)


def test_a_disk_that_fills_and_one_that_fails_are_told_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = load(tmp_path, node="min_free_disk: 1 KiB")
    spool = make_spool(config)
    spool.prepare()
    free = os.statvfs(spool.root).f_bavail * os.statvfs(spool.root).f_frsize
    now = time.time()
    told = {"at": now, "state": "ok", "since": now - 50, "samples": [[now - 100, free + 100 * (free // 1000)]]}
    (spool.root / "disk.json").write_text(json.dumps(told))
    found = look(config)
    assert found.state == "ok"
    assert found.since == now - 50
    assert found.seconds_to_full == pytest.approx(1000, rel=0.5)
    (spool.root / "disk.json").write_text(json.dumps(told | {"at": now - 100}))
    assert look(config).seconds_to_full is None, "of a node that does not run any more"

    def refuses(_file: int) -> None:
        raise OSError(errno.EIO, "of the disk")

    monkeypatch.setattr(module.os, "fdatasync", refuses)
    assert look(config).state == "failing"
    watch = Watch(config, spool.root)
    with caplog.at_level(logging.INFO, "node.disk"):
        watch.look()
        monkeypatch.undo()
        watch._looked = 0.0
        watch.look()
    assert [record.getMessage() for record in caplog.records] == ["disk-failing", "disk-well"]
    assert not list(spool.incoming.iterdir()), "a look leaves nothing"


def test_check_warns_of_little_room_before_there_is_too_little(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = load(tmp_path, node="warn_free_disk: 99.9 %\n  min_free_disk: 1 KiB")
    run(["check", "--json", "--config", str(config.file)])
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert "less than warn_free_disk is free." in {one["text"] for one in findings}


def test_what_is_held_for_long_is_told_again_and_again_and_never_deleted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = load(tmp_path, "retention: { held: 2d, events: 1d, maps: 1d }\n", "min_free_disk: 1 KiB")
    spool = make_spool(config)
    open_node(config, spool)
    database = Database(config.node.ledger)
    names = [receive(database, uid=f"1.2.{number}") for number in range(2)]
    ledger = CleaningLedger(database, "c")
    ledger.settle([Held(one, HoldReason.UNPARSABLE) for one in ledger.claim(2)])
    spool.original(names[0]).write_bytes(b"identified")
    assert [one["kind"] for one in alerts(database, config)] == []
    sql(database, "UPDATE instances SET changed_at = changed_at - ? WHERE seq = 1", 3 * DAY)
    (alert,) = alerts(database, config)
    assert alert["kind"] == "held-long"
    assert alert["text"].startswith("1 held for longer than retention.held")
    assert [one["overdue"] for one in with_age(Ledger(database).held(), config.retention.held)] == [True, False]
    assert not any(one["overdue"] for one in with_age(Ledger(database).held(), None))
    stop = Stop()
    keeper = Keeper(config, spool, Database(config.node.ledger), stop)
    with caplog.at_level(logging.INFO, "node.housekeeping"):
        thread = threading.Thread(target=keeper.run)
        thread.start()
        wait_for(lambda: caplog.records, "it is told")
        stop.set()
        thread.join()
    assert [record.getMessage() for record in caplog.records] == ["held-long"]
    Retention(config, spool, database).round(time.time() + 3650 * DAY)
    assert spool.original(names[0]).exists()
    assert sql(database, "SELECT count(*) FROM instances WHERE sop_instance_uid <> ''") == [(2,)]
    assert sql(database, "SELECT count(*) FROM events") == [(4,)]
    database.close()


@pytest.mark.parametrize("whole", [True, False])
def test_the_keeper_looks_at_the_pages_of_the_ledger_that_the_start_had_no_time_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, whole: bool
) -> None:
    config = load(tmp_path)
    spool = make_spool(config)
    open_node(config, spool)
    database, stop = Database(config.node.ledger), Stop()
    fill(database.path, 3000, names="demo research archive")
    assert damage(database, spool.root, seconds=0.0) == "", "what could be seen of it was well"
    assert is_unchecked(spool.root)
    database.close()
    if not whole:
        os.truncate(database.path, database.path.stat().st_size // 2 // 4096 * 4096)
    with caplog.at_level(logging.ERROR, "node.housekeeping"):
        thread = threading.Thread(target=Keeper(config, spool, Database(config.node.ledger), stop).run)
        thread.start()
        wait_for(lambda: not is_unchecked(spool.root) or database.damage_seen(), "the pages were looked at")
        stop.set()
        thread.join()
    assert (database.damage_seen() is None) == (not is_unchecked(spool.root)) == whole
    assert ("ledger-damaged" in [record.getMessage() for record in caplog.records]) != whole
    database.close()


def test_by_default_originals_go_at_once_and_all_else_stays(tmp_path: Path) -> None:
    ages = load(tmp_path).retention
    assert (ages.originals, ages.held, ages.events, ages.maps) == (0.0, None, None, None)
    ages = load(tmp_path, "retention: { originals: 0, held: forever, events: 30d, maps: 400d }\n").retention
    assert (ages.originals, ages.held, ages.events, ages.maps) == (0.0, None, 30 * DAY, 400)


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("retention: { originals: forever }\n", "expected a duration"),
        ("retention: { originals: 5 }\n", "expected a duration"),
        ("retention: { held: 0s }\n", "more than zero; or forever"),
        ("retention: { maps: 0d }\n", "at least 1d"),
        ("retention: { maps: 12h }\n", "whole days"),
        ("projects: { research: { key_file: var/secret.key } }\n", "this file is the node's secret"),
        ("projects: { research: { key_file: var/spool/key } }\n", "must not lie in the spool"),
    ],
)
def test_what_retention_cannot_mean_is_refused(tmp_path: Path, more: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        load(tmp_path, more)


def test_originals_cannot_both_go_before_their_delivery_and_stay_after_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"retention\.originals"):
        load(tmp_path, "retention: { originals: 1d }\n", "originals: until-cleaned")
