"""Executions in the ledger, looked up: lists of them, those under way, and those that wait for their DAG run.

How they begin is in ``planning``, how they are sent in ``sending``, how they end in ``closing``.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, any_, case, func, or_, select, update

from push_provider.exceptions import UnknownExecution
from push_provider.ledger.engine import array_of, explained, transaction
from push_provider.ledger.tables import ExecutionState, push_execution


class ExecutionRow(NamedTuple):
    """An execution, as lists show it."""

    id: int
    task_code: str
    number: int | None
    """None if its run was refused: it does not count."""
    run_id: str | None
    source: str
    triggered_by: str | None
    state: ExecutionState
    error: str | None
    total: int
    sent: int
    delivered: int
    failed: int
    unknown: int
    cancelled: int
    scheduled_for: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class ExecutionFilter(NamedTuple):
    """Which executions are wanted: those that match everything given.

    :param codes: only those of these push tasks; what a caller may see.
    :param run: of this DAG run, of the push task that ``task`` names.
    :param begun_from: that began at this moment or later.
    :param begun_to: that began before this moment.
    """

    codes: Collection[str] | None = None
    task: str | None = None
    state: str | None = None
    source: str | None = None
    run: str | None = None
    begun_from: datetime | None = None
    begun_to: datetime | None = None


def find(engine: Engine, *, limit: int = 100, offset: int = 0, **filters: Any) -> list[ExecutionRow]:
    """Executions, newest first, that match; ``filters`` are those of :class:`ExecutionFilter`."""
    query = matching(ExecutionFilter(**filters), *COLUMNS).order_by(
        push_execution.c.created_at.desc(), push_execution.c.id.desc()
    )
    with transaction(engine) as connection:
        return [row_of(row) for row in connection.execute(query.limit(limit).offset(offset))]


def count(engine: Engine, *, cap: int, **filters: Any) -> int:
    """How many executions match; not counted beyond ``cap``."""
    with transaction(engine) as connection:
        some = matching(ExecutionFilter(**filters), push_execution.c.id).limit(cap).subquery()
        return connection.execute(select(func.count()).select_from(some)).scalar_one()


def get(engine: Engine, execution: int) -> ExecutionRow:
    """One execution.

    :raises UnknownExecution: there is none of this id.
    """
    with transaction(engine) as connection:
        return found(connection, execution)


def found(connection: Connection, execution: int) -> ExecutionRow:
    """The same as :func:`get`, as a part of a transaction."""
    row = connection.execute(select(*COLUMNS).where(push_execution.c.id == execution)).first()
    if row is None:
        raise unknown(execution)
    return row_of(row)


def task_of(connection: Connection, execution: int) -> str:
    """The code of the push task of an execution.

    :raises UnknownExecution: there is none of this id.
    """
    code = connection.execute(select(push_execution.c.task_code).where(push_execution.c.id == execution)).scalar()
    if code is None:
        raise unknown(execution)
    return str(code)


def matching(wanted: ExecutionFilter, *columns: ColumnElement[Any]) -> Select[Any]:
    """A query of the executions that match."""
    equal = ((push_execution.c.task_code, wanted.task), (push_execution.c.state, wanted.state))
    clauses = [column == value for column, value in equal if value is not None]
    if wanted.codes is not None:
        clauses.append(push_execution.c.task_code == any_(array_of(wanted.codes)))
    if wanted.source is not None:
        clauses.append(push_execution.c.source == wanted.source)
    if wanted.run is not None:
        clauses.append(push_execution.c.run_id == wanted.run)
    if wanted.begun_from is not None:
        clauses.append(push_execution.c.created_at >= wanted.begun_from)
    if wanted.begun_to is not None:
        clauses.append(push_execution.c.created_at < wanted.begun_to)
    return select(*columns).select_from(push_execution).where(*clauses)


def busy_at(engine: Engine, code: str, moment: datetime) -> bool:
    """Whether an execution of the task was under way at ``moment``, or its DAG run was there and waited for a slot."""
    columns = push_execution.c
    # Runs wait for the one before from its own moment on, and that is written down when its task gets a slot. For the
    # runs of a backfill, whose moments are long past, nobody waits.
    since = func.least(columns.created_at, case((columns.source != "backfill", columns.run_after)))
    with transaction(engine) as connection:
        under_way = select(columns.id).where(
            columns.task_code == code,
            since <= moment,
            or_(columns.finished_at.is_(None), columns.finished_at > moment),
        )
        return bool(connection.execute(select(under_way.exists())).scalar())


class UnderWay(NamedTuple):
    """An execution that has a DAG run and has not ended."""

    id: int
    task_code: str
    run_id: str
    created_at: datetime


def under_way(engine: Engine, *, after: int = 0, limit: int) -> list[UnderWay]:
    """Executions that have a DAG run and have not ended, in order of their ids from ``after`` on."""
    query = (
        select(*[push_execution.c[name] for name in UnderWay._fields])
        .where(
            push_execution.c.state.in_((ExecutionState.PLANNED, ExecutionState.RUNNING)),
            push_execution.c.finished_at.is_(None),
            push_execution.c.run_id.is_not(None),
            push_execution.c.id > after,
        )
        .order_by(push_execution.c.id)
        .limit(limit)
    )
    with transaction(engine) as connection:
        return [UnderWay._make(row) for row in connection.execute(query)]


def bound_run(engine: Engine, execution: int) -> str | None:
    """The DAG run of an execution; None if none was made for it yet, or it is gone."""
    with transaction(engine) as connection:
        found = select(push_execution.c.run_id).where(push_execution.c.id == execution)
        return connection.execute(found).scalar()


def note_run(engine: Engine, execution: int, run_id: str) -> None:
    """Note that a DAG run was made for an execution that was planned before; the run itself binds it for good."""
    with explained(), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(
            update(push_execution)
            .where(push_execution.c.id == execution, push_execution.c.run_id.is_(None))
            .values(run_id=run_id)
        )


def rebind(engine: Engine, execution: int, run_id: str) -> None:
    """Note that the DAG run of an execution that has ended is gone, and that another one is to take its place."""
    this = (push_execution.c.id == execution, push_execution.c.finished_at.is_not(None))
    with transaction(engine) as connection:
        connection.execute(update(push_execution).where(*this).values(run_id=run_id))


class Waiting(NamedTuple):
    """An execution that was planned, and whose DAG run was never made: a process died in between."""

    id: int
    task_code: str
    source: str
    triggered_by: str | None
    created_at: datetime


def waiting(
    engine: Engine,
    *,
    sources: Collection[str],
    codes: Collection[str] | None = None,
    age: timedelta | None = None,
    limit: int | None = None,
) -> list[Waiting]:
    """Executions of these sources that wait for a DAG run, oldest first.

    :param codes: only those of these push tasks.
    :param age: only those that have waited for so long.
    :param limit: at most so many; None for all.
    """
    query = (
        select(*[push_execution.c[name] for name in Waiting._fields])
        .where(
            push_execution.c.run_id.is_(None),
            push_execution.c.finished_at.is_(None),
            push_execution.c.source.in_(sources),
        )
        .order_by(push_execution.c.id)
        .limit(limit)
    )
    if codes is not None:
        query = query.where(push_execution.c.task_code == any_(array_of(codes)))
    if age is not None:
        query = query.where(push_execution.c.created_at < func.now() - age)
    with transaction(engine) as connection:
        return [Waiting._make(row) for row in connection.execute(query)]


COLUMNS = [push_execution.c[name] for name in ExecutionRow._fields]


def row_of(row: Row[Any]) -> ExecutionRow:
    """An execution of what the database has in :data:`COLUMNS`."""
    return ExecutionRow._make(row)._replace(state=ExecutionState(row.state))


def unknown(execution: int) -> UnknownExecution:
    """The error that there is no such execution."""
    return UnknownExecution(f"There is no execution {execution}; 'airflow push executions' lists those that exist.")
