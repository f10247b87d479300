"""The notifier with which other DAGs tell people of failures and the like, on a real ledger."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG
from other_dags import Supervisor, apply, context

from push_provider.exceptions import InvalidTask, TaskPaused, UnknownTask
from push_provider.ledger import deliveries, executions
from push_provider.notifications.push import PushNotifier

if TYPE_CHECKING:
    from sqlalchemy import Engine

pytestmark = pytest.mark.usefixtures("notice")


def notifier(**fields: Any) -> PushNotifier:
    return PushNotifier(**{"push_task": "notice", "recipients": ["ops@example.com"], **fields})


def of_dag(**fields: Any) -> Any:
    """What Airflow's DAG processor hands to a callback of a DAG whose last task it knows."""
    return {**context(**fields), "reason": "task_failure"}


def told(ledger: Engine) -> list[str | None]:
    return sorted(str(row.triggered_by) for row in executions.find(ledger))


def test_a_try_is_told_once_and_the_next_one_again(ledger: Engine, supervisor: Supervisor) -> None:
    for tried in (1, 1, 2):
        notifier().notify(context(tried=tried))
    notifier().notify(context(mapped=3))
    assert told(ledger) == ["daily.tell"] * 3
    assert len(supervisor.runs) == 3  # made at once, since a task can


def test_a_run_is_told_once_and_again_when_it_was_cleared(ledger: Engine) -> None:
    for clears in (0, 0, 1):
        notifier().notify(of_dag(clears=clears))
    assert told(ledger) == ["daily"] * 2


def test_a_run_is_told_of_apart_from_its_last_task(ledger: Engine) -> None:
    notifier().notify(context())
    notifier().notify(of_dag())
    assert told(ledger) == ["daily", "daily.tell"]


def test_a_run_without_a_last_task_is_told_of(ledger: Engine) -> None:
    bare = {key: of_dag()[key] for key in ("dag", "run_id", "reason")}
    notifier().notify(bare)
    assert told(ledger) == ["daily"]


def test_a_missed_deadline_is_told_of_from_what_airflow_gives(ledger: Engine) -> None:
    run = {"dag_id": "daily", "dag_run_id": "run"}
    for deadline in ("1", "1", "2"):
        missed = {"dag_run": run, "deadline": {"id": deadline, "deadline_time": "2026-07-01T09:00:00Z"}}
        asyncio.run(notifier().async_notify(missed))
    assert told(ledger) == ["daily"] * 2


@pytest.mark.parametrize("other", [{"recipients": "boss@example.com"}, {"variables": {"n": 2}}])
def test_notifiers_of_one_moment_that_say_other_things_are_all_heard(ledger: Engine, other: dict[str, Any]) -> None:
    notifier().notify(context())
    notifier(**other).notify(context())
    assert len(executions.find(ledger)) == 2


def test_an_owner_is_told_by_sms_as_by_mail(ledger: Engine) -> None:
    sms = {"channel": "sms", "subject": None, "content": None, "variables": {"order": "A-1"}}
    apply(ledger, "by-sms", **sms)
    with pytest.raises(InvalidTask, match="recipients"):
        notifier(push_task="by-sms").notify(context())  # a mail address is none of an SMS
    notifier(push_task="by-sms", recipients=["13800138000"]).notify(context())
    assert {row.recipient for row in deliveries.find(ledger)} == {"13800138000"}  # as it was written


def test_fields_are_rendered_anew_for_each_run_of_a_dag(ledger: Engine) -> None:
    with DAG("daily") as dag:
        shared = notifier(recipients=["{{ run_id }}@example.com"])
    for run in ("monday", "tuesday"):
        shared({**of_dag(run=run), "dag": dag})
    assert {row.recipient for row in deliveries.find(ledger)} == {"monday@example.com", "tuesday@example.com"}


def test_only_a_task_asks_airflow_for_the_run(
    ledger: Engine, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CTX_TASK_ID")
    supervisor.paused.add("push__notice")
    notifier().notify(of_dag())
    assert supervisor.asked == 0
    assert len(executions.waiting(ledger, sources=["dag"])) == 1  # for the API server


def test_a_notifier_that_cannot_tell_says_why(ledger: Engine, supervisor: Supervisor) -> None:
    with pytest.raises(UnknownTask, match="nobody"):
        notifier(push_task="nobody").notify(context())
    supervisor.paused.add("push__notice")
    with pytest.raises(TaskPaused, match="'notice' is paused"):
        notifier().notify(context())
    assert executions.find(ledger) == []
