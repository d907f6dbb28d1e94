"""Notice of loss at the edge: what senders asked the node for, and the node destinations, and did not get; and why.

Guarantees that nothing is changed by it, and that it says what to change on which side. What peers call themselves, and
UIDs of their own, stand in what `refused` returns, as in `status`; not in `named_sender` and `name_of_class` where
private UIDs are not wanted, which are for texts that leave the node.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydicom.uid import UID
from sqlalchemy import func, select

from node.admission import Advice, Refused
from node.config import Config
from node.dicomnet.negotiation import is_taken
from node.errors import HoldReason
from node.ledger.database import Database
from node.ledger.reception import CONTEXT
from node.ledger.schema import deliveries, instances, refusals
from node.ledger.times import iso
from node.ledger.transactions import Row

_STANDARD = "1.2.840.10008."
_UID = re.compile(r"(?=.{1,64}\Z)[0-9]+(\.[0-9]+)*\Z")
_ROOT_PARTS = 6  # 1.3.46.670589.11 and the like: enough to find whose it is

# What the node does not offer, by the beginnings of UIDs (PS3.4, PS3.6 Annex A): its name, what it means that it was
# refused, what to change.
_SERVICES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("1.2.840.10008.1.20.",),
        "storage commitment: no image is lost by it, but the sender may keep images until it is confirmed",
        "switch storage commitment off for this node in the sender's settings, or read docs/commitment.md",
    ),
    (
        ("1.2.840.10008.5.1.4.1.2.", "1.2.840.10008.5.1.4.38.", "1.2.840.10008.5.1.4.39.", "1.2.840.10008.5.1.4.4"),
        "query and retrieve: no image is lost by it",
        "switch query/retrieve off for this node in the sender's settings",
    ),
    (
        ("1.2.840.10008.5.1.4.31", "1.2.840.10008.5.1.4.32", "1.2.840.10008.5.1.4.34"),
        "worklists and procedure steps: no image is lost by it",
        "have the sender ask another node for its worklist",
    ),
    (
        ("1.2.840.10008.3.1.2.3.",),
        "modality performed procedure steps: no image is lost by it",
        "have the sender report procedure steps to another node",
    ),
    (
        ("1.2.840.10008.5.1.1.",),
        "print: no image is lost by it, but films are not printed here",
        "have the sender print elsewhere",
    ),
)


def refused(database: Database, config: Config) -> dict[str, Any]:
    """Return what was refused, as `deid-node refused --json` prints it. Raises LedgerError.

    `senders`: by calling AE title, the presentation contexts that the node refused, and all else. `destinations`: by
    name, what they refused to take.
    """
    with database.read() as connection:
        rows = connection.execute(select(refusals).where(refusals.c.n > 0).order_by(refusals.c.last_at.desc())).all()
        sent = connection.execute(_UNSENT).all()
    advice = Advice(config) if any(row.kind != CONTEXT for row in rows) else None
    senders: dict[str, dict[str, Any]] = {}
    for row in rows:
        place = senders.setdefault(
            row.calling_ae_title, {"calling_ae_title": row.calling_ae_title, "contexts": [], "others": []}
        )
        if row.kind == CONTEXT:
            place["contexts"].append(_where(row) | explain_context(row.uid, row.syntaxes))
        elif advice is not None:
            asked = Refused(row.kind, row.calling_ae_title, row.called_ae_title, row.address, row.uid)
            others = {"kind": row.kind, "certificate": row.uid, "change": advice.of(asked)}
            place["others"].append(_where(row) | others)
    return {"senders": list(senders.values()), "destinations": list(_destinations(sent, config))}


def explain_context(uid: str, syntaxes: str | None = None) -> dict[str, Any]:
    """Return why a presentation context was refused, and what to change.

    `uid` is its abstract syntax, `syntaxes` its transfer syntaxes, separated by blanks; None where they are not known.
    """
    why, change, loses = _why(uid)
    names = None if syntaxes is None else [_name_of_syntax(one) for one in syntaxes.split()]
    return {
        "uid": uid,
        "name": name_of_class(uid),
        "transfer_syntaxes": names,
        "images_lost": loses,
        "why": why,
        "change": change,
    }


def _why(uid: str) -> tuple[str, str, bool]:
    if not uid:
        return "the proposal names no SOP class", "tell the maker of the sender: PS3.8 9.3.2.2 asks for one", True
    if not _UID.match(uid):
        return "what it names is no UID", "tell the maker of the sender: PS3.5 9.1 says what a UID is", True
    if is_taken(uid):
        return (
            "no transfer syntax was proposed with it",
            "tell the maker of the sender: PS3.8 9.3.2.2 asks for at least one",
            True,
        )
    for beginnings, why, change in _SERVICES:
        if uid.startswith(beginnings):
            return f"the node does not offer {why}", change, False
    if not _known(uid):
        return (
            "the standard's edition that this version knows has no storage class of this UID",
            "look into the sender's conformance statement; if it is a storage class, its instances never came",
            True,
        )
    return (
        "it is no storage class: the node takes instances by C-STORE, and C-ECHO",
        "nothing, where the sender sends its images all the same; else look into its conformance statement",
        False,
    )


def name_of_class(uid: str, *, private_uids: bool = True) -> str:
    """Return what the standard calls a SOP class; of a private one the root, or without `private_uids` that alone."""
    if not uid:
        return "no SOP class"
    if name := _known(uid):
        return name
    if uid.startswith(_STANDARD):
        return "SOP class that is not known"
    if not private_uids or not _UID.match(uid):
        return "private SOP class"
    return f"private SOP class of root {'.'.join(uid.split('.')[:_ROOT_PARTS])}"


def _name_of_syntax(uid: str) -> str:
    return _known(uid) or f"unknown ({uid})"


def _known(uid: str) -> str:
    """What the dictionary calls a UID; empty where it has none, or no name for it. Peers send what is no UID, too."""
    name = UID(uid).name if _UID.match(uid) else ""
    return "" if name == uid else name


def named_sender(config: Config, calling_ae_title: str) -> str | None:
    """Return an AE title where the configuration has it in full, which then is nobody's invention; else None."""
    titles = (title for route in config.routes for title in route.from_.calling_ae or ())
    return calling_ae_title if "*" not in calling_ae_title and calling_ae_title in titles else None


