"""A ledger full of tasks, executions and deliveries, of every shape that lists must cope with."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Engine, create_engine, event, text

from push_provider.channels.reading import parse
from push_provider.ledger import schema

BIG, BUSY = "crowd-big", "crowd-busy"
"""A task with one execution to very many, and one with very many executions to one each."""

_TASKS = text("""
    INSERT INTO push_task (code, name, channel, config, app, owner, spec, list_id, recipients,
                           execution_type, executions, status, schedule_since, last_execution_at, shard, revision,
                           created_at)
    SELECT code, 'Crowd no. ' || n, 'email', CASE n % 3 WHEN 0 THEN NULL ELSE 'account-' || n % 50 END,
           'app-' || n % 20, 'owner-' || n % 200,
           CAST(:spec AS jsonb) || jsonb_build_object(
               'code', code, 'schedule', CASE n % 2 WHEN 0 THEN jsonb_build_object('kind', 'manual')
                                      ELSE jsonb_build_object('kind', 'hourly', 'minute', n % 60) END),
           nextval('push_recipient_list'), 1,
           CASE n % 4 WHEN 0 THEN 'once' ELSE 'loop' END, 5,
           CASE n % 10 WHEN 0 THEN 'cancelled' WHEN 1 THEN 'failed' WHEN 2 THEN 'running' ELSE 'active' END,
           now() - interval '40 days', now() - n % 1000 * interval '1 hour', n % 256, n,
           now() - (:tasks - n) * interval '1 minute'
    FROM (SELECT n, CASE n WHEN 1 THEN CAST(:big AS text) WHEN 2 THEN :busy ELSE 'crowd-' || n END AS code
          FROM generate_series(1, :tasks) AS n) AS t
""")
_RECIPIENTS = text("""
    WITH lists AS (
        INSERT INTO push_list (list_id, addresses)
        SELECT list_id, 'r' || substring(name FROM 11) || '@example.com' FROM push_task RETURNING list_id, addresses)
    INSERT INTO push_recipient (list_id, position, address) SELECT list_id, 1, addresses FROM lists
""")
_SNAPSHOT = text("INSERT INTO push_snapshot (digest, task, templates) VALUES ('', '{}', '{}')")
_EXECUTIONS = text("""
    INSERT INTO push_execution (task_code, number, run_id, source, snapshot_id, state, total, sent, failed, unknown,
                                created_at, started_at, finished_at)
    SELECT code, number, 'run-' || number, CASE number % 5000 WHEN 7 THEN 'manual' ELSE 'rest' END,
           (SELECT max(id) FROM push_snapshot),
           CASE WHEN begun > now() - interval '1 hour' THEN 'running'
           WHEN bad THEN 'partial' ELSE 'succeeded' END, total, total - CASE WHEN bad THEN 1 ELSE 0 END,
           CASE WHEN bad THEN 1 ELSE 0 END, 0, begun, begun,
           CASE WHEN begun > now() - interval '1 hour' THEN NULL ELSE begun + interval '1 minute' END
    FROM (SELECT CAST(:big AS text) AS code, 1 AS number, CAST(:big_size AS int) AS total,
                 now() - interval '20 days' AS begun, true AS bad
          UNION ALL
          SELECT :busy, n, 1, now() - (:busy_size - n) * interval '8 seconds', n < 4
          FROM generate_series(1, :busy_size) AS n
          UNION ALL
          SELECT 'crowd-' || t, e, :each, now() - (6 - e) * interval '5 days' - t * interval '1 second', t % 37 = 0
          FROM generate_series(3, :tasks) AS t, generate_series(1, :executions) AS e) AS x
    ORDER BY begun
""")
_DELIVERIES = text("""
    INSERT INTO push_delivery (execution_id, recipient, state, attempts, created_at, updated_at, sent_at)
    SELECT id, CASE WHEN n = 1 AND id % 10 = 0 THEN 'monitor@example.com'
                    ELSE 'r' || (id * 7 + n) % :people || '@example.com' END,
           CASE WHEN state = 'running' AND n > total / 2 THEN 'pending' WHEN n <= failed THEN 'failed' ELSE 'sent' END,
           1, created_at, created_at, created_at
    FROM push_execution, generate_series(1, total) AS n ORDER BY id, n
""")

_SPANS = text("""
    UPDATE push_execution AS e SET first_delivery = s.first, last_delivery = s.last
    FROM (SELECT execution_id, min(id) AS first, max(id) AS last FROM push_delivery GROUP BY 1) AS s
    WHERE e.id = s.execution_id
""")


class Size(NamedTuple):
    """How much there is.

    :param executions: of each ordinary task.
    :param each: deliveries of each of those.
    :param big: deliveries of the one execution of :data:`BIG`.
    :param busy: executions of :data:`BUSY`.
    """

    tasks: int
    executions: int
    each: int
    big: int
    busy: int

    @property
    def deliveries(self) -> int:
        """Of all executions."""
        return (self.tasks - 2) * self.executions * self.each + self.big + self.busy


FULL = Size(tasks=10_000, executions=6, each=10, big=200_000, busy=200_120)
SMALL = Size(tasks=1_000, executions=6, each=10, big=20_000, busy=20_120)


@contextmanager
def ledger() -> Iterator[Engine]:
    """An empty ledger on a PostgreSQL server of its own, with that server's own settings."""
    from sandbox.postgres import PostgresServer

    with tempfile.TemporaryDirectory(prefix="push-bench-") as folder:
        Path(folder).chmod(0o755)
        with PostgresServer(Path(folder) / "data") as server:
            server.create_database("push")
            engine = create_engine(server.url("push"))
            schema.migrate(engine)
            try:
                yield engine
            finally:
                engine.dispose()


def fill(engine: Engine, size: Size) -> None:
    """Fill an empty ledger; vacuumed and analysed, as PostgreSQL does by itself after a while."""
    spec = parse(
        {"name": "Crowd", "channel": "email", "subject": "Hello", "content": "x" * 500, "schedule": {"kind": "manual"}}
    )
    values = {
        "spec": json.dumps(spec.spec()),
        "tasks": size.tasks,
        "big": BIG,
        "busy": BUSY,
        "big_size": size.big,
        "busy_size": size.busy,
        "executions": size.executions,
        "each": size.each,
        "people": size.deliveries // 10,
    }
    with engine.begin() as connection:
        for statement in (_TASKS, _RECIPIENTS, _SNAPSHOT, _EXECUTIONS, _DELIVERIES, _SPANS):
            known = {name: value for name, value in values.items() if f":{name}" in statement.text}
            connection.execute(statement, known)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE push_task, push_recipient, push_list, push_execution, push_delivery"))


@contextmanager
def statements(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    """The statements that are executed within the block, with their parameters."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def seconds(call: Any) -> float:
    """How long a call takes; the best of three, for the first may read from disk."""
    taken = []
    for _ in range(3):
        begun = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begun)
    return min(taken)
