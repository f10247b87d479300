"""The default sender configuration of each channel, and the one that a message with receipts was sent through."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, and the column; nothing that is stored changes."""
    op.create_table(
        "push_default",
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("config", sa.Text(), nullable=False, comment="Connection id"),
        sa.Column("stored", sa.Boolean(), nullable=False, comment="Airflow's database has it, and its mark decides"),
        sa.PrimaryKeyConstraint("channel", name=op.f("push_default_pkey")),
        comment="The sender configuration of tasks that name none, where one is marked as the default",
    )
    op.add_column(
        "push_delivery",
        sa.Column(
            "config",
            sa.Text(),
            nullable=True,
            comment="Whom to ask for its receipt, if the task names no configuration: what it was sent through",
        ),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_column("push_delivery", "config")
    op.drop_table("push_default")
