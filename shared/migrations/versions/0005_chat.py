"""Web chat: sessions and their lines."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# `n` numbers what both sides said, in the order it was accepted: what a visitor resumes after.
# `seq` is the visitor's own number; `rev` grows with whatever the visitor's page has to show.
SCRIPT = """
CREATE TABLE chat_sessions (
    id uuid PRIMARY KEY,
    account text NOT NULL,
    token bytea NOT NULL,
    name text NOT NULL DEFAULT '',
    email text NOT NULL DEFAULT '',
    language text NOT NULL DEFAULT '',
    page text NOT NULL DEFAULT '',
    customer_ref text NOT NULL DEFAULT '',
    email_proven boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    rev int NOT NULL DEFAULT 0,
    last int NOT NULL DEFAULT 0,
    next_seq bigint NOT NULL DEFAULT 1,
    delivered int NOT NULL DEFAULT 0,
    read int NOT NULL DEFAULT 0,
    thread text NOT NULL DEFAULT '',
    seen_at timestamptz,
    typing_until timestamptz,
    agent_typing_until timestamptz
) WITH (fillfactor = 70);
CREATE INDEX chat_sessions_expires ON chat_sessions (expires_at);
CREATE INDEX chat_sessions_email ON chat_sessions (email) WHERE email <> '';
CREATE TABLE chat_lines (
    message_id uuid PRIMARY KEY,
    session_id uuid NOT NULL,
    direction text NOT NULL,
    n int,
    seq bigint,
    fingerprint bytea,
    at timestamptz NOT NULL,
    text text NOT NULL,
    files jsonb NOT NULL DEFAULT '[]',
    subject text NOT NULL DEFAULT '',
    case_id uuid,
    human boolean NOT NULL DEFAULT true,
    secret boolean NOT NULL DEFAULT false,
    follow_up_at timestamptz,
    mailed_at timestamptz
) WITH (fillfactor = 80);
CREATE INDEX chat_lines_case ON chat_lines (case_id) WHERE case_id IS NOT NULL;
CREATE UNIQUE INDEX chat_lines_n ON chat_lines (session_id, n) WHERE n IS NOT NULL;
CREATE UNIQUE INDEX chat_lines_seq ON chat_lines (session_id, seq) WHERE seq IS NOT NULL;
CREATE INDEX chat_lines_follow_up ON chat_lines (follow_up_at) WHERE follow_up_at IS NOT NULL;
CREATE VIEW chat_unread AS
    SELECT l.message_id, l.session_id, l.n FROM chat_lines l
    JOIN chat_sessions s ON s.id = l.session_id WHERE l.direction = 'out' AND l.n > s.read;
"""


def upgrade() -> None:
    for statement in filter(str.strip, SCRIPT.split(";\n")):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("restore the backup taken before the migration")
