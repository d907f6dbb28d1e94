"""Child processes: each ends with its parent, ends in order on SIGTERM, and tells a fault by its exit code."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from node.config import LogSettings
from node.errors import NodeError, StartError
from node.log import event, setup_logging
from node.shared import Stop

LOGGER = logging.getLogger("node.children")

SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # what the parent waits for
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15

Work = Callable[[Stop], None]


def fork(label: str, logs: LogSettings, work: Work, niceness: int = 0) -> int:
    """Start a child that does `work` and ends; return its process id.

    Where the processors are short, others are preferred to it by `niceness` (nice(2)). SIGTERM sets the child's Stop,
    SIGUSR1 sets it for when everything open has ended.

    Raises
    ------
    OSError
        There is no room for a process.
    """
    me = os.getpid()
    pid = os.fork()
    if pid == 0:
        _be_a_child(me, label, logs, work, niceness)
    return pid


def run_to_its_end(job: Callable[[], None], logs: LogSettings) -> None:
    """Do `job` in a process of its own and wait for it.

    Raises
    ------
    StartError
        With the text of the NodeError that the job raised.
    """
    reader, writer = os.pipe()

    def work(_stop: Stop) -> None:
        os.close(reader)
        try:
            job()
        except NodeError as error:
            os.write(writer, str(error).encode())

    try:
        pid = fork("opening", logs, work)
    finally:
        os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        text = pipe.read().decode()
    _, status = os.waitpid(pid, 0)
    if text:
        raise StartError(text)
    if status:
        raise StartError("the spool or the ledger could not be opened; the log above has the traceback")


def send_signal(pid: int, number: int) -> None:
    """Signal a child, which may have ended meanwhile."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _be_a_child(parent: int, label: str, logs: LogSettings, work: Work, niceness: int) -> NoReturn:
    code = 1
    try:
        _die_with(parent)
        _be_called(label)
        os.nice(niceness)
        stop = Stop()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        signal.signal(signal.SIGUSR1, lambda *_: stop.when_done())
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        setup_logging(logs.format, logs.level, label)
        work(stop)
        code = 0
    except BaseException:  # noqa: BLE001 -- the process boundary: the exit code tells
        event(LOGGER, "failed", level=logging.CRITICAL, role=label, exc_info=True)
    finally:
        sys.stderr.flush()
        os._exit(code)


def _die_with(parent: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it was gone before it could be bound to


def _be_called(label: str) -> None:
    """Let ps, top and /proc/PID/comm show the role; without it all of them bear the supervisor's name."""
    ctypes.CDLL(None).prctl(_PR_SET_NAME, label.encode())
