"""One file: from its input to a cleaned file under a temporary name.

Guarantees that the data set is what the node would send for it under the same recipe, variables, project and secret.
Of the input's file meta information only the transfer syntax counts. What concerns the file alone becomes an Outcome;
only a full disk is raised (NoRoom), because it concerns all. No reason holds a value of the data set.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from node.errors import DatasetError, HoldInstance, HoldReason, NodeError, NoRoom
from node.files.finding import Found
from node.files.places import OutputFolder, same
from node.gate import described, through
from node.instances import (
    InstanceIdentities,
    Maps,
    NoMaps,
    Scope,
    Source,
    expected_bytes,
    masked,
    opened,
    required_uids,
    write_cleaned,
)
from node.log import event
from node.objects import Policy
from node.part10 import FileMeta, encode_file_meta
from node.recipe import Cleaned, Conditions, EncodedDataset, Identities, Recipe

LOGGER = logging.getLogger("node.files")
DICOMDIR = "1.2.840.10008.1.3.10"
CONFLICT = "another file has the name of its output already: {}"
_STUDY_INSTANCE_UID = 0x0020000D
_SERIES_INSTANCE_UID = 0x0020000E


@dataclass(frozen=True, slots=True)
class Settings:
    """How files are cleaned.

    Parameters
    ----------
    recipe, variables, exclude
        As in a route.
    scope
        For whom they are replaced; None where the recipe calls no keyed function.
    make_maps
        Opens the maps in the process that asks for them.
    gate
        What happens to a result that still shows whose it is: `hold`; `scrub`, which takes it out of texts; or
        `report`, which writes it nevertheless.
    policy
        What happens to documents, unknown classes, and images that may show somebody.
    """

    recipe: Recipe
    variables: Mapping[str, str]
    scope: Scope | None = None
    exclude: Conditions | None = None
    make_maps: Callable[[], Maps] = NoMaps
    gate: str = "hold"
    policy: Policy = field(default_factory=Policy)


class Kind(StrEnum):
    """What became of a file."""

    WRITTEN = "written"
    ALREADY = "already"
    HELD = "held"
    EXCLUDED = "excluded"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file, and why; a written one lies at `draft` and belongs to `target`.

    A written one has a reason only where the gate reports that it shows identity, or did.
    """

    kind: Kind
    reason: str = ""
    detail: str = ""
    draft: Path | None = None
    target: Path | None = None


class _Unkeyed:
    """Identities of a recipe that was found to ask for none."""

    def uid(self, _original: str) -> str:
        raise _no_secret()

    def project(self) -> str:
        raise _no_secret()

    def text(self, _original: str) -> str:
        raise _no_secret()

    def pseudonym(self) -> str:
        raise _no_secret()

    def pseudonym_of(self, _patient_id: str, _issuer: str | None = None) -> str:
        raise _no_secret()

    def shift_days(self) -> int:
        raise _no_secret()

    def empties_invalid_dates(self) -> bool:
        raise _no_secret()

    def decided(self) -> None:
        """Nothing is known of a project."""


def _no_secret() -> HoldInstance:
    return HoldInstance(HoldReason.FUNCTION_FAILED, "a function needs the secret, and there is none")


