"""The notifier: subscriptions, digests, paces, and what is being sent to whom."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# `feed.position` has no gap when it is taken, and is committed in its order: `feed_position` is
# locked until then. `start` is the first that is kept. A subscription is a row of `targets` too.
SCRIPT = """
CREATE TABLE feed_position (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    start bigint NOT NULL DEFAULT 1,
    next bigint NOT NULL DEFAULT 1
) WITH (fillfactor = 50);
INSERT INTO feed_position DEFAULT VALUES;
CREATE TABLE feed (
    position bigint PRIMARY KEY,
    event_id text NOT NULL UNIQUE,
    case_id uuid NOT NULL,
    message_id uuid,
    seq int NOT NULL,
    version int NOT NULL,
    type text NOT NULL,
    at timestamptz NOT NULL,
    fed_at timestamptz NOT NULL,
    team text NOT NULL,
    account text NOT NULL,
    confidential boolean NOT NULL,
    body jsonb NOT NULL
);
CREATE INDEX feed_case ON feed (case_id);
CREATE INDEX feed_message ON feed (message_id) WHERE message_id IS NOT NULL;
CREATE TABLE subscriptions (
    id uuid PRIMARY KEY,
    url text NOT NULL,
    events text[] NOT NULL,
    owner text NOT NULL,
    key_id text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    failing_since timestamptz,
    failed_again_at timestamptz,
    missed_from bigint
);
CREATE INDEX subscriptions_owner ON subscriptions (owner, id);
CREATE TABLE replays (
    id uuid PRIMARY KEY,
    subscription_id uuid NOT NULL,
    next bigint NOT NULL,
    until bigint NOT NULL,
    from_at timestamptz,
    to_at timestamptz,
    missed_from bigint,
    missing boolean NOT NULL,
    planned int NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    touched_at timestamptz NOT NULL,
    done_at timestamptz
);
CREATE INDEX replays_open ON replays (touched_at) WHERE done_at IS NULL;
CREATE INDEX replays_subscription ON replays (subscription_id, created_at);
ALTER TABLE attempts ADD COLUMN target text NOT NULL DEFAULT '';
CREATE INDEX attempts_target ON attempts (target, at, delivery_id, number)
    WHERE target <> '';
CREATE INDEX deliveries_expiring ON deliveries (expires_at)
    WHERE effect = 'event' AND state = 'pending';
CREATE INDEX deliveries_events_ended ON deliveries (ended_at)
    WHERE effect IN ('event', 'test') AND ended_at IS NOT NULL;
CREATE OR REPLACE VIEW case_heads AS
    SELECT id, version, answered_at, state, agent, team,
        ARRAY(SELECT promise ->> 'id' FROM jsonb_array_elements(doc -> 'promises') AS promise
            WHERE coalesce(promise ->> 'state', 'open') = 'open') AS promises,
        account
    FROM cases;
CREATE TABLE paces (
    name text PRIMARY KEY,
    times timestamptz[] NOT NULL DEFAULT '{}',
    paused_until timestamptz
) WITH (fillfactor = 50);
CREATE INDEX paces_paused ON paces (paused_until) WHERE paused_until IS NOT NULL;
CREATE TABLE digests (
    id uuid PRIMARY KEY,
    target text NOT NULL,
    opened_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    alone int NOT NULL DEFAULT 0,
    open boolean NOT NULL DEFAULT true,
    batches int NOT NULL DEFAULT 0,
    doc jsonb NOT NULL DEFAULT '{}'
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX digests_open ON digests (target) WHERE open;
CREATE INDEX digests_over ON digests (batches, ends_at) WHERE NOT open;
ALTER TABLE deliveries
    ADD COLUMN digest_over int,
    ADD COLUMN digest_every interval,
    ADD COLUMN digest_id uuid;
CREATE INDEX deliveries_held ON deliveries (digest_id, id) WHERE state = 'held';
CREATE INDEX deliveries_replies_expire ON deliveries (expires_at)
    WHERE effect = 'reply' AND state = 'pending';
CREATE VIEW notices AS SELECT id, case_id FROM deliveries WHERE target LIKE 'email:%';
ALTER TABLE agents ADD COLUMN notify jsonb NOT NULL DEFAULT '[]';
ALTER TABLE dead_letters
    ADD COLUMN settled_by text NOT NULL DEFAULT '',
    ADD COLUMN settled_at timestamptz;
CREATE INDEX dead_letters_oldest ON dead_letters (first_at, id) WHERE state = 'waiting';
"""


def upgrade() -> None:
    for statement in filter(str.strip, SCRIPT.split(";\n")):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("restore the backup taken before the migration")
