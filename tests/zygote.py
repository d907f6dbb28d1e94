"""Commands of the node in processes of their own, without the second that each would spend on imports.

A helper process imports the package once, reads its tables, and forks for each command. The fork has its own standard
streams, folder and environment and runs what `python -m node …` runs; only the start of the interpreter is left out,
which the tests of the shipped commands (`tests/cli/test_wheel.py`, `tests/process/test_start.py`) do not leave out.
"""

from __future__ import annotations

import array
import gc
import importlib
import json
import os
import random
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
_MESSAGE = 1 << 20


# -- the side of the tests -------------------------------------------------------------------------------------------


class Process:
    """A command that runs; as much of `subprocess.Popen` as the tests use."""

    def __init__(self, args: list[str], pid: int, status: int) -> None:
        self.args = args
        self.pid = pid
        self.returncode: int | None = None
        self._status = status

    def __del__(self) -> None:
        if self._status >= 0:
            os.close(self._status)

    def poll(self) -> int | None:
        """The exit code, or None while it runs; minus the signal that ended it."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended."""
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None and self._said(timeout):
            text = os.read(self._status, 64)
            assert text, "the zygote ended"
            self.returncode = os.waitstatus_to_exitcode(int(text))
        return self.returncode

    def _said(self, timeout: float | None) -> bool:
        waiting = select.poll()  # select() knows only descriptors below 1024
        waiting.register(self._status, select.POLLIN)
        return bool(waiting.poll(None if timeout is None else timeout * 1000))


class Zygote:
    """The helper process; started at the first command."""

    def __init__(self) -> None:
        self._channel: socket.socket | None = None

    def spawn(self, args: list[str], *, stdout: int, stderr: int, cwd: Path | str, env: dict[str, str]) -> Process:
        """Run `args`, which begins with `python -m node` or `python PATH`."""
        channel = self._channel or self._start()
        read, write = os.pipe()
        nothing = os.open(os.devnull, os.O_RDONLY)
        try:
            message = json.dumps({"args": args[1:], "cwd": str(cwd), "env": env}).encode()
            socket.send_fds(channel, [message], [nothing, stdout, stderr, write])
            pid = int(channel.recv(64))
        finally:
            os.close(write)
            os.close(nothing)
        return Process(args, pid, read)

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        subprocess.Popen(
            [sys.executable, "-m", "tests.zygote", str(theirs.fileno())], cwd=REPOSITORY, pass_fds=[theirs.fileno()]
        )
        theirs.close()
        self._channel = ours
        return ours


ZYGOTE = Zygote()


def run(args: list[str], *, cwd: Path | str, env: dict[str, str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return what it printed; as `subprocess.run` does with text."""
    out, error = os.memfd_create("out"), os.memfd_create("error")
    try:
        process = ZYGOTE.spawn(args, stdout=out, stderr=error, cwd=cwd, env=env)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return subprocess.CompletedProcess(args, code, _text(out), _text(error))
    finally:
        os.close(out)
        os.close(error)


def _text(file: int) -> str:
    return os.pread(file, os.fstat(file).st_size, 0).decode("utf-8")


# -- the side of the helper process ----------------------------------------------------------------------------------


def serve(channel: socket.socket) -> None:
    """Fork for each request until the tests' process is gone; tell the exit status of each command."""
    wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _signal, _frame: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([channel, wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
            _reap(told)
        if channel in ready:
            message, streams, _, _ = socket.recv_fds(channel, _MESSAGE, 4)
            if not message:
                return
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                for descriptor in (channel.detach(), wake, waker, streams[3], *told.values()):
                    os.close(descriptor)
                _become(json.loads(message), streams[:3])
            told[pid] = streams[3]
            for descriptor in streams[:3]:
                os.close(descriptor)
            channel.send(str(pid).encode())


def _reap(told: dict[int, int]) -> None:
    while told:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        os.write(told[pid], str(status).encode())
        os.close(told.pop(pid))


def _become(request: dict[str, Any], streams: list[int]) -> None:
    """Run the command and end; never returns."""
    code: Any = 1
    try:
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.chdir(request["cwd"])
        os.umask(0o022)  # as a login shell has it, whatever ran in the tests' process before
        os.environ.clear()
        os.environ.update(request["env"])
        time.tzset()
        random.seed()
        code = _run(request["args"])
    except SystemExit as error:
        code = error.code
    except BaseException:  # noqa: BLE001 -- the boundary of the process
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _run(args: list[str]) -> int:
    if args[:2] == ["-m", "node"]:
        from node.cli import main

        sys.argv = ["deid-node", *args[2:]]
        main()
    else:
        sys.argv = args
        runpy.run_path(args[0], run_name="__main__")
    return 0


def _import_all() -> None:
    """What the commands import, and the children of a node."""
    for name in (
        "encodings.ascii",
        "encodings.idna",
        "encodings.utf_8_sig",
        "importlib.readers",
        "node.cli",
        "node.cli.faults",
        "node.cleaner.worker",
        "node.committer.worker",
        "node.forwarder.worker",
        "node.ledger.migrate",
        "node.rebuild",
        "node.receiver.worker",
        "node.recipe.siblings",
        "node.sink",
        "node.serving",
        "node.supervisor",
    ):
        importlib.import_module(name)


def _read_tables() -> None:
    """Fill what the package reads from files once for a process, and keeps: tables, words, compiled patterns."""
    from node.recipe import load_recipe, shipped_recipe

    text = shipped_recipe("research")
    assert text is not None
    load_recipe([text])
    # Nothing of all that is garbage; a fork that looked for some would write to every page of it.
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    _import_all()
    _read_tables()
    serve(socket.socket(fileno=array.array("i", [int(sys.argv[1])])[0]))
