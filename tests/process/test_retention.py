"""Originals that stay for a time once they are delivered: no crash, no sweep and no rebuild brings them back."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from node.config import load_config
from node.housekeeping import Retention
from node.ledger.database import Database
from node.ledger.erasing import erased
from node.opening import make_spool
from node.sweeper import Sweeper
from tests.crash.support import Deadly, Sender, data_set_digest, tiny_cts
from tests.support import StoreSCP, make_ct, pages_in_memory, wait_for

HOUR = 3600.0


def retained(node: Deadly) -> list[Path]:
    return sorted(node.spool.glob("retained/*/*.dcm"))


def test_what_is_delivered_leaves_the_memory_for_what_comes_next(node: Deadly, scp: StoreSCP, tmp_path: Path) -> None:
    node.config["retention"] = {"originals": "1h"}
    node.write_config()
    node.start()
    Sender(node.port).send(make_ct(tmp_path / "in", 20, rows=256))
    node.wait_delivered(20)
    wait_for(lambda: len(retained(node)) == 20, "they are put aside")
    # The kernel lets go of what was sent when it likes: now and then a file stays, until something is written over it.
    assert sum(not pages_in_memory(path) for path in retained(node)) >= 10


def test_delivered_originals_stay_for_their_time_and_then_go_with_a_record(
    node: Deadly, scp: StoreSCP, tmp_path: Path
) -> None:
    node.config["retention"] = {"originals": "1h"}
    node.write_config()
    node.start()
    files = tiny_cts(tmp_path / "in", 3)
    Sender(node.port).send(files)
    node.wait_delivered(3)
    wait_for(lambda: len(retained(node)) == 3, "they are put aside")
    assert sum(node.spool_files().values()) == 0
    assert {data_set_digest(path) for path in retained(node)} == {data_set_digest(path) for path in files}
    assert node.stop() == 0
    assert '"left"' in (node.spool / "ledger.json").read_text(), "the next start need not look at every page"

    house = Database(f"sqlite:///{node.data / 'ledger.db'}")
    config = load_config(node.config_path)
    spool = make_spool(config)
    # A crash between the delivery and its original's way: the sweeper goes on, and counts from the delivery on.
    (first, *others) = retained(node)
    shutil.move(first, spool.original(first.stem))
    assert Sweeper(config, spool, house).sweep(grace=0.0).retained == 1
    assert abs(spool.retained_file(first.stem).stat().st_mtime - others[0].stat().st_mtime) < 60
    retention = Retention(config, spool, house)
    assert retention.round(time.time() + 0.9 * HOUR) == {"originals": 0}
    assert len(retained(node)) == 3
    assert erased(house) == {}

    # With a new ledger they are nobody's work: not received, not waiting; and their time goes on.
    house.close()
    for part in node.data.glob("ledger.db*"):
        part.unlink()
    assert node.cli("rebuild", "--json", check=True).stdout.count('"originals": 0') == 1
    assert len(retained(node)) == 3
    retention = Retention(config, spool, Database(config.node.ledger))
    assert retention.round(time.time() + 1.1 * HOUR) == {"originals": 3}
    assert retained(node) == []
    assert erased(retention.database) == {"originals": 3}
    retention.database.close()


@pytest.mark.parametrize("as_files", [pytest.param(True, marks=pytest.mark.slow), False])
def test_an_original_stays_where_it_is_while_a_delivery_needs_it_and_goes_at_once_when_it_is_discarded(
    node: Deadly, scp: StoreSCP, tmp_path: Path, as_files: bool
) -> None:
    scp.stop()
    node.config["retention"] = {"originals": "1h"}
    node.config["routes"][0]["recipe"] = ["./masking.dicom" if as_files else "research"]
    filters = "FORMAT dicom\n%filter graylist\nLABEL corner\nequals Modality CT\ncoordinates 0,0,4,4\n%header\n"
    (node.folder / "masking.dicom").write_text(filters + "REPLACE PatientID func:pseudonym\n")
    node.config["routes"][0]["gate"] = "report"
    node.write_config()
    node.start()
    Sender(node.port).send(tiny_cts(tmp_path / "in", 2))
    node.wait_status(lambda s: s["routes"].get("research", {}).get("cleaned") == 2, "they are cleaned")
    assert node.stop() == 0
    assert node.spool_files() == {"incoming": 0, "originals": 2, "cleaned": 2 if as_files else 0}
    config = load_config(node.config_path)
    house = Database(config.node.ledger)
    spool = make_spool(config)
    Sweeper(config, spool, house).sweep(grace=0.0)
    assert node.spool_files()["originals"] == 2
    with house.write(durable=True) as connection:
        connection.driver.execute("UPDATE deliveries SET state = 'held', reason = 'refused' WHERE instance = 1")
    house.close()
    (held,) = node.held()
    assert node.cli("held", "discard", "--yes", held["id"]).returncode == 0
    assert node.spool_files()["originals"] == 1
    scp.start()
    node.start()
    node.wait_status(lambda s: s["delivered"] == 1, "the other one arrives")
    wait_for(lambda: len(retained(node)) == 1, "it is put aside")
    wait_for(lambda: sum(node.spool_files().values()) == 0, "nothing else stays")


def test_a_running_node_lets_originals_go_by_itself(node: Deadly, tmp_path: Path) -> None:
    node.config["retention"] = {"originals": "500ms"}
    node.write_config()
    node.start()
    Sender(node.port).send(tiny_cts(tmp_path / "in", 2))
    node.wait_delivered(2)
    database = Database(f"sqlite:///{node.data / 'ledger.db'}")
    wait_for(lambda: erased(database) == {"originals": 2}, "they have gone, and the ledger says so")
    database.close()
    assert retained(node) == []
    wait_for(lambda: '"erased"' in node.log(), "and so does the log")
