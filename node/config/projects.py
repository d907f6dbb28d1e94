"""The section `projects`: the rules of identity of each project, with every default.

What several keys decide together (bits of a pseudonym, range of shifts) is checked by the forms themselves, in
`node.identity`; this module gives them their names in the configuration.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, model_validator

from node.config.paths import FilePath
from node.config.section import Section
from node.config.trial import Trial
from node.config.units import parse_days
from node.identity import Forms, PseudonymForm, ShiftRange
from node.identity.forms import CROCKFORD, MAX_PSEUDONYM, UUID_ROOT, check_root
from node.identity.patients import PLACEHOLDERS, cleaned

Days = Annotated[int, PlainValidator(parse_days)]


def _root(value: object) -> str:
    return check_root(value if isinstance(value, str) else "")


def _named(value: object) -> str:
    if not isinstance(value, str) or not cleaned(value):
        raise ValueError("expected a text that is not empty; a number stands in quotes here.")
    return cleaned(value)


Text = Annotated[str, PlainValidator(_named)]


class Pseudonyms(Section):
    """The form of the project's pseudonyms."""

    prefix: str = ""
    """What stands in front of each pseudonym: letters, digits, dot, dash, underscore."""
    length: Annotated[int, Field(ge=1, le=MAX_PSEUDONYM)] = PseudonymForm().length
    """Characters of the whole, at most 16; what carries less than 60 bits is a fault."""
    alphabet: str = CROCKFORD
    """The letters and digits that pseudonyms are made of; capital and small letters count as one."""
    check_digit: bool = False
    """Whether the last character is a check digit."""

    @model_validator(mode="after")
    def _possible(self) -> Pseudonyms:
        self.form()
        return self

    def form(self) -> PseudonymForm:
        """Return the form as the keyed functions take it."""
        return PseudonymForm(self.prefix, self.length, self.alphabet, self.check_digit)


class Dates(Section):
    """By how much the dates of the project's patients move, in days, and what becomes of those that are none."""

    shift_min: Days = ShiftRange().least
    """Dates move into the past by at least so many days."""
    shift_max: Days = ShiftRange().most
    """Dates move into the past by at most so many days."""
    whole_weeks: bool = False
    """Whether they move by whole weeks only."""
    invalid: Literal["hold", "empty"] = "hold"
    """A date that is none: `hold` the instance, or `empty` the value."""

    @model_validator(mode="after")
    def _possible(self) -> Dates:
        self.shift()
        return self

    def shift(self) -> ShiftRange:
        """Return the range as the keyed functions take it."""
        return ShiftRange(self.shift_min, self.shift_max, self.whole_weeks)


class Project(Section):
    """The rules of identity of one project.

    `issuers` has for each issuer of Patient IDs its other names; `placeholder_ids` are ids that are none;
    `trial` is written where the Basic Profile is applied. `key_file` holds a key of the project's own, without which
    nobody can compute its replacements, not even from the secret. `review` collects the texts that its recipes keep.
    """

    key_file: FilePath | None = None
    """File with a key of the project's own, which is mixed into the secret: once it is destroyed, nobody can compute
    the project's replacements again (docs/identity.md#a-key-of-the-projects-own). `deid-node project key NAME` makes
    it; fixed with the project's first instance.
    """
    epoch: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """The number of the project's key; another one gives a new replacement to everything."""
    pseudonym: Pseudonyms = Pseudonyms()
    """The form of pseudonyms."""
    uid_root: Annotated[str, PlainValidator(_root)] = UUID_ROOT
    """The root of all UIDs that the node makes: 2.25 (UUIDs) or your own, at most 44 characters."""
    dates: Dates = Dates()
    """By how much dates move."""
    issuers: dict[Text, tuple[Text, ...]] = {}
    """For each issuer of Patient IDs a list of its other names."""
    placeholder_ids: tuple[Text, ...] = PLACEHOLDERS
    """Patient IDs that are no one's own. Default: a list (docs/identity.md#the-patient)."""
    trial: Trial | None = None
    """The clinical trial that is written into group 0012 of every instance (docs/identity.md)."""
    review: bool = False
    """Whether the texts that leave are collected, to be reviewed (docs/selftest.md#value-review); it costs less
    than cleaning the header.
    """

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_every_default(cls, section: Any) -> Any:
        return {} if section is None else section

    @model_validator(mode="after")
    def _one_name_for_each_issuer(self) -> Project:
        if len(self.aliases()) < sum(map(len, self.issuers.values())):
            raise ValueError("an issuer's other name stands twice under `issuers`.")
        if not self.aliases().keys().isdisjoint(self.issuers):
            raise ValueError("an issuer has other names, and is another name itself, under `issuers`.")
        return self

    def aliases(self) -> dict[str, str]:
        """Return each other name of an issuer with the name that stands for both."""
        return {alias: name for name, others in self.issuers.items() for alias in others}

    def forms(self) -> Forms:
        """Return what the project's replacements look like."""
        return Forms(self.pseudonym.form(), self.dates.shift(), self.uid_root)
