"""Tables of storage commitment: what senders asked for, and what destinations were asked; beside `node.ledger.schema`.

Original UIDs are in `commitment_references` alone, as in `instances`, and as long as the request is kept.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from node.ledger.schema import metadata

# `waiting` until what was asked is known to be safe, or not; `decided` until the sender has taken the report. `until`
# is when the waiting ends; `failed` how many instances the report names as failed.
commitments = Table(
    "commitments",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("project", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("calling_ae_title", Text, nullable=False),
    Column("called_ae_title", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("transaction_uid", Text, nullable=False),
    Column("instances", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("until", Float, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("decided_at", Float),
    Column("failed", Integer),
    Column("ended_at", Float),
    Column("last_error", Text),
    UniqueConstraint("project", "calling_ae_title", "transaction_uid", name="commitments_transaction"),
    CheckConstraint("state IN ('waiting', 'decided', 'answered', 'unanswered')", name="commitments_state"),
)
Index("commitments_open", commitments.c.due_at, sqlite_where=text("state IN ('waiting', 'decided')"))
Index("commitments_by_state", commitments.c.state, commitments.c.decided_at)
Index("commitments_ended", commitments.c.ended_at, sqlite_where=text("ended_at IS NOT NULL"))

# `result` is 0, or the Failure Reason (0008,1197); null until it is decided.
commitment_references = Table(
    "commitment_references",
    metadata,
    Column("request", Integer, ForeignKey("commitments.seq"), nullable=False),
    Column("place", Integer, nullable=False),
    Column("sop_class_uid", Text, nullable=False),
    Column("sop_instance_uid", Text, nullable=False),
    Column("result", Integer),
    PrimaryKeyConstraint("request", "place", name="commitment_references_key"),
    sqlite_with_rowid=False,
)

# What destinations were asked, under Transaction UIDs of the node's own: `content` is a hash of the instances asked
# for, `confirmed` the replaced UIDs of those that the destination has, once it has said so (`answered_at`).
commitment_questions = Table(
    "commitment_questions",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("request", Integer, ForeignKey("commitments.seq"), nullable=False),
    Column("destination", Text, nullable=False),
    Column("ae_title", Text, nullable=False),
    Column("transaction_uid", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("asked_at", Float, nullable=False),
    Column("answered_at", Float),
    Column("confirmed", Text),
    UniqueConstraint("transaction_uid", name="commitment_questions_transaction"),
)
Index("commitment_questions_request", commitment_questions.c.request, commitment_questions.c.destination)
