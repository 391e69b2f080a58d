"""The first tables: the log, positions, the outbox; customers, cases, deadlines; deliveries."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

LOG = """
CREATE TABLE log_partition (
    topic text NOT NULL,
    partition int NOT NULL,
    next bigint NOT NULL DEFAULT 0,
    start bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);
CREATE TABLE log_record (
    topic text NOT NULL,
    partition int NOT NULL,
    "offset" bigint NOT NULL,
    at timestamptz NOT NULL,
    key bytea NOT NULL,
    value bytea NOT NULL,
    headers bytea NOT NULL,
    PRIMARY KEY (topic, partition, "offset")
);
CREATE TABLE log_commit (
    grp text NOT NULL,
    topic text NOT NULL,
    partition int NOT NULL,
    next bigint NOT NULL,
    PRIMARY KEY (grp, topic, partition)
) WITH (fillfactor = 50);
"""

POSITIONS = """
CREATE TABLE positions (
    grp text NOT NULL,
    cluster text NOT NULL,
    topic text NOT NULL,
    partition int NOT NULL,
    next bigint NOT NULL,
    epoch bigint NOT NULL DEFAULT 1,
    owner text NOT NULL DEFAULT '',
    last_at timestamptz,
    moved_at timestamptz NOT NULL DEFAULT now(),
    stopped text NOT NULL DEFAULT '',
    PRIMARY KEY (grp, cluster, topic, partition)
) WITH (fillfactor = 50);
CREATE TABLE dedupe (
    key uuid PRIMARY KEY,
    seen_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX dedupe_seen_at ON dedupe USING brin (seen_at);
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slot smallint NOT NULL,
    topic text NOT NULL,
    partition int,
    key bytea NOT NULL,
    value bytea NOT NULL,
    headers bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outbox_slot ON outbox (slot, id);
CREATE TABLE dead_letters (
    id uuid PRIMARY KEY,
    topic text NOT NULL,
    dedupe text NOT NULL UNIQUE,
    key bytea NOT NULL,
    value bytea NOT NULL,
    headers bytea NOT NULL,
    account text NOT NULL DEFAULT '',
    type text NOT NULL DEFAULT '',
    reason text NOT NULL,
    raw_ref text NOT NULL DEFAULT '',
    count int NOT NULL DEFAULT 1,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'waiting',
    note text NOT NULL DEFAULT ''
);
CREATE INDEX dead_letters_waiting ON dead_letters (last_at DESC, id) WHERE state = 'waiting';
CREATE TABLE api_keys (
    id text PRIMARY KEY,
    hash bytea NOT NULL,
    role text NOT NULL,
    agent text NOT NULL DEFAULT '',
    teams text[] NOT NULL DEFAULT '{}',
    accounts text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz
);
CREATE TABLE idempotency (
    key text NOT NULL,
    caller text NOT NULL,
    route text NOT NULL,
    fingerprint bytea NOT NULL,
    status int,
    headers jsonb,
    body bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (caller, route, key)
);
"""

ROUTER = """
CREATE TABLE policies (
    version int PRIMARY KEY,
    source text NOT NULL,
    sha256 text NOT NULL,
    author text NOT NULL,
    reason text NOT NULL,
    origin text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE customers (
    id uuid PRIMARY KEY,
    name text NOT NULL DEFAULT '',
    language text NOT NULL DEFAULT '',
    grp text NOT NULL DEFAULT '',
    internal boolean NOT NULL DEFAULT false,
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE identities (
    scheme text NOT NULL,
    value text NOT NULL,
    customer_id uuid NOT NULL,
    verified boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scheme, value)
);
CREATE INDEX identities_customer ON identities (customer_id);
CREATE TABLE cases (
    id uuid PRIMARY KEY,
    customer_id uuid NOT NULL,
    account text NOT NULL,
    channel text NOT NULL,
    subject text NOT NULL,
    preview text NOT NULL,
    team text NOT NULL,
    agent text NOT NULL,
    claim_until timestamptz,
    state text NOT NULL,
    priority smallint NOT NULL,
    product text NOT NULL,
    version int NOT NULL,
    seq int NOT NULL,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    touched_at timestamptz NOT NULL,
    waiting_since timestamptz,
    answered_at timestamptz,
    due_at timestamptz NOT NULL,
    due_metric text NOT NULL,
    at_risk text NOT NULL,
    reply_window_closes_at timestamptz,
    doc jsonb NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX cases_inbox ON cases (due_at, priority, opened_at, id)
    WHERE state IN ('open', 'waiting_internal');
CREATE INDEX cases_inbox_team ON cases (team, due_at, priority, opened_at, id)
    WHERE state IN ('open', 'waiting_internal');
CREATE INDEX cases_agent ON cases (agent, due_at) WHERE agent <> '';
CREATE INDEX cases_customer ON cases (customer_id, touched_at DESC);
CREATE INDEX cases_state ON cases (state, due_at, priority, opened_at, id);
CREATE TABLE case_events (
    case_id uuid NOT NULL,
    seq int NOT NULL,
    version int NOT NULL,
    type text NOT NULL,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    data jsonb NOT NULL,
    PRIMARY KEY (case_id, seq)
);
CREATE TABLE messages (
    id uuid PRIMARY KEY,
    case_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    account text NOT NULL,
    channel text NOT NULL,
    direction text NOT NULL,
    kind text NOT NULL,
    state text NOT NULL,
    authentication text NOT NULL,
    author text NOT NULL,
    provider_id text NOT NULL,
    subject text NOT NULL,
    text text NOT NULL,
    marked text NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    processed_at timestamptz NOT NULL,
    data jsonb NOT NULL
);
CREATE INDEX messages_case ON messages (case_id, occurred_at, id);
CREATE INDEX messages_provider ON messages (account, provider_id) WHERE provider_id <> '';
CREATE TABLE pending_statuses (
    account text NOT NULL,
    provider_id text NOT NULL,
    id uuid NOT NULL PRIMARY KEY,
    data jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX pending_statuses_message ON pending_statuses (account, provider_id);
CREATE TABLE deadlines (
    case_id uuid NOT NULL,
    number int NOT NULL,
    metric text NOT NULL,
    state text NOT NULL,
    started_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    warn_at timestamptz,
    at_risk text NOT NULL,
    team text NOT NULL,
    channel text NOT NULL,
    rule text NOT NULL,
    policy_version int NOT NULL,
    ended_at timestamptz,
    words text NOT NULL,
    PRIMARY KEY (case_id, number)
) WITH (fillfactor = 80);
CREATE INDEX deadlines_running ON deadlines (due_at, team, channel) WHERE state = 'running';
CREATE TABLE timers (
    case_id uuid PRIMARY KEY,
    fire_at timestamptz NOT NULL
);
CREATE INDEX timers_fire_at ON timers (fire_at, case_id);
CREATE TABLE clock (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    floor timestamptz NOT NULL
);
INSERT INTO clock (floor) VALUES ('-infinity');
CREATE TABLE decisions (
    id uuid PRIMARY KEY,
    case_id uuid NOT NULL,
    version int NOT NULL,
    at timestamptz NOT NULL,
    kind text NOT NULL,
    rule text NOT NULL,
    policy_version int NOT NULL,
    data jsonb NOT NULL
);
CREATE INDEX decisions_case ON decisions (case_id, id);
CREATE TABLE handoffs (
    id uuid PRIMARY KEY,
    case_id uuid NOT NULL,
    state text NOT NULL,
    reason text NOT NULL,
    author text NOT NULL,
    from_team text NOT NULL,
    to_team text NOT NULL,
    from_channel text NOT NULL,
    to_channel text NOT NULL,
    address text NOT NULL,
    consent jsonb,
    pack jsonb NOT NULL,
    offered_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE INDEX handoffs_case ON handoffs (case_id);
CREATE TABLE resume_codes (
    hash bytea PRIMARY KEY,
    handoff_id uuid NOT NULL,
    case_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    channel text NOT NULL,
    address text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    redeemed_at timestamptz,
    redeemed_by text NOT NULL DEFAULT ''
);
CREATE INDEX resume_codes_handoff ON resume_codes (handoff_id);
CREATE TABLE wrong_codes (
    sender text NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX wrong_codes_sender ON wrong_codes (sender, at);
CREATE VIEW case_heads AS SELECT id, version, answered_at, state, agent, team FROM cases;
"""

NOTIFIER = """
CREATE TABLE deliveries (
    id uuid PRIMARY KEY,
    event_id text NOT NULL,
    case_id uuid NOT NULL,
    seq int NOT NULL,
    version int NOT NULL,
    effect text NOT NULL,
    target text NOT NULL,
    lane text NOT NULL,
    state text NOT NULL DEFAULT 'pending',
    payload jsonb NOT NULL,
    at timestamptz NOT NULL,
    attempts int NOT NULL DEFAULT 0,
    attempts_before int NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    lease_until timestamptz,
    provider_id text NOT NULL DEFAULT '',
    error text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    ended_at timestamptz
) WITH (fillfactor = 80);
CREATE INDEX deliveries_due ON deliveries (target, next_at, id) WHERE state = 'pending';
CREATE INDEX deliveries_lane ON deliveries (lane, seq)
    WHERE state IN ('pending', 'sending') AND lane <> '';
CREATE INDEX deliveries_lease ON deliveries (lease_until) WHERE state = 'sending';
CREATE INDEX deliveries_case ON deliveries (case_id);
CREATE INDEX deliveries_ended ON deliveries (ended_at) WHERE ended_at IS NOT NULL;
CREATE TABLE attempts (
    delivery_id uuid NOT NULL,
    number int NOT NULL,
    at timestamptz NOT NULL,
    took_ms int NOT NULL,
    status int,
    error text NOT NULL,
    response text NOT NULL,
    PRIMARY KEY (delivery_id, number)
);
CREATE TABLE targets (
    id uuid PRIMARY KEY,
    target text NOT NULL UNIQUE,
    secret text NOT NULL,
    previous text NOT NULL DEFAULT '',
    previous_until timestamptz,
    rotated_at timestamptz,
    disabled_at timestamptz,
    disabled_reason text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL
);
CREATE TABLE heartbeats (
    stage text NOT NULL,
    partition int NOT NULL,
    sent_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (stage, partition)
) WITH (fillfactor = 50);
"""


def upgrade() -> None:
    for script in (LOG, POSITIONS, ROUTER, NOTIFIER):
        for statement in filter(str.strip, script.split(";\n")):
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("restore the backup taken before the first migration")
