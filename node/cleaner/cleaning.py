"""One instance: from its original to what the ledger is told of it.

Guarantees
    What is mostly a range of its original becomes no file (`node.derived`). Cleaned files are in place and durable when
    `publish` returns, all of them together: many cost the disk hardly more syncs than one. Whatever goes wrong with the
    instance itself becomes Held, with a reason and no value; only trouble of the disk or the ledger is raised, and then
    the instance is tried again. The same original under the same recipe, map and secret gives the same bytes.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from node import __version__
from node.cleaner import sorting
from node.cleaner.plan import Plan
from node.cleaner.tracing import Tracing
from node.derived import Derived, derive
from node.digest import file_sha256
from node.effects import Done
from node.errors import DatasetError, HoldInstance, HoldReason, SealError, SpoolError
from node.gate import Finding, Passed, described, through
from node.instances import (
    Content,
    InstanceIdentities,
    Place,
    Source,
    followed,
    masked,
    opened,
    required_uids,
    write_cleaned,
)
from node.instances.source import SERIES_INSTANCE_UID, SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from node.ledger.cleaning import CleaningLedger
from node.ledger.commissioning import viewing_of
from node.ledger.copies import told
from node.ledger.leases import LEASE_SECONDS
from node.ledger.maps import DATE_MODE, KEY, Handed
from node.ledger.recalls import Recalled
from node.ledger.releases import LEAK_RELEASED, PIXEL_RISK_RELEASED, REJECTION, answered_for, rebuilt
from node.ledger.releases import told as both
from node.ledger.results import Again, Claimed, Clean, Excluded, Held, Result, Withdrawn
from node.ledger.sentseries import series_sent
from node.ledger.withdrawals import WITHDRAWN
from node.log import event
from node.objects.rejection import TITLES, Rejection, rejection
from node.part10 import FileMeta, encode_file_meta, read_file_meta
from node.recipe import Cleaned, EncodedDataset, Memory
from node.recipe.dictionary import SPECIFIC_CHARACTER_SET
from node.recipe.method import date_mode
from node.sealing import Original, check_memory, new_memory
from node.spool import Spool

LOGGER = logging.getLogger("node.cleaner")

# Less than a lease, so that no other cleaner begins with an instance that this one still decodes.
_DECODING_SECONDS = LEASE_SECONDS / 2
_DEVICE = (0x00080060, 0x00080070, 0x00081090)  # Modality, Manufacturer, Manufacturer's Model Name


class Cleaning:
    """Cleans instances of the routes in `plans`; `derives` lets their results take pixels from the original."""

    def __init__(
        self, spool: Spool, ledger: CleaningLedger, plans: Mapping[str, Plan], ae_title: str, *, derives: bool
    ) -> None:
        self._spool = spool
        self._ledger = ledger
        self._plans = plans
        self._ae_title = ae_title
        self._derives = derives
        self._drafts: dict[str, int] = {}
        self._withdrawn: list[str] = []
        self._memory = Memory()
        self._tracing = Tracing()

    def clean(self, claimed: Claimed) -> Result:
        """Clean one instance; a Clean says what is true when `publish` has returned.

        Raises
        ------
        SpoolError, LedgerError
            The disk or the ledger failed, which says nothing of the instance.
        """
        plan = self._plans.get(claimed.route)
        if plan is None:
            return Held(claimed, HoldReason.ROUTE_GONE, f"the configuration has no route {claimed.route}")
        earlier = sorting.stands(claimed, plan)
        # Where somebody of the project has withdrawn consent, it has to be opened to see whose it is.
        if earlier is not None and not self._ledger.withdrawals.any_in(claimed.project):
            return Again(claimed, earlier.id)
        try:
            source = self._spool.open_original(claimed.id)
        except FileNotFoundError:
            return self._without_original(claimed, plan)
        except SealError as error:
            return Held(claimed, HoldReason.DAMAGED, str(error))
        except OSError as error:
            raise SpoolError(f"an original cannot be opened ({error.strerror})") from None
        with contextlib.closing(source):
            return self._cleaned_or_held(claimed, plan, source)

    def again(self, claimed: Claimed, plan: Plan, original: Original, beside: str) -> Result:
        """Clean an instance once more that went out under the plan's recipe; `beside` is what it was called then.

        What its route wants to exclude since does not count. Raises as `clean`, and DatasetError.
        """
        make, check_room = self._scratch_of(claimed, original)
        try:
            with opened(original.mappable(), make, check_room, self._memory) as source:
                identities = InstanceIdentities(plan.scope, self._ledger.maps, source.dataset, beside)
                return self._apply(claimed, replace(plan, exclude=None), source, identities, None, sole=False)
        except HoldInstance as hold:
            return Held(claimed, hold.reason, hold.detail, plan.recipe.hash)

    def drop(self, name: str) -> None:
        """Throw away what was cleaned of one instance and not published."""
        if name in self._drafts:
            self._throw_away({name: self._drafts.pop(name)})

    def publish(self) -> None:
        """Put in place, durably, what was cleaned since the last time.

        Raises
        ------
        SpoolError
            The disk failed; none of these instances counts as cleaned.
        """
        drafts, self._drafts = self._drafts, {}
        withdrawn, self._withdrawn = self._withdrawn, []
        try:
            self._spool.publish_cleaned(drafts)
            if withdrawn:
                self._spool.remove_now(withdrawn)
        except SpoolError:
            self._throw_away(drafts)
            raise
        for file in drafts.values():
            os.close(file)

    def forget(self) -> None:
        """Throw away what was cleaned and not published."""
        drafts, self._drafts = self._drafts, {}
        self._withdrawn = []
        self._throw_away(drafts)

    def _throw_away(self, drafts: Mapping[str, int]) -> None:
        for name, file in drafts.items():
            os.close(file)
            self._spool.abandon(name, self._spool.draft())

    def _cleaned_or_held(self, claimed: Claimed, plan: Plan, source: Original) -> Result:
        try:
            return self._clean(claimed, plan, source)
        except HoldInstance as hold:
            return Held(claimed, hold.reason, hold.detail, plan.recipe.hash)
        except SealError as error:
            return Held(claimed, HoldReason.DAMAGED, str(error))
        except DatasetError as error:
            return Held(claimed, HoldReason.UNPARSABLE, str(error))

    def _clean(self, claimed: Claimed, plan: Plan, original: Original) -> Result:
        make, check_room = self._scratch_of(claimed, original)
        with opened(original.mappable(), make, check_room, self._memory) as source:
            plan, sole = self._plan_of(claimed, plan, source)
            whose = place = None
            try:
                identities = InstanceIdentities(plan.scope, self._ledger.maps, _as_named(claimed, source.dataset))
                whose, place = identities.whose(), identities.place()
                if self._ledger.withdrawals.any_in(claimed.project):
                    early = self._sorted_early(claimed, plan, whose)
                    if early is not None:
                        return early
                note = rejection(claimed.sop_class_uid, source.dataset)
                if note is not None and claimed.decision != REJECTION:
                    held = self._reject(claimed, note)
                    return replace(held, recipe_hash=plan.recipe.hash, whose=whose, place=place)
                course = sorting.course(claimed, plan, whose, identities.is_of)
                identities.beside = course.beside
                result = self._apply(claimed, plan, source, identities, place, sole=sole)
            except HoldInstance as hold:
                return Held(claimed, hold.reason, hold.detail, plan.recipe.hash, whose, place=place)
            if isinstance(result, Excluded):
                return replace(result, place=place)
            if isinstance(result, Clean):
                changes: dict[str, Any] = {
                    "destinations": course.destinations,
                    "whose": whose,
                    "place": place,
                    "replaces": course.replaces,
                }
                if plan.viewed is not None:
                    changes["viewing"] = viewing_of(plan.viewed, plan.route, _study_key(plan, claimed, source))
                return replace(result, **changes)
            return result

    def _sorted_early(self, claimed: Claimed, plan: Plan, whose: str | None) -> Withdrawn | Again | None:
        """Sort an instance of a project in which somebody has withdrawn consent. Raises HoldInstance.

        None where it is to be cleaned.
        """
        if whose is None:
            raise HoldInstance(
                HoldReason.NO_PATIENT_ID,
                "(0010,0020) cannot be read, and a subject of the project has withdrawn consent",
            )
        if self._ledger.withdrawals.blocks(claimed.project, whose):
            self._ledger.mark_withdrawn(claimed)
            self._withdrawn.append(claimed.id)
            return Withdrawn(claimed, whose)
        earlier = sorting.stands(claimed, plan)
        return None if earlier is None else Again(claimed, earlier.id)

    def _reject(self, claimed: Claimed, note: Rejection) -> Held:
        """Hold a rejection note, with what was delivered of the instances that it speaks of."""
        about, sent = self._ledger.spoken_of(claimed.project, note.uids)
        detail = f"{note.code} ({TITLES[note.code]}): of {len(note.uids)} instances {len(about)} came; {told(sent)}"
        return Held(claimed, HoldReason.REJECTION_NOTE, detail, about=tuple(about))

    def _plan_of(self, claimed: Claimed, plan: Plan, source: Source) -> tuple[Plan, bool]:
        """Return the plan for an instance's study, and whether no other recipe may have begun it meanwhile.

        Raises HoldInstance where the study began under a recipe that can no longer be applied, where a person chose one
        that cannot, or where it was recalled and would go out as it did.
        """
        if claimed.asked_recipe is not None and plan.recipes is not None:
            return replace(plan, recipe=plan.recipes.asked(claimed.asked_recipe), alone=True), False
        if claimed.recalled is not None and self._is_as_recalled(claimed.project, claimed.recalled, plan.recipe.hash):
            raise HoldInstance(
                HoldReason.RECALLED,
                "the route still has the recipe that it was recalled from: mend it; reload, release",
            )
        if plan.kept is None or claimed.recalled is not None or sorting.was_recalled(claimed):
            return plan, False
        study = source.dataset.text(STUDY_INSTANCE_UID)
        began = self._ledger.maps.stored_recipe(plan.scope.project, plan.scope.keys.uid(study)) if study else None
        if began is None or began == plan.recipe.hash:
            return plan, True
        recipe = plan.kept.recipe_of(began)
        return (plan, False) if recipe is None else (replace(plan, recipe=recipe), True)

    def _is_as_recalled(self, project: str, recalled: Recalled, recipe: str) -> bool:
        """Whether an instance would go out as it did: by recipe, program and what was said of texts."""
        said = self._ledger.maps.decided(project)
        same = (recalled.recipe, recalled.engine) == (recipe, __version__)
        return same and (said is None or said.at <= recalled.at)

    def _scratch_of(self, claimed: Claimed, original: Original) -> tuple[Callable[[], int], Callable[[int], None]]:
        """What makes a place for what is inflated: of a sealed original it must not lie on the disk as it is."""
        if original.sealed:
            return new_memory, check_memory
        return partial(self._scratch, claimed.id), self._spool.check_room

    def _scratch(self, name: str) -> int:
        """A file that lives as long as it is open."""
        suffix = f"{os.getpid()}.inflated"
        file = self._spool.create(name, suffix)
        self._spool.abandon(name, suffix)
        return file

    def _apply(
        self,
        claimed: Claimed,
        plan: Plan,
        source: Source,
        identities: InstanceIdentities,
        place: Place | None,
        *,
        sole: bool,
    ) -> Result:
        """Clean an instance; where it has a `place`, what was done to it is noted."""
        original = source.dataset
        rule = plan.exclude.matches(original) if plan.exclude is not None else None
        if rule is not None:
            return Excluded(claimed, rule)
        released = answered_for(claimed.detail, claimed.recipe_hash, plan.recipe.hash)
        verdict = plan.policy.judge(plan.recipe, original, released.get(PIXEL_RISK_RELEASED))
        if verdict.excluded:
            return Excluded(claimed, verdict.excluded)
        waits = identities.unmapped()
        if waits:
            return _awaiting(claimed, plan, identities, waits)
        by_recipe = plan.recipe.apply(original, identities, plan.variables, masks=verdict.judgement)
        cleaned = verdict.finished(by_recipe)
        if plan.recipe.keyed is not None:
            identities.bind_study()
        sop_class_uid, sop_instance_uid = required_uids(cleaned)
        if identities.beside and sop_instance_uid != identities.uid(identities.beside):
            raise HoldInstance(HoldReason.CHANGED, "the recipe gives it no SOP Instance UID of its own, (0008,0018)")
        risk = PIXEL_RISK_RELEASED + verdict.accepted if verdict.accepted else None
        passed, leak = self._gate(claimed, plan, cleaned, risk)
        cleaned = passed.cleaned
        content = masked(cleaned, self._spool.check_room, _DECODING_SECONDS)
        uids = sop_class_uid, sop_instance_uid, content.syntax.uid
        derived = None
        if self._derives and not cleaned.regions and not source.deflated:
            derived = derive(content.segments, source.whole)
        if derived is None:
            size, offset = self._write(claimed.id, self._head(plan, uids), source, content)
        else:
            size, offset = derived.size, 0
        digest = self._digest(claimed.id, derived, source, offset) if plan.receipts else None
        handed = _handed(plan, identities, sole=sole)  # before the recipe is watched, which hands nothing out
        done = Done(verdict, by_recipe, passed.texts)
        effects = self._tracing.effects(claimed, plan, place, identities, done)
        return Clean(
            claimed,
            plan.destinations,
            plan.recipe.hash,
            *uids,
            size,
            offset,
            handed,
            both(leak, risk),
            derived,
            texts=tuple(passed.kept) if plan.review else (),
            sent_in=series_sent(
                _readable(cleaned, STUDY_INSTANCE_UID),
                _readable(cleaned, SERIES_INSTANCE_UID),
                *original.once(_DEVICE, (SPECIFIC_CHARACTER_SET, *_DEVICE), lambda: _device(original)),
            ),
            followed=followed(cleaned, identities.uids, digest) if plan.follows else None,
            effects=effects,
        )

    def _digest(self, name: str, derived: Derived | None, source: Source, offset: int) -> bytes:
        """Return the SHA-256 of a data set that goes out: of what is derived, or of the file that was written."""
        if derived is not None:
            return derived.sha256(source.whole)
        return file_sha256(self._drafts[name], offset)

    def _write(self, name: str, head: bytes, source: Source, content: Content) -> tuple[int, int]:
        """Write a cleaned file, to be published later; return its size, and where its data set begins."""
        target = self._spool.create(name, self._spool.draft())
        try:
            size = write_cleaned(target, head, source, content)
        except BaseException:
            os.close(target)
            self._spool.abandon(name, self._spool.draft())
            raise
        self._drafts[name] = target
        return size, len(head)

    @staticmethod
    def _gate(claimed: Claimed, plan: Plan, cleaned: Cleaned, risk: str | None) -> tuple[Passed, str | None]:
        """Return what goes out, and what the row is to say of an instance that showed identity. Raises HoldInstance.

        `risk` is what somebody already answers for; a hold keeps it.
        """
        said = None
        passed = through(cleaned, plan.recipe, plan.gate, review=plan.review)
        for words, findings in (("leak scrubbed: ", passed.taken), ("leak reported: ", passed.reported)):
            if findings:
                said = words + described(findings)
                _tell(claimed, findings)
        if passed.left:
            found = described(passed.left)
            released = answered_for(claimed.detail, claimed.recipe_hash, plan.recipe.hash)
            if released.get(LEAK_RELEASED) != found:
                raise HoldInstance(HoldReason.LEAK, both(found, risk) or "")
            said = LEAK_RELEASED + found
        return passed, said

    def _head(self, plan: Plan, uids: tuple[str, str, str]) -> bytes:
        """File meta information without anything of the sender, and with what a lost ledger is rebuilt from."""
        envelope = {"project": plan.scope.project, "recipe": plan.recipe.hash, "route": plan.route}
        return encode_file_meta(
            FileMeta(
                *uids,
                source_ae_title=self._ae_title,
                private_information=json.dumps(envelope, sort_keys=True).encode(),
            )
        )

    def _without_original(self, claimed: Claimed, plan: Plan) -> Result:
        """An older ledger under a newer spool: the instance was cleaned already, and only the cleaned file is left."""
        try:
            source = os.open(self._spool.cleaned_file(claimed.id), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            if claimed.decision == WITHDRAWN:  # its files went, and what said so died before it was committed
                return Withdrawn(claimed)
            return Held(claimed, HoldReason.FILE_MISSING, "neither original nor cleaned file is in the spool")
        try:
            size = os.fstat(source).st_size
            meta, offset = read_file_meta(os.pread(source, 65536, 0))
            envelope = json.loads(meta.private_information.rstrip(b"\0") or b"{}")
        except (DatasetError, ValueError):
            return Held(claimed, HoldReason.FILE_MISSING, "no original is in the spool, and a damaged cleaned file")
        finally:
            os.close(source)
        return Clean(
            claimed,
            plan.destinations,
            str(envelope.get("recipe", "")),
            meta.sop_class_uid,
            meta.sop_instance_uid,
            meta.transfer_syntax_uid,
            size,
            offset,
        )


def _study_key(plan: Plan, claimed: Claimed, source: Source) -> str:
    """Return the key's replacement of an instance's study; of one without a study, of the instance."""
    return plan.scope.keys.uid(source.dataset.text(STUDY_INSTANCE_UID) or claimed.sop_instance_uid)


def _device(original: EncodedDataset) -> tuple[str | None, ...]:
    """What made the images, in its own words; what cannot be read is not told."""
    return tuple(_readable(original, tag) for tag in _DEVICE)


def _readable(dataset: EncodedDataset | Cleaned, tag: int) -> str | None:
    try:
        return dataset.text(tag)
    except DatasetError:
        return None


def _as_named(claimed: Claimed, original: EncodedDataset) -> EncodedDataset:
    """Return the original, which has to be the instance that the C-STORE command named. Raises HoldInstance."""
    if (original.text(SOP_CLASS_UID), original.text(SOP_INSTANCE_UID)) != (
        claimed.sop_class_uid,
        claimed.sop_instance_uid,
    ):
        raise HoldInstance(HoldReason.UID_MISMATCH, "command and data set name different SOP Class or Instance UIDs")
    return original


def _awaiting(claimed: Claimed, plan: Plan, identities: InstanceIdentities, detail: str) -> Held:
    """Hold an instance until its patient's pair is imported; one without an id is nobody's, and never found by it."""
    key, scope = identities.patient(), plan.scope
    detail = both(detail, rebuilt(claimed.detail)) or detail
    held = Held(claimed, HoldReason.NO_MAPPING, detail, plan.recipe.hash)
    if key is None:
        return held
    place = (scope.project, scope.keys.epoch, key.issuer, key.patient_id)
    return replace(held, whose=identities.whose(), awaits=place)


def _tell(claimed: Claimed, findings: list[Finding]) -> None:
    event(
        LOGGER,
        "leak",
        level=logging.WARNING,
        instance=claimed.id,
        route=claimed.route,
        findings=len(findings),
        detail=described(findings),
    )


def _handed(plan: Plan, identities: InstanceIdentities, *, sole: bool) -> Handed:
    scope, mode = plan.scope, date_mode(plan.recipe.profile)
    keys = scope.keys
    return Handed(
        keys.epoch,
        {**keys.forms.fixed, **({DATE_MODE: mode} if mode else {}), **({KEY: scope.key} if scope.key else {})},
        tuple(identities.uids.items()),
        tuple((key.issuer, key.patient_id, *found) for key, found in identities.patients.items()),
        identities.study,
        plan.recipe.hash,
        sole,
        plan.alone,
    )
