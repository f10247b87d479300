"""Lists look at no more rows than they show, whatever is asked for: by PostgreSQL's own account of its work."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine, create_engine, text

# The crowd is that of ./scripts/bench rest, a tenth of it.
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from benchmarks import crowd
from push_provider.ledger import answers, deliveries, executions, known_addresses, rejected, stats, task_lists
from push_provider.ledger.tables import DeliveryState

if TYPE_CHECKING:
    from ledger_desk import Desk

    from sandbox.postgres import PostgresServer

NOW = datetime.now(UTC)
OLD = NOW - timedelta(days=19)
CAP = 1001
PAGES = 1500
"""8 KiB pages of memory that a list may look at: 100 deliveries a page makes thousands of a whole table."""
FEW = 60
"""The same of what an index finds alone; the whole of the smallest table here is 140."""


@pytest.fixture(scope="module")
def crowded(postgres: PostgresServer, _migrated: str) -> Iterator[Engine]:
    import psycopg

    name = f"crowd_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(host=str(postgres.socket), user="postgres", dbname="postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {_migrated}")
    engine = create_engine(postgres.url(name))
    crowd.fill(engine, crowd.SMALL)
    with engine.begin() as connection:
        connection.execute(_ANSWERS)
        connection.execute(_REJECTED)
    while known_addresses.note(engine, 20_000):
        pass
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE push_answer, push_rejected, push_address"))
    yield engine
    engine.dispose()


_ANSWERS = text("""
    INSERT INTO push_answer (caller, call, key, fingerprint, answer)
    SELECT 'ann', 'POST', n, '', jsonb_build_object(CASE n % 2 WHEN 0 THEN 'task' ELSE 'code' END, 'crowd-' || n % 1000,
                                                    'padding', repeat('x', 200))
    FROM generate_series(1, 5000) AS n
""")
_REJECTED = text("""
    INSERT INTO push_rejected (position, topic, partition, "offset", task_code, value, reason, replayed_at)
    SELECT gen_random_uuid(), 'task.push.info', 0, n, 'crowd-' || n % 1000, CAST(repeat('x', 200) AS bytea), 'no',
           CASE WHEN n > 50 THEN now() END
    FROM generate_series(1, 5000) AS n
