"""What a route wants with objects of certain kinds, applied to one instance.

Guarantees that an instance is judged by its original before its recipe is applied, and that whatever is to be said of
it or put in its place is in the result of `Verdict.finished`. Refuses with HoldInstance what the route does not let
through; a risk that somebody answers for is passed as it was found, another one is not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from node.errors import HoldInstance, HoldReason
from node.objects.classes import DOCUMENTS, VOICES, is_known
from node.objects.risk import BURNED_IN_ANNOTATION, Header, read_header, risks
from node.objects.statement import statement
from node.objects.stubs import ENCAPSULATED_DOCUMENT, stub
from node.recipe import Cleaned, EncodedDataset, Judgement, Recipe
from node.recipe.amend import Change, amended
from node.recipe.output import Edit

_SOP_CLASS_UID = 0x00080016
_UNKNOWN = "a SOP class that the standard does not have"
_DOCUMENT = "an encapsulated document"
_VOICE = "a voice"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is decided about one instance before it is cleaned.

    Attributes
    ----------
    dataset, header
        The original; `header` is None where it has no pixels.
    excluded
        By which rule it is not wanted; empty where it is.
    judgement
        What the filters ask for, for `Recipe.apply`.
    accepted
        The risks that a person answers for; empty where there are none.
    stubbed
        The SOP class whose stub takes the document's place; empty where none does.
    says
        Whether the result says something of its pixels.
    """

    dataset: EncodedDataset
    header: Header | None
    judgement: Judgement
    excluded: str = ""
    accepted: str = ""
    stubbed: str = ""
    says: bool = False

    def finished(self, cleaned: Cleaned) -> Cleaned:
        """Return what the recipe made of the instance, with what is said of it and put in its place.

        Raises HoldInstance where no stub is right.
        """
        changes, ranges = self.changes(cleaned)
        return amended(cleaned, changes, ranges) if changes or ranges else cleaned

    def changes(self, cleaned: Cleaned) -> tuple[dict[int, Change], list[Edit]]:
        """Return what `finished` changes: top-level attributes, and ranges of the source. Raises HoldInstance."""
        changes, ranges = stub(self.stubbed, self.dataset) if self.stubbed else ({}, [])
        if self.says:
            masked = bool(cleaned.regions) and self.judgement.sized
            changes |= statement(self.header, self.dataset, masked=masked, approved=bool(self.accepted))
            if BURNED_IN_ANNOTATION not in changes:
                changes |= self._own_no(cleaned)
        return changes, ranges

    def _own_no(self, cleaned: Cleaned) -> dict[int, Change]:
        """Take back a NO that a line of the recipe wrote: it cannot know."""
        before = self.header.burned_in if self.header is not None else "NO"
        if before == "NO" or (cleaned.text(BURNED_IN_ANNOTATION) or "").upper() != "NO":
            return {}
        return {BURNED_IN_ANNOTATION: ("CS", before.encode("latin-1")) if before else None}


@dataclass(frozen=True, slots=True)
class Policy:
    """What a route wants; the words are those of its configuration.

    Parameters
    ----------
    unknown_sop_class
        `hold`, `pass` or `exclude`.
    documents
        `hold`, `pass`, `stub` or `exclude`.
    pixel_risk
        `hold` or `pass`; None holds where the recipe has a profile, and without one what says itself that it shows
        somebody.
    """

    unknown_sop_class: str = "hold"
    documents: str = "hold"
    pixel_risk: str | None = None

    def judge(self, recipe: Recipe, dataset: EncodedDataset, accepted: str | None = None) -> Verdict:
        """Decide about an instance.

        Parameters
        ----------
        recipe
            Whose filters count.
        dataset
            The original.
        accepted
            The risks that a person let it go with, as they were told.

        Raises
        ------
        HoldInstance
            It is not let through.
        DatasetError
            Text that a filter asks for cannot be decoded.
        """
        judgement, header = recipe.judge(dataset), read_header(dataset)
        if header is None:
            judgement = replace(judgement, regions=())  # nothing can be masked, so nothing is said to be
        rule = judgement.excluded or self._excluded(dataset)
        if rule:
            return Verdict(dataset, header, judgement, rule)
        found = "; ".join((*judgement.risks, *self._risks(recipe, judgement, dataset)))
        if found and found != accepted:
            raise HoldInstance(HoldReason.PIXEL_RISK, found)
        return Verdict(
            dataset,
            header,
            replace(judgement, risks=()) if judgement.risks else judgement,
            accepted=found,
            stubbed=self._stubbed(dataset),
            says=recipe.profile is not None and recipe.profile.basic,
        )

    def _excluded(self, dataset: EncodedDataset) -> str:
        """Return the option by which an instance is not wanted, or nothing. Raises HoldInstance where it is held."""
        sop_class_uid = dataset.text(_SOP_CLASS_UID) or ""
        if not is_known(sop_class_uid):
            if self.unknown_sop_class == "hold":
                raise HoldInstance(HoldReason.UNKNOWN_SOP_CLASS, _UNKNOWN)
            if self.unknown_sop_class == "exclude":
                return f"unknown_sop_class: {_UNKNOWN}"
        kind = _kind(sop_class_uid, dataset)
        if kind and self.documents == "hold":
            raise HoldInstance(HoldReason.DOCUMENT, kind)
        return f"documents: {kind}" if kind and self.documents == "exclude" else ""

    def _stubbed(self, dataset: EncodedDataset) -> str:
        sop_class_uid = dataset.text(_SOP_CLASS_UID) or ""
        return sop_class_uid if self.documents == "stub" and _kind(sop_class_uid, dataset) else ""

    def _risks(self, recipe: Recipe, judgement: Judgement, dataset: EncodedDataset) -> tuple[str, ...]:
        """Return the risks that no filter masks."""
        if judgement.regions or self.pixel_risk == "pass":
            return ()
        return risks(dataset, declared_only=self.pixel_risk is None and recipe.profile is None)


def _kind(sop_class_uid: str, dataset: EncodedDataset) -> str:
    """Return what of an instance no recipe can look into, or nothing."""
    if sop_class_uid in VOICES:
        return _VOICE
    return _DOCUMENT if sop_class_uid in DOCUMENTS or dataset.find(ENCAPSULATED_DOCUMENT) is not None else ""
