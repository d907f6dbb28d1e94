"""How the configuration writes a value: by the parser that its model gives it, and back from a default.

Refuses (LookupError) a parser that has no words here: add them along with a new one.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, PlainValidator
from pydantic.fields import FieldInfo

from node.config import (
    audit,
    backup,
    commitment,
    encryption,
    limits,
    model,
    notify,
    paths,
    projects,
    senders,
    tls,
    trial,
    units,
    web,
)
from node.config.units import DURATION_UNITS, Size

_ACTION = "`hold`, `pass` or `exclude`"
_WORDS: dict[Callable[..., Any], str] = {
    audit._label: "text",
    backup._recipient: "public key",
    commitment._ways: "list: `commitment`, `find`, `status`",
    encryption._key: "text",
    limits._parse_amount: "size",
    limits._parse_rate: "size",
    model._ledger: "text",
    model._name: "name",
    model._recipe: "name or path",
    model._tries: "number or `forever`",
    model._unknown_sop_class: _ACTION,
    model._workers: f"`auto` or 1 to {model.MAX_WORKERS}",
    notify._headers: "section: name → text",
    notify._mailbox: "mail address",
    notify._period: "duration or `never`",
    notify._url: "URL",
    notify._window: "part of the day",
    paths.parse_path: "path",
    projects._named: "text",
    projects._root: "UID",
    senders._parse_name_pattern: "name, `*`",
    tls._host_name: "host",
    trial._text: "text",
    units.parse_ae_pattern: "AE title, `*`",
    units.parse_ae_title: "AE title",
    units.parse_age: "duration or `forever`",
    units.parse_age_in_days: "days or `forever`",
    units.parse_days: "days",
    units.parse_duration: "duration",
    units.parse_endpoint: "`host:port`",
    units.parse_network: "address or network",
    units.parse_positive_duration: "duration",
    units.parse_size: "size",
    units.parse_stay: "duration or `0`",
    web._header: "text",
    web._host: "host",
    web._upload: "size",
}
_PLAIN = {str: "text", bool: "`true` or `false`", int: "number", float: "number"}


def models_of(annotation: Any) -> type[BaseModel] | None:
    """Return the model of a section, of a list of sections, or of a section of sections; None for a value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(models_of, get_args(annotation))), None)


def words(annotation: Any, metadata: tuple[Any, ...] = ()) -> str:
    """Return what may stand there, in words; `metadata` are the validators and bounds beside the annotation."""
    for parser in _parsers(metadata):
        if parser not in _WORDS:
            raise LookupError(f"scripts/reference/notation.py has no words for {parser.__module__}.{parser.__name__}")
        return _WORDS[parser]
    if annotation in _PLAIN:
        return _PLAIN[annotation] + _bounds(metadata)
    return _of_several(annotation, metadata)


def _of_several(annotation: Any, metadata: tuple[Any, ...]) -> str:
    """Return the words for what is made of other annotations."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return words(arguments[0], arguments[1:])
    if origin is Literal:
        return " ".join((", ".join(f"`{one}`" for one in arguments[:-1]), "or", f"`{arguments[-1]}`"))
    if origin in (Union, types.UnionType):
        return words(next(one for one in arguments if one is not type(None)), metadata)
    if origin is tuple:
        return f"list: {words(arguments[0])}"
    if origin is dict:
        return f"section: {words(arguments[0])} → {words(arguments[1])}"
    raise LookupError(f"scripts/reference/notation.py has no words for {annotation}")


def _parsers(metadata: tuple[Any, ...]) -> Iterator[Callable[..., Any]]:
    return (one.func for one in metadata if isinstance(one, PlainValidator | BeforeValidator))


def _bounds(metadata: tuple[Any, ...]) -> str:
    spread = [part for one in metadata for part in (one.metadata if isinstance(one, FieldInfo) else (one,))]
    least = next((str(one.ge) for one in spread if hasattr(one, "ge")), "")
    most = next((str(one.le) for one in spread if hasattr(one, "le")), "")
    if not least and not most:
        return ""
    return f" from {least}" + (f" to {most}" if most else "")


def default(value: Any, kind: str) -> str:
    """Return a default as a person would write it; `kind` is what `words` says of it."""
    if isinstance(value, BaseModel):
        return ""
    if value is None or value in ((), {}, ""):
        return "none"
    return f"`{_written(value, kind)}`"


def _written(value: Any, kind: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if kind == "part of the day":
        return f"'{value.begin // 60:02}:{value.begin % 60:02}-{value.end // 60:02}:{value.end % 60:02}'"
    if kind == "days":
        return f"{value}d"
    if kind.startswith("duration"):
        return _duration(value)
    if isinstance(value, Size | Enum):
        return str(value)
    return f'"{value}"' if kind == "UID" else str(value)


def _duration(seconds: float) -> str:
    if not seconds:
        return "0"
    for unit in ("d", "h", "min", "s"):
        number = seconds / DURATION_UNITS[unit]
        if number >= 1 and number.is_integer() and (unit == "s" or number < 1000):
            return f"{number:g}{unit}"
    return f"{seconds * 1000:g}ms"
