"""What a cleaner is given of an instance, and what it says became of it; `node.ledger.cleaning` writes it down."""

from __future__ import annotations

from dataclasses import dataclass, field

from node.derived import Derived
from node.effects import Noted
from node.errors import HoldReason
from node.instances import Followed, Place
from node.ledger.aliases import PersonPlace
from node.ledger.commissioning import Viewing
from node.ledger.copies import Copy
from node.ledger.maps import Handed
from node.ledger.recalls import Recalled
from node.ledger.sentseries import SentSeries


@dataclass(frozen=True, slots=True)
class Claimed:
    """An instance to be cleaned, and what its row says of it."""

    seq: int
    id: str
    route: str
    project: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    strikes: int
    received_at: float
    detail: str | None = None
    recipe_hash: str | None = None
    digest: bytes = b""
    decision: str | None = None
    asked_recipe: str | None = None
    others: tuple[Copy, ...] = ()
    behind: bool = False
    recalled: Recalled | None = None


@dataclass(frozen=True, slots=True)
class Effects:
    """What was done to an instance of the number `instance`, and to those that are like it."""

    noted: Noted
    instance: int


@dataclass(frozen=True, slots=True)
class Clean:
    """The result of a cleaning, and what makes it sendable: a file in place, or what is derived from the original.

    `replaces` says that what was not delivered yet of other copies is not to be sent any more; `settle` then puts into
    `superseded` the ids of those whose files nothing needs any more. `viewing` says whether its study waits for a
    person's release. `texts` are those that are to be reviewed, with their paths. `followed` is kept for its study's
    completeness, `effects` for whoever asks what changed.
    """

    claimed: Claimed
    destinations: tuple[str, ...]
    recipe_hash: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    size: int
    offset: int
    handed: Handed = field(default_factory=Handed)
    detail: str | None = None
    derived: Derived | None = None
    whose: str | None = None
    replaces: bool = False
    place: Place | None = None
    superseded: tuple[str, ...] = ()
    viewing: Viewing | None = None
    texts: tuple[tuple[str, str], ...] = ()
    sent_in: SentSeries | None = None
    followed: Followed | None = None
    effects: Effects | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """An instance that a person has to look at; `about` are the numbers of those that a rejection note speaks of.

    `awaits` is the patient, in the maps, whose pair has to be imported first.
    """

    claimed: Claimed
    reason: HoldReason
    detail: str = ""
    recipe_hash: str | None = None
    whose: str | None = None
    about: tuple[int, ...] = ()
    place: Place | None = None
    awaits: PersonPlace | None = None


@dataclass(frozen=True, slots=True)
class Excluded:
    """An instance that a rule of its route does not want."""

    claimed: Claimed
    rule: str
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """An instance that came before with the same content: what became of the copy of that id stands."""

    claimed: Claimed
    earlier: str


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """An instance of somebody who has withdrawn consent; its files are gone when it is settled."""

    claimed: Claimed
    whose: str | None = None


Result = Clean | Held | Excluded | Again | Withdrawn