class FileCleaner:
    """Cleans files into an output folder."""

    def __init__(self, settings: Settings, out: OutputFolder) -> None:
        self._settings = settings
        self._out = out
        self._maps: Maps | None = None

    def clean(self, found: Found) -> Outcome:
        """Clean one file. Raises NoRoom."""
        if found.skipped or found.failed:
            return Outcome(Kind.SKIPPED if found.skipped else Kind.FAILED, found.skipped or found.failed)
        try:
            file = os.open(found.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                return self._opened(found, file)
            finally:
                os.close(file)
        except NoRoom:
            raise
        except Exception as error:  # noqa: BLE001 -- the boundary around one file: it is named, and the next goes on
            return _outcome_of(error)

    def _opened(self, found: Found, file: int) -> Outcome:
        if os.pread(file, 4, 128) != b"DICM":
            return Outcome(Kind.FAILED if found.named else Kind.SKIPPED, "no DICOM file: it has no DICM prefix")
        scratch = self._out.scratch
        with opened(file, scratch.create, scratch.check_room) as source:
            if source.media_class == DICOMDIR:
                return Outcome(Kind.SKIPPED, "a DICOMDIR")
            exclude = self._settings.exclude
            rule = exclude.matches(source.dataset) if exclude is not None else None
            if rule is not None:
                return Outcome(Kind.EXCLUDED, rule)
            settings = self._settings
            verdict = settings.policy.judge(settings.recipe, source.dataset)
            if verdict.excluded:
                return Outcome(Kind.EXCLUDED, verdict.excluded)
            if self._maps is None:
                self._maps = settings.make_maps()
            found_out = identities(settings, self._maps, source.dataset)
            if isinstance(found_out, InstanceIdentities):
                found_out.require_mapping()
            cleaned = settings.recipe.apply(source.dataset, found_out, settings.variables, masks=verdict.judgement)
            cleaned = verdict.finished(cleaned)
            # Without a route the issuer may be missing: then who the patient is counts only where it was asked for.
            if isinstance(found_out, InstanceIdentities) and found_out.patients:
                found_out.bind_study()
            return self._write(found, source, cleaned)

    def _write(self, found: Found, source: Source, cleaned: Cleaned) -> Outcome:
        sop_class_uid, sop_instance_uid = required_uids(cleaned)
        study, series = (cleaned.text(tag) or "" for tag in (_STUDY_INSTANCE_UID, _SERIES_INSTANCE_UID))
        target = self._out.target(found.relative, (study, series, sop_instance_uid))
        cleaned, leak = self._gate(cleaned)
        content = masked(cleaned, self._out.scratch.check_room)
        # Nothing that differs from one run to the next: the same input gives the same file.
        head = encode_file_meta(FileMeta(sop_class_uid, sop_instance_uid, content.syntax.uid))
        if target.exists():
            if same(target, expected_bytes(head, source, content)):
                return Outcome(Kind.ALREADY)
            return Outcome(Kind.FAILED, CONFLICT.format(target))
        descriptor, draft = self._out.create()
        try:
            write_cleaned(descriptor, head, source, content)
            os.fsync(descriptor)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        return Outcome(Kind.WRITTEN, str(HoldReason.LEAK) if leak else "", leak, draft, target)

    def _gate(self, cleaned: Cleaned) -> tuple[Cleaned, str]:
        """Return what is written, and where it showed whose it is, as far as that is only told. Raises HoldInstance."""
        passed = through(cleaned, self._settings.recipe, self._settings.gate)
        if passed.left:
            raise HoldInstance(HoldReason.LEAK, described(passed.left))
        scrubbed = f"scrubbed: {described(passed.taken)}" if passed.taken else ""
        return passed.cleaned, scrubbed or described(passed.reported)


def _outcome_of(error: Exception) -> Outcome:
    match error:
        case HoldInstance():
            return Outcome(Kind.HELD, str(error.reason), error.detail)
        case DatasetError():
            return Outcome(Kind.HELD, str(HoldReason.UNPARSABLE), str(error))
        case NodeError():
            return Outcome(Kind.FAILED, str(error))
        case OSError():
            return Outcome(Kind.FAILED, f"cannot be read or written: {error.strerror}")
    event(LOGGER, "clean-failed", level=logging.ERROR, exc_info=error)
    return Outcome(Kind.FAILED, "a fault of deid-node; the log has the traceback")


def identities(settings: Settings, maps: Maps, dataset: EncodedDataset) -> Identities:
    """Return what replaces the identity of an instance."""
    return _Unkeyed() if settings.scope is None else InstanceIdentities(settings.scope, maps, dataset)
