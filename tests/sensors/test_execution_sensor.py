"""The sensor that waits for the end of an execution, on a real ledger."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.bases.operator import TriggerFailureReason
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout, AirflowSkipException, TaskDeferred
from other_dags import context, send
from outages import away_at_first

from push_provider.channels.base import Outcome, Result
from push_provider.ledger import closing, sending, tasks
from push_provider.operators.begin import PushOperator
from push_provider.sensors.execution import PushExecutionSensor

if TYPE_CHECKING:
    from sqlalchemy import Engine

pytestmark = pytest.mark.usefixtures("notice")


@pytest.fixture
def number() -> int:
    """An execution with two recipients, which has begun."""
    begun = PushOperator(task_id="tell", push_task="notice", recipients=["a@example.com", "b@example.com"])
    return int(begun.execute(context())["execution"])


def test_the_sensor_looks_and_defers(ledger: Engine, number: int) -> None:
    sensor = PushExecutionSensor(task_id="wait", execution=number, deferrable=True, timeout=60)
    assert not sensor.poke(context()).is_done
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute(context())
    assert deferred.value.timeout == timedelta(seconds=60)
    send(ledger, number, Result.SENT, Result.SENT)
    assert sensor.poke(context()).is_done
    assert sensor.resume(context(), {"execution": number})["sent"] == 2
    assert sensor.execute(context())["state"] == "succeeded"


def test_what_partly_failed_fails_and_says_where_to_look(ledger: Engine, number: int) -> None:
    send(ledger, number, Result.SENT, Result.FAILED)
    with pytest.raises(AirflowFailException, match=f"1 of 2 sent, 1 failed.*deliveries --execution {number}"):
        PushExecutionSensor(task_id="wait", execution=str(number)).execute(context())


def test_what_was_cancelled_is_skipped(ledger: Engine, number: int) -> None:
    tasks.cancel(ledger, "notice")
    with sending.held(ledger, "notice", number, on_unknown="resend"):
        closing.finish(ledger, number, final=True)
    with pytest.raises(AirflowSkipException, match="2 cancelled"):
        PushExecutionSensor(task_id="wait", execution=number).execute(context())


def test_an_execution_that_goes_on_again_before_the_sensor_looks_is_waited_for_again(
    ledger: Engine, number: int
) -> None:
    send(ledger, number, Result.SENT, Result.FAILED)
    sensor = PushExecutionSensor(task_id="wait", execution=number, deferrable=True)
    with sending.held(ledger, "notice", number, on_unknown="resend") as lease:  # somebody has sent it anew
        with pytest.raises(TaskDeferred):
            sensor.resume(context(), {"execution": number})
        (one,) = sending.claim(lease, 10)
        sending.record(lease, [Outcome(one.id, Result.SENT)])
        closing.finish(ledger, number, final=True, lease=lease)
    assert sensor.resume(context(), {"execution": number})["sent"] == 2


def test_a_sensor_in_a_worker_waits_while_the_ledger_is_away(
    ledger: Engine, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(ledger, number, Result.SENT, Result.SENT)
    sensor = PushExecutionSensor(task_id="wait", execution=number, poke_interval=0.01)
    with away_at_first(monkeypatch) as tries:
        assert sensor.execute(context())["sent"] == 2
    assert tries


@pytest.mark.parametrize(("soft", "ends"), [(False, AirflowSensorTimeout), (True, AirflowSkipException)])
def test_a_wait_in_the_triggerer_has_an_end(number: int, soft: bool, ends: type[Exception]) -> None:
    sensor = PushExecutionSensor(task_id="wait", execution=number, deferrable=True, soft_fail=soft)
    with pytest.raises(ends):
        sensor.resume_execution("__fail__", {"error": TriggerFailureReason.TRIGGER_TIMEOUT}, context())


@pytest.mark.parametrize(
    ("execution", "reason"),
    [
        (4711, "no execution 4711"),
        ("None", "takes the number"),
        (10**30, "takes the number"),
        ("9" * 5000, "^execution is '9{59}…'; it takes the number"),
    ],
)
def test_a_sensor_without_an_execution_fails(execution: Any, reason: str) -> None:
    with pytest.raises(AirflowFailException, match=reason):
        PushExecutionSensor(task_id="wait", execution=execution).execute(context())
