"""The reference is what the program says: its keys, its commands, its classes and statuses, its recipes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from node.cli import cli
from node.config import load_config
from node.config.model import Config
from node.errors import ConfigError
from node.standard import method_codes
from scripts.reference import FOLDER, TABLES, WHOLE, commands, configuration, filled_page
from scripts.reference.page import filled
from tests.docs.pages import rows

NEEDED: dict[str, Any] = {
    "node": {"ae_title": "NODE", "listen": "127.0.0.1:11112"},
    "routes": [{"name": "one", "recipe": ["research"], "to": ["there"]}],
    "destinations": {"there": {"ae_title": "THERE", "address": "127.0.0.1:11113"}},
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_page_that_is_made_of_the_program_is_up_to_date(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == WHOLE[name](), "scripts/docs --generate"


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_of_a_page_that_are_made_of_the_program_are_up_to_date(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == filled_page(name, TABLES[name]()), "scripts/docs --generate"


def test_every_command_and_every_option_is_in_the_reference() -> None:
    page = WHOLE["commands.md"]()
    found = dict(commands.commands(cli))
    assert set(cli.commands) <= {path[0] for path in found}
    for path, command in found.items():
        assert f"# {' '.join(path)}\n" in page
        for option in command.params:
            for name in option.opts if option.param_type_name == "option" else ():
                assert name in page, (path, name)


def test_what_is_needed_is_needed_and_nothing_else_is(tmp_path: Path) -> None:
    table = {row[0].strip("`"): row[2] for row in rows(WHOLE["configuration.md"]()) if row[0].startswith("`")}
    needed = {key for key, default in table.items() if default == "needed"}
    assert _loads(NEEDED, tmp_path)
    for section, key in [("node", "ae_title"), *(("routes", key) for key in NEEDED["routes"][0])]:
        named = f"{section}[].{key}" if section == "routes" else f"{section}.{key}"
        assert named in needed
        assert not _loads(_without(section, key), tmp_path)
    for key in NEEDED["destinations"]["there"]:
        assert f"destinations.NAME.{key}" in needed
        assert not _loads(_without("destinations", key), tmp_path)
    plain = {key for key in needed if key.count(".") == 1 and key.split(".")[0] in ("node", "routes[]")}
    assert plain == {"node.ae_title", "routes[].name", "routes[].recipe", "routes[].to"}


def _without(section: str, key: str) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load(yaml.safe_dump(NEEDED))
    place = {"node": data["node"], "routes": data["routes"][0], "destinations": data["destinations"]["there"]}[section]
    del place[key]
    return data


def _loads(data: dict[str, Any], folder: Path) -> bool:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(data))
    try:
        load_config(path)
    except ConfigError:
        return False
    return True


def test_every_key_of_every_section_has_its_meaning_in_the_model() -> None:
    keys = list(configuration.keys_of(Config.model_fields["node"].annotation, "node."))  # type: ignore[arg-type]
    assert {"node.ae_title", "node.timeouts.acse", "node.listeners[].tls.ca"} <= {key.name for key in keys}
    assert all(key.meaning and key.value for key in keys)


def test_every_code_of_a_method_is_in_the_statement() -> None:
    text = (FOLDER / "deidentification.md").read_text(encoding="utf-8")
    assert all(text.count(f"| {code} |") == 2 for code in method_codes())


def test_a_page_without_a_place_for_a_table_is_refused() -> None:
    page = "<!-- generated: one -->\nold\n<!-- end of one -->\n"
    assert "new" in filled(page, {"one": "new"})
    assert filled(filled(page, {"one": "new"}), {"one": "new"}) == filled(page, {"one": "new"})
    with pytest.raises(ValueError, match="places for"):
        filled(page, {"one": "new", "two": "more"})


def test_the_conformance_statement_has_the_parts_of_ps3_2_in_their_order() -> None:
    text = (FOLDER / "conformance.md").read_text(encoding="utf-8")
    numbers = [tuple(map(int, one.split("."))) for one in re.findall(r"^#+ ([\d.]+) ", text, re.MULTILINE)]
    assert numbers == sorted(numbers)
    assert [number for number in numbers if len(number) == 1] == [(number,) for number in range(1, 9)]
    agents = {number[:3] for number in numbers if number[:2] == (4, 2) and len(number) > 2}
    assert len(agents) == 4
    assert {(4, 1, 1), (4, 1, 2), (4, 1, 3), (4, 3), (4, 4, 1), (4, 4, 2)} <= set(numbers)
    assert {(8, part) for part in range(1, 6)} <= set(numbers)
    for part in range(1, 6):
        assert (4, 2, 1, part) in numbers
        assert (4, 2, 2, part) in numbers
