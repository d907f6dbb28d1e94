"""An audit message and its XML, by the schema of PS3.15 A.5.1.

Guarantees well-formed XML on one line, whatever the texts: control characters are escaped as in the log, since peers
choose their AE titles. The order of elements is the schema's.
"""

from __future__ import annotations

import ipaddress
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple
from xml.etree import ElementTree as ET

from node.log import clean_text

SUCCESS, MINOR_FAILURE, SERIOUS_FAILURE = 0, 4, 8
_APPLICATION_SERVER = "4"  # PS3.15 A.5.1.2.1
_MACHINE, _ADDRESS = "1", "2"


class Code(NamedTuple):
    """A coded value: `DCM` are the codes of PS3.16 annex D; RFC-3881 has the numbers of PS3.15 A.5.1.2."""

    value: str
    meaning: str
    scheme: str = "DCM"


URI = Code("12", "URI", "RFC-3881")
PATIENT_NUMBER = Code("2", "Patient Number", "RFC-3881")
USER_IDENTIFIER = Code("11", "User Identifier", "RFC-3881")


@dataclass(frozen=True, slots=True)
class Source:
    """Who writes the messages: AuditSourceID, AuditEnterpriseSiteID (may be empty), and the node's AE title."""

    id: str
    site: str
    ae_title: str


@dataclass(frozen=True, slots=True)
class Participant:
    """One who took part: a person, a process, a DICOM application. `address` is a host name or an IP address."""

    user: str
    alternative: str = ""
    name: str = ""
    requestor: bool = False
    roles: tuple[Code, ...] = ()
    address: str = ""


@dataclass(frozen=True, slots=True)
class Object:
    """What it was about. `kind` and `role` are numbers of PS3.15 A.5.1; `details` are pairs of a type and a text.

    `classes` are SOP classes with the number of their instances; an empty UID is one that is not told.
    """

    id_type: Code
    id: str
    name: str
    kind: int = 2
    role: int = 0
    details: tuple[tuple[str, str], ...] = ()
    classes: tuple[tuple[str, int], ...] = ()
    encrypted: bool | None = None
    anonymized: bool | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What happened: the event, its type, the action (C, R, U, D, E), how it ended, who and what took part."""

    event: Code
    action: str
    participants: tuple[Participant, ...]
    objects: tuple[Object, ...] = ()
    types: tuple[Code, ...] = ()
    outcome: int = SUCCESS
    description: str = ""


def render(message: Message, source: Source, at: float) -> str:
    """Return the XML of a message about something that happened at `at` (seconds, UTC)."""
    root = ET.Element("AuditMessage")
    moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    event = _element(
        root,
        "EventIdentification",
        EventActionCode=message.action,
        EventDateTime=moment,
        EventOutcomeIndicator=str(message.outcome),
    )
    _code(event, "EventID", message.event)
    for one in message.types:
        _code(event, "EventTypeCode", one)
    if message.description:
        _element(event, "EventOutcomeDescription").text = clean_text(message.description, 1000)
    for participant in message.participants:
        _participant(root, participant)
    origin = _element(root, "AuditSourceIdentification", AuditEnterpriseSiteID=source.site, AuditSourceID=source.id)
    _element(origin, "AuditSourceTypeCode", **{"csd-code": _APPLICATION_SERVER})
    for thing in message.objects:
        _object(root, thing)
    return ET.tostring(root, encoding="unicode")


def _participant(root: ET.Element, one: Participant) -> None:
    element = _element(
        root,
        "ActiveParticipant",
        UserID=one.user or "unknown",
        AlternativeUserID=one.alternative,
        UserName=one.name,
        UserIsRequestor="true" if one.requestor else "false",
        NetworkAccessPointID=one.address,
        NetworkAccessPointTypeCode=_access_point(one.address),
    )
    for role in one.roles:
        _code(element, "RoleIDCode", role)


def _access_point(address: str) -> str:
    if not address:
        return ""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return _MACHINE
    return _ADDRESS


def _object(root: ET.Element, thing: Object) -> None:
    element = _element(
        root,
        "ParticipantObjectIdentification",
        ParticipantObjectID=thing.id or "unknown",
        ParticipantObjectTypeCode=str(thing.kind),
        ParticipantObjectTypeCodeRole=str(thing.role or ""),
    )
    _code(element, "ParticipantObjectIDTypeCode", thing.id_type)
    _element(element, "ParticipantObjectName").text = clean_text(thing.name)
    for kind, text in thing.details:
        value = b64encode(clean_text(text, 2000).encode("utf-8", "backslashreplace")).decode("ascii")
        _element(element, "ParticipantObjectDetail", type=kind, value=value)
    if thing.classes:
        _description(element, thing)


def _description(element: ET.Element, thing: Object) -> None:
    described = _element(element, "ParticipantObjectDescription")
    for uid, count in thing.classes:
        _element(described, "SOPClass", UID=uid, NumberOfInstances=str(count))
    for name, value in (("Encrypted", thing.encrypted), ("Anonymized", thing.anonymized)):
        if value is not None:
            _element(described, name).text = "true" if value else "false"


def _code(parent: ET.Element, name: str, code: Code) -> None:
    values = {"csd-code": code.value, "codeSystemName": code.scheme, "displayName": code.meaning}
    _element(parent, name, **values, originalText=code.meaning)


def _element(parent: ET.Element, name: str, **attributes: str) -> ET.Element:
    """Add an element; attributes that are empty are left out."""
    return ET.SubElement(parent, name, {key: clean_text(value) for key, value in attributes.items() if value})
