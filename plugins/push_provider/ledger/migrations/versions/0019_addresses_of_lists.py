"""The addresses that push tasks are searched by are with their lists, which never change."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move them there."""
    op.create_table(
        "push_list",
        sa.Column("list_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("addresses", sa.Text, nullable=False, comment="Of its recipients, a line each"),
        sa.PrimaryKeyConstraint("list_id", name=op.f("push_list_pkey")),
        comment="What a search for part of a word looks through of the recipients that a push task has",
    )
    op.execute("""
        INSERT INTO push_list (list_id, addresses)
        SELECT list_id, addresses FROM push_task WHERE list_id IS NOT NULL AND addresses IS NOT NULL
    """)
    op.drop_index("push_task_addresses_ix", table_name="push_task")
    op.drop_column("push_task", "addresses")
    _index("push_list")
    op.execute("ANALYZE push_list")


def downgrade() -> None:
    """Move them back."""
    op.add_column("push_task", sa.Column("addresses", sa.Text, comment="Of its own recipients, a line each"))
    op.execute("UPDATE push_task AS t SET addresses = l.addresses FROM push_list AS l WHERE l.list_id = t.list_id")
    op.drop_table("push_list")
    _index("push_task")


def _index(table: str) -> None:
    op.execute(
        f"CREATE INDEX {table}_addresses_ix ON {table} USING gin (lower(addresses) gin_trgm_ops)"
        " WITH (fastupdate = off)"
    )
