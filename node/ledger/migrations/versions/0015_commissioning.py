"""Studies that wait for a person's release, and which instances wait along; texts that were kept, for review."""

from alembic import op

revision = "0015"
down_revision = "0013"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE commissioned (
        seq INTEGER NOT NULL PRIMARY KEY,
        route TEXT NOT NULL,
        study TEXT NOT NULL,
        recipe_hash TEXT NOT NULL,
        kind TEXT NOT NULL,
        begun_at FLOAT NOT NULL,
        released_at FLOAT,
        released_by TEXT,
        CONSTRAINT commissioned_study UNIQUE (route, study, recipe_hash),
        CONSTRAINT commissioned_kind CHECK (kind IN ('first', 'share'))
    )
    """,
    "CREATE INDEX commissioned_first ON commissioned (route, recipe_hash) WHERE kind = 'first'",
    "CREATE INDEX commissioned_waiting ON commissioned (begun_at) WHERE released_at IS NULL",
    """
    CREATE TABLE commissioned_instances (
        instance INTEGER NOT NULL,
        commissioned INTEGER NOT NULL,
        CONSTRAINT commissioned_instances_key PRIMARY KEY (instance),
        FOREIGN KEY (instance) REFERENCES instances (seq),
        FOREIGN KEY (commissioned) REFERENCES commissioned (seq)
    )
    """,
    "CREATE INDEX commissioned_instances_of ON commissioned_instances (commissioned)",
    """
    CREATE TABLE kept_texts (
        seq INTEGER NOT NULL PRIMARY KEY,
        project TEXT NOT NULL,
        path TEXT NOT NULL,
        text TEXT NOT NULL,
        n INTEGER NOT NULL,
        first_at FLOAT NOT NULL,
        last_at FLOAT NOT NULL,
        decision TEXT,
        decided_by TEXT,
        decided_at FLOAT,
        CONSTRAINT kept_texts_text UNIQUE (project, path, text),
        CONSTRAINT kept_texts_decision CHECK (decision IN ('harmless', 'identifying'))
    )
    """,
    "CREATE INDEX kept_texts_identifying ON kept_texts (project) WHERE decision = 'identifying'",
    """
    CREATE TABLE kept_in (
        kept_text INTEGER NOT NULL,
        instance INTEGER NOT NULL,
        CONSTRAINT kept_in_key PRIMARY KEY (kept_text, instance),
        FOREIGN KEY (kept_text) REFERENCES kept_texts (seq),
        FOREIGN KEY (instance) REFERENCES instances (seq)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX kept_in_instance ON kept_in (instance)",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.get_bind().exec_driver_sql(statement)
