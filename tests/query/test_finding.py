"""Asking an archive what it has: only what was asked for counts, and what went wrong is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from node.config import Config
from node.dicomnet import Timeouts
from node.errors import AssociationRejected, ConnectionFailed, HandshakeFailed, QueryFailed, QueryNotSupported
from node.query import find_instances, finding, has_instances, peer_of
from tests.config.support import GOOD, keys, load
from tests.dicomnet.tls import Authority, client_side, server_context
from tests.query.archives import Archive, answering, archive, match, peer_at
from tests.support import StoreSCP, free_port, make_ct, storescu

STUDY, SERIES, OTHER_SERIES = "1.2.3", "1.2.3.1", "1.2.3.2"


def instances(paths: list[Path]) -> dict[str, set[str]]:
    """SOP Instance UIDs by series."""
    found: dict[str, set[str]] = {}
    for path in paths:
        ds = pydicom.dcmread(path)
        found.setdefault(str(ds.SeriesInstanceUID), set()).add(str(ds.SOPInstanceUID))
    return found


@pytest.fixture
def dcmtk(tmp_path: Path) -> Iterator[Archive]:
    with archive(tmp_path / "archive") as running:
        yield running


def test_an_archive_is_asked_for_the_instances_of_each_series(tmp_path: Path, dcmtk: Archive) -> None:
    study = generate_uid()
    head = make_ct(tmp_path / "head", 3, rows=4, study=study)
    body = make_ct(tmp_path / "body", 2, rows=4, study=study)
    later = make_ct(tmp_path / "later", 1, rows=4, study=study)
    elsewhere = make_ct(tmp_path / "elsewhere", 1, rows=4)
    sent = storescu(dcmtk.port, *head, *body, *later, *elsewhere, options=("-aec", dcmtk.aet))
    assert sent.returncode == 0
    there = instances(head + body)
    unknown = generate_uid()

    found = find_instances(dcmtk.peer(), study, [*there, unknown])
    assert found.complete
    assert found.instances == there | {unknown: set()}
    assert found.other_series == 1, "the third series of the study, and not the other study"

    lost = sorted(there[next(iter(there))])[1]
    dcmtk.lose(lost)
    found = find_instances(dcmtk.peer(), study, there)
    assert set().union(*found.instances.values()) == set().union(*there.values()) - {lost}

    wanted = [(study, series, uid) for series, uids in there.items() for uid in uids]
    assert has_instances(dcmtk.peer(), wanted) == {uid for _, _, uid in wanted} - {lost}
    (alone,) = instances(later).items()
    assert has_instances(dcmtk.peer(), [(study, alone[0], next(iter(alone[1])))]) == alone[1]
    assert has_instances(dcmtk.peer(), [(study, alone[0], unknown)]) == set()


def test_who_answers_with_everything_has_answered_only_what_was_asked() -> None:
    def everything(_: Dataset) -> Iterator[tuple[int, Dataset | None]]:
        yield 0xFF00, match(STUDY, SERIES, "1.2.3.1.1")
        yield 0xFF01, match("", "", "1.2.3.1.2")  # it need not repeat the keys above
        yield 0xFF00, match(STUDY, OTHER_SERIES, "1.2.3.2.1")
        yield 0xFF00, match("1.9", SERIES, "1.9.1")
        wrong = match(STUDY, SERIES)
        wrong[0x00080018] = DataElement(0x00080018, "UI", "MRN-0001", validation_mode=pydicom.config.IGNORE)
        yield 0xFF00, wrong
        yield 0xFF00, match(STUDY, SERIES)

    with answering(everything) as port:
        found = find_instances(peer_at(port), STUDY, [SERIES])
        assert found.instances == {SERIES: {"1.2.3.1.1", "1.2.3.1.2"}}
        assert found.other_series == 1
        assert has_instances(peer_at(port), [(STUDY, SERIES, "1.2.3.1.1"), (STUDY, SERIES, "1.2.3.1.9")]) == {
            "1.2.3.1.1"
        }
        assert has_instances(peer_at(port), [(STUDY, SERIES, "1.2.3.1.9")]) == set()


def test_what_is_not_answered_to_the_end_is_not_known() -> None:
    def first_series_only(identifier: Dataset) -> Iterator[tuple[int, Dataset | None]]:
        if identifier.get("SeriesInstanceUID") == OTHER_SERIES:
            yield 0xFF00, match(STUDY, OTHER_SERIES, "1.2.3.2.1")
            yield 0xA700, None
        else:
            yield 0xFF00, match(STUDY, SERIES, "1.2.3.1.1")

    with answering(first_series_only) as port:
        found = find_instances(peer_at(port), STUDY, [SERIES, OTHER_SERIES])
        assert found.instances == {SERIES: {"1.2.3.1.1"}}
        assert not found.complete
        assert "A700H" in found.problem
        assert found.other_series is None
        with pytest.raises(QueryFailed, match="A700H"):
            has_instances(peer_at(port), [(STUDY, OTHER_SERIES, "1.2.3.2.1")])


def test_an_answer_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "MOST_MATCHES", 3)

    def many(_: Dataset) -> Iterator[tuple[int, Dataset | None]]:
        for number in range(50):
            yield 0xFF00, match(STUDY, SERIES, f"1.2.3.1.{number}")

    with answering(many) as port:
        found = find_instances(peer_at(port), STUDY, [SERIES])
    assert found.instances == {}
    assert "more than 3" in found.problem


def test_who_cannot_be_asked_is_told_apart(tmp_path: Path, dcmtk: Archive) -> None:
    wanted = [(STUDY, SERIES, "1.2.3.1.1")]
    with pytest.raises(ConnectionFailed):
        has_instances(peer_at(free_port()), wanted)
    with pytest.raises(AssociationRejected):
        has_instances(peer_at(dcmtk.port, "SOMEBODY"), wanted)
    storing = StoreSCP(tmp_path / "out").start()
    try:
        with pytest.raises(QueryNotSupported):
            find_instances(peer_at(storing.port), STUDY, [SERIES])
    finally:
        storing.stop()


def at(config: Config) -> tuple[str, int, str, str] | None:
    peer = peer_of(config, "archive")
    return None if peer is None else (peer.host, peer.port, peer.called_ae_title, peer.calling_ae_title)


def test_a_destination_is_asked_where_its_query_says(tmp_path: Path) -> None:
    assert at(load(tmp_path, GOOD)) is None
    as_sent = ("127.0.0.1", 11113, "ARCHIVE", "DEIDNODE")
    assert at(load(tmp_path, GOOD + "    query: {}\n")) == as_sent
    timed = load(tmp_path, GOOD + "    timeout: {response: 7s}\n    query: {ae_title: QR, address: 'pacs:105'}\n")
    assert at(timed) == ("pacs", 105, "QR", "DEIDNODE")
    peer = peer_of(timed, "archive")
    assert peer is not None
    assert (peer.timeouts, peer.tls) == (Timeouts(10, 30, 7), None)
    secure = load(tmp_path, GOOD + "    tls: {ca: ca.pem}\n    query: {address: 'pacs:105'}\n")
    peer = peer_of(secure, "archive")
    assert peer is not None
    assert peer.tls is not None
    assert peer.tls.name == "pacs"
    assert keys(tmp_path, GOOD + "    query: {host: x}\n") == [(12, "destinations.archive.query.host")]


def test_the_trial_destination_is_not_asked(tmp_path: Path) -> None:
    trial = "trial_destination: {ae_title: ARCHIVE, listen: '127.0.0.1:11113', folder: x}\n"
    assert keys(tmp_path, GOOD + "    query: {}\n" + trial) == [(12, "destinations.archive.query")]


def test_where_the_destination_speaks_tls_it_is_asked_over_tls(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path / "ca"), Authority(tmp_path / "other")
    own = authority.issue("archive")

    def one(identifier: Dataset) -> Iterator[tuple[int, Dataset | None]]:
        if identifier.QueryRetrieveLevel == "IMAGE":
            yield 0xFF00, match(STUDY, SERIES, "1.2.3.1.1")

    context = server_context(authority, own, client_certificate=False)
    wanted = [(STUDY, SERIES, "1.2.3.1.1")]
    with answering(one, context) as port:
        peer = replace(peer_at(port), tls=client_side(authority, None))
        assert has_instances(peer, wanted) == {"1.2.3.1.1"}
        with pytest.raises(HandshakeFailed):
            has_instances(replace(peer, tls=client_side(other, None)), wanted)
