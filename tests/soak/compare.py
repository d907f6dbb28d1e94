"""Sender, ledger and sinks, held against one another; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.soak.harvest import Arrived
from tests.soak.stock import BROKEN, CUT_OFF, MISMATCH, NOBODY, PLAIN, UNWANTED, Item, number_of

_ALWAYS = {"poison"}  # a process that was killed twice with the same instance in hand
_REASONS = {
    NOBODY: {"no-patient-id"},
    BROKEN: {"unparsable", "empty"},
    MISMATCH: {"uid-mismatch", "unparsable"},
}


@dataclass(frozen=True)
class Row:
    """An instance as the ledger has it."""

    uid: str
    called: str
    outcome: str
    reason: str | None
    replaced: str | None
    digest: bytes
    deliveries: Mapping[str, str] = field(default_factory=dict)


def differences(
    acknowledged: Mapping[Item, int],
    sent: Mapping[Item, bool],
    digests: Mapping[Item, bytes],
    rows: Sequence[Row],
    sinks: Mapping[str, Mapping[str, Arrived]],
) -> list[str]:
    """Return what does not fit, without a UID; nothing where each acknowledged instance is where the ledger says.

    `sent` says which items were sent only byte for byte; of these `digests` has what was sent.
    """
    by_uid = {(item.uid, item.called): item for item in sent}
    of_item: dict[Item, list[Row]] = {}
    found: list[str] = []
    for row in rows:
        item = by_uid.get((row.uid, row.called))
        if item is None:
            found.append("the ledger has an instance that nobody sent")
        else:
            of_item.setdefault(item, []).append(row)
    for item, times in acknowledged.items():
        if len(of_item.get(item, ())) < times:
            found.append(f"{_name(item)}: acknowledged {times} times, {len(of_item.get(item, ()))} rows")
    for item, some in of_item.items():
        found += [f"{_name(item)}: {what}" for what in _of_item(item, some, digests if sent[item] else {}, sinks)]
    return found + list(_at_sinks(rows, sinks))


def _name(item: Item) -> str:
    return f"number {item.number} ({item.kind}, {item.called})"


def _of_item(
    item: Item, rows: Sequence[Row], digests: Mapping[Item, bytes], sinks: Mapping[str, Mapping[str, Arrived]]
) -> Iterator[str]:
    if item.kind == CUT_OFF:
        yield "was never sent whole, and is in the ledger"
    if item in digests and {row.digest for row in rows} != {digests[item]}:
        yield "was received with other bytes than were sent"
    if len({row.replaced for row in rows if row.replaced is not None}) > 1:
        yield "has two replaced UIDs"
    for row in rows:
        if not _is_right(item.kind, row, repeated=len(rows) > 1):
            yield f"is {row.outcome} ({row.reason})"
        for destination, state in row.deliveries.items():
            arrived = sinks[destination].get(str(row.replaced))
            if state == "delivered" and (arrived is None or arrived.numbers != {item.number}):
                yield f"delivered to {destination}, which does not have it"


def _is_right(kind: str, row: Row, *, repeated: bool) -> bool:
    """Whether this may become of an instance of this kind; in the end nothing is in flight."""
    if row.outcome == "discarded" or row.reason in _ALWAYS:
        return True
    if kind == UNWANTED or row.outcome == "excluded":
        return row.outcome == "excluded" and (kind == UNWANTED or repeated)
    if kind == PLAIN:
        return row.outcome == "delivered" or (row.outcome == "held" and "held" in row.deliveries.values())
    return row.outcome == "held" and row.reason in _REASONS.get(kind, ())


def _at_sinks(rows: Sequence[Row], sinks: Mapping[str, Mapping[str, Arrived]]) -> Iterator[str]:
    """What lies at a sink has to be of a row that was meant for it, and always the same."""
    meant = {(destination, row.replaced): number_of(row.uid) for row in rows for destination in row.deliveries}
    for name, found in sinks.items():
        for uid, arrived in found.items():
            if (name, uid) not in meant:
                yield f"{name} has an instance that was not meant for it"
            elif arrived.numbers != {meant[name, uid]}:
                yield f"{name} has other pixels under the UID of number {meant[name, uid]}"
            if len(arrived.digests) > 1:
                yield f"{name} has two contents of number {sorted(arrived.numbers)}"


def summary(rows: Sequence[Row]) -> Counter[str]:
    """How many rows there are of each outcome."""
    return Counter(row.outcome for row in rows)
