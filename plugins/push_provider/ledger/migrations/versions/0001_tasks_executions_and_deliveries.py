"""Tasks, executions and deliveries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the first tables."""
    op.execute(sa.schema.CreateSequence(sa.Sequence("push_revision")))
    op.create_table(
        "push_shard",
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("built_revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("shard", name=op.f("push_shard_pkey")),
        comment="Newest revision of each DAG file's tasks, and the one that the DAG processor last built",
    )
    op.create_table(
        "push_task",
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("config", sa.Text(), nullable=True),
        sa.Column("app", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("spec", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("execution_type", sa.String(length=8), nullable=False),
        sa.Column("max_executions", sa.Integer(), nullable=True),
        sa.Column("executions", sa.Integer(), server_default="0", nullable=False),
        sa.Column("status", sa.String(length=16), server_default="pending", nullable=False),
        sa.Column("schedule_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_execution_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status IN ('pending', 'running', 'active', 'finished', 'failed', 'cancelled')",
            name=op.f("push_task_status_known"),
        ),
        sa.CheckConstraint("executions <= max_executions", name=op.f("push_task_executions_within_limit")),
        sa.PrimaryKeyConstraint("code", name=op.f("push_task_pkey")),
        comment="One push task; spec is the contract as JSON",
    )
    op.create_index(op.f("push_task_created_at_ix"), "push_task", ["created_at"], unique=False)
    op.create_index(op.f("push_task_shard_ix"), "push_task", ["shard"], unique=False)
    op.create_table(
        "push_execution",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("task_code", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, comment="The how-manieth of its task, from 1"),
        sa.Column("run_id", sa.Text(), nullable=True, comment="The DAG run; null until one exists"),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("triggered_by", sa.Text(), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("token", sa.UUID(as_uuid=False), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column(
            "snapshot",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="Task, templates and trigger as they were when planned",
        ),
        sa.Column("state", sa.String(length=16), server_default="planned", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("total", sa.Integer(), server_default="0", nullable=False),
        sa.Column("sent", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unknown", sa.Integer(), server_default="0", nullable=False),
        sa.Column("cancelled", sa.Integer(), server_default="0", nullable=False),
        sa.Column("scheduled_for", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('planned', 'running', 'succeeded', 'partial', 'failed', 'cancelled')",
            name=op.f("push_execution_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["task_code"], ["push_task.code"], name=op.f("push_execution_task_code_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("push_execution_pkey")),
        sa.UniqueConstraint("task_code", "idempotency_key", name=op.f("push_execution_task_code_idempotency_key_key")),
        sa.UniqueConstraint("task_code", "number", name=op.f("push_execution_task_code_number_key")),
        sa.UniqueConstraint("task_code", "run_id", name=op.f("push_execution_task_code_run_id_key")),
        comment="One run of a push task",
    )
    op.create_index(op.f("push_execution_created_at_ix"), "push_execution", ["created_at"], unique=False)
    op.create_index(
        op.f("push_execution_task_code_finished_at_ix"),
        "push_execution",
        ["task_code", "finished_at"],
        unique=False,
    )
    op.create_table(
        "push_delivery",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("execution_id", sa.BigInteger(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column(
            "variables",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("state", sa.String(length=16), server_default="pending", nullable=False),
        sa.Column("attempts", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_text", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'sending', 'sent', 'delivered', 'failed', 'unknown', 'cancelled')",
            name=op.f("push_delivery_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["execution_id"],
            ["push_execution.id"],
            name=op.f("push_delivery_execution_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("push_delivery_pkey")),
        comment="One recipient of one execution",
        postgresql_with={"fillfactor": 60},
    )
    op.create_index(op.f("push_delivery_execution_id_id_ix"), "push_delivery", ["execution_id", "id"], unique=False)
    op.create_index(op.f("push_delivery_recipient_ix"), "push_delivery", ["recipient"], unique=False)


def downgrade() -> None:
    """Drop all of them."""
    op.drop_index(op.f("push_delivery_recipient_ix"), table_name="push_delivery")
    op.drop_index(op.f("push_delivery_execution_id_id_ix"), table_name="push_delivery")
    op.drop_table("push_delivery")
    op.drop_index(op.f("push_execution_task_code_finished_at_ix"), table_name="push_execution")
    op.drop_index(op.f("push_execution_created_at_ix"), table_name="push_execution")
    op.drop_table("push_execution")
    op.drop_index(op.f("push_task_shard_ix"), table_name="push_task")
    op.drop_index(op.f("push_task_created_at_ix"), table_name="push_task")
    op.drop_table("push_task")
    op.drop_table("push_shard")
    op.execute(sa.schema.DropSequence(sa.Sequence("push_revision")))
