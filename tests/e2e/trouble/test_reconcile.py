"""What people do to runs and DAGs in Airflow, and what fails: the ledger and Airflow come together within seconds."""

from __future__ import annotations

from typing import Any

import pytest

UNREADABLE = "Push tasks cannot be read: their DAGs stay as they are until they can"


def apply(platform: Any, code: str, recipients: int | list[str] = 60, **fields: Any) -> None:
    """A push task to certain recipients, or to so many who take three seconds each."""
    if isinstance(recipients, int):
        recipients = [f"slow+{n}@example.com" for n in range(recipients)]
    task = {"code": code, "name": code, "subject": code, "content_type": "text", "content": "Hello"}
    task |= {
        "schedule": {"kind": "manual"},
        "execution": {"type": "loop"},
        "recipients": recipients,
    }
    platform.apply({**task, **fields})
    platform.await_dag(code)


def begin(platform: Any, code: str) -> str:
    """Trigger it, and return the run when the first outcomes are on record."""
    status, run = platform.trigger(code)
    assert status == 200, run
    query = """SELECT 1 FROM push_delivery d JOIN push_execution e ON e.id = d.execution_id
               WHERE e.task_code = %s AND d.state = 'sent' LIMIT 1"""
    platform.eventually(lambda: platform.ledger(query, code) or None, f"the first outcomes of {code}")
    return str(run["dag_run_id"])


def ended(platform: Any, code: str, number: int = 1) -> tuple[str, str]:
    """State and error of an execution, once it has ended."""
    query = """SELECT state, error FROM push_execution
               WHERE task_code = %s AND number = %s AND finished_at IS NOT NULL"""
    row: tuple[str, str] = platform.eventually(
        lambda: next(iter(platform.ledger(query, code, number)), None), f"execution {number} of {code} to end"
    )
    return row


def delivered(platform: Any, code: str) -> tuple[int, int]:
    """How many mails arrived, and how many the ledger calls sent or in doubt."""
    query = """SELECT count(*) FROM push_delivery d JOIN push_execution e ON e.id = d.execution_id
               WHERE e.task_code = %s AND d.state IN ('sent', 'unknown')"""
    return len(platform.mails(subject=code)), platform.ledger(query, code)[0][0]


@pytest.mark.parametrize("state", ["failed", "success"])
def test_a_run_that_is_marked_while_it_sends_ends_so(platform: Any, state: str) -> None:
    code = f"marked-{state}"
    apply(platform, code)
    run = begin(platform, code)
    assert platform.call(platform.run_path(code, run), {"state": state}, method="PATCH")[0] == 200
    assert ended(platform, code)[0] == "partial"
    assert f"marked the run as {state}" in ended(platform, code)[1]

    def still() -> tuple[int, int] | None:
        mails, told = delivered(platform, code)
        return (mails, told) if mails == told else None

    mails, _ = platform.eventually(still, "the sender to have stopped")
    assert mails < 60
    # Airflow takes the DAG for full until its next parse; the next execution begins all the same.
    platform.eventually(
        lambda: (
            platform.metadata("SELECT 1 FROM dag WHERE dag_id = %s AND NOT exceeds_max_non_backfill", f"push__{code}")
            or None
        ),
        "the DAG to take runs",
    )
    assert platform.trigger(code, {"recipients": ["after@example.com"]})[0] == 200
    platform.await_mail("after@example.com")


def test_a_task_that_is_marked_while_it_sends(platform: Any) -> None:
    apply(platform, "marked-task")
    run = begin(platform, "marked-task")
    path = f"{platform.run_path('marked-task', run)}/taskInstances/send"
    assert platform.call(path, {"new_state": "failed"}, method="PATCH")[0] == 200
    state, error = ended(platform, "marked-task")
    assert state == "partial"
    assert "marked the task" in error


def test_a_queued_run_that_is_deleted_leaves_an_execution_that_says_so(platform: Any) -> None:
    apply(platform, "queued-deleted", max_active_runs=1)
    begin(platform, "queued-deleted")
    (started,) = platform.call("/push/v1/tasks/queued-deleted/trigger", {})[1:]
    assert platform.call(platform.run_path("queued-deleted", started["run_id"]), method="DELETE")[0] in (200, 204)
    assert ended(platform, "queued-deleted", 2)[0] == "failed"
    assert "deleted the run" in ended(platform, "queued-deleted", 2)[1]
    platform.push("cancel", "queued-deleted")


