"""Push tasks in the ledger: apply, look up, cancel; and what their DAGs are built from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, and_, func, or_, select, true, update
from sqlalchemy.dialects.postgresql import insert as upsert

from push_provider import schedule
from push_provider.exceptions import TaskClosed, UnknownTask
from push_provider.ledger.engine import explained, transaction
from push_provider.ledger.tables import (
    DeliveryState,
    ExecutionState,
    TaskStatus,
    push_delivery,
    push_execution,
    push_shard,
    push_task,
    revision,
    shard_of,
)
from push_provider.task import PushTask, parse_stored


class Standing(NamedTuple):
    """What a task's status follows from; read without its spec, which may hold a million recipients."""

    status: TaskStatus
    executions: int
    max_executions: int | None

    @property
    def open(self) -> bool:
        """Whether another execution may begin."""
        return self.status != TaskStatus.CANCELLED and (
            self.max_executions is None or self.executions < self.max_executions
        )


class TaskRow(NamedTuple):
    """A push task and where it stands."""

    code: str
    name: str
    channel: str
    config: str | None
    app: str | None
    owner: str | None
    spec: Mapping[str, Any]
    execution_type: str
    max_executions: int | None
    executions: int
    status: TaskStatus
    schedule_since: datetime
    last_execution_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def open(self) -> bool:
        """Whether another execution may begin."""
        return Standing(self.status, self.executions, self.max_executions).open

    def task(self) -> PushTask:
        """The task itself.

        :raises InvalidTask: this version does not understand what another version stored.
        """
        return parse_stored(self.spec)

    def why_closed(self) -> str:
        """Why no execution may begin, and the remedy."""
        if self.status == TaskStatus.CANCELLED:
            return f"Push task {self.code!r} is cancelled. Apply it under another code to push it again."
        return (
            f"Push task {self.code!r} is finished: all {self.max_executions} of its executions have begun. "
            "Apply it with a larger execution.max_executions to go on."
        )


class Action(StrEnum):
    """What :func:`apply` did."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


class Applied(NamedTuple):
    """The answer of :func:`apply`."""

    action: Action
    row: TaskRow


class ShardTask(NamedTuple):
    """What a task's DAG is built from; ``spec`` is without recipients, content and attachments."""

    code: str
    name: str
    spec: Mapping[str, Any]
    open: bool
    schedule_since: datetime
    recipients: int


_COLUMNS = [push_task.c[name] for name in TaskRow._fields]


def _row(row: Row[Any]) -> TaskRow:
    return TaskRow._make(row)._replace(status=TaskStatus(row.status))


def changed(connection: Connection, code: str) -> None:
    """Tell the DAG processor that the task's DAG must be built anew.

    The last statement of a transaction: all tasks of the shard wait from here to its commit.
    """
    shard = shard_of(code)
    connection.execute(update(push_task).where(push_task.c.code == code).values(revision=revision.next_value()))
    connection.execute(
        upsert(push_shard)
        .values(shard=shard, revision=revision.next_value())
        .on_conflict_do_update(index_elements=[push_shard.c.shard], set_={"revision": revision.next_value()})
    )


def apply(engine: Engine, task: PushTask, *, now: datetime, default_timezone: str, dry_run: bool = False) -> Applied:
    """Create a push task, or update the one of the same code.

    A changed schedule counts from ``now``, as if the task were new; executions that have begun stay counted.

    :param now: the present moment.
    :param default_timezone: the clock of a schedule that names none.
    :param dry_run: check all and change nothing.
    :raises InvalidTask: the schedule cannot fire.
    :raises TaskClosed: the task of this code is cancelled.
    """
    with explained(), engine.connect() as connection, connection.begin() as begun:
        applied = put(connection, task, now=now, default_timezone=default_timezone)
        if applied.action != Action.UNCHANGED:
            changed(connection, task.code)
        if dry_run:
            begun.rollback()
        return applied


