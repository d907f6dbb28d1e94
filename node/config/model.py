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
    """`human` or `json`, one line an event, on stderr."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """`debug`, `info`, `warning` or `error`."""


class ReceivingTimeouts(Section):
    """How long the receiving side waits, in seconds: for a request, between messages, and inside one."""

    acse: PositiveDuration = 30.0
    """From the connection until A-ASSOCIATE-RQ is there, the handshake of TLS included."""
    idle: PositiveDuration = 600.0
    """Between two messages of an association."""
    transfer: PositiveDuration = 60.0
    """Inside a message: for each 16 KiB of it and for its rest, so that a trickle ends too; and for a peer to take an
    answer. TCP asks a peer that is silent for so long whether it is still there.
    """


class Listener(Section):
    """Where the node receives; `called_ae` None takes every title that some route has."""

    listen: Address
    """`host:port` of the listener."""
    called_ae: Annotated[tuple[AEPattern, ...], Filled] | None = None
    """AE titles that callers use there, `*` as wildcard; others are rejected (1/1/7), whatever the routes say.
    Default: any.
    """
    tls: ListenerTLS | None = None
    """The TLS that senders must speak there; without it the listener is in clear (docs/tls.md)."""


class NodeSettings(Section):
    """The node itself. It receives where `listening` says: at `listen`, which is without TLS, and at `listeners`.

    `originals` says how long they stay. `warn_free_disk` None is three times `min_free_disk`.
    """

    ae_title: AETitle
    """The node's AE title."""
    listen: Address | None = None
    """`host:port`, where it receives without TLS; `0.0.0.0:11112` to be reached by scanners. Needed where there are no
    `listeners`; with them it can be left out, and the plain port is closed.
    """
    listeners: tuple[Listener, ...] = ()
    """Further places to receive at, each with TLS or without; with them `listen` can be left out."""
    data: FilePath
    """The folder in which spool, ledger and secret lie, unless they are placed by their own keys. Default: `var`.
    """
    spool: FilePath
    """The files: received (identified!) and cleaned. Default: `<data>/spool`."""
    ledger: Annotated[str, PlainValidator(_ledger)]
    """The database: the state of every instance, and the maps of patients and UIDs. Default:
    `sqlite:///<data>/ledger.db`.
    """
    secret_file: FilePath
    """The key of all pseudonyms, UIDs and date shifts, made at the very first start with mode 0600. Keep a copy in a
    safe place: without it the same patient gets another pseudonym. Default: `<data>/secret.key`.
    """
    max_associations: Annotated[int, Field(ge=1, le=10_000)] = 50
    """How many associations of the whole node may be open; one more is rejected (2/3/2)."""
    workers: Annotated[int, PlainValidator(_workers)] = Field(default="auto", validate_default=True)
    """Receiving processes, and as many cleaning ones; `auto` follows the cores (at most 16)."""
    min_free_disk: Annotated[Size, PlainValidator(parse_size)] = Size(bytes=1 << 30)
    """With less free space C-STORE answers A700H."""
    warn_free_disk: Annotated[Size | None, PlainValidator(parse_size)] = None
    """With less free space there is an alert, in the log and in `status` (docs/operation.md#the-disk); a value below
    `min_free_disk` counts as that. Default: three times `min_free_disk`.
    """
    originals: Literal["until-delivered", "until-cleaned"] = "until-delivered"
    """How long originals stay: until every destination has the instance, which then takes its pixels from the original,
    or `until-cleaned`: they go at once, and a cleaned file is written, which takes about twice the time for images.
    """
    drain: Duration = 30.0
    """How long open associations may go on after SIGTERM."""
    encryption: Encryption | None = None
    """Encryption at rest: originals, and the identifying columns of the ledger (docs/encryption.md)."""
    log: LogSettings = LogSettings()
    """What is written to stderr."""
    timeouts: ReceivingTimeouts = ReceivingTimeouts()
    """How long the receiving side waits."""

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
    """AE titles that callers use for the node. Default: the node's own."""


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
    """A name of its own: letters, digits, dot, dash, underscore."""
    project: Name
    """The scope of identity: routes of one project share pseudonyms, UIDs and date shifts, two projects share nothing;
    its rules stand under `projects`. Default: the route's name.
    """
    from_: Sender = Field(default=Sender(), alias="from")
    """Who may send by this route; every part that is given must fit."""
    recipe: Annotated[tuple[RecipeEntry, ...], Filled]
    """Shipped recipes by their names, or paths (with a `/`, or ending in `.dicom`); later ones have the last word."""
    to: Annotated[tuple[str, ...], Filled]
    """The names of destinations; each gets every instance."""
    exclude: tuple[str, ...] = ()
    """Conditions on the header; an instance that meets one is answered 0000H as any other, but not sent, and
    counted as excluded: `equals Modality SR|KO`, `contains SeriesDescription dose + missing ImageType`.
    """
    variables: dict[str, str] = {}
    """Values for `var:NAME` in the recipe; a variable that the recipe names and nobody sets is a fault."""
    issuer: str = ""
    """The Issuer of Patient ID for instances that have none."""
    missing_patient_id: Literal["hold", "study"] = "hold"
    """Without a Patient ID, or with a placeholder: `hold`, or `study`: the study stands for the patient."""
    mapping: Literal["computed", "required"] = "computed"
    """What an instance needs whose patient nobody has imported a pair for (docs/crosswalk.md): `computed`: nothing, the
    key gives the pair; `required`: it is held (`no-mapping`) and goes by itself once the pair is imported.
    """
    unknown_sop_class: Annotated[str, PlainValidator(_unknown_sop_class)] = "hold"
    """Objects of a SOP class that the standard does not have, private ones: `hold`, `pass` (cleaned as any other), or
    `exclude`.
    """
    documents: Literal["hold", "pass", "stub", "exclude"] = "hold"
    """Encapsulated documents (PDF, CDA, STL, OBJ, MTL) and voices (docs/pixels.md#documents-and-voices): `hold`, `pass`
    (cleaned by the recipe), `stub` (the document is replaced by one that says so, a voice by silence), or `exclude`.
    """
    pixel_risk: Literal["hold", "pass"] | None = None
    """Images that may show who the patient is and that no filter masks (docs/pixels.md#risk): `hold`, or `pass`. Where
    the key is absent and the recipe has no `%profile`, only images are held that say themselves that they show somebody
    (Burned In Annotation YES). Default: `hold`, as far as that.
    """
    gate: Literal["hold", "scrub", "report"] = "hold"
    """What happens to a result in which an identifying value of the original still stands (docs/gate.md): `hold`;
    `scrub`: it is taken out of texts, and what then still is found is held; or `report`: it is sent. The log and the
    row say where.
    """
    recipe_change: Literal["now", "next-study"] = "now"
    """What a changed recipe does to a study that is under way (docs/identity.md#a-recipe-that-changes): `now`: the rest
    goes out under the new one; `next-study`: it goes out under the one that the study began with.
    """
    commissioning: Annotated[int, Field(ge=0, le=100_000)] = 0
    """How many studies, the first ones, wait cleaned until a person has looked at them
    (docs/selftest.md#commissioning).
    """
    sample: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    """The share of the later studies that wait so: `0.01` for one of a hundred."""
    commissioning_after_change: bool = False
    """Whether `commissioning` begins anew with another recipe."""
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
    """For the TCP connection."""
    associate: PositiveDuration = 30.0
    """For the answer to A-ASSOCIATE-RQ."""
    response: PositiveDuration = 60.0
    """For the answer to a C-STORE-RQ, and for room to send."""


