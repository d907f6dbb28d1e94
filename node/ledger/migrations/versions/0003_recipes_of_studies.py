"""By which version of the program an instance was cleaned, and which studies went out under more than one recipe."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_STATEMENTS = (
    "ALTER TABLE instances ADD COLUMN engine_version TEXT",
    "ALTER TABLE study_map ADD COLUMN recipe_hash TEXT",
    """
    CREATE TABLE mixed_studies (
        project TEXT NOT NULL,
        study TEXT NOT NULL,
        CONSTRAINT mixed_studies_study PRIMARY KEY (project, study)
    ) WITHOUT ROWID
    """,
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.get_bind().exec_driver_sql(statement)
