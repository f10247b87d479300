"""Runs that end before anything of them was planned: each leaves a failed execution that says why."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psutil
import psycopg
import pytest

SLOW = [f"slow+{n}@example.com" for n in range(200)]
"""Who take three seconds each."""


def apply(platform: Any, code: str, **fields: Any) -> None:
    task = {"code": code, "name": code, "subject": code, "content_type": "text", "content": "Hello"}
    task |= {"schedule": {"kind": "manual"}, "execution": {"type": "loop"}, "max_active_runs": 1, "recipients": SLOW}
    platform.apply({**task, **fields})
    platform.await_dag(code)


def queued(platform: Any, code: str, run: str = "waits") -> str:
    """A run that waits for another one to end."""
    if not platform.ledger("SELECT 1 FROM push_execution WHERE task_code = %s AND state = 'running'", code):
        assert platform.trigger(code)[0] == 200
        started = "SELECT 1 FROM push_execution WHERE task_code = %s AND state = 'running'"
        platform.eventually(lambda: platform.ledger(started, code) or None, f"{code} to be under way")
    status, answer = platform.trigger(code, {"recipients": ["nobody@example.com"]}, dag_run_id=run)
    assert status == 200, answer
    return str(platform.run_path(code, run))


def refused(platform: Any, code: str) -> list[tuple[str | None, str, str, str]]:
    """Run, source, state and reason of the executions that did not count."""
    query = (
        "SELECT run_id, source, state, error FROM push_execution WHERE task_code = %s AND number IS NULL ORDER BY id"
    )
    rows: list[tuple[str | None, str, str, str]] = platform.ledger(query, code)
    return rows


def recorded(platform: Any, code: str, run: str = "waits") -> str:
    """Why the run did not begin, once that is on record."""

    def why() -> str | None:
        return next(
            (error for name, _, state, error in refused(platform, code) if (name, state) == (run, "failed")), None
        )

    found: str = platform.eventually(why, f"run {run} of {code} to be on record")
    return found


def look(platform: Any) -> None:
    """Wait until the comparison has seen all that has ended until now: what ends later is on record."""
    code = "looked-at"
    if not platform.ledger("SELECT 1 FROM push_task WHERE code = %s", code):
        apply(platform, code)
        assert platform.call(f"/api/v2/dags/push__{code}", {"is_paused": True}, "PATCH")[0] == 200
    run = f"look-{len(refused(platform, code))}"
    assert platform.trigger(code, dag_run_id=run)[0] == 200
    assert platform.call(platform.run_path(code, run), {"state": "failed"}, "PATCH")[0] == 200
    recorded(platform, code, run)


@pytest.mark.parametrize("state", ["failed", "success"])
def test_a_queued_run_that_is_marked(platform: Any, state: str) -> None:
    code = f"unplanned-{state}"
    apply(platform, code)
    assert platform.call(queued(platform, code), {"state": state}, "PATCH")[0] == 200
    assert recorded(platform, code) == f"Anonymous marked the run as {state} before it began"
    platform.push("cancel", code)
    look(platform)
    assert [row[:3] for row in refused(platform, code)] == [("waits", "manual", "failed")]
    assert platform.mails(to="nobody@example.com") == []


@pytest.mark.parametrize(
    ("path", "mark", "said"),
    [
        ("", {"state": "success"}, "run as success"),
        ("/taskInstances/send", {"new_state": "success"}, "task as success"),
    ],
)
def test_a_run_that_is_marked_before_its_process_has_planned(
    platform: Any, path: str, mark: dict[str, str], said: str
) -> None:
    """Its task has a process, a beginning and an end, as one that has sent all."""
    code = f"unplanned-begun-{'-'.join([*path.split('/')[1:2], *mark.values()]).lower()}"
    apply(platform, code)
    with before_planning(platform, code) as process:
        assert platform.call(f"{platform.run_path(code, 'waits')}{path}", mark, "PATCH")[0] == 200
        assert platform.await_runs(code, 1) == ["success"]
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(process).kill()  # as Airflow does at its next sign of life, if it has not done so yet
    assert recorded(platform, code) == f"Anonymous marked the {said} before it began"
    assert platform.mails(subject=code) == []


@contextlib.contextmanager
def before_planning(platform: Any, code: str) -> Iterator[int]:
    """A run whose process has come, and waits for the ledger to plan its execution; gives its number."""
    url = platform.env["AIRFLOW__PUSH__SQL_ALCHEMY_CONN"].replace("+psycopg", "")
    with psycopg.connect(url) as ledger:
        ledger.execute("SELECT 1 FROM push_task WHERE code = %s FOR UPDATE", [code])
        assert platform.trigger(code, dag_run_id="waits")[0] == 200
        # It cannot wait for the ledger before its process is known to Airflow.
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%push_task%%'"
        platform.eventually(lambda: platform.ledger(waiting) or None, "the task to wait for the ledger")
        pid = "SELECT pid FROM task_instance WHERE dag_id = %s AND state = 'running'"
        ((found,),) = platform.eventually(
            lambda: platform.metadata(pid, f"push__{code}") or None, "the process to be known"
        )
        yield found


def test_a_run_on_record_that_is_cleared_begins_after_all(platform: Any) -> None:
    apply(platform, "unplanned-cleared", recipients=["quick@example.com"])
    assert platform.call("/api/v2/dags/push__unplanned-cleared", {"is_paused": True}, "PATCH")[0] == 200
    conf = {"recipients": ["cleared@example.com"]}
    assert platform.trigger("unplanned-cleared", conf, dag_run_id="waits")[0] == 200
    path = platform.run_path("unplanned-cleared", "waits")
    assert platform.call(path, {"state": "failed"}, "PATCH")[0] == 200
    recorded(platform, "unplanned-cleared")
    assert platform.call("/api/v2/dags/push__unplanned-cleared", {"is_paused": False}, "PATCH")[0] == 200
    assert platform.clear("unplanned-cleared", "waits")[0] == 200
    platform.await_mail("cleared@example.com")
    assert platform.await_runs("unplanned-cleared", 1) == ["success"]
    look(platform)
    query = "SELECT run_id, number, state FROM push_execution WHERE task_code = 'unplanned-cleared'"
    assert platform.ledger(query) == [("waits", 1, "succeeded")]


def test_a_queued_run_that_is_deleted(platform: Any) -> None:
    apply(platform, "unplanned-deleted")
    path = queued(platform, "unplanned-deleted", "waited")
    look(platform)  # and has seen it wait
    assert platform.call(path, method="DELETE")[0] in (200, 204)
    assert recorded(platform, "unplanned-deleted", "waited") == "Anonymous deleted the run before it began"
    # Made and deleted between two looks, as few people are quick enough for.
    path = queued(platform, "unplanned-deleted", "was-gone-at-once")
    assert platform.call(path, method="DELETE")[0] in (200, 204)
    why = recorded(platform, "unplanned-deleted", "was-gone-at-once")
    assert why == "Anonymous deleted the run before it began"
    look(platform)
    assert len(refused(platform, "unplanned-deleted")) == 2
    platform.push("cancel", "unplanned-deleted")


def test_a_queued_run_that_is_deleted_and_made_anew_under_its_id(platform: Any) -> None:
    apply(platform, "unplanned-anew")
    path = queued(platform, "unplanned-anew", "mine")
    look(platform)
    assert platform.call(path, method="DELETE")[0] in (200, 204)
    queued(platform, "unplanned-anew", "mine")
    assert recorded(platform, "unplanned-anew", "mine") == "Anonymous deleted the run before it began"
    platform.push("cancel", "unplanned-anew")


def test_a_dag_that_is_deleted_with_a_queued_run(platform: Any) -> None:
    apply(platform, "unplanned-binned")
    assert platform.call("/api/v2/dags/push__unplanned-binned", {"is_paused": True}, "PATCH")[0] == 200
    assert platform.trigger("unplanned-binned", dag_run_id="waits")[0] == 200
    look(platform)
    assert platform.call("/api/v2/dags/push__unplanned-binned", method="DELETE")[0] in (200, 204)
    assert recorded(platform, "unplanned-binned") == "Anonymous deleted the DAG before it began"
    assert platform.mails(subject="unplanned-binned") == []


def test_a_run_whose_process_is_killed_before_it_has_planned(platform: Any) -> None:
    apply(platform, "unplanned-killed", retries=0)
    with before_planning(platform, "unplanned-killed") as process:
        psutil.Process(process).kill()
        assert platform.await_runs("unplanned-killed", 1) == ["failed"]
    why = recorded(platform, "unplanned-killed")
    assert why == "The run has ended as failed before anything of it was planned: the log of its task says more"
    assert platform.mails(subject="unplanned-killed") == []


def test_a_run_whose_tries_end_while_the_ledger_is_away(platform: Any) -> None:
    apply(platform, "unplanned-away", retries=0)
    # Airflow tries three times to find the DAG, a minute apart.
    soon = (
        "UPDATE task_reschedule SET reschedule_date = now() WHERE reschedule_date > now() AND ti_id IN "
        "(SELECT id FROM task_instance WHERE dag_id = 'push__unplanned-away') RETURNING 1"
    )

    def failed() -> bool | None:
        platform.metadata(soon)
        return platform.runs("unplanned-away")[0]["state"] == "failed" or None

    with platform.without_ledger():
        assert platform.trigger("unplanned-away", dag_run_id="waits")[0] == 200
        platform.eventually(failed, "the run to fail")
    assert recorded(platform, "unplanned-away").endswith("the log of its task says more")


def test_a_run_in_the_future(platform: Any) -> None:
    apply(platform, "unplanned-future")
    tomorrow = datetime(2100, 1, 1, tzinfo=UTC).isoformat()
    assert platform.trigger("unplanned-future", dag_run_id="waits", logical_date=tomorrow)[0] == 200
    assert "lies in the future" in recorded(platform, "unplanned-future")


def test_a_missed_time_and_tests_of_the_command_line_are_no_failures(platform: Any) -> None:
    daily: dict[str, Any] = {"schedule": {"kind": "daily", "time": "00:00"}, "missed": "skip"}
    apply(platform, "unplanned-missed", **daily)
    platform.ledger(
        "UPDATE push_task SET schedule_since = now() - interval '9 days' WHERE code = 'unplanned-missed' RETURNING 1"
    )
    apply(platform, "unplanned-missed", **daily, owner="since long ago")
    assert platform.await_runs("unplanned-missed", 1) == ["success"]
    apply(platform, "unplanned-tested")
    for command in (["tasks", "test", "push__unplanned-tested", "send"], ["dags", "test", "push__unplanned-tested"]):
        assert platform.airflow(*command).returncode in (0, 1)
    look(platform)
    # What is deleted later was skipped all the same.
    for code in ("unplanned-missed", "unplanned-tested"):
        for run in platform.runs(code):
            assert platform.call(platform.run_path(code, run["dag_run_id"]), method="DELETE")[0] in (200, 204), run
    look(platform)
    for code in ("unplanned-missed", "unplanned-tested"):
        assert platform.ledger("SELECT run_id, error FROM push_execution WHERE task_code = %s", code) == []


def test_what_ends_while_no_api_server_is_there(platform: Any) -> None:
    apply(platform, "unplanned-unseen")
    queued(platform, "unplanned-unseen", "seen")
    look(platform)
    platform.process_of("api-server").kill()
    platform.metadata(
        "UPDATE dag_run SET state = 'failed', end_date = now() WHERE run_id = 'seen' RETURNING 1",
    )
    platform.eventually(platform.is_healthy, "the API server to be back")
    recorded(platform, "unplanned-unseen", "seen")
    row = "SELECT id FROM push_execution WHERE task_code = 'unplanned-unseen' AND run_id = 'seen'"
    before = platform.ledger(row)
    platform.process_of("api-server").kill()
    platform.eventually(platform.is_healthy, "the API server to be back")
    look(platform)
    assert platform.ledger(row) == before
    platform.push("cancel", "unplanned-unseen")
