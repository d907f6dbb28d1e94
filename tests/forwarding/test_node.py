"""The whole node and DCMTK's storescp: outages, restarts, rude destinations, and what a person does about them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from node.ledger.schema import instances
from tests.forwarding.support import PATIENT, ScriptedSCP
from tests.support import RunningNode, StoreSCP, make_ct, storescu, wait_for
from tests.thorough import slow

Make = Callable[..., Any]
ONE_LANE = {"associations": 1}
RECIPE = "FORMAT dicom\n%header\nREMOVE PatientName\n"


@pytest.fixture
def made() -> Iterator[Make]:
    """Remember what is to be ended after the test, whatever happens in it."""
    with contextlib.ExitStack() as stack:

        def remember(thing: Any) -> Any:
            stack.callback(thing.close if isinstance(thing, RunningNode) else thing.stop)
            return thing

        yield remember


def node_for(made: Make, folder: Path, destinations: dict[str, int], **each: Any) -> RunningNode:
    folder.mkdir(exist_ok=True)
    node: RunningNode = made(RunningNode(folder, destinations))
    for destination in node.config["destinations"].values():
        destination.update(each)
    node.write_config()
    return node


def send(node: RunningNode, files: list[Path]) -> None:
    done = storescu(node.port, *files)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Received Store Response (Success)") + done.stderr.count("(Success)") == len(files)


def without_uid(node: RunningNode) -> Path:
    """Give the node a recipe that leaves instances without their UID, so that none can be sent; return its path."""
    recipe = node.folder / "own.dicom"
    recipe.write_text(RECIPE + "REMOVE SOPInstanceUID\n")
    node.config["routes"][0] |= {"recipe": ["./own.dicom"], "gate": "report"}
    node.write_config()
    return recipe


def at(status: dict[str, Any], destination: str) -> dict[str, Any]:
    """What a status says of a destination, also before anything came for it."""
    nothing = {"delivered": 0, "waiting": 0, "held": 0, "next_try": None, "last_error": None}
    return status["destinations"].get(destination, nothing)


def clean_uids(node: RunningNode) -> list[str]:
    """The UIDs under which instances leave, in order of reception."""
    with node.ledger() as ledger, ledger.database.read() as connection:
        query = select(instances.c.clean_sop_instance_uid).order_by(instances.c.seq)
        return [str(uid) for uid in connection.execute(query).scalars()]


def test_a_destination_that_is_down_keeps_nobody_waiting_and_gets_all_of_it_later_once_in_order(
    tmp_path: Path, made: Make
) -> None:
    up = made(StoreSCP(tmp_path / "up").start())
    down = made(ScriptedSCP())
    node = node_for(made, tmp_path / "node", {"up": up.port, "down": down.port}, **ONE_LANE)
    node.config["node"]["workers"] = 1
    node.write_config()
    node.start()
    send(node, make_ct(tmp_path / "ct", 12))
    node.wait_status(lambda status: at(status, "up")["delivered"] == 12, "the other gets everything")
    found = node.wait_status(lambda status: at(status, "down")["last_error"], "the error")["destinations"]
    assert found["down"]["waiting"] == 12
    assert found["down"]["next_try"] is not None
    assert "no connection" in found["down"]["last_error"]
    assert node.stop() == 0
    node.start()
    assert node.status()["destinations"]["down"]["waiting"] == 12, "a restart changes nothing"
    assert len(up.uids()) == 12
    expected = clean_uids(node)
    down.start()
    node.wait_delivered(12)
    assert down.uids() == expected, "each once, in order of reception"
    assert sorted(up.uids()) == sorted(expected)
    wait_for(lambda: sum(node.spool_files().values()) == 0, "the rest is removed")


@pytest.mark.parametrize(
    "options",
    [
        ("--refuse",),
        *slow(("--abort-during",)),
        ("--abort-after",),
        *slow(("--sleep-during", "5")),
        ("--sleep-after", "5"),
    ],
    ids=lambda options: options[0].strip("-"),
)
def test_a_rude_destination_loses_nothing(tmp_path: Path, made: Make, options: tuple[str, ...]) -> None:
    rude = made(StoreSCP(tmp_path / "rude", options=("+B", *options)).start())
    # Less than one sleeps, but enough for the good one after it, whose answers are not to be late.
    response = "2s" if "5" in options else "30s"
    timeout = PATIENT | {"response": response}
    node = node_for(made, tmp_path / "node", {"dest": rude.port}, timeout=timeout, **ONE_LANE).start()
    send(node, make_ct(tmp_path / "ct", 4))
    found = node.wait_status(lambda status: at(status, "dest")["last_error"], "the trouble is shown")
    assert found["in_flight"] > 0, "one that sleeps after its answer has confirmed what it answered"
    assert node.held() == []
    rude.stop()
    node.wait_status(lambda status: "no connection" in (at(status, "dest")["last_error"] or ""), "it is gone")
    with node.ledger() as ledger, ledger.database.read() as connection:
        query = select(instances.c.clean_sop_instance_uid).where(instances.c.outcome == "delivered")
        confirmed = set(connection.execute(query).scalars())
    good = made(StoreSCP(tmp_path / "good", port=rude.port).start())
    node.wait_delivered(4)
    assert sorted(good.uids()) == sorted(set(clean_uids(node)) - confirmed), "what was confirmed is not sent again"


def test_pause_and_resume_while_serving(tmp_path: Path, made: Make) -> None:
    one, two = made(StoreSCP(tmp_path / "one").start()), made(StoreSCP(tmp_path / "two").start())
    node = node_for(made, tmp_path / "node", {"one": one.port, "two": two.port}).start()
    assert node.cli("pause", "one").returncode == 0
    assert node.cli("pause", "nowhere").returncode == 1
    wait_for(lambda: "destination-paused" in node.log(), "the forwarder has seen it")
    send(node, make_ct(tmp_path / "ct", 3))
    node.wait_status(lambda status: at(status, "two")["delivered"] == 3, "the other goes on")
    done = node.cli("status", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {"received", "in_flight", "delivered", "held", "excluded", "discarded", "duplicates"} <= set(found)
    assert found["received"] == found["in_flight"] == 3
    assert found["destinations"]["one"]["waiting"] == 3
    assert found["destinations"]["one"]["paused"] is True
    assert {"delivered", "waiting", "held", "next_try", "last_error"} <= set(found["destinations"]["one"])
    assert "paused by command" in node.cli("status").stdout
    assert one.uids() == []
    node.stop()
    node.start()
    wait_for(lambda: node.log().count("destination-paused") >= 2, "a restart keeps the pause")
    assert node.cli("resume", "one").returncode == 0
    node.wait_delivered(3)
    assert len(one.uids()) == len(two.uids()) == 3


def test_resume_sends_at_once_what_would_wait_for_long(tmp_path: Path, made: Make) -> None:
    busy = [True]
    scp = made(ScriptedSCP(lambda _uid, _nth: 0xA700 if busy[0] else 0).start())
    node = node_for(made, tmp_path / "node", {"dest": scp.port}, retry={"first": "1h", "cap": "2h"}).start()
    send(node, make_ct(tmp_path / "ct", 2))
    found = node.wait_status(lambda status: at(status, "dest")["last_error"], "it is refused")
    assert found["destinations"]["dest"]["last_error"] == "status A700H"
    wait_for(lambda: len(scp.got) == 2, "both are refused")
    busy[0] = False
    assert node.cli("resume", "dest").returncode == 0
    node.wait_delivered(2)


def test_an_instance_held_at_cleaning_is_cleaned_again_after_the_cause_is_mended(tmp_path: Path, made: Make) -> None:
    archive = made(StoreSCP(tmp_path / "archive").start())
    node = node_for(made, tmp_path / "node", {"dest": archive.port})
    recipe = without_uid(node)
    node.start()
    send(node, make_ct(tmp_path / "ct", 2))
    node.wait_status(lambda status: status["held"] == 2, "both are held")
    done = node.cli("held", "list", "--json")
    assert done.returncode == 0
    held = json.loads(done.stdout)
    assert [set(entry) for entry in held] == [
        {"id", "since", "route", "destination", "reason", "detail", "overdue"}
    ] * 2
    assert {(entry["reason"], entry["destination"], entry["route"]) for entry in held} == {
        ("action-failed", None, "research")
    }
    assert "MRN-0001" not in done.stdout
    shown = json.loads(node.cli("held", "show", "--json", held[0]["id"]).stdout)
    assert shown["state"] == "held"
    assert [entry["event"] for entry in shown["events"]] == ["received", "held"]

    with node.ledger() as ledger:
        assert ledger.release(held[0]["id"])
    wait_for(lambda: len(node.held()) == 2, "nothing is mended: held again")
    assert archive.uids() == []

    recipe.write_text(RECIPE + "REPLACE PatientID SUBJECT-7\n")
    node.stop()
    node.start()
    done = node.cli("held", "release", "--all", "--reason", "action-failed")
    assert (done.returncode, done.stdout) == (0, "2 released\n")
    node.wait_delivered(2)
    assert {str(ds.PatientID) for ds in archive.datasets()} == {"SUBJECT-7"}
    assert node.held() == []


def test_a_refused_delivery_is_released_and_another_discarded(tmp_path: Path, made: Make) -> None:
    refusing = [True]
    scp = made(ScriptedSCP(lambda _uid, _nth: 0xC000 if refusing[0] else 0).start())
    node = node_for(
        made, tmp_path / "node", {"dest": scp.port}, retry={"first": "50ms", "cap": "50ms", "refused_tries": 2}
    ).start()
    send(node, make_ct(tmp_path / "ct", 2))
    node.wait_status(lambda status: status["held"] == 2, "both are held")
    held = json.loads(node.cli("held", "list", "--json").stdout)
    assert {(entry["reason"], entry["destination"]) for entry in held} == {("refused", "dest")}
    first, second = (entry["id"] for entry in held)

    assert node.cli("held", "discard", first).returncode == 2, "not without --yes"
    assert len(node.held()) == 2
    done = node.cli("held", "discard", first, "--yes")
    assert (done.returncode, done.stdout) == (0, "1 discarded\n")
    wait_for(
        lambda: node.spool_files() == {"incoming": 0, "originals": 1, "cleaned": 0}, "what nobody needs is removed"
    )
    assert node.status()["discarded"] == 1
    with node.ledger() as ledger:
        shown = ledger.held_detail(first)
    assert shown is not None
    assert (shown["outcome"], shown["deliveries"][0]["state"]) == ("discarded", "discarded")
    assert node.cli("held", "discard", first, "--yes").returncode == 1, "it is gone already"
    with node.ledger() as ledger:
        assert not ledger.release(first)

    refusing[0] = False
    assert node.cli("held", "release", second).returncode == 0
    status = node.wait_delivered(1)
    assert (status["received"], status["delivered"], status["discarded"]) == (2, 1, 1)
    wait_for(
        lambda: node.spool_files() == {"incoming": 0, "originals": 0, "cleaned": 0}, "what nobody needs is removed"
    )


def test_a_discarded_instance_that_could_not_be_cleaned_leaves_no_file(tmp_path: Path, made: Make) -> None:
    node = node_for(made, tmp_path / "node", {"dest": 9})
    without_uid(node)
    node.start()
    send(node, make_ct(tmp_path / "ct", 1))
    node.wait_status(lambda status: status["held"] == 1, "it is held")
    assert node.spool_files()["originals"] == 1
    done = node.cli("held", "discard", "--all", "--reason", "action-failed", "--yes")
    assert (done.returncode, done.stdout) == (0, "1 discarded\n")
    wait_for(
        lambda: node.spool_files() == {"incoming": 0, "originals": 0, "cleaned": 0}, "what nobody needs is removed"
    )
    status = node.status()
    assert (status["received"], status["discarded"]) == (1, 1)


@pytest.mark.slow
def test_what_waits_for_a_destination_that_is_gone_is_held_and_goes_when_it_is_back(tmp_path: Path, made: Make) -> None:
    stays, gone = made(StoreSCP(tmp_path / "stays").start()), made(StoreSCP(tmp_path / "gone"))
    node = node_for(made, tmp_path / "node", {"stays": stays.port, "gone": gone.port}).start()
    send(node, make_ct(tmp_path / "ct", 2))
    node.wait_status(lambda status: at(status, "stays")["delivered"] == 2, "one has everything")
    node.stop()
    removed = node.config["destinations"].pop("gone")
    node.config["routes"][0]["to"] = ["stays"]
    node.write_config()
    node.start()
    node.wait_status(lambda status: status["held"] == 2, "a person can see it")
    assert {(entry["reason"], entry["destination"]) for entry in node.held()} == {("destination-gone", "gone")}
    assert node.status()["destinations"]["gone"]["held"] == 2
    node.config["destinations"]["gone"] = removed
    node.config["routes"][0]["to"] = ["stays", "gone"]
    node.write_config()
    assert node.cli("reload").returncode == 0
    wait_for(lambda: '"reloaded"' in node.log(), "the configuration is taken")
    gone.start()
    assert node.cli("held", "release", "--all", "--reason", "destination-gone").returncode == 0
    node.wait_delivered(2)
    assert sorted(gone.uids()) == sorted(stays.uids()) == sorted(clean_uids(node))
