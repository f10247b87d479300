"""What people did to DAG runs, by Airflow's audit log, which has what was asked for.

It has that before it is done: also what was then refused, or found nothing there. So what was asked for counts only
where the run bears it out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from push_provider.contract import SEND_TASK_ID, dag_id

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

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
_AT_MOST = timedelta(minutes=1)
"""How long after a request is in the audit log what it asks for may be done."""


def last_deed(session: Session, code: str, run_id: str, state: str | None, *, since: datetime) -> str | None:
    """Who did what to a run; the last one that may have ended it, or None.

    :param state: of the run, which has ended; None if it is gone.
    :param since: nothing that was done before it has ended the run.
    """
    from airflow.models.log import Log
    from sqlalchemy import or_, select

    ends = _ends(session, code, run_id) if state is not None else None
    query = (
        select(Log.event, Log.owner, Log.extra, Log.dttm)
        .where(
            Log.dag_id == dag_id(code),
            or_(Log.run_id == run_id, Log.run_id.is_(None)),
            Log.event.in_(_DEEDS),
            # A run that was let go on again has not been ended by what was done to it before.
            Log.dttm >= max(since, ends.queued_at or since) if ends else Log.dttm >= since,
        )
        .order_by(Log.id.desc())
    )
    entries: Iterable[Any] = session.execute(query)
    for found in entries:
        if _fits(found.event, found.extra, run_id, state) and (ends is None or _was_in_time(found, ends)):
            as_what = f" as {state}" if state and "marked" in _DEEDS[found.event] else ""
            return f"{found.owner or 'Somebody'} {_DEEDS[found.event]}{as_what}"
    return None


class _Ends(NamedTuple):
    """When a run that is there was queued last, and when it and its task ended; None where that is not known."""

    queued_at: datetime | None
    run: datetime | None
    task: datetime | None


def _ends(session: Session, code: str, run_id: str) -> _Ends | None:
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import and_, select

    its_task = and_(
        TaskInstance.dag_id == DagRun.dag_id,
        TaskInstance.run_id == DagRun.run_id,
        TaskInstance.task_id == SEND_TASK_ID,
    )
    query = select(DagRun.queued_at, DagRun.end_date, TaskInstance.end_date).outerjoin(TaskInstance, its_task)
    row = session.execute(query.where(DagRun.dag_id == dag_id(code), DagRun.run_id == run_id)).first()
    return _Ends._make(row) if row else None


def _was_in_time(found: Any, ends: _Ends) -> bool:
    """Whether what was marked ended no later than by that request: else it went on, and something else has ended it."""
    ended = ends.task if "task" in _DEEDS[found.event] else ends.run
    return ended is None or ended <= found.dttm + _AT_MOST


def _fits(event: str, extra: str | None, run_id: str, state: str | None) -> bool:
    """Whether a request, once it was granted, has left a run as it is.

    :param extra: what Airflow has logged of it: the body, among others.
    :param state: of the run; None if it is gone.
    """
    try:
        asked = json.loads(extra or "{}")
    except ValueError:
        return False
    if not isinstance(asked, dict):
        return False
    match event:
        case "delete_dag" | "delete_dag_run":  # a run that goes on is not deleted, and neither is its DAG
            return state is None
        case "bulk_dag_runs":
            return _bulk_fits(asked, run_id, state)
        case "patch_dag_run":
            wanted = asked.get("state")
            return wanted is not None and state in (None, wanted)
        case "delete_task_instance":
            return True
        case _:  # of one task or several; a note may be all that was written
            return "new_state" in asked or "actions" in asked


def _bulk_fits(asked: Mapping[str, Any], run_id: str, state: str | None) -> bool:
    """The same of a request that is about several runs (``BulkBody``)."""
    actions = asked.get("actions")
    for action in actions if isinstance(actions, list) else ():
        match action:
            case {"action": "delete", "entities": [*entities]} if state is None:
                if any(run_id == one or _names(one, run_id) for one in entities):
                    return True
            case {"action": "update", "entities": [*entities]} if state is not None:
                if any(_names(one, run_id) and one.get("state") == state for one in entities):
                    return True
    return False


def _names(entity: Any, run_id: str) -> bool:
    return isinstance(entity, dict) and entity.get("dag_run_id") == run_id
