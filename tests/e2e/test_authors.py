"""DAGs of other people on the running platform: they begin executions, wait for them, and tell of their failures."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FAILS = """
from airflow.sdk import dag, task
from push_provider.notifications.push import PushNotifier

def told(by):
    variables = {"dag": "{{ dag.dag_id }}", "run": "{{ run_id }}"}
    return PushNotifier(push_task="dag-failed", recipients=[f"{by}@example.com"], variables=variables)

@dag(schedule=None, on_failure_callback=told("dag-owner"))
def always_fails():
    @task(on_failure_callback=told("task-owner"))
    def breaks():
        raise ValueError("on purpose")
    breaks()

always_fails()
"""

HALF_TOLD = """
from airflow.sdk import dag
from push_provider.operators.begin import PushOperator

@dag(schedule=None)
def half_told():
    PushOperator(
        task_id="tell",
        push_task="half-told",
        recipients=[{"to": "has@example.com", "variables": {"name": "{{ dag.dag_id }}"}}, "lacks@example.com"],
        wait_for_outcome=True,
        deferrable=True,
    )
    PushOperator(task_id="rest", push_task="resting")

half_told()
"""

LATE = """
from datetime import timedelta
from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference, SyncCallback, dag, task
from push_provider.notifications.push import PushNotifier

def told(callback, by):
    variables = {"dag": "{{ dag_run.dag_id }}", "run": "{{ dag_run.dag_run_id }}"}
    what = {"push_task": "dag-failed", "recipients": [f"{by}@example.com"], "variables": variables}
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(seconds=1),
        callback=callback(PushNotifier, kwargs=what),
    )

@dag(schedule=None, deadline=[told(AsyncCallback, "triggerer"), told(SyncCallback, "executor")])
def late():
    @task
    def never():
        pass
    never()

late()
"""


@pytest.fixture(scope="module", autouse=True)
def _placed(platform: Any) -> Iterator[None]:
    """The DAG files where people put theirs, all at once: Airflow looks for new ones twice a minute."""
    dags = ROOT / "dags"
    texts = {
        "daily_figures.py": (ROOT / "docs" / "examples" / "daily_figures.py").read_text(),
        "always_fails.py": FAILS,
        "half_told.py": HALF_TOLD,
        "late.py": LATE,
    }
    try:
        for name, text in texts.items():
            (dags / name).write_text(text)
        yield
    finally:
        for name in texts:
            (dags / name).unlink(missing_ok=True)


def run(platform: Any, dag: str) -> str:
    """Trigger a DAG once it is there, and return the state that its run ends in."""
    path = f"/api/v2/dags/{dag}"
    platform.eventually(
        lambda: platform.call(path, {"is_paused": False}, "PATCH")[0] == 200 or None, f"{dag} to be there"
    )
    status, begun = platform.call(f"{path}/dagRuns", {"logical_date": None})
    assert status == 200, begun

    def ended() -> str | None:
        state = platform.call(f"{path}/dagRuns/{begun['dag_run_id']}")[1]["state"]
        return state if state in ("success", "failed") else None

    return str(platform.eventually(ended, f"the run of {dag} to end"))


def instance(platform: Any, dag: str, task: str, what: str) -> Any:
    """What Airflow's API says of a task of a DAG's only run."""
    (only,) = platform.call(f"/api/v2/dags/{dag}/dagRuns")[1]["dag_runs"]
    run_id = urllib.parse.quote(only["dag_run_id"], safe="")
    return platform.call(f"/api/v2/dags/{dag}/dagRuns/{run_id}/taskInstances/{task}{what}")[1]


def test_the_example_tells_its_customers_and_waits_until_they_have_it(platform: Any) -> None:
    platform.await_dag("order-notice")
    assert run(platform, "daily_figures") == "success"
    assert "A-1002" in platform.await_mail("bob@example.com")["Subject"]
    query = (
        "SELECT state, sent, triggered_by, run_id FROM push_execution "
        "WHERE source = 'dag' AND task_code = 'order-notice'"
    )
    ((*told, run_id),) = platform.ledger(query)
    assert told == ["succeeded", 2, "daily_figures.tell_customers"]
    links = instance(platform, "daily_figures", "tell_customers", "/links")
    assert links["extra_links"]["Execution"].endswith(f"/dags/push__order-notice/runs/{run_id}")


def test_owners_are_told_of_a_failure(platform: Any) -> None:
    platform.await_dag("dag-failed")
    assert run(platform, "always_fails") == "failed"
    for owner in ("task-owner", "dag-owner"):  # the former from the task's process, the latter from the DAG processor
        assert platform.await_mail(f"{owner}@example.com")["Subject"] == "always_fails has failed / always_fails 失败"
    query = "SELECT triggered_by FROM push_execution WHERE task_code = 'dag-failed' ORDER BY triggered_by"
    assert platform.ledger(query) == [("always_fails",), ("always_fails.breaks",)]
    # The DAG processor answers nothing to what it does not know: a callback that asks hangs until it is killed.
    log = (platform.home / "logs" / "platform" / "dag-processor.log").read_text()
    assert "Unable to decode message" not in log


def test_who_waits_fails_with_the_numbers_and_what_is_paused_begins_nothing(platform: Any) -> None:
    platform.apply(
        {
            "code": "half-told", "name": "Half told", "schedule": {"kind": "manual"}, "execution": {"type": "loop"},
            "subject": "Told", "content": "{{ name }}",
        },
        {
            "code": "resting", "name": "Resting", "schedule": {"kind": "manual"}, "execution": {"type": "loop"},
            "subject": "Rests", "content": "x", "recipients": ["rests@example.com"],
        },
    )  # fmt: skip
    platform.await_dag("half-told")
    platform.await_dag("resting")
    assert platform.call("/api/v2/dags/push__resting", {"is_paused": True}, "PATCH")[0] == 200
    assert run(platform, "half_told") == "failed"
    ((number, run_id),) = platform.ledger("SELECT id, run_id FROM push_execution WHERE task_code = 'half-told'")
    log = json.dumps(instance(platform, "half_told", "tell", "/logs/1?full_content=true"))
    assert f"Execution {number} of push task 'half-told' is partial: 1 of 2 sent, 1 failed" in log
    assert f"airflow push deliveries --execution {number}" in log
    links = instance(platform, "half_told", "tell", "/links")
    assert links["extra_links"]["Execution"].endswith(f"/dags/push__half-told/runs/{run_id}")
    log = json.dumps(instance(platform, "half_told", "rest", "/logs/1?full_content=true"))
    assert "Push task 'resting' is paused: it takes no execution. Resume it first." in log
    assert platform.ledger("SELECT count(*) FROM push_execution WHERE task_code = 'resting'") == [(0,)]


def test_a_missed_deadline_is_told_of(platform: Any) -> None:
    platform.await_dag("dag-failed")
    path = "/api/v2/dags/late"
    platform.eventually(lambda: platform.call(path, {"is_paused": True}, "PATCH")[0] == 200 or None, "late to be there")
    assert platform.call(f"{path}/dagRuns", {"logical_date": None})[0] == 200  # and it waits, since the DAG is paused
    for owner in ("triggerer", "executor"):
        assert platform.await_mail(f"{owner}@example.com")["Subject"] == "late has failed / late 失败"
    assert "Unable to decode message" not in (platform.home / "logs" / "platform" / "triggerer.log").read_text()
