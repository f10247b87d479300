"""Which process sends an execution: a lease that it renews, in place of a lock of its session."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of leases."""
    op.execute("""
        CREATE TABLE push_lease (
            execution_id bigint NOT NULL CONSTRAINT push_lease_pkey PRIMARY KEY
                CONSTRAINT push_lease_execution_id_fkey REFERENCES push_execution (id) ON DELETE CASCADE,
            holder uuid NOT NULL,
            process text NOT NULL,
            until timestamptz NOT NULL
        ) WITH (fillfactor = 50)
    """)
    op.execute(
        "COMMENT ON TABLE push_lease IS 'Which process sends an execution, and until when it may without a word'"
    )
    op.execute("COMMENT ON COLUMN push_lease.process IS 'Its number and machine, for people'")


def downgrade() -> None:
    """Drop it."""
    op.drop_table("push_lease")
