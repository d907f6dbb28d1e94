"""Messages are what PS3.15 A.5.1 says: its codes, its elements in its order, well-formed whatever a peer is called."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from pydicom.sr._concepts_dict import concepts

from node.audit import kinds
from node.audit.actor import this_person
from node.audit.kinds import Peer, Refused, Study
from node.audit.messages import Code, Message, render
from tests.audit.support import BY, SOURCE

STUDY = Study("2.25.1", "PSEUDO1", {"1.2.840.10008.5.1.4.1.1.2": 3, "1.2.999.1": 1}, "research", "demo")
PEER = Peer("CT1", "10.1.2.3")
MESSAGES: dict[str, tuple[Message, str, str]] = {
    "start": (kinds.started(SOURCE, BY), "110100", "110120"),
    "stop": (kinds.stopped(SOURCE, BY), "110100", "110121"),
    "unclean": (kinds.stopped(SOURCE, None, clean=False), "110100", "110121"),
    "received": (kinds.received(SOURCE, PEER, STUDY, "DEIDNODE"), "110104", ""),
    "sent": (kinds.sent(SOURCE, "archive", PEER, STUDY, calling="DEIDNODE", encrypted=True), "110104", ""),
    "shown": (kinds.accessed(BY, "a" * 32, "R"), "110103", ""),
    "discarded": (kinds.accessed(BY, "a" * 32, "D"), "110103", ""),
    "identity": (kinds.identity_seen(BY, "PSEUDO1", "demo"), "110110", ""),
    "maps read": (kinds.maps_read(BY, "demo", "exported: 3 patients"), "110110", ""),
    "crosswalk": (kinds.crosswalk_changed(SOURCE, BY, "demo", "1 pairs imported"), "110113", "110132"),
    "log used": (kinds.log_used(SOURCE, BY), "110101", ""),
    "configured": (kinds.configured(SOURCE, BY, "0" * 64, {"research": "1" * 64}), "110113", "110129"),
    "refused configuration": (kinds.configured(SOURCE, BY, "0" * 64, {}, 2), "110113", "110129"),
    "released": (kinds.restricted(SOURCE, BY, "released despite leak", "a" * 32), "110113", "110132"),
    "user": (kinds.user_changed(SOURCE, BY, "ruth", "roles: re-identifier"), "110113", "110137"),
    "paused": (kinds.paused(SOURCE, BY, "archive", is_paused=True), "110113", "110128"),
    "broken": (kinds.chain_broken(SOURCE), "110113", "110134"),
    "peers": (kinds.refused(SOURCE, [Refused("association", PEER, "OTHER", 7)]), "110113", "110126"),
}
CODE = {"csd-code", "codeSystemName", "originalText"}
# Element: the attributes that it must have, and its children in their order.
SCHEMA: dict[str, tuple[set[str], list[str]]] = {
    "AuditMessage": (
        set(),
        [
            "EventIdentification",
            "ActiveParticipant",
            "AuditSourceIdentification",
            "ParticipantObjectIdentification",
        ],
    ),
    "EventIdentification": (
        {"EventDateTime", "EventOutcomeIndicator", "EventActionCode"},
        ["EventID", "EventTypeCode", "EventOutcomeDescription"],
    ),
    "EventID": (CODE, []),
    "EventTypeCode": (CODE, []),
    "EventOutcomeDescription": (set(), []),
    "ActiveParticipant": ({"UserID", "UserIsRequestor"}, ["RoleIDCode"]),
    "RoleIDCode": (CODE, []),
    "AuditSourceIdentification": ({"AuditSourceID"}, ["AuditSourceTypeCode"]),
    "AuditSourceTypeCode": ({"csd-code"}, []),
    "ParticipantObjectIdentification": (
        {"ParticipantObjectID"},
        [
            "ParticipantObjectIDTypeCode",
            "ParticipantObjectName",
            "ParticipantObjectDetail",
            "ParticipantObjectDescription",
        ],
    ),
    "ParticipantObjectIDTypeCode": (CODE, []),
    "ParticipantObjectName": (set(), []),
    "ParticipantObjectDetail": ({"type", "value"}, []),
    "ParticipantObjectDescription": (set(), ["SOPClass", "Encrypted", "Anonymized"]),
    "SOPClass": ({"NumberOfInstances"}, []),
    "Encrypted": (set(), []),
    "Anonymized": (set(), []),
}


def follows_the_schema(element: ET.Element) -> None:
    needed, children = SCHEMA[element.tag]
    assert needed <= set(element.attrib), element.tag
    places = [children.index(child.tag) for child in element]
    assert places == sorted(places), element.tag
    for child in element:
        follows_the_schema(child)


@pytest.mark.parametrize("name", MESSAGES)
def test_every_message_follows_the_schema_and_has_the_codes_of_its_event(name: str) -> None:
    message, event, kind = MESSAGES[name]
    root = ET.fromstring(render(message, SOURCE, 1_700_000_000.25))
    follows_the_schema(root)
    told = root.find("EventIdentification")
    assert told is not None
    assert told.get("EventDateTime") == "2023-11-14T22:13:20.250+00:00"
    codes = [told.find(one) for one in ("EventID", "EventTypeCode")]
    assert [("" if one is None else one.get("csd-code")) for one in codes] == [event, kind]
    assert sum(one.get("UserIsRequestor") == "true" for one in root.findall("ActiveParticipant")) <= 1
    assert root.find("ActiveParticipant") is not None


def test_every_code_is_one_of_the_standard() -> None:
    known = {value: meaning for entry in concepts["DCM"].values() for value, (meaning, _) in entry.items()}
    used = [one for one in vars(kinds).values() if isinstance(one, Code) and one.scheme == "DCM"]
    assert len(used) >= 15
    assert {one.value: one.meaning for one in used} == {one.value: known[one.value] for one in used}


def test_what_a_peer_calls_itself_breaks_no_message() -> None:
    evil = Peer('A"<&>\x00\x07\n\ud800', "::1")
    text = render(kinds.received(SOURCE, evil, STUDY, "\x1b[2J"), SOURCE, 0.0)
    assert "\n" not in text
    sender = ET.fromstring(text).find("ActiveParticipant")
    assert sender is not None
    assert sender.get("UserID", "").startswith('A"<&>\\x00')
    assert sender.get("NetworkAccessPointTypeCode") == "2"


def test_private_sop_classes_are_counted_without_their_uid() -> None:
    root = ET.fromstring(render(MESSAGES["sent"][0], SOURCE, 0.0))
    assert {(one.get("UID"), one.get("NumberOfInstances")) for one in root.iter("SOPClass")} == {
        ("1.2.840.10008.5.1.4.1.1.2", "3"),
        (None, "1"),
    }


def test_a_person_is_named_by_account_and_machine_and_never_by_arguments() -> None:
    person = this_person("held discard").participant()
    assert "@" in person.user
    assert person.requestor
    assert person.name == "held discard"
