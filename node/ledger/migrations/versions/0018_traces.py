"""What recipes did to instances."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_STATEMENTS = (
    "ALTER TABLE instances ADD COLUMN trace INTEGER",
    "ALTER TABLE instances ADD COLUMN trace_of INTEGER",
    """
    CREATE TABLE traces (
        seq INTEGER NOT NULL PRIMARY KEY,
        digest BLOB NOT NULL,
        recipe_hash TEXT NOT NULL,
        content BLOB NOT NULL,
        CONSTRAINT traces_digest UNIQUE (digest)
    )
    """,
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.get_bind().exec_driver_sql(statement)
