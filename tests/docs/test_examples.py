"""What the pages tell people to type is there: commands with their options, and keys of the configuration."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from pyrage import x25519

from node.cli import cli
from node.config import load_config
from node.config.load import RESERVED
from node.config.model import Config
from node.errors import ConfigError
from tests.docs.pages import FILES, OUTSIDE, Block, blocks, spans
from tests.zygote import REPOSITORY

# Of the reference of commands another test says that it is what the program has.
EVERYWHERE = [path for path in FILES if path.name != "commands.md"] + [REPOSITORY / name for name in OUTSIDE[:2]]
_CALL = re.compile(r"(?:\$ |docker exec \S+ )?deid-node +(?P<rest>\S.*)")
_END = re.compile(r"\s(?:#|\||>|>>|<|&&|;|\(|\d>)(?=\s|\S|$)")


def commands(path: Path) -> Iterator[tuple[int, str]]:
    """Each call of the program on a page: a line of a block, continued ones joined, or a span of code."""
    for block in blocks(path):
        lines = block.text.replace("\\\n", " ").splitlines()
        for number, line in enumerate(lines):
            match = _CALL.match(line.strip())
            if match is not None:
                yield block.line + number, match["rest"]
    for number, span in spans(path):
        match = _CALL.fullmatch(span)
        if match is not None and match["rest"] not in LABELS:
            yield number, match["rest"]


def fault(call: str) -> str:
    """What is wrong with a call: a command that is not there, an option that it does not have; empty: nothing."""
    text = _END.split(f" {call} ", maxsplit=1)[0].replace("[", " ").replace("]", " ").replace("…", " ")
    command: click.Command = cli
    words = shlex.split(text.replace("|--", " --"))
    while words:
        word = words.pop(0)
        if word.startswith("-") and word != "-" and not re.fullmatch(r"-\d+", word):
            problem = _option(command, word)
            if problem:
                return problem
            if command is cli and "=" not in word:
                words[:1] = []
        elif isinstance(command, click.Group):
            if word == "COMMAND":
                return ""
            if word not in command.commands and not (command is not cli and command.invoke_without_command):
                return f"no command {word}"
            command = command.commands.get(word, command)
    return ""


def _option(command: click.Command, word: str) -> str:
    known = {name for one in command.get_params(click.Context(command)) for name in (*one.opts, *one.secondary_opts)}
    if word.endswith("-") or word.partition("=")[0] in known:  # `--despite-…`: a beginning
        return "" if not word.endswith("-") or any(name.startswith(word) for name in known) else f"no option {word}"
    return f"{command.name} has no option {word}"


@pytest.mark.parametrize("path", EVERYWHERE, ids=lambda path: path.name)
def test_every_command_that_a_page_names_is_there_with_its_options(path: Path) -> None:
    wrong = [f"{path.name}:{line}: {call}: {problem}" for line, call in commands(path) if (problem := fault(call))]
    assert not wrong


def test_a_command_or_an_option_that_is_not_there_is_found() -> None:
    assert fault("status --jsn") == "status has no option --jsn"
    assert fault("held forget ID") == "no command forget"
    assert fault("--config x.yaml held list --json | less") == ""
    assert sum(len(list(commands(path))) for path in EVERYWHERE) > 150


# What is in quotes on a page because it goes into a keyed function.
LABELS = {"secret fingerprint", "encryption fingerprint", "audit chain", "receipts"}
SECTIONS = frozenset(Config.model_fields) - set(RESERVED)
_KEY = str(x25519.Identity.generate().to_public())


def examples() -> Iterator[Block]:
    """Blocks that are a part of a configuration: YAML whose first key is one of its sections."""
    for path in FILES:
        for block in blocks(path):
            if block.text.partition(":")[0].strip() in SECTIONS and ":" in block.text:
                yield block


@pytest.mark.parametrize("block", list(examples()), ids=lambda block: f"{block.page}:{block.line}")
def test_a_part_of_a_configuration_loads(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in re.findall(r"\$\{(\w+)\}", block.text):
        monkeypatch.setenv(name, "0" * 64)
    path = tmp_path / "config.yaml"
    text = block.text.partition("\ndeid-node")[0].replace("age1…", _KEY).replace("…, ", "")
    path.write_text(yaml.safe_dump(whole(yaml.safe_load(re.sub(r"^( *)on:", r"\1'on':", text, flags=re.MULTILINE)))))
    try:
        load_config(path)
    except ConfigError as error:
        pytest.fail(f"{block.page}:{block.line}: {error}")


def whole(part: dict[str, Any]) -> dict[str, Any]:
    """The part with what else a configuration needs: places to receive, routes for its projects, destinations."""
    data = {"node": {}, "routes": [], "destinations": {}} | part
    data["node"] = {"ae_title": "DEIDNODE"} | data["node"]
    if not data["node"].get("listeners"):
        data["node"].setdefault("listen", "127.0.0.1:11112")
    if "certificate" in str([data["routes"], data.get("limits")]):
        files = {"certificate": "node.crt", "key": "node.key", "ca": "ca.crt"}
        data["node"]["listeners"] = [*data["node"].get("listeners", ()), {"listen": "127.0.0.1:2763", "tls": files}]
    named = {route.get("project", route.get("name")) for route in data["routes"]}
    data["routes"] += [{"name": name} for name in sorted(meant(data) - named)]
    data["routes"] = data["routes"] or [{"name": "only"}]
    for number, route in enumerate(data["routes"]):
        fill(route, number)
    for name in {one for route in data["routes"] for one in route["to"]} - set(data["destinations"]):
        data["destinations"][name] = {"ae_title": "ARCHIVE", "address": "10.9.9.9:11113"}
    return data


def meant(data: dict[str, Any]) -> set[str]:
    """The projects and routes that other sections name."""
    quiet = (data.get("notify") or {}).get("on", {}).get("nothing_received", ())
    return {*data.get("projects", {}), *(data.get("canary") or {}).get("routes", ()), *(one["route"] for one in quiet)}


def fill(route: dict[str, Any], number: int) -> None:
    recipe = [one for one in route.get("recipe", ()) if "/" not in one and not one.endswith(".dicom")]
    route |= {"recipe": recipe or ["research"]}
    route.setdefault("name", f"route-{number}")
    route.setdefault("from", {"called_ae": [f"TITLE{number}"], "address": ["10.0.0.0/8"]})
    route.setdefault("to", ["somewhere"])


def test_there_are_examples_of_configurations() -> None:
    assert len(list(examples())) > 20
