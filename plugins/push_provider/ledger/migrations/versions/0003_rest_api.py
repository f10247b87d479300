"""What the REST API lists by, and what it remembers of its callers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NOTABLE = (
    "CASE WHEN state::text = ANY (ARRAY['delivered'::text, 'failed'::text, 'unknown'::text, 'cancelled'::text]) "
    "THEN state ELSE NULL::character varying END"
)
_ADDRESSES = 'jsonb_path_query_array(spec, \'$."recipients"[*]."to"\'::jsonpath)'


def upgrade() -> None:
    """Columns that follow from others, indexes for lists, answers to repeat, allowances of callers."""
    json = postgresql.JSONB(astext_type=sa.Text())
    op.add_column("push_task", sa.Column("schedule", json, sa.Computed("spec -> 'schedule'", persisted=True)))
    op.add_column("push_task", sa.Column("subject", sa.Text(), sa.Computed("spec ->> 'subject'", persisted=True)))
    recipients = sa.Computed("jsonb_array_length(spec -> 'recipients')", persisted=True)
    op.add_column("push_task", sa.Column("recipients", sa.Integer(), recipients))
    op.drop_index(op.f("push_task_created_at_ix"), table_name="push_task")
    op.create_index(op.f("push_task_created_at_code_ix"), "push_task", ["created_at", "code"])
    op.create_index(op.f("push_task_app_ix"), "push_task", ["app"])
    op.create_index(
        "push_task_addresses_ix",
        "push_task",
        [sa.text(_ADDRESSES)],
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    )
    op.drop_index(op.f("push_execution_created_at_ix"), table_name="push_execution")
    op.create_index(op.f("push_execution_created_at_id_ix"), "push_execution", ["created_at", "id"])
    op.create_index(
        op.f("push_execution_task_code_created_at_id_ix"), "push_execution", ["task_code", "created_at", "id"]
    )
    op.create_index(op.f("push_execution_state_created_at_id_ix"), "push_execution", ["state", "created_at", "id"])
    op.create_index(
        "push_execution_noteworthy_ix",
        "push_execution",
        ["task_code", "id"],
        postgresql_where=sa.text("finished_at IS NULL OR failed > 0 OR unknown > 0 OR cancelled > 0"),
    )
    op.add_column("push_delivery", sa.Column("notable", sa.String(16), sa.Computed(_NOTABLE, persisted=True)))
    op.drop_index(op.f("push_delivery_recipient_ix"), table_name="push_delivery")
    op.create_index(op.f("push_delivery_recipient_id_ix"), "push_delivery", ["recipient", "id"])
    op.create_index(
        op.f("push_delivery_notable_execution_id_id_ix"),
        "push_delivery",
        ["notable", "execution_id", "id"],
        postgresql_where=sa.text("notable IS NOT NULL"),
    )
    op.create_table(
        "push_answer",
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("call", sa.Text(), nullable=False, comment="What was called: method and path"),
        sa.Column("key", sa.Text(), nullable=False, comment="The caller's Idempotency-Key"),
        sa.Column("fingerprint", sa.String(length=64), nullable=False, comment="SHA-256 of what was asked"),
        sa.Column(
            "answer", json, nullable=True, comment="What was answered; null only within the transaction that finds it"
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("caller", "call", "key", name=op.f("push_answer_pkey")),
        comment="Answers of the REST API that a repeated Idempotency-Key gives again",
    )
    op.create_index(op.f("push_answer_created_at_ix"), "push_answer", ["created_at"])
    op.create_table(
        "push_allowance",
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("tokens", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("caller", name=op.f("push_allowance_pkey")),
        comment="How many requests each caller may still make: a token bucket, shared by all API servers",
        prefixes=["UNLOGGED"],
    )


def downgrade() -> None:
    """Drop all of them."""
    op.drop_table("push_allowance")
    op.drop_index(op.f("push_answer_created_at_ix"), table_name="push_answer")
    op.drop_table("push_answer")
    op.drop_index(op.f("push_delivery_notable_execution_id_id_ix"), table_name="push_delivery")
    op.drop_index(op.f("push_delivery_recipient_id_ix"), table_name="push_delivery")
    op.create_index(op.f("push_delivery_recipient_ix"), "push_delivery", ["recipient"])
    op.drop_column("push_delivery", "notable")
    op.drop_index("push_execution_noteworthy_ix", table_name="push_execution")
    op.drop_index(op.f("push_execution_state_created_at_id_ix"), table_name="push_execution")
    op.drop_index(op.f("push_execution_task_code_created_at_id_ix"), table_name="push_execution")
    op.drop_index(op.f("push_execution_created_at_id_ix"), table_name="push_execution")
    op.create_index(op.f("push_execution_created_at_ix"), "push_execution", ["created_at"])
    op.drop_index("push_task_addresses_ix", table_name="push_task")
    op.drop_index(op.f("push_task_app_ix"), table_name="push_task")
    op.drop_index(op.f("push_task_created_at_code_ix"), table_name="push_task")
    op.create_index(op.f("push_task_created_at_ix"), "push_task", ["created_at"])
    for column in ("recipients", "subject", "schedule"):
        op.drop_column("push_task", column)
