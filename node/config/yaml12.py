"""YAML read strictly, by the rules of YAML 1.2, with the line of every key.

PyYAML reads `ON` as true, `0010` as 8 and `12:30` as 750, and lets a repeated key win silently. Here only `true` and
`false` are booleans and only decimal numbers are numbers; a repeated key, a merge key (`<<`), an own tag, a second
document and a key that is no text are faults. `${NAME}` stands for an environment variable; an unset one is a fault.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from node.errors import Fault

TYPE_PREFIX = "tag:yaml.org,2002:"
KeyPath = tuple[str | int, ...]
Value = None | bool | int | float | str | tuple["Value", ...] | dict[str, "Value"]

# An alias may repeat a branch; without a bound, ten lines of them make a billion values.
MAX_VALUES = 20_000
MAX_DEPTH = 40

_VARIABLE = re.compile(r"\$\{([^}]*)(\}?)")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class StrictLoader(yaml.SafeLoader):
    """A SafeLoader whose plain scalars follow the core schema of YAML 1.2, only `true` and `false` as booleans."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Refuse what is nested too deeply before it is read: the parser's time grows with the square of the depth."""
        self._depth += 1
        if self._depth > 2 * MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "nested too deeply", mark)
        found = super().compose_node(parent, index)
        self._depth -= 1
        return found


for _tag, _pattern, _first in (
    ("bool", r"(?:true|false)\Z", "tf"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)\Z", "-+0123456789"),
    ("float", r"[-+]?(?:0|[1-9][0-9]*)?(?:\.[0-9]+(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)\Z", "-+.0123456789"),
    ("null", r"(?:~|null|)\Z", ["~", "n", ""]),
):
    StrictLoader.add_implicit_resolver(TYPE_PREFIX + _tag, re.compile(_pattern), list(_first))


@dataclass(slots=True)
class Document:
    """A parsed file: its values, the line of every key path, and what is wrong with it."""

    data: Value = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def line_of(self, path: KeyPath) -> int | None:
        """Return the line of a key path, or of the nearest section around it; None for an empty file."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None


def dotted(path: KeyPath) -> str:
    """Return a key path as people write it: `routes.0.recipe`."""
    return ".".join(map(str, path))


def parse(text: str, file: str, environment: Mapping[str, str]) -> Document:
    """Parse one YAML document; what is wrong stands in its `faults`, never in an exception."""
    document = Document()
    try:
        reader = StrictLoader(text)
        node = reader.get_single_node()
        if node is not None:
            _Builder(document, file, environment, reader).build(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        document.faults.append(Fault(file, line, f"not valid YAML: {error.problem or error.context}."))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        document.faults.append(Fault(file, line, "not valid YAML: a character that YAML does not allow."))
    return document


class _Builder:
    """Turns the node graph into values; sequences become tuples, so that nothing of it can be changed later."""

    def __init__(self, document: Document, file: str, environment: Mapping[str, str], reader: StrictLoader) -> None:
        self._document = document
        self._file = file
        self._environment = environment
        self._reader = reader
        self._count = 0

    def build(self, root: yaml.Node) -> None:
        self._document.data = self._value(root, ())

    def _fault(self, node: yaml.Node, path: KeyPath, problem: str, hint: str = "") -> None:
        self._document.faults.append(Fault(self._file, node.start_mark.line + 1, problem, hint, dotted(path)))

    def _value(self, node: yaml.Node, path: KeyPath) -> Value:
        self._document.lines.setdefault(path, node.start_mark.line + 1)
        self._count += 1
        if self._count == MAX_VALUES:
            self._fault(node, path, "the file has too many values.")
        if self._count >= MAX_VALUES:
            return None
        if len(path) > MAX_DEPTH:
            self._fault(node, path, "nested too deeply, or an alias that contains itself.")
            return None
        if isinstance(node, yaml.MappingNode) and node.tag == TYPE_PREFIX + "map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == TYPE_PREFIX + "seq":
            return tuple(self._value(item, (*path, index)) for index, item in enumerate(node.value))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        self._fault(node, path, "has a YAML tag of its own.", "Leave the word with the exclamation mark out.")
        return None

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Value]:
        result: dict[str, Value] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None or key == "<<" or not key:
                self._fault(key_node, path, "a key must be a word.")
                continue
            here = (*path, key)
            if key in result:
                first = self._document.lines[here]
                self._fault(key_node, here, f"this key is already set in line {first}.", "Remove one of the two.")
                continue
            self._document.lines[here] = key_node.start_mark.line + 1
            result[key] = self._value(value_node, here)
        return result

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Value:
        text, tag = node.value, node.tag
        if "${" in text:
            text = self._substitute(node, path)
            if node.style is None:
                tag = self._reader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        if tag == TYPE_PREFIX + "str":
            return str(text)
        return self._typed(node, path, tag.removeprefix(TYPE_PREFIX), text)

    def _typed(self, node: yaml.ScalarNode, path: KeyPath, tag: str, text: str) -> Value:
        try:
            match tag:
                case "bool":
                    return {"true": True, "false": False}[text]
                case "int":
                    return int(text)
                case "float":
                    return float(text)
                case "null":
                    return None
        except (KeyError, ValueError):
            pass
        self._fault(node, path, "has a YAML tag of its own.", "Leave the word with the exclamation mark out.")
        return None

    def _substitute(self, node: yaml.ScalarNode, path: KeyPath) -> str:
        def value(match: re.Match[str]) -> str:
            name, closed = match.groups()
            if not closed or not _VARIABLE_NAME.match(name):
                self._fault(node, path, "`${` must be followed by a name and `}`.")
                return ""
            if name not in self._environment:
                self._fault(node, path, f"the environment variable {name} is not set.", "Set it, or write the value.")
                return ""
            return self._environment[name]

        return _VARIABLE.sub(value, str(node.value))
