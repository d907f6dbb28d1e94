"""The ledger's tables, as the queries see them; `migrations/` makes them, and a test holds the two equal.

Times are seconds since 1970, UTC. Tallies and events are kept by triggers of the database, in the transaction that
changes a row, so that no code can change a state and forget to count or to write it down.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

VERSION = "0018"  # the migration that makes these tables

metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

instances = Table(
    "instances",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("id", Text, nullable=False),
    Column("received_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("project", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("calling_ae_title", Text, nullable=False),
    Column("called_ae_title", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("sop_class_uid", Text, nullable=False),
    Column("sop_instance_uid", Text, nullable=False),
    Column("transfer_syntax_uid", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("repeat", Integer, nullable=False, server_default=text("0")),
    Column("reason", Text),
    Column("detail", Text),
    Column("strikes", Integer, nullable=False, server_default=text("0")),
    Column("due_at", Float, nullable=False),
    Column("lease_owner", Text),
    Column("lease_until", Float),
    Column("recipe_hash", Text),
    Column("clean_sop_class_uid", Text),
    Column("clean_sop_instance_uid", Text),
    Column("clean_transfer_syntax_uid", Text),
    Column("clean_size", Integer),
    Column("clean_offset", Integer),
    Column("engine_version", Text),
    Column("study", Text),
    # Whose it is, keyed: two instances of one patient and study have the same (`InstanceIdentities.whose`).
    Column("whose", Text),
    # What a person decided about an instance whose UID came before, or about a rejection note.
    Column("decision", Text),
    # Its series; null where that could not be read, and where an earlier version of the program cleaned it.
    Column("series", Integer, ForeignKey("series.seq")),
    # The hash of the recipe that a person chose for this instance alone.
    Column("asked_recipe", Text),
    # The names in its sender's certificate; null where it showed none.
    Column("certificate", Text),
    # The series that it went out in (`sent_series.seq`); null where an earlier version of the program cleaned it.
    Column("sent_series", Integer),
    # SHA-256 of the data set that goes out, where receipts are written.
    Column("clean_digest", LargeBinary),
    # What was done to it (`traces.seq`), and the instance that this was found out with; null where it is its own.
    Column("trace", Integer),
    Column("trace_of", Integer),
    UniqueConstraint("id", name="instances_id"),
    CheckConstraint("state IN ('received', 'cleaned', 'held', 'excluded', 'discarded')", name="instances_state"),
    CheckConstraint("outcome IN ('in_flight', 'delivered', 'held', 'excluded', 'discarded')", name="instances_outcome"),
    CheckConstraint(
        "(state = 'received' AND outcome = 'in_flight') OR (state = 'held' AND outcome = 'held')"
        " OR (state = 'excluded' AND outcome = 'excluded') OR (state = 'discarded' AND outcome = 'discarded')"
        " OR (state = 'cleaned' AND outcome <> 'excluded')",
        name="instances_state_outcome",
    ),
    CheckConstraint("state <> 'cleaned' OR clean_sop_instance_uid IS NOT NULL", name="instances_cleaned"),
    CheckConstraint("state <> 'held' OR reason IS NOT NULL", name="instances_held"),
)
Index("instances_received", instances.c.seq, sqlite_where=text("state = 'received'"))
Index("instances_held_at", instances.c.changed_at, sqlite_where=text("state = 'held'"))
# All copies of an instance but those that only came again (`repeat` is 2), of which there may be very many.
Index("instances_copies", instances.c.project, instances.c.sop_instance_uid, sqlite_where=text("repeat < 2"))
Index(
    "instances_alerting",
    instances.c.changed_at,
    sqlite_where=text("state = 'held' AND reason IN ('patient-corrected', 'rejection-note')"),
)
# Those whose patient waits for a pair from outside, by whose they are.
Index(
    "instances_unmapped",
    instances.c.project,
    instances.c.whose,
    instances.c.changed_at,
    sqlite_where=text("state = 'held' AND reason = 'no-mapping'"),
)

Index("instances_series", instances.c.series, sqlite_where=text("series IS NOT NULL"))
# Those of an earlier version of the program.
Index(
    "instances_study",
    instances.c.project,
    instances.c.study,
    sqlite_where=text("series IS NULL AND study IS NOT NULL"),
)

# By what instances are found, keyed: replacements of the UIDs of study and series, and keyed numbers of the accession
# number and the patient (`node.instances.Place`); empty where an instance has none.
series = Table(
    "series",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("project", Text, nullable=False),
    Column("study", Text, nullable=False),
    Column("series", Text, nullable=False),
    Column("accession", Text, nullable=False),
    Column("patient", Text, nullable=False),
)
Index("series_study", series.c.project, series.c.study)
Index("series_series", series.c.project, series.c.series)
Index("series_accession", series.c.project, series.c.accession, sqlite_where=text("accession > ''"))
Index("series_patient", series.c.project, series.c.patient, sqlite_where=text("patient > ''"))

# The instances that a held rejection note speaks of.
rejections = Table(
    "rejections",
    metadata,
    Column("note", Integer, ForeignKey("instances.seq"), nullable=False),
    Column("instance", Integer, ForeignKey("instances.seq"), nullable=False),
    PrimaryKeyConstraint("note", "instance", name="rejections_key"),
    sqlite_with_rowid=False,
)

# What made the images of a project: Modality, Manufacturer, Manufacturer's Model Name, as the originals have them.
devices = Table(
    "devices",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("project", Text, nullable=False),
    Column("modality", Text, nullable=False),
    Column("manufacturer", Text, nullable=False),
    Column("model", Text, nullable=False),
    UniqueConstraint("project", "modality", "manufacturer", "model", name="devices_names"),
)

# The series that went out: Study and Series Instance UID as they were sent; the device is forgotten with its project.
sent_series = Table(
    "sent_series",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("project", Text, nullable=False),
    Column("study", Text, nullable=False),
    Column("series", Text, nullable=False),
    Column("device", Integer, ForeignKey("devices.seq")),
    UniqueConstraint("project", "study", "series", "device", name="sent_series_uids"),
)

# What recipes did to instances, without a value of them: compressed JSON (`node.effects`), each once.
traces = Table(
    "traces",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("recipe_hash", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    UniqueConstraint("digest", name="traces_digest"),
)

# Cleaned data sets that are no files (`node.derived`), as long as a delivery needs them: what stands before and after
# a range of the original, which stays as long.
derivations = Table(
    "derivations",
    metadata,
    Column("instance", Integer, ForeignKey("instances.seq"), primary_key=True),
    Column("before", LargeBinary, nullable=False),
    Column("start", Integer, nullable=False),
    Column("length", Integer, nullable=False),
    Column("after", LargeBinary, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("instance", Integer, ForeignKey("instances.seq"), nullable=False),
    Column("destination", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("refused", Integer, nullable=False, server_default=text("0")),
    Column("offered", Integer, nullable=False, server_default=text("0")),
    Column("status", Integer),
    Column("last_error", Text),
    Column("reason", Text),
    Column("detail", Text),
    Column("lease_owner", Text),
    Column("lease_until", Float),
    UniqueConstraint("instance", "destination", name="deliveries_instance"),
    CheckConstraint("state IN ('due', 'delivered', 'held', 'discarded')", name="deliveries_state"),
    CheckConstraint("state <> 'held' OR reason IS NOT NULL", name="deliveries_held"),
)
Index(
    "deliveries_due",
    deliveries.c.destination,
    deliveries.c.due_at,
    deliveries.c.seq,
    sqlite_where=text("state = 'due'"),
)
Index("deliveries_held_at", deliveries.c.changed_at, sqlite_where=text("state = 'held'"))
Index("deliveries_leased", deliveries.c.lease_owner, sqlite_where=text("lease_owner IS NOT NULL"))

destinations = Table(
    "destinations",
    metadata,
    Column("name", Text, primary_key=True),
    Column("paused", Integer, nullable=False, server_default=text("0")),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Column("next_try", Float),
    Column("last_error", Text),
    Column("last_error_at", Float),
    Column("last_success_at", Float),
    Column("failing_since", Float),
)

events = Table(
    "events",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("instance", Integer, ForeignKey("instances.seq"), nullable=False),
    Column("at", Float, nullable=False),
    Column("event", Text, nullable=False),
    Column("detail", Text),
)
Index("events_instance", events.c.instance)

# `used_day` of both: the last day (since 1970, UTC) on which an instance was given it; where it is null, the day is the
# value of `maps_dated_since` in `meta`.
uid_map = Table(
    "uid_map",
    metadata,
    Column("project", Text, nullable=False),
    Column("epoch", Integer, nullable=False, server_default=text("1")),
    Column("original", Text, nullable=False),
    Column("replacement", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("used_day", Integer),
    PrimaryKeyConstraint("project", "epoch", "original", name="uid_map_original"),
    UniqueConstraint("project", "replacement", name="uid_map_replacement"),
    CheckConstraint("origin IN ('computed', 'imported')", name="uid_map_origin"),
    sqlite_with_rowid=False,
)

patient_map = Table(
    "patient_map",
    metadata,
    Column("project", Text, nullable=False),
    Column("epoch", Integer, nullable=False, server_default=text("1")),
    Column("issuer", Text, nullable=False),
    Column("patient_id", Text, nullable=False),
    Column("pseudonym", Text, nullable=False),
    Column("shift_days", Integer, nullable=False),
    Column("origin", Text, nullable=False),
    Column("used_day", Integer),
    PrimaryKeyConstraint("project", "epoch", "issuer", "patient_id", name="patient_map_original"),
    UniqueConstraint("project", "pseudonym", name="patient_map_pseudonym"),
    CheckConstraint("origin IN ('computed', 'imported')", name="patient_map_origin"),
    sqlite_with_rowid=False,
)

# Ids that a person has made one with another, whose pair they have from then on; an id stands for itself or for one
# that stands for itself. Numbers are never used twice.
patient_aliases = Table(
    "patient_aliases",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("project", Text, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("patient_id", Text, nullable=False),
    Column("same_issuer", Text, nullable=False),
    Column("same_patient_id", Text, nullable=False),
    UniqueConstraint("project", "epoch", "issuer", "patient_id", name="patient_aliases_original"),
    sqlite_autoincrement=True,
)

# Both are replacements, so that the table tells nothing that did not go out: the key's for the study, the pseudonym.
# The recipe is the one of its first instance.
study_map = Table(
    "study_map",
    metadata,
    Column("project", Text, nullable=False),
    Column("study", Text, nullable=False),
    Column("pseudonym", Text, nullable=False),
    Column("recipe_hash", Text),
    PrimaryKeyConstraint("project", "study", name="study_map_study"),
    sqlite_with_rowid=False,
)
Index("study_map_pseudonym", study_map.c.project, study_map.c.pseudonym)

# Those of which instances went out under another recipe than the first one, or under one chosen for them alone.
mixed_studies = Table(
    "mixed_studies",
    metadata,
    Column("project", Text, nullable=False),
    Column("study", Text, nullable=False),
    PrimaryKeyConstraint("project", "study", name="mixed_studies_study"),
    sqlite_with_rowid=False,
)

# In which forms a project's replacements went out since the key epoch began; JSON, as `node.ledger.projects` writes it.
projects = Table(
    "projects",
    metadata,
    Column("project", Text, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("forms", Text, nullable=False),
    PrimaryKeyConstraint("project", "epoch", name="projects_epoch"),
)

# Projects whose names may never be used again. `closed_at` is null until everything is destroyed; `record` is JSON.
closed_projects = Table(
    "closed_projects",
    metadata,
    Column("project", Text, primary_key=True),
    Column("begun_at", Float, nullable=False),
    Column("closed_at", Float),
    Column("record", Text, nullable=False),
)

# What was erased by age, without anybody's identity: one row for each round that erased something, written before the
# first of it goes; `ended_at` is null while it is under way, or where the node died in the middle of it.
erasures = Table(
    "erasures",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("kind", Text, nullable=False),
    Column("n", Integer, nullable=False),
    Column("ended_at", Float),
    Column("detail", Text),
)

tallies = Table(
    "tallies",
    metadata,
    Column("route", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("repeat", Integer, nullable=False),
    Column("n", Integer, nullable=False),
    PrimaryKeyConstraint("route", "state", "outcome", "repeat", name="tallies_key"),
)

delivery_tallies = Table(
    "delivery_tallies",
    metadata,
    Column("destination", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("n", Integer, nullable=False),
    PrimaryKeyConstraint("destination", "state", name="delivery_tallies_key"),
)

# `uid` is what a refusal is about: the abstract syntax of a presentation context; else the names in the certificate.
# `syntaxes` are the transfer syntaxes that the last such context was proposed with, separated by blanks.
refusals = Table(
    "refusals",
    metadata,
    Column("kind", Text, nullable=False),
    Column("calling_ae_title", Text, nullable=False),
    Column("called_ae_title", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("uid", Text, nullable=False),
    Column("n", Integer, nullable=False),
    Column("last_at", Float, nullable=False),
    Column("audited", Integer),
    Column("first_at", Float),
    Column("syntaxes", Text),
    PrimaryKeyConstraint("kind", "calling_ae_title", "called_ae_title", "address", "uid", name="refusals_key"),
)

# The audit trail: messages in a chain of keyed hashes (`node.audit.chain`), whose end `meta` has.
audit = Table(
    "audit",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("message", Text, nullable=False),
    Column("mac", LargeBinary, nullable=False),
)
Index("audit_at", audit.c.at)
