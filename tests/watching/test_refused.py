"""What was refused at the edge is told by name, with what to change, on both sides."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.errors import HoldReason
from node.ledger.reception import Refusal, count_refusals
from node.ledger.sending import SendingLedger, Settlement, Verdict
from node.refused import explain_context, name_of_class, refused
from tests.ledger.support import CT, receive_cleaned
from tests.watching.support import ledger_of


@pytest.mark.parametrize(
    ("uid", "name", "lost", "why"),
    [
        ("1.2.840.10008.1.20.1", "Storage Commitment Push Model SOP Class", False, "does not offer storage commitment"),
        (
            "1.2.840.10008.5.1.4.1.2.2.1",
            "Study Root Query/Retrieve Information Model - FIND",
            False,
            "does not offer query and retrieve",
        ),
        ("1.2.840.10008.5.1.4.31", "Modality Worklist Information Model - FIND", False, "does not offer worklists"),
        ("1.2.840.10008.3.1.2.3.3", "Modality Performed Procedure Step SOP Class", False, "procedure steps"),
        ("1.2.840.10008.5.1.1.9", "Basic Grayscale Print Management Meta SOP Class", False, "does not offer print"),
        ("1.2.840.10008.1.3.10", "Media Storage Directory Storage", False, "no storage class"),
        ("1.2.840.10008.99.1", "SOP class that is not known", True, "has no storage class of this UID"),
        (CT, "CT Image Storage", True, "no transfer syntax was proposed"),
        ("1.3.46.670589.11.0.0.12.1", "private SOP class of root 1.3.46.670589.11.0", True, "no transfer syntax"),
        ("", "no SOP class", True, "names no SOP class"),
        ("1.2.840.10008.\nPLANTED", "SOP class that is not known", True, "is no UID"),
    ],
)
def test_a_refused_context_has_a_name_a_reason_and_something_to_change(
    uid: str, name: str, lost: bool, why: str
) -> None:
    found = explain_context(uid)
    assert (found["name"], found["images_lost"], found["transfer_syntaxes"]) == (name, lost, None)
    assert why in found["why"]
    assert found["change"]
    assert "PLANTED" not in name_of_class(uid, private_uids=False)


def test_refusals_are_listed_by_sender_and_by_destination(tmp_path: Path) -> None:
    config, database = ledger_of(tmp_path)
    context = Refusal("presentation-context", "CT1", "DEIDNODE", "10.0.0.1", CT, "1.2.840.10008.1.2 1.2.3")
    count_refusals(database, {context: 7, Refusal("association", "CT1", "OTHER", "10.0.0.1"): 2})
    count_refusals(database, {Refusal("tls", "", "", "10.0.0.9"): 1})
    receive_cleaned(database)
    ledger = SendingLedger(database, "d")
    (due,) = ledger.claim("f", 1)
    reason = HoldReason.SYNTAX_REFUSED
    ledger.settle("f", [Settlement(due, Verdict.HELD, reason=reason, detail="no presentation context for it")])
    found = refused(database, config)
    database.close()
    by_title = {sender["calling_ae_title"]: sender for sender in found["senders"]}
    assert set(by_title) == {"CT1", ""}
    (one,), (other,) = by_title["CT1"]["contexts"], by_title["CT1"]["others"]
    assert one["transfer_syntaxes"] == ["Implicit VR Little Endian", "unknown (1.2.3)"]
    assert (one["times"], one["since"], one["address"]) == (7, one["last"], "10.0.0.1")
    assert (other["kind"], other["times"]) == ("association", 2)
    assert "routes.0.from.called_ae" in other["change"]
    assert '"OTHER"' in other["change"]
    (destination,) = found["destinations"]
    assert (destination["destination"], destination["ae_title"]) == ("d", "DEST")
    (held,) = destination["classes"]
    assert (held["name"], held["instances"], held["reason"]) == ("CT Image Storage", 1, "syntax-refused")
    assert "have it accept CT Image Storage in Explicit VR Little Endian" in held["change"]
