"""Tables of what people decide about what is there, and of what they are told; beside those of `node.ledger.schema`."""

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

# Who has withdrawn consent: the keyed number of a patient in a project (the first half of `instances.whose`). A row
# stays for ever; `changes` grows with each withdrawal and each time that it is taken back (`undone_at`).
withdrawals = Table(
    "withdrawals",
    metadata,
    Column("project", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("undone_at", Float),
    Column("changes", Integer, nullable=False),
    PrimaryKeyConstraint("project", "subject", name="withdrawals_subject"),
    sqlite_with_rowid=False,
)

# Recalls; under way until a person says that the destinations have deleted what they were told to (`done_at`).
recalls = Table(
    "recalls",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("filters", Text, nullable=False),
    Column("send_again", Integer, nullable=False),
    Column("done_at", Float),
)

# What a recall is about, as it was delivered, or waited. `again`: 1 while it is to be cleaned again and sent, then 2; 3
# where its original is gone, so that its sender has to send it again.
recalled = Table(
    "recalled",
    metadata,
    Column("recall", Integer, ForeignKey("recalls.seq"), nullable=False),
    Column("instance", Integer, ForeignKey("instances.seq"), nullable=False),
    Column("destination", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("uid", Text, nullable=False),
    Column("recipe_hash", Text, nullable=False),
    Column("engine_version", Text),
    Column("series", Integer),
    Column("again", Integer, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("recall", "instance", "destination", name="recalled_key"),
    sqlite_with_rowid=False,
)
Index("recalled_again", recalled.c.instance, sqlite_where=text("again = 1"))

# What was done since the ledger began, in numbers that only grow (`node.ledger.meters`).
meters = Table(
    "meters",
    metadata,
    Column("name", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("bucket", Integer, nullable=False),
    Column("n", Integer, nullable=False),
    Column("total", Float, nullable=False),
    Column("last_at", Float, nullable=False),
    PrimaryKeyConstraint("name", "label", "bucket", name="meters_key"),
    sqlite_with_rowid=False,
)

# What people were told of, by channel, and have not been told the end of (`node.ledger.notices`).
notices = Table(
    "notices",
    metadata,
    Column("channel", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("about", Text, nullable=False),
    Column("since", Float, nullable=False),
    Column("told_at", Float, nullable=False),
    PrimaryKeyConstraint("channel", "kind", "about", name="notices_key"),
    sqlite_with_rowid=False,
)

# Studies that are looked at before they go: the first of a route, and a share of the later ones. `study` is the key's
# replacement of the Study Instance UID; `recipe_hash` is empty where a changed recipe begins nothing anew.
commissioned = Table(
    "commissioned",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("route", Text, nullable=False),
    Column("study", Text, nullable=False),
    Column("recipe_hash", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("begun_at", Float, nullable=False),
    Column("released_at", Float),
    Column("released_by", Text),
    UniqueConstraint("route", "study", "recipe_hash", name="commissioned_study"),
    CheckConstraint("kind IN ('first', 'share')", name="commissioned_kind"),
)
Index("commissioned_first", commissioned.c.route, commissioned.c.recipe_hash, sqlite_where=text("kind = 'first'"))
Index("commissioned_waiting", commissioned.c.begun_at, sqlite_where=text("released_at IS NULL"))

# The instances whose deliveries wait, or waited, for the release of their study.
commissioned_instances = Table(
    "commissioned_instances",
    metadata,
    Column("instance", Integer, ForeignKey("instances.seq"), nullable=False),
    Column("commissioned", Integer, ForeignKey("commissioned.seq"), nullable=False),
    PrimaryKeyConstraint("instance", name="commissioned_instances_key"),
)
Index("commissioned_instances_of", commissioned_instances.c.commissioned)

# Texts that left the node as they came, by project and tag path (`projects.NAME.review`), and what a person said of
# them.
kept_texts = Table(
    "kept_texts",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("project", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("n", Integer, nullable=False),
    Column("first_at", Float, nullable=False),
    Column("last_at", Float, nullable=False),
    Column("decision", Text),
    Column("decided_by", Text),
    Column("decided_at", Float),
    UniqueConstraint("project", "path", "text", name="kept_texts_text"),
    CheckConstraint("decision IN ('harmless', 'identifying')", name="kept_texts_decision"),
)

Index("kept_texts_identifying", kept_texts.c.project, sqlite_where=text("decision = 'identifying'"))

kept_in = Table(
    "kept_in",
    metadata,
    Column("kept_text", Integer, ForeignKey("kept_texts.seq"), nullable=False),
    Column("instance", Integer, ForeignKey("instances.seq"), nullable=False),
    PrimaryKeyConstraint("kept_text", "instance", name="kept_in_key"),
    sqlite_with_rowid=False,
)
Index("kept_in_instance", kept_in.c.instance)
