"""Who holds an execution: one process at a time, whatever became of the one before."""

from __future__ import annotations

import os
import signal
import struct
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import pytest
from ledger_desk import Desk, outcome
from sqlalchemy import text

from push_provider.channels.base import Result
from push_provider.exceptions import ExecutionBusy, ExecutionTaken, LedgerUnavailable, UnknownExecution
from push_provider.ledger import closing, sending
from push_provider.ledger.leases import Lease
from push_provider.ledger.plans import Plan

if TYPE_CHECKING:
    from subprocess import Popen

OtherProcess = Callable[[Desk, Plan, str], AbstractContextManager["Popen[str]"]]
CLAIMS = "sending.claim(lease, 2)"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def plan(desk: Desk) -> Plan:
    desk.apply()
    return desk.plan()


def take(lease: Lease) -> None:
    with lease.engine.begin() as connection:
        lease.take(connection)


def test_one_has_it_until_it_is_given_back(desk: Desk, plan: Plan) -> None:
    first, second = Lease(desk.engine, plan.id), Lease(desk.engine, plan.id)
    take(first)
    take(first)  # as after an answer that got lost
    with pytest.raises(ExecutionBusy, match=rf"Process \d+ on .* is still sending execution {plan.id}"):
        take(second)
    second.release()  # what it has not got
    with pytest.raises(ExecutionBusy):
        take(second)
    with first:
        first.renew()
    take(second)
    second.renew()


def test_its_time_is_told_by_the_process_s_own_clock_and_from_before_it_asked(desk: Desk, plan: Plan) -> None:
    clock = Clock()
    lease = Lease(desk.engine, plan.id, seconds=15, clock=clock)
    assert lease.left < 0
    take(lease)
    assert lease.left < 0  # whoever took it does not know when that was
    with lease.transaction():
        clock.now += 4
    assert lease.left == 11
    clock.now += 20
    assert lease.left == -9
    lease.renew()
    assert lease.left == 15
    lease.release()
    assert lease.left < 0


def test_a_transaction_that_fails_renews_nothing(desk: Desk, plan: Plan) -> None:
    lease = Lease(desk.engine, plan.id)
    take(lease)
    with pytest.raises(ZeroDivisionError), lease.transaction():
        raise ZeroDivisionError
    assert lease.left < 0


def test_who_has_lost_it_changes_nothing(desk: Desk, plan: Plan) -> None:
    with desk.sending(plan) as first:
        claimed = sending.claim(first, 2)
        desk.lapse(plan)
        second = Lease(desk.engine, plan.id)
        take(second)
        before = desk.deliveries(plan)
        for call in (
            first.renew,
            lambda: sending.claim(first, 1),
            lambda: sending.record(first, [outcome(claimed[0], Result.SENT)]),
            lambda: sending.record_and_claim(first, [outcome(claimed[0], Result.FAILED)], 1, after=claimed[-1].id),
            lambda: sending.fail_pending(first, code="configuration", reason="no"),
            lambda: closing.finish(desk.engine, plan.id, final=True, lease=first),
        ):
            with pytest.raises(ExecutionTaken, match=r"process \d+ on .* has taken it over.*not heard of for 15 s"):
                call()
        assert desk.deliveries(plan) == before
        assert desk.execution(plan).finished_at is None
    second.renew()  # the first one has given back nothing of it
    sending.record(second, [outcome(claimed[0], Result.SENT)])
    assert desk.states(plan) == ["sent", "sending", "pending"]


def test_one_whose_lease_is_over_goes_on_if_nobody_has_taken_it_over(desk: Desk, plan: Plan) -> None:
    with desk.sending(plan) as lease:
        claimed = sending.claim(lease, 3)
        desk.lapse(plan)
        sending.record(lease, [outcome(one, Result.SENT) for one in claimed])
        with pytest.raises(ExecutionBusy), desk.sending(plan):
            pytest.fail("it was renewed")
        assert closing.finish(desk.engine, plan.id, final=True, lease=lease).sent == 3


def test_a_ledger_that_has_forgotten_who_holds_it_lets_nobody_go_on(desk: Desk, plan: Plan) -> None:
    """A standby took the place of the first server, and had not heard of the lease."""
    with desk.sending(plan) as lease:
        with desk.engine.begin() as connection:
            connection.execute(text("DELETE FROM push_lease WHERE execution_id = :id"), {"id": plan.id})
        with pytest.raises(ExecutionTaken, match="does not know of it any more"):
            lease.renew()


def test_an_execution_that_is_gone(desk: Desk, plan: Plan) -> None:
    with desk.sending(plan) as lease:
        with desk.engine.begin() as connection:
            connection.execute(text("DELETE FROM push_execution WHERE id = :id"), {"id": plan.id})
        with pytest.raises(UnknownExecution):
            lease.renew()


