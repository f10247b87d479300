"""Deliveries in partitions, which are dropped when nothing of them is left."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_SIZE = 10**9
_INDEXES = {
    "execution_id_id_ix": "(execution_id, id)",
    "recipient_id_ix": "(recipient, id)",
    "notable_execution_id_id_ix": "(notable, execution_id, id) WHERE notable IS NOT NULL",
    "receipt_due_ix": "(receipt_due) WHERE receipt_due IS NOT NULL",
}
_PARTITIONS = sa.text("""
    SELECT c.relname FROM pg_class AS c JOIN pg_class AS p ON p.oid = 'push_delivery'::regclass
    WHERE c.relnamespace = p.relnamespace AND c.relkind = 'r' AND c.relname ~ '^push_delivery_[0-9]+$'
""")


def upgrade() -> None:
    """Make the table that there is the first partition, without copying a row, and the next one ahead."""
    op.add_column(
        "push_execution",
        sa.Column(
            "first_delivery",
            sa.BigInteger,
            comment="No delivery of it has a smaller id; null: there is none, or nobody noted it",
        ),
    )
    op.add_column("push_execution", sa.Column("last_delivery", sa.BigInteger, comment="Nor has one a larger id"))
    for column in ("first_delivery", "last_delivery"):
        op.add_column("push_dropped", sa.Column(column, sa.BigInteger, comment="As of push_execution"))
    op.add_column(
        "push_dropped",
        sa.Column(
            "due",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.text("now()"),
            comment="When its deliveries are deleted, unless their partition has been dropped before",
        ),
    )
    op.create_index("push_dropped_due_execution_id_ix", "push_dropped", ["due", "execution_id"])
    op.add_column(
        "push_upkeep",
        sa.Column("since", sa.DateTime(timezone=True), comment="When it came there, where that counts"),
    )
    for table, key in (("push_execution", "id"), ("push_dropped", "execution_id")):
        # As a range, though it has one value: in this order only the index of executions and ids gives them.
        end = (
            f"(SELECT d.id FROM push_delivery AS d WHERE d.execution_id BETWEEN e.{key} AND e.{key}"  # noqa: S608
            " ORDER BY d.execution_id{0}, d.id{0} LIMIT 1)"
        )
        op.execute(
            f"UPDATE {table} AS e SET first_delivery = {end.format('')}, last_delivery = {end.format(' DESC')}"  # noqa: S608
        )
    op.execute(
        "CREATE INDEX push_execution_deliveries_ix ON push_execution"
        " USING gist (int8range(first_delivery, last_delivery, '[]'::text)) WHERE total > 0"
    )

    op.execute("ALTER TABLE push_delivery RENAME TO push_delivery_0")
    for name in ("pkey", *_INDEXES):
        op.execute(f"ALTER INDEX push_delivery_{name} RENAME TO push_delivery_0_{name}")
    # An id that was drawn and came to nothing is not drawn again.
    last = op.get_bind().execute(sa.text("SELECT last_value, is_called FROM push_delivery_id_seq")).one()
    largest = op.get_bind().execute(sa.text("SELECT max(id) FROM push_delivery_0")).scalar() or 0
    used = max(largest, last.last_value if last.is_called else 0)
    op.execute("ALTER TABLE push_delivery_0 ALTER COLUMN id DROP IDENTITY")
    op.execute("CREATE SEQUENCE push_delivery_id_seq")
    op.execute(f"SELECT setval('push_delivery_id_seq', {used + 1}, false)")
    op.execute("ALTER TABLE push_delivery_0 ALTER COLUMN id SET DEFAULT nextval('push_delivery_id_seq'::regclass)")
    # With the columns in the order in which they came, so that no row is turned into another on its way.
    op.execute(
        "CREATE TABLE push_delivery (LIKE push_delivery_0 INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED"
        " INCLUDING COMMENTS INCLUDING STORAGE) PARTITION BY RANGE (id)"
    )
    op.execute("COMMENT ON TABLE push_delivery IS 'One recipient of one execution'")
    op.execute("ALTER TABLE push_delivery ADD CONSTRAINT push_delivery_pkey PRIMARY KEY (id)")
    for name, what in _INDEXES.items():
        op.execute(f"CREATE INDEX push_delivery_{name} ON push_delivery {what}")
    number = used // _SIZE + 1
    op.execute(
        f"ALTER TABLE push_delivery ATTACH PARTITION push_delivery_0 FOR VALUES FROM (MINVALUE) TO ({number * _SIZE})"
    )
    op.execute(f"CREATE TABLE push_delivery_{number} (LIKE push_delivery INCLUDING ALL) WITH (fillfactor = 60)")
    op.execute(
        f"ALTER TABLE push_delivery ATTACH PARTITION push_delivery_{number}"
        f" FOR VALUES FROM ({number * _SIZE}) TO ({(number + 1) * _SIZE})"
    )
    op.execute(
        f"INSERT INTO push_upkeep (what, position, since) VALUES ('partition', {number - 1}, now())"  # noqa: S608
    )
    # PostgreSQL looks at partitions by itself, and never at the whole (manual, 25.1.3).
    op.execute("ANALYZE push_delivery")


def downgrade() -> None:
    """Copy what is in partitions into one table."""
    op.execute("ALTER TABLE push_delivery RENAME TO push_delivery_whole")
    for name in ("pkey", *_INDEXES):
        op.execute(f"ALTER INDEX push_delivery_{name} RENAME TO push_delivery_whole_{name}")
    last = sa.text("SELECT last_value - 1 + is_called::int FROM push_delivery_id_seq")
    used = op.get_bind().execute(last).scalar_one()
    op.execute(
        "CREATE TABLE push_delivery (LIKE push_delivery_whole INCLUDING DEFAULTS INCLUDING CONSTRAINTS"
        " INCLUDING GENERATED INCLUDING COMMENTS INCLUDING STORAGE) WITH (fillfactor = 60)"
    )
    op.execute("COMMENT ON TABLE push_delivery IS 'One recipient of one execution'")
    op.execute("ALTER TABLE push_delivery ALTER COLUMN id DROP DEFAULT")
    columns = ", ".join(
        column["name"]
        for column in sa.inspect(op.get_bind()).get_columns("push_delivery")
        if not column.get("computed")
    )
    op.execute(f"INSERT INTO push_delivery ({columns}) SELECT {columns} FROM push_delivery_whole")  # noqa: S608
    for name in op.get_bind().execute(_PARTITIONS).scalars().all():
        op.execute(f"DROP TABLE {name}")  # those that were detached, too
    op.execute("DROP TABLE push_delivery_whole")
    op.execute("DROP SEQUENCE push_delivery_id_seq")
    op.execute("ALTER TABLE push_delivery ADD CONSTRAINT push_delivery_pkey PRIMARY KEY (id)")
    for name, what in _INDEXES.items():
        op.execute(f"CREATE INDEX push_delivery_{name} ON push_delivery {what}")
    op.execute("ALTER TABLE push_delivery ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY")
    op.execute(f"SELECT setval(pg_get_serial_sequence('push_delivery', 'id'), {used + 1}, false)")
    op.drop_index("push_execution_deliveries_ix", table_name="push_execution")
    op.execute("DELETE FROM push_upkeep WHERE what IN ('partition', 'detached', 'looked')")
    op.drop_column("push_upkeep", "since")
    op.drop_index("push_dropped_due_execution_id_ix", table_name="push_dropped")
    for column in ("due", "last_delivery", "first_delivery"):
        op.drop_column("push_dropped", column)
    for column in ("last_delivery", "first_delivery"):
        op.drop_column("push_execution", column)
