"""What came in and what was handled, minute by minute."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SCRIPT = """
SELECT 1;
"""


def upgrade() -> None:
    for statement in filter(str.strip, SCRIPT.split(";\n")):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("restore the backup taken before the migration")
