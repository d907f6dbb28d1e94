"""Storage Commitment at the acceptor: what it asks its owner, and what it does without one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role
from pynetdicom.association import Association

from node.dicomnet import STORAGE_COMMITMENT, AssociationServer, CommitmentRequest, Peer, StoreAnswer
from node.dicomnet.pdus import Role

from .peers import LOCALHOST, PATIENCE, VERIFICATION, RecordingPolicy, listen

INSTANCE = STORAGE_COMMITMENT + ".1"


class Commits:
    """Lets the requestor ask and report, unless told otherwise, and remembers what came."""

    def __init__(self) -> None:
        self.role = Role(STORAGE_COMMITMENT, True, True)
        self.came: list[tuple[Peer, CommitmentRequest]] = []
        self.fault = False

    def roles(self, peer: Peer) -> Role:
        return self.role

    def serve(self, peer: Peer, request: CommitmentRequest) -> StoreAnswer:
        if self.fault:
            raise RuntimeError("a bug")
        self.came.append((peer, request))
        return StoreAnswer(0x0213 if request.too_long else 0x0000)


@contextmanager
def asking(commits: Commits | None, *, scp: bool = False) -> Iterator[Association]:
    with listen() as listener:
        server = AssociationServer(listener, RecordingPolicy(), commitment=commits)
        thread = threading.Thread(target=server.serve)
        thread.start()
        ae = AE("CT1")
        for kind in (STORAGE_COMMITMENT, VERIFICATION):
            ae.add_requested_context(kind)
        roles: list[Any] = [build_role(STORAGE_COMMITMENT, scp_role=True)] if scp else []
        association = ae.associate(LOCALHOST, listener.getsockname()[1], ext_neg=roles)
        try:
            assert association.is_established
            yield association
        finally:
            association.release()
            server.stop()
            thread.join(PATIENCE)
            server.drain(0)


def act(association: Association, ds: Dataset | None) -> int:
    status, _ = association.send_n_action(ds, 1, STORAGE_COMMITMENT, INSTANCE)
    return int(status.Status)


def some(length: int) -> Dataset:
    ds = Dataset()
    ds.TransactionUID = "1.2.3"
    ds.RetrieveAETitle = ["X" * 15] * (length // 16)
    return ds


def test_a_request_is_given_whole_and_one_that_is_too_long_is_read_and_thrown_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("node.dicomnet.association.LONGEST_COMMITMENT", 4096)
    commits = Commits()
    with asking(commits) as association:
        assert act(association, some(1024)) == 0x0000
        assert act(association, some(60_000)) == 0x0213
        assert act(association, None) == 0x0000
        commits.fault = True
        assert act(association, some(16)) == 0x0110
        assert association.send_c_echo().Status == 0x0000, "the association lives"
    (peer, first), (_, second), (_, third) = commits.came
    assert (peer.calling_ae_title, peer.reports) == ("CT1", True)
    assert first.is_action
    assert (first.sop_class_uid, first.sop_instance_uid, first.type_id) == (STORAGE_COMMITMENT, INSTANCE, 1)
    assert first.data is not None
    assert len(first.data) > 1024
    assert (second.data, second.too_long) == (None, True)
    assert (third.data, third.too_long) == (None, False)


def test_whoever_may_report_gets_the_role_and_who_may_do_neither_gets_no_context() -> None:
    commits = Commits()
    with asking(commits, scp=True) as association:
        (context,) = [one for one in association.accepted_contexts if one.abstract_syntax == STORAGE_COMMITMENT]
        assert context.as_scp
        status, _ = association.send_n_event_report(some(16), 2, STORAGE_COMMITMENT, INSTANCE)
        assert status.Status == 0x0000
        ((_, request),) = commits.came
        assert (request.is_action, request.type_id) == (False, 2)
    for nobody in (None, Commits()):
        if nobody is not None:
            nobody.role = Role(STORAGE_COMMITMENT, False, False)
        with asking(nobody) as association:
            assert [one.abstract_syntax for one in association.rejected_contexts] == [STORAGE_COMMITMENT]
