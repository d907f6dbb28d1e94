"""The audit trail, and up to where it tells what the ledger knows: it begins with what happens from now on."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE audit (
        seq INTEGER NOT NULL PRIMARY KEY,
        at FLOAT NOT NULL,
        message TEXT NOT NULL,
        mac BLOB NOT NULL
    )
    """,
    "ALTER TABLE refusals ADD COLUMN audited INTEGER",
    "UPDATE refusals SET audited = n",
    "INSERT INTO meta (key, value) SELECT 'audit_events', coalesce(max(seq), 0) FROM events",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.get_bind().exec_driver_sql(statement)
