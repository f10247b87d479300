"""What executions were planned with is kept once, and for as long as one of them is there."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from ledger_desk import LOOP, NOW, Desk
from sqlalchemy import Engine, text

from push_provider.channels.base import Result
from push_provider.ledger import dropping, planning, snapshots, tasks

ATTACHMENT = "QUJD" * 250_000
SENT = (Result.SENT,) * 3


@pytest.fixture
def desk(ledger: Engine) -> Desk:
    """In a ledger of its own."""
    desk = Desk(ledger)
    desk.apply(execution=LOOP, schedule={"kind": "manual"})
    return desk


def kept(desk: Desk) -> int:
    with desk.engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM push_snapshot")).scalar_one())


def forget(desk: Desk, limit: int = 100) -> int:
    """How many are left after all have been gone through."""
    while snapshots.forget(desk.engine, limit):
        pass
    return kept(desk)


def test_a_large_attachment_is_kept_once_however_often_it_is_sent(desk: Desk) -> None:
    templates = {"message": "Good day", "attachment": ATTACHMENT}
    plans = [desk.plan(freeze=lambda _: templates) for _ in range(50)]
    assert kept(desk) == 1
    assert all(plan.templates == templates for plan in plans[::49])
    with desk.engine.connect() as connection:
        size = connection.execute(text("SELECT pg_total_relation_size('push_execution')")).scalar_one()
    assert size < len(ATTACHMENT)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"a": "x"}, {"a": "y"}),
        ({"a": "x"}, {"b": "x"}),
        ({"a": "x", "b": ""}, {"a": "", "b": "x"}),
        ({"a": "1\n1\n"}, {"a": "1", "1": ""}),
        ({}, {"": ""}),
    ],
)
def test_other_templates_are_another_snapshot(desk: Desk, first: dict[str, str], second: dict[str, str]) -> None:
    assert [desk.plan(freeze=lambda _, one=one: one).templates for one in (first, second, first)] == [
        first,
        second,
        first,
    ]
    assert kept(desk) == 2


def test_a_task_that_changes_leaves_what_was_planned_as_it_was(desk: Desk) -> None:
    before = desk.plan(run_id="one")
    desk.apply(subject="Other", execution=LOOP, schedule={"kind": "manual"})
    after = desk.plan(run_id="two")
    assert kept(desk) == 2
    again = planning.of_run(desk.engine, desk.code, "one")
    assert again is not None
    assert (before.task.subject, after.task.subject, again.task.subject) == ("Hello", "Other", "Hello")


def test_what_no_execution_has_is_forgotten(desk: Desk) -> None:
    old = [desk.plan(freeze=lambda _, n=n: {"message": str(n)}) for n in range(5)]
    for plan in old:
        desk.run(plan, *SENT)
    assert forget(desk, 2) == 5
    dropping.drop_old(desk.engine, 4, before=NOW + timedelta(days=10_000))
    assert forget(desk, 2) == 1
    assert desk.plan(freeze=lambda _: {"message": "4"}).templates == {"message": "4"}
    assert forget(desk) == 1
    tasks.cancel(desk.engine, desk.code)
    tasks.delete(desk.engine, desk.code, purge=True)
    assert forget(desk) == 0


def test_an_execution_that_begins_while_they_are_forgotten_keeps_its_own(desk: Desk) -> None:
    """It has found the snapshot, and is not committed when the other looks."""
    desk.run(desk.plan(), *SENT)
    dropping.drop_old(desk.engine, 10, before=NOW + timedelta(days=10_000))
    options: dict[str, Any] = {"source": "rest", "freeze": lambda _: {"message": "Good day"}}
    with desk.engine.begin() as connection:
        begun = planning.begin_within(connection, desk.code, key="new", **options)
        assert forget(desk) == 1
    assert forget(desk) == 1
    assert desk.plan(key="new").id == begun.id


def test_a_snapshot_that_is_forgotten_meanwhile_is_kept_anew(desk: Desk) -> None:
    desk.run(desk.plan(), *SENT)
    dropping.drop_old(desk.engine, 10, before=NOW + timedelta(days=10_000))
    plans: list[Any] = []
    with desk.engine.begin() as connection:
        connection.execute(text("DELETE FROM push_snapshot"))
        thread = threading.Thread(target=lambda: plans.append(desk.plan()))
        thread.start()
        waits = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        while not plans and not connection.execute(waits).scalar_one():
            connection.execute(text("SELECT pg_stat_clear_snapshot()"))
        assert plans == []
    thread.join()
    assert plans[0].templates == {"message": "Good day"}
    assert kept(desk) == 1


# --- templates are read while nobody waits ------------------------------------------------------------------------


def test_the_task_is_not_locked_while_its_templates_are_read(desk: Desk) -> None:
    def freeze(_: Any) -> dict[str, str]:
        with desk.engine.begin() as connection:
            connection.execute(text("SELECT FROM push_task FOR UPDATE NOWAIT"))
        return {"message": "Good day"}

    assert desk.plan(freeze=freeze).number == 1


def test_templates_of_a_task_that_changed_meanwhile_are_read_again(desk: Desk) -> None:
    seen = []

    def freeze(task: Any) -> dict[str, str]:
        seen.append(task.subject)
        if len(seen) == 1:
            desk.apply(subject="Other", execution=LOOP, schedule={"kind": "manual"})
        return {"message": task.subject}

    plan = desk.plan(freeze=freeze)
    assert seen == ["Hello", "Other"]
    assert (plan.task.subject, plan.templates) == ("Other", {"message": "Other"})