def test_a_queued_run_that_is_marked_ends_its_execution_and_sends_nothing(platform: Any) -> None:
    apply(platform, "queued-marked", max_active_runs=1)
    begin(platform, "queued-marked")
    body = {"recipients": ["queued-marked@example.com"]}
    (started,) = platform.call("/push/v1/tasks/queued-marked/trigger", body)[1:]
    run = platform.run_path("queued-marked", started["run_id"])
    assert platform.call(run, {"state": "failed"}, method="PATCH")[0] == 200
    assert ended(platform, "queued-marked", 2) == ("failed", "Anonymous marked the run as failed before all was sent")
    platform.push("cancel", "queued-marked")
    ended(platform, "queued-marked", 1)
    assert platform.mails(to="queued-marked@example.com") == []


def test_a_run_that_is_marked_before_its_many_deliveries_are_written_has_them_on_record(platform: Any) -> None:
    apply(platform, "many-marked", recipients=1200, max_active_runs=1)
    begin(platform, "many-marked")
    (started,) = platform.call("/push/v1/tasks/many-marked/trigger", {})[1:]
    run = platform.run_path("many-marked", started["run_id"])
    assert platform.call(run, {"state": "failed"}, method="PATCH")[0] == 200
    why = "Anonymous marked the run as failed before all was sent"
    assert ended(platform, "many-marked", 2) == ("failed", why)
    query = """SELECT d.state, d.error_code, d.error_text, count(*) FROM push_delivery d
               JOIN push_execution e ON e.id = d.execution_id
               WHERE e.task_code = %s AND e.number = 2 GROUP BY 1, 2, 3"""
    told = platform.eventually(
        lambda: platform.ledger(query, "many-marked") or None, "who did not get it to be on record"
    )
    assert told == [("failed", "not-sent", why, 1200)]
    platform.push("cancel", "many-marked")
    ended(platform, "many-marked", 1)


def test_a_dag_that_is_deleted_while_it_sends_ends_the_execution_and_the_sender(platform: Any) -> None:
    apply(platform, "binned-midway")
    run = begin(platform, "binned-midway")

    def deleted() -> bool | None:  # Airflow refuses to delete a DAG while one of its tasks runs
        marked = platform.call(platform.run_path("binned-midway", run), {"state": "failed"}, method="PATCH")[0]
        assert marked in (200, 404)
        return platform.call("/api/v2/dags/push__binned-midway", method="DELETE")[0] in (200, 204) or None

    platform.eventually(deleted, "the DAG to be deleted")
    assert ended(platform, "binned-midway")[0] == "partial"
    platform.eventually(
        lambda: len(set(delivered(platform, "binned-midway"))) == 1 or None, "ledger and mailbox to say the same"
    )
    platform.await_dag("binned-midway", is_stale=False)
    ((execution,),) = platform.ledger("SELECT id FROM push_execution WHERE task_code = 'binned-midway'")
    # Its run is gone, and it can be sent again all the same.
    status, again = platform.call(f"/push/v1/executions/{execution}/redrive", {})
    assert status == 202, again
    platform.eventually(lambda: len(platform.received(subject="binned-midway")) == 60 or None, "all to have it")
    platform.eventually(
        lambda: platform.ledger("SELECT 1 FROM push_execution WHERE id = %s AND sent = total", execution) or None,
        "the execution to succeed",
    )
    platform.push("cancel", "binned-midway")

    def gone() -> bool | None:  # refused while a run of it goes on
        status, answer = platform.call("/push/v1/tasks/binned-midway?purge=true", method="DELETE")
        print(status, answer)
        return status in (200, 204) or None

    platform.eventually(gone, "the push task to be deleted")


@pytest.mark.parametrize("paused", [False, True])
def test_a_dag_that_is_deleted_comes_back_as_it_was(platform: Any, paused: bool) -> None:
    code = f"binned-{str(paused).lower()}"
    apply(platform, code)
    assert platform.call(f"/api/v2/dags/push__{code}", {"is_paused": paused}, method="PATCH")[0] == 200
    assert platform.call(f"/api/v2/dags/push__{code}", method="DELETE")[0] in (200, 204)
    platform.await_dag(code, is_paused=paused)
    if not paused:
        assert platform.trigger(code, {"recipients": ["unbinned@example.com"]})[0] == 200
        platform.await_mail("unbinned@example.com")


