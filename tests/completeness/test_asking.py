"""Destinations are asked what they have: by C-FIND, of DCMTK's archive, and of such as do not answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

from node.completeness.asking import Asking
from node.query import peer_of
from node.shared import Stop
from tests.completeness.support import FollowedSite
from tests.drills.support import KEYED, image
from tests.query.archives import Archive, answering, archive, match
from tests.support import StoreSCP, free_port, storescu, wait_for


@pytest.fixture
def site(tmp_path: Path) -> Iterator[FollowedSite]:
    made = FollowedSite(tmp_path, KEYED)
    yield made
    made.database.close()


def asking(site: FollowedSite, name: str = "a", every: float = 0.05) -> Asking:
    peer = peer_of(site.config, name)
    assert peer is not None
    return Asking(peer, site.book(name), Stop(), every, 60.0)


def ask(site: FollowedSite, name: str = "a") -> None:
    """Ask a destination about all that it is to be asked about now."""
    from node.ledger.following import study_to_ask_about

    one = asking(site, name)
    while (study := study_to_ask_about(site.database, name)) is not None:
        one._ask(study)


def deliver_to(site: FollowedSite, there: Archive, folder: Path) -> list[str]:
    """Deliver what is due to an archive, as files that have just what it needs to know them; return the UIDs."""
    folder.mkdir(exist_ok=True)
    place = "SELECT t.study, t.series FROM instances i JOIN sent_series t ON t.seq = i.sent_series WHERE i.id = ?"
    uids, paths = [], []
    for due in site.deliver("a"):
        ds = image()
        ds.StudyInstanceUID, ds.SeriesInstanceUID = site.sql(place, due.id)[0]
        ds.SOPInstanceUID = due.sop_instance_uid
        ds.PatientName, ds.PatientID, ds.StudyID, ds.SeriesNumber = "A", "P1", "1", 1
        ds.file_meta = pydicom.dataset.FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        paths.append(folder / f"{due.id}.dcm")
        ds.save_as(paths[-1], enforce_file_format=True)
        uids.append(due.sop_instance_uid)
    assert storescu(there.port, *paths, options=("-aec", there.aet)).returncode == 0
    return uids


def test_what_the_archive_lost_is_missing_until_it_is_there_again(
    site: FollowedSite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with archive(tmp_path / "archive") as there:
        site.asks(a=there.port)
        for _ in range(3):
            site.come(image())
        uids = deliver_to(site, there, tmp_path / "files")
        site.pass_time("a")
        assert site.state() == "under-way", "it is yet to be asked"
        assert site.sql("SELECT count(*) FROM receipts") == [(0,)]
        ask(site)
        assert site.state() == "complete"
        (one,) = site.listed(capsys)
        study = one["study_instance_uid"]
        assert site.shown(capsys, study)["destinations"]["a"]["confirmed"] == 3
        assert site.sql("SELECT count(*) FROM receipts") == [(1,)]

        path = there.files()[uids[1]]
        kept = path.read_bytes()
        there.lose(uids[1])
        assert site.cli(capsys, "completeness", "check", study) == 0
        site.pass_time("a")
        ask(site)
        assert site.state() == "different"
        (difference,) = site.shown(capsys, study, code=1)["differences"]
        assert (difference["kind"], difference["destination"]) == ("missing", "a")
        assert difference["sop_instance_uids"] == [uids[1]]
        assert site.listed(capsys, "--problems", code=1)[0]["study_instance_uid"] == study
        assert "study-incomplete" in site.alerts()

        (tmp_path / "again.dcm").write_bytes(kept)
        assert storescu(there.port, tmp_path / "again.dcm", options=("-aec", there.aet)).returncode == 0
        assert site.cli(capsys, "completeness", "check", study) == 0
        site.pass_time("a")
        ask(site)
        assert site.state() == "complete"
        assert site.alerts() == []


def test_what_others_sent_there_is_told_and_no_difference(
    site: FollowedSite, capsys: pytest.CaptureFixture[str]
) -> None:
    site.come(image())
    (due,) = site.deliver("a")
    ((study, series),) = site.sql("SELECT study, series FROM sent_series")

    def more(identifier: Dataset) -> Iterator[tuple[int, Dataset | None]]:
        if identifier.QueryRetrieveLevel == "IMAGE":
            for uid in (due.sop_instance_uid, "1.2.3.4", "1.2.3.5"):
                yield 0xFF00, match(study, series, uid)
        else:
            yield 0xFF00, match(study, series)
            yield 0xFF00, match(study, "1.2.3")

    with answering(more) as port:
        site.asks(a=port)
        site.pass_time("a")
        ask(site)
    assert site.state() == "complete"
    found = site.shown(capsys, study)["destinations"]["a"]
    assert (found["confirmed"], found["others_there"], found["other_series_there"]) == (1, 2, 1)


def test_who_does_not_answer_is_asked_again_and_told_after_a_while(
    site: FollowedSite, capsys: pytest.CaptureFixture[str]
) -> None:
    site.come(image())
    site.deliver("a")
    site.asks(a=free_port())
    site.pass_time("a")
    waits = []
    for _ in range(3):
        assert site.state() == "under-way"
        site.sql("UPDATE study_answers SET ask_at = 0")
        ask(site)
        waits.append(site.sql("SELECT ask_at FROM study_answers")[0][0] - time.time())
    assert site.state() == "unconfirmed"
    assert waits[0] < waits[1] < waits[2]
    assert "study-unconfirmed" in site.alerts()
    (one,) = site.listed(capsys, "--problems", code=1)
    found = site.shown(capsys, one["study_instance_uid"], code=1)["destinations"]["a"]
    assert found["confirmed"] is None
    assert "no connection" in found["did_not_answer"]
    assert site.sql("SELECT count(*) FROM receipts") == [(0,)]


def test_who_knows_no_queries_is_told_at_once(site: FollowedSite, tmp_path: Path) -> None:
    site.come(image())
    site.deliver("a")
    storing = StoreSCP(tmp_path / "out").start()
    try:
        site.asks(a=storing.port)
        site.pass_time("a")
        ask(site)
    finally:
        storing.stop()
    assert site.state() == "unconfirmed"


def test_a_destination_that_is_slow_keeps_nobody_waiting(site: FollowedSite) -> None:
    slow = Stop()
    site.come(image(), "r2")
    site.deliver("a")
    (due,) = site.deliver("b")
    ((study, series),) = site.sql("SELECT study, series FROM sent_series")

    def never(_: Dataset) -> Iterator[tuple[int, Dataset | None]]:
        slow.wait(30.0)
        yield 0xA700, None

    def at_once(identifier: Dataset) -> Iterator[tuple[int, Dataset | None]]:
        if identifier.QueryRetrieveLevel == "IMAGE":
            yield 0xFF00, match(study, series, due.sop_instance_uid)

    threads: list[Asking] = []

    def is_answered(name: str) -> Any:
        return site.sql("SELECT 1 FROM study_answers WHERE destination = ? AND asked_at > 0", name)

    with answering(never) as first, answering(at_once) as second:
        site.asks(a=first, b=second)
        site.pass_time("a", "b")
        book = site.book("a", "b")
        for name in ("a", "b"):
            peer = peer_of(site.config, name)
            assert peer is not None
            threads.append(Asking(peer, book, Stop(), 0.05, 60.0))
            threads[-1].thread.start()
        wait_for(lambda: is_answered("b"), "the other destination has answered", 20)
        assert not is_answered("a")
        slow.set()
        for one in threads:
            one.stop.set()
            one.thread.join(20)
    assert not any(one.thread.is_alive() for one in threads)
