"""Rejected messages by when they were rejected, and by whether a replay took them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the indexes that lists need now, and drop those in whose place they stand."""
    op.create_index(op.f("push_rejected_rejected_at_id_ix"), "push_rejected", ["rejected_at", "id"])
    op.create_index(
        op.f("push_rejected_task_code_rejected_at_id_ix"), "push_rejected", ["task_code", "rejected_at", "id"]
    )
    for name, condition in (("left", "replayed_at IS NULL"), ("replayed", "replayed_at IS NOT NULL")):
        op.create_index(
            f"push_rejected_{name}_ix", "push_rejected", ["rejected_at", "id"], postgresql_where=sa.text(condition)
        )
    op.drop_index(op.f("push_rejected_task_code_id_ix"), table_name="push_rejected")
    op.drop_index(op.f("push_rejected_id_ix"), table_name="push_rejected")


def downgrade() -> None:
    """Have the former ones again."""
    op.create_index(
        op.f("push_rejected_id_ix"), "push_rejected", ["id"], postgresql_where=sa.text("replayed_at IS NULL")
    )
    op.create_index(op.f("push_rejected_task_code_id_ix"), "push_rejected", ["task_code", "id"])
    for name in ("push_rejected_replayed_ix", "push_rejected_left_ix"):
        op.drop_index(name, table_name="push_rejected")
    op.drop_index(op.f("push_rejected_task_code_rejected_at_id_ix"), table_name="push_rejected")
    op.drop_index(op.f("push_rejected_rejected_at_id_ix"), table_name="push_rejected")