""")
MANY = frozenset(f"crowd-{number}" for number in range(0, 1000, 2))
EXECUTIONS: dict[str, dict[str, Any]] = {
    "all": {},
    "a task": {"task": "crowd-77"},
    "a busy task": {"task": crowd.BUSY},
    "a state": {"state": "partial"},
    "a state that none has": {"state": "planned"},
    "what failed of a busy task": {"task": crowd.BUSY, "state": "partial"},
    "since": {"begun_from": NOW - timedelta(hours=3)},
    "until": {"begun_to": OLD},
    "a few tasks": {"codes": {"crowd-5", "crowd-9"}},
    "many tasks": {"codes": MANY},
}
RARE: dict[str, dict[str, Any]] = {
    "a source that none has": {"source": "kafka"},
    "a rare source": {"source": "manual"},
    "a rare source of a busy task": {"task": crowd.BUSY, "source": "manual"},
    "a rare source of an ordinary task": {"task": "crowd-77", "source": "manual"},
    "a rare source of many tasks": {"codes": MANY, "source": "manual"},
    "a rare source with a state": {"source": "manual", "state": "succeeded"},
    "a rare source until": {"source": "manual", "begun_to": OLD},
    "a rare state of a busy task": {"task": crowd.BUSY, "state": "partial"},
}
TASKS: dict[str, dict[str, Any]] = {
    "all": {},
    "a channel": {"channel": "email"},
    "a channel that none has": {"channel": "sms"},
    "a type that none has": {"execution_type": "often"},
    "an application that none has": {"app": "nobody"},
    "an owner": {"owner": "owner-7"},
    "an owner that none has": {"owner": "nobody"},
    "a sender": {"sender": ["account-7"]},
    "a sender that none has": {"sender": ["nobody"]},
    "the default sender of a channel that none has": {"sender": ["nobody"], "default_of": ["sms"]},
    "a few": {"codes": {"crowd-5", "crowd-9"}},
    "a recipient": {"recipient": "r77@example.com"},
    "part of a recipient": {"search": "R77@exam"},
    "part of all recipients": {"search": "@example.com"},
    "part of a name": {"search": "no. 777"},
    "part of nothing": {"search": "no such thing"},
    "part of a sender": {"search": "shop@", "search_senders": ["account-7"]},
}
DELIVERIES: dict[str, dict[str, Any]] = {
    **{name: filters for name, filters in EXECUTIONS.items() if "state" not in filters},
    "a big task": {"task": crowd.BIG},
    "a recipient": {"recipient": "r77@example.com"},
    "a recipient of many": {"recipient": "monitor@example.com"},
    "part of an address": {"search": "R77@exam"},
    "part of the address of many": {"search": "monitor"},
    "part of an address of a task": {"search": "r77@", "task": "crowd-77"},
    "part of no address": {"search": "no such thing"},
    **{state: {"state": state} for state in DeliveryState},
    "failed of a task": {"task": "crowd-77", "state": "failed"},
    "failed of a big task": {"task": crowd.BIG, "state": "failed"},
    "failed of a busy task": {"task": crowd.BUSY, "state": "failed"},
    "unknown of a busy task": {"task": crowd.BUSY, "state": "unknown"},
    "pending of a big task": {"task": crowd.BIG, "state": "pending"},
    "failed within days": {"begun_from": OLD - timedelta(days=3), "begun_to": OLD, "state": "failed"},
    "sent until": {"begun_to": OLD, "state": "sent"},
    "failed of a few tasks": {"codes": {"crowd-37", "crowd-9"}, "state": "failed"},
}


def pages_read(engine: Engine, call: Any) -> int:
    """Pages that PostgreSQL looks at for a call; most of them for a plan that reads all of a table."""
    with crowd.statements(engine) as seen:
        call()
    total = 0
    for statement, parameters in seen:
        with engine.connect() as connection:
            cursor = connection.connection.cursor()
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters)
            (found,) = cursor.fetchone()
        plan = found[0]["Plan"]
        total += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    assert total, "nothing was asked"
    return total


@pytest.mark.parametrize("name", EXECUTIONS)
def test_executions(crowded: Engine, name: str) -> None:
    filters = EXECUTIONS[name]
    assert pages_read(crowded, lambda: executions.find(crowded, limit=100, **filters)) < PAGES
    assert pages_read(crowded, lambda: executions.count(crowded, cap=CAP, **filters)) < PAGES


@pytest.mark.parametrize("name", RARE)
def test_rare_executions(crowded: Engine, name: str) -> None:
    filters = RARE[name]
    assert pages_read(crowded, lambda: executions.find(crowded, limit=100, **filters)) < FEW
    assert pages_read(crowded, lambda: executions.count(crowded, cap=CAP, **filters)) < FEW


_MORE_EXECUTIONS = text("""
    INSERT INTO push_execution (task_code, number, source, snapshot_id, total)
    SELECT 'crowd-3', n, 'kafka', (SELECT max(id) FROM push_snapshot), 50000 FROM generate_series(10, 14) AS n
""")
_MORE_DELIVERIES = text("""
    INSERT INTO push_delivery (execution_id, recipient)
    SELECT id, 'r' || n || '@x.example' FROM push_execution, generate_series(1, 50000) AS n WHERE number >= 10
""")


@pytest.mark.slow
def test_deliveries_that_have_come_since_the_planner_looked(ledger: Engine) -> None:
    """Many for one task: each execution's are taken to lie everywhere in the table, and all of it would be read."""
    crowd.fill(ledger, crowd.Size(tasks=3, executions=1, each=1, big=50_000, busy=2))
    with ledger.begin() as connection:
        connection.execute(_MORE_EXECUTIONS)
        connection.execute(_MORE_DELIVERIES)
    for _ in range(2):  # as while it is sent: each row moves about
        with ledger.begin() as connection:
            connection.execute(text("UPDATE push_delivery SET attempts = attempts + 1, error_text = repeat('x', 100)"))
    with ledger.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE push_delivery"))
    assert pages_read(ledger, lambda: deliveries.find(ledger, limit=20)) < FEW
    assert pages_read(ledger, lambda: deliveries.count(ledger, cap=CAP)) < PAGES


def test_deliveries_of_small_executions_after_a_large_one(ledger: Engine) -> None:
    """To the planner the large one is all that there is, and its index no help."""
    crowd.fill(ledger, crowd.Size(tasks=3, executions=1, each=1, big=50_000, busy=20))
    with ledger.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(
            text("DELETE FROM push_delivery USING push_execution AS e WHERE execution_id = e.id AND total < 9")
        )
        connection.execute(text("VACUUM ANALYZE push_delivery"))
        connection.execute(
            text("INSERT INTO push_delivery (execution_id, recipient) SELECT id, 'a@x.example' FROM push_execution")
        )
    assert pages_read(ledger, lambda: deliveries.find(ledger, limit=15)) < FEW
    assert pages_read(ledger, lambda: deliveries.count(ledger, cap=15)) < PAGES