def _where(row: Row) -> dict[str, Any]:
    return {
        "called_ae_title": row.called_ae_title,
        "address": row.address,
        "times": row.n,
        "since": iso(row.first_at),
        "last": iso(row.last_at),
    }


def _destinations(rows: list[Row], config: Config) -> Iterator[dict[str, Any]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        name, syntax = name_of_class(row.uid), _name_of_syntax(row.syntax)
        asked = f"{name}" if row.reason == HoldReason.CLASS_REFUSED else f"{name} in {syntax}"
        change = f"have it accept {asked}; then: deid-node held release --all --reason {row.reason}"
        found.setdefault(row.destination, []).append(
            {
                "uid": row.uid,
                "name": name,
                "transfer_syntax": syntax,
                "reason": row.reason,
                "instances": row.n,
                "since": iso(row.since),
                "last": iso(row.last),
                "change": change,
            }
        )
    for destination, classes in found.items():
        known = config.destinations.get(destination)
        title = None if known is None else known.ae_title
        yield {"destination": destination, "ae_title": title, "classes": classes}


_UNSENT = (
    select(
        deliveries.c.destination,
        deliveries.c.reason,
        instances.c.clean_sop_class_uid.label("uid"),
        instances.c.clean_transfer_syntax_uid.label("syntax"),
        func.count().label("n"),
        func.min(deliveries.c.changed_at).label("since"),
        func.max(deliveries.c.changed_at).label("last"),
    )
    .join(instances, instances.c.seq == deliveries.c.instance)
    .where(deliveries.c.state == "held")
    .where(deliveries.c.reason.in_([str(HoldReason.CLASS_REFUSED), str(HoldReason.SYNTAX_REFUSED)]))
    .group_by(
        deliveries.c.destination,
        deliveries.c.reason,
        instances.c.clean_sop_class_uid,
        instances.c.clean_transfer_syntax_uid,
    )
    .order_by(deliveries.c.destination, func.min(deliveries.c.changed_at))
)
