"""Push tasks in the ledger: looked up, locked, counted, cancelled, deleted.

How they are written is in ``definitions``, lists of them are in ``task_lists``, and ``shards`` has what their DAGs are
built from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    all_,
    any_,
    case,
    func,
    or_,
    select,
    update,
)
from sqlalchemy import delete as sql_delete

from push_provider.channels.reading import parse_stored
from push_provider.exceptions import TaskBusy, TaskClosed, UnknownTask
from push_provider.ledger import answers, dropping, leases, moving, recipients
from push_provider.ledger.engine import array_of_ids, transaction
from push_provider.ledger.shards import changed, left
from push_provider.ledger.spans import Span
from push_provider.ledger.standing import Standing
from push_provider.ledger.tables import (
    DeliveryState,
    ExecutionState,
    TaskStatus,
    push_delivery,
    push_execution,
    push_task,
    shard_of,
)

if TYPE_CHECKING:
    from push_provider.contract import PushTask


class TaskRow(NamedTuple):
    """A push task and where it stands."""

    code: str
    name: str
    channel: str
    config: str | None
    app: str | None
    owner: str | None
    spec: Mapping[str, Any]
    """Without its recipients, unless they were asked for."""
    recipients: int
    list_id: int | None
    list_digest: bytes | None
    execution_type: str
    max_executions: int | None
    executions: int
    status: TaskStatus
    schedule_since: datetime
    retired_at: datetime | None
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


_COLUMNS = [push_task.c[name] for name in TaskRow._fields]


def _row(row: Row[Any]) -> TaskRow:
    return TaskRow._make(row)._replace(status=TaskStatus(row.status))


def get(engine: Engine, code: str) -> TaskRow:
    """One push task, without its recipients.

    :raises UnknownTask: there is none of this code.
    """
    with transaction(engine) as connection:
        return found(connection, code)


def get_whole(engine: Engine, code: str, *, most: int | None = None) -> TaskRow:
    """One push task, and its recipients in its spec.

    :param most: only the first so many.
    :raises UnknownTask: there is none of this code.
    """
    with transaction(engine) as connection:
        return whole(connection, found(connection, code), most=most)


def whole(connection: Connection, row: TaskRow, *, most: int | None = None) -> TaskRow:
    """A push task with its recipients in its spec; parameters as :func:`get_whole` has them."""
    return row._replace(spec={**row.spec, "recipients": recipients.read(connection, row.list_id, most=most)})


def found(connection: Connection, code: str) -> TaskRow:
    """The same as :func:`get`, as a part of a transaction."""
    return _one(connection, code, select(*_COLUMNS).where(push_task.c.code == code))


def seen(connection: Connection, code: str) -> TaskRow | None:
    """The same, if there is one."""
    row = connection.execute(select(*_COLUMNS).where(push_task.c.code == code)).first()
    return _row(row) if row else None


def delete(engine: Engine, code: str, *, purge: bool) -> None:
    """Delete a push task; another one of its code may be applied at once.

    :param purge: with the log of its executions and deliveries; otherwise one that has a log stays. The deliveries are
        in no list any more, and leave the database in the background (:mod:`~push_provider.ledger.dropping`).
    :raises UnknownTask: there is none of this code.
    :raises TaskBusy: an execution is under way, or there is a log and it is not to be purged.
    """
    with transaction(engine) as connection:
        moving.hold(connection, code)
        standing = lock(connection, code)
        if connection.execute(select(_under_way(code).exists())).scalar():
            raise TaskBusy(f"An execution of push task {code!r} is under way. Cancel the task first, or wait.")
        if standing.executions and not purge:
            raise TaskBusy(
                f"Push task {code!r} has a log of {standing.executions} execution(s), which would go with it. Cancel "
                "it to stop it and keep the log, or delete it with purge=true."
            )
        dropping.drop_task(connection, code)
        gone = connection.execute(sql_delete(push_task).where(push_task.c.code == code).returning(push_task.c.list_id))
        recipients.leave(connection, gone.scalar_one())
        answers.forget(connection, code)
        left(connection, shard_of(code))


def cancel(engine: Engine, code: str) -> int:
    """Cancel a push task: no execution begins any more, and what is not sent yet is not sent.

    What a process is sending at this moment is not called back, and what an earlier try left in doubt is unknown.
    Cancelling twice changes nothing.

    :returns: how many deliveries were cancelled.
    :raises UnknownTask: there is none of this code.
    """
    with transaction(engine) as connection:
        moving.hold(connection, code)
        _await_writers(connection, code)
        # Of those that are there by now, while others begin; then of the others, while none does.
        there = connection.scalars(_under_way(code).where(push_execution.c.list_id.is_(None))).all()
        leases.hold(connection, there)
        cancelled = _cancel_pending(connection, code, push_execution.c.id == any_(array_of_ids(there)))
        before = lock(connection, code)
        planned = (push_execution.c.task_code == code, push_execution.c.state == ExecutionState.PLANNED)
        left = select(push_execution.c.total, push_execution.c.list_id).where(*planned).with_for_update(key_share=True)
        unwritten = sum(row.total for row in connection.execute(left) if row.list_id is not None)
        # Messages may have joined one that is planned since it was looked at.
        others = push_execution.c.id != all_(array_of_ids(there))
        cancelled += _cancel_pending(connection, code, or_(others, push_execution.c.state == ExecutionState.PLANNED))
        # Nobody is at work on these yet; those that run are closed by whoever runs them, else by the API server.
        connection.execute(
            update(push_execution)
            .where(*planned)
            .values(state=ExecutionState.CANCELLED, cancelled=push_execution.c.total, finished_at=func.now())
        )
        if before.status != TaskStatus.CANCELLED:
            connection.execute(
                update(push_task)
                .where(push_task.c.code == code)
                .values(status=TaskStatus.CANCELLED, updated_at=func.now())
            )
            changed(connection, code)
    return int(cancelled + unwritten)


def _await_writers(connection: Connection, code: str) -> None:
    """Wait for runs that are writing their deliveries at this moment, and lock nothing."""
    writing = select(push_execution.c.id).where(
        push_execution.c.task_code == code,
        push_execution.c.finished_at.is_(None),
        push_execution.c.list_id.is_not(None),
    )
    with connection.begin_nested() as part:
        connection.execute(writing.order_by(push_execution.c.id).with_for_update(key_share=True))
        part.rollback()


def _cancel_pending(connection: Connection, code: str, which: ColumnElement[bool]) -> int:
    state = case((moving.DOUBTFUL, DeliveryState.UNKNOWN.value), else_=DeliveryState.CANCELLED.value)
    moved = (
        update(push_delivery)
        .where(
            push_delivery.c.execution_id.in_(_under_way(code).where(which)),
            _span_of_open(connection, code).holds,
            push_delivery.c.state == DeliveryState.PENDING,
        )
        .values(state=state, updated_at=func.now())
        .returning(push_delivery.c.state)
        .cte()
    )
    return connection.execute(select(func.count()).where(moved.c.state == DeliveryState.CANCELLED)).scalar_one()


def settle(connection: Connection, code: str) -> TaskStatus:
    """Bring a task's status up to date, after one of its executions began or ended, or its limit changed."""
    before = lock(connection, code)
    status = settled(connection, code, before)
    if status != before.status:
        connection.execute(
            update(push_task).where(push_task.c.code == code).values(status=status, updated_at=func.now())
        )
    return status