@pytest.mark.slow
def test_the_few_that_are_sent_where_all_others_were_confirmed(ledger: Engine) -> None:
    """What has arrived is counted as sent, too, and is not what is looked for."""
    crowd.fill(ledger, crowd.Size(tasks=300, executions=6, each=10, big=2_000, busy=2_000))
    with ledger.begin() as connection:
        connection.execute(text("UPDATE push_delivery SET state = 'delivered' WHERE state = 'sent' AND id > 9"))
        connection.execute(_CONFIRMED)
    with ledger.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM FULL ANALYZE push_delivery, push_execution"))
    wanted = {"state": DeliveryState.SENT}
    assert pages_read(ledger, lambda: deliveries.find(ledger, limit=20, **wanted)) < 3 * FEW
    assert pages_read(ledger, lambda: deliveries.count(ledger, cap=CAP, **wanted)) < 3 * FEW
    assert deliveries.count(ledger, cap=CAP, **wanted) == 9


_CONFIRMED = text("""
    UPDATE push_execution AS e SET finished_at = now(), delivered = sent - n
    FROM (SELECT execution_id, count(*) FILTER (WHERE state = 'sent') AS n FROM push_delivery GROUP BY 1) AS s
    WHERE s.execution_id = e.id
""")


@pytest.mark.parametrize("name", TASKS)
def test_tasks(crowded: Engine, name: str) -> None:
    filters = TASKS[name]
    assert pages_read(crowded, lambda: task_lists.find(crowded, limit=20, **filters)) < FEW
    assert pages_read(crowded, lambda: task_lists.count(crowded, cap=100, **filters)) < FEW


@pytest.mark.parametrize("order", ["created_at", "-created_at", "name", "-name", "code", "-code"])
def test_a_page_of_ordered_tasks(crowded: Engine, order: str) -> None:
    assert pages_read(crowded, lambda: task_lists.find(crowded, limit=20, order_by=order)) < FEW


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, 20),
        ({"replayed": True}, 20),
        ({"replayed": None}, 20),
        ({"task": "crowd-7"}, 1),
        ({"task": "crowd-7", "replayed": True}, 4),
        ({"task": "crowd-7", "replayed": None}, 5),
        ({"codes": {"crowd-7", "crowd-8"}, "replayed": None}, 10),
        ({"rejected_from": OLD, "rejected_to": NOW - timedelta(days=1), "replayed": None}, 0),
        ({"rejected_from": NOW + timedelta(days=1)}, 0),
        ({"rejected_to": OLD}, 0),
        ({"rejected_from": NOW - timedelta(days=1), "replayed": None}, 20),
    ],
)
def test_rejected_messages(crowded: Engine, filters: dict[str, Any], found: int) -> None:
    rows = rejected.find(crowded, limit=20, **filters)
    assert len(rows) == found
    assert [row.id for row in rows] == sorted((row.id for row in rows), reverse=True)
    assert rejected.count(crowded, cap=20, **filters) == found
    assert pages_read(crowded, lambda: rejected.find(crowded, limit=20, **filters)) < FEW
    assert pages_read(crowded, lambda: rejected.count(crowded, cap=20, **filters)) < FEW


@pytest.mark.parametrize("filters", [{"codes": {"crowd-7", "crowd-8"}, "task": "crowd-9"}, {"codes": frozenset()}])
def test_rejected_messages_that_nobody_may_see(crowded: Engine, filters: dict[str, Any]) -> None:
    assert rejected.find(crowded, replayed=None, **filters) == []
    assert rejected.count(crowded, cap=20, replayed=None, **filters) == 0


@pytest.mark.parametrize("code", ["crowd-7", "crowd-8", "nobody"])
def test_answers_are_forgotten_by_their_task(crowded: Engine, code: str) -> None:
    def forget() -> None:
        with crowded.connect() as connection:  # and rolled back
            answers.forget(connection, code)

    with crowded.connect() as connection:
        answers.forget(connection, code)
        left = connection.execute(text("SELECT count(*) FROM push_answer")).scalar_one()
    assert left == (5000 if code == "nobody" else 4995)
    assert pages_read(crowded, forget) < FEW


@pytest.mark.parametrize("name", DELIVERIES)
def test_deliveries(crowded: Engine, name: str) -> None:
    filters = DELIVERIES[name]
    # What is being sent at this moment is looked for in every execution that is under way.
    allowed = 5 * PAGES if name == "sending" else PAGES
    assert pages_read(crowded, lambda: deliveries.find(crowded, limit=100, **filters)) < allowed
    assert pages_read(crowded, lambda: deliveries.count(crowded, cap=CAP, **filters)) < 5 * PAGES


