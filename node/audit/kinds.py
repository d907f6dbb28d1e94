"""The audit messages that the node writes; `docs/audit.md` has them in a table.

Every text comes from the configuration, from the closed lists of the program, or is a pseudonym, a replaced UID, an id
of the node's own, an AE title or an address.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from node.audit.actor import Actor, host_name
from node.audit.messages import (
    MINOR_FAILURE,
    PATIENT_NUMBER,
    SERIOUS_FAILURE,
    SUCCESS,
    URI,
    Code,
    Message,
    Object,
    Participant,
    Source,
)

APPLICATION_ACTIVITY = Code("110100", "Application Activity")
AUDIT_LOG_USED = Code("110101", "Audit Log Used")
INSTANCES_ACCESSED = Code("110103", "DICOM Instances Accessed")
INSTANCES_TRANSFERRED = Code("110104", "DICOM Instances Transferred")
PATIENT_RECORD = Code("110110", "Patient Record")
SECURITY_ALERT = Code("110113", "Security Alert")

START, STOP = Code("110120", "Application Start"), Code("110121", "Application Stop")
NODE_AUTHENTICATION = Code("110126", "Node Authentication")
NETWORK_CONFIGURATION = Code("110128", "Network Configuration")
SECURITY_CONFIGURATION = Code("110129", "Security Configuration")
SOFTWARE_CONFIGURATION = Code("110131", "Software Configuration")
USER_AUTHENTICATION, LOGIN = Code("110114", "User Authentication"), Code("110122", "Login")
RESTRICTED_FUNCTION = Code("110132", "Use of Restricted Function")
USER_ATTRIBUTES = Code("110137", "User Security Attributes Changed")
RECORDING_STARTED = Code("110134", "Audit Recording Started")

_APPLICATION, _LAUNCHER = Code("110150", "Application"), Code("110151", "Application Launcher")
_SOURCE, _DESTINATION = Code("110153", "Source Role ID"), Code("110152", "Destination Role ID")
_STUDY, _NODE_ID = Code("110180", "Study Instance UID"), Code("110182", "Node ID")
_INSTANCE_ID = Code("instance-id", "Id of an instance in the node", "99DEIDNODE")
_REPLACEMENT = Code("replacement", "Pseudonym or replaced UID", "99DEIDNODE")
_PROJECT = Code("project", "Project whose maps it is about", "99DEIDNODE")
_ROUTE = Code("route", "Route of instances whose study has no replaced UID yet", "99DEIDNODE")

_PERSON, _SYSTEM = 1, 2
_PATIENT, _REPORT, _SECURITY_RESOURCE = 1, 3, 13
_STANDARD = "1.2.840.10008."
_MOST_PEERS = 20  # a receiver need not take more than 8 kB (RFC 5425 4.3.1)


@dataclass(frozen=True, slots=True)
class Peer:
    """A DICOM application on the other side: AE title and address, which may be empty."""

    ae_title: str
    address: str


@dataclass(frozen=True, slots=True)
class Study:
    """Instances of one study: its replaced UID and the pseudonym, where they are known; how many of each SOP class."""

    uid: str
    pseudonym: str
    classes: Mapping[str, int]
    route: str
    project: str


@dataclass(frozen=True, slots=True)
class Refused:
    """What a peer asked for and did not get, and how often."""

    kind: str
    peer: Peer
    called: str
    times: int


def node_itself(source: Source, *roles: Code, requestor: bool = False) -> Participant:
    """The node as a participant."""
    return Participant(source.id, f"AETITLES={source.ae_title}", "deid-node", requestor, roles, host_name())


def started(source: Source, by: Actor) -> Message:
    """The node has started (A.5.3.1)."""
    return _activity(source, START, by, SUCCESS, f"process {os.getpid()}")


def stopped(source: Source, by: Actor | None, clean: bool = True) -> Message:
    """The node has stopped (A.5.3.1); not in order where a later start found so."""
    if clean:
        return _activity(source, STOP, by, SUCCESS, "")
    return _activity(source, STOP, None, SERIOUS_FAILURE, "ended without being told to, before the start that follows")


def _activity(source: Source, kind: Code, by: Actor | None, outcome: int, description: str) -> Message:
    who = () if by is None else (by.participant(_LAUNCHER),)
    return Message(
        APPLICATION_ACTIVITY, "E", (node_itself(source, _APPLICATION), *who), (), (kind,), outcome, description
    )


def received(source: Source, peer: Peer, study: Study, called: str) -> Message:
    """A peer has sent instances, which the node has taken (A.5.3.7)."""
    here = Participant(source.id, f"AETITLES={called}", "deid-node", False, (_DESTINATION,), host_name())
    return _transferred((_application(peer, _SOURCE, requestor=True), here), study, encrypted=None, anonymized=False)


def sent(source: Source, name: str, peer: Peer, study: Study, *, calling: str, encrypted: bool) -> Message:
    """A destination, which the configuration calls `name`, has taken instances (A.5.3.7)."""
    here = Participant(source.id, f"AETITLES={calling}", "deid-node", True, (_SOURCE,), host_name())
    there = _application(peer, _DESTINATION, name=name)
    return _transferred((here, there), study, encrypted=encrypted, anonymized=True)


def _transferred(
    participants: tuple[Participant, ...], study: Study, *, encrypted: bool | None, anonymized: bool
) -> Message:
    details = tuple((kind, text) for kind, text in (("route", study.route), ("project", study.project)) if text)
    told: dict[str, int] = {}
    for uid, count in study.classes.items():
        # Private UIDs, and whatever a sender says instead of one, are not told.
        name = uid if uid.startswith(_STANDARD) else ""
        told[name] = told.get(name, 0) + count
    what = Object(
        _STUDY if study.uid else _ROUTE,
        study.uid or study.route,
        "study" if study.uid else "instances that are not cleaned",
        _SYSTEM,
        _REPORT,
        details,
        tuple(told.items()),
        encrypted,
        anonymized,
    )
    patient = (Object(PATIENT_NUMBER, study.pseudonym, "pseudonym", _PERSON, _PATIENT),) if study.pseudonym else ()
    return Message(INSTANCES_TRANSFERRED, "C", participants, (what, *patient))


def _application(peer: Peer, *roles: Code, requestor: bool = False, name: str = "") -> Participant:
    titles = f"AETITLES={peer.ae_title}" if peer.ae_title else ""
    return Participant(peer.ae_title or peer.address, titles, name, requestor, roles, peer.address)


def accessed(by: Actor, instance: str, action: str, description: str = "") -> Message:
    """Somebody has looked at what is known of an instance (R), or deleted it (D) (A.5.3.6)."""
    what = Object(_INSTANCE_ID, instance, "instance", _SYSTEM, _REPORT)
    return Message(INSTANCES_ACCESSED, action, (by.participant(),), (what,), description=description)


def identity_seen(by: Actor, pseudonym: str, project: str) -> Message:
    """Somebody has looked up whose pseudonym this is (Patient Record, 110110, which the standard leaves open)."""
    what = Object(PATIENT_NUMBER, pseudonym, "pseudonym", _PERSON, _PATIENT, (("project", project),))
    return Message(PATIENT_RECORD, "R", (by.participant(),), (what,))


def identities_seen(by: Actor, replacements: Sequence[str], project: str) -> list[Message]:
    """Somebody has looked up which originals these pseudonyms and UIDs stand for, or the other way; none was found."""
    details = (("project", project),)
    if not replacements:
        return [Message(PATIENT_RECORD, "R", (by.participant(),), (_project(project),), description="nothing found")]
    messages = []
    for start in range(0, len(replacements), _MOST_PEERS):
        some = [
            Object(_REPLACEMENT, one, "replacement", _PERSON, _PATIENT, details)
            for one in replacements[start : start + _MOST_PEERS]
        ]
        messages.append(Message(PATIENT_RECORD, "R", (by.participant(),), tuple(some)))
    return messages


def _project(name: str) -> Object:
    return Object(_NODE_ID, name, "project", _SYSTEM, _SECURITY_RESOURCE)


def maps_read(by: Actor, project: str, text: str) -> Message:
    """Somebody has read which patients or UIDs stand behind many replacements (Patient Record, as `identity_seen`)."""
    what = Object(_PROJECT, project, "maps of a project", _SYSTEM, _SECURITY_RESOURCE)
    return Message(PATIENT_RECORD, "R", (by.participant(),), (what,), description=text)


def crosswalk_changed(source: Source, by: Actor, project: str, text: str) -> Message:
    """Somebody has imported pairs, or made two ids one person (A.5.3.11); counts only."""
    return _alert(source, by, RESTRICTED_FUNCTION, (("project", project),), SUCCESS, f"crosswalk: {text}")


def log_used(source: Source, by: Actor) -> Message:
    """Somebody has read the audit log (A.5.3.2)."""
    what = Object(URI, f"urn:deid-node:audit:{source.id}", "Security Audit Log", _SYSTEM, _SECURITY_RESOURCE)
    return Message(AUDIT_LOG_USED, "R", (by.participant(),), (what,))


def signed_in(source: Source, by: Actor, *, well: bool) -> Message:
    """Somebody has signed in at the web page, or has tried to with a wrong password (A.5.3.12)."""
    outcome, text = (SUCCESS, "") if well else (MINOR_FAILURE, "name or password was wrong")
    return Message(USER_AUTHENTICATION, "E", (by.participant(), node_itself(source)), (), (LOGIN,), outcome, text)


def user_changed(source: Source, by: Actor, user: str, text: str) -> Message:
    """Somebody says who may use the web page, as what: adds or removes a user or a token (A.5.3.11)."""
    return _alert(source, by, USER_ATTRIBUTES, (("user", user),), SUCCESS, f"web page: {text}")


def configured(source: Source, by: Actor, config: str, recipes: Mapping[str, str], faults: int = 0) -> Message:
    """A configuration was taken, or refused for its faults (A.5.3.11); only its hash is told, and those of recipes."""
    details = (("configuration sha256", config), *((f"recipe of {name}", value) for name, value in recipes.items()))
    outcome, text = (SERIOUS_FAILURE, f"refused: {faults} faults") if faults else (SUCCESS, "taken")
    return _alert(source, by, SECURITY_CONFIGURATION, details, outcome, text)


def restricted(source: Source, by: Actor, text: str, instance: str = "") -> Message:
    """Somebody has done what needs a decision: let a finding of the gate go, made the ledger again (A.5.3.11)."""
    details = (("instance", instance),) if instance else ()
    return _alert(source, by, RESTRICTED_FUNCTION, details, SUCCESS, text)


def paused(source: Source, by: Actor, destination: str, *, is_paused: bool) -> Message:
    """Somebody has stopped, or resumed, sending to a destination (A.5.3.11)."""
    text = "sending paused" if is_paused else "sending resumed"
    return _alert(source, by, NETWORK_CONFIGURATION, (("destination", destination),), SUCCESS, text)


def stopped_all(source: Source, by: Actor, *, is_stopped: bool) -> Message:
    """Somebody has stopped sending to all destinations, or let it go on (A.5.3.11)."""
    text = "forwarding stopped" if is_stopped else "forwarding goes on"
    return _alert(source, by, NETWORK_CONFIGURATION, (("destination", "all"),), SUCCESS, text)


def sent_again(source: Source, by: Actor, destination: str, study: str, project: str, times: int) -> Message:
    """Somebody has let instances of a study be sent to a destination once more (A.5.3.11)."""
    details = (("destination", destination), ("project", project))
    told = _alert(source, by, RESTRICTED_FUNCTION, details, SUCCESS, f"{times} instances are sent again")
    return replace(told, objects=(*told.objects, Object(_STUDY, study, "study", _SYSTEM, _REPORT)))


def chain_broken(source: Source) -> Message:
    """The chain's end is not as it was left; a new part of it begins here (A.5.3.11)."""
    text = "the end of the audit log is not as the node left it; `audit verify` names what is wrong"
    return _alert(source, None, RECORDING_STARTED, (), SERIOUS_FAILURE, text)


