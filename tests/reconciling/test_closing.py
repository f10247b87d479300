"""Executions whose runs have ended, or whose push tasks are cancelled, are closed; on a real ledger and metadata."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from push_provider.channels.base import Outcome, Result
from push_provider.channels.reading import parse
from push_provider.exceptions import TaskBusy
from push_provider.ledger import closing, definitions, executions, planning, sending, tasks
from push_provider.reconciling.reconciler import Reconciler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from push_provider.ledger.plans import Plan

CODE = "closing"
_RUN = text("""
    INSERT INTO dag_run (dag_id, run_id, run_type, state, run_after, clear_number)
    VALUES ('push__closing', :run, 'manual', 'failed', now(), 0)
""")


def apply(ledger: Engine) -> None:
    task = {"code": CODE, "name": CODE, "channel": "email", "subject": "s", "content": "c"}
    manual = {"schedule": {"kind": "manual"}, "execution": {"type": "loop"}}
    wanted = parse({**task, **manual, "recipients": ["a@example.com", "b@example.com"]})
    definitions.apply(ledger, wanted, now=datetime.now(UTC), default_timezone="UTC")


def plan(ledger: Engine, run: str) -> Plan:
    return planning.plan(ledger, CODE, source="manual", run_id=run, freeze=lambda _: {"message": "m"})


def test_one_whose_run_was_cleared_while_others_were_closed_goes_on(ledger: Engine, metadata: Engine) -> None:
    apply(ledger)
    for run in ("first", "second"):
        plan(ledger, run)
        with metadata.begin() as connection:
            connection.execute(_RUN, {"run": run})

    def states() -> dict[str | None, str]:
        return {row.run_id: row.state.value for row in executions.find(ledger, task=CODE)}

    @contextmanager
    def sessions() -> Iterator[Session]:
        if states()["first"] == "failed":  # and that took long
            with metadata.begin() as connection:
                connection.execute(text("UPDATE dag_run SET state = 'queued' WHERE run_id = 'second'"))
        with Session(metadata) as session, session.begin():
            yield session

    Reconciler(lambda: ledger, sessions)._close_executions(ledger)
    assert states() == {"first": "failed", "second": "planned"}


def test_one_of_a_cancelled_task_is_closed_when_nobody_sends_it(ledger: Engine, metadata: Engine) -> None:
    """A try has left it to the next, which does not come while the task's DAG is paused."""

    @contextmanager
    def sessions() -> Iterator[Session]:
        with Session(metadata) as session, session.begin():
            yield session

    def row() -> executions.ExecutionRow:
        (found,) = executions.find(ledger, task=CODE)
        return found

    reconciler = Reconciler(lambda: ledger, sessions)
    apply(ledger)
    planned = plan(ledger, "first")
    with sending.held(ledger, CODE, planned.id, on_unknown="resend") as lease:
        first, second = sending.claim(lease, 2)
        sending.record(lease, [Outcome(first.id, Result.SENT, "1", None, None)])
        sending.record(lease, [Outcome(second.id, Result.RETRY, None, "451", "try later")])
        closing.finish(ledger, planned.id, final=False, lease=lease)
        reconciler._close_cancelled(ledger)
        tasks.cancel(ledger, CODE)
        reconciler._close_cancelled(ledger)
        assert row().state == "running"  # it may still be sent, and who sends it closes it
        with pytest.raises(TaskBusy, match="Cancel the task first, or wait"):
            tasks.delete(ledger, CODE, purge=True)
    reconciler._close_cancelled(ledger)
    assert (row().state, row().sent, row().cancelled) == ("cancelled", 1, 1)
    with sending.held(ledger, CODE, planned.id, on_unknown="resend") as lease:  # the try, when somebody has resumed it
        assert sending.claim(lease, 2) == []
        closing.finish(ledger, planned.id, final=True, lease=lease)
    assert row().state == "cancelled"
    tasks.delete(ledger, CODE, purge=True)


def test_one_that_waits_for_its_next_try_stays_open_while_its_task_goes_on(ledger: Engine, metadata: Engine) -> None:
    apply(ledger)
    planned = plan(ledger, "first")
    with sending.held(ledger, CODE, planned.id, on_unknown="resend"):
        pass
    assert closing.left_by_cancelling(ledger, 100) == []
    tasks.cancel(ledger, CODE)
    assert closing.left_by_cancelling(ledger, 100) == [(planned.id, CODE)]
