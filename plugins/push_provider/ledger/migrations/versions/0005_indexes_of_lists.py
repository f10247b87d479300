"""Indexes for what lists are filtered by, and for the answers that speak of a task."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_INDEXES = (
    ("push_execution", ("source", "created_at", "id")),
    ("push_execution", ("task_code", "source", "created_at", "id")),
    ("push_execution", ("task_code", "state", "created_at", "id")),
    ("push_task", ("channel", "created_at", "code")),
    ("push_task", ("execution_type", "created_at", "code")),
    ("push_task", ("config",)),
    ("push_task", ("owner",)),
    ("push_task", ("name", "code")),
    ("push_rejected", ("task_code", "id")),
)


def upgrade() -> None:
    """Make them; nothing that is stored changes."""
    for table, columns in _INDEXES:
        op.create_index(op.f(f"{table}_{'_'.join(columns)}_ix"), table, list(columns))
    op.create_index(
        op.f("push_rejected_id_ix"), "push_rejected", ["id"], postgresql_where=sa.text("replayed_at IS NULL")
    )
    task = sa.text("COALESCE(answer ->> 'task'::text, answer ->> 'code'::text)")
    op.create_index("push_answer_task_ix", "push_answer", [task])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("push_answer_task_ix", table_name="push_answer")
    op.drop_index(op.f("push_rejected_id_ix"), table_name="push_rejected")
    for table, columns in reversed(_INDEXES):
        op.drop_index(op.f(f"{table}_{'_'.join(columns)}_ix"), table_name=table)
