"""Every error of the node, in one tree.

    NodeError
    ├── FaultsError            a list of faults in something that a person wrote
    │   ├── ConfigError        the configuration
    │   └── RecipeError        a recipe
    ├── StartError             the node cannot start: one sentence, exit code 3
    ├── NotReachable           no ledger, or no node, where one is asked for: exit code 4
    ├── SpoolError
    │   └── NoRoom             less free space than `min_free_disk`, or ENOSPC
    ├── LedgerError            the ledger refused or failed; nothing was changed
    │   ├── LedgerUncertain    a commit failed half-way: it may or may not have happened
    │   └── Collision          two originals would share one replacement
    │       ├── TwoPatients    a study came under two patients
    │       └── ProjectChanged other forms than those handed out before
    ├── DatasetError           encoded DICOM that cannot be parsed
    │   └── SealError          a sealed file is not what was sealed, or was sealed with another key
    ├── FileError              a file that a person named cannot be read or written
    ├── FilesError             some of many files failed; the others are done
    ├── NotInstalled           a package is missing that only some installations need
    ├── ProjectError           a project cannot be closed, or get a key
    ├── UsersError             the users of the web page cannot be read, or changed as asked
    ├── CommandFailed          a command that the web page ran in a process of its own did not do its work
    ├── DrillError             a recall or a withdrawal of consent cannot be carried out as it was asked for
    ├── MergeRefused           two ids cannot be made one person
    ├── CertificateError       a certificate or a key for TLS cannot be used
    ├── HoldInstance           this instance must not go on; carries a reason of a closed list
    └── NetworkError           an association, seen from our side
        ├── ConnectionFailed   no TCP connection, or none in time
        │   └── HandshakeFailed  no TLS: one side does not accept the other
        ├── AssociationRejected  A-ASSOCIATE-RJ
        ├── PeerAborted        A-ABORT, or the connection was lost
        ├── PeerTimeout        nothing came in time
        ├── QueryNotSupported  the peer takes no C-FIND
        ├── QueryFailed        the peer did not answer a C-FIND to its end
        ├── CommitmentNotSupported  the peer offers no storage commitment, or takes no report of it
        ├── CommitmentRefused  the peer did not take a request for storage commitment, or a report
        └── ProtocolError      the peer broke PS3.7 or PS3.8

No message holds a value of a data set: an error says what is wrong, where (file, line, route, tag path) and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class NodeError(Exception):
    """Anything that goes wrong in the node and has a name."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong in a file that a person wrote.

    Parameters
    ----------
    file
        The file, as the user named it.
    line
        Line number from 1, or None where it concerns the whole file.
    problem
        What is wrong, in one sentence.
    hint
        What to do: the nearest right word, or the remedy. May be empty.
    key
        Dotted key of the configuration (`routes.0.recipe`) or the text of the recipe's line.
    """

    file: str
    line: int | None
    problem: str
    hint: str = ""
    key: str = ""

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        key = f" [{self.key}]" if self.key else ""
        hint = f" {self.hint}" if self.hint else ""
        return f"{where}{key}: {self.problem}{hint}"


class FaultsError(NodeError):
    """Something that a person wrote cannot be used; `faults` names everything that is wrong with it."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        super().__init__("\n".join(map(str, faults)))


class ConfigError(FaultsError):
    """The configuration cannot be used."""


class RecipeError(FaultsError):
    """A recipe cannot be used."""


class PairsRefused(FaultsError):
    """Pairs of originals and replacements cannot be imported."""


class StartError(NodeError):
    """The node cannot start; the text says why and what to do."""


class NotReachable(NodeError):
    """No ledger or no node is where one was asked for."""


class SpoolError(NodeError):
    """The spool cannot do what was asked."""

    def __init__(self, problem: str, path: Path | None = None) -> None:
        super().__init__(problem if path is None else f"{problem}: {path}")


class NoRoom(SpoolError):
    """The spool's disk has less free space than its floor, or none."""


