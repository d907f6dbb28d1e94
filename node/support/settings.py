"""The configuration without secrets and without names.

Guarantees that only what cannot be a name stays: keys that the program knows, numbers, switches, words of closed lists,
names of shipped recipes. Everything else becomes a word that stands for it, secrets included: the same text the same
word, so that what belongs together still shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from node.config import Config, Endpoint, Size
from node.recipe import shipped_names
from node.support.tokens import Tokens

# How names are called that stand in several places; else the key names them.
_KINDS = {
    "calling_ae": "ae",
    "called_ae": "ae",
    "ae_title": "ae",
    "address": "host",
    "listen": "host",
    "to": "destination",
    "routes.name": "route",
    "destinations": "destination",
    "projects": "project",
}
_LEFT_OUT = frozenset({"file", "warnings"})


def plain(config: Config, tokens: Tokens) -> dict[str, Any]:
    """Return a configuration as plain data, every default included."""
    found: dict[str, Any] = _of(config, "", tokens)
    return found


def _of(value: Any, key: str, tokens: Tokens) -> Any:
    found: Any
    match value:
        case None | bool() | int() | float():
            found = value
        case Endpoint():
            found = f"{tokens.of('host', value.host)}:{value.port}"
        case Size():
            found = str(value)
        case BaseModel():
            found = _section(value, key, tokens)
        case Mapping():
            kind = _KINDS.get(key, key)
            found = {str(tokens.of(kind, str(name))): _of(one, key, tokens) for name, one in value.items()}
        case tuple() | list() | frozenset() | set():
            found = [_of(one, key, tokens) for one in value]
        case _:
            found = _text(str(value), key, tokens)
    return found


def _section(section: BaseModel, key: str, tokens: Tokens) -> dict[str, Any]:
    found = {}
    for name, info in type(section).model_fields.items():
        if name not in _LEFT_OUT:
            place = "routes.name" if (key, name) == ("routes", "name") else name
            found[info.alias or name] = _of(getattr(section, name), place, tokens)
    return found


def _text(text: str, key: str, tokens: Tokens) -> str | None:
    if not text or text in _words() or (key == "recipe" and text in shipped_names()):
        return text
    return tokens.of(_KINDS.get(key, key), text)


@cache
def _words() -> frozenset[str]:
    """The words of closed lists that the configuration's sections take, from the sections themselves."""
    found: set[str] = set()
    left: list[Any] = [Config]
    seen: set[Any] = set()
    while left:
        one = left.pop()
        if get_origin(one) is Literal:
            found |= {word for word in get_args(one) if isinstance(word, str)}
        elif isinstance(one, type) and issubclass(one, BaseModel):
            if one not in seen:
                seen.add(one)
                left += [info.annotation for info in one.model_fields.values()]
        else:
            left += get_args(one)
    return frozenset(found)