def put(connection: Connection, task: PushTask, *, now: datetime, default_timezone: str) -> Applied:
    """:func:`apply` in a transaction of the caller, who calls :func:`changed` at its end unless nothing has changed.

    After an error the caller rolls back.
    """
    spec = task.spec()
    values: dict[str, Any] = {
        "name": task.name,
        "channel": task.channel,
        "config": task.config,
        "app": task.app,
        "owner": task.owner,
        "spec": spec,
        "execution_type": task.execution.type,
        "max_executions": task.execution.limit,
    }
    # Two at once: the second waits here for the first, and then updates.
    created = connection.execute(
        upsert(push_task)
        .values(code=task.code, schedule_since=now, shard=shard_of(task.code), revision=0, **values)
        .on_conflict_do_nothing()
        .returning(push_task.c.code)
    ).first()
    if created:
        schedule.check_new(task, now, default_timezone)
        return Applied(Action.CREATED, locked(connection, task.code))
    before = locked(connection, task.code)
    if before.status == TaskStatus.CANCELLED:
        raise TaskClosed(before.why_closed())
    if before.spec == spec:
        return Applied(Action.UNCHANGED, before)
    if before.spec.get("schedule") != spec["schedule"]:
        schedule.check_new(task, now, default_timezone)
        values["schedule_since"] = now
    # No smaller limit can undo what has begun.
    if task.execution.limit is not None:
        values["max_executions"] = max(task.execution.limit, before.executions)
    after = Standing(before.status, before.executions, values["max_executions"])
    values["status"] = _settled(connection, task.code, after)
    connection.execute(update(push_task).where(push_task.c.code == task.code).values(updated_at=now, **values))
    return Applied(Action.UPDATED, locked(connection, task.code))


def get(engine: Engine, code: str, *, recipients: bool = True) -> TaskRow:
    """One push task.

    :param recipients: with them; there may be many.
    :raises UnknownTask: there is none of this code.
    """
    with transaction(engine) as connection:
        return _one(connection, code, _query(push_task.c.code == code, recipients=recipients))


def find(
    engine: Engine,
    *,
    status: str | None = None,
    channel: str | None = None,
    app: str | None = None,
    limit: int = 100,
    offset: int = 0,
) -> list[TaskRow]:
    """Push tasks, newest first, that match every filter given."""
    query: Select[Any] = select(*_COLUMNS).order_by(push_task.c.created_at.desc(), push_task.c.code)
    for column, value in ((push_task.c.status, status), (push_task.c.channel, channel), (push_task.c.app, app)):
        if value is not None:
            query = query.where(column == value)
    with transaction(engine) as connection:
        return [_row(row) for row in connection.execute(query.limit(limit).offset(offset))]


def cancel(engine: Engine, code: str) -> int:
    """Cancel a push task: no execution begins any more, and what is not sent yet is not sent.

    What a process is sending at this moment is not called back. Cancelling twice changes nothing.

    :returns: how many deliveries were cancelled.
    :raises UnknownTask: there is none of this code.
    """
    with transaction(engine) as connection:
        before = lock(connection, code)
        executions = select(push_execution.c.id).where(
            push_execution.c.task_code == code, push_execution.c.finished_at.is_(None)
        )
        cancelled = connection.execute(
            update(push_delivery)
            .where(push_delivery.c.execution_id.in_(executions), push_delivery.c.state == DeliveryState.PENDING)
            .values(state=DeliveryState.CANCELLED, updated_at=func.now())
        ).rowcount
        # Nobody is at work on these yet; those that run are closed by whoever runs them.
        connection.execute(
            update(push_execution)
            .where(push_execution.c.task_code == code, push_execution.c.state == ExecutionState.PLANNED)
            .values(state=ExecutionState.CANCELLED, cancelled=push_execution.c.total, finished_at=func.now())
        )
        if before.status != TaskStatus.CANCELLED:
            connection.execute(
                update(push_task)
                .where(push_task.c.code == code)
                .values(status=TaskStatus.CANCELLED, updated_at=func.now())
            )
            changed(connection, code)
    return cancelled


def settle(connection: Connection, code: str) -> TaskStatus:
    """Bring a task's status up to date, after one of its executions began or ended, or its limit changed."""
    before = lock(connection, code)
    status = _settled(connection, code, before)
    if status != before.status:
        connection.execute(
            update(push_task).where(push_task.c.code == code).values(status=status, updated_at=func.now())
        )
    return status


def _settled(connection: Connection, code: str, standing: Standing) -> TaskStatus:
    if standing.status == TaskStatus.CANCELLED:
        return standing.status
    under_way = select(push_execution.c.id).where(
        push_execution.c.task_code == code, push_execution.c.finished_at.is_(None)
    )
    if connection.execute(select(under_way.exists())).scalar():
        return TaskStatus.RUNNING
    if standing.executions == 0:
        return TaskStatus.PENDING
    if standing.open:
        return TaskStatus.ACTIVE
    last = connection.execute(
        select(push_execution.c.state)
        .where(push_execution.c.task_code == code)
        .order_by(push_execution.c.number.desc())
        .limit(1)
    ).scalar()
    good = last in (None, ExecutionState.SUCCEEDED)  # None: the ledger was trimmed
    return TaskStatus.FINISHED if good else TaskStatus.FAILED


