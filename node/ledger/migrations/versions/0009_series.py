"""By what an instance is found: its series, with study, accession number and patient, all keyed.

Also the recipe that a person chose for it, the names in its sender's certificate, and when the audit trail tells of.
Instances that were cleaned before are found by their study alone.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE series (
        seq INTEGER NOT NULL PRIMARY KEY,
        project TEXT NOT NULL,
        study TEXT NOT NULL,
        series TEXT NOT NULL,
        accession TEXT NOT NULL,
        patient TEXT NOT NULL
    )
    """,
    "CREATE INDEX series_study ON series (project, study)",
    "CREATE INDEX series_series ON series (project, series)",
    "CREATE INDEX series_accession ON series (project, accession) WHERE accession > ''",
    "CREATE INDEX series_patient ON series (project, patient) WHERE patient > ''",
    "ALTER TABLE instances ADD COLUMN series INTEGER REFERENCES series (seq)",
    "ALTER TABLE instances ADD COLUMN asked_recipe TEXT",
    "ALTER TABLE instances ADD COLUMN certificate TEXT",
    "CREATE INDEX instances_series ON instances (series) WHERE series IS NOT NULL",
    "CREATE INDEX instances_study ON instances (project, study) WHERE series IS NULL AND study IS NOT NULL",
    "CREATE INDEX study_map_pseudonym ON study_map (project, pseudonym)",
    "CREATE INDEX audit_at ON audit (at)",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.get_bind().exec_driver_sql(statement)
