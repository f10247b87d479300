"""The ledger's tables come to be, and are those that the code speaks of."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from ledger_desk import Desk, push
from sqlalchemy import Engine, create_engine, inspect, text

from push_provider import written
from push_provider.channels.base import Result
from push_provider.exceptions import LedgerUnavailable
from push_provider.ledger import (
    answers,
    definitions,
    deliveries,
    dropping,
    executions,
    planning,
    rejected,
    retiring,
    schema,
    task_lists,
    tasks,
)
from push_provider.ledger.tables import metadata

if TYPE_CHECKING:
    from sandbox.postgres import PostgresServer

HEAD = max(path.name[:4] for path in (Path(schema.__file__).parent / "migrations" / "versions").glob("*.py"))
PARTITION = re.compile(r"push_delivery_\d+")


def _is_no_partition(name: str | None, kind: str, _parents: object) -> bool:
    """Partitions come and go."""
    return kind != "table" or not PARTITION.fullmatch(name or "")


OPTIONS = {
    "version_table": "push_alembic_version",
    "compare_type": True,
    "compare_server_default": True,
    "include_name": _is_no_partition,
}


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
    assert task_lists.find(empty) == []


def test_two_migrations_at_once_wait_for_each_other(empty: Engine) -> None:
    barrier = Barrier(2)

    def migrate(_: int) -> tuple[str | None, str]:
        barrier.wait()
        return schema.migrate(empty)

    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(migrate, range(2))) == {(None, HEAD), (HEAD, HEAD)}


_FILL = """
    INSERT INTO push_task (code, name, channel, owner, spec, execution_type, schedule_since, shard, revision)
    SELECT 'old-' || n, 'Old', 'email', 'ann', '{"recipients": [{"to": "a@example.com"}], "schedule": {"kind": "now"}}',
           'once', now(), n, n FROM generate_series(1, 200) AS n;
    INSERT INTO push_execution (task_code, number, source, snapshot, total)
    SELECT 'old-' || n, 1, 'rest', '{}', 10 FROM generate_series(1, 200) AS n;
    INSERT INTO push_delivery (execution_id, recipient)
    SELECT id, n || '@example.com' FROM push_execution, generate_series(1, 10) AS n;
    INSERT INTO push_answer (caller, call, key, fingerprint, answer)
    SELECT 'ann', 'POST', n, '', jsonb_build_object('task', 'old-' || n) FROM generate_series(1, 200) AS n;
    INSERT INTO push_rejected (position, topic, partition, "offset", reason)
    SELECT gen_random_uuid(), 'task.push.info', 0, n, 'no' FROM generate_series(1, 200) AS n
"""
"""As version 0004 has its tables, the first one that people used."""


def test_a_ledger_in_use_is_migrated_with_all_it_holds(empty: Engine) -> None:
    config = schema._config()
    with empty.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        connection.exec_driver_sql(_FILL)
    assert schema.migrate(empty) == ("0004", HEAD)
    assert len(task_lists.find(empty, owner="ann", limit=1000)) == 200
    assert len(executions.find(empty, source="rest", limit=1000)) == 200
    assert deliveries.count(empty, cap=10_000, task="old-7") == 10
    assert len(rejected.find(empty, limit=1000)) == 200
    with empty.begin() as connection:
        answers.forget(connection, "old-7")
        assert connection.execute(text("SELECT count(*) FROM push_answer")).scalar() == 199


_STATES = """
    INSERT INTO push_task (code, name, channel, spec, execution_type, executions, status, schedule_since, shard,
                           revision)
    VALUES (:code, 'Old', 'email', CAST(:spec AS jsonb), 'loop', 2, 'running', now(), 1, 1);
    INSERT INTO push_execution (task_code, number, source, snapshot, state, total, run_id)
    SELECT :code, n, 'rest', jsonb_build_object('task', CAST(:spec AS jsonb), 'templates',
           CAST('{"message": "Good day"}' AS jsonb), 'variables', CAST('{}' AS jsonb), 'error', NULL), 'planned', 7,
           'run-' || n
    FROM generate_series(1, 2) AS n;
    INSERT INTO push_delivery (execution_id, recipient, state)
    SELECT e.id, s.state || '@example.com', s.state FROM push_execution AS e,
        unnest(ARRAY['pending', 'sending', 'sent', 'delivered', 'failed', 'unknown', 'cancelled']) AS s (state)
    WHERE e.number = 1 ORDER BY random();
    INSERT INTO push_delivery (execution_id, recipient)
    SELECT e.id, n || '@example.com' FROM push_execution AS e, generate_series(1, 7) AS n WHERE e.number = 2;
    INSERT INTO push_dropped (execution_id, deliveries) VALUES (900, 3), (901, 3);
    INSERT INTO push_delivery (execution_id, recipient) SELECT 900, 'gone@example.com' FROM generate_series(1, 3);
    DELETE FROM push_delivery WHERE id = (SELECT max(id) FROM push_delivery)
