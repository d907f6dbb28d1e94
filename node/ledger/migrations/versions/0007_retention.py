"""When map entries were last used; what was erased by age; projects that are closed."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_STATEMENTS = (
    "ALTER TABLE uid_map ADD COLUMN used_day INTEGER",
    "ALTER TABLE patient_map ADD COLUMN used_day INTEGER",
    """
    INSERT INTO meta (key, value) VALUES ('maps_dated_since', CAST(strftime('%s', 'now') / 86400 AS TEXT))
    """,
    """
    CREATE TABLE closed_projects (
        project TEXT NOT NULL PRIMARY KEY,
        begun_at FLOAT NOT NULL,
        closed_at FLOAT,
        record TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE erasures (
        seq INTEGER NOT NULL PRIMARY KEY,
        at FLOAT NOT NULL,
        kind TEXT NOT NULL,
        n INTEGER NOT NULL,
        ended_at FLOAT,
        detail TEXT
    )
    """,
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        # Not as SQLAlchemy's text, to which a colon in it would be a parameter.
        op.get_bind().exec_driver_sql(statement)
