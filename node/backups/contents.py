"""What a backup holds besides the ledger, and what it does not: the parts, as they lie, and the manifest.

Guarantees that a part which cannot be read is told and does not keep the others from being saved; without the secret
there is no backup. Private keys of certificates and the key of `node.encryption` are never in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from node.config import Config, certificates, users_path
from node.config.model import is_recipe_path
from node.config.tls import DestinationTLS, ListenerTLS
from node.errors import FileError, NodeError, StartError
from node.identity import load_secret

LEDGER, SECRET, SPOOL_ID, CONFIG = "ledger", "secret", "spool-id", "configuration"
PROJECT_KEY, NAMED, KEPT = "project-key", "file", "kept"
SECRETS = frozenset({SECRET, PROJECT_KEY})
KEPT_FOLDERS = ("recipes", "closed")
"""Folders of `node.data` that belong to a backup: the recipes that routes had, the records of closed projects."""

_VARIABLE = re.compile(rb"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NO_KEYS = "keys are kept apart from what they protect"
_NOT_NAME = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True, slots=True)
class Part:
    """One file: what it is, where it lies, and its bytes."""

    role: str
    path: Path
    content: bytes = field(repr=False)


@dataclass(slots=True)
class Contents:
    """The parts; what is left out (path and why); the variables of the environment that the configuration needs."""

    parts: list[Part] = field(default_factory=list)
    left_out: list[dict[str, str]] = field(default_factory=list)
    environment: list[str] = field(default_factory=list)


def gather(config: Config) -> Contents:
    """Read everything but the ledger. Raises NodeError where the secret cannot be read, or the configuration."""
    found = Contents()
    try:
        load_secret(config.node.secret_file)
    except StartError as error:
        raise NodeError(str(error)) from None
    for role, path in (
        (SECRET, config.node.secret_file),
        (SPOOL_ID, config.node.spool / "id"),
        (CONFIG, Path(os.path.abspath(config.file))),
    ):
        try:
            found.parts.append(Part(role, path, path.read_bytes()))
        except OSError as error:
            raise FileError(f"the {role} cannot be read ({error.strerror})", str(path)) from None
    found.environment = sorted({name.decode() for name in _VARIABLE.findall(found.parts[-1].content)})
    for role, path in (*_keys(config), *_named(config), *_kept(config), *_users(config)):
        try:
            found.parts.append(Part(role, path, path.read_bytes()))
        except OSError as error:
            found.left_out.append({"path": str(path), "why": f"it cannot be read ({error.strerror})"})
    found.left_out += [{"path": str(path), "why": _NO_KEYS} for path in _left_out(config)]
    return found


def member_name(number: int, path: Path) -> str:
    """Return the name of a part in the archive: short, and made of no more than letters, digits and `._-`."""
    return f"files/{number:04d}-{_NOT_NAME.sub('_', path.name)[-60:]}"


def _keys(config: Config) -> Iterator[tuple[str, Path]]:
    for project in config.projects.values():
        if project.key_file is not None:
            yield PROJECT_KEY, project.key_file


def _named(config: Config) -> Iterator[tuple[str, Path]]:
    """Give the files that the configuration names."""
    paths = [Path(entry) for route in config.routes for entry in route.recipe if is_recipe_path(entry)]
    paths += [*config.functions, *config.vocabulary]
    paths += [path for _, path in certificates(config)]
    yield from ((NAMED, path) for path in dict.fromkeys(paths))


def _sections(config: Config) -> list[ListenerTLS | DestinationTLS]:
    found: list[ListenerTLS | DestinationTLS | None] = [listener.tls for listener in config.node.listeners]
    found += [destination.tls for destination in config.destinations.values()]
    found.append(None if config.audit.syslog is None else config.audit.syslog.tls)
    found.append(None if config.canary is None else config.canary.tls)
    return [one for one in found if one is not None]


def _kept(config: Config) -> Iterator[tuple[str, Path]]:
    for name in KEPT_FOLDERS:
        yield from ((KEPT, path) for path in sorted((config.node.data / name).rglob("*.json")))


def _users(config: Config) -> Iterator[tuple[str, Path]]:
    """Give the file of the web page's users, where there is one: it has no password, only hashes."""
    path = users_path(config)
    if path.exists():
        yield (KEPT if path.is_relative_to(config.node.data) else NAMED), path


def _left_out(config: Config) -> Iterator[Path]:
    for tls in _sections(config):
        if tls.files.key is not None:
            yield tls.files.key
    encryption = config.node.encryption
    if encryption is not None and encryption.key_file is not None:
        yield encryption.key_file
