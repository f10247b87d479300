"""How DAG runs of push tasks end, by Airflow's own database: which are alive, and who or what has ended the others.

For the API server, which may use Airflow's ORM; tasks and DAG files may not.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING

from push_provider.task import DAG_PREFIX, dag_id

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

ALIVE = frozenset(("queued", "running"))
"""States of runs that go on."""
_DEEDS = {
    "delete_dag": "deleted the DAG",
    "delete_dag_run": "deleted the run",
    "bulk_dag_runs": "changed the run",
    "patch_dag_run": "marked the run",
    "patch_task_instance": "marked the task",
    "patch_task_group_instances": "marked the task",
    "bulk_task_instances": "marked the task",
    "delete_task_instance": "deleted the task of the run",
}
"""What Airflow's audit log calls what a person can do to a run (``airflow.api_fastapi.core_api.routes.public``)."""


def states(session: Session, wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The states of DAG runs, by push task and run id; those that are gone are left out."""
    from airflow.models.dagrun import DagRun
    from sqlalchemy import select, tuple_

    pairs = [(dag_id(code), run_id) for code, run_id in wanted]
    query = select(DagRun.dag_id, DagRun.run_id, DagRun.state).where(tuple_(DagRun.dag_id, DagRun.run_id).in_(pairs))
    return {(dag.removeprefix(DAG_PREFIX), run_id): str(state) for dag, run_id, state in session.execute(query)}


def why_ended(session: Session, code: str, run_id: str, state: str | None, *, since: datetime) -> str:
    """Why the run of an execution has ended, or is gone, before all of it was sent.

    :param state: of the run; None if it is gone.
    :param since: when the execution began; nothing that was done before it has ended it.
    """
    if deed := _deed(session, code, run_id, state, since=since):
        return f"{deed} before all was sent"
    if state is None:
        return "The run is gone from Airflow before all was sent"
    return f"The run has ended as {state} before all was sent: its process was killed, and no try was left"


def _deed(session: Session, code: str, run_id: str, state: str | None, *, since: datetime) -> str | None:
    """Who did what to a run, as Airflow's audit log has it; the last one that may have ended it."""
    from airflow.models.log import Log
    from sqlalchemy import or_, select

    query = (
        select(Log.event, Log.owner)
        .where(
            Log.dag_id == dag_id(code),
            or_(Log.run_id == run_id, Log.run_id.is_(None)),
            Log.event.in_(_DEEDS),
            Log.dttm >= since,
        )
        .order_by(Log.id.desc())
        .limit(1)
    )
    found = session.execute(query).first()
    if found is None:
        return None
    as_what = f" as {state}" if state and "marked" in _DEEDS[found.event] else ""
    return f"{found.owner or 'Somebody'} {_DEEDS[found.event]}{as_what}"
