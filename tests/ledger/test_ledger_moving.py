"""Deliveries that move many at a time: executions begin meanwhile, and no two transactions wait for each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from ledger_desk import CHANNEL, LOOP, Desk, at_once, await_waiting
from ledger_stream import MANUAL, Stream
from sqlalchemy import create_engine, text

from push_provider.channels.base import Fate, Receipt, Result
from push_provider.exceptions import (
    ExecutionBusy,
    NothingToRedrive,
    TaskBusy,
    TaskClosed,
    UnknownExecution,
    UnknownTask,
)
from push_provider.ledger import acknowledgements, closing, dropping, planning, receipts, sending, tasks
from push_provider.ledger.engine import AS_WRITTEN
from push_provider.ledger.leases import Lease
from push_provider.marks import read_receipt_mark, receipt_mark

if TYPE_CHECKING:
    from push_provider.contract import PushTask
    from push_provider.ledger.plans import Plan

LATER = datetime(2036, 1, 1, tzinfo=UTC)


def send_again(desk: Desk, plan: Plan) -> None:
    with desk.sending(plan):
        pass


def fail(desk: Desk, plan: Plan) -> None:
    assert sending.fail_pending(desk.lease(plan), code="configuration", reason="no") == 3


MOVERS: dict[str, tuple[Callable[[Desk, Plan], Any], str, str]] = {
    "finish": (lambda desk, plan: closing.finish(desk.engine, plan.id, final=True), "failed", "pending"),
    "close": (lambda desk, plan: closing.close(desk.engine, plan.id, error="over"), "failed", "pending"),
    "fail": (fail, "failed", "pending"),
    "cancel": (lambda desk, plan: tasks.cancel(desk.engine, desk.code), "cancelled", "cancelled"),
    "send again": (send_again, "pending", "pending"),
}
"""What moves the deliveries of an execution, what they are then, and what those of another one are."""


@contextmanager
def halfway(desk: Desk, plan: Plan, move: Callable[[], Any]) -> Iterator[None]:
    """Have a move wait within the block for the last row of an execution, which stands for a million to come."""
    with ThreadPoolExecutor(1) as pool:
        with desk.engine.begin() as connection:
            last = "SELECT id FROM push_delivery WHERE execution_id = :id ORDER BY id DESC LIMIT 1 FOR UPDATE"
            connection.execute(text(last), {"id": plan.id})
            moving = pool.submit(move)
            await_waiting(desk.engine, moving.done)
            assert not moving.done()
            yield
            assert not moving.done()
        moving.result()


@pytest.mark.parametrize("name", MOVERS)
def test_executions_begin_while_those_of_another_one_move(desk: Desk, name: str) -> None:
    """Whoever begins one and has to wait for a lock fails here."""
    move, then, of_another = MOVERS[name]
    desk.apply(execution=LOOP)
    plan = desk.plan()
    if name == "send again":
        desk.run(plan, *[Result.FAILED] * 3)
    limited = create_engine(desk.engine.url, connect_args={"options": "-c lock_timeout=2s"}, **AS_WRITTEN)
    try:
        with halfway(desk, plan, lambda: move(desk, plan)):
            second = planning.plan(limited, desk.code, source="rest", freeze=lambda _: {"message": "Good day"})
    finally:
        limited.dispose()
    assert desk.states(plan) == [then] * 3
    assert desk.states(second) == [of_another] * 3


@pytest.mark.parametrize("name", ["finish", "close", "cancel"])
def test_what_joins_an_execution_while_it_ends_ends_with_it(desk: Desk, name: str) -> None:
    """A batch of messages that has locked the task, and writes when the others have been moved and counted."""
    move, then, _ = MOVERS[name]
    desk.apply(**MANUAL, recipients=[])
    other = Desk(desk.engine)
    other.code = f"z-{desk.code}"  # it comes last, and is made while the batch holds both
    other.apply(**MANUAL, recipients=[])
    stream = Stream(desk, desk.code)
    stream.take(stream.start("a@example.com", "b@example.com"))
    (execution,) = stream.executions()
    plan = stream.plan(execution.id)
    ends: list[Future[Any]] = []

    def freeze(_: PushTask) -> Mapping[str, str]:
        ends.append(pool.submit(move, desk, plan))
        await_waiting(desk.engine, ends[0].done)
        return {"message": "Good day"}

    with ThreadPoolExecutor(1) as pool:
        stream.take(stream.start("c@example.com"), {"task": other.code, "recipients": ["d@example.com"]}, freeze=freeze)
        moved = ends[0].result()
    assert desk.states(plan) == [then] * 3
    row = desk.execution(plan)
    assert row.finished_at is not None
    assert (row.total, getattr(row, then)) == (3, 3)
    if name == "cancel":
        assert moved == 3


@pytest.mark.parametrize("name", ["finish", "close", "cancel"])
def test_nothing_is_claimed_while_it_moves(desk: Desk, name: str) -> None:
    """Else the one would lock rows that the other wants next, and the other way round."""
    move, then, _ = MOVERS[name]
    desk.apply(execution=LOOP)
    plan = desk.plan()
    desk.lease(plan)
    with ThreadPoolExecutor(1) as pool:
        with halfway(desk, plan, lambda: move(desk, plan)):
            claiming = pool.submit(desk.claim, plan)
            await_waiting(desk.engine, claiming.done, count=2)
        assert claiming.result() == []
    assert desk.states(plan) == [then] * 3


@pytest.mark.parametrize("name", ["finish", "fail"])
def test_who_sends_may_take_longer_to_move_than_to_record(desk: Desk, name: str) -> None:
    """PostgreSQL ends a transaction that takes four times the lease, from 17 on; a million may take longer to fail."""
    desk.apply(execution=LOOP)
    plan = desk.plan()
    lease = Lease(desk.engine, plan.id, seconds=0.5)
    with desk.engine.begin() as connection:
        lease.take(connection)
    moves: dict[str, Callable[[], Any]] = {
        "finish": lambda: closing.finish(desk.engine, plan.id, final=True, lease=lease),
        "fail": lambda: sending.fail_pending(lease, code="configuration", reason="no"),
    }
    with halfway(desk, plan, moves[name]), desk.engine.connect() as connection:
        connection.execute(text("SELECT pg_sleep(2.5)"))
    assert desk.states(plan) == ["failed"] * 3


@pytest.mark.slow
def test_whatever_happens_to_a_task_at_once_waits_in_no_ring(desk: Desk) -> None:
    """PostgreSQL breaks off one of those that wait in a ring, after a second: nothing here is."""
    desk.apply(execution=LOOP)
    plans = [desk.plan(run_id=f"r{number}") for number in range(8)]
    for plan in plans[:6]:
        desk.run(plan, Result.SENT, Result.UNKNOWN, Result.FAILED)
    with desk.engine.begin() as connection:
        connection.execute(text("UPDATE push_delivery SET receipt_due = now() WHERE state IN ('sent', 'unknown')"))

    def receive() -> None:
        due = receipts.claim_due(desk.engine, 6, now=LATER)
        answers = [Receipt(one.question.id, Fate.DELIVERED, None, None, None) for one in due]
        receipts.settle(desk.engine, due, answers, now=LATER, patience=timedelta(days=1))

    def acknowledge(plan: Plan) -> None:
        marks = [read_receipt_mark(receipt_mark(plan.token, row.id)) for row in desk.deliveries(plan)]
        acknowledgements.take(desk.engine, [mark for mark in marks if mark], channels={CHANNEL}, now=LATER)

    def resend(plan: Plan) -> None:
        with sending.held(desk.engine, desk.code, plan.id, on_unknown="resend", wait=0.0) as lease:
            sending.fail_pending(lease, code="configuration", reason="no")
            closing.finish(desk.engine, plan.id, final=True, lease=lease)

    def work(number: int) -> None:
        plan = plans[number % len(plans)]
        match number % 9:
            case 0:
                receive()
            case 1:
                acknowledge(plan)
            case 2 | 3:
                resend(plan)
            case 4:
                closing.close(desk.engine, plan.id, error="over")
            case 5:
                planning.of_run(desk.engine, desk.code, f"r{number % len(plans)}", run_after=LATER)
            case 6:
                dropping.drop_old(desk.engine, 1, before=LATER)
            case 7:
                desk.plan(run_id=f"new-{number}")
            case _:
                sending.prepare_redrive(desk.engine, plan.id, unknown=True)

    expected = (ExecutionBusy, NothingToRedrive, UnknownExecution, UnknownTask, TaskClosed)
    for _ in range(3):
        made = at_once(27, work)
        assert [error for error in made if error is not None and not isinstance(error, expected)] == []
    ends = at_once(9, lambda n: tasks.cancel(desk.engine, desk.code) if n % 3 else work(2))
    assert [error for error in ends if isinstance(error, Exception) and not isinstance(error, expected)] == []
    gone = at_once(9, lambda n: tasks.delete(desk.engine, desk.code, purge=True) if n % 3 else work(n // 3 + 2))
    assert [e for e in gone if isinstance(e, Exception) and not isinstance(e, (*expected, TaskBusy))] == []