"""


@pytest.mark.slow
@pytest.mark.parametrize("drawn", [0, 10**9 - 30, 10**9 - 1 - 17, 25 * 10**8])
def test_deliveries_become_a_partition_as_they_are_and_what_is_sent_goes_on(empty: Engine, drawn: int) -> None:
    """Whatever number of ids has been drawn before: the last before a boundary, or more than one partition has."""
    desk = Desk(empty)
    config = schema._config()
    with empty.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0015")
        if drawn:
            connection.execute(text("SELECT setval('push_delivery_id_seq', :drawn)"), {"drawn": drawn})
        spec = json.dumps(push(desk.code, execution={"type": "loop"}, schedule={"kind": "manual"}).spec())
        for statement in _STATES.split(";"):
            some = {key: value for key, value in {"code": desk.code, "spec": spec}.items() if f":{key}" in statement}
            connection.execute(text(statement), some)
        whole = text("SELECT * FROM push_delivery ORDER BY id")
        before = connection.execute(whole).mappings().all()
        file = "SELECT pg_relation_filenode('{}')"
        node = connection.execute(text(file.format("push_delivery"))).scalar_one()
    schema.migrate(empty)
    with empty.begin() as connection:
        assert connection.execute(whole).mappings().all() == before
        assert connection.execute(text(file.format("push_delivery_0"))).scalar_one() == node  # and nothing was copied
        odd = (
            "SELECT count(*) FROM push_delivery WHERE notable IS DISTINCT FROM"
            " CASE WHEN state IN ('delivered', 'failed', 'unknown', 'cancelled') THEN state END"
        )
        assert connection.execute(text(odd)).scalar_one() == 0
        spans = connection.execute(
            text(
                "SELECT s.first, s.last, e.first_delivery, e.last_delivery FROM (SELECT execution_id, min(id) AS first,"
                " max(id) AS last FROM push_delivery GROUP BY 1) AS s JOIN (SELECT id, first_delivery, last_delivery"
                " FROM push_execution UNION ALL SELECT execution_id, first_delivery, last_delivery FROM push_dropped)"
                " AS e ON e.id = s.execution_id"
            )
        ).all()
        assert len(spans) == 3
        assert all(row[:2] == row[2:] for row in spans)
    first, second = (planning.of_run(empty, desk.code, run_id) for run_id in ("run-1", "run-2"))
    assert first is not None
    assert second is not None
    counts = desk.run(first, *[Result.SENT] * 3)  # what was pending, what was being sent, and what was in doubt
    assert counts._asdict() == {
        "total": 7,
        "sent": 5,
        "delivered": 1,
        "failed": 1,
        "unknown": 0,
        "cancelled": 1,
        "pending": 0,
    }
    new = desk.plan()
    drawn_last = max(row["id"] for row in before) + 1  # one was deleted
    assert [row.id for row in desk.deliveries(new)] == [drawn_last + n for n in (1, 2, 3)]
    assert desk.run(second, *[Result.SENT] * 7).sent == desk.run(new, *[Result.SENT] * 3).sent + 4 == 7
    assert dropping.clear(empty, 100) == 2
    # And back, with what was planned in between, and forth again.
    with empty.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0015")
        assert connection.execute(text("SELECT count(*) FROM push_delivery")).scalar_one() == 17
        added = "INSERT INTO push_delivery (execution_id, recipient) VALUES (1, 'a@example.com') RETURNING id"
        assert connection.execute(text(added)).scalar_one() == drawn_last + 4
    schema.migrate(empty)
    assert desk.deliveries(desk.plan())[0].id == drawn_last + 5


_OLD_TASK = """
    INSERT INTO push_task (code, name, channel, spec, execution_type, executions, status, schedule_since, shard,
                           revision)
    VALUES (:code, 'Old', 'email', CAST(:spec AS jsonb), 'loop', 3, 'active', now(), 1, 1)
"""
_OLD_EXECUTION = """
    INSERT INTO push_execution (task_code, number, source, state, total, run_id, snapshot)
    VALUES (:code, :number, 'rest', 'planned', 1, 'run-' || :number, CAST(:snapshot AS jsonb))
