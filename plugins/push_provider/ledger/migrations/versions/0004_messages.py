"""Messages that start executions, and those that could not."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of messages."""
    op.create_table(
        "push_message",
        sa.Column("key", sa.UUID(), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("push_message_pkey")),
        comment="Every message that became deliveries or a task, so that the second time it comes changes nothing",
    )
    op.create_index(op.f("push_message_taken_at_ix"), "push_message", ["taken_at"], unique=False)
    op.create_table(
        "push_rejected",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("position", sa.UUID(), nullable=False, comment="Where it stands in its topic, and what stands there"),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column(
            "element", sa.Integer(), nullable=True, comment="Which of an array, from 0; null for a message that is none"
        ),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True, comment="Its time, if the broker knows it"),
        sa.Column("task_code", sa.Text(), nullable=True, comment="The push task it speaks of, if it can be told"),
        sa.Column("value", sa.LargeBinary(), nullable=True, comment="Whole; null for a tombstone"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("rejected_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("replayed_at", sa.DateTime(timezone=True), nullable=True, comment="When a replay took it after all"),
        sa.Column("forward_to", sa.Text(), nullable=True, comment="The dead-letter topic, if one was set"),
        sa.Column("forwarded_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("push_rejected_pkey")),
        sa.UniqueConstraint("position", name=op.f("push_rejected_position_key")),
        comment="Messages that could not become an execution or a task, with the reason",
    )
    op.create_index(
        op.f("push_rejected_forward_to_id_ix"),
        "push_rejected",
        ["forward_to", "id"],
        unique=False,
        postgresql_where=sa.text("forward_to IS NOT NULL AND forwarded_at IS NULL"),
    )
    op.create_index(
        op.f("push_execution_id_ix"),
        "push_execution",
        ["id"],
        unique=False,
        postgresql_where=sa.text("run_id IS NULL AND finished_at IS NULL"),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_index(op.f("push_execution_id_ix"), table_name="push_execution")
    op.drop_table("push_rejected")
    op.drop_table("push_message")
