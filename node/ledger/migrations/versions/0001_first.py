"""The first ledger: instances, deliveries, events, maps, tallies.

A migration is written once and never changed; it does not import the tables of today.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_STATEMENTS = (
    "CREATE TABLE meta (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)",
    """
    CREATE TABLE instances (
        seq INTEGER NOT NULL PRIMARY KEY,
        id TEXT NOT NULL,
        received_at FLOAT NOT NULL,
        changed_at FLOAT NOT NULL,
        project TEXT NOT NULL,
        route TEXT NOT NULL,
        calling_ae_title TEXT NOT NULL,
        called_ae_title TEXT NOT NULL,
        address TEXT NOT NULL,
        sop_class_uid TEXT NOT NULL,
        sop_instance_uid TEXT NOT NULL,
        transfer_syntax_uid TEXT NOT NULL,
        size INTEGER NOT NULL,
        digest BLOB NOT NULL,
        state TEXT NOT NULL,
        outcome TEXT NOT NULL,
        repeat INTEGER DEFAULT 0 NOT NULL,
        reason TEXT,
        detail TEXT,
        strikes INTEGER DEFAULT 0 NOT NULL,
        due_at FLOAT NOT NULL,
        lease_owner TEXT,
        lease_until FLOAT,
        recipe_hash TEXT,
        clean_sop_class_uid TEXT,
        clean_sop_instance_uid TEXT,
        clean_transfer_syntax_uid TEXT,
        clean_size INTEGER,
        clean_offset INTEGER,
        CONSTRAINT instances_id UNIQUE (id),
        CONSTRAINT instances_state CHECK (state IN ('received', 'cleaned', 'held', 'excluded', 'discarded')),
        CONSTRAINT instances_outcome
            CHECK (outcome IN ('in_flight', 'delivered', 'held', 'excluded', 'discarded')),
        CONSTRAINT instances_state_outcome CHECK (
            (state = 'received' AND outcome = 'in_flight') OR (state = 'held' AND outcome = 'held')
            OR (state = 'excluded' AND outcome = 'excluded') OR (state = 'discarded' AND outcome = 'discarded')
            OR (state = 'cleaned' AND outcome <> 'excluded')),
        CONSTRAINT instances_cleaned CHECK (state <> 'cleaned' OR clean_sop_instance_uid IS NOT NULL),
        CONSTRAINT instances_held CHECK (state <> 'held' OR reason IS NOT NULL)
    )
    """,
    "CREATE INDEX instances_received ON instances (seq) WHERE state = 'received'",
    "CREATE INDEX instances_held_at ON instances (changed_at) WHERE state = 'held'",
    "CREATE INDEX instances_uid ON instances (project, sop_instance_uid)",
    """
    CREATE TABLE deliveries (
        seq INTEGER NOT NULL PRIMARY KEY,
        instance INTEGER NOT NULL REFERENCES instances (seq),
        destination TEXT NOT NULL,
        state TEXT NOT NULL,
        created_at FLOAT NOT NULL,
        changed_at FLOAT NOT NULL,
        due_at FLOAT NOT NULL,
        tries INTEGER DEFAULT 0 NOT NULL,
        refused INTEGER DEFAULT 0 NOT NULL,
        offered INTEGER DEFAULT 0 NOT NULL,
        status INTEGER,
        last_error TEXT,
        reason TEXT,
        detail TEXT,
        lease_owner TEXT,
        lease_until FLOAT,
        CONSTRAINT deliveries_instance UNIQUE (instance, destination),
        CONSTRAINT deliveries_state CHECK (state IN ('due', 'delivered', 'held', 'discarded')),
        CONSTRAINT deliveries_held CHECK (state <> 'held' OR reason IS NOT NULL)
    )
    """,
    "CREATE INDEX deliveries_due ON deliveries (destination, due_at, seq) WHERE state = 'due'",
    "CREATE INDEX deliveries_held_at ON deliveries (changed_at) WHERE state = 'held'",
    "CREATE INDEX deliveries_leased ON deliveries (lease_owner) WHERE lease_owner IS NOT NULL",
    """
    CREATE TABLE destinations (
        name TEXT NOT NULL PRIMARY KEY,
        paused INTEGER DEFAULT 0 NOT NULL,
        failures INTEGER DEFAULT 0 NOT NULL,
        next_try FLOAT,
        last_error TEXT,
        last_error_at FLOAT,
        last_success_at FLOAT
    )
    """,
    """
    CREATE TABLE events (
        seq INTEGER NOT NULL PRIMARY KEY,
        instance INTEGER NOT NULL REFERENCES instances (seq),
        at FLOAT NOT NULL,
        event TEXT NOT NULL,
        detail TEXT
    )
    """,
    "CREATE INDEX events_instance ON events (instance)",
    """
    CREATE TABLE uid_map (
        project TEXT NOT NULL,
        original TEXT NOT NULL,
        replacement TEXT NOT NULL,
        origin TEXT NOT NULL,
        CONSTRAINT uid_map_original PRIMARY KEY (project, original),
        CONSTRAINT uid_map_replacement UNIQUE (project, replacement),
        CONSTRAINT uid_map_origin CHECK (origin IN ('computed', 'imported'))
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE patient_map (
        project TEXT NOT NULL,
        issuer TEXT NOT NULL,
        patient_id TEXT NOT NULL,
        pseudonym TEXT NOT NULL,
        shift_days INTEGER NOT NULL,
        origin TEXT NOT NULL,
        CONSTRAINT patient_map_original PRIMARY KEY (project, issuer, patient_id),
        CONSTRAINT patient_map_pseudonym UNIQUE (project, pseudonym),
        CONSTRAINT patient_map_origin CHECK (origin IN ('computed', 'imported'))
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE tallies (
        route TEXT NOT NULL,
        state TEXT NOT NULL,
        outcome TEXT NOT NULL,
        repeat INTEGER NOT NULL,
        n INTEGER NOT NULL,
        CONSTRAINT tallies_key PRIMARY KEY (route, state, outcome, repeat)
    )
    """,
    """
    CREATE TABLE delivery_tallies (
        destination TEXT NOT NULL,
        state TEXT NOT NULL,
        n INTEGER NOT NULL,
        CONSTRAINT delivery_tallies_key PRIMARY KEY (destination, state)
    )
    """,
    """
    CREATE TABLE refusals (
        kind TEXT NOT NULL,
        calling_ae_title TEXT NOT NULL,
        called_ae_title TEXT NOT NULL,
        address TEXT NOT NULL,
        uid TEXT NOT NULL,
        n INTEGER NOT NULL,
        last_at FLOAT NOT NULL,
        CONSTRAINT refusals_key PRIMARY KEY (kind, calling_ae_title, called_ae_title, address, uid)
    )
    """,
    # An instance comes in: counted, and written down.
    """
    CREATE TRIGGER instance_in AFTER INSERT ON instances BEGIN
        INSERT INTO tallies (route, state, outcome, repeat, n)
            VALUES (new.route, new.state, new.outcome, new.repeat, 1)
            ON CONFLICT (route, state, outcome, repeat) DO UPDATE SET n = n + 1;
        INSERT INTO events (instance, at, event, detail)
            VALUES (new.seq, new.changed_at, new.state, new.detail);
    END
    """,
    """
    CREATE TRIGGER instance_counted AFTER UPDATE OF route, state, outcome, repeat ON instances
    WHEN old.state <> new.state OR old.outcome <> new.outcome OR old.repeat <> new.repeat OR old.route <> new.route
    BEGIN
        UPDATE tallies SET n = n - 1 WHERE route = old.route AND state = old.state AND outcome = old.outcome
            AND repeat = old.repeat;
        INSERT INTO tallies (route, state, outcome, repeat, n)
            VALUES (new.route, new.state, new.outcome, new.repeat, 1)
            ON CONFLICT (route, state, outcome, repeat) DO UPDATE SET n = n + 1;
    END
    """,
    """
    CREATE TRIGGER instance_changed AFTER UPDATE OF state ON instances WHEN old.state <> new.state BEGIN
        INSERT INTO events (instance, at, event, detail) VALUES (new.seq, new.changed_at, new.state,
            CASE WHEN new.reason IS NULL THEN new.detail ELSE new.reason || coalesce(': ' || new.detail, '') END);
    END
    """,
    """
    CREATE TRIGGER delivery_in AFTER INSERT ON deliveries BEGIN
        INSERT INTO delivery_tallies (destination, state, n) VALUES (new.destination, new.state, 1)
            ON CONFLICT (destination, state) DO UPDATE SET n = n + 1;
    END
    """,
    # The deliveries decide what became of the instance: discarded, else held, else in flight, else delivered.
    """
    CREATE TRIGGER delivery_changed AFTER UPDATE OF state ON deliveries WHEN old.state <> new.state BEGIN
        UPDATE delivery_tallies SET n = n - 1 WHERE destination = old.destination AND state = old.state;
        INSERT INTO delivery_tallies (destination, state, n) VALUES (new.destination, new.state, 1)
            ON CONFLICT (destination, state) DO UPDATE SET n = n + 1;
        INSERT INTO events (instance, at, event, detail) VALUES (new.instance, new.changed_at, new.state,
            new.destination || CASE WHEN new.state = 'held' THEN ': ' || new.reason || coalesce(', ' || new.detail, '')
                WHEN new.status IS NULL THEN '' ELSE printf(' (status %04XH)', new.status) END);
        UPDATE instances SET changed_at = new.changed_at, outcome = (
            SELECT CASE WHEN sum(state = 'discarded') > 0 THEN 'discarded' WHEN sum(state = 'held') > 0 THEN 'held'
                WHEN sum(state = 'due') > 0 THEN 'in_flight' ELSE 'delivered' END
            FROM deliveries WHERE instance = new.instance)
            WHERE seq = new.instance AND state = 'cleaned';
    END
    """,
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
