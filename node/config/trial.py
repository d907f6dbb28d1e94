"""The section `projects.NAME.trial`: the clinical trial that a project's instances belong to.

Guarantees that what it says makes the Clinical Trial Subject module whole (PS3.3 C.7.1.3): sponsor and protocol id
stand together, the attributes of Type 2 are there, and there is a subject. Refuses texts that not every instance could
hold, or that the recipe language would read otherwise.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import PlainValidator, model_validator

from node.config.section import Section

_LONGEST = 64  # of VR LO
# ASCII, which every character set holds; no backslash, which separates values; no `#` that would begin a comment.
_TEXT = re.compile(r"(?!#|var:|func:|deid_func:)(?:(?! #)[ -\[\]-~])+", re.IGNORECASE)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a text; a number stands in quotes here.")
    text = " ".join(value.split(" ")).strip()
    if not text or len(text) > _LONGEST or not _TEXT.fullmatch(text) or text != " ".join(text.split()):
        raise ValueError(
            f"expected 1 to {_LONGEST} ASCII characters, with single blanks, without backslash, and without a # at the "
            f"start or behind a blank."
        )
    return text


Text = Annotated[str, PlainValidator(_text)]

_KEYWORDS = {
    "sponsor": "ClinicalTrialSponsorName",
    "protocol_id": "ClinicalTrialProtocolID",
    "protocol_name": "ClinicalTrialProtocolName",
    "site_id": "ClinicalTrialSiteID",
    "site_name": "ClinicalTrialSiteName",
    "coordinating_center": "ClinicalTrialCoordinatingCenterName",
    "ethics_committee": "ClinicalTrialProtocolEthicsCommitteeName",
    "ethics_approval": "ClinicalTrialProtocolEthicsCommitteeApprovalNumber",
}
_TYPE_2 = ("protocol_name", "site_id", "site_name")
_SUBJECT = {"id": "ClinicalTrialSubjectID", "reading_id": "ClinicalTrialSubjectReadingID"}


class Trial(Section):
    """A clinical trial. `subject` says which attribute takes the pseudonym: Subject ID, or Subject Reading ID."""

    sponsor: Text
    """The sponsor of the clinical trial."""
    protocol_id: Text
    """The id of its protocol."""
    protocol_name: Text | None = None
    """The name of its protocol."""
    site_id: Text | None = None
    """The id of this site."""
    site_name: Text | None = None
    """The name of this site."""
    coordinating_center: Text | None = None
    """The name of the coordinating center; written where it is set."""
    ethics_committee: Text | None = None
    """The name of the ethics committee; written where it is set."""
    ethics_approval: Text | None = None
    """Its approval number; needs the committee."""
    subject: Literal["id", "reading_id"] = "id"
    """Where the pseudonym stands: Clinical Trial Subject `id`, or Subject `reading_id`."""

    @model_validator(mode="after")
    def _possible(self) -> Trial:
        if self.ethics_approval is not None and self.ethics_committee is None:
            raise ValueError("an approval number needs the name of its committee: add ethics_committee.")
        return self

    def lines(self) -> tuple[str, ...]:
        """Return the lines of a recipe that write it."""
        given = {key: value for key in _KEYWORDS if (value := getattr(self, key)) is not None}
        found = [f"ADD {_KEYWORDS[key]} {value}" for key, value in given.items()]
        for key in _TYPE_2:
            if key not in given:  # an empty one: made, and emptied
                found += [f"ADD {_KEYWORDS[key]} -", f"BLANK {_KEYWORDS[key]}"]
        return (*found, f"ADD {_SUBJECT[self.subject]} func:pseudonym")
