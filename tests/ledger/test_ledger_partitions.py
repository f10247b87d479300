"""Partitions of deliveries: made ahead, closed and dropped, while others send; and who looks at which of them."""

from __future__ import annotations

import re
import sys
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ledger_desk import CHANNEL, LOOP, Desk
from sqlalchemy import Engine, create_engine, text

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from benchmarks import crowd
from push_provider.channels.base import Fate, Receipt, Result
from push_provider.ledger import (
    acknowledgements,
    closing,
    deliveries,
    dropping,
    executions,
    known_addresses,
    partitions,
    planning,
    receipts,
    sending,
    spans,
    suppressions,
    tasks,
    writing,
)
from push_provider.ledger.engine import AS_WRITTEN
from push_provider.ledger.tables import PARTITION_IDS, DeliveryState
from push_provider.marks import read_receipt_mark, receipt_mark

if TYPE_CHECKING:
    from push_provider.ledger.plans import Plan
    from sandbox.postgres import PostgresServer

NOW = datetime.now(UTC)
SENT = (Result.SENT,) * 3
FAILED = (Result.FAILED,) * 3
DAY = timedelta(days=1)


@pytest.fixture
def desk(ledger: Engine) -> Desk:
    """In a ledger of its own."""
    desk = Desk(ledger)
    desk.apply(execution=LOOP, schedule={"kind": "manual"})
    return desk


