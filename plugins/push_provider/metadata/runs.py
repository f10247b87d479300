"""The Airflow side of push tasks: their DAG runs, made, cleared and paused in Airflow's own database.

For the API server and the command line, which may use Airflow's ORM; tasks and DAG files may not.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from push_provider.contract import DAG_PREFIX, SEND_TASK_ID, dag_id
from push_provider.exceptions import DagNotReady, NothingToRedrive, TaskPaused
from push_provider.metadata.run_ends import ALIVE, ids_alive

if TYPE_CHECKING:
    from airflow.models.dag import DagModel
    from airflow.models.dag_version import DagVersion
    from airflow.models.dagbag import DBDagBag
    from airflow.models.dagrun import DagRun
    from airflow.serialization.definitions.dag import SerializedDAG
    from airflow.utils.types import DagRunTriggeredByType
    from sqlalchemy.orm import Session


def _model(session: Session, code: str) -> DagModel | None:
    from airflow.models.dag import DagModel
    from sqlalchemy import select

    return session.scalar(select(DagModel).where(DagModel.dag_id == dag_id(code), ~DagModel.is_stale))


def is_known(session: Session, code: str) -> bool:
    """Whether Airflow knows the DAG of a push task; a moment after the task was created it does."""
    return _model(session, code) is not None


def check_ready(session: Session, code: str) -> None:
    """Make sure that a run of a push task would begin.

    :raises DagNotReady: Airflow does not know its DAG yet.
    :raises TaskPaused: its DAG is paused.
    """
    model = _model(session, code)
    if model is None:
        raise not_ready(code)
    if model.is_paused:
        raise TaskPaused(f"Push task {code!r} is paused: it takes no execution. Resume it first.")


def not_ready(code: str) -> DagNotReady:
    """The error that Airflow does not know the DAG of a push task."""
    return DagNotReady(
        f"DAG {dag_id(code)} is not there yet. Is the DAG processor running? Try again in a moment; nothing has begun."
    )


def may_be_made(run_id: str) -> bool:
    """Whether :func:`create` may make a run of this id: those that Airflow gives its own runs are for them alone."""
    from airflow.utils.types import DagRunType

    return DagRunType.from_run_id(run_id) == DagRunType.MANUAL


def create(
    session: Session,
    dag_bag: DBDagBag,
    code: str,
    *,
    run_id: str,
    execution: int,
    triggered_by: DagRunTriggeredByType,
    user: str | None,
) -> None:
    """Make the DAG run of an execution that was planned.

    The run that is a task's last one is made although its DAG takes no others any more: it was counted before.

    :param user: the name of who triggered it.
    :raises DagNotReady: Airflow does not know the DAG.
    :raises IntegrityError: the run is there already; the session is of no more use then.
    """
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunType

    _, dag = _latest(session, dag_bag, code)
    dag.create_dagrun(
        run_id=run_id,
        run_after=datetime.now(UTC),
        conf={"execution": execution},
        run_type=DagRunType.MANUAL,
        triggered_by=triggered_by,
        triggering_user_name=user,
        state=DagRunState.QUEUED,
        session=session,
    )


def _latest(session: Session, dag_bag: DBDagBag, code: str) -> tuple[DagVersion, SerializedDAG]:
    from airflow.models.dag_version import DagVersion

    version = DagVersion.get_latest_version(dag_id(code), session=session)
    # By version, because that is what the bag has a cache for.
    dag = dag_bag.get_dag(version.id, session) if version else None
    if version is None or dag is None:
        raise not_ready(code)
    return version, dag


def clear(session: Session, code: str, run_id: str) -> bool:
    """Let the run of an execution that has ended send again, as *Clear* in Airflow's UI does.

    If somebody has deleted its task, which *Clear* would leave so, the run gets it anew.

    :returns: False if there is no such run any more.
    :raises NothingToRedrive: the run has not ended.
    :raises DagNotReady: its task was deleted, and Airflow does not know the DAG.
    """
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import clear_task_instances
    from airflow.utils.state import DagRunState, State
    from sqlalchemy import select

    # Two at once: the second waits here, and then finds the run queued.
    run = session.scalar(
        select(DagRun).where(DagRun.dag_id == dag_id(code), DagRun.run_id == run_id).with_for_update(of=DagRun)
    )
    if run is None:
        return False
    if run.state not in State.finished_dr_states:
        raise NothingToRedrive(f"Run {run_id!r} of push task {code!r} is {run.state}: it is being sent again already.")
    instances = [one for one in run.get_task_instances(session=session) if one.task_id == SEND_TASK_ID]
    if instances:
        clear_task_instances(instances, session, DagRunState.QUEUED)
    else:
        _queue_anew(session, code, run)
    return True


def _queue_anew(session: Session, code: str, run: DagRun) -> None:
    """Queue a run that has no task any more, with a task, as Airflow's scheduler and *Clear* do it between them."""
    from airflow.models.dagbag import DBDagBag
    from airflow.utils.state import DagRunState

    version, run.dag = _latest(session, DBDagBag(load_op_links=False), code)
    run.created_dag_version_id = version.id
    run.verify_integrity(session=session, dag_version_id=version.id)
    run.clear_number += 1
    run.last_scheduling_decision = None
    run.set_state(DagRunState.QUEUED)


