"""Executions leave the ledger at once, their deliveries in portions, and what comes meanwhile is not touched."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from ledger_desk import LOOP, NOW, Desk
from sqlalchemy import text

from push_provider.channels.base import Result
from push_provider.exceptions import NothingToRedrive, TaskBusy, UnknownTask
from push_provider.ledger import (
    answers,
    closing,
    deliveries,
    dropping,
    executions,
    message_ids,
    messages,
    rejected,
    sending,
    tasks,
)
from push_provider.ledger.orders import Message, Start, Taken

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from push_provider.ledger.plans import Plan

SENT = (Result.SENT,) * 3


@pytest.fixture
def desk(ledger: Engine) -> Desk:
    """In a ledger of its own: what is old is dropped whosever it is."""
    return Desk(ledger)


def rows(engine: Engine, table: str) -> int:
    with engine.connect() as connection:
        return connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()


def age(desk: Desk, plan: Plan, days: float) -> None:
    """Have an execution be of so many days ago."""
    with desk.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE push_execution SET created_at = created_at - :age, started_at = started_at - :age,"
                " finished_at = finished_at - :age WHERE id = :id"
            ),
            {"age": timedelta(days=days), "id": plan.id},
        )


def clear(engine: Engine, limit: int) -> list[int]:
    """How many deliveries each portion has deleted, until none is left."""
    done = []
    while count := dropping.clear(engine, limit):
        done.append(count)
    return done


# --- a purged push task ---------------------------------------------------------------------------------


def test_a_purged_task_is_gone_at_once_and_its_deliveries_later(desk: Desk) -> None:
    desk.apply(execution=LOOP)
    plans = [desk.plan() for _ in range(4)]
    for plan in plans:
        desk.run(plan, *SENT)
    tasks.delete(desk.engine, desk.code, purge=True)
    with pytest.raises(UnknownTask):
        tasks.get(desk.engine, desk.code)
    assert executions.find(desk.engine) == []
    assert deliveries.find(desk.engine) == []
    assert deliveries.count(desk.engine, cap=100, recipient="a@example.com") == 0
    assert rows(desk.engine, "push_delivery") == 12
    # The first portion ends within an execution, and the second begins there.
    assert clear(desk.engine, 5) == [5, 4, 3]
    assert rows(desk.engine, "push_delivery") == rows(desk.engine, "push_dropped") == 0


def test_a_task_of_the_same_code_is_another_one(desk: Desk) -> None:
    desk.apply(execution=LOOP)
    desk.run(desk.plan(key="once", run_id="run"), *SENT)
    tasks.delete(desk.engine, desk.code, purge=True)
    desk.apply(execution=LOOP)
    plan = desk.plan(key="once", run_id="run")
    assert (plan.number, plan.new) == (1, True)
    desk.run(plan, *SENT)
    assert clear(desk.engine, 100) == [3]
    assert desk.states(plan) == ["sent"] * 3
    assert desk.execution(plan).sent == 3


def test_many_small_executions_go_in_few_portions(desk: Desk) -> None:
    desk.apply(execution=LOOP)
    with desk.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO push_dropped (execution_id, deliveries)"
                " SELECT 1000000 + n, 1 FROM generate_series(1, 1200) AS n;"
                "INSERT INTO push_delivery (execution_id, recipient)"
                " SELECT 1000000 + n, 'a@example.com' FROM generate_series(601, 1200) AS n"
            )
        )
    # Those of which nothing is left are passed by.
    assert clear(desk.engine, 1000) == [400, 200]
    assert rows(desk.engine, "push_dropped") == 0


def test_two_at_once_do_not_wait_for_each_other(desk: Desk) -> None:
    desk.apply()
    desk.run(desk.plan(), *SENT)
    tasks.delete(desk.engine, desk.code, purge=True)
    with desk.engine.begin() as other:
        other.execute(text("SELECT FROM push_dropped FOR UPDATE"))
        assert dropping.clear(desk.engine, 10) == 0
    assert dropping.clear(desk.engine, 10) == 3


def test_a_task_that_is_sending_is_not_purged(desk: Desk) -> None:
    desk.apply()
    plan = desk.plan()
    with pytest.raises(TaskBusy, match="is under way"):
        tasks.delete(desk.engine, desk.code, purge=True)
    assert desk.states(plan) == ["pending"] * 3


# --- what is old ----------------------------------------------------------------------------------------


def test_what_ended_long_ago_is_dropped_and_nothing_else(desk: Desk) -> None:
    desk.apply(execution=LOOP, schedule={"kind": "manual"})
    old, begun, reopened, recent = (desk.plan() for _ in range(4))
    for plan in (old, reopened, recent):
        desk.run(plan, Result.SENT, Result.SENT, Result.FAILED)
    for plan in (old, begun, reopened):
        age(desk, plan, 40)
    with desk.sending(reopened):  # somebody sends it again to those who did not get it
        before = datetime.now(UTC) - timedelta(days=30)
        assert dropping.drop_old(desk.engine, 100, before=before) == 1
        closing.finish(desk.engine, reopened.id, final=True)
    assert {row.id for row in executions.find(desk.engine)} == {begun.id, reopened.id, recent.id}
    assert clear(desk.engine, 100) == [3]
    assert desk.states(begun) == ["pending"] * 3
    assert desk.row.executions == 4
    assert desk.plan().number == 5


def test_oldest_first_in_portions(desk: Desk) -> None:
    desk.apply(execution=LOOP)
    plans = [desk.plan() for _ in range(3)]
    for days, plan in zip((10, 30, 20), plans, strict=True):
        desk.run(plan, *SENT)
        age(desk, plan, days)
    assert dropping.drop_old(desk.engine, 2, before=datetime.now(UTC)) == 2
    assert [row.id for row in executions.find(desk.engine)] == [plans[0].id]
    assert dropping.drop_old(desk.engine, 2, before=datetime.now(UTC)) == 1
    assert dropping.drop_old(desk.engine, 2, before=datetime.now(UTC)) == 0


def test_nobody_is_waited_for(desk: Desk) -> None:
    desk.apply()
    plan = desk.plan()
    desk.run(plan, *SENT)
    with desk.engine.begin() as other:
        tasks.lock(other, desk.code)
        assert dropping.drop_old(desk.engine, 100, before=datetime.now(UTC)) == 0
    assert dropping.drop_old(desk.engine, 100, before=datetime.now(UTC)) == 1


@pytest.mark.parametrize(("last", "status"), [(Result.SENT, "finished"), (Result.FAILED, "failed")])
def test_a_task_stays_what_its_last_execution_made_it(desk: Desk, last: Result, status: str) -> None:
    desk.apply()
    desk.run(desk.plan(), Result.SENT, Result.SENT, last)
    assert desk.status == status
    dropping.drop_old(desk.engine, 100, before=datetime.now(UTC))
    assert desk.apply(name="Another").row.status == status


def test_a_run_whose_execution_was_dropped_sends_nothing_anew(desk: Desk) -> None:
    """Somebody clears it in Airflow, where it still is: without its log it would be sent to everybody again."""
    desk.apply(execution=LOOP, schedule={"kind": "manual"})
    ran = datetime.now(UTC) - timedelta(days=40, seconds=1)
    plan = desk.plan(run_id="old", run_after=ran)
    desk.run(plan, *SENT)
    age(desk, plan, 40)
    dropping.drop_old(desk.engine, 100, before=datetime.now(UTC) - timedelta(days=30))
    with pytest.raises(NothingToRedrive, match=r"has left the ledger \(\[push\] retention_days\)"):
        desk.plan(run_id="old", run_after=ran)
    assert executions.find(desk.engine) == []
    assert desk.plan(run_id="new", run_after=datetime.now(UTC)).number == 2
    assert desk.plan(run_id="back", run_after=ran, source="backfill").number == 3


def test_a_run_of_a_backfill_whose_execution_was_dropped_sends_nothing_anew(desk: Desk) -> None:
    """Its date tells nothing: that of a new one is as old, and that one may begin."""
    desk.apply(execution=LOOP, schedule={"kind": "manual"})
    day = datetime.now(UTC) - timedelta(days=400)
    plan = desk.plan(run_id="old", run_after=day, source="backfill")
    desk.run(plan, *SENT)
    age(desk, plan, 40)
    dropping.drop_old(desk.engine, 100, before=datetime.now(UTC) - timedelta(days=30))
    with pytest.raises(NothingToRedrive, match="has left the ledger"):
        desk.plan(run_id="old", run_after=day, source="backfill", cleared=True)
    assert executions.find(desk.engine) == []
    assert desk.plan(run_id="new", run_after=day, source="backfill", cleared=False).number == 2


def test_receipts_of_what_is_gone_are_not_asked_for(desk: Desk) -> None:
    from push_provider.ledger import receipts

    desk.apply()
    plan = desk.plan()
    with desk.sending(plan) as lease:
        desk.record(plan, sending.claim(lease, 10, receipt_after=1), *SENT)
        closing.finish(desk.engine, plan.id, final=True)
    dropping.drop_old(desk.engine, 100, before=datetime.now(UTC), patience=timedelta(days=1))
    later = datetime.now(UTC) + timedelta(hours=1)
    assert receipts.claim_due(desk.engine, 2, now=later) == []
    with desk.engine.begin() as connection:  # and they are in nobody's way while they wait for their partition
        assert connection.scalars(text("SELECT count(receipt_due) FROM push_delivery")).all() == [0]


# --- what else is forgotten -----------------------------------------------------------------------------


def test_answers_are_forgotten_after_a_day(desk: Desk) -> None:
    asks = [answers.Ask("ann", "POST /push/v1/tasks", f"key-{n}", "0" * 64) for n in range(3)]
    for ask in asks:
        with desk.engine.begin() as connection:
            answers.reserve(connection, ask)
            answers.keep(connection, ask, {"code": ask.key})
    with desk.engine.begin() as connection:
        connection.execute(text("UPDATE push_answer SET created_at = now() - interval '25 hours' WHERE key <> 'key-2'"))
    assert [answers.forget_old(desk.engine, 1) for _ in range(3)] == [1, 1, 0]
    with desk.engine.begin() as connection:
        assert answers.find(connection, asks[2]) == {"code": "key-2"}


def test_message_ids_are_known_as_long_as_they_are_to_be(desk: Desk) -> None:
    desk.apply(execution=LOOP, schedule={"kind": "manual"})

    def taken(number: int) -> Taken:
        place = Message("topic", 0, number, None, None, b"{}", UUID(int=1000 + number))
        order = Start(place, UUID(int=number), desk.code, {})
        return messages.take(
            desk.engine, [order], freeze=lambda _: {"message": "Good day"}, now=NOW, default_timezone="UTC"
        )

    assert [taken(number).action for number in (1, 2, 1)] == ["taken", "taken", "taken-before"]
    with desk.engine.begin() as connection:
        change = text("UPDATE push_message SET taken_at = now() - interval '31 days' WHERE key = :key")
        connection.execute(change, {"key": UUID(int=1)})
    before = datetime.now(UTC) - timedelta(days=30)
    assert [message_ids.forget(desk.engine, 10, before=before) for _ in range(2)] == [1, 0]
    assert [taken(number).action for number in (2, 1)] == ["taken-before", "taken"]


@pytest.mark.parametrize(
    ("forward_to", "forwarded", "days", "goes"),
    [
        (None, False, 100, True),
        (None, False, 80, False),
        ("dead", False, 100, False),  # the dead-letter topic has not got it
        ("dead", True, 100, True),
    ],
)
def test_rejected_messages(desk: Desk, forward_to: Any, forwarded: bool, days: int, goes: bool) -> None:
    with desk.engine.begin() as connection:
        connection.execute(
            text(
                'INSERT INTO push_rejected (position, topic, partition, "offset", reason, rejected_at, forward_to,'
                " forwarded_at) VALUES (gen_random_uuid(), 'topic', 0, 1, 'no', now() - make_interval(days => :days),"
                " :forward_to, CASE WHEN :forwarded THEN now() END)"
            ),
            {"days": days, "forward_to": forward_to, "forwarded": forwarded},
        )
    assert rejected.trim(desk.engine, 10, before=datetime.now(UTC) - timedelta(days=90)) == int(goes)
