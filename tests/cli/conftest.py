"""The command line inside the test's process: a process of its own costs more than most of what is tested."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from node.cli import run


@dataclass(frozen=True)
class Done:
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str


@pytest.fixture
def deid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> Iterator[Callable[..., Done]]:
    """Run `deid-node` with arguments, in `tmp_path`, without a configuration but what is named."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DEID_NODE_CONFIG", raising=False)

    def command(*arguments: object, gate: str | None = "report") -> Done:
        capfd.readouterr()
        if arguments[0] in ("clean", "preview") and gate is not None:
            # The small recipes here leave identity on purpose; what the gate does has tests of its own.
            arguments += ("--gate", gate)
        code = run([str(argument) for argument in arguments])
        return Done(code, *capfd.readouterr())

    with _process_as_it_was():
        yield command


@contextlib.contextmanager
def _process_as_it_was() -> Iterator[None]:
    """Undo what a command changes in its process: logging, hooks, warnings."""
    root, own = logging.getLogger(), logging.getLogger("node")
    before = root.handlers[:], root.level, own.level, logging.raiseExceptions
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    with warnings.catch_warnings():
        try:
            yield
        finally:
            logging.captureWarnings(False)
            root.handlers[:], root.level, own.level, logging.raiseExceptions = before
            sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
