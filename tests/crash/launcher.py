"""`deid-node` with a death at one exact point: `launcher.py POINT N WHO COUNTER serve --config …`.

The N-th time that any process of the node comes to POINT, that process ends itself with SIGKILL (WHO is `child`),
or the supervisor and itself (`node`), so that nothing gets a chance to tidy up. COUNTER is a file that counts across
processes and restarts, so that each death happens once. Nothing of the node is replaced: calls are passed on as is.
`clean:UID` is the point where that very instance is about to be cleaned, and every call up to the N-th is deadly.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from node.cleaner.cleaning import Cleaning
from node.cli import main
from node.dicomnet.association import AcceptedAssociation
from node.dicomnet.requestor import RequestedAssociation
from node.ledger.cleaning import CleaningLedger
from node.ledger.reception import GroupCommit
from node.ledger.sending import SendingLedger
from node.receiver.writer import SpoolWriter
from node.spool import Spool

BEFORE, AFTER = "before", "after"

# Where each point lies: the class, its method, and on which side of the call.
POINTS: dict[str, tuple[type, str, str]] = {
    "data-partly-written": (SpoolWriter, "write", AFTER),
    "data-written": (Spool, "publish_original", BEFORE),
    "original-durable": (Spool, "publish_original", AFTER),
    "row-committed": (GroupCommit, "add", AFTER),
    "answer-due": (AcceptedAssociation, "_respond", BEFORE),
    "answered": (AcceptedAssociation, "_respond", AFTER),
    "claimed": (CleaningLedger, "claim", AFTER),
    "clean-written": (Spool, "publish_cleaned", BEFORE),
    "clean-durable": (Spool, "publish_cleaned", AFTER),
    "in-the-commit": (CleaningLedger, "_settle", AFTER),
    "deliveries-committed": (CleaningLedger, "settle", AFTER),
    "offered": (SendingLedger, "claim", AFTER),
    "destination-answered": (RequestedAssociation, "store", AFTER),
    "delivery-settled": (SendingLedger, "settle", AFTER),
}


def die(who: str) -> None:
    if who == "node":
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def count(file: str) -> int:
    """How often the point was come to, by all processes together, this time included."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, b".")
    place = os.lseek(descriptor, 0, os.SEEK_CUR)
    os.close(descriptor)
    return place


def arm(point: str, number: int, who: str, counter: str) -> None:
    place, method, side = POINTS[point]
    real: Callable[..., Any] = getattr(place, method)

    def deadly(*arguments: Any, **named: Any) -> Any:
        if side == BEFORE and count(counter) == number:
            die(who)
        result = real(*arguments, **named)
        # A claim of nothing is not one, and neither are files put in place where there are none.
        if side == AFTER and result != [] and {} not in arguments and count(counter) == number:
            die(who)
        return result

    setattr(place, method, deadly)


def arm_instance(uid: str, number: int, who: str, counter: str) -> None:
    real = Cleaning.clean

    def deadly(self: Cleaning, claimed: Any) -> Any:
        if claimed.sop_instance_uid == uid and count(counter) <= number:
            die(who)
        return real(self, claimed)

    Cleaning.clean = deadly  # type: ignore[method-assign]


if __name__ == "__main__":
    where, times, dying, counting, *rest = sys.argv[1:]
    if where.startswith("clean:"):
        arm_instance(where.removeprefix("clean:"), int(times), dying, counting)
    else:
        arm(where, int(times), dying, counting)
    sys.argv[1:] = rest
    sys.exit(main())
