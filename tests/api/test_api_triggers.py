"""Triggers and redrives over REST; the runs they make in Airflow are looked at, and nothing is sent here."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

if TYPE_CHECKING:
    from api_server import ApiServer


def runs(server: ApiServer, code: str) -> list[dict[str, Any]]:
    answer = server.call("GET", f"/api/v2/dags/push__{code}/dagRuns", limit=100)
    return answer.json["dag_runs"] if answer.status == 200 else []


@pytest.mark.slow
def test_a_task_of_this_moment_can_be_triggered(server: ApiServer) -> None:
    code = server.create()
    answer = server.push("POST", f"/tasks/{code}/trigger", {"recipients": ["c@example.com"], "variables": {"a": 1}})
    assert answer.status == 202
    said = answer.json
    assert (said["number"], said["recipients"]) == (1, 1)
    (run,) = runs(server, code)
    assert run["dag_run_id"] == said["run_id"]
    assert run["conf"] == {"execution": said["execution"]}
    assert run["triggering_user_name"] == "admin"
    assert run["triggered_by"] == "rest_api"
    execution = server.push("GET", f"/executions/{said['execution']}").json
    assert (execution["run_id"], execution["source"], execution["triggered_by"]) == (said["run_id"], "rest", "admin")
    deliveries = server.push("GET", "/deliveries", execution=said["execution"]).json["items"]
    assert [one["recipient"] for one in deliveries] == ["c@example.com"]
    assert answer.headers["location"] == said["links"]["self"]


def test_no_body_means_the_tasks_own_recipients(server: ApiServer) -> None:
    code = server.create(known=True)
    assert server.push("POST", f"/tasks/{code}/trigger").json["recipients"] == 2


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"recipients": ["nobody"]}, ["recipients[0].to"]),
        ({"execution": 1}, ["execution"]),
        ({"variable": {}}, ["variable"]),
        ({"recipients": []}, ["recipients"]),
    ],
)
def test_broken_triggers_begin_nothing(server: ApiServer, body: dict[str, Any], named: list[str]) -> None:
    code = server.create(known=True)
    answer = server.push("POST", f"/tasks/{code}/trigger", body)
    assert (answer.status, answer.fields) == (422, named)
    assert server.push("GET", "/executions", task=code).json["total_entries"] == 0
    assert runs(server, code) == []


def test_an_unknown_task(server: ApiServer) -> None:
    answer = server.push("POST", "/tasks/nobody-knows/trigger")
    assert (answer.status, answer.json["code"]) == (404, "unknown-task")


def test_a_finished_task_says_so(server: ApiServer) -> None:
    code = server.create(known=True, execution={"type": "once"})
    assert server.push("POST", f"/tasks/{code}/trigger").status == 202
    refused = server.push("POST", f"/tasks/{code}/trigger")
    assert (refused.status, refused.json["code"]) == (409, "task-closed")
    assert "all 1 of its executions have begun" in refused.json["detail"]


def test_the_same_key_begins_one_execution_also_the_last(server: ApiServer) -> None:
    code, key = server.create(known=True, execution={"type": "once"}), {"Idempotency-Key": "A-1002"}
    first = server.push("POST", f"/tasks/{code}/trigger", {"variables": {"n": 1}}, headers=key)
    again = server.push("POST", f"/tasks/{code}/trigger", {"variables": {"n": 1}}, headers=key)
    assert (first.status, again.status) == (202, 202)
    assert again.json == first.json
    assert again.headers["idempotency-replayed"] == "true"
    other = server.push("POST", f"/tasks/{code}/trigger", {"variables": {"n": 2}}, headers=key)
    assert (other.status, other.json["code"]) == (409, "key-reused")
    assert len(runs(server, code)) == 1


@pytest.mark.slow
def test_twenty_at_once_begin_one_execution(server: ApiServer) -> None:
    code = server.create(known=True)
    with ThreadPoolExecutor(20) as pool:
        calls = [
            pool.submit(server.push, "POST", f"/tasks/{code}/trigger", headers={"Idempotency-Key": "k"})
            for _ in range(20)
        ]
    answers = [call.result() for call in calls]
    assert {answer.status for answer in answers} == {202}
    assert len({answer.json["execution"] for answer in answers}) == 1
    assert len(runs(server, code)) == 1


@pytest.mark.slow
def test_twenty_different_ones_at_once_are_twenty(server: ApiServer) -> None:
    code = server.create(known=True)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: server.push("POST", f"/tasks/{code}/trigger"), range(20)))
    assert {answer.status for answer in answers} == {202}
    assert sorted(answer.json["number"] for answer in answers) == list(range(1, 21))
    assert len(runs(server, code)) == 20


def test_a_server_that_dies_between_plan_and_run_loses_nothing(server: ApiServer) -> None:
    code, key = server.create(known=True), {"Idempotency-Key": "crash"}
    first = server.push("POST", f"/tasks/{code}/trigger", headers=key).json
    # As if it had died after the plan: there is no run, and the ledger knows of none.
    assert server.call("DELETE", f"/api/v2/dags/push__{code}/dagRuns/{first['run_id']}").status == 204
    server.rows("UPDATE push_execution SET run_id = NULL WHERE id = :id", id=first["execution"])
    assert runs(server, code) == []
    again = server.push("POST", f"/tasks/{code}/trigger", headers=key)
    assert again.json == first
    assert [run["dag_run_id"] for run in runs(server, code)] == [first["run_id"]]


def test_a_run_that_somebody_deleted_stays_deleted(server: ApiServer) -> None:
    code, key = server.create(known=True), {"Idempotency-Key": "deleted"}
    first = server.push("POST", f"/tasks/{code}/trigger", headers=key).json
    server.call("DELETE", f"/api/v2/dags/push__{code}/dagRuns/{first['run_id']}")
    assert server.push("POST", f"/tasks/{code}/trigger", headers=key).json == first
    assert runs(server, code) == []


# --- redrive --------------------------------------------------------------------------------------------------


def ended(server: ApiServer, states: list[str], **fields: Any) -> dict[str, Any]:
    """An execution whose run has ended, with its deliveries in these states."""
    code = server.create(known=True, recipients=[f"r{n}@example.com" for n in range(len(states))], **fields)
    begun = server.push("POST", f"/tasks/{code}/trigger").json
    server.rows(
        "UPDATE push_delivery d SET state = s.state FROM (SELECT id, (CAST(:states AS text[]))[row_number() OVER"
        " (ORDER BY id)] AS state FROM push_delivery WHERE execution_id = :id) s WHERE s.id = d.id",
        states=states,
        id=begun["execution"],
    )
    counts = {state: states.count(state) for state in ("sent", "failed", "unknown", "cancelled")}
    server.rows(
        "UPDATE push_execution SET state = 'partial', finished_at = now(), sent = :sent, failed = :failed,"
        " unknown = :unknown, cancelled = :cancelled WHERE id = :id",
        id=begun["execution"],
        **counts,
    )
    run = f"/api/v2/dags/push__{code}/dagRuns/{begun['run_id']}"
    assert server.call("PATCH", run, {"state": "failed"}).status == 200
    return begun


def test_redrive_lets_the_run_go_on(server: ApiServer) -> None:
    begun = ended(server, ["sent", "failed", "unknown"], app="shop")
    answer = server.push("POST", f"/executions/{begun['execution']}/redrive", role="user")
    assert answer.status == 202
    assert (answer.json["failed"], answer.json["unknown"]) == (1, 1)
    (run,) = runs(server, begun["task"])
    assert (run["dag_run_id"], run["state"]) == (begun["run_id"], "queued")
    (row,) = server.log("push_redrive_execution", begun["task"])
    assert (row.owner, row.run_id) == ("user", begun["run_id"])
    again = server.push("POST", f"/executions/{begun['execution']}/redrive")
    assert (again.status, again.json["code"]) == (409, "nothing-to-redrive")


def test_two_redrives_at_once_are_one(server: ApiServer) -> None:
    begun = ended(server, ["failed"])
    with ThreadPoolExecutor(5) as pool:
        path = f"/executions/{begun['execution']}/redrive"
        statuses = sorted(answer.status for answer in pool.map(lambda _: server.push("POST", path), range(5)))
    assert statuses == [202, 409, 409, 409, 409]


@pytest.mark.slow
@pytest.mark.parametrize(("unknown", "policy"), [(True, "resend"), (False, "hold"), (None, None)])
def test_redrive_decides_about_what_is_in_doubt(server: ApiServer, unknown: bool | None, policy: str | None) -> None:
    begun = ended(server, ["failed", "unknown"])
    assert server.push("POST", f"/executions/{begun['execution']}/redrive", {"unknown": unknown}).status == 202
    query = "SELECT on_unknown FROM push_execution WHERE id = :id"
    assert server.rows(query, id=begun["execution"]) == [(policy,)]


@pytest.mark.slow
def test_a_run_that_is_gone_is_made_again_for_the_same_execution(server: ApiServer) -> None:
    begun = ended(server, ["failed"])
    server.call("DELETE", f"/api/v2/dags/push__{begun['task']}/dagRuns/{begun['run_id']}")
    assert server.push("POST", f"/executions/{begun['execution']}/redrive").status == 202
    (run,) = runs(server, begun["task"])
    assert run["dag_run_id"] == begun["run_id"]


@pytest.mark.slow
def test_a_run_of_a_schedule_that_is_gone_is_made_again_under_another_id(server: ApiServer) -> None:
    """Airflow lets nobody make a run under an id that its scheduler gives."""
    begun = ended(server, ["failed"])
    server.call("DELETE", f"/api/v2/dags/push__{begun['task']}/dagRuns/{begun['run_id']}")
    server.rows(
        "UPDATE push_execution SET run_id = 'scheduled__2026-07-01T09:00:00+00:00' WHERE id = :id",
        id=begun["execution"],
    )
    answer = server.push("POST", f"/executions/{begun['execution']}/redrive")
    assert (answer.status, answer.json["run_id"]) == (202, f"rest__{begun['execution']}")
    (run,) = runs(server, begun["task"])
    assert run["dag_run_id"] == answer.json["run_id"]
    assert server.push("GET", f"/executions/{begun['execution']}").json["run_id"] == run["dag_run_id"]


@pytest.mark.slow
def test_two_redrives_at_once_of_a_run_that_is_gone_are_one(server: ApiServer) -> None:
    begun = ended(server, ["failed"])
    server.call("DELETE", f"/api/v2/dags/push__{begun['task']}/dagRuns/{begun['run_id']}")
    with ThreadPoolExecutor(5) as pool:
        path = f"/executions/{begun['execution']}/redrive"
        statuses = sorted(answer.status for answer in pool.map(lambda _: server.push("POST", path), range(5)))
    assert statuses == [202, 409, 409, 409, 409]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("states", "body", "status", "code"),
    [
        (["sent", "sent"], None, 409, "nothing-to-redrive"),
        (["sent", "unknown"], {"unknown": False}, 409, "nothing-to-redrive"),
        (["failed"], {"unknown": "yes"}, 422, "invalid"),
        (["failed"], {"only": 1}, 422, "invalid"),
    ],
)
def test_nothing_to_redrive(server: ApiServer, states: list[str], body: Any, status: int, code: str) -> None:
    begun = ended(server, states)
    answer = server.push("POST", f"/executions/{begun['execution']}/redrive", body)
    assert (answer.status, answer.json["code"]) == (status, code)


@pytest.mark.slow
def test_nothing_of_a_cancelled_task_is_sent_again(server: ApiServer) -> None:
    begun = ended(server, ["failed"])
    server.push("POST", f"/tasks/{begun['task']}/cancel")
    answer = server.push("POST", f"/executions/{begun['execution']}/redrive")
    assert answer.status == 409
    assert "cancelled" in answer.json["detail"]


MISSING_RUNS = """
from airflow.models.dagbag import DBDagBag
from airflow.utils.session import create_session
from airflow.utils.types import DagRunTriggeredByType
from push_provider.ledger.engine import get_engine
from push_provider.intake.server_runs import ServerRuns, make_missing_runs
runs = ServerRuns(create_session, DBDagBag(), DagRunTriggeredByType.REST_API)
print("MADE", make_missing_runs(get_engine(), runs))
"""


def make_missing_runs(server: ApiServer) -> str:
    command = [sys.executable, "-c", MISSING_RUNS]
    done = subprocess.run(command, env=server.env, capture_output=True, text=True, check=True)
    return done.stdout.strip().splitlines()[-1]


@pytest.mark.slow
def test_executions_whose_server_died_get_their_runs_without_being_asked(server: ApiServer) -> None:
    code = server.create(known=True)
    begun = server.push("POST", f"/tasks/{code}/trigger").json
    # In this order: an execution that had a run, and has lost it, is closed within seconds.
    server.rows(
        "UPDATE push_execution SET run_id = NULL, created_at = now() + interval '5 minutes' WHERE id = :id",
        id=begun["execution"],
    )
    server.call("DELETE", f"/api/v2/dags/push__{code}/dagRuns/{begun['run_id']}")

    assert make_missing_runs(server) == "MADE 0"  # its server may still be about to make it
    server.rows(
        "UPDATE push_execution SET created_at = now() - interval '1 minute' WHERE id = :id", id=begun["execution"]
    )
    make_missing_runs(server)
    assert [run["dag_run_id"] for run in runs(server, code)] == [begun["run_id"]]
    assert make_missing_runs(server) == "MADE 0"


@pytest.mark.slow
def test_an_execution_whose_run_cannot_be_made_at_once_begins_once(server: ApiServer) -> None:
    code = server.create(known=True)
    server.settle()
    # Airflow knows the DAG and has no version of it to make a run from.
    with server.metadata.begin() as connection:
        connection.execute(text("DELETE FROM dag_version WHERE dag_id = :id"), {"id": f"push__{code}"})
    answer = server.push("POST", f"/tasks/{code}/trigger")
    assert answer.status == 202
    assert server.push("GET", "/executions", task=code).json["total_entries"] == 1
    assert runs(server, code) == []
    # Changed, the task is a DAG again, and the execution gets its run.
    assert server.push("PATCH", f"/tasks/{code}", {"name": "Another"}).status == 200
    server.settle()
    server.rows("UPDATE push_execution SET created_at = now() - interval '1 minute' WHERE task_code = :code", code=code)
    deadline = time.monotonic() + 180
    while not runs(server, code):
        assert time.monotonic() < deadline
        make_missing_runs(server)
    assert [run["dag_run_id"] for run in runs(server, code)] == [answer.json["run_id"]]


@pytest.mark.slow
def test_an_execution_begins_when_its_dag_comes_to_be_known_meanwhile(server: ApiServer) -> None:
    code = server.create(known=True)
    server.settle()
    with server.metadata.begin() as connection:
        connection.execute(text("DELETE FROM dag_version WHERE dag_id = :id"), {"id": f"push__{code}"})
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(server.push, "POST", f"/tasks/{code}/trigger")
        assert server.push("PATCH", f"/tasks/{code}", {"name": "Another"}).status == 200
        answer = waiting.result()
    assert answer.status == 202
    assert server.push("GET", "/executions", task=code).json["total_entries"] == 1
