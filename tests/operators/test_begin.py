"""The operator with which other DAGs begin executions and wait for them, on a real ledger."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.bases.operator import TriggerFailureReason
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred
from other_dags import Supervisor, apply, context, send
from outages import away_at_first

from push_provider.channels.base import Result
from push_provider.exceptions import TaskPaused
from push_provider.ledger import closing, deliveries, executions, sending, tasks
from push_provider.operators.begin import PushExecutionLink, PushOperator
from push_provider.triggers.execution import PushExecutionTrigger

if TYPE_CHECKING:
    from sqlalchemy import Engine

pytestmark = pytest.mark.usefixtures("notice")


def operator(**fields: Any) -> PushOperator:
    return PushOperator(
        **{"task_id": "tell", "push_task": "notice", "recipients": ["a@example.com", "b@example.com"], **fields}
    )


# --- beginning ----------------------------------------------------------------------------------------


def test_it_begins_one_execution_however_often_it_is_tried(ledger: Engine, supervisor: Supervisor) -> None:
    first = operator(variables={"n": 1}).execute(context())
    again = operator(variables={"n": 1}).execute(context(tried=2))
    assert first == again
    (row,) = executions.find(ledger)
    assert (row.id, row.run_id) == (first["execution"], first["run_id"]) == (row.id, f"dag__{row.id}")
    assert (row.source, row.triggered_by, row.total) == ("dag", "daily.tell", 2)
    (asked,) = supervisor.runs.values()
    assert (asked.dag_id, asked.run_id, asked.conf) == ("push__notice", row.run_id, {"execution": row.id})


def test_mapped_tasks_and_keys_of_ones_own_begin_executions_of_their_own(ledger: Engine) -> None:
    numbers = {operator().execute(context(mapped=index))["execution"] for index in range(3)}
    numbers.add(operator(key="of mine").execute(context())["execution"])
    assert operator(key="of mine").execute(context("other"))["execution"] in numbers
    assert len(numbers) == len(executions.find(ledger)) == 4


def test_recipients_may_be_one_address_mappings_or_the_push_tasks_own(ledger: Engine) -> None:
    apply(ledger, "own", recipients=["own@example.com"])
    operator(recipients="one@example.com", key="1").execute(context())
    operator(recipients=[{"to": "two@example.com", "variables": {"n": 2}}], key="2").execute(context())
    operator(push_task="own", recipients=None).execute(context())
    found = {row.recipient for row in deliveries.find(ledger)}
    assert found == {"one@example.com", "two@example.com", "own@example.com"}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"push_task": "nobody"}, "There is no push task 'nobody'"),
        ({"recipients": ["nobody"]}, r"push task 'notice': recipients\[0\]"),
        ({"recipients": None}, "has none of its own"),
    ],
)
def test_what_cannot_begin_fails_for_good_and_says_why(ledger: Engine, fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(AirflowFailException, match=reason):
        operator(**fields).execute(context())
    assert executions.find(ledger) == []


def test_a_run_that_cannot_be_made_here_waits_for_the_api_server(ledger: Engine, supervisor: Supervisor) -> None:
    supervisor.refuses = True
    told = operator().execute(context())
    (waiting,) = executions.waiting(ledger, sources=["dag"])
    assert waiting.id == told["execution"]
    supervisor.refuses = False
    operator().execute(context(tried=2))  # nor is it too late for the task itself
    assert list(supervisor.runs) == [told["run_id"]]
    assert executions.waiting(ledger, sources=["dag"]) == []


def test_a_paused_push_task_is_refused_until_it_is_resumed(ledger: Engine, supervisor: Supervisor) -> None:
    supervisor.paused.add("push__notice")
    with pytest.raises(TaskPaused, match=r"'notice' is paused.*Resume it first"):
        operator().execute(context())
    assert executions.find(ledger) == []
    supervisor.paused.clear()
    begun = operator().execute(context(tried=2))
    supervisor.paused.add("push__notice")
    assert operator().execute(context(tried=3)) == begun  # what has begun goes on when the push task does


@pytest.mark.parametrize("closed", ["cancelled", "finished"])
def test_a_closed_push_task_is_refused_for_good_but_not_to_who_began(ledger: Engine, closed: str) -> None:
    apply(ledger, "closing", execution={"type": "once"} if closed == "finished" else {"type": "loop"})
    begun = operator(push_task="closing").execute(context())
    if closed == "cancelled":
        tasks.cancel(ledger, "closing")
    with pytest.raises(AirflowFailException, match=f"'closing' is {closed}"):
        operator(push_task="closing").execute(context("another"))
    assert operator(push_task="closing").execute(context(tried=2)) == begun


def test_a_task_leads_to_the_execution_also_when_that_failed(ledger: Engine) -> None:
    task = operator(wait_for_outcome=True, deferrable=True)
    link = PushExecutionLink()
    assert link.get_link(task, ti_key=None) == ""
    with pytest.raises(TaskDeferred):
        task.execute(context())
    (row,) = executions.find(ledger)
    send(ledger, row.id, Result.FAILED, Result.FAILED)
    again = operator(wait_for_outcome=True)
    with pytest.raises(AirflowFailException):
        again.execute(context())
    assert link.get_link(again, ti_key=None).endswith(f"/dags/push__notice/runs/{row.run_id}")
    assert [one.name for one in again.operator_extra_links] == ["Execution"]


# --- waiting ------------------------------------------------------------------------------------------


def test_a_wait_in_the_triggerer_ends_with_what_became_of_it(ledger: Engine) -> None:
    waiting = operator(wait_for_outcome=True, deferrable=True, timeout=timedelta(hours=1), poll_seconds=0.01)
    with pytest.raises(TaskDeferred) as deferred:
        waiting.execute(context())
    assert (deferred.value.method_name, deferred.value.timeout) == ("resume", timedelta(hours=1))
    trigger = deferred.value.trigger
    assert isinstance(trigger, PushExecutionTrigger)
    path, arguments = trigger.serialize()
    assert (path, arguments["poll_seconds"]) == ("push_provider.triggers.execution.PushExecutionTrigger", 0.01)

    async def fired() -> Any:
        wait = asyncio.ensure_future(anext(trigger.run()))
        await asyncio.sleep(0.1)
        assert not wait.done()
        await asyncio.to_thread(send, ledger, arguments["execution"], Result.SENT, Result.SENT)
        return (await asyncio.wait_for(wait, 30)).payload

    event = asyncio.run(fired())
    told = waiting.resume(context(), event)
    assert (told["execution"], told["state"], told["sent"], told["failed"]) == (event["execution"], "succeeded", 2, 0)
    assert len(executions.find(ledger)) == 1


def test_a_wait_for_what_partly_failed_fails_and_says_where_to_look(ledger: Engine) -> None:
    number = operator().execute(context())["execution"]
    send(ledger, number, Result.SENT, Result.FAILED)
    where = f"1 of 2 sent, 1 failed.*deliveries --execution {number}"
    with pytest.raises(AirflowFailException, match=where):
        operator(wait_for_outcome=True).execute(context())


def test_a_wait_for_what_was_cancelled_is_skipped(ledger: Engine) -> None:
    number = operator().execute(context())["execution"]
    tasks.cancel(ledger, "notice")
    with sending.held(ledger, "notice", number, on_unknown="resend"):
        closing.finish(ledger, number, final=True)
    with pytest.raises(AirflowSkipException, match="2 cancelled"):
        operator(wait_for_outcome=True).execute(context())


def test_a_wait_in_a_worker_has_an_end(ledger: Engine) -> None:
    with pytest.raises(AirflowFailException, match=r"has not ended within .*; it goes on"):
        operator(wait_for_outcome=True, poll_seconds=0.01, timeout=timedelta(seconds=0.05)).execute(context())


def test_a_wait_in_a_worker_outlasts_a_restart_of_the_ledger(ledger: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = operator().execute(context())
    send(ledger, begun["execution"], Result.SENT, Result.SENT)
    with away_at_first(monkeypatch) as tries:
        told = operator(wait_for_outcome=True, poll_seconds=0.01).resume(context(), {"execution": begun["execution"]})
    assert tries
    assert told["sent"] == 2
    assert {name: told[name] for name in begun} == begun


def test_an_execution_that_goes_on_again_before_the_task_looks_is_waited_for_again(ledger: Engine) -> None:
    number = operator().execute(context())["execution"]
    send(ledger, number, Result.SENT, Result.FAILED)
    waiting = operator(wait_for_outcome=True, deferrable=True)
    with sending.held(ledger, "notice", number, on_unknown="resend"), pytest.raises(TaskDeferred):
        waiting.resume(context(), {"execution": number})  # somebody has sent it anew


def test_a_wait_for_what_is_gone_begins_no_other(ledger: Engine) -> None:
    with pytest.raises(AirflowFailException, match="no execution 4711"):
        operator(wait_for_outcome=True, deferrable=True).resume(context(), {"execution": 4711})
    assert executions.find(ledger) == []


def test_a_wait_in_the_triggerer_has_the_same_end(ledger: Engine) -> None:
    task = operator(wait_for_outcome=True, deferrable=True, timeout=timedelta(seconds=5))
    late = {"error": TriggerFailureReason.TRIGGER_TIMEOUT}
    with pytest.raises(AirflowFailException, match=r"has not ended within 0:00:05; it goes on"):
        task.resume_execution("__fail__", late, context())