def test_a_table_read_from_end_to_end_would_be_noticed(crowded: Engine) -> None:
    def everything() -> None:
        with crowded.connect() as connection:
            connection.execute(text("SELECT count(*) FROM push_delivery WHERE attempts > 5")).scalar()

    assert pages_read(crowded, everything) > PAGES


@pytest.mark.parametrize("name", DELIVERIES)
def test_pages_count_and_stream_agree(crowded: Engine, name: str) -> None:
    filters = DELIVERIES[name]
    counted = deliveries.count(crowded, cap=500, **filters)
    first, second = (deliveries.find(crowded, limit=300, offset=offset, **filters) for offset in (0, 300))
    assert len(first) + len(second) == min(600, counted) or counted == 500
    ids = [row.id for row in first + second]
    assert len(set(ids)) == len(ids)
    if counted < 500:
        with deliveries.Stream(crowded, **filters) as stream:
            assert sorted(row.id for rows in stream for row in rows) == sorted(ids)


def test_a_search_for_a_recipient_uses_its_index(crowded: Engine) -> None:
    assert [item.code for item in task_lists.find(crowded, recipient="r77@example.com")] == ["crowd-77"]
    assert pages_read(crowded, lambda: task_lists.find(crowded, recipient="r77@example.com")) < 50
    assert pages_read(crowded, lambda: task_lists.count(crowded, cap=CAP, recipient="r77@example.com")) < 50


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("r777@", {"crowd-777"}),
        ("CROWD-777", {"crowd-777"}),
        ("no. 777", {"crowd-777"}),
        ("77@example.com", {f"crowd-{n}" for n in range(1, 1001) if n % 100 == 77}),
        ("%", set()),
        ("_", set()),
        ("/", set()),
        ('["', set()),
    ],
)
@pytest.mark.parametrize("few", [1000, 5])
def test_what_a_search_finds(
    crowded: Engine, text: str, found: set[str], few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is part of few addresses or of many."""
    monkeypatch.setattr(task_lists, "_FEW", few)
    assert {item.code for item in task_lists.find(crowded, search=text)} == found
    assert task_lists.count(crowded, cap=CAP, search=text) == len(found)


def test_what_changes_with_each_execution_touches_no_index_of_tasks(crowded: Engine) -> None:
    """PostgreSQL rewrites a task's row in place (HOT)."""
    with crowded.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM push_task"))

        def updates() -> Any:
            connection.execute(text("SELECT pg_stat_force_next_flush()"))
            query = text("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'push_task'")
            return connection.execute(query).one()

        before = updates()
        for number in range(20):
            connection.execute(
                text("UPDATE push_task SET executions = :n, last_execution_at = now() WHERE code = 'crowd-7'"),
                {"n": number},
            )
        after = updates()
    assert after.n_tup_upd - before.n_tup_upd == 20
    assert after.n_tup_hot_upd - before.n_tup_hot_upd >= 18


def test_what_changes_in_a_task_leaves_the_addresses_of_its_list_alone(desk: Desk) -> None:
    """Also what has all of its index entries written anew, as anything has in a page that is full."""
    desk.apply(recipients=[f"x{n}@many.example" for n in range(20_000)])

    def rename() -> None:
        with desk.engine.begin() as connection:
            connection.execute(text("UPDATE push_task SET name = name || 'x' WHERE code = :code"), {"code": desk.code})

    assert pages_read(desk.engine, rename) < PAGES / 2


def test_statistics_of_a_day_read_that_day(crowded: Engine) -> None:
    day = {"begun_from": NOW - timedelta(days=1), "begun_to": NOW}
    rows = stats.hourly(crowded, **day)
    assert sum(row.executions for row in rows) == executions.count(crowded, cap=100_000, **day)
    assert pages_read(crowded, lambda: stats.hourly(crowded, **day)) < PAGES


def test_sending_touches_no_index(crowded: Engine) -> None:
    """The column ``notable`` stays as it is on the way to sent, so that PostgreSQL rewrites rows in place (HOT)."""
    query = text("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'push_delivery_0'")
    with crowded.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SELECT pg_stat_force_next_flush()"))
        before = connection.execute(query).one()
        chosen = "id = ANY (ARRAY(SELECT id FROM push_delivery WHERE state = 'pending' ORDER BY id LIMIT 50))"
        connection.execute(text(f"UPDATE push_delivery SET state = 'sending' WHERE {chosen}"))
        connection.execute(text("SELECT pg_stat_force_next_flush()"))
        after = connection.execute(query).one()
    assert after.n_tup_upd - before.n_tup_upd == 50
    assert after.n_tup_hot_upd - before.n_tup_hot_upd >= 40