def lock(connection: Connection, code: str) -> Standing:
    """Lock a push task until the transaction ends: its executions begin, reopen and end one after the other.

    Every transaction that locks rows of a task's executions or deliveries does this first, so that no two
    wait for each other. ``claim`` and ``record`` of :mod:`~push_provider.ledger.executions` wait for no row.

    :raises UnknownTask: there is none of this code.
    """
    columns = [push_task.c[name] for name in Standing._fields]
    row = connection.execute(select(*columns).where(push_task.c.code == code).with_for_update()).first()
    if row is None:
        raise UnknownTask(code)
    return Standing(TaskStatus(row.status), row.executions, row.max_executions)


def locked(connection: Connection, code: str, *, recipients: bool = True) -> TaskRow:
    """The same as :func:`lock`, and the task.

    :param recipients: with them; there may be many, and who plans leaves them in the database.
    :raises UnknownTask: there is none of this code.
    """
    return _one(connection, code, _query(push_task.c.code == code, recipients=recipients).with_for_update())


def locked_all(connection: Connection, codes: Sequence[str]) -> dict[str, TaskRow]:
    """The same for many tasks, without their recipients; those that do not exist are left out.

    Each transaction that locks several tasks must have the right to alone: two could wait for each other.
    """
    query = _query(push_task.c.code.in_(codes), recipients=False).order_by(push_task.c.code).with_for_update()
    return {row.code: _row(row) for row in connection.execute(query)}


def _query(which: ColumnElement[bool], *, recipients: bool) -> Select[Any]:
    spec = push_task.c.spec if recipients else push_task.c.spec.op("-")("recipients")
    columns = [spec.label("spec") if column is push_task.c.spec else column for column in _COLUMNS]
    return select(*columns).where(which)


def _one(connection: Connection, code: str, query: Select[Any]) -> TaskRow:
    row = connection.execute(query).first()
    if row is None:
        raise UnknownTask(code)
    return _row(row)


def count_execution(connection: Connection, row: TaskRow) -> int:
    """Count one more execution of a locked task, if its limit allows; after the last, call :func:`changed`.

    :returns: the execution's number, from 1.
    :raises TaskClosed: the task is cancelled, or all of its executions have begun.
    """
    number = connection.execute(
        update(push_task)
        .where(
            push_task.c.code == row.code,
            push_task.c.status != TaskStatus.CANCELLED,
            or_(push_task.c.max_executions.is_(None), push_task.c.executions < push_task.c.max_executions),
        )
        .values(
            executions=push_task.c.executions + 1,
            status=TaskStatus.RUNNING,
            last_execution_at=func.now(),
            updated_at=func.now(),
        )
        .returning(push_task.c.executions)
    ).scalar()
    if number is None:
        raise TaskClosed(row.why_closed())
    return int(number)


# --- for the DAG files --------------------------------------------------------------------------------


def shards(engine: Engine) -> dict[int, tuple[int, bool]]:
    """Every shard that holds a task: its newest revision, and whether that is built."""
    with transaction(engine) as connection:
        rows = connection.execute(select(push_shard.c.shard, push_shard.c.revision, push_shard.c.built_revision))
        return {row.shard: (row.revision, row.revision == row.built_revision) for row in rows}


def shard_tasks(engine: Engine, shard: int, code: str | None = None) -> tuple[int, list[ShardTask]]:
    """The tasks of a shard, or the one of ``code``, and the revision that they show, read in one snapshot."""
    slim = push_task.c.spec.op("-")("recipients").op("-")("content").op("-")("attachments").op("-")("variables")
    closed = or_(
        push_task.c.status == TaskStatus.CANCELLED,
        and_(push_task.c.max_executions.is_not(None), push_task.c.executions >= push_task.c.max_executions),
    )
    query = (
        select(
            push_task.c.code,
            push_task.c.name,
            slim.label("spec"),
            closed.label("closed"),
            push_task.c.schedule_since,
            func.jsonb_array_length(push_task.c.spec["recipients"]).label("recipients"),
        )
        .where(push_task.c.shard == shard, push_task.c.code == code if code is not None else true())
        .order_by(push_task.c.code)
    )
    with explained(), engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        current = connection.execute(select(push_shard.c.revision).where(push_shard.c.shard == shard)).scalar()
        rows = connection.execute(query).all()
    return current or 0, [
        ShardTask(row.code, row.name, row.spec, not row.closed, row.schedule_since, row.recipients) for row in rows
    ]


def mark_built(engine: Engine, shard: int, built: int) -> None:
    """Note that the DAG processor has built the shard as of revision ``built``."""
    with transaction(engine) as connection:
        connection.execute(update(push_shard).where(push_shard.c.shard == shard).values(built_revision=built))
