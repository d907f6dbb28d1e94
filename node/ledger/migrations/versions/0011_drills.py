"""What went out by series and device, what was recalled, who has withdrawn consent."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE devices (
        seq INTEGER NOT NULL PRIMARY KEY,
        project TEXT NOT NULL,
        modality TEXT NOT NULL,
        manufacturer TEXT NOT NULL,
        model TEXT NOT NULL,
        CONSTRAINT devices_names UNIQUE (project, modality, manufacturer, model)
    )
    """,
    """
    CREATE TABLE sent_series (
        seq INTEGER NOT NULL PRIMARY KEY,
        project TEXT NOT NULL,
        study TEXT NOT NULL,
        series TEXT NOT NULL,
        device INTEGER REFERENCES devices (seq),
        CONSTRAINT sent_series_uids UNIQUE (project, study, series, device)
    )
    """,
    "ALTER TABLE instances ADD COLUMN sent_series INTEGER",
    """
    CREATE TABLE withdrawals (
        project TEXT NOT NULL,
        subject TEXT NOT NULL,
        at FLOAT NOT NULL,
        undone_at FLOAT,
        changes INTEGER NOT NULL,
        CONSTRAINT withdrawals_subject PRIMARY KEY (project, subject)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE recalls (
        seq INTEGER NOT NULL PRIMARY KEY,
        at FLOAT NOT NULL,
        filters TEXT NOT NULL,
        send_again INTEGER NOT NULL,
        done_at FLOAT
    )
    """,
    """
    CREATE TABLE recalled (
        recall INTEGER NOT NULL REFERENCES recalls (seq),
        instance INTEGER NOT NULL REFERENCES instances (seq),
        destination TEXT NOT NULL,
        state TEXT NOT NULL,
        at FLOAT NOT NULL,
        uid TEXT NOT NULL,
        recipe_hash TEXT NOT NULL,
        engine_version TEXT,
        series INTEGER,
        again INTEGER NOT NULL DEFAULT 0,
        CONSTRAINT recalled_key PRIMARY KEY (recall, instance, destination)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX recalled_again ON recalled (instance) WHERE again = 1",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        # Not as SQLAlchemy's text, to which a colon in it would be a parameter.
        op.get_bind().exec_driver_sql(statement)
