"""The shape of the configuration, with every default.

The models are frozen and strict: no value is converted in silence. What concerns one value alone is refused here; what
concerns several sections is refused by `node.config.checks`. Paths are absolute once loaded; durations are seconds.
Options that are settled, but not built yet, stand here with the one value that is accepted; `node.config.later` refuses
every other.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PlainValidator,
    ValidationInfo,
    model_validator,
)

from node.config.audit import AuditSettings
from node.config.backup import Backups
from node.config.canary import Canary
from node.config.commitment import Commitment, ReportPeer
from node.config.completeness import Completeness
from node.config.encryption import Encryption
from node.config.limits import Limit
from node.config.notify import Notify
from node.config.paths import FilePath, base_of, parse_path
from node.config.projects import Project
from node.config.retention import Retention
from node.config.section import Filled, Section
from node.config.senders import AEPattern, Who
from node.config.tls import DestinationTLS, ListenerTLS
from node.config.units import (
    Endpoint,
    Size,
    parse_ae_title,
    parse_duration,
    parse_endpoint,
    parse_positive_duration,
    parse_size,
)
from node.config.web import Web
from node.sealing import Sealing

MAX_WORKERS = 64
AUTOMATIC_WORKERS = 16
LOCAL_DATABASE = "sqlite:///"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


def _name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.match(value):
        raise ValueError("expected a name: letters, digits, dot, dash and underscore, at most 64, no blank.")
    return value


def is_recipe_path(entry: str) -> bool:
    """Say whether an entry of `recipe` names a file; else it is the name of a shipped recipe."""
    return "/" in entry or entry.endswith(".dicom")


def _recipe(value: object, info: ValidationInfo) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("expected the name of a shipped recipe, or a path.")
    return str(parse_path(value, info)) if is_recipe_path(value) else value


def _ledger(value: object, info: ValidationInfo) -> str:
    """Make the path of a SQLite URL absolute; other databases come with a later version."""
    if not isinstance(value, str) or "://" not in value:
        raise ValueError("expected a database URL such as sqlite:///var/ledger.db.")
    if not value.startswith(LOCAL_DATABASE):
        raise ValueError("only sqlite:/// is possible in this version.")
    path, _, query = value.removeprefix(LOCAL_DATABASE).partition("?")
    if not path or query or path == ":memory:" or path.startswith("file:"):
        raise ValueError("expected the path of a database file behind sqlite:///, and nothing else.")
    return LOCAL_DATABASE + os.path.normpath(base_of(info) / path)


def _workers(value: object) -> int:
    if value == "auto":
        return max(1, min(AUTOMATIC_WORKERS, len(os.sched_getaffinity(0))))
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_WORKERS:
        raise ValueError(f"expected auto, or a number from 1 to {MAX_WORKERS}.")
    return value


def _tries(value: object) -> int | None:
    if value is None or value == "forever":
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("expected forever, or a number from 1.")
    return value


def _unknown_sop_class(value: object) -> str:
    if value == "stub":
        raise ValueError("nobody knows what a stub of an unknown class would need: expected hold, pass or exclude.")
    if value not in ("hold", "pass", "exclude"):
        raise ValueError("expected hold, pass or exclude.")
    return str(value)


Name = Annotated[str, PlainValidator(_name)]
AETitle = Annotated[str, PlainValidator(parse_ae_title)]
Address = Annotated[Endpoint, PlainValidator(parse_endpoint)]
Duration = Annotated[float, BeforeValidator(parse_duration)]
PositiveDuration = Annotated[float, BeforeValidator(parse_positive_duration)]
RecipeEntry = Annotated[str, PlainValidator(_recipe)]


class LogSettings(Section):
    """What is written to stderr."""

    format: Literal["human", "json"] = "human"
    level: Literal["debug", "info", "warning", "error"] = "info"


class ReceivingTimeouts(Section):
    """How long the receiving side waits, in seconds: for a request, between messages, and inside one."""

    acse: PositiveDuration = 30.0
    idle: PositiveDuration = 600.0
    transfer: PositiveDuration = 60.0


class Listener(Section):
    """Where the node receives; `called_ae` None takes every title that some route has."""

    listen: Address
    called_ae: Annotated[tuple[AEPattern, ...], Filled] | None = None
    tls: ListenerTLS | None = None


class NodeSettings(Section):
    """The node itself. It receives where `listening` says: at `listen`, which is without TLS, and at `listeners`.

    `originals` says how long they stay. `warn_free_disk` None is three times `min_free_disk`.
    """

    ae_title: AETitle
    listen: Address | None = None
    listeners: tuple[Listener, ...] = ()
    data: FilePath
    spool: FilePath
    ledger: Annotated[str, PlainValidator(_ledger)]
    secret_file: FilePath
    max_associations: Annotated[int, Field(ge=1, le=10_000)] = 50
    workers: Annotated[int, PlainValidator(_workers)] = Field(default="auto", validate_default=True)
    min_free_disk: Annotated[Size, PlainValidator(parse_size)] = Size(bytes=1 << 30)
    warn_free_disk: Annotated[Size | None, PlainValidator(parse_size)] = None
    originals: Literal["until-delivered", "until-cleaned"] = "until-delivered"
    drain: Duration = 30.0
    encryption: Encryption | None = None
    log: LogSettings = LogSettings()
    timeouts: ReceivingTimeouts = ReceivingTimeouts()

    @property
    def sealing(self) -> Sealing | None:
        """What seals files and columns at rest; None where they stay as they are."""
        return None if self.encryption is None else self.encryption.sealing

    @property
    def listening(self) -> tuple[Listener, ...]:
        """All listeners; at least one."""
        plain = () if self.listen is None else (Listener.model_construct(listen=self.listen),)
        return (*plain, *self.listeners)

    @model_validator(mode="before")
    @classmethod
    def _places_in_data(cls, section: Any) -> Any:
        """Let spool, ledger and secret lie in `data` where they have no place of their own."""
        if not isinstance(section, dict):
            return section
        data = section.get("data", "var")
        data = data if isinstance(data, str) and data else "var"
        places = {
            "data": "var",
            "spool": f"{data}/spool",
            "ledger": f"{LOCAL_DATABASE}{data}/ledger.db",
            "secret_file": f"{data}/secret.key",
        }
        return places | section


class Sender(Who):
    """Who a route is for; a part that is None is any (for `called_ae`: the node's own title)."""

    called_ae: Annotated[tuple[AEPattern, ...], Filled] | None = None


class Route(Section):
    """Who sends → which recipe → which destinations.

    `project` is the scope of pseudonyms, UIDs and date shifts; `issuer` the Issuer of Patient ID where an instance has
    none. A path in `recipe` is absolute once loaded. `unknown_sop_class`, `documents` and `pixel_risk` say what happens
    to objects that no recipe looks into (`node.objects`); `pixel_risk` None is `hold` where the recipe has a profile.
    `mapping: required` lets instances wait whose patient is in no crosswalk. `gate` says what happens to a result that
    still shows whose it is, `recipe_change` whether a study that is under way is finished under the recipe that it
    began with. Of studies the first `commissioning`, and the share `sample` of the later ones, wait until a person has
    looked at them; `commissioning_after_change` counts anew for each recipe. With `commitment` its senders may ask
    whether the destinations have what they sent.
    """

    name: Name
    project: Name
    from_: Sender = Field(default=Sender(), alias="from")
    recipe: Annotated[tuple[RecipeEntry, ...], Filled]
    to: Annotated[tuple[str, ...], Filled]
    exclude: tuple[str, ...] = ()
    variables: dict[str, str] = {}
    issuer: str = ""
    missing_patient_id: Literal["hold", "study"] = "hold"
    mapping: Literal["computed", "required"] = "computed"
    unknown_sop_class: Annotated[str, PlainValidator(_unknown_sop_class)] = "hold"
    documents: Literal["hold", "pass", "stub", "exclude"] = "hold"
    pixel_risk: Literal["hold", "pass"] | None = None
    gate: Literal["hold", "scrub", "report"] = "hold"
    recipe_change: Literal["now", "next-study"] = "now"
    commissioning: Annotated[int, Field(ge=0, le=100_000)] = 0
    sample: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    commissioning_after_change: bool = False
    commitment: Commitment | None = None
    """Lets the senders of the route ask whether the destinations have what they sent. Read the warning first
    (docs/commitment.md).
    """

    @model_validator(mode="before")
    @classmethod
    def _project_of_its_own(cls, section: Any) -> Any:
        if isinstance(section, dict) and "name" in section:
            return {"project": section["name"]} | section
        return section


class Timeout(Section):
    """How long the sending side waits, in seconds: for TCP, A-ASSOCIATE-AC, and a response (or room to send)."""

    connect: PositiveDuration = 10.0
    associate: PositiveDuration = 30.0
    response: PositiveDuration = 60.0


class Retry(Section):
    """When a delivery is tried again: after `first`, then `factor` times later each, at most `cap` (seconds).

    `tries` None is for ever; `refused_tries` counts answers that mean the instance itself is refused.
    """

    first: PositiveDuration = 5.0
    factor: Annotated[float, Field(ge=1, le=100, allow_inf_nan=False)] = 2.0
    cap: PositiveDuration = 900.0
    tries: Annotated[int | None, PlainValidator(_tries)] = None
    refused_tries: Annotated[int, Field(ge=1, le=1000)] = 3


class Query(Section):
    """Who is asked what a destination has; what is None is as for sending to it. TLS is as for sending, too."""

    ae_title: AETitle | None = None
    address: Address | None = None


class Destination(Section):
    """Where cleaned instances go. `calling_ae` is never empty once loaded: by default it is the node's own title.

    `query` says that it can be asked what it has (C-FIND, storage commitment); None: it is not asked.
    """

    ae_title: AETitle
    address: Address
    calling_ae: AETitle
    associations: Annotated[int, Field(ge=1, le=64)] = 2
    linger: Duration = 2.0
    timeout: Timeout = Timeout()
    retry: Retry = Retry()
    tls: DestinationTLS | None = None
    query: Query | None = None


class TrialDestination(Section):
    """A storage SCP that is started along with the node, to try it out."""

    enabled: bool = True
    ae_title: AETitle
    listen: Address
    folder: FilePath


class Duplicates(Section):
    """What happens to an instance whose SOP Instance UID came before: with the same content, or with another header."""

    same: Literal["once", "resend"] = "once"
    header: Literal["hold", "replace", "both"] = "hold"


class Config(Section):
    """The whole configuration. `trial_destination` is None where it is absent or not enabled.

    `projects` has those with rules of their own; ask `project`, which knows all. `functions` are the site's own Python
    files, `vocabulary` its files of words that cleaned texts keep, `limits` what a peer may take, `peers` where
    senders take reports of storage commitment, by AE title; `file` is the file as the user named it, `warnings` what is
    no fault but hardly meant.
    """

    node: NodeSettings
    routes: Annotated[tuple[Route, ...], Filled]
    destinations: Annotated[dict[Name, Destination], Filled]
    projects: dict[Name, Project] = {}
    trial_destination: TrialDestination | None = None
    audit: AuditSettings = AuditSettings()
    notify: Notify = Notify()
    web: Web = Web()
    duplicates: Duplicates = Duplicates()
    limits: tuple[Limit, ...] = ()
    retention: Retention = Retention()
    backup: Backups = Backups()
    canary: Canary | None = None
    completeness: Completeness | None = None
    peers: dict[AETitle, ReportPeer] = {}
    """Where senders take the answer to what they ask by storage commitment, by their AE title (docs/commitment.md)."""
    functions: tuple[FilePath, ...] = ()
    vocabulary: tuple[FilePath, ...] = ()
    file: Path = Path()
    warnings: tuple[str, ...] = ()

    def project(self, name: str) -> Project:
        """Return the rules of a project, which may all be defaults."""
        return self.projects.get(name) or Project()

    def is_trial(self, destination: str) -> bool:
        """Say whether a destination is the node's own trial destination."""
        trial = self.trial_destination
        return trial is not None and self.destinations[destination].address == trial.listen
