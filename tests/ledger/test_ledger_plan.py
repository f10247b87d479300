"""An execution is planned: counted once, within its task's limit, as the task was at that moment."""

from __future__ import annotations

import re
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from growth import LINEAR, growth
from ledger_desk import LOOP, NOW, Desk, at_once

from push_provider.channels.base import Result
from push_provider.channels.reading import parse_trigger
from push_provider.exceptions import ContentError, InvalidTask, TaskClosed, UnknownExecution, UnknownTask
from push_provider.ledger import closing, executions, planning, sending, tasks
from push_provider.ledger.plans import Plan

if TYPE_CHECKING:
    from push_provider.contract import PushTask, Trigger


def trigger(**fields: Any) -> Trigger:
    return parse_trigger(fields, channel="email")


def test_a_plan_holds_what_its_execution_sends(desk: Desk) -> None:
    desk.apply(variables={"shop": "north"}, execution=LOOP)
    plan = desk.plan(
        source="cli",
        triggered_by="ann",
        scheduled_for=NOW,
        trigger=trigger(
            recipients=["z@example.com", {"to": "y@example.com", "variables": {"n": 1}}], variables={"a": 1}
        ),
    )
    assert (plan.number, plan.source, plan.total, plan.scheduled_for, plan.error, plan.new) == (
        1,
        "cli",
        2,
        NOW,
        None,
        True,
    )
    assert (plan.templates, plan.variables) == ({"message": "Good day"}, {"a": 1})
    assert (plan.task.recipients, plan.task.subject, plan.task.variables) == ([], "Hello", {"shop": "north"})
    assert re.fullmatch("[0-9a-f]{32}", plan.token)
    # The trigger's recipients replace the task's.
    assert [(d.to, d.variables) for d in desk.claim(plan)] == [
        ("z@example.com", {}),
        ("y@example.com", {"n": 1}),
    ]
    row = desk.execution(plan)
    assert (row.state, row.triggered_by, row.started_at, row.finished_at) == ("planned", "ann", None, None)
    assert (desk.status, desk.row.executions) == ("running", 1)
    assert desk.row.last_execution_at == row.created_at


def test_each_execution_has_a_token_of_its_own(desk: Desk) -> None:
    desk.apply(execution=LOOP)
    assert len({desk.plan().token for _ in range(20)}) == 20


@pytest.mark.parametrize("same", [{"run_id": "r1"}, {"key": "k1"}, {"run_id": "r1", "key": "k1"}])
def test_the_same_run_or_key_again_gives_the_first(desk: Desk, same: dict[str, str]) -> None:
    desk.apply()
    first = desk.plan(**same)
    again = desk.plan(**same, source="cli")  # the task is closed by now, which does not matter
    assert again == first._replace(new=False)
    assert desk.row.executions == 1
    assert len(desk.deliveries(first)) == 3


def test_one_key_in_twenty_threads_is_one_execution(desk: Desk) -> None:
    desk.apply(execution=LOOP)
    plans = at_once(20, lambda _: desk.plan(key="order-7"))
    assert len({plan.id for plan in plans}) == 1
    assert Counter(plan.new for plan in plans) == {True: 1, False: 19}
    assert desk.row.executions == 1


def test_the_same_key_in_another_task_is_another_execution(desk: Desk) -> None:
    other = Desk(desk.engine)
    for each in (desk, other):
        each.apply()
    assert desk.plan(key="k").id != other.plan(key="k").id


@pytest.mark.parametrize(
    ("execution", "begin"),
    [
        ({"type": "once"}, 1),
        ({"type": "loop", "max_executions": 3}, 3),
        ({"type": "loop"}, 6),
    ],
)
def test_no_more_executions_begin_than_allowed(desk: Desk, execution: dict[str, Any], begin: int) -> None:
    desk.apply(execution=execution)
    numbers = []
    for _ in range(6):
        try:
            numbers.append(desk.plan().number)
        except TaskClosed:
            break
    assert numbers == list(range(1, begin + 1))
    assert desk.row.executions == begin