def test_a_dag_that_comes_back_sends_nothing_again(platform: Any) -> None:
    """Airflow makes the runs of its first time and of the last one anew, under the ids that they had."""
    code = "back-by-clock"
    daily: dict[str, Any] = {"schedule": {"kind": "daily", "time": "00:00", "timezone": "UTC"}, "missed": "all"}
    apply(platform, code, ["bounce@example.com"], **daily)
    # Two times have passed, whatever the hour: the run of the second one is made when that of the first has ended.
    since = "date_trunc('day', now(), 'UTC') - interval '25 hours'"
    platform.ledger(f"UPDATE push_task SET schedule_since = {since} WHERE code = '{code}' RETURNING 1")
    apply(platform, code, ["bounce@example.com"], **daily, owner="since yesterday")

    def runs() -> list[tuple[str, str]] | None:
        """Id and state of the runs of the times that have passed, once all have ended."""
        found = [(run["dag_run_id"], run["state"]) for run in platform.runs(code)]
        over = len(found) >= 2 and all(state in ("success", "failed") for _, state in found)
        return sorted(found) if over else None

    done = "SELECT id, state, attempts FROM push_delivery WHERE recipient = 'bounce@example.com' AND execution_id IN "
    done += f"(SELECT id FROM push_execution WHERE task_code = '{code}') ORDER BY id"
    before = platform.eventually(runs, "the runs of times that passed to end")
    assert {state for _, state in before} == {"failed"}
    told = platform.ledger(done)
    assert platform.call(f"/api/v2/dags/push__{code}", method="DELETE")[0] in (200, 204)
    platform.await_dag(code)
    after = platform.eventually(runs, "the runs to be made anew, and to end")
    assert [run for run, _ in after] == [run for run, _ in before]
    assert {state for _, state in after} == {"success"}
    assert platform.ledger(done) == told
    platform.push("cancel", code)


@pytest.mark.parametrize("dag", ["push_receipts", "push_kafka", "push_upkeep"])
def test_the_platforms_own_dags_come_back(platform: Any, dag: str) -> None:
    def deleted() -> bool | None:  # refused while one of its tasks runs
        return platform.call(f"/api/v2/dags/{dag}", method="DELETE")[0] in (200, 204) or None

    platform.eventually(deleted, f"{dag} to be deleted")
    platform.eventually(
        lambda: platform.metadata("SELECT 1 FROM dag WHERE dag_id = %s AND NOT is_stale", dag) or None, f"{dag} again"
    )


def test_a_dag_processor_that_begins_while_the_ledger_is_away_takes_no_dag_for_gone(platform: Any) -> None:
    apply(platform, "kept")
    log = platform.home / "logs" / "platform" / "dag-processor.log"
    before = log.read_text().count(UNREADABLE)
    with platform.without_ledger():
        platform.process_of("dag-processor").kill()
        platform.eventually(lambda: log.read_text().count(UNREADABLE) > before or None, "another one to look")
        good = "SELECT NOT is_stale AND NOT has_import_errors FROM dag WHERE dag_id = 'push__kept'"
        assert platform.metadata(good) == [(True,)]
    assert platform.trigger("kept", {"recipients": ["kept@example.com"]})[0] == 200
    platform.await_mail("kept@example.com")


def test_dags_that_vanished_while_the_ledger_was_away_come_back(platform: Any) -> None:
    apply(platform, "survivor")
    # Those of DAG files that other tests have put in place and taken away again are about to be stale.
    good = (
        "SELECT dag_id FROM dag WHERE NOT is_stale AND NOT has_import_errors"
        " AND (bundle_name = 'push' OR dag_id IN ('push_kafka', 'push_receipts'))"
    )
    before = set(platform.metadata(good))
    with platform.without_ledger():
        platform.metadata("UPDATE dag SET is_stale = true WHERE bundle_name = 'push' RETURNING dag_id")
    platform.await_dag("survivor", is_stale=False)
    platform.eventually(lambda: before <= set(platform.metadata(good)) or None, "all DAGs to be back")
    assert platform.trigger("survivor", {"recipients": ["survivor@example.com"]})[0] == 200
    platform.await_mail("survivor@example.com")
