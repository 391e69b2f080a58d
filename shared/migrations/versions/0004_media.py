"""Files that stayed with their provider, and how fetching them goes."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
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