def test_fifty_at_once_with_ten_left(desk: Desk) -> None:
    desk.apply(execution={"type": "loop", "max_executions": 12})
    for _ in range(2):
        desk.plan()
    made = at_once(50, lambda n: desk.plan(run_id=f"r{n}"))
    begun = [plan for plan in made if isinstance(plan, Plan)]
    assert sorted(plan.number for plan in begun) == list(range(3, 13))
    assert sum(isinstance(refused, TaskClosed) for refused in made) == 40
    assert desk.row.executions == 12
    assert sum(len(desk.deliveries(plan)) for plan in begun) == 30


@pytest.mark.parametrize("asked", [None, trigger(), trigger(recipients=[])])
def test_nobody_to_send_to_is_refused_and_not_counted(desk: Desk, asked: Trigger | None) -> None:
    desk.apply(recipients=[], schedule={"kind": "manual"})
    with pytest.raises(InvalidTask, match=r"recipients: .*name at least one"):
        desk.plan(trigger=asked)
    assert (desk.row.executions, desk.status) == (0, "pending")
    assert desk.plan(trigger=trigger(recipients=["z@example.com"])).total == 1


def test_an_unknown_task(desk: Desk) -> None:
    with pytest.raises(UnknownTask):
        desk.plan()


def test_templates_that_cannot_be_read_are_on_record_and_count(desk: Desk) -> None:
    def freeze(_: PushTask) -> dict[str, str]:
        raise ContentError("include/templates/a\udcff.html: not there")

    desk.apply()
    plan = desk.plan(freeze=freeze, run_id="r")
    assert (plan.error, plan.templates) == ("include/templates/a\\udcff.html: not there", {})
    assert desk.execution(plan).error == plan.error
    assert desk.row.executions == 1
    assert planning.of_run(desk.engine, desk.code, "r") == plan._replace(new=False)


def test_any_other_error_while_templates_are_read_counts_nothing(desk: Desk) -> None:
    def freeze(_: PushTask) -> dict[str, str]:
        raise OSError("disk")

    desk.apply()
    with pytest.raises(OSError, match="disk"):
        desk.plan(freeze=freeze)
    assert (desk.row.executions, desk.status) == (0, "pending")


def test_why_one_try_failed_is_no_reason_for_the_next_to_fail(desk: Desk) -> None:
    desk.apply()
    plan = desk.plan(run_id="r")
    with desk.sending(plan):
        closing.finish(desk.engine, plan.id, final=False, error="mail.example cannot be reached")
    assert desk.execution(plan).error == "mail.example cannot be reached"
    again = planning.of_run(desk.engine, desk.code, "r")
    assert again is not None
    assert again.error is None


def test_what_was_planned_stays_as_it_was(desk: Desk) -> None:
    desk.apply(execution=LOOP)
    plan = desk.plan(run_id="r")
    desk.apply(execution=LOOP, subject="Changed", content="Changed", recipients=["z@example.com"])
    assert planning.of_run(desk.engine, desk.code, "r") == plan._replace(new=False)
    assert [d.to for d in desk.claim(plan)] == ["a@example.com", "b@example.com", "c@example.com"]
    assert planning.of_run(desk.engine, desk.code, "other") is None
    assert desk.plan().task.subject == "Changed"


@pytest.mark.slow
def test_twenty_thousand_recipients_are_planned_in_linear_time(desk: Desk) -> None:
    desk.apply(execution=LOOP)
    triggers = {
        count: trigger(recipients=[{"to": f"user{n}@example.com", "variables": {"n": n}} for n in range(count)])
        for count in (5000, 20_000)
    }
    plans = {}

    def work(count: int) -> None:
        plans[count] = desk.plan(trigger=triggers[count])

    # The server's time counts as well.
    assert growth(work, 5000, clock=time.perf_counter) < LINEAR
    plan = plans[20_000]
    assert plan.total == 20_000
    first = desk.claim(plan, 2)
    assert [(d.to, d.variables) for d in first] == [
        ("user0@example.com", {"n": 0}),
        ("user1@example.com", {"n": 1}),
    ]


