"""What Airflow's audit log says of how runs ended: it has requests, and not all of them were granted."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session

from push_provider.metadata import run_ends

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import Engine

DAG, RUN = "push__a", "order-1"
BEGAN = datetime(2026, 7, 6, 9, tzinfo=UTC)
ENDED = BEGAN + timedelta(hours=2)
JUST_BEFORE = ENDED - timedelta(seconds=1)
KILLED = "The run has ended as failed before all was sent: its process was killed, and no try was left"
GONE = "The run is gone from Airflow before all was sent"


@pytest.fixture
def session(metadata: Engine) -> Iterator[Session]:
    """Airflow's database, as it was before when the test is over."""
    with Session(metadata) as session:
        yield session
        session.rollback()


def asked(event: str, body: Any = None, *, at: datetime = JUST_BEFORE, **columns: Any) -> dict[str, Any]:
    """An entry of Ann's request, as ``airflow.api_fastapi.logging.decorators`` writes it."""
    said = json.dumps({**(body or {}), "method": "PATCH"})
    return {"dag_id": DAG, "run_id": RUN, "event": event, "owner": "Ann", "extra": said, "dttm": at, **columns}


def bulk(action: str, *entities: Any, at: datetime = JUST_BEFORE) -> dict[str, Any]:
    return asked("bulk_dag_runs", {"actions": [{"action": action, "entities": list(entities)}]}, at=at, run_id=None)


def write(session: Session, entries: Sequence[Mapping[str, Any]]) -> None:
    from airflow.models.log import Log

    table: Any = Log.__table__
    for entry in entries:  # one after the other: the columns differ
        session.execute(insert(table).values(**entry))


