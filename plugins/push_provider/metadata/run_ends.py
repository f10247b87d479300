"""How DAG runs of push tasks end, by Airflow's own database: which are alive, and who or what has ended the others.

For the API server, which may use Airflow's ORM; tasks and DAG files may not.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from push_provider.contract import DAG_PREFIX, SEND_TASK_ID, dag_id, is_of_execution, is_test
from push_provider.metadata.deeds import last_deed

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, CompoundSelect
    from sqlalchemy.orm import Session

ALIVE = frozenset(("queued", "running"))
"""States of runs that go on."""


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
    if deed := last_deed(session, code, run_id, state, since=since):
        return f"{deed} before all was sent"
    if state is None:
        return "The run is gone from Airflow before all was sent"
    return f"The run has ended as {state} before all was sent: its process was killed, and no try was left"


class Run(NamedTuple):
    """A DAG run of a push task; :func:`push_provider.intake.run_facts.facts_of` takes it.

    :param id: its row's; 0 if it is gone.
    :param since: when it was made; nothing that was done before it has ended it.
    """

    id: int
    code: str
    run_id: str
    run_type: str
    run_after: datetime | None
    logical_date: datetime | None
    triggering_user_name: str | None
    since: datetime


def states_of(session: Session, some: Collection[Run]) -> dict[Run, str]:
    """The states of some runs; those that are gone are left out, also if another one was made under their id."""
    from airflow.models.dagrun import DagRun
    from sqlalchemy import select

    query = select(DagRun.id, DagRun.state).where(DagRun.id.in_([run.id for run in some]))
    found = {key: str(state) for key, state in session.execute(query)}
    gone = states(session, [(run.code, run.run_id) for run in some if not run.id])
    each = {run: found.get(run.id) or gone.get((run.code, run.run_id)) for run in some}
    return {run: state for run, state in each.items() if state}


def newest(session: Session) -> int:
    """The highest id of any DAG run; those made later have higher ones."""
    from airflow.models.dagrun import DagRun
    from sqlalchemy import func, select

    return session.scalar(select(func.max(DagRun.id))) or 0


def alive(session: Session) -> set[int]:
    """The ids of the runs of push tasks that go on."""
    return set(session.scalars(ids_alive()))


def ids_alive(*conditions: ColumnElement[bool]) -> CompoundSelect[tuple[int]]:
    """Asks for the ids of the runs of push tasks that go on, and of which conditions hold.

    However many runs there are, it reads those that go on alone.
    """
    from airflow.models.dagrun import DagRun
    from sqlalchemy import select, union_all

    # One after the other: there is an index for each of the two states, and none for both.
    ours = DagRun.dag_id.startswith(DAG_PREFIX, autoescape=True)
    return union_all(*(select(DagRun.id).where(DagRun.state == state, ours, *conditions) for state in sorted(ALIVE)))


def since(session: Session, moment: datetime) -> list[Run]:
    """The runs of push tasks that go on, or that have ended at this moment or later; without tests.

    It reads all runs that there are.
    """
    from airflow.models.dagrun import DagRun
    from sqlalchemy import or_

    return _runs(session, or_(DagRun.state.in_(ALIVE), DagRun.end_date >= moment))


def beyond(session: Session, last: int, ids: Collection[int]) -> list[Run]:
    """The runs of push tasks that have an id beyond ``last``, or one of ``ids``; without tests."""
    from airflow.models.dagrun import DagRun
    from sqlalchemy import any_, literal, or_
    from sqlalchemy.dialects.postgresql import ARRAY, INTEGER

    return _runs(session, or_(DagRun.id > last, DagRun.id == any_(literal(list(ids), ARRAY(INTEGER)))))


def _runs(session: Session, which: ColumnElement[bool]) -> list[Run]:
    from airflow.models.dagrun import DagRun
    from sqlalchemy import func, select

    query = select(
        DagRun.id,
        DagRun.dag_id,
        DagRun.run_id,
        DagRun.run_type,
        DagRun.run_after,
        DagRun.logical_date,
        DagRun.triggering_user_name,
        func.coalesce(DagRun.created_at, DagRun.run_after),  # which old runs have not
    ).where(DagRun.dag_id.startswith(DAG_PREFIX, autoescape=True), which)
    rows: Iterable[Any] = session.execute(query)
    found = (Run(key, dag.removeprefix(DAG_PREFIX), *rest) for key, dag, *rest in rows)
    return [run for run in found if _counts(run.run_id, run.triggering_user_name)]


def deleted_undone(session: Session, moment: datetime) -> list[Run]:
    """The runs of push tasks that were made and deleted at this moment or later, and whose process did not end well.

    Airflow's audit log has them, in which that is all that is known of them. That somebody asked to delete a run does
    not say that there was one: the log must have it that it was made, or its id be of a moment since. Of those that
    were there before, whoever asks has seen them. So a run of a time long past that is made and deleted at once, for a
    backfill for instance, is left out.
    """
    from airflow.models.log import Log
    from airflow.utils.types import DagRunType
    from sqlalchemy import func, select
    from sqlalchemy.orm import aliased

    made = aliased(Log)
    making = select(made.id).where(
        made.dag_id == Log.dag_id,
        made.run_id == Log.run_id,
        made.event == "trigger_dag_run",
        made.dttm >= moment,
    )
    query = (
        select(Log.dag_id, Log.run_id, func.max(Log.dttm), func.bool_or(making.exists()))
        .where(
            Log.dttm >= moment,
            Log.event == "delete_dag_run",
            Log.dag_id.startswith(DAG_PREFIX, autoescape=True),
            Log.run_id.is_not(None),
            ~_ended_well(Log),
        )
        .group_by(Log.dag_id, Log.run_id)
    )
    rows: Iterable[Any] = session.execute(query)
    return [
        Run(0, dag.removeprefix(DAG_PREFIX), run_id, DagRunType.from_run_id(run_id).value, None, None, None, when)
        for dag, run_id, when, was_made in rows
        if _counts(run_id, None) and (was_made or _is_of(run_id, moment))
    ]


_MOMENT = re.compile(r"[a-z_]+__(\d{4}-\d\d-\d\dT[\d:.]+(?:[+-]\d\d:\d\d|Z))(?:_\w+)?")
"""An id that Airflow gives its runs (``Timetable.generate_run_id``, ``DagRun.generate_run_id``)."""


def _is_of(run_id: str, moment: datetime) -> bool:
    """Whether the id of a run is that of one which Airflow has made at this moment or later."""
    found = _MOMENT.fullmatch(run_id)
    try:
        return found is not None and datetime.fromisoformat(found[1]) >= moment
    except ValueError:
        return False


def _counts(run_id: str, user: str | None) -> bool:
    """Whether an execution begins with a run: it is no test, and was not made for one that had begun."""
    return not is_test(run_id, user) and not is_of_execution(run_id)


def did_their_part(session: Session, some: Collection[Run]) -> set[tuple[str, str]]:
    """Those of some runs, by push task and run id, whose process has ended well, or said that nothing was to be sent.

    What it did before the run was let go on again does not count.
    """
    from airflow.models.dagrun import DagRun
    from sqlalchemy import select, tuple_

    query = select(DagRun.dag_id, DagRun.run_id).where(
        tuple_(DagRun.dag_id, DagRun.run_id).in_([(dag_id(run.code), run.run_id) for run in some]),
        _ended_well(DagRun, since=DagRun.queued_at),
    )
    return {(dag.removeprefix(DAG_PREFIX), run_id) for dag, run_id in session.execute(query)}


def _ended_well(run: Any, since: Any = None) -> ColumnElement[bool]:
    """Whether the process of a run has told Airflow that it ended well; the audit log alone tells that from a mark.

    A task that is marked looks as if its process had done it: it may have a number, a beginning and an end, as one has
    whose process was just about to plan the execution, or waited for its next try.

    :param run: a table with ``dag_id`` and ``run_id``.
    :param since: the column with the moment from which on it counts; left out, it counts at any time.
    """
    from airflow.models.log import Log
    from sqlalchemy import func, select
    from sqlalchemy.orm import aliased

    end = aliased(Log)
    query = select(end.id).where(
        end.dag_id == run.dag_id,
        end.task_id == SEND_TASK_ID,
        end.run_id == run.run_id,
        end.event.in_(("success", "skipped")),  # airflow.api_fastapi.execution_api.routes.task_instances
    )
    return (query if since is None else query.where(end.dttm >= func.coalesce(since, end.dttm))).exists()


def why_unplanned(session: Session, run: Run, state: str | None) -> str:
    """Why a run has ended, or is gone, before its execution was planned.

    :param state: of the run; None if it is gone.
    """
    from airflow.models.dagrun import DagRun, DagRunNote
    from sqlalchemy import select

    if deed := last_deed(session, run.code, run.run_id, state, since=run.since):
        return f"{deed} before it began"
    if state is None:
        return "The run is gone from Airflow before it began"
    ours = (
        select(DagRunNote.content)
        .join(DagRun, DagRun.id == DagRunNote.dag_run_id)
        .where(DagRun.dag_id == dag_id(run.code), DagRun.run_id == run.run_id, DagRunNote.user_id.is_(None))
    )
    said: str | None = session.scalar(ours)
    return said or f"The run has ended as {state} before anything of it was planned: the log of its task says more"