class Retry(Section):
    """When a delivery is tried again: after `first`, then `factor` times later each, at most `cap` (seconds).

    `tries` None is for ever; `refused_tries` counts answers that mean the instance itself is refused.
    """

    first: PositiveDuration = 5.0
    """Until the second try."""
    factor: Annotated[float, Field(ge=1, le=100, allow_inf_nan=False)] = 2.0
    """Each further delay is so many times the one before."""
    cap: PositiveDuration = 900.0
    """The longest delay."""
    tries: Annotated[int | None, PlainValidator(_tries)] = None
    """How often it is tried after a connection that was lost, a time-out, or a lack of resources there: a number, or
    `forever`. Default: `forever`.
    """
    refused_tries: Annotated[int, Field(ge=1, le=1000)] = 3
    """How often it is tried after an answer that refuses the instance itself (A9xxH, CxxxH, …); then it is held."""


class Query(Section):
    """Who is asked what a destination has; what is None is as for sending to it. TLS is as for sending, too."""

    ae_title: AETitle | None = None
    """The AE title that answers. Default: that of the destination."""
    address: Address | None = None
    """The `host:port` that answers. Default: that of the destination."""


class Destination(Section):
    """Where cleaned instances go. `calling_ae` is never empty once loaded: by default it is the node's own title.

    `query` says that it can be asked what it has (C-FIND, storage commitment); None: it is not asked.
    """

    ae_title: AETitle
    """Its AE title."""
    address: Address
    """Its `host:port`."""
    calling_ae: AETitle
    """The AE title that the node has for it. Default: the node's own."""
    associations: Annotated[int, Field(ge=1, le=64)] = 2
    """How many associations at a time, in parallel."""
    linger: Duration = 2.0
    """How long an association stays open with nothing to send."""
    timeout: Timeout = Timeout()
    """How long the sending side waits."""
    retry: Retry = Retry()
    """When a delivery is tried again."""
    tls: DestinationTLS | None = None
    """The TLS that it is reached by; with it never without (docs/tls.md)."""
    query: Query | None = None
    """Where the destination can be asked what it has (C-FIND, storage commitment); `{}` where it takes instances."""


