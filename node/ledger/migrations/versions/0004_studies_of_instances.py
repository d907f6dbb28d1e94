"""The study that an instance belongs to, by the keyed replacement of its UID."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.get_bind().exec_driver_sql("ALTER TABLE instances ADD COLUMN study TEXT")
