"""Files that stayed with their provider, and how fetching them goes."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SCRIPT = """
CREATE TABLE media (
    message_id uuid NOT NULL,
    number smallint NOT NULL,
    account text NOT NULL,
    reference text NOT NULL,
    key bytea NOT NULL,
    file jsonb NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'fetched', 'lost')),
    tries int NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL,
    blob jsonb,
    content_type text NOT NULL DEFAULT '',
    code text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '',
    noted_at timestamptz NOT NULL,
    ended_at timestamptz,
    PRIMARY KEY (message_id, number)
);
CREATE INDEX media_due ON media (next_at) WHERE state = 'waiting';
CREATE INDEX media_ended ON media (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX media_reference ON media (account, reference);
CREATE TABLE uploads (
    id uuid PRIMARY KEY,
    case_id uuid NOT NULL,
    by text NOT NULL,
    file jsonb NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX uploads_case ON uploads (case_id);
CREATE INDEX uploads_at ON uploads (at);
CREATE TABLE link_key (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    key bytea NOT NULL
);
INSERT INTO link_key (key)
    SELECT sha256(convert_to(string_agg(gen_random_uuid()::text, ''), 'UTF8'))
    FROM generate_series(1, 4);
CREATE INDEX messages_target ON messages (account, (data -> 'thread' ->> 'target'))
    WHERE kind IN ('edit', 'revoke', 'reaction');
"""


def upgrade() -> None:
    for statement in filter(str.strip, SCRIPT.split(";\n")):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("restore the backup taken before the migration")