def settled(connection: Connection, code: str, standing: Standing) -> TaskStatus:
    """The status of a locked push task that stands so."""
    if standing.status == TaskStatus.CANCELLED:
        return standing.status
    if connection.execute(select(_under_way(code).exists())).scalar():
        return TaskStatus.RUNNING
    if standing.executions == 0:
        return TaskStatus.PENDING
    if standing.open:
        return TaskStatus.ACTIVE
    last = connection.execute(
        select(push_execution.c.state)
        .where(push_execution.c.task_code == code, push_execution.c.number.is_not(None))
        .order_by(push_execution.c.number.desc())
        .limit(1)
    ).scalar()
    if last is None:  # it has left the ledger, and what is known of it is the status that it left behind
        return TaskStatus.FAILED if standing.status == TaskStatus.FAILED else TaskStatus.FINISHED
    return TaskStatus.FINISHED if last == ExecutionState.SUCCEEDED else TaskStatus.FAILED


def _span_of_open(connection: Connection, code: str) -> Span:
    """The span of all deliveries of executions that are under way."""
    columns = push_execution.c
    first, last = columns.first_delivery, columns.last_delivery
    query = select(func.min(first), func.max(last), func.count() - func.count(first)).where(
        columns.task_code == code, columns.finished_at.is_(None), columns.total > 0
    )
    smallest, largest, unknown = connection.execute(query).one()
    return Span() if unknown else Span.noted(smallest, largest)


def _under_way(code: str) -> Select[Any]:
    return select(push_execution.c.id).where(push_execution.c.task_code == code, push_execution.c.finished_at.is_(None))


def lock(connection: Connection, code: str) -> Standing:
    """Lock a push task until the transaction ends: its executions begin, reopen and end one after the other.

    Every transaction that changes a task's executions does this before, and after it has changed deliveries of theirs
    that there were (:mod:`~push_provider.ledger.moving`), so that no two wait for each other.

    :raises UnknownTask: there is none of this code.
    """
    columns = [push_task.c[name] for name in Standing._fields]
    row = connection.execute(select(*columns).where(push_task.c.code == code).with_for_update()).first()
    if row is None:
        raise UnknownTask(code)
    return Standing(TaskStatus(row.status), row.executions, row.max_executions)


def locked(connection: Connection, code: str) -> TaskRow:
    """The same as :func:`lock`, and the task, without its recipients.

    :raises UnknownTask: there is none of this code.
    """
    return _one(connection, code, select(*_COLUMNS).where(push_task.c.code == code).with_for_update())


def locked_all(connection: Connection, codes: Sequence[str]) -> dict[str, TaskRow]:
    """The same for many tasks; those that do not exist are left out.

    In the order of their codes: each transaction that locks several tasks must do so once, and in this order, or two
    could wait for each other.
    """
    query = select(*_COLUMNS).where(push_task.c.code.in_(codes)).order_by(push_task.c.code).with_for_update()
    return {row.code: _row(row) for row in connection.execute(query)}


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
