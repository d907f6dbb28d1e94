"""Ids that are one person on purpose; who waits for a pair, and the studies of a patient, found at once."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_STATEMENTS = (
    # Numbers are never used twice, so that the last one tells whether there is something new.
    """
    CREATE TABLE patient_aliases (
        seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        at FLOAT NOT NULL,
        project TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        issuer TEXT NOT NULL,
        patient_id TEXT NOT NULL,
        same_issuer TEXT NOT NULL,
        same_patient_id TEXT NOT NULL,
        CONSTRAINT patient_aliases_original UNIQUE (project, epoch, issuer, patient_id)
    )
    """,
    """
    CREATE INDEX instances_unmapped ON instances (project, whose, changed_at)
        WHERE state = 'held' AND reason = 'no-mapping'
    """,
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.get_bind().exec_driver_sql(statement)
