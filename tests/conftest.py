"""Peers as they are meant: DCMTK's programs, and pynetdicom without a race of its own.

A virtual environment that is active puts pynetdicom's own `storescp` and `storescu` before DCMTK's: here it comes last.

pynetdicom's association has a thread that takes messages from the same queue as `send_c_store` and `release` do, and
is told to pause by an event. It counts as paused already while it is about to pass that event: then it takes the answer
that the caller waits for, and throws it away. Here the caller waits until the thread really stands.
"""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import settings
from pynetdicom.association import Association

_OWN = str(Path(sys.executable).parent)
_PATH = os.environ.get("PATH", os.defpath).split(os.pathsep)
if _OWN in _PATH:
    os.environ["PATH"] = os.pathsep.join([*(one for one in _PATH if one != _OWN), _OWN])


# How long an example takes is the machine's affair.
settings.register_profile("busy machine", deadline=None)
settings.load_profile("busy machine")


def _pausing(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def careful(self: Association, *arguments: Any, **named: Any) -> Any:
        checkpoint = self._reactor_checkpoint
        checkpoint.clear()
        while self.is_established and self.is_alive() and not checkpoint._cond._waiters:
            time.sleep(0.0005)
        return real(self, *arguments, **named)

    return careful


for _name in ("send_c_store", "send_c_echo", "send_n_action", "send_n_event_report", "release"):
    setattr(Association, _name, _pausing(getattr(Association, _name)))
