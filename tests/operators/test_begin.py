"""What other DAGs do with push tasks: begin executions, wait for them, and tell of failures. On a real ledger."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRuntimeError,
    AirflowSkipException,
    ErrorType,
    TaskDeferred,
)
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, OKResponse, TriggerDagRun

from push_provider.channels.base import Outcome, Result
from push_provider.exceptions import UnknownTask
from push_provider.ledger import deliveries, executions, tasks
from push_provider.notifications.push import PushNotifier
from push_provider.operators.begin import PushOperator
from push_provider.sensors.execution import PushExecutionSensor
from push_provider.task import parse
from push_provider.triggers.execution import PushExecutionTrigger

if TYPE_CHECKING:
    from sqlalchemy import Engine

NOW = datetime(2026, 7, 1, tzinfo=UTC)


class Supervisor:
    """Airflow's side of a task: makes DAG runs, and remembers which; or refuses, as the DAG processor does."""

    def __init__(self) -> None:
        self.runs: dict[str, TriggerDagRun] = {}
        self.refuses = False

    def send(self, asked: TriggerDagRun) -> OKResponse:
        assert isinstance(asked, TriggerDagRun)
        if self.refuses:
            detail = {"status_code": 400, "message": "Unhandled request"}
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.GENERIC_ERROR, detail=detail))
        assert asked.run_id not in self.runs
        self.runs[asked.run_id] = asked
        return OKResponse(ok=True)


@pytest.fixture(autouse=True)
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    supervisor = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    return supervisor


@pytest.fixture(autouse=True)
def push_task(ledger: Engine) -> None:
    apply(ledger, "notice")


def apply(ledger: Engine, code: str, **fields: Any) -> None:
    task = {"code": code, "name": "T", "channel": "email", "subject": "Hello", "content": "x",
            "schedule": {"kind": "manual"}, "execution": {"type": "loop"}, **fields}  # fmt: skip
    tasks.apply(ledger, parse(task), now=NOW, default_timezone="UTC")


def context(task_id: str = "tell", *, tried: int = 1, mapped: int = -1, clears: int = 0) -> Any:
    instance = SimpleNamespace(
        dag_id="daily", run_id="run", task_id=task_id, map_index=mapped, try_number=tried, state="failed"
    )
    run = SimpleNamespace(dag_id="daily", run_id="run", clear_number=clears, state="failed")
    return {"ti": instance, "dag_run": run}


def operator(**fields: Any) -> PushOperator:
    return PushOperator(
        **{"task_id": "tell", "push_task": "notice", "recipients": ["a@example.com", "b@example.com"], **fields}
    )


def send(ledger: Engine, execution: int, *results: Result, code: str = "notice") -> None:
    """Send an execution as its own DAG run does."""
    with executions.sending(ledger, code, execution, on_unknown="resend"):
        claimed = executions.claim(ledger, execution, 10)
        executions.record(ledger, [Outcome(one.id, result) for one, result in zip(claimed, results, strict=True)])
        executions.finish(ledger, execution, final=True)


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
    with pytest.raises(AirflowFailException, match=where):
        PushExecutionSensor(task_id="wait", execution=str(number)).execute(context())


def test_a_wait_for_what_was_cancelled_is_skipped(ledger: Engine) -> None:
    number = operator().execute(context())["execution"]
    tasks.cancel(ledger, "notice")
    with executions.sending(ledger, "notice", number, on_unknown="resend"):
        executions.finish(ledger, number, final=True)
    with pytest.raises(AirflowSkipException, match="2 cancelled"):
        operator(wait_for_outcome=True).execute(context())


def test_a_wait_in_a_worker_has_an_end(ledger: Engine) -> None:
    with pytest.raises(AirflowFailException, match=r"has not ended within .*; it goes on"):
        operator(wait_for_outcome=True, poll_seconds=0.01, timeout=timedelta(seconds=0.05)).execute(context())


def test_the_sensor_looks_and_defers(ledger: Engine) -> None:
    number = operator().execute(context())["execution"]
    sensor = PushExecutionSensor(task_id="wait", execution=number, deferrable=True, timeout=60)
    assert not sensor.poke(context()).is_done
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute(context())
    assert deferred.value.timeout == timedelta(seconds=60)
    send(ledger, number, Result.SENT, Result.SENT)
    assert sensor.poke(context()).is_done
    assert sensor.resume(context(), {"execution": number})["sent"] == 2
    assert sensor.execute(context())["state"] == "succeeded"


@pytest.mark.parametrize(("execution", "reason"), [(4711, "no execution 4711"), ("None", "takes the number")])
def test_a_sensor_without_an_execution_fails(execution: Any, reason: str) -> None:
    with pytest.raises(AirflowFailException, match=reason):
        PushExecutionSensor(task_id="wait", execution=execution).execute(context())


def test_a_trigger_fires_for_an_execution_that_is_gone() -> None:
    async def fired() -> Any:
        return (await asyncio.wait_for(anext(PushExecutionTrigger(execution=4711, poll_seconds=1).run()), 30)).payload

    assert asyncio.run(fired()) == {"execution": 4711}


# --- telling of failures ----------------------------------------------------------------------------------


def test_a_moment_is_told_once_and_the_next_one_again(ledger: Engine) -> None:
    notifier = PushNotifier(push_task="notice", recipients=["ops@example.com"], variables={"dag": "daily"})
    for tried in (1, 1, 2):
        notifier.notify(context(tried=tried))
    run = {"dag_run": context()["dag_run"]}
    notifier.notify(run)
    notifier.notify(run)
    notifier.notify({"dag_run": context(clears=1)["dag_run"]})
    PushNotifier(push_task="notice", recipients="boss@example.com").notify(run)
    told = [(row.triggered_by, row.source) for row in executions.find(ledger)]
    assert sorted(told) == [("daily", "dag")] * 3 + [("daily.tell", "dag")] * 2


def test_the_notifier_works_from_the_triggerer_and_the_dag_processor(ledger: Engine, supervisor: Supervisor) -> None:
    supervisor.refuses = True
    notifier = PushNotifier(push_task="notice", recipients=["ops@example.com"])
    asyncio.run(notifier.async_notify(context()))
    assert len(executions.waiting(ledger, sources=["dag"])) == 1


def test_a_notifier_that_cannot_tell_says_why() -> None:
    with pytest.raises(UnknownTask, match="nobody"):
        PushNotifier(push_task="nobody").notify(context())
