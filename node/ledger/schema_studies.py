"""Tables about whole studies: what is followed until it is complete, and receipts; beside those of `schema`.

All UIDs are replaced ones: as they went out, or, where a column is called `study` or `series`, what the project's key
gives for the original, by which instances are found (`schema.series`).
"""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from node.ledger.schema import metadata

# Studies that something happened to: when last, and when they are to be looked at (null: nothing is new since). `state`
# is what the last look said (`node.ledger.completeness`), `counts` some of its numbers, `accepted` the differences that
# a person takes as they are, as a digest.
studies = Table(
    "studies",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("project", Text, nullable=False),
    Column("study", Text, nullable=False),
    Column("uid", Text),
    Column("changed_at", Float, nullable=False),
    Column("due_at", Float),
    Column("checked_at", Float),
    Column("state", Text),
    Column("state_since", Float),
    Column("counts", Text),
    Column("accepted", Text),
    Column("accepted_by", Text),
    Column("accepted_at", Float),
    UniqueConstraint("project", "study", name="studies_study"),
)
Index("studies_due", studies.c.due_at, sqlite_where=text("due_at IS NOT NULL"))
Index("studies_uid", studies.c.uid, sqlite_where=text("uid IS NOT NULL"))
Index("studies_state", studies.c.state, studies.c.state_since)

# What destinations said that they have of a study: when they are to be asked (null: they need not be), how often they
# did not answer and why, and what they do not have (`found`, JSON).
study_answers = Table(
    "study_answers",
    metadata,
    Column("study", Integer, ForeignKey("studies.seq"), nullable=False),
    Column("destination", Text, nullable=False),
    Column("ask_at", Float),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("asked_at", Float),
    Column("problem", Text),
    Column("found", Text),
    PrimaryKeyConstraint("study", "destination", name="study_answers_key"),
    sqlite_with_rowid=False,
)
Index(
    "study_answers_due",
    study_answers.c.destination,
    study_answers.c.ask_at,
    sqlite_where=text("ask_at IS NOT NULL"),
)

# The instances that cleaned instances of a study refer to.
study_references = Table(
    "study_references",
    metadata,
    Column("project", Text, nullable=False),
    Column("study", Text, nullable=False),
    Column("uid", Text, nullable=False),
    PrimaryKeyConstraint("project", "study", "uid", name="study_references_key"),
    sqlite_with_rowid=False,
)

# How many instances a series, or the whole study (`series` is empty), has at its source, where that said so.
study_expected = Table(
    "study_expected",
    metadata,
    Column("project", Text, nullable=False),
    Column("study", Text, nullable=False),
    Column("series", Text, nullable=False),
    Column("n", Integer, nullable=False),
    PrimaryKeyConstraint("project", "study", "series", name="study_expected_key"),
    sqlite_with_rowid=False,
)

# Receipts (`node.receipt`), compressed as they were signed; `covers` is a digest of what one is about, `hash` that of
# the receipt, which the next one names.
receipts = Table(
    "receipts",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("project", Text, nullable=False),
    Column("study", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("replaces", Integer),
    Column("covers", LargeBinary, nullable=False),
    Column("hash", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
)
Index("receipts_study", receipts.c.project, receipts.c.study, receipts.c.destination)
