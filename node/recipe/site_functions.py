"""The site's own functions: Python files that the configuration names.

Guarantees that a function gets `item`, `value`, `field` and `dicom` by name, that whatever it raises holds the
instance, and that of its exception only the types and places are logged. Refuses (RecipeError, naming the file) files
that cannot be imported, names that stand in two files or belong to a built-in function, and functions that do not take
these four parameters.

`item` is the lookup of variables; `value` the text of the recipe (`func:name`); `field` a `str` with `.name`,
`.keyword`, `.tag`, `.uid` and `.element`; `dicom` the original data set up to Pixel Data, which cannot be changed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import logging
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

from node.errors import Fault, HoldInstance, HoldReason, NodeError, RecipeError
from node.log import describe_exception, event, trace_of
from node.recipe.functions import BUILT_IN, Call, Function
from node.recipe.selectors import path_name

LOGGER = logging.getLogger("node.recipe")
SiteFunction = Callable[..., Any]
_PARAMETERS = ("item", "value", "field", "dicom")


@dataclass(frozen=True, slots=True)
class Functions:
    """Functions by name; `digest` changes with any character of the files that they are from.

    Not `complete` are those whose files cannot be known now: then any name may be a function.
    """

    by_name: Mapping[str, SiteFunction]
    digest: str = ""
    complete: bool = True


class FieldName(str):  # noqa: SLOT000 -- it has attributes, which is why it exists
    """The element that a function is called for; as a text it is its keyword, behind those of the sequences around it.

    Attributes
    ----------
    name
        The same text, also where the element has no keyword: `RequestAttributesSequence__PatientID`.
    keyword
        The element's own keyword; empty for private and unknown elements.
    tag
        `(0010,0020)`.
    uid
        The tag path: `(0040,0275)__0__(0010,0020)`.
    """

    name: str
    keyword: str
    tag: str
    uid: str
    _call: Call

    def __new__(cls, call: Call) -> FieldName:
        """Make the name of the element of a call."""
        name = path_name(call.path)
        tag = call.path.rpartition("__")[2]
        self = super().__new__(cls, name or tag)
        self.name, self.keyword, self.tag, self.uid = name, name.rpartition("__")[2], tag, call.path
        self._call = call
        return self

    @property
    def element(self) -> Any:
        """The element as pydicom shows it, with its current value; None where it does not exist yet."""
        return self._call.instance.element(self._call)


def runner(name: str, function: SiteFunction, written: str) -> Function:
    """Return a function of the site as the engine calls it; `written` is the recipe's text."""

    def run(call: Call) -> str:
        try:
            field = FieldName(call)
            result = function(item=call.instance.item(), value=written, field=field, dicom=call.instance.original())
        except HoldInstance:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- the boundary around the site's own code
            # Not exc_info: a handler that is not the node's own would write the exception's text, and a value with it.
            said, trace = describe_exception(error), trace_of(error)
            event(LOGGER, "function-failed", logging.ERROR, function=name, where=call.where, error=said, trace=trace)
            place = traceback.extract_tb(error.__traceback__)[-1]
            kind = f"{type(error).__name__} in line {place.lineno} of {Path(place.filename).name}"
            raise HoldInstance(HoldReason.FUNCTION_FAILED, f"{call.where}: {name} failed ({kind})") from None
        text = as_text(result, call.vr)
        if text is None:
            kind = "nothing" if result is None else f"a {type(result).__name__}, which is no text or number"
            raise HoldInstance(HoldReason.FUNCTION_FAILED, f"{call.where}: {name} returned {kind}")
        return text

    return run


def as_text(result: object, vr: str) -> str | None:
    """Return what a function or variable gives as the text of a value, or None where it is none.

    Several values become one text with backslashes. True and False are `true` and nothing, as conditions.
    """
    if isinstance(result, bool):
        return "true" if result else ""
    if isinstance(result, str | int | float | Decimal) or type(result).__name__ == "PersonName":
        return str(result)
    if isinstance(result, date):
        form = "%Y%m%d" if vr == "DA" or not isinstance(result, datetime) else "%Y%m%d%H%M%S.%f%z"
        return result.strftime(form)
    if isinstance(result, Sequence) and not isinstance(result, bytes):
        parts = [as_text(part, vr) for part in result]
        return "\\".join(part or "" for part in parts) if None not in parts else None
    return None


def load_functions(paths: Sequence[Path], *, in_node: bool = True) -> Functions:
    """Import the site's files and return their functions.

    A function is whatever can be called, was made in the file itself, and has a name without a leading underscore.

    Raises
    ------
    RecipeError
        With every fault of every file.
    """
    digest = hashlib.sha256()
    found: dict[str, SiteFunction] = {}
    owners: dict[str, Path] = {}
    faults: list[Fault] = []
    for path in paths:
        try:
            source = path.read_bytes()
            module = _import(path, source)
        except NodeError as error:
            faults.append(Fault(str(path), None, str(error)))
            continue
        except OSError as error:
            faults.append(Fault(str(path), None, f"The functions cannot be read: {error.strerror}."))
            continue
        digest.update(len(source).to_bytes(8, "big") + source)
        for name, function in _public(module).items():
            fault = _fault(name, function, path, owners, in_node)
            if fault is not None:
                faults.append(fault)
            found[name] = function
            owners.setdefault(name, path)
    if faults:
        raise RecipeError(faults)
    return Functions(found, digest.hexdigest() if paths else "")


def _import(path: Path, source: bytes) -> ModuleType:
    """Run a file as a module of its own, under a name that changes with its text, so that a reload sees the new one."""
    mark = hashlib.sha256(str(path).encode() + b"\0" + source).hexdigest()[:12]
    name = f"deid_node_functions_{path.stem}_{mark}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise NodeError("The functions are no Python file: its name ends in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)  # noqa: S102 -- the site's own file, as it was read
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- the boundary around the site's own code
        del sys.modules[name]
        raise NodeError(f"The functions cannot be imported: {type(error).__name__}{_line_of(error, path)}.") from None
    return module


def _line_of(error: BaseException, path: Path) -> str:
    if isinstance(error, SyntaxError):
        return f" in line {error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    named = f" ({error.name})" if isinstance(error, ModuleNotFoundError) else ""
    return f"{named} in line {lines[-1]}" if lines else named


def _public(module: ModuleType) -> dict[str, SiteFunction]:
    return {
        name: thing
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and callable(thing)
        and not inspect.isclass(thing)
        and getattr(thing, "__module__", module.__name__) == module.__name__
    }


def _fault(name: str, function: SiteFunction, path: Path, owners: Mapping[str, Path], in_node: bool) -> Fault | None:
    line = getattr(getattr(function, "__code__", None), "co_firstlineno", None)
    if in_node and name in BUILT_IN:
        return Fault(str(path), line, f"{name} is a function of the node.", "Give yours another name.", name)
    if name in owners:
        return Fault(str(path), line, f"{name} stands in {owners[name]} too.", "Rename one of the two.", name)
    try:
        inspect.signature(function).bind(**dict.fromkeys(_PARAMETERS))
    except (TypeError, ValueError):
        hint = "A helper's name begins with an underscore."
        return Fault(str(path), line, f"{name} does not take item, value, field and dicom.", hint, name)
    return None