_CLOCKS = timedelta(minutes=1)
"""By how much the clock of a person's browser may be ahead."""


def refuse_future(session: Session) -> list[tuple[str, str]]:
    """Fail the runs that somebody triggered for a time in the future; the push task and run id of each.

    Airflow lets nothing of such a run begin before its logical date, and before the moment that it is to run after,
    while it takes one of the DAG's ``max_active_runs``.
    """
    from airflow.models.dagrun import DagRun
    from airflow.utils.state import DagRunState, State, TaskInstanceState
    from sqlalchemy import or_, select

    latest = datetime.now(UTC) + _CLOCKS
    somebody_s = DagRun.run_type.in_(("manual", "operator_triggered"))
    ahead = ids_alive(somebody_s, or_(DagRun.logical_date > latest, DagRun.run_after > latest))
    # The state once more: a run may have ended between being found and being locked.
    waiting = select(DagRun).where(DagRun.id.in_(ahead), DagRun.state.in_(ALIVE))
    refused = []
    for run in session.scalars(waiting.limit(100).with_for_update(skip_locked=True, of=DagRun)):
        for instance in run.get_task_instances(session=session):
            if instance.state not in State.finished:
                instance.set_state(TaskInstanceState.FAILED, session=session)
        run.set_state(DagRunState.FAILED)
        what, when = "run_after", run.run_after
        if run.logical_date and run.logical_date > latest:
            what, when = "logical date", run.logical_date
        why = (
            f"Its {what}, {when:%Y-%m-%d %H:%M %Z}, lies in the future. A {what} is no time to send at: leave it out "
            "to send now, or give a push task a schedule to send later."
        )
        run.note = why, None
        # While it has that date, Airflow takes a scheduled run of the same moment for one that there is.
        run.logical_date = run.data_interval_start = run.data_interval_end = None
        refused.append((run.dag_id.removeprefix(DAG_PREFIX), run.run_id))
    return refused


def pause(session: Session, code: str, *, paused: bool) -> None:
    """Pause or resume the DAG of a push task.

    :raises DagNotReady: Airflow does not know the DAG.
    """
    model = _model(session, code)
    if model is None:
        raise not_ready(code)
    model.is_paused = paused


def paused_codes(session: Session, codes: Collection[str] | None = None) -> set[str]:
    """The push tasks whose DAGs are paused.

    :param codes: only of these.
    """
    from airflow.models.dag import DagModel
    from sqlalchemy import select

    query = select(DagModel.dag_id).where(DagModel.is_paused, DagModel.dag_id.startswith(DAG_PREFIX, autoescape=True))
    if codes is not None:
        query = query.where(DagModel.dag_id.in_([dag_id(code) for code in codes]))
    return {found.removeprefix(DAG_PREFIX) for found in session.scalars(query)}


def forget(session: Session, code: str) -> None:
    """Delete the DAG of a push task that is deleted, with its runs, from Airflow's database."""
    from airflow.api.common.delete_dag import delete_dag
    from airflow.exceptions import DagNotFound

    try:
        delete_dag(dag_id(code), session=session)
    except DagNotFound:
        return