def test_whoever_takes_it_over_waits_for_what_its_holder_is_writing(desk: Desk, plan: Plan) -> None:
    with desk.sending(plan) as first:
        claimed = sending.claim(first, 2)
        desk.lapse(plan)
        begun, taken = threading.Event(), threading.Event()

        def take_over() -> None:
            begun.set()
            with pytest.raises(ExecutionBusy), desk.sending(plan):
                taken.set()

        other = threading.Thread(target=take_over)
        with first.transaction() as connection:
            other.start()
            begun.wait()
            assert not taken.wait(0.3)
            sending._record(connection, [outcome(claimed[0], Result.SENT)])
        other.join()
        assert not taken.is_set()  # for the lease was renewed
        assert desk.states(plan) == ["sent", "sending", "pending"]


def test_it_is_free_when_it_is_over_however_long_it_was_waited_for(desk: Desk, plan: Plan) -> None:
    """Who takes it over has begun its transaction before that moment, and then waits for one of its holder."""
    first, second = Lease(desk.engine, plan.id), Lease(desk.engine, plan.id)
    take(first)
    taken = threading.Event()
    with desk.engine.begin() as connection:
        connection.execute(text("SELECT FROM push_lease WHERE execution_id = :id FOR UPDATE"), {"id": plan.id})
        thread = threading.Thread(target=lambda: (take(second), taken.set()))
        thread.start()
        waits = text(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%push_lease%'"
        )
        while not connection.execute(waits).scalar_one():
            connection.execute(text("SELECT pg_stat_clear_snapshot()"))
        over = "UPDATE push_lease SET until = clock_timestamp() WHERE execution_id = :id"
        connection.execute(text(over), {"id": plan.id})
    thread.join()
    assert taken.is_set()
    second.renew()
    with pytest.raises(ExecutionTaken):
        first.renew()


def test_one_that_is_frozen_in_the_middle_of_writing_keeps_nobody_waiting(desk: Desk, plan: Plan) -> None:
    first = Lease(desk.engine, plan.id, seconds=0.5)
    take(first)
    with pytest.raises(LedgerUnavailable, match="idle-in-transaction"), first.transaction() as connection:  # noqa: PT012
        # Waits for the lease's row, and gets it when PostgreSQL has ended the transaction that says nothing.
        with sending.held(desk.engine, desk.code, plan.id, on_unknown="resend", wait=60):
            assert desk.execution(plan).state == "running"
        connection.execute(text("SELECT 1"))
    with pytest.raises(ExecutionTaken):  # its next attempt
        first.renew()


@pytest.mark.slow
def test_one_that_is_frozen_in_the_middle_of_a_statement_keeps_nobody_waiting(desk: Desk, plan: Plan) -> None:
    """What has come of it holds the lease's row, and PostgreSQL does not call a session idle that owes it bytes."""
    first = Lease(desk.engine, plan.id, seconds=0.5)
    take(first)
    with pytest.raises(LedgerUnavailable), first.transaction() as connection:  # noqa: PT012
        # A statement (protocol, 53.7: Parse), and the first bytes of its values (Bind, of a thousand).
        driver = connection.connection.driver_connection
        assert driver is not None
        socket = driver.fileno()
        query = b"\0SELECT 1\0\0\0"
        os.write(socket, b"P" + struct.pack("!i", 4 + len(query)) + query + b"B" + struct.pack("!i", 1000) + b"\0\0")
        with sending.held(desk.engine, desk.code, plan.id, on_unknown="resend", wait=60):
            assert desk.execution(plan).state == "running"
        connection.execute(text("SELECT 1"))
    with pytest.raises(ExecutionTaken):
        first.renew()


def test_a_process_that_was_stopped_for_too_long_is_replaced(
    desk: Desk, plan: Plan, other_process: OtherProcess
) -> None:
    with other_process(desk, plan, CLAIMS) as process:
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(ExecutionBusy), desk.sending(plan):
            pytest.fail("it may still come back")
        desk.lapse(plan)
        with desk.sending(plan):
            assert len(desk.claim(plan)) == 3
            process.send_signal(signal.SIGCONT)
            process.communicate("", timeout=60)
            with pytest.raises(ExecutionBusy), desk.sending(plan):
                pytest.fail("the one that ended has given back what is not its own")


def test_the_next_one_waits_for_one_that_ends(desk: Desk, plan: Plan) -> None:
    looked, taken = threading.Event(), threading.Event()

    def come() -> None:
        looked.set()
        with sending.held(desk.engine, desk.code, plan.id, on_unknown="resend", wait=60):
            taken.set()

    other = threading.Thread(target=come)
    with desk.sending(plan):
        other.start()
        looked.wait()
        assert not taken.wait(0.3)
    other.join()
    assert taken.is_set()
