"""The tables of docs/reference/conformance.md, from what the program does with each class, syntax, status and time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from pydicom._uid_dict import UID_dictionary
from pydicom.charset import python_encoding
from pydicom.uid import UID

from node import routing
from node.config.model import Destination, NodeSettings, ReceivingTimeouts, Timeout
from node.dicomnet import AcceptorLimits, Rejection, association
from node.dicomnet.negotiation import VERIFICATION, is_taken, preference
from node.dicomnet.requestor import MAX_CONTEXTS
from node.forwarder.outcome import DUPLICATE_SOP_INSTANCE, judge
from node.ledger.sending import Verdict
from node.objects.classes import DOCUMENTS, VOICES
from node.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from node.receiver import policy
from node.syntaxes import KNOWN, UNCOMPRESSED
from scripts.reference import notation
from scripts.reference.page import table

_PREFERENCE = ("first", "second", "third: lossless, as proposed", "fourth: nothing is known of it", "last: lossy")
_VERDICTS = {
    Verdict.DELIVERED: "delivered; a warning is kept with the delivery",
    Verdict.AGAIN: "tried again, with a growing delay (`retry`)",
    Verdict.REFUSED: "tried again up to `retry.refused_tries`, then held (`refused`)",
}


def tables() -> dict[str, str]:
    """Return each table by the name of its place in the page."""
    return {
        "implementation": _implementation(),
        "storage-classes": _storage_classes(),
        "transfer-syntaxes": _transfer_syntaxes(),
        "rejections": _rejections(),
        "answers": _answers(),
        "times": _times(),
        "character-sets": _character_sets(),
    }


def _implementation() -> str:
    rows = [
        ("Implementation Class UID", f"`{IMPLEMENTATION_CLASS_UID}`"),
        ("Implementation Version Name", f"`{IMPLEMENTATION_VERSION_NAME}`"),
        ("Maximum PDU that is offered, as acceptor and as requestor", f"{AcceptorLimits().max_pdu} bytes"),
        ("Presentation contexts in a request of the node's", f"at most {MAX_CONTEXTS}"),
    ]
    return table(("", ""), rows)


def storage_classes() -> list[tuple[str, str, bool]]:
    """Return name, UID and whether it is retired of each class of the standard that is taken, but for Verification."""
    return sorted(
        (UID(uid).name or "(without a name)", uid, "Retired" in retired)
        for uid, (_, _, _, retired, _) in UID_dictionary.items()
        if uid.startswith("1.2.840.10008.") and uid != VERIFICATION and is_taken(uid)
    )


def _storage_classes() -> str:
    special = dict.fromkeys(DOCUMENTS, "held by default (`documents`)") | dict.fromkeys(VOICES, "as documents")
    rows = [
        (name.removesuffix(" (Retired)"), f"`{uid}`", "retired" if retired else "", special.get(uid, ""))
        for name, uid, retired in storage_classes()
    ]
    return table(("SOP class", "UID", "status", "remark"), rows)


def _transfer_syntaxes() -> str:
    rows = []
    for uid, syntax in sorted(KNOWN.items(), key=lambda one: (preference(one[0]), one[0])):
        name = UID(uid).name
        kind = "deflated" if syntax.deflated else "lossy" if syntax.lossy else ""
        converted = "yes" if uid in UNCOMPRESSED else "inflated" if syntax.uid == "1.2.840.10008.1.2.1.99" else ""
        rows.append((name if name != uid else "(private)", f"`{uid}`", kind, _PREFERENCE[preference(uid)], converted))
    return table(("transfer syntax", "UID", "kind", "preference", "converted for a destination"), rows)


def rejections() -> set[tuple[int, int, int, str]]:
    """Return result, source, reason and text of each A-ASSOCIATE-RJ that the node gives."""
    found = (value for module in (routing, policy, association) for value in vars(module).values())
    kinds = (routing.Rejection, Rejection)
    return {(one.result, one.source, one.reason, one.text) for one in found if isinstance(one, kinds)}


def _rejections() -> str:
    results, sources = {1: "1 permanent", 2: "2 transient"}, {1: "1 user", 2: "2 provider (ACSE)", 3: "3 provider"}
    rows = ((results[a], sources[b], str(c), text) for a, b, c, text in sorted(rejections()))
    return table(("result", "source", "reason", "when"), rows)


def _answers() -> str:
    statuses = (status for status in range(0x10000) if status != DUPLICATE_SOP_INSTANCE)
    ranges: list[tuple[int, int, Verdict]] = []
    for verdict, found in groupby(statuses, lambda status: judge(status, offered_before=False)):
        members = list(found)
        ranges.append((members[0], members[-1], verdict))
    rows = []
    for verdict in (Verdict.DELIVERED, Verdict.AGAIN):
        named = [_range(least, most) for least, most, what in ranges if what is verdict]
        rows.append((", ".join(named), _VERDICTS[verdict]))
    duplicate = (
        "delivered where this content was sent there before, else held (`destination-has-another`); never overwritten"
    )
    rows.append((_range(DUPLICATE_SOP_INSTANCE, DUPLICATE_SOP_INSTANCE), duplicate))
    rows.append(("any other", _VERDICTS[Verdict.REFUSED]))
    return table(("status of the C-STORE-RSP", "what becomes of the delivery"), rows)


def _range(least: int, most: int) -> str:
    return f"{least:04X}H" if least == most else f"{least:04X}H to {most:04X}H"


def _times() -> str:
    rows = [
        *_of("node.timeouts", ReceivingTimeouts, {"acse": "acceptor: from the connection to A-ASSOCIATE-RQ (ARTIM)"}),
        *_of("destinations.NAME.timeout", Timeout, {}),
        _one("destinations.NAME", Destination, "linger", "requestor: how long an association stays open without work"),
        _one("node", NodeSettings, "max_associations", "acceptor: open associations of the whole node"),
        _one("destinations.NAME", Destination, "associations", "requestor: associations to a destination at a time"),
        _one("node", NodeSettings, "drain", "acceptor: how long open associations may go on after SIGTERM"),
    ]
    return table(("parameter", "default", "meaning"), rows)


def _of(section: str, model: Any, said: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    words = {
        "idle": "acceptor: between two messages",
        "transfer": "acceptor: for each 16 KiB of a message, and for a peer to take an answer",
        "connect": "requestor: for the TCP connection",
        "associate": "requestor: for the answer to A-ASSOCIATE-RQ",
        "response": "requestor: for the answer to a request, and for room to send",
    } | said
    return (_one(section, model, key, words[key]) for key in model.model_fields)


def _one(section: str, model: Any, key: str, meaning: str) -> tuple[str, str, str]:
    field = model.model_fields[key]
    kind = notation.words(field.annotation, tuple(field.metadata))
    return f"`{section}.{key}`", notation.default(field.default, kind), meaning


def _character_sets() -> str:
    terms = sorted(term for term in python_encoding if term)
    return "".join(f"- `{term}`\n" for term in terms)
