"""Runs that were refused before anything of them was planned are on record, and have no number: they do not count."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_BEFORE = "The how-manieth of its task, from 1"
_NOW = "The how-manieth of its task, from 1; null if its run was refused, and does not count"


def upgrade() -> None:
    """Allow executions without a number; nothing that is stored changes."""
    op.alter_column(
        "push_execution", "number", existing_type=sa.Integer(), nullable=True, comment=_NOW, existing_comment=_BEFORE
    )


def downgrade() -> None:
    """Forget the runs that were refused."""
    op.execute("DELETE FROM push_execution WHERE number IS NULL")
    op.alter_column(
        "push_execution", "number", existing_type=sa.Integer(), nullable=False, comment=_BEFORE, existing_comment=_NOW
    )
