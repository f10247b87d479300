"""Deliveries by part of an address: each address once, with an index of trigrams."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make room for them; upkeep goes through the deliveries that there are."""
    op.create_table(
        "push_address",
        sa.Column("address", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("address", name=op.f("push_address_pkey")),
        comment="Each address of deliveries once, so that they are found by part of one",
    )
    op.execute(
        "CREATE INDEX push_address_part_ix ON push_address USING gin (lower(address) gin_trgm_ops)"
        " WITH (fastupdate = off)"
    )
    op.create_table(
        "push_upkeep",
        sa.Column("what", sa.String(16), nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("what", name=op.f("push_upkeep_pkey")),
        comment="How far upkeep has got with what it goes through once",
    )


def downgrade() -> None:
    """Drop both."""
    op.drop_table("push_upkeep")
    op.drop_table("push_address")
