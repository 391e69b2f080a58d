"""Agents and their presence; the skills a case asks for."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SCRIPT = """
CREATE TABLE agents (
    name text PRIMARY KEY,
    presence text,
    skills text[] NOT NULL DEFAULT '{}',
    capacity int,
    teams text[] NOT NULL DEFAULT '{}',
    changed_at timestamptz NOT NULL DEFAULT now(),
    given_at timestamptz
);
ALTER TABLE cases ADD COLUMN skills jsonb NOT NULL DEFAULT '[]';
CREATE INDEX messages_received ON messages (received_at, case_id) WHERE direction = 'in';
"""


def upgrade() -> None:
    for statement in filter(str.strip, SCRIPT.split(";\n")):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("restore the backup taken before the migration")
