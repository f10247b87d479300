"""Push tasks by part of their name, code, configuration or recipients: an index of trigrams (PostgreSQL's pg_trgm)."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what is searched, and its index; the table is written anew."""
    # A trusted extension: whoever may create something in the database may create it.
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.execute("""
        ALTER TABLE push_task ADD COLUMN searched text GENERATED ALWAYS AS (lower(
            code || chr(10) || name || chr(10) || COALESCE(config, '') || chr(10) ||
            btrim(replace(jsonb_path_query_array(spec, '$."recipients"[*]."to"')::text, '", "', chr(10)), '["]')
        )) STORED
    """)
    op.execute(
        "CREATE INDEX push_task_searched_ix ON push_task USING gin (searched gin_trgm_ops) WITH (fastupdate = off)"
    )


def downgrade() -> None:
    """Drop both; the extension stays, for others may use it."""
    op.drop_index("push_task_searched_ix", table_name="push_task")
    op.drop_column("push_task", "searched")
