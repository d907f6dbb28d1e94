"""Sending the study, as any modality does: one association, one C-STORE each.

Guarantees that what the peer answered is told as it was, and that no error holds a value of the study.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from node.dicomnet import RequestedAssociation, Timeouts, associate
from node.errors import NetworkError
from node.probe.study import Study
from node.tls import Security

_SUCCESS = 0x0000


@dataclass(frozen=True, slots=True)
class Door:
    """Where a study is sent, and as whom; `source` is the address of this machine that it comes from."""

    host: str
    port: int
    called_ae_title: str
    calling_ae_title: str
    source: str = ""
    tls: Security | None = None


@dataclass(slots=True)
class Sent:
    """What became of sending: how many were sent and acknowledged (0000H), what went wrong, how long it took."""

    sent: int = 0
    acknowledged: int = 0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


def send(study: Study, door: Door, seconds: float = 30.0) -> Sent:
    """Send a study; each step of the association has so many seconds. Never raises NetworkError."""
    result, began = Sent(), time.monotonic()
    try:
        association = associate(
            door.host,
            door.port,
            calling_ae_title=door.calling_ae_title,
            called_ae_title=door.called_ae_title,
            contexts=study.classes,
            timeouts=Timeouts(seconds, seconds, seconds),
            tls=door.tls,
            source=door.source,
        )
    except NetworkError as error:
        result.problems.append(f"no association: {error}")
        return result
    try:
        _store(study, association, result)
    except NetworkError as error:
        result.problems.append(f"the association was lost: {error}")
    association.release()
    result.seconds = time.monotonic() - began
    return result


def _store(study: Study, association: RequestedAssociation, result: Sent) -> None:
    for one in study.instances:
        context = association.find(one.sop_class_uid, one.transfer_syntax_uid)
        if context is None:
            result.problems.append(f"{one.label}: no presentation context was accepted")
            continue
        result.sent += 1
        answer = association.store(context, one.sop_class_uid, one.sop_instance_uid, -1, [one.encoded])
        if answer.status == _SUCCESS:
            result.acknowledged += 1
        else:
            result.problems.append(f"{one.label}: answered {answer.status:04X}H")