def names(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return [one.name for one in partitions.partitions(connection)]


def tables(engine: Engine) -> set[str]:
    """Of partitions, those that are attached and those that are not."""
    query = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^push_delivery_[0-9]+$'"
    with engine.connect() as connection:
        return set(connection.scalars(text(query)))


def rows(engine: Engine, table: str) -> int:
    with engine.connect() as connection:
        return connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()


def close(engine: Engine) -> None:
    """Close the partition that is written to."""
    partitions.make_ahead(engine)
    assert partitions.rotate(engine, now=NOW, age=None, most=1) == 1
    assert partitions.make_ahead(engine) == 1


def drop(engine: Engine, limit: int = 1000) -> list[int]:
    """How many deliveries each portion has gone through, until nothing is left to drop."""
    done = []
    while count := partitions.drop_old(engine, limit):
        done.append(count)
    return done


def finish(desk: Desk, *results: Result) -> Plan:
    """An execution that has ended."""
    plan = desk.plan()
    desk.run(plan, *(results or SENT))
    return plan


def forget_executions(engine: Engine, patience: timedelta = DAY) -> None:
    """Drop all executions that have ended, as if they were old."""
    dropping.drop_old(engine, 10_000, before=NOW + DAY, patience=patience)


@contextmanager
def two_of_them(desk: Desk) -> Iterator[Plan]:
    """An execution whose deliveries are written while a partition is closed: they lie in two."""
    code = desk.code
    with desk.engine.begin() as connection:
        since = spans.begin(connection)
        row = tasks.locked(connection, code)
        read = planning.Frozen({"message": "Good day"}, None)
        number, _ = planning.reserve(connection, row, read, variables={}, total=0, source="manual", key="two")
        count = writing.write(connection, [(number, f"a{n}@example.com", {}) for n in range(3)])
        close(desk.engine)
        count += writing.write(connection, [(number, f"b{n}@example.com", {}) for n in range(3)])
        spans.note(connection, since, {number: count})
    yield desk.plan(key="two")


# --- making and closing -----------------------------------------------------------------------------------------


def test_the_next_one_is_made_ahead_once(ledger: Engine) -> None:
    assert names(ledger) == ["push_delivery_0", "push_delivery_1"]
    assert partitions.make_ahead(ledger) == 0
    with ledger.begin() as connection:
        connection.execute(text("DROP TABLE push_delivery_1"))
    assert partitions.make_ahead(ledger) == 1
    assert names(ledger) == ["push_delivery_0", "push_delivery_1"]
    with ledger.connect() as connection:
        query = "SELECT DISTINCT reloptions FROM pg_class WHERE relkind = 'r' AND relname LIKE 'push\\_delivery\\__'"
        assert connection.scalars(text(query)).all() == [["fillfactor=60"]]


def test_ids_that_have_been_used_up_to_the_end_go_on(desk: Desk) -> None:
    """It does not happen: a partition is closed long before. And if it does, it is no harm."""
    with desk.engine.begin() as connection:
        connection.execute(text("SELECT setval('push_delivery_id_seq', 999999999, false)"))
    plan = finish(desk)
    assert [row.id - PARTITION_IDS for row in desk.deliveries(plan)] == [-1, 0, 1]
    assert partitions.make_ahead(desk.engine) == 1
    assert names(desk.engine)[-1] == "push_delivery_2"


@pytest.mark.parametrize(
    ("planned", "later", "age", "most", "closed"),
    [
        (0, timedelta(), None, 1, 0),
        (0, 99 * DAY, DAY, 1, 0),  # nothing lies in it
        (1, timedelta(), None, 3, 1),
        (1, timedelta(), None, 4, 0),
        (2, timedelta(), None, 4, 1),
        (1, DAY, DAY, 100, 1),
        (1, DAY - timedelta(minutes=1), DAY, 100, 0),
        (1, 99 * DAY, None, 100, 0),
    ],
)
def test_when_one_is_closed(desk: Desk, planned: int, later: timedelta, age: Any, most: int, closed: int) -> None:
    with desk.engine.begin() as connection:
        connection.execute(text("UPDATE push_upkeep SET since = :now"), {"now": NOW})
    for number in range(1, 2 + closed):  # the second is as the first
        for _ in range(planned):
            desk.plan()
        moment = NOW + later * number
        assert partitions.rotate(desk.engine, now=moment, age=age, most=most) == closed
        assert partitions.rotate(desk.engine, now=moment, age=age, most=most) == 0
        assert partitions.make_ahead(desk.engine) == closed
    assert desk.deliveries(desk.plan())[0].id // PARTITION_IDS == 2 * closed


def test_none_is_closed_before_the_next_is_there(desk: Desk) -> None:
    desk.plan()
    with desk.engine.begin() as connection:
        connection.execute(text("DROP TABLE push_delivery_1"))
    assert partitions.rotate(desk.engine, now=NOW, age=None, most=1) == 0
    assert desk.states(desk.plan()) == ["pending"] * 3


def test_two_upkeeps_at_once(desk: Desk) -> None:
    finish(desk)
    close(desk.engine)
    forget_executions(desk.engine)
    desk.plan()
    calls: list[Callable[[], int]] = [
        lambda: partitions.make_ahead(desk.engine),
        lambda: partitions.rotate(desk.engine, now=NOW, age=None, most=1),
        lambda: partitions.drop_old(desk.engine, 10),
    ]
    with partitions._alone(desk.engine) as one:
        assert one is not None
        assert [call() for call in calls] == [0, 0, 0]
    assert [call() for call in calls] == [0, 1, 3]


def test_who_analyses_the_whole_and_how_often(ledger: Engine) -> None:
    moments = [NOW, NOW, NOW + timedelta(hours=23), NOW + DAY]
    assert [partitions.look(ledger, now=moment) for moment in moments] == [1, 0, 0, 1]


# --- an execution in two ----------------------------------------------------------------------------------------


def test_an_execution_in_two_is_sent_and_sent_again(desk: Desk) -> None:
    with two_of_them(desk) as plan:
        assert (plan.new, plan.total) == (False, 6)
        assert {row.id // PARTITION_IDS for row in desk.deliveries(plan)} == {0, 1}
        counts = desk.run(plan, *SENT, Result.FAILED, Result.SENT, Result.FAILED)
        assert (counts.total, counts.sent, counts.failed) == (6, 4, 2)
        assert deliveries.count(desk.engine, cap=100, execution=plan.id) == 6
        assert [row.recipient for row in deliveries.troubled(desk.engine, plan.id, limit=10)] == [
            "b0@example.com",
            "b2@example.com",
        ]
        sending.prepare_redrive(desk.engine, plan.id, unknown=None)
        counts = desk.run(plan, Result.SENT, Result.SENT)
        assert (counts.total, counts.sent, counts.failed) == (6, 6, 0)
        with deliveries.Stream(desk.engine, task=desk.code) as stream:
            assert [row for some in stream for row in some] == desk.deliveries(plan)[::-1]


def test_an_execution_in_two_is_cancelled_and_closed(desk: Desk) -> None:
    with two_of_them(desk) as plan:
        with desk.sending(plan):
            desk.record(plan, desk.claim(plan, 2), Result.SENT, Result.SENT)
            assert tasks.cancel(desk.engine, desk.code) == 4
            counts = closing.finish(desk.engine, plan.id, final=True)
        assert (counts.sent, counts.cancelled) == (2, 4)


def test_an_execution_in_two_keeps_both(desk: Desk) -> None:
    with two_of_them(desk) as plan:
        desk.run(plan, *[Result.SENT] * 6)
        finish(desk)
        close(desk.engine)
        assert drop(desk.engine) == []
        forget_executions(desk.engine)
        assert drop(desk.engine) == [3, 6]
        assert rows(desk.engine, "push_dropped") == 0


def test_what_kafka_adds_to_an_execution_in_the_next_is_its_too(desk: Desk) -> None:
    plan = desk.plan()
    close(desk.engine)
    with desk.engine.begin() as connection:
        since = spans.begin(connection)
        spans.note(connection, since, {plan.id: writing.write(connection, [(plan.id, "late@example.com", {})])})
    assert desk.run(plan, *SENT, Result.SENT).total == 4


def test_executions_of_one_batch_have_each_their_own_span(desk: Desk) -> None:
    """Else whoever asks for the deliveries of one would read those of all."""
    with desk.engine.begin() as connection:
        since = spans.begin(connection)
        row = tasks.locked(connection, desk.code)
        numbers = [
            planning.reserve(
                connection, row, planning.Frozen({}, None), variables={}, total=0, source="kafka", key=key
            )[0]
            for key in ("one", "two", "three")
        ]
        writing.write(connection, [(number, f"{number}@example.com", {}) for number in numbers for _ in range(10)])
        spans.note(connection, since, dict.fromkeys(numbers, 10))
        ends = "SELECT first_delivery, last_delivery FROM push_execution WHERE id = ANY(:ids) ORDER BY id"
        own = (
            "SELECT min(id), max(id) FROM push_delivery WHERE execution_id = ANY(:ids) GROUP BY execution_id ORDER BY 1"
        )
        noted, true = (connection.execute(text(query), {"ids": numbers}).all() for query in (ends, own))
    assert noted == true
    assert {last - first for first, last in true} == {9}


def test_an_execution_of_which_nobody_noted_where_it_lies_is_found(desk: Desk) -> None:
    """A process of the version before has planned it, after the tables were migrated."""
    plan = desk.plan()
    close(desk.engine)
    with desk.engine.begin() as connection:
        connection.execute(text("UPDATE push_execution SET first_delivery = NULL, last_delivery = NULL"))
    assert desk.run(plan, *FAILED).failed == 3
    assert drop(desk.engine) == []
    assert desk.states(plan) == ["failed"] * 3


# --- dropping ---------------------------------------------------------------------------------------------------


def test_one_is_dropped_when_nothing_of_it_lives(desk: Desk) -> None:
    old, other = finish(desk), finish(desk)
    close(desk.engine)
    new = finish(desk)
    assert drop(desk.engine) == []
    with desk.engine.begin() as connection:
        connection.execute(text("UPDATE push_execution SET finished_at = NULL WHERE id = :id"), {"id": other.id})
    forget_executions(desk.engine)  # the new one, too: but into its partition others write
    assert {row.id for row in executions.find(desk.engine)} == {other.id}
    assert drop(desk.engine) == []
    assert dropping.clear(desk.engine, 100) == 0
    assert rows(desk.engine, "push_delivery") == 9
    assert desk.run(other, final=True).sent == 3  # it lives, and as well as before
    forget_executions(desk.engine)
    assert drop(desk.engine, 4) == [4, 2]
    assert tables(desk.engine) == {"push_delivery_1", "push_delivery_2"}
    with desk.engine.connect() as connection:
        assert connection.scalars(text("SELECT execution_id FROM push_dropped")).all() == [new.id]
    assert old.id not in {row.id for row in executions.find(desk.engine)}
    assert finish(desk).total == 3


def test_one_in_which_nothing_lies_any_more_is_dropped(desk: Desk) -> None:
    finish(desk)
    close(desk.engine)
    tasks.delete(desk.engine, desk.code, purge=True)
    assert dropping.clear(desk.engine, 100) == 3
    assert drop(desk.engine) == []
    assert tables(desk.engine) == {"push_delivery_1", "push_delivery_2"}


def test_a_copy_that_somebody_keeps_is_no_partition(desk: Desk) -> None:
    copies = {"push_delivery_20261130", "push_delivery_2"}
    with desk.engine.begin() as connection:
        for name in copies - tables(desk.engine):
            connection.execute(text(f"CREATE TABLE {name} AS SELECT * FROM push_delivery"))
    there = tables(desk.engine)
    assert drop(desk.engine) == []
    assert tables(desk.engine) == there >= copies


def test_a_purge_waits_for_no_partition(desk: Desk) -> None:
    finish(desk)
    other = Desk(desk.engine)
    other.apply()
    plan = finish(other)
    close(desk.engine)
    tasks.delete(desk.engine, desk.code, purge=True)
    assert dropping.clear(desk.engine, 100) == 3
    assert other.states(plan) == ["sent"] * 3
    assert rows(desk.engine, "push_dropped") == 0


def test_what_waits_in_vain_is_deleted(desk: Desk) -> None:
    plan = finish(desk)
    forget_executions(desk.engine)
    assert dropping.clear(desk.engine, 100) == 0
    with desk.engine.begin() as connection:
        connection.execute(text("UPDATE push_dropped SET due = now() - interval '1 second'"))
    assert dropping.clear(desk.engine, 100) == 3
    assert desk.states(plan) == []
    assert rows(desk.engine, "push_dropped") == rows(desk.engine, "push_delivery") == 0


@pytest.mark.slow
def test_what_is_being_planned_is_waited_for(desk: Desk) -> None:
    """It lies in a partition that is closed meanwhile, and nobody sees it yet."""
    with desk.engine.begin() as connection:
        planning.begin_within(
            connection, desk.code, source="manual", key="slow", freeze=lambda _: {"message": "Good day"}
        )
        close(desk.engine)
        assert drop(desk.engine) == []
    assert drop(desk.engine) == []
    plan = desk.plan(key="slow")
    assert desk.run(plan, *SENT).sent == 3


def test_addresses_are_forgotten_that_no_other_delivery_has(desk: Desk) -> None:
    finish(desk)
    close(desk.engine)
    other = Desk(desk.engine)
    other.apply(recipients=["b@example.com"])
    other.plan()
    with desk.engine.begin() as connection:
        connection.execute(text("UPDATE push_delivery SET created_at = created_at - interval '11 minutes'"))
    assert known_addresses.note(desk.engine, 100) == 4  # from one partition to the next in one go
    forget_executions(desk.engine)
    assert drop(desk.engine, 2) == [2, 1]
    with desk.engine.connect() as connection:
        assert connection.scalars(text("SELECT address FROM push_address")).all() == ["b@example.com"]
    assert [row.recipient for row in deliveries.find(desk.engine, search="example")] == ["b@example.com"]


@pytest.mark.parametrize("done", ["detached", "walked"])
def test_a_drop_that_was_broken_off_is_gone_on_with(desk: Desk, done: str) -> None:
    finish(desk)
    close(desk.engine)
    finish(desk)
    close(desk.engine)
    forget_executions(desk.engine)
    if done == "walked":
        assert partitions.drop_old(desk.engine, 2) == 2
    else:
        with desk.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("ALTER TABLE push_delivery DETACH PARTITION push_delivery_0 CONCURRENTLY"))
    assert names(desk.engine)[0] == "push_delivery_1"
    assert "push_delivery_0" in tables(desk.engine)
    assert drop(desk.engine) == ([1, 3] if done == "walked" else [3, 3])
    assert tables(desk.engine) == {"push_delivery_2", "push_delivery_3"}
    assert rows(desk.engine, "push_dropped") == 0


@pytest.mark.slow
def test_a_detachment_waits_for_no_transaction_for_ever(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "_PATIENCE", 0.5)
    finish(desk)
    close(desk.engine)
    forget_executions(desk.engine)
    with desk.engine.connect() as reader:
        reader.execute(text("SELECT count(*) FROM push_delivery"))
        assert partitions.drop_old(desk.engine, 10) == 0
        assert partitions.drop_old(desk.engine, 10) == 0
        assert finish(desk).total == 3  # nobody else waits
        assert partitions.make_ahead(desk.engine) == 0
        assert rows(desk.engine, "push_delivery") == 3
    assert drop(desk.engine) == [3]
    assert tables(desk.engine) == {"push_delivery_1", "push_delivery_2"}


@pytest.mark.slow
def test_sending_goes_on_while_partitions_are_made_closed_and_dropped(desk: Desk) -> None:
    """Whoever sends and has to wait for a lock for longer than 100 ms fails here."""
    limited = create_engine(desk.engine.url, connect_args={"options": "-c lock_timeout=1s"}, **AS_WRITTEN)
    sender = Desk(limited)
    sender.apply(execution=LOOP, recipients=[f"r{n}@example.com" for n in range(40)], schedule={"kind": "manual"})
    over, faults, sent = threading.Event(), [], []

    def send() -> None:
        try:
            while not over.is_set():
                plan = sender.plan()
                with sender.sending(plan):
                    while claimed := sender.claim(plan, 5):
                        sender.record(plan, claimed, *[Result.SENT] * len(claimed))
                    sent.append(closing.finish(limited, plan.id, final=True).sent)
        except Exception as error:  # noqa: BLE001  (the test tells of it)
            faults.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    gone = 0
    try:
        for _ in range(8):
            before = len(sent)
            while len(sent) < before + 2 and not faults:
                over.wait(0.01)
            partitions.make_ahead(desk.engine)
            partitions.rotate(desk.engine, now=NOW, age=None, most=1)
            forget_executions(desk.engine)
            gone += sum(drop(desk.engine))
            partitions.look(desk.engine, now=datetime.now(UTC))
    finally:
        over.set()
        thread.join(30)
        limited.dispose()
    assert faults == []
    assert set(sent) == {40}
    assert gone > 0


# --- who looks at which -----------------------------------------------------------------------------------------

PLACES = 6
_PADDING = text("""
    WITH planned AS (
        INSERT INTO push_snapshot (digest, task, templates) VALUES (convert_to(CAST(:code AS text), 'UTF8'), '{}', '{}')
        RETURNING id),
    made AS (
        INSERT INTO push_execution (task_code, number, source, snapshot_id, state, total, sent, failed, created_at,
                                    started_at, finished_at)
        SELECT :code, :from + n, 'rest', (SELECT id FROM planned), 'partial', 20, 19, 1, now(), now(), now()
        FROM generate_series(1, 200) AS n RETURNING id)
    INSERT INTO push_delivery (execution_id, recipient, state)
    SELECT id, 'r' || n || '-' || id % 100 || '@example.com', CASE n WHEN 1 THEN 'failed' ELSE 'sent' END
    FROM made, generate_series(1, 20) AS n ORDER BY id, n
""")
_SPANS = text("""
    UPDATE push_execution AS e SET first_delivery = s.first, last_delivery = s.last
    FROM (SELECT execution_id, min(id) AS first, max(id) AS last FROM push_delivery GROUP BY 1) AS s
    WHERE e.id = s.execution_id
""")


@pytest.fixture(scope="module")
def parted(postgres: PostgresServer, _migrated: str) -> Iterator[tuple[Engine, Desk, list[Plan]]]:
    """A ledger with six partitions and much in each: with an execution in each that failed."""
    import psycopg

    name = f"parted_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(host=str(postgres.socket), user="postgres", dbname="postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {_migrated}")
    engine = create_engine(postgres.url(name), **AS_WRITTEN)
    desk = Desk(engine)
    desk.apply(execution=LOOP, schedule={"kind": "manual"})
    plans = []
    for number in range(PLACES):
        padding = Desk(engine)
        padding.apply()
        with engine.begin() as connection:
            connection.execute(_PADDING, {"code": padding.code, "from": 1})
        plans.append(finish(desk, *FAILED))
        if number < PLACES - 1:
            close(engine)
    with engine.begin() as connection:
        connection.execute(_SPANS)
        connection.execute(text("UPDATE push_delivery SET created_at = created_at - interval '11 minutes'"))
    while known_addresses.note(engine, 20_000):
        pass
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE push_delivery, push_execution, push_task, push_address"))
    yield engine, desk, plans
    engine.dispose()


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What PostgreSQL has done of a plan."""
    if plan.get("Actual Loops", 0):
        yield plan
        for one in plan.get("Plans", []):
            yield from nodes(one)


def done(engine: Engine, call: Callable[[], Any]) -> list[dict[str, Any]]:
    """What PostgreSQL does for a call; changes are made once more, and taken back."""
    with crowd.statements(engine) as seen:
        call()
    found = []
    for statement, parameters in seen:
        if "push_delivery" not in re.sub("push_delivery_id_seq", "", statement):
            continue
        with engine.connect() as connection:
            cursor = connection.connection.cursor()
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
            (plan,) = cursor.fetchone()
            found += list(nodes(plan[0]["Plan"]))
    return found


def places(some: Iterable[dict[str, Any]]) -> set[int]:
    """Numbers of the partitions that nodes are of."""
    named = [str(node.get("Relation Name", "")) for node in some]
    return {int(name.removeprefix("push_delivery_")) for name in named if re.fullmatch(r"push_delivery_\d+", name)}


def looked_at(engine: Engine, call: Callable[[], Any]) -> set[int]:
    """Numbers of partitions that PostgreSQL looks at for a call."""
    return places(done(engine, call))


def read_whole(engine: Engine, call: Callable[[], Any]) -> set[int]:
    """Numbers of partitions that PostgreSQL reads from end to end for a call; but for the last, which is empty."""
    return places(node for node in done(engine, call) if node["Node Type"] == "Seq Scan") - {PLACES}


@pytest.mark.parametrize("place", [0, 2, PLACES - 1])
def test_what_is_done_with_an_execution_looks_at_its_partition_alone(
    parted: tuple[Engine, Desk, list[Plan]], place: int
) -> None:
    engine, desk, plans = parted
    plan = plans[place]
    ids = [row.id for row in desk.deliveries(plan)]
    marks = [mark for one in ids[:2] if (mark := read_receipt_mark(receipt_mark(plan.token, one)))]

    def try_again() -> None:
        sending.prepare_redrive(engine, plan.id, unknown=None)
        with desk.sending(plan) as lease:
            claimed = sending.claim(lease, 1, receipt_after=1)
            desk.record(plan, claimed, Result.SENT)
            more = sending.record_and_claim(lease, [], 2, after=claimed[-1].id, unheard=True)
            desk.record(plan, more, Result.SENT, Result.FAILED)
            sending.pending(engine, plan.id)
            sending.fail_pending(lease, code="no", reason="no")
            closing.finish(engine, plan.id, final=True)

    assert looked_at(engine, try_again) == {place}
    calls: list[Callable[[], Any]] = [
        lambda: deliveries.find(engine, execution=plan.id, limit=10),
        lambda: deliveries.find(engine, execution=plan.id, state="failed", limit=10),
        lambda: deliveries.count(engine, cap=100, execution=plan.id),
        lambda: deliveries.troubled(engine, plan.id, limit=10),
        lambda: list(deliveries.Stream(engine, execution=plan.id)),
        lambda: acknowledgements.take(engine, marks, channels={CHANNEL}, now=NOW),
    ]
    for call in calls:
        assert looked_at(engine, call) == {place}
    assert looked_at(engine, lambda: suppressions.failed(engine, plan.id)) <= {place}


def test_what_is_done_with_receipts_looks_at_their_partition(parted: tuple[Engine, Desk, list[Plan]]) -> None:
    engine, desk, plans = parted
    plan = plans[3]
    with desk.sending(plan) as lease:
        claimed = sending.claim(lease, 5, receipt_after=1)
        desk.record(plan, claimed, *[Result.SENT] * len(claimed))
        closing.finish(engine, plan.id, final=True)
    due = [one for one in receipts.claim_due(engine, 100, now=NOW + DAY) if one.execution == plan.id]
    assert due
    some = [Receipt(one.question.id, Fate.DELIVERED, None, None, None) for one in due]
    assert looked_at(engine, lambda: receipts.settle(engine, due, some, now=NOW + DAY, patience=9 * DAY)) == {3}


def test_planning_looks_at_none_that_is_closed(parted: tuple[Engine, Desk, list[Plan]]) -> None:
    engine, desk, _ = parted
    assert looked_at(engine, desk.plan) <= {PLACES - 1, PLACES}
    assert looked_at(engine, lambda: tasks.cancel(engine, desk.code)) <= {PLACES - 1}


LISTS: dict[str, dict[str, Any]] = {
    "all": {},
    "a recipient": {"recipient": "r7-77@example.com"},
    "part of an address": {"search": "7-77@"},
    "failed": {"state": "failed"},
    "sent": {"state": "sent"},
    "pending": {"state": "pending"},
    "failed of a recipient": {"recipient": "r1-77@example.com", "state": "failed"},
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_over_all_partitions_read_none_from_end_to_end(
    parted: tuple[Engine, Desk, list[Plan]], name: str
) -> None:
    engine, _, _ = parted
    calls: list[Callable[[], Any]] = [
        lambda: deliveries.find(engine, limit=50, **LISTS[name]),
        lambda: deliveries.count(engine, cap=50, **LISTS[name]),
        lambda: deliveries.Stream(engine, **LISTS[name]).read(),
    ]
    for call in calls:
        assert read_whole(engine, call) == set()


def test_lists_over_all_partitions_are_whole_and_in_order(parted: tuple[Engine, Desk, list[Plan]]) -> None:
    engine, _, _ = parted
    found = deliveries.find(engine, recipient="r7-77@example.com", limit=1000)
    assert {row.id // PARTITION_IDS for row in found} == set(range(PLACES))
    assert [row.id for row in found] == sorted((row.id for row in found), reverse=True)
    assert len(found) == deliveries.count(engine, cap=1000, recipient="r7-77@example.com") == 2 * PLACES
    assert deliveries.find(engine, search="r7-77@", limit=1000) == found
    assert all(row.state is DeliveryState.SENT for row in found)


def test_addresses_are_gone_through_over_all_gaps_at_once(parted: tuple[Engine, Desk, list[Plan]]) -> None:
    engine, _, _ = parted
    with engine.begin() as connection:
        connection.execute(text("UPDATE push_upkeep SET position = 100 WHERE what = 'addresses'"))
    assert read_whole(engine, lambda: known_addresses.note(engine, 20_000)) == set()
