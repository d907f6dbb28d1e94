"""Numbers that only grow, what people were told of, since when something is refused, since when a destination fails."""

from alembic import op

revision = "0013"
down_revision = "0011"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE meters (
        name TEXT NOT NULL,
        label TEXT NOT NULL,
        bucket INTEGER NOT NULL,
        n INTEGER NOT NULL,
        total FLOAT NOT NULL,
        last_at FLOAT NOT NULL,
        CONSTRAINT meters_key PRIMARY KEY (name, label, bucket)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE notices (
        channel TEXT NOT NULL,
        kind TEXT NOT NULL,
        about TEXT NOT NULL,
        since FLOAT NOT NULL,
        told_at FLOAT NOT NULL,
        CONSTRAINT notices_key PRIMARY KEY (channel, kind, about)
    ) WITHOUT ROWID
    """,
    "ALTER TABLE refusals ADD COLUMN first_at FLOAT",
    "ALTER TABLE refusals ADD COLUMN syntaxes TEXT",
    "ALTER TABLE destinations ADD COLUMN failing_since FLOAT",
    # What was done before this version is not counted: a ledger may have a hundred million events.
    "INSERT INTO meta (key, value) SELECT 'meters_events', coalesce(max(seq), 0) FROM events",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.get_bind().exec_driver_sql(statement)
