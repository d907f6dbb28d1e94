"""Receipts: what a destination has of a study, signed, without identity, checked with the public key alone."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from node.cli import run
from node.forwarder.body import opened
from node.instances import pieces
from node.receipt import Signer, problems, read_envelopes
from tests.completeness.support import FollowedSite, burned_in
from tests.drills.support import image

ORIGINALS = ("MRN-1", "PLANTED", "1.2.7", "SCU")


def sent_bytes(site: FollowedSite) -> dict[str, bytes]:
    """The data sets that are due, as they go over the wire, by SOP Instance UID; then they are delivered."""
    found = {}
    for due in site.due(owner="look"):
        body = opened(site.spool, due)
        found[due.sop_instance_uid] = b"".join(pieces(body.segments, body.file))
        body.close()
    site.sql("UPDATE deliveries SET lease_owner = NULL")
    site.deliver("a")
    return found


def printed(site: FollowedSite, capsys: Any, study: str = "1.2.7") -> dict[str, Any]:
    assert site.cli(capsys, "completeness", "receipt", study) == 0, site.said
    return dict(json.loads(site.said))


@pytest.mark.parametrize("originals", ["until-delivered", "until-cleaned"])
def test_a_receipt_has_the_hash_of_each_instance_as_it_was_sent_and_nothing_of_an_original(
    tmp_path: Path, originals: str, capsys: pytest.CaptureFixture[str]
) -> None:
    site = FollowedSite(tmp_path)
    site.cleaner.cleaning._derives = originals == "until-delivered"
    for number in range(3):
        ds = image()
        ds.BitsAllocated = 8
        ds.add_new(0x7FE00010, "OB", bytes([number]) * 100_000)
        site.come(ds)
    sent = sent_bytes(site)
    site.pass_time()
    found = printed(site, capsys)["receipt"]
    (series,) = found["series"]
    hashes = {one["sop_instance_uid"]: one["sha256"] for one in series["instances"]}
    assert hashes == {uid: hashlib.sha256(data).hexdigest() for uid, data in sent.items()}
    assert not any(original in json.dumps(found) for original in ORIGINALS)
    assert (found["destination"], found["counts"]["delivered"], found["confirmed"]) == ("a", 3, None)
    assert found["recipes"] == [site.sql("SELECT DISTINCT recipe_hash FROM instances")[0][0]]
    assert found["previous"] == ""
    site.database.close()


def test_no_receipt_is_written_before_all_that_was_to_go_is_there(
    site: FollowedSite, capsys: pytest.CaptureFixture[str]
) -> None:
    site.come(image())
    held = site.come(burned_in())
    site.deliver("a")
    site.pass_time()
    assert site.cli(capsys, "completeness", "receipt", "1.2.7") == 1
    assert site.cli(capsys, "held", "discard", held, "--yes") == 0
    site.pass_time()
    assert printed(site, capsys)["receipt"]["counts"] == {
        "received": 2,
        "expected": None,
        "excluded": 0,
        "discarded": 1,
        "delivered": 1,
    }


def test_a_late_instance_gives_a_new_receipt_that_names_the_one_it_replaces(
    site: FollowedSite, capsys: pytest.CaptureFixture[str]
) -> None:
    site.come(image())
    site.deliver("a")
    site.pass_time()
    first = printed(site, capsys)["receipt"]
    site.sql("UPDATE studies SET due_at = 0")
    site.pass_time()
    assert site.sql("SELECT count(*) FROM receipts") == [(1,)], "nothing is new"
    site.come(image(study="1.2.8", patient="MRN-2"))
    site.come(image())
    site.deliver("a")
    site.pass_time()
    third = printed(site, capsys)["receipt"]
    assert (third["replaces"], third["counts"]["delivered"]) == (first["number"], 2)
    assert sorted(row[0] for row in site.sql("SELECT number FROM receipts")) == [1, 2, 3]
    shown = site.shown(capsys, "1.2.7")["receipts"]
    assert [(one["number"], one["replaces"]) for one in shown] == [(1, None), (third["number"], 1)]


def test_each_destination_has_receipts_of_its_own(site: FollowedSite, capsys: pytest.CaptureFixture[str]) -> None:
    site.come(image(), "r2")
    site.deliver("a")
    site.pass_time()
    assert printed(site, capsys)["receipt"]["destination"] == "a"
    site.deliver("b")
    site.pass_time()
    assert site.cli(capsys, "completeness", "receipt", "1.2.7") == 2, "there are two now"
    assert site.cli(capsys, "completeness", "receipt", "1.2.7", "--destination", "b") == 0
    assert json.loads(site.said)["receipt"]["destination"] == "b"


def test_receipts_are_checked_with_the_public_key_alone(
    site: FollowedSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for study in ("1.2.7", "1.2.8", "1.2.9"):
        site.come(image(study=study, patient=study))
        site.deliver("a")
        site.pass_time()
    assert site.cli(capsys, "completeness", "key") == 0
    key = site.said.strip()
    assert site.cli(capsys, "completeness", "receipts") == 0
    lines = site.said.splitlines()
    assert len(lines) == 3
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "receipts.jsonl").write_text(site.said)
    monkeypatch.chdir(elsewhere)
    monkeypatch.delenv("DEID_NODE_CONFIG", raising=False)
    assert run(["completeness", "verify", "receipts.jsonl"]) == 2, "somebody has to say whose key it is"
    assert run(["completeness", "verify", "--key", key, "receipts.jsonl"]) == 0
    assert run(["completeness", "verify", "--key", Signer(bytes(32)).public, "receipts.jsonl"]) == 1
    assert run(["completeness", "verify", "--key", "no key", "receipts.jsonl"]) == 1
    (elsewhere / "other.json").write_text('{"receipt": {}}')
    assert run(["completeness", "verify", "--key", key, "other.json"]) == 1
    capsys.readouterr()
    assert site.cli(capsys, "completeness", "verify", "receipts.jsonl") == 0, "the node knows its own key"

    receipts = read_envelopes("\n".join(lines), "")
    assert problems(receipts, key) == []
    assert problems([receipts[0], receipts[2]], key) == [], "what is between them is not shown, and not judged"
    for change in (
        {"study_instance_uids": ["2.25.1"]},
        {"counts": receipts[1]["receipt"]["counts"] | {"delivered": 2}},
        {"previous": "00"},
    ):
        changed = [receipts[0], receipts[1] | {"receipt": receipts[1]["receipt"] | change}, receipts[2]]
        assert "receipt 2: changed since it was signed" in problems(changed, key)
    # Signed by the very node, but in place of another.
    forged = Signer(bytes(32)).envelope(receipts[1]["receipt"] | {"at": "2026-01-01"})
    assert problems([receipts[0], forged, receipts[2]]) == ["receipt 3: it does not follow receipt 2"]
    assert problems([receipts[1], forged], None)[-1] == "receipt 2: there are two that differ"


def test_without_receipts_no_hash_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = FollowedSite(tmp_path, receipts=False)
    site.come(image())
    site.deliver("a")
    site.pass_time()
    assert site.state() == "complete"
    assert site.sql("SELECT count(*) FROM instances WHERE clean_digest IS NOT NULL") == [(0,)]
    assert site.cli(capsys, "completeness", "receipt", "1.2.7") == 1
    site.database.close()
