"""The guide to the configuration has a place for each section, and leads to its keys in the reference."""

from pathlib import Path

import pytest

from node.config.load import RESERVED
from node.config.model import Config

PAGE = (Path(__file__).parents[2] / "docs/configuration.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("section", sorted({*Config.model_fields} - {*RESERVED, "functions", "vocabulary"}))
def test_each_section_is_explained_and_leads_to_its_keys(section):
    text = PAGE.split(f"\n## `{section}`\n", maxsplit=1)[1].split("\n## ", maxsplit=1)[0]
    assert f"(reference/configuration.md#{section})" in text
    assert f"\n    {section}:" in text


def test_what_is_not_in_this_version_is_named():
    text = PAGE.split("## Not in this version")[1]
    assert all(f"`{option}`" in text for option in ("tls",))
