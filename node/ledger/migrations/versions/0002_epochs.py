"""Key epochs in the maps; which patient a study belongs to; the forms that a project is bound to.

What was handed out before had pseudonyms and UIDs of one form, and date shifts of 1 to 3650 days.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE uid_map_new (
        project TEXT NOT NULL,
        epoch INTEGER DEFAULT 1 NOT NULL,
        original TEXT NOT NULL,
        replacement TEXT NOT NULL,
        origin TEXT NOT NULL,
        CONSTRAINT uid_map_original PRIMARY KEY (project, epoch, original),
        CONSTRAINT uid_map_replacement UNIQUE (project, replacement),
        CONSTRAINT uid_map_origin CHECK (origin IN ('computed', 'imported'))
    ) WITHOUT ROWID
    """,
    """
    INSERT INTO uid_map_new (project, epoch, original, replacement, origin)
        SELECT project, 1, original, replacement, origin FROM uid_map
    """,
    "DROP TABLE uid_map",
    "ALTER TABLE uid_map_new RENAME TO uid_map",
    """
    CREATE TABLE patient_map_new (
        project TEXT NOT NULL,
        epoch INTEGER DEFAULT 1 NOT NULL,
        issuer TEXT NOT NULL,
        patient_id TEXT NOT NULL,
        pseudonym TEXT NOT NULL,
        shift_days INTEGER NOT NULL,
        origin TEXT NOT NULL,
        CONSTRAINT patient_map_original PRIMARY KEY (project, epoch, issuer, patient_id),
        CONSTRAINT patient_map_pseudonym UNIQUE (project, pseudonym),
        CONSTRAINT patient_map_origin CHECK (origin IN ('computed', 'imported'))
    ) WITHOUT ROWID
    """,
    """
    INSERT INTO patient_map_new (project, epoch, issuer, patient_id, pseudonym, shift_days, origin)
        SELECT project, 1, issuer, patient_id, pseudonym, shift_days, origin FROM patient_map
    """,
    "DROP TABLE patient_map",
    "ALTER TABLE patient_map_new RENAME TO patient_map",
    """
    CREATE TABLE study_map (
        project TEXT NOT NULL,
        study TEXT NOT NULL,
        pseudonym TEXT NOT NULL,
        CONSTRAINT study_map_study PRIMARY KEY (project, study)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE projects (
        project TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        forms TEXT NOT NULL,
        CONSTRAINT projects_epoch PRIMARY KEY (project, epoch)
    )
    """,
    """
    INSERT INTO projects (project, epoch, forms)
        SELECT DISTINCT project, 1, '{"dates.shift_max": 3650, "dates.shift_min": 1, "dates.whole_weeks": false,
            "pseudonym.alphabet": "0123456789ABCDEFGHJKMNPQRSTVWXYZ", "pseudonym.check_digit": false,
            "pseudonym.length": 13, "pseudonym.prefix": "", "uid_root": "2.25"}'
        FROM instances WHERE clean_sop_instance_uid IS NOT NULL
    """,
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        # Not as SQLAlchemy's text, to which a colon in it would be a parameter.
        op.get_bind().exec_driver_sql(statement)
