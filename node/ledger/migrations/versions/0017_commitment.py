"""Storage commitment: what senders asked for, and what destinations were asked."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE commitments (
        seq INTEGER NOT NULL PRIMARY KEY,
        at FLOAT NOT NULL,
        project TEXT NOT NULL,
        route TEXT NOT NULL,
        calling_ae_title TEXT NOT NULL,
        called_ae_title TEXT NOT NULL,
        address TEXT NOT NULL,
        transaction_uid TEXT NOT NULL,
        instances INTEGER NOT NULL,
        state TEXT NOT NULL,
        until FLOAT NOT NULL,
        due_at FLOAT NOT NULL,
        tries INTEGER DEFAULT 0 NOT NULL,
        decided_at FLOAT,
        failed INTEGER,
        ended_at FLOAT,
        last_error TEXT,
        CONSTRAINT commitments_transaction UNIQUE (project, calling_ae_title, transaction_uid),
        CONSTRAINT commitments_state CHECK (state IN ('waiting', 'decided', 'answered', 'unanswered'))
    )
    """,
    "CREATE INDEX commitments_open ON commitments (due_at) WHERE state IN ('waiting', 'decided')",
    "CREATE INDEX commitments_by_state ON commitments (state, decided_at)",
    "CREATE INDEX commitments_ended ON commitments (ended_at) WHERE ended_at IS NOT NULL",
    """
    CREATE TABLE commitment_references (
        request INTEGER NOT NULL,
        place INTEGER NOT NULL,
        sop_class_uid TEXT NOT NULL,
        sop_instance_uid TEXT NOT NULL,
        result INTEGER,
        CONSTRAINT commitment_references_key PRIMARY KEY (request, place),
        FOREIGN KEY (request) REFERENCES commitments (seq)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE commitment_questions (
        seq INTEGER NOT NULL PRIMARY KEY,
        request INTEGER NOT NULL,
        destination TEXT NOT NULL,
        ae_title TEXT NOT NULL,
        transaction_uid TEXT NOT NULL,
        content TEXT NOT NULL,
        asked_at FLOAT NOT NULL,
        answered_at FLOAT,
        confirmed TEXT,
        CONSTRAINT commitment_questions_transaction UNIQUE (transaction_uid),
        FOREIGN KEY (request) REFERENCES commitments (seq)
    )
    """,
    "CREATE INDEX commitment_questions_request ON commitment_questions (request, destination)",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.get_bind().exec_driver_sql(statement)
