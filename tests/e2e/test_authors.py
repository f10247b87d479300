"""DAGs of other people on the running platform: they begin executions, wait for them, and tell of their failures."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
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


@pytest.fixture
def place() -> Iterator[Callable[[str, str | None], Path]]:
    """Puts a DAG file where people put theirs, and takes it away again."""
    placed: list[Path] = []

    def put(name: str, text: str | None = None) -> Path:
        path = ROOT / "dags" / name
        placed.append(path)
        if text is None:
            shutil.copy(ROOT / "docs" / "examples" / name, path)
        else:
            path.write_text(text)
        return path

    yield put
    for path in placed:
        path.unlink(missing_ok=True)


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


def test_the_example_tells_its_customers_and_waits_until_they_have_it(platform: Any, place: Any) -> None:
    place("daily_figures.py")
    platform.await_dag("order-notice")
    assert run(platform, "daily_figures") == "success"
    assert "A-1002" in platform.await_mail("bob@example.com")["Subject"]
    query = "SELECT state, sent, triggered_by FROM push_execution WHERE source = 'dag' AND task_code = 'order-notice'"
    assert platform.ledger(query) == [("succeeded", 2, "daily_figures.tell_customers")]


def test_owners_are_told_of_a_failure(platform: Any, place: Any) -> None:
    place("always_fails.py", FAILS)
    platform.await_dag("dag-failed")
    assert run(platform, "always_fails") == "failed"
    for owner in ("task-owner", "dag-owner"):  # the former from the task's process, the latter from the DAG processor
        assert platform.await_mail(f"{owner}@example.com")["Subject"] == "always_fails has failed / always_fails 失败"