class TrialDestination(Section):
    """A storage SCP that is started along with the node, to try it out."""

    enabled: bool = True
    """Whether it is started."""
    ae_title: AETitle
    """Its AE title."""
    listen: Address
    """Its `host:port`; not the port of the node."""
    folder: FilePath
    """Where it keeps files: `<Study UID>/<Series UID>/<SOP Instance UID>.dcm`."""


class Duplicates(Section):
    """What happens to an instance whose SOP Instance UID came before: with the same content, or with another header."""

    same: Literal["once", "resend"] = "once"
    """With the same content: `once`: what became of the first stands, it is neither cleaned nor sent again; or
    `resend`: it is cleaned and sent again, under the same UIDs.
    """
    header: Literal["hold", "replace", "both"] = "hold"
    """With another content, of the same patient and study: `hold`; `replace`: it is sent under the same UIDs, and of
    the earlier one nothing is sent after it; or `both`: it is sent under a SOP Instance UID of its own.
    """


class Config(Section):
    """The whole configuration. `trial_destination` is None where it is absent or not enabled.

    `projects` has those with rules of their own; ask `project`, which knows all. `functions` are the site's own Python
    files, `vocabulary` its files of words that cleaned texts keep, `limits` what a peer may take, `peers` where
    senders take reports of storage commitment, by AE title; `file` is the file as the user named it, `warnings` what is
    no fault but hardly meant.
    """

    node: NodeSettings
    """The node itself: where it receives, where its data lies, how much it takes."""
    routes: Annotated[tuple[Route, ...], Filled]
    """Who sends → which recipe → which destinations. The first route whose `from` matches decides; one that an
    earlier one covers wholly is refused.
    """
    destinations: Annotated[dict[Name, Destination], Filled]
    """Where cleaned instances go: one entry for each destination, by its name."""
    projects: dict[Name, Project] = {}
    """The rules of identity of a project, by its name; one without an entry has the defaults (docs/identity.md)."""
    trial_destination: TrialDestination | None = None
    """A storage SCP that is started along with the node, to try it out; a destination sends to it by its address."""
    audit: AuditSettings = AuditSettings()
    """The audit trail, which is always kept (docs/audit.md)."""
    notify: Notify = Notify()
    """Who is told of what somebody has to look at; without `mail` and `webhook` nobody is
    (docs/monitoring.md#notifications).
    """
    web: Web = Web()
    """The web page and the REST API (docs/web.md)."""
    duplicates: Duplicates = Duplicates()
    """What happens to an instance whose SOP Instance UID came before in the same project
    (docs/operation.md#again-and-corrected).
    """
    limits: tuple[Limit, ...] = ()
    """What one peer may take of the node. The first entry that fits a peer counts, and it alone; without one it has no
    limit but the node's own.
    """
    retention: Retention = Retention()
    """For how long what is no longer needed stays (docs/operation.md#what-is-kept-and-for-how-long). What is received,
    in flight or held never goes by age.
    """
    backup: Backups = Backups()
    """To whom backups are encrypted, and those that the node makes by itself
    (docs/operation.md#backup-and-restore).
    """
    canary: Canary | None = None
    """The node sends itself a synthetic study, again and again, and alarms where it does not come out clean
    (docs/selftest.md#canary). Without this section there is none.
    """
    completeness: Completeness | None = None
    """Studies that have become quiet are compared with what their destinations have (docs/completeness.md). Without
    this section nothing is followed.
    """
    peers: dict[AETitle, ReportPeer] = {}
    """Where senders take the answer to what they ask by storage commitment, by their AE title (docs/commitment.md)."""
    functions: tuple[FilePath, ...] = ()
    """Python files with the site's own functions for `func:` in recipes (docs/recipes.md#your-own-functions). They run
    inside of the node, with all that it may do.
    """
    vocabulary: tuple[FilePath, ...] = ()
    """Files with words that cleaned texts keep besides the node's own (docs/descriptors.md#words-of-your-own)."""
    file: Path = Path()
    warnings: tuple[str, ...] = ()

    def project(self, name: str) -> Project:
        """Return the rules of a project, which may all be defaults."""
        return self.projects.get(name) or Project()

    def is_trial(self, destination: str) -> bool:
        """Say whether a destination is the node's own trial destination."""
        trial = self.trial_destination
        return trial is not None and self.destinations[destination].address == trial.listen
