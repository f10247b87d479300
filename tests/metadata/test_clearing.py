"""A run that has ended is let go on, also if somebody has deleted its task."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from sqlalchemy import text
from sqlalchemy.orm import Session

from push_provider.exceptions import DagNotReady, NothingToRedrive
from push_provider.metadata import runs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

RUN = "order-1"


@pytest.fixture
def session(metadata: Engine) -> Iterator[Session]:
    """Airflow's database, with the DAG of push task ``a`` and a run of it that has failed."""
    from airflow.models.dagbag import DBDagBag
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.utils.state import DagRunState, TaskInstanceState
    from airflow.utils.types import DagRunTriggeredByType

    with Session(metadata) as session:
        session.execute(text("INSERT INTO dag_bundle (name, active) VALUES ('push', true)"))
        names = "INSERT INTO log_template (filename, elasticsearch_id, created_at) VALUES ('', '', now())"
        session.execute(text(names))
        with DAG("push__a", schedule=None) as dag:
            BaseOperator(task_id="send", retries=2)
        lazy = LazyDeserializedDAG.from_dag(dag)
        SerializedDAG.bulk_write_to_db("push", None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, "push", session=session)
        kind: Any = DagRunTriggeredByType.REST_API
        runs.create(session, DBDagBag(), "a", run_id=RUN, execution=1, triggered_by=kind, user="ann")
        run = found(session)
        (instance,) = run.get_task_instances(session=session)
        instance.try_number = 1
        instance.set_state(TaskInstanceState.FAILED, session=session)
        run.set_state(DagRunState.FAILED)
        session.flush()
        yield session
        session.rollback()


def found(session: Session) -> Any:
    from airflow.models.dagrun import DagRun
    from sqlalchemy import select

    return session.scalars(select(DagRun).where(DagRun.run_id == RUN)).one()


def tasks(session: Session) -> list[tuple[str, str | None, int, bool]]:
    """Id, state, tries that were made, and whether it has a version of the DAG, of each task of the run."""
    query = "SELECT task_id, state, try_number, dag_version_id IS NOT NULL FROM task_instance"
    return [tuple(row) for row in session.execute(text(query))]


def test_a_run_that_has_ended_is_queued_again(session: Session) -> None:
    assert runs.clear(session, "a", RUN)
    session.flush()
    assert found(session).state == "queued"
    assert tasks(session) == [("send", None, 1, True)]
    with pytest.raises(NothingToRedrive, match="is queued: it is being sent again already"):
        runs.clear(session, "a", RUN)


def test_one_whose_task_was_deleted_gets_it_anew(session: Session) -> None:
    """As it is, it would end well at once, and nothing would have been sent."""
    session.execute(text("DELETE FROM task_instance"))
    session.expire_all()
    before = datetime.now(UTC)
    assert runs.clear(session, "a", RUN)
    session.flush()
    run = found(session)
    assert (run.state, run.clear_number, run.start_date, run.end_date) == ("queued", 1, None, None)
    assert run.queued_at >= before
    assert run.last_scheduling_decision is None
    assert tasks(session) == [("send", None, 0, True)]
    with pytest.raises(NothingToRedrive, match="is queued: it is being sent again already"):
        runs.clear(session, "a", RUN)


def test_one_without_task_and_dag_waits_for_the_dag(session: Session) -> None:
    session.execute(text("DELETE FROM task_instance"))
    session.execute(text("UPDATE dag_run SET created_dag_version_id = NULL"))
    session.execute(text("DELETE FROM dag_version"))
    session.expire_all()
    with pytest.raises(DagNotReady, match="DAG push__a is not there yet"):
        runs.clear(session, "a", RUN)


def test_one_that_is_gone(session: Session) -> None:
    assert not runs.clear(session, "a", "order-2")