def add(session: Session, *, queued: datetime = BEGAN, ended: datetime = ENDED, task: datetime | None = None) -> None:
    """A run that has failed, and its task."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance

    runs: Any = DagRun.__table__
    tasks: Any = TaskInstance.__table__
    this = {"dag_id": DAG, "run_id": RUN, "state": "failed"}
    run = {"run_type": "manual", "run_after": BEGAN, "clear_number": 0, "queued_at": queued, "end_date": ended}
    session.execute(insert(runs).values(**this, **run))
    of_task = {"task_id": "send", "map_index": -1, "pool": "default_pool", "pool_slots": 1, "end_date": task or ended}
    session.execute(insert(tasks).values(**this, **of_task))


MARKED = asked("patch_dag_run", {"state": "failed"})


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([MARKED], "Ann marked the run as failed before all was sent"),
        ([MARKED | {"owner": None}], "Somebody marked the run as failed before all was sent"),
        (
            [MARKED, asked("patch_dag_run", {"note": "why?"}, owner="Bob")],
            "Ann marked the run as failed before all was sent",
        ),
        ([bulk("update", {"dag_run_id": RUN, "state": "failed"})], "Ann changed the run before all was sent"),
        ([asked("patch_task_instance", {"new_state": "failed"})], "Ann marked the task as failed before all was sent"),
        # What did nothing to the run, or was refused.
        ([], KILLED),
        ([asked("patch_dag_run", {"note": "why?"})], KILLED),
        ([asked("patch_dag_run", {"state": "success"})], KILLED),
        ([asked("patch_dag_run", {"state": "failed"}, at=ENDED - timedelta(hours=1))], KILLED),
        ([asked("patch_dag_run", {"state": "failed"}, at=BEGAN - timedelta(seconds=1))], KILLED),
        ([asked("patch_dag_run", {"state": "failed"}, run_id="order-2")], KILLED),
        ([asked("patch_task_instance", {"note": "why?"})], KILLED),
        ([asked("patch_task_instance", {"new_state": "failed"}, at=ENDED - timedelta(hours=1))], KILLED),
        ([asked("delete_dag_run")], KILLED),
        ([asked("delete_dag", run_id=None)], KILLED),
        ([bulk("update", {"dag_run_id": "order-2", "state": "failed"})], KILLED),
        ([bulk("update", {"dag_run_id": RUN, "note": "why?"})], KILLED),
        ([bulk("delete", RUN)], KILLED),
        ([asked("bulk_dag_runs", {"actions": {"action": [7]}}, run_id=None), MARKED | {"extra": "{"}], KILLED),
        ([MARKED | {"extra": "[]"}], KILLED),
    ],
)
def test_who_has_ended_a_run_that_is_there(session: Session, entries: list[dict[str, Any]], why: str) -> None:
    add(session)
    write(session, entries)
    assert run_ends.why_ended(session, "a", RUN, "failed", since=BEGAN) == why


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([asked("delete_dag_run")], "Ann deleted the run before all was sent"),
        ([asked("delete_dag", run_id=None)], "Ann deleted the DAG before all was sent"),
        ([bulk("delete", "order-2", RUN)], "Ann changed the run before all was sent"),
        ([bulk("delete", {"dag_run_id": RUN})], "Ann changed the run before all was sent"),
        ([], GONE),
        ([bulk("delete", "order-2")], GONE),
        ([bulk("update", {"dag_run_id": RUN, "note": "why?"})], GONE),
        ([asked("patch_dag_run", {"note": "why?"})], GONE),
    ],
)
def test_who_has_deleted_a_run(session: Session, entries: list[dict[str, Any]], why: str) -> None:
    write(session, entries)
    assert run_ends.why_ended(session, "a", RUN, None, since=BEGAN) == why


def test_what_was_done_to_a_run_before_it_was_let_go_on_has_not_ended_it(session: Session) -> None:
    add(session, queued=ENDED - timedelta(seconds=20))
    write(session, [asked("patch_dag_run", {"state": "failed"}, at=ENDED - timedelta(seconds=30))])
    assert run_ends.why_ended(session, "a", RUN, "failed", since=BEGAN) == KILLED


def test_a_task_that_is_marked_ends_its_run_when_airflow_looks_at_that(session: Session) -> None:
    """While its DAG is paused, it does not."""
    add(session, ended=ENDED, task=BEGAN + timedelta(minutes=1))
    write(session, [asked("patch_task_instance", {"new_state": "failed"}, at=BEGAN + timedelta(minutes=1))])
    why = run_ends.why_ended(session, "a", RUN, "failed", since=BEGAN)
    assert why == "Ann marked the task as failed before all was sent"


# --- runs that nobody has seen ------------------------------------------------------------------------------

SINCE = BEGAN
NOW = BEGAN + timedelta(minutes=1)
OLD = SINCE - timedelta(days=100)


def deleted(run: str, **columns: Any) -> dict[str, Any]:
    return asked("delete_dag_run", at=NOW, **{"run_id": run, **columns})


def triggered(run: str, at: datetime = SINCE) -> dict[str, Any]:
    return asked("trigger_dag_run", at=at, run_id=run)


@pytest.mark.parametrize(
    ("run", "entries", "found"),
    [
        ("order-1", [triggered("order-1"), deleted("order-1")], True),
        (f"manual__{NOW.isoformat()}", [deleted(f"manual__{NOW.isoformat()}")], True),
        (f"manual__{NOW.isoformat()}_dSk3mPq1", [deleted(f"manual__{NOW.isoformat()}_dSk3mPq1")], True),
        (f"scheduled__{SINCE.isoformat()}", [deleted(f"scheduled__{SINCE.isoformat()}")], True),
        # There never was one, or it was there long before.
        ("typo", [deleted("typo")], False),
        ("typo", [triggered("order-1"), deleted("typo")], False),
        ("order-1", [triggered("order-1", OLD), deleted("order-1")], False),
        (f"manual__{OLD.isoformat()}", [deleted(f"manual__{OLD.isoformat()}")], False),
        ("manual__2026-02-31T09:00:00+00:00", [deleted("manual__2026-02-31T09:00:00+00:00")], False),
        # Its process had come, and may not have planned anything.
        ("order-1", [triggered("order-1"), asked("running", task_id="send"), deleted("order-1")], True),
        ("order-1", [triggered("order-1"), asked("failed", task_id="send"), deleted("order-1")], True),
        # Its process has ended well, it is not a push task's, or was made for an execution.
        ("order-1", [triggered("order-1"), asked("skipped", task_id="send"), deleted("order-1")], False),
        ("order-1", [triggered("order-1"), asked("success", task_id="send"), deleted("order-1")], False),
        ("order-1", [triggered("order-1"), deleted("order-1", dag_id="other")], False),
        ("rest__1", [triggered("rest__1"), deleted("rest__1")], False),
        # An id of somebody's own, as like ours as it may be.
        ("order__1", [triggered("order__1"), deleted("order__1")], True),
    ],
)
def test_which_were_made_and_deleted_since(
    session: Session, run: str, entries: list[dict[str, Any]], found: bool
) -> None:
    write(session, entries)
    runs = run_ends.deleted_undone(session, SINCE)
    assert [(one.id, one.code, one.run_id, one.since) for one in runs] == ([(0, "a", run, NOW)] if found else [])


@pytest.mark.parametrize(
    ("entries", "done"),
    [
        ([asked("success", task_id="send")], True),
        ([asked("skipped", task_id="send")], True),
        ([], False),
        ([asked("running", task_id="send"), asked("patch_task_instance", {"new_state": "success"})], False),
        ([asked("running", task_id="send"), asked("up_for_retry", task_id="send")], False),
        ([asked("success", task_id="send", run_id="order-2")], False),
        ([asked("success", task_id="receipts")], False),
        ([asked("success", task_id="send", dag_id="push__b")], False),
        # It was cleared since.
        ([asked("success", task_id="send", at=BEGAN - timedelta(seconds=1))], False),
    ],
)
def test_whose_process_has_ended_well(session: Session, entries: list[dict[str, Any]], done: bool) -> None:
    """Whatever its task looks like: one that is marked has an end, and maybe a process and a beginning."""
    add(session)
    write(session, entries)
    run = run_ends.Run(1, "a", RUN, "manual", BEGAN, None, None, BEGAN)
    assert run_ends.did_their_part(session, [run]) == ({("a", RUN)} if done else set())
