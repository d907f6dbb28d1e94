"""`deid-node selftest`: a route that works passes, a broken one fails and says where, and the node stays untouched."""

from __future__ import annotations

import json
from typing import Any

import pytest

from node.probe import make_study
from node.probe.keeping import Keeping
from node.probe.leaking import stray, tokens
from tests.profile.support import profile
from tests.support import REPOSITORY, RunningNode, free_port

RESEARCH = (REPOSITORY / "recipes/research.dicom").read_text(encoding="utf-8")
KEEPS_THE_NAME = RESEARCH.replace("Z      (0010,0010)", "K      (0010,0010)").replace(
    "ADD PatientName func:pseudonym", ""
)
KEEPS_THE_STUDY = "FORMAT dicom\n%header\nKEEP StudyInstanceUID\n"
PASSES_ON = "FORMAT dicom\n%header\nREPLACE PatientID func:pseudonym\n"


def route(name: str, *recipe: str, to: str = "archive", **options: Any) -> dict[str, Any]:
    return {"name": name, "recipe": list(recipe), "to": [to], "from": {"called_ae": [name.upper()]}, **options}


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> RunningNode:
    """A node that is not started."""
    folder = tmp_path_factory.mktemp("selftest")
    (folder / "name.dicom").write_text(KEEPS_THE_NAME, encoding="utf-8")
    (folder / "passes.dicom").write_text(PASSES_ON, encoding="utf-8")
    (folder / "study.dicom").write_text(KEEPS_THE_STUDY, encoding="utf-8")
    good = route("good", "research", exclude=["equals Modality SR"])
    good["from"] |= {"calling_ae": ["CT*"], "address": ["10.1.0.0/16"]}
    node = RunningNode(
        folder,
        {"archive": free_port(), "hasty": free_port()},
        routes=[
            good,
            route("weak", "./name.dicom", "./study.dicom", gate="report"),
            route("gated", "./passes.dicom"),
            route("hasty", "./passes.dicom", gate="report", to="hasty"),
            route("paired", "research", project="good", mapping="required"),
        ],
    )
    node.config["destinations"]["hasty"]["timeout"]["response"] = "0.001ms"
    node.write_config()
    return node


def checks(report: dict[str, Any]) -> dict[str, Any]:
    return {check["name"]: check for check in report["checks"]}


def failed(report: dict[str, Any]) -> set[str]:
    return {check["name"] for check in report["checks"] if check["ok"] is False}


def that_works_passes_and_tells_what_is_excluded(result: dict[str, Any]) -> None:
    good = result["good"]
    assert good["verdict"] == "passed"
    assert (good["sent"], good["acknowledged"], good["arrived"]) == (8, 8, 7)
    assert {name: check["ok"] for name, check in checks(good).items()} == {
        "sent": True,
        "acknowledged": True,
        "arrived": True,
        "again": True,
        "uids": True,
        "references": True,
        "tokens": True,
        "pixels": True,
        "dates": True,
    }
    assert [(kept["reason"], kept["meant"], kept["instances"]) for kept in good["kept"]] == [("rule", True, 1)]


def whose_mapping_is_demanded_is_tried_with_a_pair(result: dict[str, Any]) -> None:
    paired = result["paired"]
    assert (paired["verdict"], paired["arrived"], paired["kept"]) == ("passed", 8, [])


def that_lets_a_name_and_an_original_uid_stay_fails_with_their_tags(result: dict[str, Any]) -> None:
    assert result["weak"]["verdict"] == "failed"
    assert failed(result["weak"]) == {"tokens"}
    text = checks(result["weak"])["tokens"]["text"]
    assert "Patient's Name in (0010,0010)" in text
    assert "Study Instance UID in (0020,000D)" in text


def that_the_gate_holds_fails_with_its_reason(result: dict[str, Any]) -> None:
    assert failed(result["gated"]) == {"arrived"}
    assert "8 of 8 not confirmed by archive" in checks(result["gated"])["arrived"]["text"]
    assert {(kept["reason"], kept["meant"]) for kept in result["gated"]["kept"]} == {("leak", False)}


def whose_destination_cannot_answer_in_its_time_fails(result: dict[str, Any]) -> None:
    assert "arrived" in failed(result["hasty"])
    assert "of 8 not confirmed by hasty" in checks(result["hasty"])["arrived"]["text"]


def test_each_route_is_judged_by_what_it_does_and_no_value_is_told_and_the_node_itself_is_untouched(
    configured: RunningNode,
) -> None:
    # All that arrives ends a run early: only a route that keeps something on its way uses its time up.
    runs = (
        ("--route", "good", "--route", "weak", "--route", "gated", "--route", "paired"),
        ("--route", "hasty", "--timeout", "4s"),
    )
    said, routes = "", {}
    for arguments in runs:
        done = configured.cli("selftest", "--json", *arguments)
        assert done.returncode == 1, done.stderr
        found = json.loads(done.stdout)
        assert not found["passed"]
        routes |= {one["route"]: one for one in found["routes"]}
        said += done.stdout
    that_works_passes_and_tells_what_is_excluded(routes)
    whose_mapping_is_demanded_is_tried_with_a_pair(routes)
    that_lets_a_name_and_an_original_uid_stay_fails_with_their_tags(routes)
    that_the_gate_holds_fails_with_its_reason(routes)
    whose_destination_cannot_answer_in_its_time_fails(routes)
    assert "1.2.826.0.1.3680043.8.498" not in said
    assert not configured.data.exists()


def test_a_route_that_is_not_there_is_named(configured: RunningNode) -> None:
    done = configured.cli("selftest", "--route", "nobody")
    assert done.returncode == 1
    assert "no route 'nobody'" in done.stderr


def test_whatever_is_planted_is_found_in_each_of_its_writings() -> None:
    study = make_study()
    nothing = Keeping(profile())
    for instance in study.instances:
        leaks, kept = tokens(study.garden, [(instance.encoded, instance.dataset)], nothing)
        assert leaks, instance.label
        assert not kept, instance.label
    planted = study.garden.planted
    foreign = next(text for text in planted if not text.isascii() and text[0] in "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞ")
    assert all(stray(study.garden, [foreign.encode(encoding)]) for encoding in ("latin-1", "utf-8", "utf-16-le"))
    word = next(text for text in planted if text.startswith("Q"))
    assert all(stray(study.garden, [some]) for some in (word.encode(), word.lower().encode(), word.encode("utf-16-le")))
    assert not stray(study.garden, [b"", b"nothing of it", b"QQQQQQQQQQ"])


def test_every_instance_of_the_study_says_where_each_thing_was_planted() -> None:
    study = make_study()
    seen = set()
    for instance in study.instances:
        seen |= {planted for planted in study.garden.planted.values() if planted.text.encode() in instance.encoded}
    ascii_ones = {planted for planted in study.garden.planted.values() if planted.text.isascii()}
    assert ascii_ones <= seen
