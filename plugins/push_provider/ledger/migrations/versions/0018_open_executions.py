"""Executions that are under way are found in order of their time, however many have ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_NAME = "push_execution_open_ix"


def upgrade() -> None:
    """Make an index of those alone."""
    op.create_index(_NAME, "push_execution", ["created_at", "id"], postgresql_where=sa.text("finished_at IS NULL"))


def downgrade() -> None:
    """Drop it."""
    op.drop_index(_NAME, table_name="push_execution")
