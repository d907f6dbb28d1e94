"""docs/reference/configuration.md: every key of the configuration, from the models and the docstrings of their fields.

A field's docstring says what it means; where it ends in `Default: …` these words are the default, else what the model
has. The docstrings are read from the source: pydantic could do it, at every start of every command.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from node.config import Config
from node.config.load import RESERVED
from scripts.reference import notation
from scripts.reference.page import NOTE, table

_DEFAULT = re.compile(r" Default: (?P<words>.+)\.\Z")
_LINK = re.compile(r"docs/(?P<page>[\w.-]+\.md)(?P<anchor>#[\w-]+)?")
_HEAD = f"""\
# Every key of the configuration

{NOTE}

The guide to it is [configuration.md](../configuration.md): how the file is found and written, with examples. Here is
each key with what may stand there, its default, and what it means. A key that is *needed* has no default. `[]` stands
for the entries of a list, `NAME` for a name that you choose. Durations have a unit (`ms`, `s`, `min`, `h`, `d`), sizes
too (`KiB`, `MiB`, `GiB`, `TiB`; of a disk also `%`), days are durations of whole days.
"""


class Key(NamedTuple):
    """One key: its name with those of the sections that it stands in, what may stand there, default, meaning."""

    name: str
    value: str
    default: str
    meaning: str


def page() -> str:
    """Return the whole page."""
    parts = [_HEAD]
    for name, field in Config.model_fields.items():
        if name in RESERVED:
            continue
        text = meaning(Config, name)
        parts.append(f"## `{name}`\n\n{linked(text)}\n")
        model = notation.models_of(field.annotation)
        keys = [_key(field, name, text)] if model is None else list(keys_of(model, prefix_of(name, field)))
        parts.append(table(("key", "value", "default", "meaning"), ((f"`{key.name}`", *key[1:]) for key in keys)))
    return "\n".join(parts)


def keys_of(model: type[BaseModel], prefix: str) -> Iterator[Key]:
    """Yield each key of a section and of the sections in it. Raises LookupError for a field without a docstring."""
    for name, field in model.model_fields.items():
        text, key = meaning(model, name), prefix + (field.alias or name)
        inner = notation.models_of(field.annotation)
        if inner is None:
            yield _key(field, key, text)
        else:
            yield from keys_of(inner, prefix_of(key, field))


def prefix_of(key: str, field: FieldInfo) -> str:
    """Return what stands in front of the keys of a section: of a list or a section of sections, a place for each."""
    kinds = {get_origin(field.annotation)} | {get_origin(one) for one in getattr(field.annotation, "__args__", ())}
    return f"{key}[]." if tuple in kinds else f"{key}.NAME." if dict in kinds else f"{key}."


def _key(field: FieldInfo, key: str, text: str) -> Key:
    value = notation.words(field.annotation, tuple(field.metadata))
    said = _DEFAULT.search(text)
    if said is not None:
        return Key(key, value, said["words"], linked(text[: said.start()]))
    default = "needed" if field.is_required() else notation.default(field.default, value)
    return Key(key, value, default, linked(text))


def linked(text: str) -> str:
    """Return a text whose names of pages are links; the default is told in a column of its own."""
    return _LINK.sub(lambda found: f"[{found['page']}](../{found['page']}{found['anchor'] or ''})", text)


def meaning(model: type[BaseModel], name: str) -> str:
    """Return the docstring of a field. Raises LookupError where it has none."""
    text = docstrings(model).get(name)
    if text is None:
        raise LookupError(f"{model.__module__}: the field `{name}` of {model.__name__} needs a docstring below it")
    return text


@cache
def docstrings(model: type[BaseModel]) -> Mapping[str, str]:
    """Return the docstring of each field, of those too that come from another model, in one line each."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            found |= dict(_of_class(base))
    return found


def _of_class(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(definition, ast.ClassDef)
    for field, text in zip(definition.body, definition.body[1:], strict=False):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str):
            yield field.target.id, " ".join(text.value.value.split())
