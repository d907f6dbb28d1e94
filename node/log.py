"""Logs: one line per event on stderr, without any value of a data set.

Guarantees: every line is one line (control characters are escaped, long texts cut), has a UTC time in milliseconds, and
carries only what the node's own code put into it. What other libraries say is replaced by where they said it, since
their texts quote data sets: pydicom's warnings carry values, a traceback's last line repeats what could not be parsed.
Of an exception the types and the places stay; its text only where it is a `NodeError`, whose texts hold no values.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from node.errors import NodeError

OWN = "node"
MAX_TEXT = 300
MAX_FRAMES = 12
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
STDERR = 2

_FIELDS = "node_fields"
_PACKAGE = Path(__file__).resolve().parent.parent
_OF_EACH_LINE = frozenset({"time", "level", "process", "event"})
_json_text = json.encoder.encode_basestring  # in double quotes, escaped; beyond ASCII as it is


def setup_logging(format: Literal["human", "json"], level: str, role: str) -> None:  # noqa: A002 — the configuration's word
    """Send all logging of this process to stderr, and quiet everything that would write values.

    Parameters
    ----------
    format
        `human` for `key=value` lines, `json` for one JSON object a line.
    level
        `debug`, `info`, `warning` or `error`, for the node's own events. Others are held to warnings.
    role
        What this process is, as each line names it.
    """
    handler = _Handler(format == "json", role)
    root = logging.getLogger()
    for present in root.handlers[:]:
        root.removeHandler(present)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger(OWN).setLevel(LEVELS[level])
    # A handler that fails prints the record with its arguments; losing a line is better.
    logging.raiseExceptions = False
    # None of them is in a line, and finding them out for each takes longer than the rest.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    _catch_the_rest(logging.getLogger(OWN))


def event(logger: logging.Logger, name: str, level: int = logging.INFO, **fields: object) -> None:
    """Log one event: a short name, and fields that are ids, counts, names of the configuration, never values.

    `exc_info=…` adds an exception, as it does in the standard library.
    """
    if not logger.isEnabledFor(level):
        return
    if "exc_info" in fields:
        exception: Any = fields.pop("exc_info")
        logger.log(level, "%s", name, extra={_FIELDS: fields}, exc_info=exception)
        return
    logger.handle(_Event(logger.name, level, name, fields))


class _Event(logging.LogRecord):
    """An event as the standard library's handlers take it, at a third of the cost of its own records.

    Those look for the line of the caller, its thread and its process, which the node's lines do not name.
    """

    def __init__(self, logger: str, level: int, name: str, fields: dict[str, object]) -> None:
        now = time.time()
        self.__dict__ = {
            **_UNKNOWN,
            "name": logger,
            "levelno": level,
            "levelname": logging.getLevelName(level),
            "msg": "%s",
            "args": (name,),
            "created": now,
            "msecs": now % 1 * 1000,
            _FIELDS: fields,
        }


_UNKNOWN = vars(logging.LogRecord("", 0, "", 0, "", (), None))


def clean_text(text: object, limit: int = MAX_TEXT) -> str:
    """Return a text on one line: control characters and line separators escaped, cut at `limit` characters.

    Peers choose their AE titles; without this they could write lines of their own into the log.
    """
    plain = str(text)
    cut = plain if len(plain) <= limit else plain[: limit - 1] + "…"
    if cut.isprintable():
        return cut
    return "".join(character if character.isprintable() else _escaped(character) for character in cut)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def describe_exception(error: BaseException) -> str:
    """Return the types of an exception and of what caused it, the innermost last; texts only of a `NodeError`."""
    return " < ".join(_name(one) for one in _chain(error))


def trace_of(error: BaseException) -> str:
    """Return where an exception passed, outermost first: `node/cleaner/worker.py:12 > …`; no source text, no values."""
    places: list[str] = []
    for one in _chain(error):
        frames = traceback.extract_tb(one.__traceback__)[-MAX_FRAMES:]
        places.append(" > ".join(f"{_place(frame.filename)}:{frame.lineno}" for frame in frames))
    return " < ".join(filter(None, places))


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _name(error: BaseException) -> str:
    kind = type(error).__qualname__
    if isinstance(error, NodeError) and str(error):
        return f"{kind}: {clean_text(error)}"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{kind}: errno {error.errno}"
    return kind


def _place(filename: str) -> str:
    """Return a file without the folders it happens to lie in."""
    path = Path(filename)
    if path.is_relative_to(_PACKAGE):
        return str(path.relative_to(_PACKAGE)).rpartition("site-packages/")[2]
    return "/".join(path.parts[-2:])


def _is_own(logger_name: str) -> bool:
    return logger_name == OWN or logger_name.startswith(OWN + ".")


class _Handler(logging.Handler):
    """Writes records; each line by one write, so that the lines of several processes do not mix."""

    def __init__(self, as_json: bool, role: str) -> None:
        super().__init__()
        self._as_json = as_json
        self._role = role

    def emit(self, record: logging.LogRecord) -> None:
        own = _is_own(record.name)
        if not own and record.levelno < logging.WARNING:
            return
        fields = getattr(record, _FIELDS, {}) if own else {}
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            fields = fields | {"error": describe_exception(error), "trace": trace_of(error)}
        text = _message(record) if own else f"{record.name}: {record.levelname} in {record.module}:{record.lineno}"
        render = _json_line if self._as_json else _human_line
        _write(render(record, self._role, clean_text(text), fields))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return str(record.msg)


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _time(record: logging.LogRecord) -> str:
    seconds, milliseconds = divmod(int(record.created * 1000), 1000)
    return f"{_second(seconds)}.{milliseconds:03d}Z"


def _human_line(record: logging.LogRecord, role: str, text: str, fields: dict[str, object]) -> str:
    pairs = "".join(f" {key}={_quoted(value)}" for key, value in fields.items() if value is not None)
    return f"{_time(record)} {record.levelname:<7} {role}: {text}{pairs}"


def _quoted(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = clean_text(value)
    if text and not any(character in ' "=\\' for character in text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _json_line(record: logging.LogRecord, role: str, text: str, fields: dict[str, object]) -> str:
    # Put together here: for a line of a few short texts the library's encoder costs more than the line.
    level = _json_text(record.levelname.lower())
    head = f'{{"time": "{_time(record)}", "level": {level}, "process": {_json_text(role)}, "event": {_json_text(text)}'
    rest = [
        f", {_json_text(f'{key}_' if key in _OF_EACH_LINE else key)}: {_json_value(value)}"
        for key, value in fields.items()
    ]
    return f"{head}{''.join(rest)}}}"


def _json_value(value: object) -> str:
    if type(value) is int:
        return str(value)
    if not isinstance(value, str) and _is_plain(value):
        return json.dumps(value)
    return _json_text(clean_text(value))


def _is_plain(value: object) -> bool:
    if isinstance(value, float):
        return value - value == 0
    return value is None or isinstance(value, int)


def _write(line: str) -> None:
    data = memoryview((line + "\n").encode("utf-8", "backslashreplace"))
    try:
        while data:
            data = data[os.write(STDERR, data) :]
    except OSError:
        return  # nobody reads stderr any more; the work goes on


def _catch_the_rest(logger: logging.Logger) -> None:
    """Take over what Python prints itself: exceptions that nobody caught, and warnings."""

    def main_thread(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            event(logger, "uncaught exception", logging.CRITICAL, exc_info=error.with_traceback(trace))

    def other_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
            event(logger, "uncaught exception in a thread", logging.CRITICAL, exc_info=args.exc_value)

    def unraisable(args: sys.UnraisableHookArgs) -> None:
        event(logger, "exception that could not be raised", logging.ERROR, exc_info=args.exc_value)

    sys.excepthook = main_thread
    threading.excepthook = other_thread
    sys.unraisablehook = unraisable
    _take_warnings(logger)


def _take_warnings(logger: logging.Logger) -> None:
    """Log where a warning came from, once for each place.

    Python's own bookkeeping of repeated warnings keeps their texts, which would grow with every instance.
    """
    seen: set[tuple[str, int]] = set()

    def show(_text: Warning | str, category: type[Warning], filename: str, lineno: int, *_where: object) -> None:
        if (filename, lineno) not in seen:
            seen.add((filename, lineno))
            event(logger, "warning", logging.WARNING, category=category.__name__, place=f"{_place(filename)}:{lineno}")

    # This is also the switch that the standard library would use itself; its own text would carry the values.
    logging.captureWarnings(True)
    warnings.simplefilter("always")
    # Python passes the last two arguments by position only.
    warnings.showwarning = show  # type: ignore[assignment]
