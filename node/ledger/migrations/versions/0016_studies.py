"""Studies that are followed until they are complete, what destinations answered, what is referred to; receipts."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_STATEMENTS = (
    "ALTER TABLE instances ADD COLUMN clean_digest BLOB",
    """
    CREATE TABLE studies (
        seq INTEGER NOT NULL PRIMARY KEY,
        project TEXT NOT NULL,
        study TEXT NOT NULL,
        uid TEXT,
        changed_at FLOAT NOT NULL,
        due_at FLOAT,
        checked_at FLOAT,
        state TEXT,
        state_since FLOAT,
        counts TEXT,
        accepted TEXT,
        accepted_by TEXT,
        accepted_at FLOAT,
        CONSTRAINT studies_study UNIQUE (project, study)
    )
    """,
    "CREATE INDEX studies_due ON studies (due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX studies_uid ON studies (uid) WHERE uid IS NOT NULL",
    "CREATE INDEX studies_state ON studies (state, state_since)",
    """
    CREATE TABLE study_answers (
        study INTEGER NOT NULL,
        destination TEXT NOT NULL,
        ask_at FLOAT,
        tries INTEGER DEFAULT 0 NOT NULL,
        asked_at FLOAT,
        problem TEXT,
        found TEXT,
        CONSTRAINT study_answers_key PRIMARY KEY (study, destination),
        FOREIGN KEY (study) REFERENCES studies (seq)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX study_answers_due ON study_answers (destination, ask_at) WHERE ask_at IS NOT NULL",
    """
    CREATE TABLE study_references (
        project TEXT NOT NULL,
        study TEXT NOT NULL,
        uid TEXT NOT NULL,
        CONSTRAINT study_references_key PRIMARY KEY (project, study, uid)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE study_expected (
        project TEXT NOT NULL,
        study TEXT NOT NULL,
        series TEXT NOT NULL,
        n INTEGER NOT NULL,
        CONSTRAINT study_expected_key PRIMARY KEY (project, study, series)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE receipts (
        number INTEGER NOT NULL PRIMARY KEY,
        at FLOAT NOT NULL,
        project TEXT NOT NULL,
        study TEXT NOT NULL,
        destination TEXT NOT NULL,
        replaces INTEGER,
        covers BLOB NOT NULL,
        hash TEXT NOT NULL,
        content BLOB NOT NULL
    )
    """,
    "CREATE INDEX receipts_study ON receipts (project, study, destination)",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.get_bind().exec_driver_sql(statement)
