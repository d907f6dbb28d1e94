"""Both sides of the node as pynetdicom has them: a scanner that asks and is told, an archive that commits."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.pdu import P_DATA_TF

from tests.support import free_port, wait_for

COMMITMENT = "1.2.840.10008.1.20.1"
INSTANCE = COMMITMENT + ".1"
CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
Ref = tuple[str, str]
"""SOP class and instance."""


def request(references: Sequence[Ref], transaction: str = "") -> Dataset:
    """What N-ACTION asks."""
    ds = Dataset()
    ds.TransactionUID = transaction or generate_uid()
    ds.ReferencedSOPSequence = [item(*one) for one in references]
    return ds


def item(sop_class: str, uid: str, reason: int | None = None) -> Dataset:
    ds = Dataset()
    ds.ReferencedSOPClassUID, ds.ReferencedSOPInstanceUID = sop_class, uid
    if reason is not None:
        ds.FailureReason = reason
    return ds


@dataclass
class Report:
    """An N-EVENT-REPORT as the scanner got it."""

    event: int
    transaction: str
    committed: set[str]
    failed: dict[str, int]
    calling: str
    called: str
    address: tuple[str, int]
    is_scp: bool


class Scanner:
    """Sends images and asks about them; takes reports while it listens, as `answers` says."""

    def __init__(self, node: int, aet: str = "CT1", to: str = "DEIDNODE") -> None:
        self.node, self.aet, self.to = node, aet, to
        self.port = free_port()
        self.reports: list[Report] = []
        self.answers = [0x0000]
        self.local_ports: list[int] = []
        self._server: Any = None

    def listen(self, tls: ssl.SSLContext | None = None) -> None:
        ae = AE(self.aet)
        ae.require_called_aet = True
        ae.add_supported_context(COMMITMENT, scu_role=True, scp_role=True)
        handlers: list[Any] = [(evt.EVT_N_EVENT_REPORT, self._take)]
        self._server = ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers, ssl_context=tls)

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def _take(self, event: Any) -> tuple[int, None]:
        ds, primitive = event.event_information, event.assoc.requestor.primitive
        role = event.assoc.requestor.role_selection.get(COMMITMENT)
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.reports.append(
            Report(
                event.event_type,
                str(ds.TransactionUID),
                {str(one.ReferencedSOPInstanceUID) for one in ds.get("ReferencedSOPSequence", [])},
                {str(one.ReferencedSOPInstanceUID): int(one.FailureReason) for one in ds.get("FailedSOPSequence", [])},
                str(primitive.calling_ae_title).strip(),
                str(primitive.called_ae_title).strip(),
                (event.assoc.requestor.address, event.assoc.requestor.port),
                role is not None and bool(role.scp_role),
            )
        )
        return status, None

    @contextlib.contextmanager
    def association(self, *kinds: str) -> Iterator[Association]:
        ae = AE(self.aet)
        contexts = [build_context(kind, [EXPLICIT]) for kind in kinds or (CT, COMMITMENT)]
        association = ae.associate("127.0.0.1", self.node, contexts=contexts, ae_title=self.to)
        assert association.is_established
        try:
            yield association
        finally:
            association.release()

    def send(self, paths: Sequence[Path], ask: Dataset | None = None) -> int | None:
        """Send images, and in the midst of them ask; every image has to be answered 0000H. Return what N-ACTION was."""
        status = None
        with self.association() as association:
            for number, path in enumerate(paths):
                if ask is not None and number == len(paths) - 1:
                    status = action(association, ask)
                assert association.send_c_store(pydicom.dcmread(path)).Status == 0x0000
        return status

    def ask(self, references: Sequence[Ref], transaction: str = "") -> int:
        with self.association(COMMITMENT) as association:
            return action(association, request(references, transaction))

    def report(self, number: int = 1) -> Report:
        """The report of this number, once it has come."""
        wait_for(lambda: len(self.reports) >= number, f"report {number} has come")
        return self.reports[number - 1]


def action(association: Association, ds: Dataset | None, kind: int = 1, instance: str = INSTANCE) -> int:
    """N-ACTION; its status."""
    status, _ = association.send_n_action(ds, kind, COMMITMENT, instance)
    return int(status.Status)


def refs(paths: Sequence[Path]) -> list[Ref]:
    found = [pydicom.dcmread(path, specific_tags=["SOPClassUID", "SOPInstanceUID"]) for path in paths]
    return [(str(ds.SOPClassUID), str(ds.SOPInstanceUID)) for ds in found]


@dataclass
class Vault:
    """An archive that commits: `same` says whether it reports on the association of the request, or on one of its own.

    What it has `lost` it names as failed. `holds_back` keeps its reports until `lets_go`.
    """

    node: int
    aet: str = "VAULT"
    to: str = "DEIDNODE"
    same: bool = True
    offers: bool = True
    holds_back: bool = False
    port: int = field(default_factory=free_port)
    stored: dict[str, str] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    asked: list[Dataset] = field(default_factory=list)
    told: list[int] = field(default_factory=list)
    _due: dict[Association, Dataset] = field(default_factory=dict)
    _server: Any = None

    def start(self) -> Vault:
        ae = AE(self.aet)
        ae.add_supported_context(CT, [EXPLICIT])
        if self.offers:
            ae.add_supported_context(COMMITMENT)
        handlers: list[Any] = [(evt.EVT_C_STORE, self._store), (evt.EVT_N_ACTION, self._commit)]
        handlers.append((evt.EVT_PDU_SENT, self._answered))
        self._server = ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        return self

    def stop(self) -> None:
        self._server.shutdown()

    def _store(self, event: Any) -> int:
        self.stored[str(event.request.AffectedSOPInstanceUID)] = str(event.request.AffectedSOPClassUID)
        return 0x0000

    def _commit(self, event: Any) -> tuple[int, None]:
        ds = event.action_information
        self.asked.append(ds)
        if not self.holds_back:
            if self.same:
                self._due[event.assoc] = ds
            else:
                threading.Thread(target=self.tells, args=(ds,), daemon=True).start()
        return 0x0000, None

    def _answered(self, event: Any) -> None:
        """Report on the association of a request once its answer, which is the next message on it, is out."""
        if isinstance(event.pdu, P_DATA_TF) and event.assoc in self._due:
            ds = self._due.pop(event.assoc)
            threading.Thread(target=self.tells, args=(ds, event.assoc), daemon=True).start()

    def tells(self, ds: Dataset, association: Association | None = None) -> int:
        """Report on an association, or on a new one to the node; return the status that this was answered."""
        uids = [(str(one.ReferencedSOPClassUID), str(one.ReferencedSOPInstanceUID)) for one in ds.ReferencedSOPSequence]
        good = [one for one in uids if one[1] in self.stored and one[1] not in self.lost]
        report = request(good, str(ds.TransactionUID))
        if len(good) < len(uids):
            report.FailedSOPSequence = [item(*one, 0x0112) for one in uids if one not in good]
        event_type = 1 if len(good) == len(uids) else 2
        if association is not None:
            return self._send(association, report, event_type)
        ae = AE(self.aet)
        association = ae.associate(
            "127.0.0.1",
            self.node,
            contexts=[build_context(COMMITMENT)],
            ae_title=self.to,
            ext_neg=[build_role(COMMITMENT, scp_role=True)],
        )
        if not association.is_established:
            self.told.append(-1)
            return -1
        status = self._send(association, report, event_type)
        association.release()
        return status

    def _send(self, association: Association, report: Dataset, event_type: int) -> int:
        status, _ = association.send_n_event_report(report, event_type, COMMITMENT, INSTANCE)
        self.told.append(int(status.Status))
        return self.told[-1]