"""
_PEOPLE: dict[str, list[Any]] = {
    "nobody": [],
    "one": ["a@example.com"],
    "twice": [{"to": "a@example.com", "variables": {"order": n, "price": "12.50"}} for n in (1, 2)],
    "many": [f"p{n}@example.com" for n in range(3000, 0, -1)],
}


@pytest.mark.slow
def test_recipients_become_rows_and_snapshots_one_of_each_and_back(empty: Engine) -> None:
    config = schema._config()
    manual = {"execution": {"type": "loop"}, "schedule": {"kind": "manual"}}
    pushes = {code: push(code, recipients=people, **manual) for code, people in _PEOPLE.items()}
    runs = {1: "2026-07-01T05:25:00+00:00", 2: None, 3: "2026-07-01T13:25:00.5+08:00"}
    with empty.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0016")
        for code, one in pushes.items():
            connection.execute(text(_OLD_TASK), {"code": code, "spec": written.dumps(one.spec())})
            for number, run_after in runs.items():
                snapshot = {
                    "task": {**one.spec(), "recipients": [], "on_unknown": "hold" if number == 3 else None},
                    "templates": {"message": "Good day", "attachment": "QUJD" * 1000},
                    "variables": {"n": number} if number > 1 else {},
                    "error": "no file" if number == 2 else None,
                    "run_after": run_after,
                }
                values = {"code": code, "number": number, "snapshot": written.dumps(snapshot)}
                connection.execute(text(_OLD_EXECUTION), values)
        tables = "SELECT to_jsonb(t) - 'updated_at' FROM {} AS t ORDER BY {}"
        orders = {"push_task": "code", "push_execution": "id"}
        before = {name: connection.scalars(text(tables.format(name, by))).all() for name, by in orders.items()}
    for _ in range(2):
        schema.migrate(empty)
        for code, one in pushes.items():
            assert tasks.get_whole(empty, code).task() == one
            assert [item.recipients for item in task_lists.find(empty, name="Old", codes={code})] == [
                len(_PEOPLE[code])
            ]
            applied = definitions.apply(empty, one, now=datetime.now(UTC), default_timezone="UTC", dry_run=True)
            assert applied.action == "unchanged"
        assert {item.code for item in task_lists.find(empty, recipient="a@example.com")} == {"one", "twice"}
        assert {item.code for item in task_lists.find(empty, search="P2999@")} == {"many"}
        plan = planning.of_run(empty, "one", "run-3", run_after=datetime(2026, 7, 1, 5, 25, 0, 500_000, UTC))
        assert plan is not None
        assert (plan.variables, plan.error, plan.task.on_unknown) == ({"n": 3}, None, "hold")
        assert plan.templates == {"message": "Good day", "attachment": "QUJD" * 1000}
        assert (
            plan.task.model_copy(update={"on_unknown": None, "recipients": pushes["one"].recipients}) == pushes["one"]
        )
        unreadable = planning.of_run(empty, "one", "run-2")
        assert unreadable is not None
        assert unreadable.error == "no file"
        with empty.begin() as connection:
            # One of each task, and one of what a redrive had decided.
            assert connection.execute(text("SELECT count(*) FROM push_snapshot")).scalar_one() == 8
            config.attributes["connection"] = connection
            command.downgrade(config, "0016")
            after = {name: connection.scalars(text(tables.format(name, by))).all() for name, by in orders.items()}
            for execution in (*before["push_execution"], *after["push_execution"]):
                moment = execution["snapshot"].pop("run_after")
                execution["snapshot"]["run_after"] = moment and datetime.fromisoformat(moment)
            assert after == before
            before = {name: connection.scalars(text(tables.format(name, by))).all() for name, by in orders.items()}


@pytest.mark.slow
def test_what_was_left_to_a_run_is_written_by_a_downgrade(empty: Engine) -> None:
    schema.migrate(empty)
    manual = {"execution": {"type": "loop"}, "schedule": {"kind": "manual"}}
    many = push("many", recipients=_PEOPLE["many"], **manual)
    definitions.apply(empty, many, now=datetime.now(UTC), default_timezone="UTC")
    with empty.begin() as connection:
        begun = planning.begin_within(connection, "many", source="rest", freeze=lambda _: {"message": "Good day"})
    config = schema._config()
    with empty.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0016")
        assert connection.execute(text("SELECT count(*) FROM push_delivery")).scalar_one() == 3000
    schema.migrate(empty)
    plan = planning.bind(empty, "many", begun.id, "run")
    assert plan.total == deliveries.count(empty, cap=10_000, execution=plan.id) == 3000
    assert deliveries.find(empty, limit=1, execution=plan.id)[0].recipient == "p1@example.com"


def test_what_was_to_be_deleted_is_so_before_a_downgrade_and_the_rest_stays(empty: Engine) -> None:
    config = schema._config()
    with empty.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0009")
        connection.exec_driver_sql(_FILL)
        connection.exec_driver_sql("UPDATE push_execution SET finished_at = now()")
        connection.exec_driver_sql("UPDATE push_task SET status = 'finished' WHERE code = 'old-9'")
    schema.migrate(empty)
    assert retiring.retire(empty, 100, before=datetime.now(UTC) + timedelta(hours=1)) == 1
    tasks.delete(empty, "old-7", purge=True)
    with empty.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0009")
        assert connection.execute(text("SELECT count(*) FROM push_delivery")).scalar() == 1990
        assert connection.execute(text("SELECT shard FROM push_shard WHERE shard = 9")).scalar() == 9
        connection.exec_driver_sql("DELETE FROM push_task WHERE code = 'old-8'")
        assert connection.execute(text("SELECT count(*) FROM push_delivery")).scalar() == 1980
    schema.migrate(empty)
    assert deliveries.count(empty, cap=10_000) == 1980


def test_refused_runs_are_forgotten_by_a_downgrade_and_nothing_else_is(empty: Engine) -> None:
    schema.migrate(empty)
    config = schema._config()
    with empty.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0004")
        connection.exec_driver_sql(_FILL)
    schema.migrate(empty)
    planning.refuse(empty, "old-7", source="manual", run_id="bad", error="no")
    assert executions.count(empty, cap=1000, task="old-7") == 2
    with empty.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0006")
    schema.migrate(empty)
    (row,) = executions.find(empty, task="old-7")
    assert row.number == 1


def test_migrations_and_tables_agree(empty: Engine) -> None:
    schema.migrate(empty)
    with empty.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=OPTIONS), metadata) == []


def test_postgresql_sees_no_difference_either(empty: Engine, postgres: PostgresServer) -> None:
    """Check constraints, sequences and storage options, which alembic does not compare."""
    schema.migrate(empty)
    postgres.create_database(name := f"made_{uuid.uuid4().hex[:12]}")
    made = create_engine(postgres.url(name))
    with made.begin() as connection:
        connection.execute(text("CREATE EXTENSION pg_trgm"))
    metadata.create_all(made)
    query = text(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid::regclass::text LIKE 'push\\_%'"
        " AND conrelid::regclass::text !~ '^push_delivery_[0-9]+$' AND conname NOT LIKE 'push_alembic%' UNION ALL"
        " SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN"
        " ('push_task', 'push_recipient', 'push_list', 'push_list_left', 'push_shard', 'push_snapshot',"
        "  'push_execution', 'push_delivery', 'push_answer', 'push_allowance', 'push_message', 'push_rejected',"
        "  'push_lease', 'push_dropped', 'push_address', 'push_suppression', 'push_upkeep') UNION ALL"
        " SELECT relname, array_to_string(reloptions, ',') FROM pg_class"
        " WHERE relkind IN ('r', 'p', 'S') AND relname LIKE 'push%'"
        " AND relname !~ '^push_delivery_[0-9]+$' AND relname NOT LIKE 'push_alembic%' ORDER BY 1, 2"
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


def test_a_role_that_may_create_nothing_is_told_what_to_do(empty: Engine) -> None:
    """The tables' schema is the role's, but the database is another's, which an extension takes."""
    role = f"role_{uuid.uuid4().hex[:12]}"
    with empty.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
        connection.execute(text(f"GRANT ALL ON SCHEMA public TO {role}"))
    theirs = create_engine(empty.url.set(username=role))
    with pytest.raises(LedgerUnavailable, match=r"permission denied .*pg_trgm.*run 'CREATE EXTENSION pg_trgm'"):
        schema.migrate(theirs)
    with empty.begin() as connection:
        connection.execute(text("CREATE EXTENSION pg_trgm"))
    assert schema.migrate(theirs) == (None, HEAD)
    theirs.dispose()


def test_a_ledger_of_a_newer_version_is_left_alone(empty: Engine) -> None:
    schema.migrate(empty)
    with empty.begin() as connection:
        connection.execute(text("UPDATE push_alembic_version SET version_num = '9999'"))
    with pytest.raises(LedgerUnavailable, match=r"9999.*newer"):
        schema.migrate(empty)
