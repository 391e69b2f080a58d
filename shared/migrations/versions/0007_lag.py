"""What came in and what was handled: by account, the last of it."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SCRIPT = """
CREATE TABLE account_activity (
    account text PRIMARY KEY,
    last_in timestamptz,
    last_out timestamptz,
    failed_at timestamptz,
    code text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT ''
) WITH (fillfactor = 50);
"""


def upgrade() -> None:
    for statement in filter(str.strip, SCRIPT.split(";\n")):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("restore the backup taken before the migration")
