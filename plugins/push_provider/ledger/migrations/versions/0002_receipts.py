"""Receipts: when a delivery was tried, when its receipt is due, and when it arrived."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, none of which rewrites the table, and the index of what is due."""
    op.add_column(
        "push_execution",
        sa.Column("delivered", sa.Integer(), server_default="0", nullable=False, comment="Of those sent"),
    )
    for column in (
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=True, comment="When it was last claimed to be sent"),
        sa.Column(
            "received_at", sa.DateTime(timezone=True), nullable=True, comment="When it arrived, as the provider says"
        ),
        sa.Column(
            "receipt_due",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When its receipt is asked for next; null: no more",
        ),
        sa.Column("receipt_checks", sa.SmallInteger(), server_default="0", nullable=False),
    ):
        op.add_column("push_delivery", column)
    op.create_index(
        op.f("push_delivery_receipt_due_ix"),
        "push_delivery",
        ["receipt_due"],
        unique=False,
        postgresql_where=sa.text("receipt_due IS NOT NULL"),
    )


def downgrade() -> None:
    """Drop all of them."""
    op.drop_index(op.f("push_delivery_receipt_due_ix"), table_name="push_delivery")
    for column in ("receipt_checks", "receipt_due", "received_at", "tried_at"):
        op.drop_column("push_delivery", column)
    op.drop_column("push_execution", "delivered")
