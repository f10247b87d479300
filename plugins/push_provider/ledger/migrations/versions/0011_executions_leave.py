"""Executions leave the ledger at once, and their deliveries in portions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let deliveries outlive their execution, and note those executions."""
    op.create_table(
        "push_dropped",
        sa.Column("execution_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("deliveries", sa.Integer, nullable=False, comment="How many it had"),
        sa.Column(
            "after_id", sa.BigInteger, nullable=False, server_default="0", comment="Those up to this id are gone"
        ),
        sa.PrimaryKeyConstraint("execution_id", name=op.f("push_dropped_pkey")),
        comment="Executions that are gone, and whose deliveries are not yet",
    )
    op.drop_constraint(op.f("push_delivery_execution_id_fkey"), "push_delivery", type_="foreignkey")
    op.add_column(
        "push_task",
        sa.Column(
            "dropped_until",
            sa.DateTime(timezone=True),
            comment="Executions that began until then may have left the ledger: a run of that time begins none anew",
        ),
    )


def downgrade() -> None:
    """Delete what is left of executions that are gone, and have the foreign key again."""
    op.drop_column("push_task", "dropped_until")
    op.execute("DELETE FROM push_delivery WHERE execution_id IN (SELECT execution_id FROM push_dropped)")
    op.create_foreign_key(
        op.f("push_delivery_execution_id_fkey"),
        "push_delivery",
        "push_execution",
        ["execution_id"],
        ["id"],
        ondelete="CASCADE",
    )
    op.drop_table("push_dropped")