def test_an_execution_is_bound_to_its_run_and_to_no_other(desk: Desk) -> None:
    other = Desk(desk.engine)
    for each in (desk, other):
        each.apply(execution=LOOP)
    plan = desk.plan()
    assert planning.bind(desk.engine, desk.code, plan.id, "r1") == plan._replace(new=False)
    assert planning.bind(desk.engine, desk.code, plan.id, "r1").id == plan.id  # its run is retried
    assert desk.execution(plan).run_id == "r1"

    waiting = desk.plan()
    for task, execution, run in [
        (desk, plan.id, "r2"),  # another run has it
        (other, waiting.id, "r3"),  # another task's
        (desk, 2**40, "r4"),  # there is none
        (desk, waiting.id, "r1"),  # the run has one already
    ]:
        with pytest.raises(UnknownExecution, match=r"conf\.execution"):
            planning.bind(desk.engine, task.code, execution, run)
    assert desk.execution(waiting).run_id is None


def test_busy_at_knows_when_an_execution_was_under_way(desk: Desk) -> None:
    desk.apply(execution=LOOP)
    plan = desk.plan()
    begun = desk.execution(plan).created_at
    desk.run(plan, *[Result.SENT] * 3)
    ended = desk.execution(plan).finished_at
    assert ended is not None
    desk.plan()
    later = max(row.created_at for row in executions.find(desk.engine, task=desk.code))
    answers = {
        begun - (ended - begun): False,
        begun: True,
        begun + (ended - begun) / 2: True,
        ended: False,
        later: True,
        later.replace(year=later.year + 1): True,
    }
    assert {moment: executions.busy_at(desk.engine, desk.code, moment) for moment in answers} == answers


@pytest.mark.parametrize(("source", "waited"), [("schedule", True), ("manual", True), ("backfill", False)])
def test_busy_at_knows_of_a_run_that_waited_for_its_slot(desk: Desk, source: str, waited: bool) -> None:
    desk.apply(execution=LOOP)
    made = datetime.now(UTC) - timedelta(hours=1)
    plan = desk.plan(source=source, run_id="r", run_after=made)
    answers = {made - timedelta(minutes=1): False, made: waited, made + timedelta(minutes=30): waited}
    assert {moment: executions.busy_at(desk.engine, desk.code, moment) for moment in answers} == answers
    desk.run(plan, *[Result.SENT] * 3)
    assert {moment: executions.busy_at(desk.engine, desk.code, moment) for moment in answers} == answers


def test_executions_are_found_by_task_and_state_newest_first(desk: Desk) -> None:
    desk.apply(execution=LOOP)
    first, second = desk.plan(), desk.plan()
    desk.run(first, *[Result.SENT] * 3)

    def found(**filters: Any) -> list[int]:
        return [row.id for row in executions.find(desk.engine, task=desk.code, **filters)]

    assert found() == [second.id, first.id]
    assert found(state="succeeded") == [first.id]
    assert found(limit=1, offset=1) == [first.id]


def test_two_changes_of_one_task_at_once_wait_for_each_other(desk: Desk) -> None:
    """Apply, plan, cancel and finish of one task from many threads: no deadlock, and the count is right."""
    desk.apply(execution=LOOP)
    open_plans = [desk.plan() for _ in range(6)]

    def work(number: int) -> Plan | None:
        match number % 3:
            case 0:
                return desk.plan()
            case 1:
                desk.apply(execution=LOOP, name=f"Name {number}")
            case _:
                plan = open_plans[number // 3]
                with desk.sending(plan) as lease:
                    sending.fail_pending(lease, code="configuration", reason="no")
                    closing.finish(desk.engine, plan.id, final=True)
        return None

    made = at_once(18, work)
    assert [error for error in made if isinstance(error, Exception)] == []
    assert desk.row.executions == 12
    tasks.cancel(desk.engine, desk.code)
    assert {row.state for row in executions.find(desk.engine, task=desk.code)} == {"failed", "cancelled"}
