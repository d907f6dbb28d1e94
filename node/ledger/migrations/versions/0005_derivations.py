"""Cleaned data sets that are no files of their own."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.get_bind().exec_driver_sql(
        """
        CREATE TABLE derivations (
            instance INTEGER NOT NULL PRIMARY KEY REFERENCES instances (seq),
            "before" BLOB NOT NULL,
            start INTEGER NOT NULL,
            length INTEGER NOT NULL,
            "after" BLOB NOT NULL
        )
        """
    )
