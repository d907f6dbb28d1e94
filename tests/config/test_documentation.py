"""The page about the configuration names what the program accepts, and nothing else."""

import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from node.cli import cli
from node.config import (
    AuditSettings,
    Backups,
    Completeness,
    Destination,
    Limit,
    NodeSettings,
    Project,
    ReportPeer,
    Retention,
    Route,
    TrialDestination,
    Web,
)
from node.config.model import Duplicates
from node.config.notify import Notify
from node.errors import HoldReason

PAGE = (Path(__file__).parents[2] / "docs/configuration.md").read_text()
SECTIONS = {
    "node": NodeSettings,
    "routes": Route,
    "limits": Limit,
    "projects": Project,
    "retention": Retention,
    "backup": Backups,
    "completeness": Completeness,
    "destinations": Destination,
    "peers": ReportPeer,
    "trial_destination": TrialDestination,
    "audit": AuditSettings,
    "notify": Notify,
    "duplicates": Duplicates,
    "web": Web,
}


def keys_of(model: type[BaseModel], prefix: str = "") -> set[str]:
    found = set()
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        kind = next((one for one in get_args(field.annotation) if one is not type(None)), field.annotation)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= keys_of(kind, key + ".")
        else:
            found.add(key)
    return found


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_is_explained_and_every_explained_key_exists(section):
    text = PAGE.split(f"## `{section}`", maxsplit=1)[1].split("\n## ", maxsplit=1)[0]
    explained = set(re.findall(r"^\| `([a-z_.]+)` \|", text, re.MULTILINE))
    assert explained == keys_of(SECTIONS[section])


def test_what_is_not_in_this_version_is_named():
    text = PAGE.split("## Not in this version")[1]
    assert all(f"`{option}`" in text for option in ("tls",))


def test_the_readme_explains_every_reason_for_holding():
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    explained = set(re.findall(r"^\| `([a-z-]+)` \|", readme.split("## Why something is held")[1], re.MULTILINE))
    assert explained == {str(reason) for reason in HoldReason}


def test_the_readme_names_every_command():
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    commands = readme.split("## Commands")[1]
    assert all(f"`{name}" in commands for name in cli.commands)