def refused(source: Source, found: Sequence[Refused]) -> Message:
    """Peers asked for what they did not get, summed up (A.5.3.11)."""
    lines = [
        (f"refused {one.kind}", f"{one.times} times, to AE {one.called or '-'}")
        for one in sorted(found, key=lambda one: -one.times)[:_MOST_PEERS]
    ]
    peers: Iterable[Peer] = dict.fromkeys(one.peer for one in found)
    text = f"{sum(one.times for one in found)} refused"
    alert = _alert(source, None, NODE_AUTHENTICATION, tuple(lines), MINOR_FAILURE, text)
    others = tuple(_application(peer) for peer in list(peers)[:_MOST_PEERS])
    return Message(
        alert.event, alert.action, (*alert.participants, *others), alert.objects, alert.types, alert.outcome, text
    )


def _alert(
    source: Source, by: Actor | None, kind: Code, details: tuple[tuple[str, str], ...], outcome: int, text: str
) -> Message:
    who = () if by is None else (by.participant(),)
    what = Object(
        _NODE_ID, source.id, "deid-node", _SYSTEM, _SECURITY_RESOURCE, (("Alert Description", text), *details)
    )
    return Message(SECURITY_ALERT, "E", (node_itself(source), *who), (what,), (kind,), outcome, text)
