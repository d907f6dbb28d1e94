"""Reading the configuration: file → values → models → checks, with all faults of all steps in one error."""

from __future__ import annotations

import os
import types
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from node.config import checks, later, yaml12
from node.config.model import Config
from node.config.units import parse_ae_title
from node.errors import ConfigError, Fault

MAX_BYTES = 1 << 20

RESERVED = ("file", "warnings")

_EXPECTED = {
    "string_type": "expected text; a number or true/false stands in quotes here.",
    "int_type": "expected a whole number.",
    "float_type": "expected a number.",
    "bool_type": "expected true or false.",
    "tuple_type": "expected a list, such as [one, two].",
    "dict_type": "expected a section: keys with values.",
    "model_type": "expected a section: keys with values.",
    "dataclass_type": "expected a section: keys with values.",
    "missing": "is missing.",
}


def load_config(path: Path, *, text: str | None = None, base: Path | None = None) -> Config:
    """Read and check the configuration.

    Parameters
    ----------
    path
        The file, as the user named it. Relative paths in it count from its folder.
    text
        What stands in it, where that is not to be read from it.
    base
        Another folder, from which relative paths count.

    Raises
    ------
    ConfigError
        With every fault that was found: unreadable file, YAML, keys, types, names, routes, recipes that do not exist.
    """
    document = read_document(path) if text is None else yaml12.parse(text, str(path), os.environ)
    faults = document.faults
    if not isinstance(document.data, dict):
        if not faults:
            faults.append(Fault(str(path), None, "expected sections such as node:, routes: and destinations:."))
        raise ConfigError(faults)
    faults.extend(later.refused(document, str(path)))
    faults.extend(_refuse_reserved(document, str(path)))
    base = Path(os.path.abspath(path)).parent if base is None else base
    config = _validate(path, base, document)
    faults.extend(checks.of_values(document, str(path), base))
    if config is not None:
        faults.extend(checks.of_config(config, document))
    if faults or config is None:
        raise ConfigError(_sorted(faults))
    return config.model_copy(update={"warnings": checks.warnings(config)})


def existing_recipes(path: Path) -> list[tuple[str, ...]]:
    """Return the recipe lists of a configuration that need not be valid, without the entries that do not exist.

    So what is wrong inside recipes can be told along with what is wrong around them. Paths are absolute.
    """
    try:
        document = read_document(path)
    except ConfigError:
        return []
    return checks.existing_recipes(document, Path(os.path.abspath(path)).parent)


def read_document(path: Path) -> yaml12.Document:
    """Parse the file; raises ConfigError where it cannot be read at all."""
    return yaml12.parse(_read(path), str(path), os.environ)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        hint = "Name one with --config, or set DEID_NODE_CONFIG." if isinstance(error, FileNotFoundError) else ""
        problem = f"the configuration cannot be read: {error.strerror}."
        raise ConfigError([Fault(str(path), None, problem, hint)]) from None
    if len(content) > MAX_BYTES:
        raise ConfigError([Fault(str(path), None, "larger than 1 MiB; this is no configuration.")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([Fault(str(path), line, "not UTF-8.", "Save the file as UTF-8.")]) from None


def _refuse_reserved(document: yaml12.Document, file: str) -> list[Fault]:
    """Refuse the keys that the model has for itself."""
    data = document.data if isinstance(document.data, dict) else {}
    found = [key for key in RESERVED if key in data]
    for key in found:
        del data[key]
    return [Fault(file, document.line_of((key,)), f"unknown key '{key}'.", "", key) for key in found]


def _validate(path: Path, base: Path, document: yaml12.Document) -> Config | None:
    """Validate twice where a key is unknown: once to name it, once without it, to find what else is wrong."""
    data = _with_calling_ae(document.data) | {"file": path}
    for _ in range(2):
        try:
            config = Config.model_validate(data, context={"base": base})
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
            document.faults.extend(_fault(detail, path, document) for detail in details)
            unknown = [detail["loc"] for detail in details if detail["type"] == "extra_forbidden"]
            if len(unknown) < len(details):
                return None
            for location in unknown:
                _remove(data, location)
        else:
            trial = config.trial_destination
            return config if trial is None or trial.enabled else config.model_copy(update={"trial_destination": None})
    return None


def _remove(data: Any, location: tuple[str | int, ...]) -> None:
    for part in location[:-1]:
        data = data[part]
    del data[location[-1]]


def _with_calling_ae(data: Any) -> dict[str, Any]:
    """Give destinations the node's own title as calling AE title where they have none of their own."""
    node, destinations = data.get("node"), data.get("destinations")
    title = node.get("ae_title") if isinstance(node, dict) else None
    if not isinstance(destinations, dict):
        return dict(data)
    try:
        default = {"calling_ae": parse_ae_title(title)}
    except ValueError:  # reported where it stands
        default = {"calling_ae": "UNKNOWN"}
    filled = {
        name: default | section if isinstance(section, dict) else section for name, section in destinations.items()
    }
    return dict(data) | {"destinations": filled}


def _fault(detail: ErrorDetails, path: Path, document: yaml12.Document) -> Fault:
    location = tuple(part for part in detail["loc"] if part != "[key]")
    kind = detail["type"]
    line = document.line_of(location)
    key = yaml12.dotted(location)
    if kind == "extra_forbidden":
        known = _fields_at(location[:-1])
        near = get_close_matches(str(location[-1]), known, 1, 0.6)
        hint = f"Did you mean '{near[0]}'?" if near else f"Known here: {', '.join(known)}."
        return Fault(str(path), line, f"unknown key '{location[-1]}'.", hint, key)
    if kind == "value_error":
        return Fault(str(path), line, detail["msg"].removeprefix("Value error, "), "", key)
    if kind == "literal_error":
        return Fault(str(path), line, f"expected {detail['ctx']['expected'].replace(chr(39), '')}.", "", key)
    return Fault(str(path), line, _EXPECTED.get(kind, detail["msg"] + "."), "", key)


def _fields_at(location: tuple[str | int, ...]) -> list[str]:
    """Return the keys that the section at this place may have."""
    current: Any = Config
    for part in location:
        if isinstance(current, type) and issubclass(current, BaseModel):
            fields = {field.alias or name: field.annotation for name, field in current.model_fields.items()}
            current = _plain(fields.get(str(part)))
        else:
            arguments = [argument for argument in get_args(current) if argument is not Ellipsis]
            current = _plain(arguments[-1]) if arguments else None
    if not (isinstance(current, type) and issubclass(current, BaseModel)):
        return []
    names = [field.alias or name for name, field in current.model_fields.items()]
    return [name for name in names if name not in RESERVED]


def _plain(annotation: Any) -> Any:
    """Take `Annotated[…]` and `… | None` away."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _plain(get_args(annotation)[0])
    if origin in {Union, types.UnionType}:
        return _plain(next(part for part in get_args(annotation) if part is not types.NoneType))
    return annotation


def _sorted(faults: list[Fault]) -> list[Fault]:
    return sorted(dict.fromkeys(faults), key=lambda fault: fault.line or 0)
