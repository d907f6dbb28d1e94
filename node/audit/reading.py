"""Entries of the chain as people and machines read them: what the XML says, in a few words."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET

from node.audit.chain import Entry

_OUTCOMES = {"0": "success", "4": "minor failure", "8": "serious failure", "12": "major failure"}


def told(entry: Entry) -> dict[str, Any]:
    """Return an entry as `audit list --json` prints it; one whose message is no XML any more says so."""
    at = datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="milliseconds")
    found: dict[str, Any] = {"seq": entry.seq, "at": at, "event": "unreadable"}
    try:
        # Entities are not expanded beyond what expat bounds, and the ledger is the node's own.
        root = ET.fromstring(entry.message)  # noqa: S314
    except ET.ParseError:
        return found | {"message": entry.message, "hash": entry.mac.hex()}
    event = root.find("EventIdentification")
    if event is not None:
        found |= {
            "event": _meaning(event, "EventID"),
            "type": _meaning(event, "EventTypeCode"),
            "action": event.get("EventActionCode"),
            "outcome": _OUTCOMES.get(event.get("EventOutcomeIndicator", ""), "unknown"),
            "description": event.findtext("EventOutcomeDescription"),
        }
    return found | {
        "who": [_participant(one) for one in root.findall("ActiveParticipant")],
        "what": [_object(one) for one in root.findall("ParticipantObjectIdentification")],
        "message": entry.message,
        "hash": entry.mac.hex(),
    }


def _participant(one: ET.Element) -> dict[str, Any]:
    return {
        "user": one.get("UserID"),
        "alternative": one.get("AlternativeUserID"),
        "name": one.get("UserName"),
        "role": _meaning(one, "RoleIDCode"),
        "address": one.get("NetworkAccessPointID"),
        "requestor": one.get("UserIsRequestor") == "true",
    }


def _object(one: ET.Element) -> dict[str, Any]:
    details = {
        detail.get("type", ""): b64decode(detail.get("value", "")).decode("utf-8", "replace")
        for detail in one.findall("ParticipantObjectDetail")
    }
    counts = [int(part.get("NumberOfInstances", "0")) for part in one.iter("SOPClass")]
    return {
        "kind": _meaning(one, "ParticipantObjectIDTypeCode"),
        "id": one.get("ParticipantObjectID"),
        "name": one.findtext("ParticipantObjectName"),
        "details": details,
        "instances": sum(counts) if counts else None,
    }


def _meaning(parent: ET.Element, name: str) -> str | None:
    code = parent.find(name)
    return None if code is None else code.get("displayName")
