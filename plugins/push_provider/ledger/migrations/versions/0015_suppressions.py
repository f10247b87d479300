"""Addresses that are gone, as a provider has said: they get nothing more."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make room for them."""
    op.create_table(
        "push_suppression",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("channel", sa.String(16), nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=False, comment="What the provider said when it was tried last"),
        sa.Column("reason", sa.Text),
        sa.Column("task_code", sa.String(64), nullable=False, comment="The push task that found out"),
        sa.Column("suppressed_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
        sa.PrimaryKeyConstraint("id", name=op.f("push_suppression_pkey")),
        sa.UniqueConstraint("channel", "address", name=op.f("push_suppression_channel_address_key")),
        comment="Addresses that are gone, as a provider has said: they get nothing more",
    )
    op.create_index("push_suppression_suppressed_at_id_ix", "push_suppression", ["suppressed_at", "id"])
    op.create_index(
        "push_suppression_channel_suppressed_at_id_ix", "push_suppression", ["channel", "suppressed_at", "id"]
    )
    op.create_index(
        "push_suppression_task_code_suppressed_at_id_ix", "push_suppression", ["task_code", "suppressed_at", "id"]
    )


def downgrade() -> None:
    """Forget them."""
    op.drop_table("push_suppression")
