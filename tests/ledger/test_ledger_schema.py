"""The ledger's tables come to be, and are those that the code speaks of."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, create_engine, inspect, text

from push_provider.exceptions import LedgerUnavailable
from push_provider.ledger import schema, tasks
from push_provider.ledger.tables import metadata

if TYPE_CHECKING:
    from push_provider.sandbox.postgres import PostgresServer

HEAD = max(path.name[:4] for path in (Path(schema.__file__).parent / "migrations" / "versions").glob("*.py"))
OPTIONS = {"version_table": "push_alembic_version", "compare_type": True, "compare_server_default": True}


@pytest.fixture
def empty(postgres: PostgresServer) -> Iterator[Engine]:
    """An empty database."""
    name = f"empty_{uuid.uuid4().hex[:12]}"
    postgres.create_database(name)
    engine = create_engine(postgres.url(name))
    yield engine
    engine.dispose()


def test_migrate_an_empty_database_and_again(empty: Engine) -> None:
    assert schema.migrate(empty) == (None, HEAD)
    assert schema.migrate(empty) == (HEAD, HEAD)
    assert tasks.find(empty) == []


def test_two_migrations_at_once_wait_for_each_other(empty: Engine) -> None:
    barrier = Barrier(2)

    def migrate(_: int) -> tuple[str | None, str]:
        barrier.wait()
        return schema.migrate(empty)

    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(migrate, range(2))) == {(None, HEAD), (HEAD, HEAD)}


def test_migrations_and_tables_agree(empty: Engine) -> None:
    schema.migrate(empty)
    with empty.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=OPTIONS), metadata) == []


def test_postgresql_sees_no_difference_either(empty: Engine, postgres: PostgresServer) -> None:
    """Check constraints, sequences and storage options, which alembic does not compare."""
    schema.migrate(empty)
    postgres.create_database(name := f"made_{uuid.uuid4().hex[:12]}")
    made = create_engine(postgres.url(name))
    metadata.create_all(made)
    query = text(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid::regclass::text LIKE 'push\\_%'"
        " AND conname NOT LIKE 'push_alembic%' UNION ALL"
        " SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN"
        " ('push_task', 'push_shard', 'push_execution', 'push_delivery', 'push_answer', 'push_allowance') UNION ALL"
        " SELECT relname, array_to_string(reloptions, ',') FROM pg_class"
        " WHERE relkind IN ('r', 'S') AND relname LIKE 'push%' AND relname NOT LIKE 'push_alembic%' ORDER BY 1, 2"
    )
    with empty.connect() as one, made.connect() as other:
        migrated = one.execute(query).all()
        assert migrated == other.execute(query).all()
    assert len(migrated) > 20
    made.dispose()


def test_downgrade_leaves_nothing(empty: Engine) -> None:
    schema.migrate(empty)
    config = schema._config()
    with empty.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    with empty.connect() as connection:
        assert inspect(connection).get_table_names() == ["push_alembic_version"]
        assert inspect(connection).get_sequence_names() == []
    assert schema.migrate(empty) == (None, HEAD)


def test_a_ledger_of_a_newer_version_is_left_alone(empty: Engine) -> None:
    schema.migrate(empty)
    with empty.begin() as connection:
        connection.execute(text("UPDATE push_alembic_version SET version_num = '9999'"))
    with pytest.raises(LedgerUnavailable, match=r"9999.*newer"):
        schema.migrate(empty)
