"""DAGs leave Airflow with all that belongs to them, and no other does."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from push_provider.metadata import dag_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

FILE = "shard_007.py"


@pytest.fixture
def airflow(metadata: Engine) -> Iterator[Engine]:
    """Airflow's database with a bundle, and nothing in it after the test."""
    with metadata.begin() as connection:
        connection.execute(text("INSERT INTO dag_bundle (name, active) VALUES ('push', true)"))
    yield metadata
    with metadata.begin() as connection:
        connection.execute(text("TRUNCATE dag_bundle, dag, dag_run, dag_version, log CASCADE"))


def add(engine: Engine, dag: str, *, state: str = "success", path: str = FILE, **columns: Any) -> None:
    """A DAG with a version, a tag, a run of this state, a task of that, and a line in the audit log."""
    from airflow.models.dag import DagModel, DagTag
    from airflow.models.dag_version import DagVersion
    from airflow.models.dagrun import DagRun
    from airflow.models.log import Log
    from airflow.models.taskinstance import TaskInstance

    now = datetime.now(UTC)
    row = {"is_stale": False, "is_paused": False, "has_import_errors": False, **columns}
    with engine.begin() as connection:
        with Session(connection) as session:
            model = DagModel(dag_id=dag, bundle_name="push", relative_fileloc=path)  # type: ignore[no-untyped-call]
            for name, value in row.items():
                setattr(model, name, value)
            session.add(model)
            session.flush()
        tables: Any = [one.__table__ for one in (DagTag, DagVersion, DagRun, TaskInstance, Log)]
        tag, version, run, task, log = tables
        connection.execute(insert(tag).values(dag_id=dag, name="push"))
        key = connection.execute(
            insert(version).values(dag_id=dag, version_number=1, bundle_name="push").returning(version.c.id)
        ).scalar_one()
        connection.execute(
            insert(run).values(
                dag_id=dag,
                run_id="run",
                run_type="manual",
                state=state,
                run_after=now,
                clear_number=0,
                created_dag_version_id=key,
            )
        )
        connection.execute(
            insert(task).values(
                dag_id=dag,
                run_id="run",
                task_id="send",
                map_index=-1,
                state=state,
                pool="default_pool",
                pool_slots=1,
                dag_version_id=key,
            )
        )
        connection.execute(insert(log).values(dag_id=dag, event="trigger_dag_run", dttm=now))


def everywhere(dag: str) -> dict[str, set[str]]:
    return {table: {dag} for table in TABLES}


def left(engine: Engine, table: str) -> set[str]:
    with engine.connect() as connection:
        return set(connection.execute(text(f"SELECT dag_id FROM {table}")).scalars())


TABLES = ("dag", "dag_tag", "dag_version", "dag_run", "task_instance")


def test_they_leave_with_all_that_is_theirs_but_the_audit_log(airflow: Engine) -> None:
    for dag in ("push__gone", "push__too", "push__other"):
        add(airflow, dag)
    with Session(airflow) as session, session.begin():
        assert dag_rows.take_away(session, ["push__gone", "push__too", "push__nobody"]) == 3
    assert {table: left(airflow, table) for table in TABLES} == everywhere("push__other")
    assert left(airflow, "log") == {"push__gone", "push__too", "push__other"}


@pytest.mark.parametrize("state", ["queued", "running"])
def test_one_that_is_at_work_stays(airflow: Engine, state: str) -> None:
    add(airflow, "push__busy", state=state)
    with Session(airflow) as session, session.begin():
        assert dag_rows.take_away(session, ["push__busy"]) == 0
    assert {table: left(airflow, table) for table in TABLES} == everywhere("push__busy")


@pytest.mark.parametrize("state", ["success", "running"])
def test_a_pause_stays(airflow: Engine, state: str) -> None:
    """Should the push task come back, it must not send because somebody has forgotten the pause.

    A run of it waits for a retry, maybe, which does not come while it is paused.
    """
    add(airflow, "push__paused", is_paused=True, state=state)
    with Session(airflow) as session, session.begin():
        assert dag_rows.take_away(session, ["push__paused"]) == 1
        there = dag_rows.files(session, "push")
        assert (there.all, there.paused) == ({FILE: 0}, {"push__paused"})
        assert dag_rows.of_files(session, "push", [FILE]) == []
    assert left(airflow, "dag") == left(airflow, "dag_run") == {"push__paused"}


def test_what_is_counted(airflow: Engine) -> None:
    add(airflow, "push__good")
    add(airflow, "push__stale", is_stale=True)
    add(airflow, "push__bad", has_import_errors=True)
    add(airflow, "push__elsewhere", path="shard_008.py")
    with Session(airflow) as session:
        there = dag_rows.files(session, "push")
        assert there.good == {FILE: 1, "shard_008.py": 1}
        assert there.all == {FILE: 3, "shard_008.py": 1}
        assert dag_rows.of_files(session, "push", [FILE]) == ["push__bad", "push__good", "push__stale"]
