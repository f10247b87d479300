"""Push tasks that are done with are no DAGs any more."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Tell retired tasks from those that are DAGs, which alone are found by their shard."""
    op.add_column(
        "push_task",
        sa.Column(
            "retired_at", sa.DateTime(timezone=True), comment="Since when it is no DAG any more; null: it is one"
        ),
    )
    op.drop_index(op.f("push_task_shard_ix"), table_name="push_task")
    op.create_index(op.f("push_task_shard_ix"), "push_task", ["shard"], postgresql_where=sa.text("retired_at IS NULL"))


def downgrade() -> None:
    """Have all of them be DAGs again."""
    op.execute("""
        INSERT INTO push_shard (shard, revision)
        SELECT shard, nextval('push_revision') FROM (
            SELECT DISTINCT shard FROM push_task WHERE retired_at IS NOT NULL) AS retired
        ON CONFLICT (shard) DO UPDATE SET revision = excluded.revision
    """)
    op.drop_index(op.f("push_task_shard_ix"), table_name="push_task")
    op.create_index(op.f("push_task_shard_ix"), "push_task", ["shard"])
    op.drop_column("push_task", "retired_at")
