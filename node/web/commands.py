"""The node's own commands, each in a process of its own, for what this process must not do itself.

What needs the secret, opens a data set or may take long is a command of `deid-node` already. Running it keeps keys and
decoders out of the process that the network reaches, and gives each piece of work limits of its own: whatever a file
does to its parser ends with the command.

Guarantees
    What is given to a command is in memory that has no name, its arguments too: everybody on the machine can read a
    command line. A command has at most so much memory, processor time and
    time, and few run at once. What it writes is read up to a limit. Its messages, which hold no values, are passed on.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from node.audit.actor import ON_BEHALF
from node.errors import CommandFailed
from node.log import clean_text

AT_ONCE = 2
_SECONDS = 60.0
_WAIT_SECONDS = 15.0
_MEMORY = 3 << 30
_FILE = 2 << 30
_MOST_OUTPUT = 64 << 20
_MOST_MESSAGE = 1 << 20
_USAGE = 2
# The command line of `deid-node`, whose arguments come by stdin. No module is taken from the working directory.
_COMMAND = (sys.executable, "-P", "-c", "import json, sys, node.cli; sys.exit(node.cli.run(json.load(sys.stdin)))")
_IN_MEMORY = Path("/dev/shm")  # noqa: S108 — where it is there, nothing that a command unpacks touches a disk


@dataclass(frozen=True, slots=True)
class Given:
    """A file that a command gets: its option or place in the arguments is `name`, which messages call it too."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command did: its exit code, what it printed, and its messages."""

    code: int
    output: bytes
    messages: str

    def json(self) -> Any:
        """What it printed as JSON. Raises CommandFailed, with its messages, where it is none."""
        try:
            return json.loads(self.output)
        except ValueError:
            raise CommandFailed(self.messages or "the command ended without an answer") from None


class Commands:
    """Runs commands with the configuration at `config`; safe to be used by several threads."""

    def __init__(self, config: Path) -> None:
        self._config = Path(os.path.abspath(config))
        self._places = threading.BoundedSemaphore(AT_ONCE)

    def run(self, arguments: Sequence[str], files: Sequence[Given] = (), on_behalf: str = "") -> Ended:
        """Run `deid-node` with `arguments`, of which those that are the name of one of `files` become that file.

        `on_behalf` names the user in the audit trail.

        Raises
        ------
        CommandFailed
            There is no room for it, or it took too long, or too much.
        """
        if not self._places.acquire(timeout=_WAIT_SECONDS):
            raise CommandFailed("too much is asked for at once: try again in a minute")
        try:
            with contextlib.ExitStack() as open_ones:
                paths = {file.name: open_ones.enter_context(_in_memory(file.content)) for file in files}
                return self._run(arguments, paths, on_behalf)
        finally:
            self._places.release()

    def _run(self, arguments: Sequence[str], files: Mapping[str, int], on_behalf: str) -> Ended:
        paths = {name: f"/proc/self/fd/{descriptor}" for name, descriptor in files.items()}
        named = ["--config", str(self._config), *(paths.get(argument, argument) for argument in arguments)]
        with (
            _in_memory(json.dumps(named).encode()) as given,
            tempfile.TemporaryFile(dir=working_folder()) as out,
            tempfile.TemporaryFile(dir=working_folder()) as err,
        ):
            code = _until_it_ends((given, out, err), tuple(files.values()), _environment(on_behalf))
            output, messages = _read(out, _MOST_OUTPUT), _read(err, _MOST_MESSAGE).decode(errors="replace")
        for name, path in paths.items():
            messages = messages.replace(path, name)
        told = "\n".join(clean_text(line.removeprefix("deid-node: "), 1000) for line in messages.splitlines())
        if code == _USAGE or (code < 0 and not told):
            told = told or "the file took more memory or time than it may have"
        return Ended(code, output, told)


def _until_it_ends(
    streams: tuple[int, IO[bytes], IO[bytes]], descriptors: tuple[int, ...], environment: Mapping[str, str]
) -> int:
    try:
        process = subprocess.Popen(
            _COMMAND,
            stdin=streams[0],
            stdout=streams[1],
            stderr=streams[2],
            pass_fds=descriptors,
            env=environment,
            cwd="/",
        )
    except OSError as error:
        raise CommandFailed(f"there is no room for a process ({error.strerror})") from None
    try:
        _limit(process.pid)
        return process.wait(_SECONDS)
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"it took more than {_SECONDS:g} s") from None
    finally:
        process.kill()
        process.wait()


def _limit(process: int) -> None:
    limits = (
        (resource.RLIMIT_AS, _MEMORY),
        (resource.RLIMIT_CPU, int(_SECONDS)),
        (resource.RLIMIT_FSIZE, _FILE),
        (resource.RLIMIT_CORE, 0),
    )
    with contextlib.suppress(ProcessLookupError):
        for kind, most in limits:
            resource.prlimit(process, kind, (most, most))


def _environment(on_behalf: str) -> dict[str, str]:
    # The configuration may name any variable; what Python itself goes by is this process's own.
    added = {"TMPDIR": str(working_folder()), "COLUMNS": "200"}
    if on_behalf:
        added[ON_BEHALF] = f", for {on_behalf}"
    return {**os.environ, **added}


def working_folder() -> Path:
    """Where commands unpack what is too large for them: in memory, where the system has such a folder."""
    return _IN_MEMORY if _IN_MEMORY.is_dir() else Path(tempfile.gettempdir())


@contextlib.contextmanager
def _in_memory(content: bytes) -> Iterator[int]:
    """A file in memory that ends with its descriptor, and that nobody changes any more."""
    descriptor = os.memfd_create("given", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _read(file: IO[bytes], most: int) -> bytes:
    file.seek(0)
    content = file.read(most + 1)
    if len(content) > most and most == _MOST_OUTPUT:
        raise CommandFailed("there is more to show than a page can hold")
    return content[:most]