class LedgerError(NodeError):
    """The ledger refused a statement or cannot be written."""


class LedgerUncertain(LedgerError):
    """A commit failed: whether it took place shows only when the ledger is read again."""


class Collision(LedgerError):
    """Two originals of one project would get the same replacement, or one original two of them."""


class TwoPatients(Collision):
    """A study of a project came under a second patient."""


class ProjectChanged(Collision):
    """A project's replacements have other forms than those that were handed out before."""


class ProjectClosed(Collision):
    """A project is closed: nothing more is handed out in its name."""


class RecipeChanged(Collision):
    """A study that is to have one recipe began under another one."""


class DatasetError(NodeError):
    """Encoded DICOM that cannot be parsed; `path` is a tag path, never a value."""

    def __init__(self, problem: str, path: str = "") -> None:
        super().__init__(f"{problem} at {path}" if path else problem)
        self.path = path


class SealError(DatasetError):
    """A sealed file was damaged, or sealed with another key than the one that is there."""


class FileError(NodeError):
    """A file that a person named cannot be read or written; `path` is that name."""

    def __init__(self, problem: str, path: str = "") -> None:
        super().__init__(f"{problem}: {path}" if path else problem)
        self.path = path


class FilesError(NodeError):
    """Some of many files failed; the others are done.

    Attributes
    ----------
    done
        What the call would have returned, for the files that went well.
    failed
        Why each of the others failed, by its path (of a data set in memory: its place in the list).
    """

    def __init__(self, done: Sequence[Any], failed: Mapping[str, NodeError]) -> None:
        self.done = list(done)
        self.failed = dict(failed)
        reasons = "".join(f"\n{path}: {reason}" for path, reason in failed.items())
        super().__init__(f"{len(failed)} of {len(done) + len(failed)} files failed:{reasons}")

    def __reduce__(self) -> tuple[Any, ...]:
        return FilesError, (self.done, self.failed)


class ProjectError(NodeError):
    """A project cannot be closed, or get a key; the text says why and what to do."""


class UsersError(NodeError):
    """The users of the web page cannot be read, or changed as asked; the text says why and what to do."""


class CommandFailed(NodeError):
    """A command that was run in a process of its own failed, or took more than it may have."""


class MergeRefused(NodeError):
    """Two ids cannot be made one person; the text says why, with what was delivered, and what to do."""


class CertificateError(NodeError):
    """A certificate or a key for TLS cannot be used; the text names the file and what to do."""


class NotInstalled(NodeError):
    """A package is missing that only some installations need."""


class DrillError(NodeError):
    """A recall, or a withdrawal of consent, cannot be carried out as it was asked for; nothing was changed."""


OUTCOMES = ("in_flight", "delivered", "held", "excluded", "discarded")
"""What an instance counts as: as one of these, at all times."""


