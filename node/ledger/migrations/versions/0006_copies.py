"""Whose an instance is, what a person decided about a copy, what a rejection note speaks of.

What was replaced before it was delivered counts neither as discarded nor as delivered there.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_STATEMENTS = (
    "ALTER TABLE instances ADD COLUMN whose TEXT",
    "ALTER TABLE instances ADD COLUMN decision TEXT",
    "DROP INDEX instances_uid",
    "CREATE INDEX instances_copies ON instances (project, sop_instance_uid) WHERE repeat < 2",
    """
    CREATE INDEX instances_alerting ON instances (changed_at)
        WHERE state = 'held' AND reason IN ('patient-corrected', 'rejection-note')
    """,
    """
    CREATE TABLE rejections (
        note INTEGER NOT NULL REFERENCES instances (seq),
        instance INTEGER NOT NULL REFERENCES instances (seq),
        CONSTRAINT rejections_key PRIMARY KEY (note, instance)
    ) WITHOUT ROWID
    """,
    "DROP TRIGGER delivery_changed",
    """
    CREATE TRIGGER delivery_changed AFTER UPDATE OF state ON deliveries WHEN old.state <> new.state BEGIN
        UPDATE delivery_tallies SET n = n - 1 WHERE destination = old.destination AND state = old.state;
        INSERT INTO delivery_tallies (destination, state, n) VALUES (new.destination, new.state, 1)
            ON CONFLICT (destination, state) DO UPDATE SET n = n + 1;
        INSERT INTO events (instance, at, event, detail) VALUES (new.instance, new.changed_at, new.state,
            new.destination || CASE WHEN new.state = 'held' THEN ': ' || new.reason || coalesce(', ' || new.detail, '')
                WHEN new.reason IS 'superseded' THEN ': ' || new.reason
                WHEN new.status IS NULL THEN '' ELSE printf(' (status %04XH)', new.status) END);
        UPDATE instances SET changed_at = new.changed_at, outcome = (
            SELECT CASE WHEN sum(state = 'discarded' AND reason IS NOT 'superseded') > 0 THEN 'discarded'
                WHEN sum(state = 'held') > 0 THEN 'held'
                WHEN sum(state = 'due') > 0 THEN 'in_flight' ELSE 'delivered' END
            FROM deliveries WHERE instance = new.instance)
            WHERE seq = new.instance AND state = 'cleaned';
    END
    """,
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        # Not as SQLAlchemy's text, to which a colon in it would be a parameter.
        op.get_bind().exec_driver_sql(statement)
