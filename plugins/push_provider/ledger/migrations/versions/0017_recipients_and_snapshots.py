"""Recipients are rows, and what executions were planned with is kept once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_SEARCHED = (
    "lower(((((code)::text || chr(10)) || name) || chr(10)) || COALESCE(config, ''::text))",
    """lower((((((((code)::text || chr(10)) || name) || chr(10)) || COALESCE(config, ''::text)) || chr(10)) ||
    btrim(replace((jsonb_path_query_array(spec, '$."recipients"[*]."to"'::jsonpath))::text, '", "'::text, chr(10)),
    '["]'::text)))""",
)


def upgrade() -> None:
    """Turn the lists in tasks into rows, and the snapshots of executions into one of each."""
    _recipients()
    _snapshots()
    op.execute("ANALYZE push_task, push_recipient, push_execution, push_snapshot")


def _recipients() -> None:
    op.execute("CREATE SEQUENCE push_recipient_list")
    op.create_table(
        "push_recipient",
        sa.Column("list_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("variables", postgresql.JSONB, server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.PrimaryKeyConstraint("list_id", "position", name=op.f("push_recipient_pkey")),
        comment="One recipient of a list, which never changes",
    )
    op.create_table(
        "push_list_left",
        sa.Column("list_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("list_id", name=op.f("push_list_left_pkey")),
        comment="Lists that no push task has any more, and whose recipients are still there",
    )
    op.add_column(
        "push_task",
        sa.Column("list_id", sa.BigInteger, comment="Its own recipients, in push_recipient; null: it has none"),
    )
    op.add_column("push_task", sa.Column("list_digest", sa.LargeBinary, comment="SHA-256 of what is in that list"))
    op.add_column("push_task", sa.Column("addresses", sa.Text, comment="Of its own recipients, a line each"))
    op.add_column(
        "push_execution",
        sa.Column("list_id", sa.BigInteger, comment="Whose recipients are to become its deliveries; null: they have"),
    )

    op.drop_column("push_task", "recipients")
    op.drop_column("push_task", "searched")
    op.drop_index("push_task_addresses_ix", table_name="push_task")
    op.add_column("push_task", sa.Column("recipients", sa.Integer, server_default="0", nullable=False))
    op.execute("""
        UPDATE push_task
        SET list_id = nextval('push_recipient_list'), recipients = jsonb_array_length(spec -> 'recipients')
        WHERE jsonb_array_length(spec -> 'recipients') > 0
    """)
    op.execute("""
        INSERT INTO push_recipient (list_id, position, address, variables)
        SELECT t.list_id, r.ordinality, r.value ->> 'to', coalesce(r.value -> 'variables', CAST('{}' AS jsonb))
        FROM push_task AS t, jsonb_array_elements(t.spec -> 'recipients') WITH ORDINALITY AS r
        WHERE t.list_id IS NOT NULL
    """)
    op.execute("""
        UPDATE push_task AS t SET spec = spec || '{"recipients": []}', addresses = (
            SELECT string_agg(r.address, chr(10) ORDER BY r.position) FROM push_recipient AS r
            WHERE r.list_id = t.list_id)
    """)
    op.add_column("push_task", sa.Column("searched", sa.Text, sa.Computed(_SEARCHED[0], persisted=True)))
    _trigrams("searched", "searched")
    _trigrams("addresses", "lower(addresses)")
    op.create_index("push_task_list_id_ix", "push_task", ["list_id"])
    op.create_index("push_recipient_address_list_id_ix", "push_recipient", ["address", "list_id"])
    op.create_index(
        "push_execution_list_id_ix", "push_execution", ["list_id"], postgresql_where=sa.text("list_id IS NOT NULL")
    )


def _trigrams(name: str, what: str) -> None:
    op.execute(f"CREATE INDEX push_task_{name}_ix ON push_task USING gin ({what} gin_trgm_ops) WITH (fastupdate = off)")


def _snapshots() -> None:
    op.create_table(
        "push_snapshot",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False, comment="SHA-256 of the rest"),
        sa.Column("task", postgresql.JSONB, nullable=False, comment="Without its recipients"),
        sa.Column("templates", postgresql.JSONB, nullable=False, comment="The sources, by name"),
        sa.PrimaryKeyConstraint("id", name=op.f("push_snapshot_pkey")),
        sa.UniqueConstraint("digest", name=op.f("push_snapshot_digest_key")),
        comment="What executions were planned with, once, however many have it",
    )
    op.add_column("push_execution", sa.Column("snapshot_id", sa.BigInteger))
    op.add_column(
        "push_execution",
        sa.Column(
            "variables",
            postgresql.JSONB,
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="The trigger's",
        ),
    )
    op.add_column(
        "push_execution",
        sa.Column("unreadable", sa.Text, comment="Why its templates could not be read; null: they are"),
    )
    op.add_column("push_execution", sa.Column("run_after", sa.DateTime(timezone=True), comment="As its DAG run has it"))
    op.add_column(
        "push_execution",
        sa.Column("on_unknown", sa.String(8), comment="What was decided for it; null: as the task has it"),
    )
    # A redrive's decision was kept in the task as it was planned: there it stays.
    op.execute(f"""
        CREATE TEMPORARY TABLE planned ON COMMIT DROP AS
        SELECT e.id, sha256(convert_to(s.task::text || chr(10) || s.templates::text, 'UTF8')) AS digest
        FROM push_execution AS e, {_PARTS}
    """)  # noqa: S608  (a constant of ours)
    op.execute(f"""
        INSERT INTO push_snapshot (digest, task, templates)
        SELECT p.digest, s.task, s.templates
        FROM (SELECT DISTINCT ON (digest) digest, id FROM planned ORDER BY digest, id) AS p
            JOIN push_execution AS e ON e.id = p.id, {_PARTS}
    """)  # noqa: S608
    op.execute("""
        UPDATE push_execution AS e SET snapshot_id = s.id,
            variables = coalesce(e.snapshot -> 'variables', CAST('{}' AS jsonb)), unreadable = e.snapshot ->> 'error',
            run_after = CAST(e.snapshot ->> 'run_after' AS timestamptz)
        FROM planned AS p JOIN push_snapshot AS s ON s.digest = p.digest WHERE p.id = e.id
    """)
    op.drop_column("push_execution", "snapshot")
    op.alter_column("push_execution", "snapshot_id", nullable=False)
    op.create_foreign_key(
        op.f("push_execution_snapshot_id_fkey"), "push_execution", "push_snapshot", ["snapshot_id"], ["id"]
    )
    op.create_index("push_execution_snapshot_id_ix", "push_execution", ["snapshot_id"])


_PARTS = """LATERAL (SELECT coalesce(e.snapshot -> 'task', CAST('{}' AS jsonb)) AS task,
    coalesce(e.snapshot -> 'templates', CAST('{}' AS jsonb)) AS templates) AS s"""


def downgrade() -> None:
    """Have each execution and each task hold all of its own again."""
    op.add_column(
        "push_execution",
        sa.Column("snapshot", postgresql.JSONB, comment="Task, templates and trigger as they were when planned"),
    )
    op.execute("""
        UPDATE push_execution AS e SET snapshot = jsonb_build_object(
            'task', CASE WHEN e.on_unknown IS NULL THEN s.task
                    ELSE s.task || jsonb_build_object('on_unknown', e.on_unknown) END,
            'templates', s.templates, 'variables', e.variables, 'error', e.unreadable,
            'run_after', to_char(e.run_after AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'))
        FROM push_snapshot AS s WHERE s.id = e.snapshot_id
    """)
    op.alter_column("push_execution", "snapshot", nullable=False)
    _write_deliveries()
    for column in ("snapshot_id", "variables", "unreadable", "run_after", "on_unknown", "list_id"):
        op.drop_column("push_execution", column)
    op.drop_table("push_snapshot")

    op.execute("""
        UPDATE push_task AS t SET spec = spec || jsonb_build_object('recipients', (
            SELECT coalesce(jsonb_agg(jsonb_build_object('to', r.address, 'variables', r.variables)
                            ORDER BY r.position), '[]') FROM push_recipient AS r WHERE r.list_id = t.list_id))
    """)
    for column in ("recipients", "searched", "addresses", "list_id", "list_digest"):
        op.drop_column("push_task", column)
    op.drop_table("push_list_left")
    op.drop_table("push_recipient")
    op.execute("DROP SEQUENCE push_recipient_list")
    op.add_column(
        "push_task",
        sa.Column("recipients", sa.Integer, sa.Computed("jsonb_array_length(spec -> 'recipients')", persisted=True)),
    )
    op.add_column("push_task", sa.Column("searched", sa.Text, sa.Computed(_SEARCHED[1], persisted=True)))
    _trigrams("searched", "searched")
    op.execute(
        "CREATE INDEX push_task_addresses_ix ON push_task USING gin"
        """ (jsonb_path_query_array(spec, '$."recipients"[*]."to"'::jsonpath)) WITH (fastupdate = off)"""
    )


def _write_deliveries() -> None:
    """Write those that were left to a run."""
    op.execute("""
        INSERT INTO push_delivery (execution_id, recipient, variables)
        SELECT e.id, r.address, r.variables FROM push_execution AS e JOIN push_recipient AS r ON r.list_id = e.list_id
        ORDER BY e.id, r.position
    """)
    op.execute("""
        UPDATE push_execution AS e SET first_delivery = d.first, last_delivery = d.last
        FROM (SELECT execution_id, min(id) AS first, max(id) AS last FROM push_delivery GROUP BY 1) AS d
        WHERE e.list_id IS NOT NULL AND d.execution_id = e.id
    """)
