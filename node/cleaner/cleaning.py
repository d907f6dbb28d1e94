"""One instance: from its original to what the ledger is told of it.

Guarantees
    Cleaned files are in place and durable when `publish` returns, all of them together: many cost the disk hardly more
    syncs than one. Whatever goes wrong with the instance itself becomes Held, with a reason and no value; only trouble
    of the disk or the ledger is raised, and then the instance is tried again. The same original under the same recipe,
    map and secret gives the same bytes.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import re
from collections.abc import Iterator, Mapping

from node.cleaner.identities import InstanceIdentities
from node.cleaner.masking import masked
from node.cleaner.output import write_deflated, write_segments
from node.cleaner.plan import Plan
from node.deflated import inflate
from node.errors import DatasetError, HoldInstance, HoldReason, SpoolError
from node.ledger.cleaning import Claimed, Clean, CleaningLedger, Excluded, Held, Result
from node.part10 import FileMeta, encode_file_meta, read_file_meta
from node.recipe import Cleaned, EncodedDataset
from node.spool import Spool
from node.syntaxes import Syntax, lookup

_SOP_CLASS_UID = 0x00080016
_SOP_INSTANCE_UID = 0x00080018
_UID = re.compile(r"[0-9.]{1,64}")


class Cleaning:
    """Cleans instances of the routes in `plans`."""

    def __init__(self, spool: Spool, ledger: CleaningLedger, plans: Mapping[str, Plan], ae_title: str) -> None:
        self._spool = spool
        self._ledger = ledger
        self._plans = plans
        self._ae_title = ae_title
        self._drafts: dict[str, int] = {}

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
        try:
            source = os.open(self._spool.original(claimed.id), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return self._without_original(claimed, plan)
        except OSError as error:
            raise SpoolError(f"an original cannot be opened ({error.strerror})") from None
        try:
            return self._clean(claimed, plan, source)
        except HoldInstance as hold:
            return Held(claimed, hold.reason, hold.detail)
        except DatasetError as error:
            return Held(claimed, HoldReason.UNPARSABLE, str(error))
        finally:
            os.close(source)

    def publish(self) -> None:
        """Put in place, durably, what was cleaned since the last time.

        Raises
        ------
        SpoolError
            The disk failed; none of these instances counts as cleaned.
        """
        drafts, self._drafts = self._drafts, {}
        try:
            self._spool.publish_cleaned(drafts)
        except SpoolError:
            self._throw_away(drafts)
            raise
        for file in drafts.values():
            os.close(file)

    def forget(self) -> None:
        """Throw away what was cleaned and not published."""
        drafts, self._drafts = self._drafts, {}
        self._throw_away(drafts)

    def _throw_away(self, drafts: Mapping[str, int]) -> None:
        for name, file in drafts.items():
            os.close(file)
            self._spool.abandon(name, self._spool.draft())

    def _clean(self, claimed: Claimed, plan: Plan, source: int) -> Result:
        with _mapped(source) as whole:
            meta, start = read_file_meta(memoryview(whole)[:65536])
            syntax = lookup(meta.transfer_syntax_uid)
            if syntax is None:
                raise HoldInstance(HoldReason.UNKNOWN_SYNTAX, "the encoding of its transfer syntax is not known")
            if start == len(whole):
                raise HoldInstance(HoldReason.EMPTY, "the data set has no element")
            if not syntax.deflated:
                return self._apply(claimed, plan, syntax, (source, whole, start), start)
        inflated = self._spool.create(claimed.id, f"{os.getpid()}.inflated")
        self._spool.abandon(claimed.id, f"{os.getpid()}.inflated")  # it lives as long as it is open
        try:
            inflate(source, start, inflated, self._spool.check_room)
            with _mapped(inflated) as whole:
                return self._apply(claimed, plan, syntax, (inflated, whole, 0), start, deflated=source)
        finally:
            os.close(inflated)

    def _apply(
        self,
        claimed: Claimed,
        plan: Plan,
        syntax: Syntax,
        at: tuple[int, mmap.mmap, int],
        start: int,
        deflated: int | None = None,
    ) -> Result:
        file, whole, offset = at
        original = EncodedDataset.scan(whole, offset, syntax)
        if (original.text(_SOP_CLASS_UID), original.text(_SOP_INSTANCE_UID)) != (
            claimed.sop_class_uid,
            claimed.sop_instance_uid,
        ):
            raise HoldInstance(
                HoldReason.UID_MISMATCH, "command and data set name different SOP Class or Instance UIDs"
            )
        rule = plan.exclude.matches(original) if plan.exclude is not None else None
        if rule is not None:
            return Excluded(claimed, rule)
        identities = InstanceIdentities(plan, self._ledger, original)
        cleaned = plan.recipe.apply(original, identities, plan.variables, masks=True)
        segments, syntax, changed = masked(cleaned, self._spool)
        sop_class_uid, sop_instance_uid = _uids(cleaned)
        head = self._head(plan, (sop_class_uid, sop_instance_uid, syntax.uid))
        target = self._spool.create(claimed.id, self._spool.draft())
        try:
            if deflated is None:
                size = write_segments(target, head, segments, file, whole)
            elif changed:
                size = write_deflated(target, head, segments, whole)
            else:
                # A data set that did not change keeps the very stream that it came in.
                rest = os.fstat(deflated).st_size - start
                with _mapped(deflated) as stream:
                    size = write_segments(target, head, [(start, rest)], deflated, stream)
        except BaseException:
            os.close(target)
            self._spool.abandon(claimed.id, self._spool.draft())
            raise
        self._drafts[claimed.id] = target
        return Clean(
            claimed,
            plan.destinations,
            plan.recipe.hash,
            sop_class_uid,
            sop_instance_uid,
            syntax.uid,
            size,
            len(head),
            tuple(identities.uids.items()),
            identities.patient,
        )

    def _head(self, plan: Plan, uids: tuple[str, str, str]) -> bytes:
        """File meta information without anything of the sender, and with what a lost ledger is rebuilt from."""
        envelope = {"project": plan.project, "recipe": plan.recipe.hash, "route": plan.route}
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


def _uids(cleaned: Cleaned) -> tuple[str, str]:
    """The SOP Class and Instance UIDs of the result, without which no C-STORE can be made of it."""
    found = cleaned.text(_SOP_CLASS_UID) or "", cleaned.text(_SOP_INSTANCE_UID) or ""
    if not all(_UID.fullmatch(uid) for uid in found):
        raise HoldInstance(
            HoldReason.ACTION_FAILED,
            "the recipe leaves no valid SOP Class or SOP Instance UID, (0008,0016) (0008,0018)",
        )
    return found


@contextlib.contextmanager
def _mapped(file: int) -> Iterator[mmap.mmap]:
    if os.fstat(file).st_size == 0:
        raise DatasetError("the data set is empty")
    whole = mmap.mmap(file, 0, access=mmap.ACCESS_READ)
    try:
        yield whole
    finally:
        # Spans of the data set may still look into it; then it goes with the last of them.
        with contextlib.suppress(BufferError):
            whole.close()
