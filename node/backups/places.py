"""Where the files of a backup go: one path for each member of its manifest.

Guarantees that a file which is there with other content is found before anything is written.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node.backups.contents import CONFIG, KEPT, LEDGER, NAMED, PROJECT_KEY, SECRET, SPOOL_ID
from node.config import Config
from node.errors import FileError, NodeError

OUTSIDE = "outside"
"""The folder, of a backup that is restored into one of its own, for what lay outside of the configuration's."""

_BESIDE = ("-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True)
class Places:
    """Targets by the names of members; `left_alone` is what is not written, since the configuration is there."""

    members: Mapping[str, Mapping[str, Any]]
    targets: Mapping[str, Path]
    spool: Path
    config: Path
    left_alone: list[Path] = field(default_factory=list)

    def of_role(self, role: str) -> Path:
        """Return the target of the only member with a role."""
        return next(self.targets[name] for name, member in self.members.items() if member["role"] == role)

    def refuse_other_content(self) -> None:
        """Raise NodeError where something would be overwritten; the text names all of it."""
        ledger = self.of_role(LEDGER)
        there = [path for path in (ledger, *(Path(f"{ledger}{end}") for end in _BESIDE)) if _has_content(path)]
        for name, target in self.targets.items():
            member = self.members[name]
            # What is kept under its hash is the same, and records of closed projects are newer here than there.
            if member["role"] not in (LEDGER, KEPT) and os.path.lexists(target) and not _is_same(target, member):
                there.append(target)
        if there:
            names = ", ".join(map(str, there))
            raise NodeError(f"nothing is overwritten: move away what is there ({names}), or name a folder with --into")


def in_folder(manifest: Mapping[str, Any], folder: Path) -> Places:
    """Everything into one folder: what lay beside the configuration beside it, all else under `outside`."""
    members = {str(member["name"]): member for member in manifest["members"]}
    base = next(Path(member["path"]).parent for member in members.values() if member["role"] == CONFIG)

    def target(path: Path) -> Path:
        inside = path.is_relative_to(base) and ".." not in path.parts
        return folder / (path.relative_to(base) if inside else Path(OUTSIDE, *_plain(path)))

    targets = {name: target(Path(member["path"])) for name, member in members.items()}
    return Places(members, targets, target(Path(manifest["spool"])), folder)


def _plain(path: Path) -> list[str]:
    return [part for part in path.parts if part not in ("/", "..", ".")]


def where_it_was(manifest: Mapping[str, Any]) -> Places:
    """Everything to where it was when the backup was made."""
    members = {str(member["name"]): member for member in manifest["members"]}
    targets = {name: Path(member["path"]) for name, member in members.items()}
    if not all(path.is_absolute() for path in targets.values()):
        raise FileError("the backup names places that are none")
    config = next(targets[name] for name, member in members.items() if member["role"] == CONFIG)
    return Places(members, targets, Path(manifest["spool"]), config)


def with_config(manifest: Mapping[str, Any], config: Config) -> Places:
    """Ledger, secret and spool to where a configuration has them; it and the files that it names stay as they are."""
    members = {str(member["name"]): member for member in manifest["members"]}
    known = {
        LEDGER: Path(config.node.ledger.removeprefix("sqlite:///")),
        SECRET: config.node.secret_file,
        SPOOL_ID: config.node.spool / "id",
    }
    keys = {project.key_file for project in config.projects.values()}
    targets, left_alone = {}, []
    for name, member in members.items():
        path = Path(member["path"])
        if member["role"] in known:
            targets[name] = known[member["role"]]
        elif member["role"] == KEPT:
            targets[name] = config.node.data / path.relative_to(manifest["data"])
        elif member["role"] == PROJECT_KEY and path in keys:
            targets[name] = path
        elif member["role"] in (CONFIG, NAMED):
            left_alone.append(path)
    return Places(members, targets, config.node.spool, config.file, left_alone)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, for their owner alone. Raises FileError."""
    try:
        for one in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
            one.mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise FileError(f"the folder cannot be made ({error.strerror})", str(folder)) from None


def _has_content(path: Path) -> bool:
    return os.path.lexists(path) and (not path.is_file() or path.stat().st_size > 0)


def _is_same(path: Path, member: Mapping[str, Any]) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == str(member["sha256"])
    except OSError:
        return False