class HoldReason(StrEnum):
    """Why an instance or a delivery is held: the closed list that `docs/failures.md` explains."""

    UNPARSABLE = "unparsable"  # the data set cannot be parsed
    EMPTY = "empty"  # the data set has no element
    UNKNOWN_SYNTAX = "unknown-syntax"  # a transfer syntax whose encoding the node does not know
    UID_MISMATCH = "uid-mismatch"  # SOP Class or Instance UID of command and data set differ
    ACTION_FAILED = "action-failed"  # an action of the recipe could not be carried out
    FUNCTION_FAILED = "function-failed"  # a recipe function raised or returned nothing
    VARIABLE_MISSING = "variable-missing"  # the recipe names a variable that the route does not set
    UNKNOWN_SOP_CLASS = "unknown-sop-class"  # the standard does not have the SOP class, so nobody knows what is in it
    DOCUMENT = "document"  # an encapsulated document or a voice, which no recipe looks into
    PIXEL_RISK = "pixel-risk"  # the image may show who the patient is, and no filter masks it
    MASK_FAILED = "mask-failed"  # a filter of the recipe masks the image, which cannot be done right
    NO_PATIENT_ID = "no-patient-id"  # a pseudonym or date shift needs a Patient ID, and there is none that is one's own
    NO_MAPPING = "no-mapping"  # the route demands a pair from outside, and there is none for the patient
    STUDY_OF_TWO_PATIENTS = "study-of-two-patients"  # the study came before, under another patient
    PROJECT_CHANGED = "project-changed"  # the project's first instances went out in other forms
    PROJECT_CLOSED = "project-closed"  # the project was closed, and its name is never used again
    RECIPE_CHANGED = "recipe-changed"  # the study began under a recipe that can no longer be applied
    COLLISION = "collision"  # two originals would get the same replacement
    ROUTE_GONE = "route-gone"  # the configuration no longer has the route
    LEAK = "leak"  # the result still shows whose it is
    POISON = "poison"  # cleaning it killed its worker twice
    DAMAGED = "damaged"  # a sealed file is not what was sealed, or was sealed with another key
    FILE_MISSING = "file-missing"  # the ledger knows it, the spool has no file
    INTERNAL = "internal"  # a fault of the node itself; the log has the traceback
    REFUSED = "refused"  # the destination refused it for good
    GAVE_UP = "gave-up"  # retry.tries is used up
    SYNTAX_REFUSED = "syntax-refused"  # the destination takes no transfer syntax that it can be sent in
    CLASS_REFUSED = "class-refused"  # the destination does not take the SOP class
    DESTINATION_HAS_ANOTHER = "destination-has-another"  # 0111H for content that was never sent there
    DESTINATION_GONE = "destination-gone"  # the configuration no longer has the destination
    CHANGED = "changed"  # the same SOP Instance UID came before, of the same patient and study, with another content
    PATIENT_CORRECTED = "patient-corrected"  # the same SOP Instance UID came before, of another patient or study
    REJECTION_NOTE = "rejection-note"  # its source says that other instances are not to be used
    COMMISSIONING = "commissioning"  # its study waits until a person has looked at it (`routes.commissioning`)
    RECALLED = "recalled"  # it was recalled while it waited, or its route still has the recipe that was
    REBUILT = "rebuilt"  # the ledger was rebuilt: whether it was delivered is not known


class HoldInstance(NodeError):
    """This instance must not go on; a person decides.

    `detail` says where (tag path, recipe line) and holds no value of the data set.
    """

    def __init__(self, reason: HoldReason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail


class NetworkError(NodeError):
    """An association went wrong."""


class ConnectionFailed(NetworkError):
    """No TCP connection to the peer."""


class HandshakeFailed(ConnectionFailed):
    """No TLS with the peer: one side does not accept the other's certificate, version or cipher suites."""


class AssociationRejected(NetworkError):
    """The peer answered A-ASSOCIATE-RJ (PS3.8 9.3.4)."""

    def __init__(self, result: int, source: int, reason: int) -> None:
        super().__init__(f"association rejected (result {result}, source {source}, reason {reason})")
        self.result = result
        self.source = source
        self.reason = reason


class PeerAborted(NetworkError):
    """The peer aborted, or the connection was lost."""


class PeerTimeout(NetworkError):
    """The peer did not answer in time."""


class QueryNotSupported(NetworkError):
    """The peer accepts no presentation context for the query that was to be asked."""


class QueryFailed(NetworkError):
    """The peer ended a C-FIND with a failure (PS3.4 C.4.1.1.4), or with more answers than were asked for."""


class CommitmentNotSupported(NetworkError):
    """The peer does not offer storage commitment, or takes no reports of it."""


class CommitmentRefused(NetworkError):
    """The peer answered N-ACTION or N-EVENT-REPORT of storage commitment with a failure (PS3.7 10.1)."""


class ProtocolError(NetworkError):
    """The peer broke PS3.7 or PS3.8; `reason` is the provider reason of the A-ABORT (PS3.8 9.3.8)."""

    def __init__(self, problem: str, reason: int = 0) -> None:
        super().__init__(problem)
        self.reason = reason
