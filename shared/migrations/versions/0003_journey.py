"""Promises, results, surveys, merges, what partners answer by, and who asked to be forgotten."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCRIPT = """
ALTER TABLE cases
    ADD COLUMN parent_id uuid,
    ADD COLUMN frozen text NOT NULL DEFAULT '',
    ADD COLUMN hops int NOT NULL DEFAULT 0;
CREATE OR REPLACE VIEW case_heads AS
    SELECT id, version, answered_at, state, agent, team,
        ARRAY(SELECT promise ->> 'id' FROM jsonb_array_elements(doc -> 'promises') AS promise
            WHERE coalesce(promise ->> 'state', 'open') = 'open') AS promises
    FROM cases;
CREATE INDEX cases_parent ON cases (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX cases_frozen ON cases (id) WHERE frozen <> '';
CREATE INDEX cases_opened ON cases (opened_at, id);
ALTER TABLE customers
    ADD COLUMN merged_into uuid,
    ADD COLUMN opted_out boolean NOT NULL DEFAULT false,
    ADD COLUMN erased_at timestamptz;
CREATE INDEX customers_merged ON customers (merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX customers_words ON customers USING gin (to_tsvector('simple', name));
ALTER TABLE identities
    ADD COLUMN added_by text NOT NULL DEFAULT '',
    ADD COLUMN how text NOT NULL DEFAULT '';
CREATE INDEX identities_value ON identities (value text_pattern_ops);
CREATE INDEX messages_contacts ON messages (customer_id, channel, occurred_at DESC);
CREATE INDEX resume_codes_case ON resume_codes (case_id);
ALTER TABLE handoffs
    ADD COLUMN cost jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN ended_by text NOT NULL DEFAULT '',
    ADD COLUMN ended_why text NOT NULL DEFAULT '';
CREATE INDEX handoffs_offered ON handoffs (offered_at, id);
ALTER TABLE deadlines
    ADD COLUMN late boolean NOT NULL DEFAULT false,
    ADD COLUMN priority smallint NOT NULL DEFAULT 2,
    ADD COLUMN agent text NOT NULL DEFAULT '';
CREATE INDEX deadlines_started ON deadlines USING brin (started_at) WITH (autosummarize = on);
CREATE INDEX case_events_reported ON case_events (type, at)
    WHERE type IN ('case.closed', 'case.reopened', 'case.frozen', 'child.opened', 'survey.sent',
        'survey.skipped');
CREATE TABLE promises (
    id uuid PRIMARY KEY,
    case_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    kind text NOT NULL,
    what text NOT NULL,
    by text NOT NULL,
    team text NOT NULL,
    channel text NOT NULL,
    state text NOT NULL,
    made_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    attempts int NOT NULL DEFAULT 0,
    most int NOT NULL,
    ended_at timestamptz,
    reason text NOT NULL DEFAULT '',
    replaces uuid,
    consent jsonb
);
CREATE INDEX promises_case ON promises (case_id);
CREATE INDEX promises_customer ON promises (customer_id);
CREATE INDEX promises_made ON promises (made_at, id);
CREATE TABLE results (
    case_id uuid NOT NULL,
    name text NOT NULL,
    version int NOT NULL,
    state text NOT NULL,
    author text NOT NULL,
    at timestamptz NOT NULL,
    data jsonb NOT NULL,
    files jsonb NOT NULL,
    PRIMARY KEY (case_id, name, version)
);
CREATE TABLE surveys (
    case_id uuid PRIMARY KEY,
    customer_id uuid NOT NULL,
    team text NOT NULL,
    agent text NOT NULL,
    channel text NOT NULL,
    product text NOT NULL,
    asked_at timestamptz,
    message_id uuid,
    skipped text NOT NULL DEFAULT '',
    score int,
    comment text NOT NULL DEFAULT '',
    answered_at timestamptz
);
CREATE INDEX surveys_answered ON surveys (answered_at);
CREATE INDEX surveys_customer ON surveys (customer_id, asked_at);
CREATE TABLE merges (
    id uuid PRIMARY KEY,
    winner uuid NOT NULL,
    loser uuid NOT NULL,
    reason text NOT NULL,
    by text NOT NULL,
    at timestamptz NOT NULL,
    preimage jsonb NOT NULL,
    undone_at timestamptz,
    undone_by text NOT NULL DEFAULT '',
    messages uuid[] NOT NULL DEFAULT '{}'
);
CREATE INDEX merges_winner ON merges (winner);
CREATE INDEX merges_loser ON merges (loser);
CREATE TABLE identity_conflicts (
    id uuid PRIMARY KEY,
    scheme text NOT NULL,
    value text NOT NULL,
    customer_id uuid NOT NULL,
    other_id uuid NOT NULL,
    message_id uuid,
    why text NOT NULL,
    at timestamptz NOT NULL,
    ended_at timestamptz,
    ended_by text NOT NULL DEFAULT '',
    ended_why text NOT NULL DEFAULT '',
    merge_id uuid
);
CREATE UNIQUE INDEX identity_conflicts_once
    ON identity_conflicts (scheme, value, customer_id, other_id, why);
CREATE INDEX identity_conflicts_merge ON identity_conflicts (merge_id) WHERE merge_id IS NOT NULL;
CREATE TABLE identity_claims (
    scheme text NOT NULL,
    value text NOT NULL,
    customer_id uuid NOT NULL,
    message_id uuid NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (scheme, value, customer_id)
);
CREATE INDEX identity_claims_customer ON identity_claims (customer_id);
CREATE INDEX identity_conflicts_customer ON identity_conflicts (customer_id);
CREATE INDEX identity_conflicts_other ON identity_conflicts (other_id);
ALTER TABLE resume_codes ADD COLUMN digits bytea;
CREATE INDEX resume_codes_digits ON resume_codes (digits) WHERE redeemed_at IS NULL;
CREATE TABLE partner_links (
    hash bytea PRIMARY KEY,
    handoff_id uuid NOT NULL,
    case_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX partner_links_case ON partner_links (case_id);
CREATE TABLE erasures (
    id uuid PRIMARY KEY,
    customer_id uuid NOT NULL,
    by text NOT NULL,
    reason text NOT NULL,
    asked_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    done_at timestamptz,
    withdrawn_at timestamptz,
    withdrawn_by text NOT NULL DEFAULT '',
    again boolean NOT NULL DEFAULT false,
    customers uuid[] NOT NULL DEFAULT '{}',
    log_gone_at timestamptz
);
CREATE INDEX erasures_due ON erasures (due_at)
    WHERE again OR (done_at IS NULL AND withdrawn_at IS NULL);
CREATE UNIQUE INDEX erasures_waiting ON erasures (customer_id)
    WHERE done_at IS NULL AND withdrawn_at IS NULL;
CREATE INDEX erasures_customer ON erasures (customer_id, asked_at);
CREATE TABLE erased (
    mark bytea NOT NULL,
    erasure_id uuid NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (mark, erasure_id)
);
CREATE INDEX erased_erasure ON erased (erasure_id);
CREATE TABLE ledger_key (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    key bytea NOT NULL
);
INSERT INTO ledger_key (key)
    SELECT sha256(convert_to(string_agg(gen_random_uuid()::text, ''), 'UTF8'))
    FROM generate_series(1, 4);
CREATE TABLE doomed_blobs (
    ref text PRIMARY KEY,
    sure boolean NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE cases ADD COLUMN words_gone_at timestamptz;
CREATE INDEX cases_worded ON cases (closed_at)
    WHERE state = 'closed' AND (words_gone_at IS NULL OR words_gone_at < closed_at);
CREATE INDEX messages_files ON messages (received_at)
    WHERE data @> '{"attachments": [{"blob": {}}]}';
CREATE INDEX messages_raw ON messages (received_at) WHERE data ?| ARRAY['raw', 'raw_blob'];
CREATE INDEX messages_refs ON messages USING gin (jsonb_path_query_array(data, '$.**.ref'))
    WHERE data ?| ARRAY['attachments', 'text_blob', 'html_blob', 'raw_blob'];
CREATE INDEX results_refs ON results USING gin (jsonb_path_query_array(files, '$.**.ref'))
    WHERE files <> '[]';
"""


def upgrade() -> None:
    for statement in filter(str.strip, SCRIPT.split(";\n")):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("restore the backup taken before the migration")
